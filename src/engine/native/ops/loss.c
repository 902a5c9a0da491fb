/* SPDX-License-Identifier: MIT */
/*
 * NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: the mean or sum, or one value per target,
 * of -log p[target], weighted by class. x is [N, C, d1, ...], targets [N, d1, ...].
 */
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <inttypes.h>
#include <math.h>

typedef enum loss_reduction { REDUCE_MEAN, REDUCE_SUM, REDUCE_NONE } loss_reduction;

typedef struct loss_params {
    loss_reduction reduction;
    bool has_ignored;
    int64_t ignored; /* this target counts nothing */
} loss_params;

static vly_status loss_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    loss_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->reduction = (loss_reduction)vly_attrs_enum(&a, "reduction", "mean\0sum\0none\0", 0);
    p->has_ignored = vly_attrs_has(&a, "ignore_index");
    p->ignored = vly_attrs_int(&a, "ignore_index", 0);
    return vly_attrs_end(&a, err);
}

static vly_status loss_infer(vly_op_ctx *ctx, vly_err *err)
{
    const loss_params *p = ctx->params;
    const vly_tensor *x = ctx->in[0];
    vly_shape want = {.rank = x->shape.rank - 1};
    vly_status st = vly_op_check_rank(ctx, 0, 2, VLY_RANK_MAX, err);

    if (st == VLY_OK)
        st = vly_op_check_dtype(ctx, 1, VLY_T(I32) | VLY_T(I64), err);
    if (st != VLY_OK)
        return st;
    for (int i = 0; i < want.rank; i++)
        want.dim[i] = x->shape.dim[i == 0 ? 0 : i + 1];
    if (!vly_shape_eq(&want, &ctx->in[1]->shape))
        return vly_fail(err, VLY_EINVAL,
                        "input 1: its shape is not that of input 0 without axis 1");
    if (vly_op_in(ctx, 2) != NULL && (ctx->in[2]->dtype != x->dtype ||
                                      vly_tensor_count(ctx->in[2]) != (uint64_t)x->shape.dim[1]))
        return vly_fail(err, VLY_EINVAL, "input 2: expected one weight of %s for each class",
                        vly_dtype_name(x->dtype));
    vly_op_out_set(ctx, 0, x->dtype, p->reduction == REDUCE_NONE ? &want : &VLY_SHAPE_SCALAR);
    vly_op_out_set(ctx, 1, x->dtype, &x->shape);
    return VLY_OK;
}

/* Weight of target t; 0 when it is ignored. */
static vly_status weight_of(const vly_op_ctx *ctx, int64_t t, double *ret, vly_err *err)
{
    const loss_params *p = ctx->params;
    const vly_tensor *weights = vly_op_in(ctx, 2);
    int64_t n_classes = ctx->in[0]->shape.dim[1];

    *ret = 0.0;
    if (p->has_ignored && t == p->ignored)
        return VLY_OK;
    if (t < 0 || t >= n_classes)
        return vly_fail(err, VLY_EINVAL,
                        "input 1: target %" PRId64 " is none of %" PRId64 " classes", t, n_classes);
    *ret = weights != NULL ? vly_tensor_get_f64(weights, (uint64_t)t) : 1.0;
    return VLY_OK;
}

/* log p of class c at place `at` of a column whose elements are `step` apart. */
typedef double log_p_fn(const vly_tensor *x, int64_t column, int64_t step, int64_t c);

static double log_p_given(const vly_tensor *x, int64_t column, int64_t step, int64_t c)
{
    return vly_tensor_get_f64(x, (uint64_t)(column + c * step));
}

/* log of the sum of e^x over the column. */
static double log_sum_exp(const vly_tensor *x, int64_t column, int64_t step)
{
    double max = -HUGE_VAL, sum = 0.0;

    for (int64_t i = 0; i < x->shape.dim[1]; i++)
        max = fmax(max, log_p_given(x, column, step, i));
    for (int64_t i = 0; i < x->shape.dim[1]; i++)
        sum += exp(log_p_given(x, column, step, i) - max);
    return max + log(sum);
}

static double log_p_softmax(const vly_tensor *x, int64_t column, int64_t step, int64_t c)
{
    return log_p_given(x, column, step, c) - log_sum_exp(x, column, step);
}

static void store(const vly_tensor *out, int64_t i, double v)
{
    vly_convert(VLY_DTYPE_F64, &v, out->dtype, vly_elem_at(out, i), 1, false);
}

static vly_status loss(const vly_op_ctx *ctx, log_p_fn *log_p, vly_err *err)
{
    const loss_params *p = ctx->params;
    const vly_tensor *x = ctx->in[0], *targets = ctx->in[1], *out = &ctx->out[0];
    int64_t inner = vly_shape_span(&x->shape, 2, x->shape.rank);
    int64_t n = (int64_t)vly_tensor_count(targets);
    double total = 0.0, total_weight = 0.0;

    for (int64_t i = 0; i < n; i++) {
        int64_t target = vly_tensor_get_i64(targets, (uint64_t)i);
        int64_t column = i / inner * x->shape.dim[1] * inner + i % inner;
        double weight;
        vly_status st = weight_of(ctx, target, &weight, err);
        if (st != VLY_OK)
            return st;
        double v = weight != 0.0 ? -weight * log_p(x, column, inner, target) : 0.0;
        if (p->reduction == REDUCE_NONE && vly_op_wants(ctx, 0))
            store(out, i, v);
        total += v;
        total_weight += weight;
    }
    if (p->reduction != REDUCE_NONE && vly_op_wants(ctx, 0))
        store(out, 0, p->reduction == REDUCE_MEAN ? total / total_weight : total);
    return VLY_OK;
}

static vly_status nll_run(vly_op_ctx *ctx, vly_err *err)
{
    return loss(ctx, log_p_given, err);
}

static vly_status cross_entropy_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *x = ctx->in[0], *log_prob = &ctx->out[1];
    int64_t inner = vly_shape_span(&x->shape, 2, x->shape.rank);
    int64_t n_columns = (int64_t)vly_tensor_count(ctx->in[1]);

    for (int64_t i = 0; vly_op_wants(ctx, 1) && i < n_columns; i++) {
        int64_t column = i / inner * x->shape.dim[1] * inner + i % inner;
        double all = log_sum_exp(x, column, inner);
        for (int64_t c = 0; c < x->shape.dim[1]; c++)
            store(log_prob, column + c * inner, log_p_given(x, column, inner, c) - all);
    }
    return loss(ctx, log_p_softmax, err);
}

const vly_op vly_ops_loss[] = {
    {.name = "NegativeLogLikelihoodLoss",
     .since = 12,
     .n_in_min = 2,
     .n_in_max = 3,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(loss_params),
     .prepare = loss_prepare,
     .infer = loss_infer,
     .run = nll_run},
    {.name = "SoftmaxCrossEntropyLoss",
     .since = 12,
     .n_in_min = 2,
     .n_in_max = 3,
     .n_out_max = 2,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(loss_params),
     .prepare = loss_prepare,
     .infer = loss_infer,
     .run = cross_entropy_run},
    {NULL},
};
