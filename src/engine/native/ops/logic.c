/* SPDX-License-Identifier: MIT */
/*
 * Truth values and bits: And, Or, Xor, Not, BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot,
 * BitShift. BOOL elements are 0 or 1.
 */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"

#define AND(x, y, T, U) (T)((x) & (y))
#define OR(x, y, T, U)  (T)((x) | (y))
#define XOR(x, y, T, U) (T)((x) ^ (y))
#define FLIP(x, T)      (T)(~(x))
#define NOT(x, T)       (T)((x) == 0)
/* A shift by the width or more leaves nothing. */
#define SHIFT_LEFT(x, y, T, U)  (T)((y) < sizeof(T) * 8 ? (U)(x) << (y) : 0)
#define SHIFT_RIGHT(x, y, T, U) (T)((y) < sizeof(T) * 8 ? (x) >> (y) : 0)

VLY_EACH_INT(VLY_BINARY_DEF, and, AND)
VLY_EACH_INT(VLY_BINARY_DEF, or, OR)
VLY_EACH_INT(VLY_BINARY_DEF, xor, XOR)
VLY_EACH_INT(VLY_UNARY_DEF, flip, FLIP)
VLY_UNARY(not_BOOL, uint8_t, NOT)
VLY_EACH_UNSIGNED(VLY_BINARY_DEF, shift_left, SHIFT_LEFT)
VLY_EACH_UNSIGNED(VLY_BINARY_DEF, shift_right, SHIFT_RIGHT)

#define BITS_RUN(name)                                                                             \
    static vly_status name##_run(vly_op_ctx *ctx, vly_err *err)                                    \
    {                                                                                              \
        static vly_binary_table fns = {VLY_EACH_INT(VLY_TABLE_ROW, name)[VLY_DTYPE_BOOL] =         \
                                           name##_U8};                                             \
        return vly_op_binary(ctx, fns, err);                                                       \
    }
BITS_RUN(and)
BITS_RUN(or)
BITS_RUN(xor)

static vly_status not_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {[VLY_DTYPE_BOOL] = not_BOOL};
    return vly_unary_run(ctx, fns, NULL, err);
}

static vly_status flip_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_INT(VLY_TABLE_ROW, flip)};
    return vly_unary_run(ctx, fns, NULL, err);
}

typedef struct shift_params {
    bool is_right;
} shift_params;

static vly_status shift_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    shift_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_right = vly_attrs_enum(&a, "direction", "LEFT\0RIGHT\0", 0) == 1;
    return vly_attrs_end(&a, err);
}

static vly_status shift_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_binary_table left = {VLY_EACH_UNSIGNED(VLY_TABLE_ROW, shift_left)};
    static vly_binary_table right = {VLY_EACH_UNSIGNED(VLY_TABLE_ROW, shift_right)};
    const shift_params *p = ctx->params;

    return vly_binary_run(ctx->in[0], ctx->in[1], &ctx->out[0], p->is_right ? right : left, err);
}

#define BITS_OP(op_name, first, types, run_fn)                                                     \
    {                                                                                              \
        .name = op_name, .since = first, .n_in_min = 2, .n_in_max = 2, .dtypes = types,            \
        .flags = VLY_OP_INPLACE, .infer = vly_infer_broadcast, .run = run_fn                       \
    }
#define OLD_BITS_OP(op_name, run_fn)                                                               \
    {                                                                                              \
        .name = op_name, .since = 1, .until = 6, .n_in_min = 2, .n_in_max = 2,                     \
        .dtypes = VLY_T(BOOL), .flags = VLY_OP_INPLACE, .params_bytes = sizeof(vly_old_broadcast), \
        .prepare = vly_old_broadcast_prepare, .infer = vly_old_broadcast_infer, .run = run_fn      \
    }

const vly_op vly_ops_logic[] = {
    BITS_OP("And", 7, VLY_T(BOOL), and_run),
    BITS_OP("Or", 7, VLY_T(BOOL), or_run),
    BITS_OP("Xor", 7, VLY_T(BOOL), xor_run),
    OLD_BITS_OP("And", and_run),
    OLD_BITS_OP("Or", or_run),
    OLD_BITS_OP("Xor", xor_run),
    BITS_OP("BitwiseAnd", 18, VLY_T_INT, and_run),
    BITS_OP("BitwiseOr", 18, VLY_T_INT, or_run),
    BITS_OP("BitwiseXor", 18, VLY_T_INT, xor_run),
    {.name = "Not",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T(BOOL),
     .flags = VLY_OP_INPLACE,
     .infer = vly_infer_same,
     .run = not_run},
    {.name = "BitwiseNot",
     .since = 18,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_INT,
     .flags = VLY_OP_INPLACE,
     .infer = vly_infer_same,
     .run = flip_run},
    {.name = "BitShift",
     .since = 11,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T(U8) | VLY_T(U16) | VLY_T(U32) | VLY_T(U64),
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(shift_params),
     .prepare = shift_prepare,
     .infer = vly_infer_broadcast,
     .run = shift_run},
    {NULL},
};
