/* SPDX-License-Identifier: MIT */
/*
 * Quantised models as exporters write them: real values between DequantizeLinear and
 * QuantizeLinear. The image of a quantised value holds its codes as U8; int8 codes are shifted by
 * 128, and their zero point with them. What lies between two of them and depends on one code alone
 * becomes a table of 256 values, with the very roundings that the file asks for.
 */
#include "engine/native/fuse/select.h"

#include "engine/native/fuse/select_list.h"

#include "engine/native/ops/qparam.h"

#include <math.h>
#include <string.h>

static bool is_op(const vly_node *node, const char *name)
{
    return node->op->domain == NULL && strcmp(node->op->name, name) == 0;
}

/* Scale and zero point of the codes that a Q node makes or a DQ node reads, for the whole tensor
 * and known now. */
static bool read_params(const vly_fuser *z, const vly_node *node, int codes, float *ret_scale,
                        int32_t *ret_zero)
{
    const vly_tensor *scale = vly_fuse_constant(z, node->in[1]), *zero = NULL;
    vly_dtype dtype = z->f->values[codes]->dtype; /* which a zero point shares */

    if (!vly_fuse_is_omitted(node, 2)) {
        zero = vly_fuse_constant(z, node->in[2]);
        if (zero == NULL || vly_tensor_count(zero) != 1)
            return false;
    }
    if ((dtype != VLY_DTYPE_U8 && dtype != VLY_DTYPE_I8) || scale == NULL ||
        scale->dtype != VLY_DTYPE_F32 || vly_tensor_count(scale) != 1 ||
        !(*(const float *)scale->data > 0.0f))
        return false;
    *ret_scale = *(const float *)scale->data;
    *ret_zero = vly_zero_at(zero, 0) + (dtype == VLY_DTYPE_I8 ? 128 : 0);
    return true;
}

/* The same of a Q node whose codes only DQ nodes read, each as they were written: nobody needs them
 * as a tensor. */
static bool read_pair(const vly_fuser *z, const vly_node *node, float *ret_scale, int32_t *ret_zero)
{
    int q = node->out[0];
    const vly_view *w = &z->views[q];
    float scale;
    int32_t zero;

    if (w->n_reading != w->n_readers || !read_params(z, node, q, ret_scale, ret_zero))
        return false;
    for (int k = 0; k < w->n_reading; k++) {
        const vly_node *reader = vly_fuse_reader(z, q, k);
        if (!is_op(reader, "DequantizeLinear") || reader->in[0] != q ||
            z->f->values[reader->out[0]]->dtype != VLY_DTYPE_F32 ||
            !read_params(z, reader, q, &scale, &zero) || scale != *ret_scale || zero != *ret_zero)
            return false;
    }
    return true;
}

bool vly_fuse_is_quantised_next(const vly_fuser *z, int v)
{
    const vly_node *node = z->views[v].n_reading == 1 ? vly_fuse_reader(z, v, 0) : NULL;
    float scale;
    int32_t zero;

    return node != NULL && z->views[v].n_readers == 1 && node->in[0] == v &&
           is_op(node, "QuantizeLinear") && read_pair(z, node, &scale, &zero);
}

const vly_tensor *vly_fuse_int8_weights(const vly_fuser *z, int v, int c_out, float *scales)
{
    const vly_node *node = z->views[v].lazy;

    if (node == NULL)
        return NULL;
    const vly_tensor *w = vly_fuse_constant(z, node->in[0]), *s = vly_fuse_constant(z, node->in[1]);
    const vly_tensor *zero = node->n_in > 2 ? vly_fuse_constant(z, node->in[2]) : NULL;
    vly_attrs a = vly_attrs_begin(node->proto);
    bool is_one = vly_tensor_count(s) == 1;
    if (w->dtype != VLY_DTYPE_I8 || s->dtype != VLY_DTYPE_F32 || s->shape.rank > 1 ||
        (!is_one && (vly_tensor_count(s) != (uint64_t)c_out || vly_attrs_int(&a, "axis", 1) != 0)))
        return NULL;
    for (uint64_t i = 0; zero != NULL && i < vly_tensor_count(zero); i++)
        if (vly_zero_at(zero, (int64_t)i) != 0)
            return NULL;
    for (int o = 0; o < c_out; o++)
        scales[o] = vly_scale_at(s, o);
    return w;
}

/* ---- tables ------------------------------------------------------------------------------- */

static uint8_t code_of(float v, float scale, int32_t zero)
{
    const vly_image im = {.scale = scale, .zero = zero};
    return vly_image_quantise(&im, v);
}

/* What a MAP item makes of each code of its input. */
static const float *codes_of(vly_fuser *z, const vly_item *map)
{
    const vly_view *x = &z->views[map->in[0]];
    float *codes = vly_arena_calloc(z->f->scratch, 256, sizeof(*codes));

    for (int q = 0; codes != NULL && q < 256; q++)
        codes[q] = vly_act_apply(map->act, (float)(q - x->zero) * x->scale, map->alpha, map->beta);
    return codes;
}

bool vly_fuse_quantised_swish(vly_fuser *z, const vly_step *step, int x, int gate)
{
    int g = vly_fuse_maker(z, gate, VLY_ITEM_ALIAS), out = step->node->out[0];

    if (!z->views[x].is_quantised || !z->views[gate].is_quantised || g == VLY_NO_ITEM ||
        z->views[gate].n_readers != 1 || !vly_fuse_is_quantised_next(z, out))
        return false;
    int q = z->items[g].in[0], m = vly_fuse_maker(z, q, VLY_ITEM_MAP);
    if (m == VLY_NO_ITEM || z->views[q].n_readers != 1 || z->items[m].in[0] != x)
        return false;
    const vly_view *from = &z->views[x], *by = &z->views[gate];
    vly_item *map = &z->items[m];
    const float *gates = map->codes != NULL ? map->codes : codes_of(z, map);
    float *codes = vly_arena_calloc(z->f->scratch, 256, sizeof(*codes));
    if (gates == NULL || codes == NULL || !vly_fuse_geometry(z, out, from->is_last))
        return false;
    for (int k = 0; k < 256; k++)
        codes[k] = (float)(k - from->zero) * from->scale *
                   ((float)(code_of(gates[k], by->scale, by->zero) - by->zero) * by->scale);
    z->items[g].kind = VLY_ITEM_DEAD;
    z->views[gate].is_image = z->views[q].is_image = false;
    z->views[gate].maker = VLY_NO_ITEM;
    map->codes = codes;
    map->n_reads = 2;
    vly_fuse_take_over(z, m, out);
    return true;
}

/* A table right behind a convolution whose codes nobody else reads. */
static bool merge_table(vly_fuser *z, int i_map)
{
    vly_item *map = &z->items[i_map];
    int d = map->in[0], alias = vly_fuse_maker(z, d, VLY_ITEM_ALIAS);

    if (alias == VLY_NO_ITEM || z->views[d].n_readers != map->n_reads)
        return false;
    int q = z->items[alias].in[0], i = vly_fuse_maker(z, q, VLY_ITEM_CONV);
    if (i == VLY_NO_ITEM || z->views[q].n_readers != 1 || z->items[i].act != VLY_ACT_NONE ||
        z->items[i].n_in > 1)
        return false;
    vly_item *conv = &z->items[i];
    int out = map->out;
    conv->act = VLY_ACT_TABLE;
    conv->codes = map->codes;
    conv->code_scale = z->views[q].scale;
    conv->code_zero = z->views[q].zero;
    z->items[alias].kind = map->kind = VLY_ITEM_DEAD;
    z->views[d].is_image = false;
    z->views[d].maker = VLY_NO_ITEM;
    vly_fuse_take_over(z, i, out);
    return true;
}

/* ---- the two operators -------------------------------------------------------------------- */

/* The image of q has the size of x's. */
static void like(vly_view *q, const vly_view *x, float scale, int32_t zero)
{
    q->is_image = true;
    q->is_last = x->is_last;
    q->n = x->n, q->h = x->h, q->w = x->w, q->c = x->c;
    q->is_quantised = true;
    q->scale = scale;
    q->zero = zero;
}

/* The item that made x can write codes instead. */
static bool quantise_maker(vly_fuser *z, int x, int q)
{
    int i = z->views[x].maker;

    if (i == VLY_NO_ITEM || z->views[x].n_readers != 1 || z->views[x].is_quantised ||
        z->items[i].kind == VLY_ITEM_SLICE || z->items[i].kind == VLY_ITEM_ALIAS)
        return false;
    vly_fuse_take_over(z, i, q);
    vly_item *item = &z->items[i];
    if (item->kind != VLY_ITEM_MAP || !z->views[item->in[0]].is_quantised)
        return true;
    if (item->codes == NULL) {
        item->codes = codes_of(z, item);
        item->n_reads = 1;
    }
    if (item->codes != NULL)
        (void)merge_table(z, i); /* or it stays a step of its own */
    return true;
}

bool vly_select_quantize(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int x = node->in[0], q = node->out[0];
    float scale;
    int32_t zero;

    if (z->f->precision != VLY_PRECISION_INT8 || !read_pair(z, node, &scale, &zero))
        return false;
    const vly_view *from = &z->views[x];
    if (!from->is_image) {
        if (vly_fuse_constant(z, x) != NULL || !vly_fuse_geometry(z, x, false))
            return false;
        z->views[q].source = x;
    } else if (!quantise_maker(z, x, q)) {
        /* an alias: its codes come back */
        bool is_same = from->is_quantised && from->scale == scale && from->zero == zero;
        vly_item_kind kind = is_same ? VLY_ITEM_ALIAS : VLY_ITEM_MAP;
        if (vly_fuse_item(z, kind, step, &x, 1, q) == NULL)
            return false;
    }
    like(&z->views[q], from, scale, zero);
    return true;
}

bool vly_select_dequantize(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int q = node->in[0], out = node->out[0];

    if (vly_fuse_constant(z, q) != NULL) {
        for (int i = 1; i < node->n_in; i++)
            if (node->in[i] != VLY_VALUE_NONE && vly_fuse_constant(z, node->in[i]) == NULL)
                return false;
        z->views[out].lazy = node;
        return true;
    }
    /* the Q node has looked at this one */
    if (!z->views[q].is_quantised || vly_fuse_item(z, VLY_ITEM_ALIAS, step, &q, 1, out) == NULL)
        return false;
    like(&z->views[out], &z->views[q], z->views[q].scale, z->views[q].zero);
    return true;
}
