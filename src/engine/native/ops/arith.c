/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on two tensors, or on any number of them: Add, Sub, Mul, Div, Mod, Max, Min, Sum,
 * Mean.
 *
 * Integers wrap. Division by zero gives 0 and the smallest integer divided by -1 gives itself: ONNX
 * leaves both undefined, and a model must not be able to raise SIGFPE.
 */
#include "engine/native/arith.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <math.h>

#define ADD(x, y, T, U)          (T)((U)(x) + (U)(y))
#define SUB(x, y, T, U)          (T)((U)(x) - (U)(y))
#define MUL(x, y, T, U)          (T)((U)(x) * (U)(y))
#define DIV_FLOAT(x, y, T, U)    ((x) / (y))
#define DIV_UNSIGNED(x, y, T, U) (T)((y) == 0 ? 0 : (x) / (y))
#define DIV_SIGNED(x, y, T, U)   (T)((y) == 0 ? 0 : (y) == -1 ? (T)((U)0 - (U)(x)) : (T)((x) / (y)))
/* NaN wins, as in numpy.maximum. */
#define MAX_FLOAT(x, y, T, U) ((x) > (y) || (x) != (x) ? (x) : (y))
#define MIN_FLOAT(x, y, T, U) ((x) < (y) || (x) != (x) ? (x) : (y))
#define MAX_INT(x, y, T, U)   ((x) > (y) ? (x) : (y))
#define MIN_INT(x, y, T, U)   ((x) < (y) ? (x) : (y))
/* The sign of Mod follows the divisor (Python's %), that of Fmod the dividend (C's %). */
#define FMOD_F32(x, y, T, U)      fmodf(x, y)
#define FMOD_F64(x, y, T, U)      fmod(x, y)
#define MOD_F32(x, y, T, U)       mod_f32(x, y)
#define MOD_F64(x, y, T, U)       mod_f64(x, y)
#define FMOD_UNSIGNED(x, y, T, U) (T)((y) == 0 ? 0 : (x) % (y))
#define FMOD_SIGNED(x, y, T, U)   (T)((y) == 0 || (y) == -1 ? 0 : (x) % (y))
#define MOD_SIGNED(x, y, T, U)                                                                     \
    (T)(FMOD_SIGNED(x, y, T, U) + (FMOD_SIGNED(x, y, T, U) != 0 && (((x) ^ (y)) < 0) ? (y) : 0))

static inline float mod_f32(float x, float y)
{
    float r = fmodf(x, y);
    return r != 0.0F && (r < 0.0F) != (y < 0.0F) ? r + y : r;
}

static inline double mod_f64(double x, double y)
{
    double r = fmod(x, y);
    return r != 0.0 && (r < 0.0) != (y < 0.0) ? r + y : r;
}

VLY_EACH_FLOAT(VLY_BINARY_DEF, add, ADD)
VLY_EACH_INT(VLY_BINARY_DEF, add, ADD)
VLY_EACH_FLOAT(VLY_BINARY_DEF, sub, SUB)
VLY_EACH_INT(VLY_BINARY_DEF, sub, SUB)
VLY_EACH_FLOAT(VLY_BINARY_DEF, mul, MUL)
VLY_EACH_INT(VLY_BINARY_DEF, mul, MUL)
VLY_EACH_FLOAT(VLY_BINARY_DEF, div, DIV_FLOAT)
VLY_EACH_SIGNED(VLY_BINARY_DEF, div, DIV_SIGNED)
VLY_EACH_UNSIGNED(VLY_BINARY_DEF, div, DIV_UNSIGNED)
VLY_EACH_FLOAT(VLY_BINARY_DEF, max, MAX_FLOAT)
VLY_EACH_INT(VLY_BINARY_DEF, max, MAX_INT)
VLY_EACH_FLOAT(VLY_BINARY_DEF, min, MIN_FLOAT)
VLY_EACH_INT(VLY_BINARY_DEF, min, MIN_INT)
VLY_BINARY(fmod_F32, float, float, float, FMOD_F32)
VLY_BINARY(fmod_F64, double, double, double, FMOD_F64)
VLY_EACH_SIGNED(VLY_BINARY_DEF, fmod, FMOD_SIGNED)
VLY_EACH_UNSIGNED(VLY_BINARY_DEF, fmod, FMOD_UNSIGNED)
VLY_BINARY(mod_F32, float, float, float, MOD_F32)
VLY_BINARY(mod_F64, double, double, double, MOD_F64)
VLY_EACH_SIGNED(VLY_BINARY_DEF, mod, MOD_SIGNED)
VLY_EACH_UNSIGNED(VLY_BINARY_DEF, mod, FMOD_UNSIGNED)

#define NUMBER_TABLE(table, name)                                                                  \
    vly_binary_table table = {VLY_EACH_FLOAT(VLY_TABLE_ROW, name) VLY_EACH_INT(VLY_TABLE_ROW, name)}
NUMBER_TABLE(vly_add_table, add);
NUMBER_TABLE(vly_mul_table, mul);
NUMBER_TABLE(vly_max_table, max);
NUMBER_TABLE(vly_min_table, min);
static NUMBER_TABLE(sub_table, sub);
static NUMBER_TABLE(div_table, div);
static NUMBER_TABLE(mod_table, mod);
static NUMBER_TABLE(fmod_table, fmod);

/* ---- two inputs --------------------------------------------------------------------------- */

static vly_status add_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_op_binary(ctx, vly_add_table, err);
}

static vly_status sub_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_op_binary(ctx, sub_table, err);
}

static vly_status mul_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_op_binary(ctx, vly_mul_table, err);
}

static vly_status div_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_op_binary(ctx, div_table, err);
}

typedef struct mod_params {
    bool is_fmod;
} mod_params;

static vly_status mod_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    mod_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_fmod = vly_attrs_int(&a, "fmod", 0) != 0;
    return vly_attrs_end(&a, err);
}

static vly_status mod_run(vly_op_ctx *ctx, vly_err *err)
{
    const mod_params *p = ctx->params;
    return vly_binary_run(ctx->in[0], ctx->in[1], &ctx->out[0], p->is_fmod ? fmod_table : mod_table,
                          err);
}

/* ---- any number of inputs ----------------------------------------------------------------- */

/* out = in 0 op in 1, then out = out op in k. */
static vly_status fold(vly_op_ctx *ctx, vly_binary_table fns, vly_err *err)
{
    const vly_tensor *out = &ctx->out[0];
    vly_status st = VLY_OK;

    if (ctx->n_in == 1 && out->data != ctx->in[0]->data)
        memcpy(out->data, ctx->in[0]->data, out->bytes);
    for (int i = 1; i < ctx->n_in && st == VLY_OK; i++)
        st = vly_binary_run(i == 1 ? ctx->in[0] : out, ctx->in[i], out, fns, err);
    return st;
}

static vly_status max_run(vly_op_ctx *ctx, vly_err *err)
{
    return fold(ctx, vly_max_table, err);
}

static vly_status min_run(vly_op_ctx *ctx, vly_err *err)
{
    return fold(ctx, vly_min_table, err);
}

static vly_status sum_run(vly_op_ctx *ctx, vly_err *err)
{
    return fold(ctx, vly_add_table, err);
}

static vly_status mean_run(vly_op_ctx *ctx, vly_err *err)
{
    double n_inputs = ctx->n_in;
    _Alignas(double) unsigned char n_as_dtype[sizeof(double)] = {0};
    vly_tensor divisor = vly_tensor_borrow(ctx->in[0]->dtype, &VLY_SHAPE_SCALAR, n_as_dtype);
    vly_status st = fold(ctx, vly_add_table, err);

    if (st != VLY_OK)
        return st;
    vly_convert(VLY_DTYPE_F64, &n_inputs, divisor.dtype, n_as_dtype, 1, false);
    return vly_binary_run(&ctx->out[0], &divisor, &ctx->out[0], div_table, err);
}

#define BINARY_OP(op_name, run_fn)                                                                 \
    {.name = op_name,                                                                              \
     .since = 7,                                                                                   \
     .n_in_min = 2,                                                                                \
     .n_in_max = 2,                                                                                \
     .dtypes = VLY_T_NUMBER,                                                                       \
     .flags = VLY_OP_INPLACE,                                                                      \
     .infer = vly_infer_broadcast,                                                                 \
     .run = run_fn},                                                                               \
    {                                                                                              \
        .name = op_name, .since = 1, .until = 6, .n_in_min = 2, .n_in_max = 2,                     \
        .dtypes = VLY_T_NUMBER, .flags = VLY_OP_INPLACE,                                           \
        .params_bytes = sizeof(vly_old_broadcast), .prepare = vly_old_broadcast_prepare,           \
        .infer = vly_old_broadcast_infer, .run = run_fn                                            \
    }
#define VARIADIC_OP(op_name, types, run_fn)                                                        \
    {                                                                                              \
        .name = op_name, .since = 1, .n_in_min = 1, .n_in_max = VLY_OP_VARIADIC, .dtypes = types,  \
        .flags = VLY_OP_INPLACE, .infer = vly_infer_broadcast, .run = run_fn                       \
    }

const vly_op vly_ops_arith[] = {
    BINARY_OP("Add", add_run),
    BINARY_OP("Sub", sub_run),
    BINARY_OP("Mul", mul_run),
    BINARY_OP("Div", div_run),
    {.name = "Mod",
     .since = 10,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_NUMBER,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(mod_params),
     .prepare = mod_prepare,
     .infer = vly_infer_broadcast,
     .run = mod_run},
    VARIADIC_OP("Max", VLY_T_NUMBER, max_run),
    VARIADIC_OP("Min", VLY_T_NUMBER, min_run),
    VARIADIC_OP("Sum", VLY_T_FLOAT, sum_run),
    VARIADIC_OP("Mean", VLY_T_FLOAT, mean_run),
    {NULL},
};
