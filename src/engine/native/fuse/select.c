/* SPDX-License-Identifier: MIT */
#include "engine/native/fuse/select.h"

#include "engine/native/fuse/select_list.h"

#include "base/assert.h"
#include "engine/graph/constant.h"

#include <string.h>

#define PIXELS_MAX ((int64_t)1 << 28)

/* ---- values ------------------------------------------------------------------------------- */

const vly_tensor *vly_fuse_weights(const vly_fuser *z, int v)
{
    vly_err ignored;

    if (v == VLY_VALUE_NONE || z->f->is_unknown[v])
        return NULL;
    if (z->views[v].lazy != NULL && z->f->values[v]->data == NULL &&
        z->f->fold(z->f->fold_arg, z->views[v].lazy, &ignored) != VLY_OK)
        return NULL;
    return z->f->values[v]->data != NULL ? z->f->values[v] : NULL;
}

const void *vly_fuse_shared(const vly_fuser *z, int v)
{
    const vly_graph *g = z->f->plan->graph;
    int from = z->views[v].lazy != NULL ? z->views[v].lazy->in[0] : v;

    return from < g->n_values ? g->values[from].constant.data : NULL;
}

const vly_tensor *vly_fuse_constant(const vly_fuser *z, int v)
{
    vly_err ignored;
    bool is_there = vly_fuse_weights(z, v) != NULL;

    return is_there && vly_constant_align(z->f->values[v], &ignored) == VLY_OK ? z->f->values[v]
                                                                               : NULL;
}

/* Input i of the step as a float constant of n elements (n < 0: any). */
const vly_tensor *vly_fuse_f32(const vly_fuser *z, const vly_node *node, int i, int64_t n)
{
    const vly_tensor *t = i < node->n_in ? vly_fuse_constant(z, node->in[i]) : NULL;

    if (t == NULL || t->dtype != VLY_DTYPE_F32 || (n >= 0 && (int64_t)vly_tensor_count(t) != n))
        return NULL;
    return t;
}

bool vly_fuse_is_omitted(const vly_node *node, int i)
{
    return i >= node->n_in || node->in[i] == VLY_VALUE_NONE;
}

bool vly_fuse_geometry(const vly_fuser *z, int v, bool is_last)
{
    vly_view *w = &z->views[v];
    const vly_shape *s = &z->f->values[v]->shape;
    int64_t d[4] = {1, 1, 1, 1};

    if (z->f->is_unknown[v] || z->f->values[v]->dtype != VLY_DTYPE_F32 || s->rank < 2 ||
        (!is_last && s->rank > 4))
        return false;
    if (is_last) {
        d[2] = vly_shape_span(s, 0, s->rank - 1);
        d[3] = s->dim[s->rank - 1];
    } else {
        d[0] = s->dim[0];
        d[1] = s->rank == 4 ? s->dim[2] : 1;
        d[2] = s->rank > 2 ? s->dim[s->rank - 1] : 1;
        d[3] = s->dim[1];
    }
    /* pixels are counted in int, borders included; with so many, memory is the limit anyway */
    for (int i = 0; i < 4; i++)
        if (d[i] < 1 || d[i] > PIXELS_MAX)
            return false;
    if (d[0] * d[1] > PIXELS_MAX || d[0] * d[1] * d[2] > PIXELS_MAX)
        return false;
    w->n = (int)d[0], w->h = (int)d[1], w->w = (int)d[2], w->c = (int)d[3];
    w->is_last = is_last;
    return true;
}

/* May v be read as an image in this layout? It is one already, or a tensor that can become one. */
bool vly_fuse_can_read(const vly_fuser *z, int v, bool is_last)
{
    const vly_view *w = &z->views[v];

    if (w->is_image)
        return w->is_last == is_last;
    return vly_fuse_weights(z, v) == NULL && vly_fuse_geometry(z, v, is_last);
}

/* The same, for items that are worth it only on what is an image already. */
bool vly_fuse_is_image(const vly_fuser *z, int v)
{
    return v != VLY_VALUE_NONE && z->views[v].is_image;
}

int vly_fuse_maker(const vly_fuser *z, int v, vly_item_kind kind)
{
    int i = v == VLY_VALUE_NONE ? VLY_NO_ITEM : z->views[v].maker;
    return i != VLY_NO_ITEM && z->items[i].kind == kind ? i : VLY_NO_ITEM;
}

/* ---- items -------------------------------------------------------------------------------- */

vly_item *vly_fuse_item(vly_fuser *z, vly_item_kind kind, const vly_step *step, const int *in,
                        int n_in, int out)
{
    vly_item *item = &z->items[z->n_items];
    int *copy = vly_arena_calloc(z->f->scratch, (size_t)n_in + 1, sizeof(*copy));

    if (copy == NULL || z->n_items == z->max_items)
        return NULL;
    if (n_in > 0)
        memcpy(copy, in, (size_t)n_in * sizeof(*copy));
    *item = (vly_item){.kind = kind, .step = step, .n_in = n_in, .in = copy, .out = out};
    z->n_items++;
    if (kind == VLY_ITEM_NODE || kind == VLY_ITEM_RECURRENT)
        return item;
    for (int i = 0; i < n_in; i++)
        z->views[in[i]].is_image = true;
    z->views[out].is_image = true;
    z->views[out].maker = z->n_items - 1;
    return item;
}

/* Images that are parts or other shapes of one hold the same codes. */
void vly_fuse_same_codes(vly_view *to, const vly_view *from)
{
    to->is_quantised = from->is_quantised;
    to->scale = from->scale;
    to->zero = from->zero;
}

/* An item for the step's output 0, whose image has the layout of input x. */
vly_item *vly_fuse_item_like(vly_fuser *z, vly_item_kind kind, const vly_step *step, int x)
{
    int out = step->node->out[0];

    if (out == VLY_VALUE_NONE || !vly_fuse_geometry(z, out, z->views[x].is_last))
        return NULL;
    return vly_fuse_item(z, kind, step, &x, 1, out);
}

void vly_fuse_take_over(vly_fuser *z, int i, int out)
{
    vly_item *item = &z->items[i];
    vly_view *from = &z->views[item->out], *to = &z->views[out];

    from->is_image = false;
    from->maker = VLY_NO_ITEM;
    to->is_image = true;
    to->is_last = from->is_last;
    to->n = from->n, to->h = from->h, to->w = from->w, to->c = from->c;
    to->maker = i;
    item->out = out;
}

/* The item of this kind that made v for one reader only. */
int vly_fuse_sole_maker(const vly_fuser *z, int v, vly_item_kind kind)
{
    return v != VLY_VALUE_NONE && z->views[v].n_readers == 1 ? vly_fuse_maker(z, v, kind)
                                                             : VLY_NO_ITEM;
}

/* ---- the table ---------------------------------------------------------------------------- */

typedef struct selector {
    const char *op;
    bool (*select)(vly_fuser *z, const vly_step *step);
} selector;

static const selector selectors[] = {
#define ENTRY(op, name) {#op, vly_select_##name},
    VLY_FUSE_SELECTORS(ENTRY)
#undef ENTRY
};

static const selector *selector_of(const vly_node *node)
{
    for (size_t i = 0; i < VLY_COUNT(selectors); i++)
        if (node->op->domain == NULL && strcmp(node->op->name, selectors[i].op) == 0)
            return &selectors[i];
    return NULL;
}

bool vly_fuse_has_image_reader(const vly_fuser *z, int v)
{
    for (int k = 0; k < z->views[v].n_reading; k++)
        if (selector_of(vly_fuse_reader(z, v, k)) != NULL)
            return true;
    return false;
}

static bool select_step(vly_fuser *z, const vly_step *step)
{
    const selector *s = selector_of(step->node);

    if (step->is_dynamic || s == NULL)
        return false;
    for (int i = 0; i < step->node->n_in; i++)
        if (step->node->in[i] != VLY_VALUE_NONE && z->f->is_unknown[step->node->in[i]])
            return false;
    return s->select(z, step);
}

vly_status vly_fuse_select(vly_fuser *z, vly_err *err)
{
    const vly_plan *p = z->f->plan;

    for (int s = 0; s < p->n_steps; s++) {
        int n_items = z->n_items;
        if (z->is_taken[s] || select_step(z, &p->steps[s]) || vly_fuse_select_expect(z, s))
            continue;
        z->n_items = n_items;
        if (vly_fuse_item(z, VLY_ITEM_NODE, &p->steps[s], NULL, 0, VLY_VALUE_NONE) == NULL)
            return vly_fail(err, VLY_ENOMEM, "out of memory while fusing steps");
    }
    return VLY_OK;
}
