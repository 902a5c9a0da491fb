/* SPDX-License-Identifier: MIT */
/* Running sums and products along an axis: CumSum, CumProd. The half types are summed in float. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

typedef struct cumulative_params {
    bool is_exclusive, is_reverse;
} cumulative_params;

static vly_status cumulative_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    cumulative_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_exclusive = vly_attrs_int(&a, "exclusive", 0) != 0;
    p->is_reverse = vly_attrs_int(&a, "reverse", 0) != 0;
    return vly_attrs_end(&a, err);
}

static vly_status cumulative_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = vly_op_check_dtype(ctx, 1, VLY_T(I32) | VLY_T(I64), err);

    if (st == VLY_OK && vly_tensor_count(ctx->in[1]) != 1)
        st = vly_fail(err, VLY_EINVAL, "input 1: expected one axis");
    return st == VLY_OK ? vly_infer_same(ctx, err) : st;
}

/* One row: n elements, `step` apart; a negative step walks it backwards. out may be x. */
typedef void row_fn(const void *x, void *out, int64_t n, int64_t step, bool is_exclusive);

#define ROW(dtype, T, U, name, OP, START)                                                          \
    static void name##_##dtype(const void *vx, void *vo, int64_t n, int64_t step,                  \
                               bool is_exclusive)                                                  \
    {                                                                                              \
        const T *x = vx;                                                                           \
        T *o = vo;                                                                                 \
        U acc = (START);                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                          \
            U next = acc OP(U) x[i * step];                                                        \
            o[i * step] = (T)(is_exclusive ? acc : next);                                          \
            acc = next;                                                                            \
        }                                                                                          \
    }
VLY_EACH_FLOAT(ROW, sum, +, 0)
VLY_EACH_INT(ROW, sum, +, 0)
VLY_EACH_FLOAT(ROW, prod, *, 1)
VLY_EACH_INT(ROW, prod, *, 1)

/* The half types, one by one. */
#define HALF_ROW(dtype, name, OP, START)                                                           \
    static void name##_##dtype(const void *vx, void *vo, int64_t n, int64_t step,                  \
                               bool is_exclusive)                                                  \
    {                                                                                              \
        const uint16_t *x = vx;                                                                    \
        uint16_t *o = vo;                                                                          \
        float acc = (START), v;                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                          \
            vly_convert(VLY_DTYPE_##dtype, &x[i * step], VLY_DTYPE_F32, &v, 1, false);             \
            float next = acc OP v;                                                                 \
            vly_convert(VLY_DTYPE_F32, is_exclusive ? &acc : &next, VLY_DTYPE_##dtype,             \
                        &o[i * step], 1, false);                                                   \
            acc = next;                                                                            \
        }                                                                                          \
    }
HALF_ROW(F16, sum, +, 0.0F)
HALF_ROW(BF16, sum, +, 0.0F)
HALF_ROW(F16, prod, *, 1.0F)
HALF_ROW(BF16, prod, *, 1.0F)

typedef row_fn *const row_table[VLY_DTYPE_N];

static vly_status run(vly_op_ctx *ctx, row_table fns, vly_err *err)
{
    const cumulative_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    const vly_shape *s = &in->shape;
    row_fn *fn = fns[in->dtype];
    int axis;
    vly_status st = vly_op_axis(vly_tensor_get_i64(ctx->in[1], 0), s->rank, &axis, err);

    if (st != VLY_OK || out->bytes == 0)
        return st;
    int64_t inner = vly_shape_span(s, axis + 1, s->rank), n = s->dim[axis];
    int64_t rows = vly_shape_span(s, 0, axis) * inner;
    for (int64_t r = 0; r < rows; r++) {
        int64_t begin = r / inner * n * inner + r % inner + (p->is_reverse ? (n - 1) * inner : 0);
        fn(vly_elem_at(in, begin), vly_elem_at(out, begin), n, p->is_reverse ? -inner : inner,
           p->is_exclusive);
    }
    return VLY_OK;
}

static vly_status sum_run(vly_op_ctx *ctx, vly_err *err)
{
    static row_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, sum)
                                VLY_EACH_INT(VLY_TABLE_ROW, sum)[VLY_DTYPE_F16] = sum_F16,
                            [VLY_DTYPE_BF16] = sum_BF16};
    return run(ctx, fns, err);
}

static vly_status prod_run(vly_op_ctx *ctx, vly_err *err)
{
    static row_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, prod)
                                VLY_EACH_INT(VLY_TABLE_ROW, prod)[VLY_DTYPE_F16] = prod_F16,
                            [VLY_DTYPE_BF16] = prod_BF16};
    return run(ctx, fns, err);
}

#define CUMULATIVE_OP(op_name, first, run_fn)                                                      \
    {                                                                                              \
        .name = op_name, .since = first, .n_in_min = 2, .n_in_max = 2, .dtypes = VLY_T_NUMBER,     \
        .flags = VLY_OP_INPLACE, .params_bytes = sizeof(cumulative_params),                        \
        .prepare = cumulative_prepare, .infer = cumulative_infer, .run = run_fn                    \
    }

const vly_op vly_ops_cumulative[] = {
    CUMULATIVE_OP("CumSum", 11, sum_run),
    CUMULATIVE_OP("CumProd", 26, prod_run),
    {NULL},
};
