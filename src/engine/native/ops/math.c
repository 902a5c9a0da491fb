/* SPDX-License-Identifier: MIT */
/*
 * Functions of one tensor without parameters: Abs, Neg, Sign, Floor, Ceil, Round, Sqrt, Reciprocal,
 * Exp, Log, Erf, Sigmoid, Tanh and the other trigonometric and hyperbolic ones, Softplus, Softsign,
 * HardSwish, Mish.
 */
#include "dsp/act.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"

#include <tgmath.h>

/* Kernels for float and double from one type-generic expression. */
#define REAL_RUN(name, EXPR)                                                                       \
    VLY_EACH_FLOAT(VLY_UNARY_DEF, name, EXPR)                                                      \
    static vly_status name##_run(vly_op_ctx *ctx, vly_err *err)                                    \
    {                                                                                              \
        static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, name)};                        \
        return vly_unary_run(ctx, fns, NULL, err);                                                 \
    }

/* The same, with a kernel of dsp/act.h for floats. */
#define FAST_RUN(name, kernel, EXPR)                                                               \
    VLY_UNARY(name##_F64, double, EXPR)                                                            \
    static void name##_F32(const void *x, void *y, int64_t n, const void *param)                   \
    {                                                                                              \
        (void)param;                                                                               \
        kernel(x, y, (size_t)n);                                                                   \
    }                                                                                              \
    static vly_status name##_run(vly_op_ctx *ctx, vly_err *err)                                    \
    {                                                                                              \
        static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, name)};                        \
        return vly_unary_run(ctx, fns, NULL, err);                                                 \
    }

#define ACOS(x, T)       acos(x)
#define ACOSH(x, T)      acosh(x)
#define ASIN(x, T)       asin(x)
#define ASINH(x, T)      asinh(x)
#define ATAN(x, T)       atan(x)
#define ATANH(x, T)      atanh(x)
#define CEIL(x, T)       ceil(x)
#define COS(x, T)        cos(x)
#define COSH(x, T)       cosh(x)
#define ERF(x, T)        erf(x)
#define EXP(x, T)        exp(x)
#define FLOOR(x, T)      floor(x)
#define HARDSWISH(x, T)  ((x)*fmin(fmax((x) / 6 + (T)0.5, (T)0), (T)1))
#define LOG(x, T)        log(x)
#define MISH(x, T)       ((x)*tanh(SOFTPLUS(x, T)))
#define RECIPROCAL(x, T) (1 / (x))
#define ROUND(x, T)      rint(x) /* halves to even */
#define SIGMOID(x, T)    (1 / (1 + exp(-(x))))
#define SIN(x, T)        sin(x)
#define SINH(x, T)       sinh(x)
#define SOFTPLUS(x, T)   (fmax((x), (T)0) + log1p(exp(-fabs(x)))) /* no overflow for large x */
#define SOFTSIGN(x, T)   ((x) / (1 + fabs(x)))
#define SQRT(x, T)       sqrt(x)
#define TAN(x, T)        tan(x)
#define TANH(x, T)       tanh(x)

REAL_RUN(acos, ACOS)
REAL_RUN(acosh, ACOSH)
REAL_RUN(asin, ASIN)
REAL_RUN(asinh, ASINH)
REAL_RUN(atan, ATAN)
REAL_RUN(atanh, ATANH)
REAL_RUN(ceil, CEIL)
REAL_RUN(cos, COS)
REAL_RUN(cosh, COSH)
FAST_RUN(erf, vly_act_erf, ERF)
FAST_RUN(exp, vly_act_exp, EXP)
REAL_RUN(floor, FLOOR)
REAL_RUN(hardswish, HARDSWISH)
REAL_RUN(log, LOG)
REAL_RUN(mish, MISH)
REAL_RUN(reciprocal, RECIPROCAL)
REAL_RUN(round, ROUND)
FAST_RUN(sigmoid, vly_act_sigmoid, SIGMOID)
REAL_RUN(sin, SIN)
REAL_RUN(sinh, SINH)
REAL_RUN(softplus, SOFTPLUS)
REAL_RUN(softsign, SOFTSIGN)
REAL_RUN(sqrt, SQRT)
REAL_RUN(tan, TAN)
FAST_RUN(tanh, vly_act_tanh, TANH)

/* ---- integers too ------------------------------------------------------------------------- */

#define ABS_FLOAT(x, T)     fabs(x)
#define ABS_SIGNED(x, T)    ((x) < 0 ? NEG_SIGNED(x, T) : (x)) /* the smallest integer stays */
#define NEG_FLOAT(x, T)     (-(x))
#define NEG_SIGNED(x, T)    (T)(0 - (uint64_t)(x)) /* wraps */
#define SIGN_FLOAT(x, T)    ((x) > 0 ? 1 : (x) < 0 ? -1 : (x))
#define SIGN_SIGNED(x, T)   (T)(((x) > 0) - ((x) < 0))
#define SIGN_UNSIGNED(x, T) (T)((x) != 0)
#define SAME(x, T)          (x)

VLY_EACH_FLOAT(VLY_UNARY_DEF, abs, ABS_FLOAT)
VLY_EACH_SIGNED(VLY_UNARY_DEF, abs, ABS_SIGNED)
VLY_EACH_UNSIGNED(VLY_UNARY_DEF, abs, SAME)
VLY_EACH_FLOAT(VLY_UNARY_DEF, neg, NEG_FLOAT)
VLY_EACH_SIGNED(VLY_UNARY_DEF, neg, NEG_SIGNED)
VLY_EACH_FLOAT(VLY_UNARY_DEF, sign, SIGN_FLOAT)
VLY_EACH_SIGNED(VLY_UNARY_DEF, sign, SIGN_SIGNED)
VLY_EACH_UNSIGNED(VLY_UNARY_DEF, sign, SIGN_UNSIGNED)

static vly_status abs_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, abs)
                                      VLY_EACH_INT(VLY_TABLE_ROW, abs)};
    return vly_unary_run(ctx, fns, NULL, err);
}

static vly_status neg_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, neg)
                                      VLY_EACH_SIGNED(VLY_TABLE_ROW, neg)};
    return vly_unary_run(ctx, fns, NULL, err);
}

static vly_status sign_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, sign)
                                      VLY_EACH_INT(VLY_TABLE_ROW, sign)};
    return vly_unary_run(ctx, fns, NULL, err);
}

#define MATH_OP(op_name, first, types, run_fn)                                                     \
    {                                                                                              \
        .name = op_name, .since = first, .n_in_min = 1, .n_in_max = 1, .dtypes = types,            \
        .flags = VLY_OP_INPLACE, .infer = vly_infer_same, .run = run_fn                            \
    }
#define SIGNED_TYPES (VLY_T_FLOAT | VLY_T(I8) | VLY_T(I16) | VLY_T(I32) | VLY_T(I64))

const vly_op vly_ops_math[] = {
    MATH_OP("Abs", 1, VLY_T_NUMBER, abs_run),
    MATH_OP("Acos", 7, VLY_T_FLOAT, acos_run),
    MATH_OP("Acosh", 9, VLY_T_FLOAT, acosh_run),
    MATH_OP("Asin", 7, VLY_T_FLOAT, asin_run),
    MATH_OP("Asinh", 9, VLY_T_FLOAT, asinh_run),
    MATH_OP("Atan", 7, VLY_T_FLOAT, atan_run),
    MATH_OP("Atanh", 9, VLY_T_FLOAT, atanh_run),
    MATH_OP("Ceil", 1, VLY_T_FLOAT, ceil_run),
    MATH_OP("Cos", 7, VLY_T_FLOAT, cos_run),
    MATH_OP("Cosh", 9, VLY_T_FLOAT, cosh_run),
    MATH_OP("Erf", 9, VLY_T_FLOAT, erf_run),
    MATH_OP("Exp", 1, VLY_T_FLOAT, exp_run),
    MATH_OP("Floor", 1, VLY_T_FLOAT, floor_run),
    MATH_OP("HardSwish", 14, VLY_T_FLOAT, hardswish_run),
    MATH_OP("Log", 1, VLY_T_FLOAT, log_run),
    MATH_OP("Mish", 18, VLY_T_FLOAT, mish_run),
    MATH_OP("Neg", 1, SIGNED_TYPES, neg_run),
    MATH_OP("Reciprocal", 1, VLY_T_FLOAT, reciprocal_run),
    MATH_OP("Round", 11, VLY_T_FLOAT, round_run),
    MATH_OP("Sigmoid", 1, VLY_T_FLOAT, sigmoid_run),
    MATH_OP("Sign", 9, VLY_T_NUMBER, sign_run),
    MATH_OP("Sin", 7, VLY_T_FLOAT, sin_run),
    MATH_OP("Sinh", 9, VLY_T_FLOAT, sinh_run),
    MATH_OP("Softplus", 1, VLY_T_FLOAT, softplus_run),
    MATH_OP("Softsign", 1, VLY_T_FLOAT, softsign_run),
    MATH_OP("Sqrt", 1, VLY_T_FLOAT, sqrt_run),
    MATH_OP("Tan", 7, VLY_T_FLOAT, tan_run),
    MATH_OP("Tanh", 1, VLY_T_FLOAT, tanh_run),
    {NULL},
};
