/* SPDX-License-Identifier: MIT */
/* Softmax, LogSoftmax, Hardmax. Before opset 13 all dimensions from axis on counted as one. */
#include "dsp/norm.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"

#include <inttypes.h>

typedef struct softmax_params {
    vly_softmax_kind kind;
    int64_t axis;
    bool is_flattened; /* opset < 13 */
} softmax_params;

static vly_status softmax_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    softmax_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_flattened = ctx->opset < 13;
    p->axis = vly_attrs_int(&a, "axis", p->is_flattened ? 1 : -1);
    p->kind = vly_str_is(ctx->proto->op_type, "Softmax")      ? VLY_SOFTMAX
              : vly_str_is(ctx->proto->op_type, "LogSoftmax") ? VLY_LOG_SOFTMAX
                                                              : VLY_HARDMAX;
    return vly_attrs_end(&a, err);
}

static vly_status softmax_infer(vly_op_ctx *ctx, vly_err *err)
{
    const softmax_params *p = ctx->params;
    int rank = ctx->in[0]->shape.rank, axis;

    /* a scalar has one value to choose from, whatever the axis */
    if (rank > 0 && !(p->is_flattened && p->axis == rank) &&
        !vly_axis_normalise(p->axis, rank, &axis))
        return vly_fail(err, VLY_EINVAL, "attribute 'axis': %" PRId64 " is outside of rank %d",
                        p->axis, rank);
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return vly_half_infer(ctx, err);
}

typedef struct softmax_job {
    vly_softmax_kind kind;
    int64_t n, inner;
    vly_dtype dtype;
    const void *x;
    void *y;
} softmax_job;

static void softmax_slices(void *arg, size_t begin, size_t end)
{
    const softmax_job *j = arg;
    int64_t at = (int64_t)begin * j->n * j->inner, outer = (int64_t)(end - begin);

    if (j->dtype == VLY_DTYPE_F64)
        vly_softmax_f64(j->kind, (const double *)j->x + at, outer, j->n, j->inner,
                        (double *)j->y + at);
    else
        vly_softmax_f32(j->kind, (const float *)j->x + at, outer, j->n, j->inner,
                        (float *)j->y + at);
}

static vly_status softmax_run_float(vly_op_ctx *ctx, vly_err *err)
{
    const softmax_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    softmax_job j = {p->kind, 1, 1, ctx->in[0]->dtype, ctx->in[0]->data, ctx->out[0].data};
    int axis = s->rank;

    (void)err;
    if (s->rank > 0 && vly_axis_normalise(p->axis, s->rank, &axis)) {
        j.n = p->is_flattened ? vly_shape_span(s, axis, s->rank) : s->dim[axis];
        j.inner = p->is_flattened ? 1 : vly_shape_span(s, axis + 1, s->rank);
    }
    if (vly_tensor_count(ctx->in[0]) > 0)
        vly_op_split(ctx, vly_shape_span(s, 0, axis), 8 * j.n * j.inner, softmax_slices, &j);
    return VLY_OK;
}

static vly_status softmax_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, softmax_run_float, err);
}

#define SOFTMAX_OP(op_name)                                                                        \
    {                                                                                              \
        .name = (op_name), .since = 1, .n_in_min = 1, .n_in_max = 1, .dtypes = VLY_T_FLOAT,        \
        .flags = VLY_OP_INPLACE, .params_bytes = sizeof(softmax_params),                           \
        .prepare = softmax_prepare, .infer = softmax_infer, .run = softmax_run                     \
    }

const vly_op vly_ops_softmax[] = {
    SOFTMAX_OP("Softmax"),
    SOFTMAX_OP("LogSoftmax"),
    SOFTMAX_OP("Hardmax"),
    {NULL},
};
