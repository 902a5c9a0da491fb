/* SPDX-License-Identifier: MIT */
/* Shapes, not data: Shape, Size, Reshape, Flatten, Squeeze, Unsqueeze. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"

#include <inttypes.h>

/* ---- Shape, Size -------------------------------------------------------------------------- */

typedef struct shape_params {
    int64_t start, end; /* as given; clamped to the rank */
} shape_params;

static vly_status shape_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    shape_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->start = vly_attrs_int(&a, "start", 0);
    p->end = vly_attrs_int(&a, "end", INT64_MAX);
    return vly_attrs_end(&a, err);
}

static int clamp_axis(int64_t axis, int rank)
{
    if (axis < -rank)
        return 0;
    if (axis < 0)
        return (int)(axis + rank);
    return axis > rank ? rank : (int)axis;
}

static vly_status shape_infer(vly_op_ctx *ctx, vly_err *err)
{
    const shape_params *p = ctx->params;
    int rank = ctx->in[0]->shape.rank;
    int start = clamp_axis(p->start, rank), end = clamp_axis(p->end, rank);

    (void)err;
    vly_op_out_set(ctx, 0, VLY_DTYPE_I64, &VLY_SHAPE(end > start ? end - start : 0));
    return VLY_OK;
}

static vly_status shape_run(vly_op_ctx *ctx, vly_err *err)
{
    const shape_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;

    (void)err;
    memcpy(ctx->out[0].data, s->dim + clamp_axis(p->start, s->rank), ctx->out[0].bytes);
    return VLY_OK;
}

static vly_status size_infer(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    vly_op_out_set(ctx, 0, VLY_DTYPE_I64, &VLY_SHAPE_SCALAR);
    return VLY_OK;
}

static vly_status size_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    *(int64_t *)ctx->out[0].data = (int64_t)vly_tensor_count(ctx->in[0]);
    return VLY_OK;
}

/* ---- Reshape ------------------------------------------------------------------------------ */

typedef struct reshape_params {
    bool allows_zero; /* 0 is a dimension, not "as the input" */
    vly_int_list shape;
} reshape_params;

static vly_status reshape_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    reshape_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->allows_zero = vly_attrs_int(&a, "allowzero", 0) != 0;
    vly_status st = vly_attrs_list(&a, "shape", &p->shape, err); /* before opset 5 */
    return st == VLY_OK ? vly_attrs_end(&a, err) : st;
}

/* Replaces 0 and -1 of the wanted shape; -1 becomes what makes the element counts equal. */
static vly_status resolve_shape(const vly_shape *in, const vly_int_list *want, bool allows_zero,
                                vly_shape *ret, vly_err *err)
{
    char text[VLY_SHAPE_TEXT_MAX];
    vly_shape s = {.rank = want->n};
    uint64_t n_in = 0, n_rest;
    int infer_at = -1;

    for (int i = 0; i < want->n; i++) {
        s.dim[i] = want->v[i];
        if (s.dim[i] == 0 && !allows_zero) {
            if (i >= in->rank)
                return vly_fail(err, VLY_EINVAL,
                                "shape: 0 at axis %d, which the input does not have", i);
            s.dim[i] = in->dim[i];
        } else if (s.dim[i] == -1) {
            if (infer_at >= 0)
                return vly_fail(err, VLY_EINVAL, "shape: -1 may stand in one place only");
            infer_at = i;
            s.dim[i] = 1;
        }
    }
    bool is_valid = vly_shape_count(in, &n_in) && vly_shape_count(&s, &n_rest);
    if (is_valid && infer_at >= 0 && n_rest > 0 && n_in % n_rest == 0)
        s.dim[infer_at] = (int64_t)(n_in / n_rest);
    if (!is_valid || !vly_shape_count(&s, &n_rest) || n_rest != n_in)
        return vly_fail(err, VLY_EINVAL, "cannot reshape %" PRIu64 " elements to %s", n_in,
                        vly_shape_text(&s, text));
    *ret = s;
    return VLY_OK;
}

static vly_status reshape_infer(vly_op_ctx *ctx, vly_err *err)
{
    const reshape_params *p = ctx->params;
    vly_int_list want;
    vly_shape shape;
    vly_status st;

    if (vly_op_in_pending(ctx, 1)) {
        vly_op_out_unknown(ctx, 0, ctx->in[0]->dtype);
        return VLY_OK;
    }
    st = vly_op_list(ctx, 1, &p->shape, &want, err);
    if (st == VLY_OK)
        st = resolve_shape(&ctx->in[0]->shape, &want, p->allows_zero, &shape, err);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &shape);
    return st;
}

/* ---- Flatten ------------------------------------------------------------------------------ */

typedef struct flatten_params {
    int64_t axis;
} flatten_params;

static vly_status flatten_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    flatten_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", 1);
    return vly_attrs_end(&a, err);
}

static vly_status flatten_infer(vly_op_ctx *ctx, vly_err *err)
{
    const flatten_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    int axis = s->rank;

    if (p->axis != s->rank) {
        vly_status st = vly_op_axis(p->axis, s->rank, &axis, err);
        if (st != VLY_OK)
            return st;
    }
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype,
                   &VLY_SHAPE(vly_shape_span(s, 0, axis), vly_shape_span(s, axis, s->rank)));
    return VLY_OK;
}

/* ---- Squeeze, Unsqueeze ------------------------------------------------------------------- */

static vly_status axes_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    vly_int_list *axes = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    vly_status st = vly_attrs_list(&a, "axes", axes, err);

    return st == VLY_OK ? vly_attrs_end(&a, err) : st;
}

static vly_status squeeze_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_shape *s = &ctx->in[0]->shape;
    bool mask[VLY_RANK_MAX];
    vly_int_list axes;
    vly_shape out = VLY_SHAPE_SCALAR;

    if (vly_op_in_pending(ctx, 1)) {
        vly_op_out_unknown(ctx, 0, ctx->in[0]->dtype);
        return VLY_OK;
    }
    vly_status st = vly_op_list(ctx, 1, ctx->params, &axes, err);
    if (st == VLY_OK)
        st = vly_op_axes(&axes, s->rank, mask, err);
    for (int i = 0; i < s->rank && st == VLY_OK; i++) {
        if (mask[i] && s->dim[i] != 1)
            return vly_fail(err, VLY_EINVAL, "cannot squeeze axis %d: its size is %" PRId64, i,
                            s->dim[i]);
        bool goes = axes.is_given ? mask[i] : s->dim[i] == 1;
        if (!goes)
            out.dim[out.rank++] = s->dim[i];
    }
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return st;
}

static vly_status unsqueeze_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_shape *s = &ctx->in[0]->shape;
    bool mask[VLY_RANK_MAX];
    vly_int_list axes;

    if (vly_op_in_pending(ctx, 1)) {
        vly_op_out_unknown(ctx, 0, ctx->in[0]->dtype);
        return VLY_OK;
    }
    vly_status st = vly_op_list(ctx, 1, ctx->params, &axes, err);
    if (st != VLY_OK)
        return st;
    vly_shape out = {.rank = s->rank + axes.n};
    if (out.rank > VLY_RANK_MAX)
        return vly_fail(err, VLY_EUNSUPPORTED, "output has more than %d dimensions", VLY_RANK_MAX);
    st = vly_op_axes(&axes, out.rank, mask, err);
    if (st != VLY_OK)
        return st;
    for (int i = 0, k = 0; i < out.rank; i++)
        out.dim[i] = mask[i] ? 1 : s->dim[k++];
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return VLY_OK;
}

const vly_op vly_ops_shape[] = {
    {.name = "Shape",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .flags = VLY_OP_SHAPE_ONLY,
     .params_bytes = sizeof(shape_params),
     .prepare = shape_prepare,
     .infer = shape_infer,
     .run = shape_run},
    {.name = "Size",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .flags = VLY_OP_SHAPE_ONLY,
     .infer = size_infer,
     .run = size_run},
    {.name = "Reshape",
     .since = 5,
     .n_in_min = 2,
     .n_in_max = 2,
     .flags = VLY_OP_VIEW,
     .params_bytes = sizeof(reshape_params),
     .prepare = reshape_prepare,
     .infer = reshape_infer},
    {.name = "Reshape",
     .since = 1,
     .until = 4,
     .n_in_min = 1,
     .n_in_max = 1,
     .flags = VLY_OP_VIEW,
     .params_bytes = sizeof(reshape_params),
     .prepare = reshape_prepare,
     .infer = reshape_infer},
    {.name = "Flatten",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .flags = VLY_OP_VIEW,
     .params_bytes = sizeof(flatten_params),
     .prepare = flatten_prepare,
     .infer = flatten_infer},
    {.name = "Squeeze",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 2,
     .flags = VLY_OP_VIEW,
     .params_bytes = sizeof(vly_int_list),
     .prepare = axes_prepare,
     .infer = squeeze_infer},
    {.name = "Unsqueeze",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 2,
     .flags = VLY_OP_VIEW,
     .params_bytes = sizeof(vly_int_list),
     .prepare = axes_prepare,
     .infer = unsqueeze_infer},
    {NULL},
};
