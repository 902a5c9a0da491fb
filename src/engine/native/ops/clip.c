/* SPDX-License-Identifier: MIT */
/* Clip, and the tests of floats: IsNaN, IsInf. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <float.h>
#include <math.h>

/* The bounds as the kernel's own type. */
typedef struct bounds {
    bool has_lo, has_hi;
    _Alignas(8) unsigned char lo[8], hi[8];
} bounds;

/* When lo > hi, hi wins; NaN stays. */
#define CLIP_KERNEL(dtype, T, U, name)                                                             \
    static void name##_##dtype(const void *vx, void *vy, int64_t n, const void *param)             \
    {                                                                                              \
        const bounds *b = param;                                                                   \
        const T *x = vx;                                                                           \
        T *y = vy;                                                                                 \
        T lo, hi;                                                                                  \
        memcpy(&lo, b->lo, sizeof(lo));                                                            \
        memcpy(&hi, b->hi, sizeof(hi));                                                            \
        if (b->has_lo && b->has_hi) {                                                              \
            VLY_IVDEP                                                                              \
            for (int64_t i = 0; i < n; i++) {                                                      \
                T v = x[i] < lo ? lo : x[i];                                                       \
                y[i] = v > hi ? hi : v;                                                            \
            }                                                                                      \
        } else if (b->has_lo) {                                                                    \
            VLY_IVDEP                                                                              \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i] = x[i] < lo ? lo : x[i];                                                      \
        } else if (b->has_hi) {                                                                    \
            VLY_IVDEP                                                                              \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i] = x[i] > hi ? hi : x[i];                                                      \
        } else if (y != x) {                                                                       \
            memcpy(y, x, (size_t)n * sizeof(T));                                                   \
        }                                                                                          \
    }
VLY_EACH_FLOAT(CLIP_KERNEL, clip)
VLY_EACH_INT(CLIP_KERNEL, clip)

static vly_unary_table clip_table = {VLY_EACH_FLOAT(VLY_TABLE_ROW, clip)
                                         VLY_EACH_INT(VLY_TABLE_ROW, clip)};

/* The type in which the kernel for dtype t computes. */
static vly_dtype kernel_type(vly_dtype t)
{
    return t == VLY_DTYPE_F16 || t == VLY_DTYPE_BF16 ? VLY_DTYPE_F32 : t;
}

static vly_status clip_infer(vly_op_ctx *ctx, vly_err *err)
{
    for (int i = 1; i < ctx->n_in; i++) {
        if (vly_op_in(ctx, i) == NULL)
            continue;
        if (ctx->in[i]->dtype != ctx->in[0]->dtype)
            return vly_fail(err, VLY_EINVAL, "input %d: expected %s as input 0, got %s", i,
                            vly_dtype_name(ctx->in[0]->dtype), vly_dtype_name(ctx->in[i]->dtype));
        if (vly_tensor_count(ctx->in[i]) != 1)
            return vly_fail(err, VLY_EINVAL, "input %d: expected a scalar", i);
    }
    return vly_infer_same(ctx, err);
}

static vly_status clip_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *lo = vly_op_in(ctx, 1), *hi = vly_op_in(ctx, 2);
    vly_dtype dtype = ctx->in[0]->dtype;
    bounds b = {.has_lo = lo != NULL, .has_hi = hi != NULL};

    if (b.has_lo)
        vly_convert(dtype, lo->data, kernel_type(dtype), b.lo, 1, false);
    if (b.has_hi)
        vly_convert(dtype, hi->data, kernel_type(dtype), b.hi, 1, false);
    return vly_unary_run(ctx, clip_table, &b, err);
}

/* Before opset 11 the bounds were attributes. */
typedef struct old_clip_params {
    float lo, hi;
} old_clip_params;

static vly_status old_clip_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    old_clip_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->lo = vly_attrs_float(&a, "min", -FLT_MAX);
    p->hi = vly_attrs_float(&a, "max", FLT_MAX);
    return vly_attrs_end(&a, err);
}

static vly_status old_clip_run(vly_op_ctx *ctx, vly_err *err)
{
    const old_clip_params *p = ctx->params;
    vly_dtype dtype = kernel_type(ctx->in[0]->dtype);
    bounds b = {.has_lo = true, .has_hi = true};

    vly_convert(VLY_DTYPE_F32, &p->lo, dtype, b.lo, 1, false);
    vly_convert(VLY_DTYPE_F32, &p->hi, dtype, b.hi, 1, false);
    return vly_unary_run(ctx, clip_table, &b, err);
}

/* ---- IsNaN, IsInf ------------------------------------------------------------------------- */

typedef struct isinf_params {
    bool finds_negative, finds_positive;
} isinf_params;

#define TEST_KERNELS(dtype, T, U, unused)                                                          \
    static void isnan_##dtype(const void *vx, void *vy, int64_t n, const void *param)              \
    {                                                                                              \
        const T *x = vx;                                                                           \
        uint8_t *y = vy;                                                                           \
        (void)param;                                                                               \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = isnan(x[i]) != 0;                                                               \
    }                                                                                              \
    static void isinf_##dtype(const void *vx, void *vy, int64_t n, const void *param)              \
    {                                                                                              \
        const isinf_params *p = param;                                                             \
        const T *x = vx;                                                                           \
        uint8_t *y = vy;                                                                           \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = isinf(x[i]) && (signbit(x[i]) ? p->finds_negative : p->finds_positive);         \
    }
VLY_EACH_FLOAT(TEST_KERNELS, )

static vly_status test_infer(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    vly_op_out_set(ctx, 0, VLY_DTYPE_BOOL, &ctx->in[0]->shape);
    return VLY_OK;
}

static vly_status isnan_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, isnan)};
    return vly_unary_run(ctx, fns, NULL, err);
}

static vly_status isinf_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    isinf_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->finds_negative = vly_attrs_int(&a, "detect_negative", 1) != 0;
    p->finds_positive = vly_attrs_int(&a, "detect_positive", 1) != 0;
    return vly_attrs_end(&a, err);
}

static vly_status isinf_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, isinf)};
    return vly_unary_run(ctx, fns, ctx->params, err);
}

const vly_op vly_ops_clip[] = {
    {.name = "Clip",
     .since = 11,
     .n_in_min = 1,
     .n_in_max = 3,
     .dtypes = VLY_T_NUMBER,
     .flags = VLY_OP_INPLACE,
     .infer = clip_infer,
     .run = clip_run},
    {.name = "Clip",
     .since = 1,
     .until = 10,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_FLOAT,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(old_clip_params),
     .prepare = old_clip_prepare,
     .infer = vly_infer_same,
     .run = old_clip_run},
    {.name = "IsNaN",
     .since = 9,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_FLOAT,
     .infer = test_infer,
     .run = isnan_run},
    {.name = "IsInf",
     .since = 10,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(isinf_params),
     .prepare = isinf_prepare,
     .infer = test_infer,
     .run = isinf_run},
    {NULL},
};
