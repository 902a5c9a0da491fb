/* SPDX-License-Identifier: MIT */
/*
 * Reductions over any set of axes: ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd,
 * ReduceL1, ReduceL2, ReduceLogSum, ReduceLogSumExp, ReduceSumSquare.
 *
 * Each output element has an accumulator in scratch memory: float for float and the half types,
 * double for double, int64 or uint64 for integers. One walk over the input, whose second operand is
 * the output with stride 0 along reduced axes, meets rows of two kinds: all of a row goes into one
 * accumulator (folded in lanes, so that it vectorises and rounding errors stay small), or element i
 * goes into accumulator i.
 */
#include "base/bits.h"
#include "dsp/expf.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"
#include "tensor/walk.h"

#include <math.h>

enum { CHUNK = 512, LANES = 16 };

typedef enum fold_kind { FOLD_SUM, FOLD_ABS, FOLD_SQUARE, FOLD_PROD, FOLD_MAX, FOLD_MIN } fold_kind;
typedef enum finish_kind { FINISH_NONE, FINISH_MEAN, FINISH_SQRT, FINISH_LOG } finish_kind;

typedef struct reduce_params {
    bool keeps_dims, noop_when_empty;
    vly_int_list axes;
} reduce_params;

/* ---- kernels: accumulator type x way of folding -------------------------------------------- */

#define OP_SUM(a, x, T)       ((a) + (x))
#define OP_ABS_FLOAT(a, x, T) ((a) + ((x) < 0 ? -(x) : (x)))
#define OP_SQUARE(a, x, T)    ((a) + (x) * (x))
#define OP_PROD(a, x, T)      ((a) * (x))
#define OP_MAX(a, x, T)       ((a) > (x) || (a) != (a) ? (a) : (x)) /* NaN stays */
#define OP_MIN(a, x, T)       ((a) < (x) || (a) != (a) ? (a) : (x))
#define OP_MAX_INT(a, x, T)   ((a) > (x) ? (a) : (x))
#define OP_MIN_INT(a, x, T)   ((a) < (x) ? (a) : (x))
/* Integers wrap. */
#define OP_SUM_INT(a, x, T)    (T)((uint64_t)(a) + (uint64_t)(x))
#define OP_ABS_INT(a, x, T)    (T)((uint64_t)(a) + ((x) < (T)1 ? 0 - (uint64_t)(x) : (uint64_t)(x)))
#define OP_SQUARE_INT(a, x, T) (T)((uint64_t)(a) + (uint64_t)(x) * (uint64_t)(x))
#define OP_PROD_INT(a, x, T)   (T)((uint64_t)(a) * (uint64_t)(x))

/* JOIN combines two accumulators; START is its neutral element. */
#define FOLD_KERNELS(name, T, OP, JOIN, START)                                                     \
    static void row_##name(void *acc, const void *vx, int64_t n)                                   \
    {                                                                                              \
        const T *x = vx;                                                                           \
        T *a = acc, lane[LANES];                                                                   \
        int64_t i = 0;                                                                             \
        for (int k = 0; k < LANES; k++)                                                            \
            lane[k] = (START);                                                                     \
        for (; i + LANES <= n; i += LANES)                                                         \
            for (int k = 0; k < LANES; k++)                                                        \
                lane[k] = OP(lane[k], x[i + k], T);                                                \
        for (int k = 0; i < n; i++, k++)                                                           \
            lane[k] = OP(lane[k], x[i], T);                                                        \
        for (int half = LANES / 2; half > 0; half /= 2)                                            \
            for (int k = 0; k < half; k++)                                                         \
                lane[k] = JOIN(lane[k], lane[k + half], T);                                        \
        *a = JOIN(*a, lane[0], T);                                                                 \
    }                                                                                              \
    static void each_##name(void *acc, const void *vx, int64_t n)                                  \
    {                                                                                              \
        const T *x = vx;                                                                           \
        T *a = acc;                                                                                \
        VLY_IVDEP                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                            \
            a[i] = OP(a[i], x[i], T);                                                              \
    }

#define FLOAT_KERNELS(suffix, T)                                                                   \
    FOLD_KERNELS(sum_##suffix, T, OP_SUM, OP_SUM, 0)                                               \
    FOLD_KERNELS(abs_##suffix, T, OP_ABS_FLOAT, OP_SUM, 0)                                         \
    FOLD_KERNELS(square_##suffix, T, OP_SQUARE, OP_SUM, 0)                                         \
    FOLD_KERNELS(prod_##suffix, T, OP_PROD, OP_PROD, 1)                                            \
    FOLD_KERNELS(max_##suffix, T, OP_MAX, OP_MAX, (T)-INFINITY)                                    \
    FOLD_KERNELS(min_##suffix, T, OP_MIN, OP_MIN, (T)INFINITY)
#define INT_KERNELS(suffix, T, LEAST, MOST)                                                        \
    FOLD_KERNELS(sum_##suffix, T, OP_SUM_INT, OP_SUM_INT, 0)                                       \
    FOLD_KERNELS(abs_##suffix, T, OP_ABS_INT, OP_SUM_INT, 0)                                       \
    FOLD_KERNELS(square_##suffix, T, OP_SQUARE_INT, OP_SUM_INT, 0)                                 \
    FOLD_KERNELS(prod_##suffix, T, OP_PROD_INT, OP_PROD_INT, 1)                                    \
    FOLD_KERNELS(max_##suffix, T, OP_MAX_INT, OP_MAX_INT, LEAST)                                   \
    FOLD_KERNELS(min_##suffix, T, OP_MIN_INT, OP_MIN_INT, MOST)

FLOAT_KERNELS(f32, float)
FLOAT_KERNELS(f64, double)
INT_KERNELS(i64, int64_t, INT64_MIN, INT64_MAX)
INT_KERNELS(u64, uint64_t, 0, UINT64_MAX)

typedef void fold_fn(void *acc, const void *x, int64_t n);

typedef struct fold_pair {
    fold_fn *row, *each;
} fold_pair;

#define FOLD_ROWS(suffix)                                                                          \
    {                                                                                              \
        [FOLD_SUM] = {row_sum_##suffix, each_sum_##suffix},                                        \
        [FOLD_ABS] = {row_abs_##suffix, each_abs_##suffix},                                        \
        [FOLD_SQUARE] = {row_square_##suffix, each_square_##suffix},                               \
        [FOLD_PROD] = {row_prod_##suffix, each_prod_##suffix},                                     \
        [FOLD_MAX] = {row_max_##suffix, each_max_##suffix},                                        \
        [FOLD_MIN] = {row_min_##suffix, each_min_##suffix},                                        \
    }

static fold_pair kernels_of(vly_dtype acc, fold_kind kind)
{
    static const fold_pair f32[] = FOLD_ROWS(f32), f64[] = FOLD_ROWS(f64);
    static const fold_pair i64[] = FOLD_ROWS(i64), u64[] = FOLD_ROWS(u64);

    if (acc == VLY_DTYPE_F32)
        return f32[kind];
    if (acc == VLY_DTYPE_F64)
        return f64[kind];
    return acc == VLY_DTYPE_I64 ? i64[kind] : u64[kind];
}

static vly_dtype acc_type(vly_dtype t)
{
    if (t == VLY_DTYPE_F64 || t == VLY_DTYPE_I64 || t == VLY_DTYPE_U64)
        return t;
    if (vly_dtype_is_float(t))
        return VLY_DTYPE_F32;
    return vly_dtype_is_signed(t) ? VLY_DTYPE_I64 : VLY_DTYPE_U64;
}

/* ---- shapes ------------------------------------------------------------------------------- */

static vly_status reduce_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    reduce_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->keeps_dims = vly_attrs_int(&a, "keepdims", 1) != 0;
    p->noop_when_empty = vly_attrs_int(&a, "noop_with_empty_axes", 0) != 0;
    vly_status st = vly_attrs_list(&a, "axes", &p->axes, err);
    return st == VLY_OK ? vly_attrs_end(&a, err) : st;
}

/* Which axes go: those given, otherwise all of them, or none. */
static vly_status reduced_axes(const vly_op_ctx *ctx, bool mask[VLY_RANK_MAX], vly_err *err)
{
    const reduce_params *p = ctx->params;
    int rank = ctx->in[0]->shape.rank;
    vly_int_list axes;
    vly_status st = vly_op_list(ctx, 1, &p->axes, &axes, err);

    if (st == VLY_OK)
        st = vly_op_axes(&axes, rank, mask, err);
    for (int i = 0; i < rank && st == VLY_OK && axes.n == 0; i++)
        mask[i] = !p->noop_when_empty;
    return st;
}

static vly_status reduce_infer(vly_op_ctx *ctx, vly_err *err)
{
    const reduce_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0];
    vly_shape out = {.rank = 0};
    bool mask[VLY_RANK_MAX];
    uint64_t n = 1;

    if (vly_op_in_pending(ctx, 1)) {
        vly_op_out_unknown(ctx, 0, in->dtype);
        return VLY_OK;
    }
    vly_status st = reduced_axes(ctx, mask, err);
    if (st != VLY_OK)
        return st;
    for (int i = 0; i < in->shape.rank; i++)
        if (!mask[i] || p->keeps_dims)
            out.dim[out.rank++] = mask[i] ? 1 : in->shape.dim[i];
    /* accumulators, and for LogSumExp the maxima */
    if (!vly_shape_count(&out, &n) ||
        !vly_size_mul((size_t)n, 2 * sizeof(double), &ctx->scratch_bytes))
        return vly_fail(err, VLY_ELIMIT, "output is too large");
    vly_op_out_set(ctx, 0, in->dtype, &out);
    return VLY_OK;
}

/* ---- passes ------------------------------------------------------------------------------- */

typedef struct reduction {
    const vly_tensor *in;
    vly_dtype acc_dtype;
    int64_t n_out;
    int64_t n_each; /* elements that go into one accumulator */
    int64_t strides[2][VLY_RANK_MAX];
} reduction;

static vly_status begin(const vly_op_ctx *ctx, reduction *r, vly_err *err)
{
    bool mask[VLY_RANK_MAX];
    const vly_tensor *in = ctx->in[0];
    int64_t step = 1;
    vly_status st = reduced_axes(ctx, mask, err);

    *r = (reduction){.in = in, .acc_dtype = acc_type(in->dtype), .n_each = 1};
    if (st != VLY_OK)
        return st;
    vly_shape_strides(&in->shape, r->strides[0]);
    for (int i = in->shape.rank - 1; i >= 0; i--) {
        r->strides[1][i] = mask[i] ? 0 : step;
        step *= mask[i] ? 1 : in->shape.dim[i];
        r->n_each *= mask[i] ? in->shape.dim[i] : 1;
    }
    r->n_out = (int64_t)vly_tensor_count(&ctx->out[0]);
    return VLY_OK;
}

/* The neutral element of kind, in the range of the input's own type. */
static void start(const reduction *r, fold_kind kind, void *acc)
{
    static const double neutral[] = {
        [FOLD_PROD] = 1.0, [FOLD_MAX] = -HUGE_VAL, [FOLD_MIN] = HUGE_VAL};
    double value = kind < FOLD_PROD ? 0.0 : neutral[kind];
    uint64_t own = 0, wide = 0;

    if (r->in->dtype == VLY_DTYPE_BOOL)
        value = value > 0.0 ? 1.0 : 0.0;
    vly_convert(VLY_DTYPE_F64, &value, r->in->dtype, &own, 1, false);
    vly_convert(r->in->dtype, &own, r->acc_dtype, &wide, 1, false);
    for (int64_t i = 0; i < r->n_out; i++) {
        if (r->acc_dtype == VLY_DTYPE_F32)
            memcpy((float *)acc + i, &wide, sizeof(float));
        else
            memcpy((uint64_t *)acc + i, &wide, sizeof(wide));
    }
}

/* n elements from `at` on as the accumulator's type: in place, or converted into chunk. */
static const void *load(const reduction *r, int64_t at, int64_t n, double *chunk)
{
    const void *x = vly_elem_at(r->in, at);

    if (r->in->dtype == r->acc_dtype)
        return x;
    vly_convert(r->in->dtype, x, r->acc_dtype, chunk, (size_t)n, false);
    return chunk;
}

/* One row into one accumulator. Float sums are added up chunk by chunk in double: in float, a long
 * row would lose the last digits of each chunk. */
static void fold_row(const reduction *r, fold_kind kind, const vly_walk *w, unsigned char *acc)
{
    bool is_long_sum = r->acc_dtype == VLY_DTYPE_F32 && kind < FOLD_PROD && w->n > CHUNK;
    fold_fn *row = kernels_of(r->acc_dtype, kind).row;
    double chunk[CHUNK], total = 0.0;

    for (int64_t i = 0; i < w->n; i += CHUNK) {
        int64_t n = w->n - i < CHUNK ? w->n - i : CHUNK;
        const void *x = load(r, w->off[0] + i, n, chunk);
        float part = 0.0F;
        row(is_long_sum ? (void *)&part : acc, x, n);
        total += (double)part;
    }
    if (is_long_sum)
        *(float *)(void *)acc += (float)total;
}

/* A row of accumulators, each with one element of the row. */
static void fold_each(const reduction *r, fold_kind kind, const vly_walk *w, unsigned char *acc)
{
    size_t size = vly_dtype_bits(r->acc_dtype) / 8;
    fold_fn *each = kernels_of(r->acc_dtype, kind).each;
    double chunk[CHUNK];

    for (int64_t i = 0; i < w->n; i += CHUNK) {
        int64_t n = w->n - i < CHUNK ? w->n - i : CHUNK;
        each(acc + (size_t)i * size, load(r, w->off[0] + i, n, chunk), n);
    }
}

static void fold(const reduction *r, fold_kind kind, unsigned char *acc)
{
    int64_t size = (int64_t)vly_dtype_bits(r->acc_dtype) / 8;
    int64_t strides[2][VLY_RANK_MAX];
    vly_walk w;

    start(r, kind, acc);
    memcpy(strides, r->strides, sizeof(strides));
    for (vly_walk_begin(&w, &r->in->shape, 2, strides); w.more; vly_walk_next(&w)) {
        if (w.step[1] == 0)
            fold_row(r, kind, &w, acc + w.off[1] * size);
        else
            fold_each(r, kind, &w, acc + w.off[1] * size);
    }
}

/* acc[i] += e^(x - max[i]), in the accumulator's own precision. */
#define EXP_ROW(suffix, T, EXP)                                                                    \
    static void exp_row_##suffix(T *acc, const T *max, int64_t step, const T *x, int64_t n)        \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            acc[i * step] += EXP(x[i] - (isfinite(max[i * step]) ? max[i * step] : 0));            \
    }
EXP_ROW(f32, float, vly_expf)
EXP_ROW(f64, double, exp)

/* acc: sums, behind it the maxima, which are set. */
static void fold_exp(const reduction *r, void *acc, const void *max)
{
    double chunk[CHUNK];
    int64_t strides[2][VLY_RANK_MAX];
    vly_walk w;

    start(r, FOLD_SUM, acc);
    memcpy(strides, r->strides, sizeof(strides));
    for (vly_walk_begin(&w, &r->in->shape, 2, strides); w.more; vly_walk_next(&w)) {
        for (int64_t i = 0; i < w.n; i += CHUNK) {
            int64_t n = w.n - i < CHUNK ? w.n - i : CHUNK, at = w.off[1] + i * w.step[1];
            const void *x = load(r, w.off[0] + i, n, chunk);
            if (r->acc_dtype == VLY_DTYPE_F32)
                exp_row_f32((float *)acc + at, (const float *)max + at, w.step[1], x, n);
            else
                exp_row_f64((double *)acc + at, (const double *)max + at, w.step[1], x, n);
        }
    }
}

/* Means, roots and logarithms of the accumulators. Integers go through double. */
static void finish(const reduction *r, finish_kind kind, void *acc)
{
    unsigned char *a = acc;
    size_t size = vly_dtype_bits(r->acc_dtype) / 8;

    for (int64_t i = 0; kind != FINISH_NONE && i < r->n_out; i++, a += size) {
        double v;
        if (kind == FINISH_MEAN && r->acc_dtype == VLY_DTYPE_I64) {
            *(int64_t *)(void *)a /= r->n_each > 0 ? r->n_each : 1;
            continue;
        }
        vly_convert(r->acc_dtype, a, VLY_DTYPE_F64, &v, 1, false);
        if (kind == FINISH_MEAN)
            v /= (double)r->n_each;
        else
            v = kind == FINISH_SQRT ? sqrt(v) : log(v);
        vly_convert(VLY_DTYPE_F64, &v, r->acc_dtype, a, 1, false);
    }
}

static vly_status reduce(vly_op_ctx *ctx, fold_kind fold_as, finish_kind finish_as, vly_err *err)
{
    const vly_tensor *out = &ctx->out[0];
    reduction r;
    vly_status st = begin(ctx, &r, err);

    if (st != VLY_OK || r.n_out == 0)
        return st;
    fold(&r, fold_as, ctx->scratch);
    finish(&r, finish_as, ctx->scratch);
    vly_convert(r.acc_dtype, ctx->scratch, out->dtype, out->data, (size_t)r.n_out, false);
    return VLY_OK;
}

static vly_status sum_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_SUM, FINISH_NONE, err);
}

static vly_status mean_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_SUM, FINISH_MEAN, err);
}

static vly_status max_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_MAX, FINISH_NONE, err);
}

static vly_status min_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_MIN, FINISH_NONE, err);
}

static vly_status prod_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_PROD, FINISH_NONE, err);
}

static vly_status l1_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_ABS, FINISH_NONE, err);
}

static vly_status l2_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_SQUARE, FINISH_SQRT, err);
}

static vly_status log_sum_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_SUM, FINISH_LOG, err);
}

static vly_status sum_square_run(vly_op_ctx *ctx, vly_err *err)
{
    return reduce(ctx, FOLD_SQUARE, FINISH_NONE, err);
}

/* log(sum(e^x)) = max + log(sum(e^(x - max))): no overflow. */
static vly_status log_sum_exp_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *out = &ctx->out[0];
    reduction r;
    vly_status st = begin(ctx, &r, err);

    if (st != VLY_OK || r.n_out == 0)
        return st;
    if (!vly_dtype_is_float(r.in->dtype))
        return vly_fail(err, VLY_EUNSUPPORTED, "input 0: dtype %s is not supported",
                        vly_dtype_name(r.in->dtype));
    size_t size = vly_dtype_bits(r.acc_dtype) / 8;
    unsigned char *acc = ctx->scratch, *max = acc + (size_t)r.n_out * size;
    fold(&r, FOLD_MAX, max);
    fold_exp(&r, acc, max);
    for (size_t i = 0; i < (size_t)r.n_out; i++) {
        double sum, m;
        vly_convert(r.acc_dtype, acc + i * size, VLY_DTYPE_F64, &sum, 1, false);
        vly_convert(r.acc_dtype, max + i * size, VLY_DTYPE_F64, &m, 1, false);
        sum = log(sum) + (isfinite(m) ? m : 0.0);
        vly_convert(VLY_DTYPE_F64, &sum, r.acc_dtype, acc + i * size, 1, false);
    }
    vly_convert(r.acc_dtype, acc, out->dtype, out->data, (size_t)r.n_out, false);
    return VLY_OK;
}

/* The axes became an input with opset `input_since`. */
#define REDUCE_OP(op_name, input_since, types, run_fn)                                             \
    {.name = op_name,                                                                              \
     .since = input_since,                                                                         \
     .n_in_min = 1,                                                                                \
     .n_in_max = 2,                                                                                \
     .dtypes = types,                                                                              \
     .params_bytes = sizeof(reduce_params),                                                        \
     .prepare = reduce_prepare,                                                                    \
     .infer = reduce_infer,                                                                        \
     .run = run_fn},                                                                               \
    {                                                                                              \
        .name = op_name, .since = 1, .until = (input_since)-1, .n_in_min = 1, .n_in_max = 1,       \
        .dtypes = types, .params_bytes = sizeof(reduce_params), .prepare = reduce_prepare,         \
        .infer = reduce_infer, .run = run_fn                                                       \
    }

const vly_op vly_ops_reduce[] = {
    REDUCE_OP("ReduceSum", 13, VLY_T_NUMBER, sum_run),
    REDUCE_OP("ReduceMean", 18, VLY_T_NUMBER, mean_run),
    REDUCE_OP("ReduceMax", 18, VLY_T_NUMBER | VLY_T(BOOL), max_run),
    REDUCE_OP("ReduceMin", 18, VLY_T_NUMBER | VLY_T(BOOL), min_run),
    REDUCE_OP("ReduceProd", 18, VLY_T_NUMBER, prod_run),
    REDUCE_OP("ReduceL1", 18, VLY_T_NUMBER, l1_run),
    REDUCE_OP("ReduceL2", 18, VLY_T_NUMBER, l2_run),
    REDUCE_OP("ReduceLogSum", 18, VLY_T_NUMBER, log_sum_run),
    REDUCE_OP("ReduceLogSumExp", 18, VLY_T_FLOAT, log_sum_exp_run),
    REDUCE_OP("ReduceSumSquare", 18, VLY_T_NUMBER, sum_square_run),
    {NULL},
};
