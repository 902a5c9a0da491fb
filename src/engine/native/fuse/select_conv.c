/* SPDX-License-Identifier: MIT */
/* Convolutions and dense layers, and what is a part of their sums: batch norm, bias. */
#include "engine/native/fuse/select.h"
#include "engine/native/fuse/select_list.h"
#include "engine/native/ops/conv_common.h"

#include <math.h>

#define BORDER_MAX 32 /* images with wider padding stay as they are */

/* Input 1 as float weights, aligned or not. */
static const vly_tensor *weights_f32(const vly_fuser *z, const vly_node *node)
{
    const vly_tensor *t = vly_fuse_weights(z, node->in[1]);
    return t != NULL && t->dtype == VLY_DTYPE_F32 ? t : NULL;
}

static float *new_floats(vly_fuser *z, int n, float value)
{
    float *p = vly_arena_calloc(z->f->scratch, (size_t)n, sizeof(*p));

    for (int i = 0; p != NULL && i < n; i++)
        p[i] = value;
    return p;
}

/* How far windows reach over the edges of the input. */
static int64_t reach(const vly_window *w, int d)
{
    int64_t end = (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] - w->pad[d] -
                  (w->in[d] - 1);
    return end > w->pad[d] ? end : w->pad[d];
}

bool vly_fuse_fits_border(const vly_window *w)
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

bool vly_select_conv(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    const vly_op_ctx *ctx = vly_fuse_ctx(z, node);
    const vly_tensor *bias = vly_fuse_f32(z, node, 2, -1);
    int x = node->in[0], n_items = z->n_items;
    vly_err ignored;
    vly_conv c;

    if (ctx == NULL || (bias == NULL && !vly_fuse_is_omitted(node, 2)) ||
        !vly_fuse_can_read(z, x, false) ||
        vly_conv_resolve(ctx, node->params, 0, 1, &c, &ignored) != VLY_OK)
        return false;
    bool is_depthwise = c.in_channels == 1 && c.m == 1;
    if (!c.is_known || (c.group > 1 && !is_depthwise) || !vly_fuse_fits_border(&c.win.w) ||
        c.out_size == 0 || c.batch == 0)
        return false;
    vly_item plan = {.desc = conv_desc(&c)};
    if (!choose_weights(z, &plan, x, node->in[1]))
        return false;
    vly_item *item = vly_fuse_item_like(z, VLY_ITEM_CONV, step, x);
    if (item == NULL) {
        z->n_items = n_items;
        return false;
    }
    item->desc = plan.desc;
    item->shared_weights = vly_fuse_shared(z, node->in[1]);
    item->weights = plan.weights;
    item->scale = plan.scale;
    item->bias = bias != NULL ? bias->data : NULL;
    need_border(&z->views[x], &c.win.w);
    z->views[x].wants_narrow = true;
    z->views[x].wants_wide |= node->is_fp32;
    return true;
}

/* A dense layer: rows of x times a constant matrix. */
static bool add_dense(vly_fuser *z, const vly_step *step, const vly_tensor *w, bool is_transposed,
                      const vly_tensor *bias)
{
    int x = step->node->in[0];
    vly_item *item =
        z->views[x].is_quantised ? NULL : vly_fuse_item_like(z, VLY_ITEM_CONV, step, x);

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
    item->shared_weights = vly_fuse_shared(z, step->node->in[1]);
    item->is_transposed = is_transposed;
    item->bias = bias != NULL ? bias->data : NULL;
    z->views[x].wants_narrow = true;
    z->views[x].wants_wide |= step->node->is_fp32;
    return true;
}

bool vly_select_gemm(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    vly_attrs a = vly_attrs_begin(node->proto);
    const vly_tensor *w = weights_f32(z, node);
    bool trans_b = vly_attrs_int(&a, "transB", 0) != 0;

    if (w == NULL || w->shape.rank != 2 || vly_attrs_int(&a, "transA", 0) != 0 ||
        vly_attrs_float(&a, "alpha", 1.0f) != 1.0f || vly_attrs_float(&a, "beta", 1.0f) != 1.0f)
        return false;
    const vly_tensor *bias = vly_fuse_f32(z, node, 2, w->shape.dim[trans_b ? 0 : 1]);
    if ((bias == NULL && !vly_fuse_is_omitted(node, 2)) || !vly_fuse_can_read(z, node->in[0], true))
        return false;
    return add_dense(z, step, w, !trans_b, bias);
}

bool vly_select_matmul(vly_fuser *z, const vly_step *step)
{
    const vly_tensor *w = weights_f32(z, step->node);

    if (w == NULL || w->shape.rank != 2 || !vly_fuse_can_read(z, step->node->in[0], true))
        return false;
    return add_dense(z, step, w, true, NULL);
}

/* y = a * x + b for each channel, after a convolution that nothing else reads. */
bool vly_select_batch_norm(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int i = vly_fuse_sole_maker(z, node->in[0], VLY_ITEM_CONV);
    vly_attrs at = vly_attrs_begin(node->proto);
    float epsilon = vly_attrs_float(&at, "epsilon", 1e-5f);
    const float *p[4];

    if (i == VLY_NO_ITEM || z->items[i].act != VLY_ACT_NONE || z->items[i].n_in > 1)
        return false;
    vly_item *item = &z->items[i];
    int c = item->desc.c_out;
    for (int k = 0; k < 4; k++) {
        const vly_tensor *t = vly_fuse_f32(z, node, k + 1, c);
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
bool vly_fuse_add_bias(vly_fuser *z, const vly_step *step, int i, int i_constant)
{
    vly_item *item = &z->items[i];
    int c = item->desc.c_out;
    const vly_tensor *t = vly_fuse_f32(z, step->node, i_constant, c);

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
