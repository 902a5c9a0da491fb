/* SPDX-License-Identifier: MIT */
/*
 * Normalisation along axes: LayerNormalization, RMSNormalization (all axes from one on),
 * LpNormalization (one axis), MeanVarianceNormalization (a set of axes).
 */
#include "base/bits.h"
#include "dsp/norm.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define NORM_DTYPES (VLY_T(F32) | VLY_T(F16) | VLY_T(BF16))

typedef struct row_params {
    int64_t axis;
    float epsilon;
} row_params;

static vly_status row_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    row_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", -1);
    p->epsilon = vly_attrs_float(&a, "epsilon", 1e-5f);
    return vly_attrs_end(&a, err);
}

static vly_status normalise_axis(int64_t axis, int rank, int *ret, vly_err *err)
{
    if (vly_axis_normalise(axis, rank, ret))
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "attribute 'axis': %" PRId64 " is outside of rank %d", axis,
                    rank);
}

/* Scale and bias broadcast to the normalised axes; a row of each is spread out in scratch. */
static vly_status check_row_operand(const vly_op_ctx *ctx, int i, int axis, vly_err *err)
{
    const vly_shape *x = &ctx->in[0]->shape, *s;
    vly_shape row = {.rank = x->rank - axis}, merged;

    if (vly_op_in(ctx, i) == NULL)
        return VLY_OK;
    s = &ctx->in[i]->shape;
    memcpy(row.dim, x->dim + axis, (size_t)row.rank * sizeof(row.dim[0]));
    if (vly_shape_broadcast(s, &row, &merged) && merged.rank == row.rank &&
        (!vly_shape_known(&row) || vly_shape_eq(&merged, &row)))
        return vly_op_check_dtype(ctx, i, NORM_DTYPES, err);
    char text[VLY_SHAPE_TEXT_MAX], text_row[VLY_SHAPE_TEXT_MAX];
    return vly_fail(err, VLY_EINVAL, "input %d: shape %s does not broadcast to %s", i,
                    vly_shape_text(s, text), vly_shape_text(&row, text_row));
}

static vly_status row_infer(vly_op_ctx *ctx, vly_err *err)
{
    const row_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape;
    vly_shape stats = *x;
    int axis;
    vly_status st = normalise_axis(p->axis, x->rank, &axis, err);

    for (int i = 1; i <= 2 && st == VLY_OK; i++)
        st = check_row_operand(ctx, i, axis, err);
    if (st != VLY_OK)
        return st;
    for (int d = axis; d < x->rank; d++)
        stats.dim[d] = 1;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, x);
    vly_op_out_set(ctx, 1, VLY_DTYPE_F32, &stats);
    vly_op_out_set(ctx, 2, VLY_DTYPE_F32, &stats);
    if (vly_shape_known(x)) {
        size_t row_bytes = (size_t)vly_shape_span(x, axis, x->rank) * sizeof(float);
        ctx->scratch_bytes = 2 * vly_align_up(row_bytes, 64);
    }
    return vly_half_infer(ctx, err);
}

typedef struct row_job {
    float epsilon;
    bool is_rms;
    int64_t n;
    const float *x, *scale, *bias;
    float *y, *mean, *inv_std; /* mean, inv_std: one per row, or NULL */
} row_job;

static void normalise_rows(void *arg, size_t begin, size_t end)
{
    const row_job *j = arg;

    for (size_t i = begin; i < end; i++) {
        const float *x = j->x + (int64_t)i * j->n;
        vly_moments m = {0};
        if (j->is_rms)
            m.variance = vly_mean_square_f32(x, j->n);
        else
            m = vly_moments_f32(x, j->n);
        float inv_std = (float)(1.0 / sqrt(m.variance + (double)j->epsilon));
        vly_affine_rows_f32(x, j->n, (float)m.mean, inv_std, j->scale, j->bias,
                            j->y + (int64_t)i * j->n);
        if (j->mean != NULL)
            j->mean[i] = (float)m.mean;
        if (j->inv_std != NULL)
            j->inv_std[i] = inv_std;
    }
}

/* Input i over the normalised axes, row: itself when it has their shape, else spread out at `room`.
 */
static const float *spread(const vly_op_ctx *ctx, int i, const vly_shape *row, float *room)
{
    const vly_tensor *t = vly_op_in(ctx, i);
    int64_t stride[VLY_RANK_MAX], n = vly_shape_span(row, 0, row->rank);

    if (t == NULL || (int64_t)vly_tensor_count(t) == n)
        return t != NULL ? t->data : NULL;
    vly_shape_broadcast_strides(&t->shape, row, stride);
    for (int64_t k = 0; k < n; k++) {
        int64_t rest = k, at = 0;
        for (int d = row->rank - 1; d >= 0; d--) {
            at += rest % row->dim[d] * stride[d];
            rest /= row->dim[d];
        }
        room[k] = ((const float *)t->data)[at];
    }
    return room;
}

static vly_status run_rows(vly_op_ctx *ctx, bool is_rms, vly_err *err)
{
    const row_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape;
    int axis;
    vly_status st = normalise_axis(p->axis, x->rank, &axis, err);

    if (st != VLY_OK)
        return st;
    vly_shape row = {.rank = x->rank - axis};
    memcpy(row.dim, x->dim + axis, (size_t)row.rank * sizeof(row.dim[0]));
    int64_t n = vly_shape_span(x, axis, x->rank);
    float *room = ctx->scratch;
    size_t room_len = vly_align_up((size_t)n * sizeof(float), 64) / sizeof(float);
    row_job j = {.epsilon = p->epsilon,
                 .is_rms = is_rms,
                 .n = n,
                 .x = ctx->in[0]->data,
                 .scale = spread(ctx, 1, &row, room),
                 .bias = spread(ctx, 2, &row, room + room_len),
                 .y = ctx->out[0].data,
                 .mean = vly_op_wants(ctx, 1) ? ctx->out[1].data : NULL,
                 .inv_std = vly_op_wants(ctx, 2) ? ctx->out[2].data : NULL};
    if (n > 0)
        vly_op_split(ctx, vly_shape_span(x, 0, axis), 4 * n, normalise_rows, &j);
    return VLY_OK;
}

static vly_status layer_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    return run_rows(ctx, false, err);
}

static vly_status layer_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, layer_run_f32, err);
}

static vly_status rms_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    return run_rows(ctx, true, err);
}

static vly_status rms_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, rms_run_f32, err);
}

typedef struct lp_params {
    int64_t axis;
    int p; /* 1 or 2 */
} lp_params;

static vly_status lp_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    lp_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", -1);
    p->p = (int)vly_attrs_int_in(&a, "p", 2, 1, 2);
    return vly_attrs_end(&a, err);
}

static vly_status lp_infer(vly_op_ctx *ctx, vly_err *err)
{
    const lp_params *p = ctx->params;
    int axis;
    vly_status st = normalise_axis(p->axis, ctx->in[0]->shape.rank, &axis, err);

    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return vly_half_infer(ctx, err);
}

/* A norm of 0 gives zeros. */
static void divide_by_norm(const float *x, int64_t n, int64_t inner, int p, float *y)
{
    double norm = 0.0;

    for (int64_t i = 0; i < n; i++) {
        double v = (double)x[i * inner];
        norm += p == 1 ? fabs(v) : v * v;
    }
    norm = p == 1 ? norm : sqrt(norm);
    for (int64_t i = 0; i < n; i++)
        y[i * inner] = norm > 0.0 || isnan(norm) ? (float)((double)x[i * inner] / norm) : 0.0f;
}

static vly_status lp_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    const lp_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    int axis;
    vly_status st = normalise_axis(p->axis, s->rank, &axis, err);

    if (st != VLY_OK)
        return st;
    int64_t n = s->dim[axis], inner = vly_shape_span(s, axis + 1, s->rank);
    int64_t n_lines = n > 0 ? vly_shape_span(s, 0, axis) * inner : 0;
    for (int64_t i = 0; i < n_lines; i++) {
        int64_t at = i / inner * n * inner + i % inner;
        divide_by_norm((const float *)ctx->in[0]->data + at, n, inner, p->p,
                       (float *)ctx->out[0].data + at);
    }
    return VLY_OK;
}

static vly_status lp_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, lp_run_f32, err);
}

typedef struct mvn_params {
    int n_axes;
    int64_t axes[VLY_RANK_MAX];
} mvn_params;

static vly_status mvn_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    static const int64_t usual[] = {0, 2, 3};
    mvn_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    size_t n;
    const int64_t *axes = vly_attrs_ints(&a, "axes", &n);

    if (n > VLY_RANK_MAX)
        return vly_fail(err, VLY_EINVAL, "attribute 'axes': %zu axes", n);
    p->n_axes = axes != NULL ? (int)n : 3;
    memcpy(p->axes, axes != NULL ? axes : usual, (size_t)p->n_axes * sizeof(p->axes[0]));
    return vly_attrs_end(&a, err);
}

/* Strides that map an element to its group: 0 along the normalised axes. */
static vly_status group_strides(const vly_op_ctx *ctx, int64_t *stride, int64_t *ret_groups,
                                vly_err *err)
{
    const mvn_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    vly_shape groups = *s;

    for (int i = 0; i < p->n_axes; i++) {
        int axis;
        vly_status st = normalise_axis(p->axes[i], s->rank, &axis, err);
        if (st != VLY_OK)
            return st;
        groups.dim[axis] = 1;
    }
    vly_shape_broadcast_strides(&groups, s, stride);
    *ret_groups = vly_shape_known(&groups) ? vly_shape_span(&groups, 0, groups.rank) : 0;
    return VLY_OK;
}

static vly_status mvn_infer(vly_op_ctx *ctx, vly_err *err)
{
    int64_t stride[VLY_RANK_MAX], groups;
    vly_status st = group_strides(ctx, stride, &groups, err);

    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    if (vly_shape_known(&ctx->in[0]->shape))
        ctx->scratch_bytes = vly_align_up((size_t)groups * sizeof(vly_moments), 64);
    return vly_half_infer(ctx, err);
}

static int64_t group_of(const vly_shape *s, const int64_t *stride, int64_t i)
{
    int64_t at = 0;

    for (int d = s->rank - 1; d >= 0; d--) {
        at += i % s->dim[d] * stride[d];
        i /= s->dim[d];
    }
    return at;
}

static vly_status mvn_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    const vly_shape *s = &ctx->in[0]->shape;
    int64_t stride[VLY_RANK_MAX], groups, n = (int64_t)vly_tensor_count(ctx->in[0]);
    const float *x = ctx->in[0]->data;
    float *y = ctx->out[0].data;
    vly_moments *m = ctx->scratch;
    vly_status st = group_strides(ctx, stride, &groups, err);

    if (st != VLY_OK || n == 0)
        return st;
    double per_group = (double)n / (double)groups;
    memset(m, 0, (size_t)groups * sizeof(*m));
    for (int64_t i = 0; i < n; i++)
        m[group_of(s, stride, i)].mean += (double)x[i] / per_group;
    for (int64_t i = 0; i < n; i++) {
        vly_moments *g = &m[group_of(s, stride, i)];
        g->variance += ((double)x[i] - g->mean) * ((double)x[i] - g->mean) / per_group;
    }
    for (int64_t i = 0; i < n; i++) {
        const vly_moments *g = &m[group_of(s, stride, i)];
        y[i] = (float)(((double)x[i] - g->mean) / (sqrt(g->variance) + 1e-9));
    }
    return VLY_OK;
}

static vly_status mvn_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, mvn_run_f32, err);
}

const vly_op vly_ops_layer_norm[] = {
    {.name = "LayerNormalization",
     .since = 1, /* 17, but exporters used it before */
     .n_in_min = 2,
     .n_in_max = 3,
     .n_out_max = 3,
     .dtypes = NORM_DTYPES,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(row_params),
     .prepare = row_prepare,
     .infer = row_infer,
     .run = layer_run},
    {.name = "RMSNormalization",
     .since = 23,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = NORM_DTYPES,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(row_params),
     .prepare = row_prepare,
     .infer = row_infer,
     .run = rms_run},
    {.name = "LpNormalization",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = NORM_DTYPES,
     .params_bytes = sizeof(lp_params),
     .prepare = lp_prepare,
     .infer = lp_infer,
     .run = lp_run},
    {.name = "MeanVarianceNormalization",
     .since = 9,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = NORM_DTYPES,
     .params_bytes = sizeof(mvn_params),
     .prepare = mvn_prepare,
     .infer = mvn_infer,
     .run = mvn_run},
    {NULL},
};
