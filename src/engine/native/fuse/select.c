/* SPDX-License-Identifier: MIT */
#include "engine/native/fuse/select.h"

#include "base/assert.h"
#include "engine/graph/constant.h"
#include "engine/native/ops/conv_common.h"
#include "engine/native/ops/resize.h"

#include <math.h>
#include <string.h>

#define BORDER_MAX 32 /* images with wider padding stay as they are */

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

const vly_tensor *vly_fuse_constant(const vly_fuser *z, int v)
{
    vly_err ignored;
    bool is_there = vly_fuse_weights(z, v) != NULL;

    return is_there && vly_constant_align(z->f->values[v], &ignored) == VLY_OK ? z->f->values[v]
                                                                               : NULL;
}

/* Input i of the step as a float constant of n elements (n < 0: any). */
static const vly_tensor *constant_f32(const vly_fuser *z, const vly_node *node, int i, int64_t n)
{
    const vly_tensor *t = i < node->n_in ? vly_fuse_constant(z, node->in[i]) : NULL;

    if (t == NULL || t->dtype != VLY_DTYPE_F32 || (n >= 0 && (int64_t)vly_tensor_count(t) != n))
        return NULL;
    return t;
}

/* Input 1 as float weights, aligned or not. */
static const vly_tensor *weights_f32(const vly_fuser *z, const vly_node *node)
{
    const vly_tensor *t = vly_fuse_weights(z, node->in[1]);
    return t != NULL && t->dtype == VLY_DTYPE_F32 ? t : NULL;
}

static bool is_omitted(const vly_node *node, int i)
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
    for (int i = 0; i < 4; i++)
        if (d[i] < 1 || d[i] > INT32_MAX / 4)
            return false;
    w->n = (int)d[0], w->h = (int)d[1], w->w = (int)d[2], w->c = (int)d[3];
    w->is_last = is_last;
    return true;
}

/* May v be read as an image in this layout? It is one already, or a tensor that can become one. */
static bool can_read(const vly_fuser *z, int v, bool is_last)
{
    const vly_view *w = &z->views[v];

    if (w->is_image)
        return w->is_last == is_last;
    return vly_fuse_weights(z, v) == NULL && vly_fuse_geometry(z, v, is_last);
}

/* The same, for items that are worth it only on what is an image already. */
static bool is_image(const vly_fuser *z, int v)
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
    if (kind == VLY_ITEM_NODE)
        return item;
    for (int i = 0; i < n_in; i++)
        z->views[in[i]].is_image = true;
    z->views[out].is_image = true;
    z->views[out].maker = z->n_items - 1;
    return item;
}

/* Images that are parts or other shapes of one hold the same codes. */
static void same_codes(vly_view *to, const vly_view *from)
{
    to->is_quantised = from->is_quantised;
    to->scale = from->scale;
    to->zero = from->zero;
}

/* An item for the step's output 0, whose image has the layout of input x. */
static vly_item *item_like(vly_fuser *z, vly_item_kind kind, const vly_step *step, int x)
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
static int sole_maker(const vly_fuser *z, int v, vly_item_kind kind)
{
    return v != VLY_VALUE_NONE && z->views[v].n_readers == 1 ? vly_fuse_maker(z, v, kind)
                                                             : VLY_NO_ITEM;
}

static float *new_floats(vly_fuser *z, int n, float value)
{
    float *p = vly_arena_calloc(z->f->scratch, (size_t)n, sizeof(*p));

    for (int i = 0; p != NULL && i < n; i++)
        p[i] = value;
    return p;
}

/* ---- convolution, dense ------------------------------------------------------------------- */

/* How far windows reach over the edges of the input. */
static int64_t reach(const vly_window *w, int d)
{
    int64_t end = (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] - w->pad[d] -
                  (w->in[d] - 1);
    return end > w->pad[d] ? end : w->pad[d];
}

static bool fits_border(const vly_window *w)
{
    for (int d = 0; d < 3; d++)
        if (w->pad[d] < 0 || reach(w, d) > BORDER_MAX)
            return false;
    return w->kernel[0] == 1 && w->stride[0] == 1 && w->in[0] == 1 && w->pad[0] == 0;
}

static void need_border(vly_view *x, const vly_window *w)
{
    int h = (int)reach(w, 1), b = (int)reach(w, 2);

    x->border_h = h > x->border_h ? h : x->border_h;
    x->border_w = b > x->border_w ? b : x->border_w;
}

static vly_conv_desc conv_desc(const vly_conv *c)
{
    const vly_window *w = &c->win.w;

    return (vly_conv_desc){
        .c_in = (int)(c->in_channels * c->group),
        .c_out = (int)(c->m * c->group),
        .group = (int)c->group,
        .kernel_h = (int)w->kernel[1],
        .kernel_w = (int)w->kernel[2],
        .stride_h = (int)w->stride[1],
        .stride_w = (int)w->stride[2],
        .dilation_h = (int)w->dilation[1],
        .dilation_w = (int)w->dilation[2],
        .pad_top = (int)w->pad[1],
        .pad_left = (int)w->pad[2],
        .n = (int)c->batch,
        .h_out = (int)w->out[1],
        .w_out = (int)w->out[2],
    };
}

/* The operands of a convolution from x: int8 weights when x is quantised and they are too, with the
 * scales of the products; else floats. */
static bool choose_weights(vly_fuser *z, vly_item *item, int x, int i_weights)
{
    const vly_view *view = &z->views[x];
    int c_out = item->desc.c_out;

    if (!view->is_quantised) {
        item->weights = vly_fuse_weights(z, i_weights);
        return item->weights != NULL && item->weights->dtype == VLY_DTYPE_F32;
    }
    item->scale = new_floats(z, c_out, 1.0f);
    if (item->scale == NULL)
        return false;
    item->weights = vly_fuse_int8_weights(z, i_weights, c_out, item->scale);
    for (int o = 0; o < c_out; o++)
        item->scale[o] *= view->scale;
    return item->weights != NULL;
}

static bool select_conv(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    const vly_op_ctx *ctx = vly_fuse_ctx(z, node);
    const vly_tensor *bias = constant_f32(z, node, 2, -1);
    int x = node->in[0], n_items = z->n_items;
    vly_err ignored;
    vly_conv c;

    if (ctx == NULL || (bias == NULL && !is_omitted(node, 2)) || !can_read(z, x, false) ||
        vly_conv_resolve(ctx, node->params, 0, 1, &c, &ignored) != VLY_OK)
        return false;
    bool is_depthwise = c.in_channels == 1 && c.m == 1;
    if (!c.is_known || (c.group > 1 && !is_depthwise) || !fits_border(&c.win.w) ||
        c.out_size == 0 || c.batch == 0)
        return false;
    vly_item plan = {.desc = conv_desc(&c)};
    if (!choose_weights(z, &plan, x, node->in[1]))
        return false;
    vly_item *item = item_like(z, VLY_ITEM_CONV, step, x);
    if (item == NULL) {
        z->n_items = n_items;
        return false;
    }
    item->desc = plan.desc;
    item->weights = plan.weights;
    item->scale = plan.scale;
    item->bias = bias != NULL ? bias->data : NULL;
    need_border(&z->views[x], &c.win.w);
    z->views[x].wants_narrow = true;
    return true;
}

/* A dense layer: rows of x times a constant matrix. */
static bool add_dense(vly_fuser *z, const vly_step *step, const vly_tensor *w, bool is_transposed,
                      const vly_tensor *bias)
{
    int x = step->node->in[0];
    vly_item *item = z->views[x].is_quantised ? NULL : item_like(z, VLY_ITEM_CONV, step, x);

    if (item == NULL)
        return false;
    item->desc = (vly_conv_desc){.c_in = z->views[x].c,
                                 .c_out = z->views[item->out].c,
                                 .group = 1,
                                 .kernel_h = 1,
                                 .kernel_w = 1,
                                 .stride_h = 1,
                                 .stride_w = 1,
                                 .dilation_h = 1,
                                 .dilation_w = 1,
                                 .n = 1,
                                 .h_out = 1,
                                 .w_out = z->views[x].w};
    item->weights = w;
    item->is_transposed = is_transposed;
    item->bias = bias != NULL ? bias->data : NULL;
    z->views[x].wants_narrow = true;
    return true;
}

static bool select_gemm(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    vly_attrs a = vly_attrs_begin(node->proto);
    const vly_tensor *w = weights_f32(z, node);
    bool trans_b = vly_attrs_int(&a, "transB", 0) != 0;

    if (w == NULL || w->shape.rank != 2 || vly_attrs_int(&a, "transA", 0) != 0 ||
        vly_attrs_float(&a, "alpha", 1.0f) != 1.0f || vly_attrs_float(&a, "beta", 1.0f) != 1.0f)
        return false;
    const vly_tensor *bias = constant_f32(z, node, 2, w->shape.dim[trans_b ? 0 : 1]);
    if ((bias == NULL && !is_omitted(node, 2)) || !can_read(z, node->in[0], true))
        return false;
    return add_dense(z, step, w, !trans_b, bias);
}

static bool select_matmul(vly_fuser *z, const vly_step *step)
{
    const vly_tensor *w = weights_f32(z, step->node);

    if (w == NULL || w->shape.rank != 2 || !can_read(z, step->node->in[0], true))
        return false;
    return add_dense(z, step, w, true, NULL);
}

/* y = a * x + b for each channel, after a convolution that nothing else reads. */
static bool select_batch_norm(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int i = sole_maker(z, node->in[0], VLY_ITEM_CONV);
    vly_attrs at = vly_attrs_begin(node->proto);
    float epsilon = vly_attrs_float(&at, "epsilon", 1e-5f);
    const float *p[4];

    if (i == VLY_NO_ITEM || z->items[i].act != VLY_ACT_NONE || z->items[i].n_in > 1)
        return false;
    vly_item *item = &z->items[i];
    int c = item->desc.c_out;
    for (int k = 0; k < 4; k++) {
        const vly_tensor *t = constant_f32(z, node, k + 1, c);
        if (t == NULL)
            return false;
        p[k] = t->data;
    }
    float *scale = new_floats(z, c, 1.0f), *bias = new_floats(z, c, 0.0f);
    if (scale == NULL || bias == NULL)
        return false;
    for (int k = 0; k < c; k++) {
        float factor = p[0][k] / sqrtf(p[3][k] + epsilon);
        scale[k] = factor * (item->scale != NULL ? item->scale[k] : 1.0f);
        bias[k] = factor * ((item->bias != NULL ? item->bias[k] : 0.0f) - p[2][k]) + p[1][k];
    }
    item->scale = scale;
    item->bias = bias;
    vly_fuse_take_over(z, i, node->out[0]);
    return true;
}

/* A bias that the exporter wrote as an Add of one constant for each channel. */
static bool add_bias(vly_fuser *z, const vly_step *step, int i, int i_constant)
{
    vly_item *item = &z->items[i];
    int c = item->desc.c_out;
    const vly_tensor *t = constant_f32(z, step->node, i_constant, c);

    if (t == NULL || item->act != VLY_ACT_NONE || item->n_in > 1)
        return false;
    int rank = z->f->values[step->node->in[1 - i_constant]]->shape.rank;
    int axis = t->shape.rank - (z->views[item->out].is_last ? 1 : rank - 1);
    if (axis < 0 || axis >= t->shape.rank || t->shape.dim[axis] != c)
        return false;
    float *bias = new_floats(z, c, 0.0f);
    if (bias == NULL)
        return false;
    for (int k = 0; k < c; k++)
        bias[k] = ((const float *)t->data)[k] + (item->bias != NULL ? item->bias[k] : 0.0f);
    item->bias = bias;
    vly_fuse_take_over(z, i, step->node->out[0]);
    return true;
}

/* ---- elementwise -------------------------------------------------------------------------- */

/* Puts act behind the item that made x, or makes an item of its own. */
static bool apply_act(vly_fuser *z, const vly_step *step, vly_act act, float alpha, float beta)
{
    int x = step->node->in[0], out = step->node->out[0];
    int i = sole_maker(z, x, VLY_ITEM_CONV);

    if (!is_image(z, x) || out == VLY_VALUE_NONE)
        return false;
    if (i == VLY_NO_ITEM)
        i = sole_maker(z, x, VLY_ITEM_COMBINE);
    bool is_free = i != VLY_NO_ITEM && z->items[i].act == VLY_ACT_NONE && !z->views[x].is_quantised;
    vly_item *item = is_free ? &z->items[i] : item_like(z, VLY_ITEM_MAP, step, x);
    if (item == NULL)
        return false;
    item->act = act;
    item->alpha = alpha;
    item->beta = beta;
    if (is_free)
        vly_fuse_take_over(z, i, out);
    return true;
}

static bool select_relu(vly_fuser *z, const vly_step *step)
{
    return apply_act(z, step, VLY_ACT_RELU, 0.0f, 0.0f);
}

static bool select_sigmoid(vly_fuser *z, const vly_step *step)
{
    return apply_act(z, step, VLY_ACT_SIGMOID, 0.0f, 0.0f);
}

static bool select_tanh(vly_fuser *z, const vly_step *step)
{
    return apply_act(z, step, VLY_ACT_TANH, 0.0f, 0.0f);
}

static bool select_hard_swish(vly_fuser *z, const vly_step *step)
{
    return apply_act(z, step, VLY_ACT_HARD_SWISH, 0.0f, 0.0f);
}

static bool select_hard_sigmoid(vly_fuser *z, const vly_step *step)
{
    vly_attrs a = vly_attrs_begin(step->node->proto);
    float alpha = vly_attrs_float(&a, "alpha", 0.2f);

    return apply_act(z, step, VLY_ACT_HARD_SIGMOID, alpha, vly_attrs_float(&a, "beta", 0.5f));
}

static bool select_leaky_relu(vly_fuser *z, const vly_step *step)
{
    vly_attrs a = vly_attrs_begin(step->node->proto);

    return apply_act(z, step, VLY_ACT_LEAKY_RELU, vly_attrs_float(&a, "alpha", 0.01f), 0.0f);
}

static bool select_gelu(vly_fuser *z, const vly_step *step)
{
    vly_attrs a = vly_attrs_begin(step->node->proto);

    if (vly_attrs_enum(&a, "approximate", "none\0tanh\0", 0) != 0)
        return false;
    return apply_act(z, step, VLY_ACT_GELU, 0.0f, 0.0f);
}

static bool select_clip(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    vly_attrs a = vly_attrs_begin(node->proto);
    const vly_tensor *lo = constant_f32(z, node, 1, 1), *hi = constant_f32(z, node, 2, 1);

    if ((lo == NULL && !is_omitted(node, 1)) || (hi == NULL && !is_omitted(node, 2)))
        return false;
    float alpha = lo != NULL ? *(const float *)lo->data : vly_attrs_float(&a, "min", -INFINITY);
    float beta = hi != NULL ? *(const float *)hi->data : vly_attrs_float(&a, "max", INFINITY);
    return alpha <= beta && apply_act(z, step, VLY_ACT_CLIP, alpha, beta);
}

static bool same_size(const vly_view *a, const vly_view *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c && a->is_last == b->is_last;
}

/* x * sigmoid(x), written as two nodes: SiLU; with a hard sigmoid of 1/6 and 1/2: hard swish. */
static bool merge_swish(vly_fuser *z, const vly_step *step, int x, int gate)
{
    int g = sole_maker(z, gate, VLY_ITEM_MAP);

    if (vly_fuse_quantised_swish(z, step, x, gate))
        return true;
    if (g == VLY_NO_ITEM || z->items[g].in[0] != x)
        return false;
    vly_item *map = &z->items[g];
    bool is_silu = map->act == VLY_ACT_SIGMOID;
    bool is_hard = map->act == VLY_ACT_HARD_SIGMOID && fabsf(map->alpha - 1.0f / 6.0f) < 1e-6f &&
                   map->beta == 0.5f;
    if (!is_silu && !is_hard)
        return false;
    int i = z->views[x].n_readers == 2 ? vly_fuse_maker(z, x, VLY_ITEM_CONV) : VLY_NO_ITEM;
    vly_act act = is_silu ? VLY_ACT_SILU : VLY_ACT_HARD_SWISH;
    if (i == VLY_NO_ITEM || z->items[i].act != VLY_ACT_NONE || z->views[x].is_quantised) {
        map->act = act;
        vly_fuse_take_over(z, g, step->node->out[0]);
        return true;
    }
    z->views[gate].is_image = false;
    z->views[gate].maker = VLY_NO_ITEM;
    map->kind = VLY_ITEM_DEAD;
    z->items[i].act = act;
    vly_fuse_take_over(z, i, step->node->out[0]);
    return true;
}

/* Adds the other addend while a convolution's sums are still in registers: the later of two. */
static bool merge_residual(vly_fuser *z, const vly_step *step, int a, int b)
{
    int i = sole_maker(z, a, VLY_ITEM_CONV), j = sole_maker(z, b, VLY_ITEM_CONV);
    int host = i > j ? i : j;

    if (host == VLY_NO_ITEM || z->items[host].n_in > 1 || !same_size(&z->views[a], &z->views[b]))
        return false;
    int other = host == i ? b : a;
    vly_item *item = &z->items[host];
    /* the other must be there before */
    if (!is_image(z, other) || z->views[other].maker >= host ||
        z->views[other].maker == VLY_NO_ITEM || z->views[item->out].is_quantised ||
        (z->views[other].is_quantised && !vly_fuse_is_quantised_next(z, step->node->out[0])))
        return false;
    item->in[item->n_in++] = other;
    item->desc.residual = item->act == VLY_ACT_NONE ? VLY_RESIDUAL_BEFORE : VLY_RESIDUAL_AFTER;
    vly_fuse_take_over(z, host, step->node->out[0]);
    return true;
}

/* b is one value for each channel, or for each pixel, of a */
static bool broadcasts(const vly_view *a, const vly_view *b)
{
    if (a->n != b->n || a->is_last != b->is_last)
        return false;
    return (b->h == 1 && b->w == 1 && b->c == a->c) || (b->h == a->h && b->w == a->w && b->c == 1);
}

static bool add_combine(vly_fuser *z, const vly_step *step, vly_combine op)
{
    int in[2] = {step->node->in[0], step->node->in[1]}, out = step->node->out[0];

    if (!is_image(z, in[0]) && op != VLY_COMBINE_SUB) {
        in[0] = step->node->in[1];
        in[1] = step->node->in[0];
    }
    if (out == VLY_VALUE_NONE || !is_image(z, in[0]) || !is_image(z, in[1]))
        return false;
    if (op != VLY_COMBINE_SUB && broadcasts(&z->views[in[1]], &z->views[in[0]]) &&
        !same_size(&z->views[in[0]], &z->views[in[1]])) {
        int swap = in[0];
        in[0] = in[1];
        in[1] = swap;
    }
    const vly_view *a = &z->views[in[0]], *b = &z->views[in[1]];
    if ((!same_size(a, b) && !broadcasts(a, b)) || !vly_fuse_geometry(z, out, a->is_last) ||
        !same_size(&z->views[out], a))
        return false;
    vly_item *item = vly_fuse_item(z, VLY_ITEM_COMBINE, step, in, 2, out);
    if (item == NULL)
        return false;
    item->combine = op;
    return true;
}

static bool select_add(vly_fuser *z, const vly_step *step)
{
    int a = step->node->in[0], b = step->node->in[1];

    for (int k = 0; k < 2; k++) {
        int i = sole_maker(z, step->node->in[k], VLY_ITEM_CONV);
        if (i != VLY_NO_ITEM && add_bias(z, step, i, 1 - k))
            return true;
    }
    return merge_residual(z, step, a, b) || add_combine(z, step, VLY_COMBINE_ADD);
}

static bool select_mul(vly_fuser *z, const vly_step *step)
{
    int a = step->node->in[0], b = step->node->in[1];

    if (!is_image(z, a) || !is_image(z, b))
        return false;
    return merge_swish(z, step, a, b) || merge_swish(z, step, b, a) ||
           add_combine(z, step, VLY_COMBINE_MUL);
}

static bool select_sub(vly_fuser *z, const vly_step *step)
{
    return is_image(z, step->node->in[0]) && is_image(z, step->node->in[1]) &&
           add_combine(z, step, VLY_COMBINE_SUB);
}

/* ---- pools, resize ------------------------------------------------------------------------ */

static bool add_pool(vly_fuser *z, const vly_step *step, bool is_max)
{
    const vly_node *node = step->node;
    vly_attrs a = vly_attrs_begin(node->proto);
    const vly_shape *x = &z->f->values[node->in[0]]->shape;
    vly_spatial spatial;
    vly_spatial_window win;
    vly_err ignored;

    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] != VLY_VALUE_NONE)
            return false;
    if (!is_image(z, node->in[0]) || z->views[node->in[0]].is_last ||
        vly_spatial_read(node->proto, &spatial, &ignored) != VLY_OK ||
        vly_spatial_resolve(&spatial, x, spatial.kernel, &win, &ignored) != VLY_OK ||
        !fits_border(&win.w))
        return false;
    /* a window that ends outside by ceil_mode counts neither border nor what is beyond it */
    if (!is_max && spatial.ceil_mode)
        return false;
    vly_item *item = item_like(z, VLY_ITEM_POOL, step, node->in[0]);
    if (item == NULL)
        return false;
    item->pool = (vly_pool_desc){.kernel_h = (int)win.w.kernel[1],
                                 .kernel_w = (int)win.w.kernel[2],
                                 .stride_h = (int)win.w.stride[1],
                                 .stride_w = (int)win.w.stride[2],
                                 .dilation_h = (int)win.w.dilation[1],
                                 .dilation_w = (int)win.w.dilation[2],
                                 .pad_top = (int)win.w.pad[1],
                                 .pad_left = (int)win.w.pad[2],
                                 .is_max = is_max,
                                 .counts_border = vly_attrs_int(&a, "count_include_pad", 0) != 0};
    return true;
}

static bool select_max_pool(vly_fuser *z, const vly_step *step)
{
    return add_pool(z, step, true);
}

static bool select_mean_pool(vly_fuser *z, const vly_step *step)
{
    return add_pool(z, step, false);
}

static bool select_global_mean(vly_fuser *z, const vly_step *step)
{
    int x = step->node->in[0];

    return is_image(z, x) && !z->views[x].is_last && item_like(z, VLY_ITEM_MEAN, step, x) != NULL;
}

static bool select_resize(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    const vly_op_ctx *ctx = vly_fuse_ctx(z, node);
    int x = node->in[0], out = node->out[0];

    if (ctx == NULL || !is_image(z, x) || z->views[x].is_last || !vly_fuse_geometry(z, out, false))
        return false;
    const vly_view *y = &z->views[out];
    size_t n = (size_t)y->h + (size_t)y->w;
    int *rows = vly_arena_calloc(z->f->scratch, n, sizeof(*rows));
    float *weights = vly_arena_calloc(z->f->scratch, n, sizeof(*weights));
    if (rows == NULL || weights == NULL || z->f->values[x]->shape.rank != 4 ||
        !vly_resize_nearest_maps(ctx, rows, rows + y->h, weights))
        return false;
    vly_item *item = vly_fuse_item(z, VLY_ITEM_RESIZE, step, &x, 1, out);
    if (item == NULL)
        return false;
    item->rows = rows;
    item->cols = rows + y->h;
    return true;
}

/* ---- what moves no data ------------------------------------------------------------------- */

/* The axis attribute as an index, or -1. */
static int axis_of(const vly_node *node, int rank, int64_t otherwise)
{
    vly_attrs a = vly_attrs_begin(node->proto);
    int axis;

    return vly_axis_normalise(vly_attrs_int(&a, "axis", otherwise), rank, &axis) ? axis : -1;
}

/* Some step that could work on images reads v. */
static bool has_image_reader(const vly_fuser *z, int v);

static bool select_concat(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int out = node->out[0], n_images = 0;
    const vly_shape *s = &z->f->values[out]->shape;
    int axis = axis_of(node, s->rank, 1);

    for (int i = 0; i < node->n_in; i++)
        n_images += is_image(z, node->in[i]);
    bool is_join = axis == 2 && s->rank == 3 && s->dim[0] == 1;
    if (n_images == 0 || !has_image_reader(z, out) || (axis != 1 && !is_join) ||
        (is_join && n_images < node->n_in))
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (!can_read(z, node->in[i], false))
            return false;
    if (!vly_fuse_geometry(z, out, false))
        return false;
    return vly_fuse_item(z, is_join ? VLY_ITEM_JOIN : VLY_ITEM_CONCAT, step, node->in, node->n_in,
                         out) != NULL;
}

static bool add_slice(vly_fuser *z, const vly_step *step, int out, int64_t offset)
{
    int x = step->node->in[0];

    if (!vly_fuse_geometry(z, out, false))
        return false;
    vly_item *item = vly_fuse_item(z, VLY_ITEM_SLICE, step, &x, 1, out);
    if (item == NULL)
        return false;
    item->offset = (int)offset;
    same_codes(&z->views[out], &z->views[x]);
    return true;
}

static bool select_split(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int x = node->in[0], rank = z->f->values[x]->shape.rank;
    int64_t offset = 0;

    if (!is_image(z, x) || z->views[x].is_last || axis_of(node, rank, 0) != 1)
        return false;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == VLY_VALUE_NONE || z->f->is_unknown[node->out[i]] ||
            z->f->values[node->out[i]]->shape.dim[1] < 1)
            return false;
    }
    for (int i = 0; i < node->n_out; i++) {
        if (!add_slice(z, step, node->out[i], offset))
            return false;
        offset += z->f->values[node->out[i]]->shape.dim[1];
    }
    return true;
}

/* The same elements under another shape: an image stays what it is when its pixels, in order, keep
 * their channels. */
static bool select_reshape(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int x = node->in[0], out = node->out[0];

    if (!is_image(z, x) || z->f->is_unknown[out])
        return false;
    const vly_view *from = &z->views[x];
    bool is_pixel = from->h == 1 && from->w == 1 && !from->is_last;
    if (from->is_last || !vly_fuse_geometry(z, out, is_pixel && z->f->values[out]->shape.rank == 2))
        return false;
    const vly_view *to = &z->views[out];
    if (to->c != from->c ||
        (int64_t)to->n * to->h * to->w != (int64_t)from->n * from->h * from->w ||
        (!to->is_last && to->n != from->n))
        return false;
    same_codes(&z->views[out], from);
    return vly_fuse_item(z, VLY_ITEM_ALIAS, step, &x, 1, out) != NULL;
}

/* ---- the table ---------------------------------------------------------------------------- */

static const struct selector {
    const char *op;
    bool (*select)(vly_fuser *z, const vly_step *step); /* false: the step stays as it is */
} selectors[] = {
    {"Add", select_add},
    {"AveragePool", select_mean_pool},
    {"BatchNormalization", select_batch_norm},
    {"Clip", select_clip},
    {"Concat", select_concat},
    {"Conv", select_conv},
    {"DequantizeLinear", vly_fuse_dequantize},
    {"Flatten", select_reshape},
    {"Gelu", select_gelu},
    {"Gemm", select_gemm},
    {"GlobalAveragePool", select_global_mean},
    {"HardSigmoid", select_hard_sigmoid},
    {"HardSwish", select_hard_swish},
    {"LeakyRelu", select_leaky_relu},
    {"MatMul", select_matmul},
    {"MaxPool", select_max_pool},
    {"Mul", select_mul},
    {"QuantizeLinear", vly_fuse_quantize},
    {"Relu", select_relu},
    {"Reshape", select_reshape},
    {"Resize", select_resize},
    {"Sigmoid", select_sigmoid},
    {"Split", select_split},
    {"Squeeze", select_reshape},
    {"Sub", select_sub},
    {"Tanh", select_tanh},
    {"Unsqueeze", select_reshape},
};

static const struct selector *selector_of(const vly_node *node)
{
    for (size_t i = 0; i < VLY_COUNT(selectors); i++)
        if (node->op->domain == NULL && strcmp(node->op->name, selectors[i].op) == 0)
            return &selectors[i];
    return NULL;
}

static bool has_image_reader(const vly_fuser *z, int v)
{
    const vly_plan *p = z->f->plan;

    for (int s = 0; s < p->n_steps; s++)
        for (int i = 0; i < p->steps[s].node->n_in; i++)
            if (p->steps[s].node->in[i] == v && selector_of(p->steps[s].node) != NULL)
                return true;
    return false;
}

static bool select_step(vly_fuser *z, const vly_step *step)
{
    const struct selector *s = selector_of(step->node);

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
