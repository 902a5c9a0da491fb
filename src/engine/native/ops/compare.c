/* SPDX-License-Identifier: MIT */
/* Comparisons: Equal, Greater, GreaterOrEqual, Less, LessOrEqual. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"

#define EQUAL(x, y, T, U)         ((x) == (y))
#define EQUAL_STR(x, y, T, U)     vly_str_eq(x, y)
#define GREATER(x, y, T, U)       ((x) > (y))
#define GREATER_EQUAL(x, y, T, U) ((x) >= (y))
#define LESS(x, y, T, U)          ((x) < (y))
#define LESS_EQUAL(x, y, T, U)    ((x) <= (y))

VLY_EACH_FLOAT(VLY_COMPARE_DEF, equal, EQUAL)
VLY_EACH_INT(VLY_COMPARE_DEF, equal, EQUAL)
VLY_BINARY(equal_STRING, vly_str, vly_str, uint8_t, EQUAL_STR)
VLY_EACH_FLOAT(VLY_COMPARE_DEF, greater, GREATER)
VLY_EACH_INT(VLY_COMPARE_DEF, greater, GREATER)
VLY_EACH_FLOAT(VLY_COMPARE_DEF, greater_equal, GREATER_EQUAL)
VLY_EACH_INT(VLY_COMPARE_DEF, greater_equal, GREATER_EQUAL)
VLY_EACH_FLOAT(VLY_COMPARE_DEF, less, LESS)
VLY_EACH_INT(VLY_COMPARE_DEF, less, LESS)
VLY_EACH_FLOAT(VLY_COMPARE_DEF, less_equal, LESS_EQUAL)
VLY_EACH_INT(VLY_COMPARE_DEF, less_equal, LESS_EQUAL)

static vly_binary_table equal_table = {VLY_EACH_FLOAT(VLY_TABLE_ROW, equal) VLY_EACH_INT(
                                           VLY_TABLE_ROW, equal)[VLY_DTYPE_BOOL] = equal_U8,
                                       [VLY_DTYPE_STRING] = equal_STRING};

#define COMPARE_RUN(name)                                                                          \
    static vly_status name##_run(vly_op_ctx *ctx, vly_err *err)                                    \
    {                                                                                              \
        static vly_binary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, name)                         \
                                           VLY_EACH_INT(VLY_TABLE_ROW, name)};                     \
        return vly_op_binary(ctx, fns, err);                                                       \
    }
COMPARE_RUN(greater)
COMPARE_RUN(greater_equal)
COMPARE_RUN(less)
COMPARE_RUN(less_equal)

static vly_status equal_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_op_binary(ctx, equal_table, err);
}

#define COMPARE_OP(op_name, first, types, run_fn)                                                  \
    {                                                                                              \
        .name = op_name, .since = first, .n_in_min = 2, .n_in_max = 2, .dtypes = types,            \
        .infer = vly_infer_broadcast_bool, .run = run_fn                                           \
    }
#define OLD_COMPARE_OP(op_name, types, run_fn)                                                     \
    {                                                                                              \
        .name = op_name, .since = 1, .until = 6, .n_in_min = 2, .n_in_max = 2, .dtypes = types,    \
        .params_bytes = sizeof(vly_old_broadcast), .prepare = vly_old_broadcast_prepare,           \
        .infer = vly_old_broadcast_infer_bool, .run = run_fn                                       \
    }

const vly_op vly_ops_compare[] = {
    COMPARE_OP("Equal", 7, VLY_T_NUMBER | VLY_T(BOOL) | VLY_T(STRING), equal_run),
    COMPARE_OP("Greater", 7, VLY_T_NUMBER, greater_run),
    COMPARE_OP("GreaterOrEqual", 12, VLY_T_NUMBER, greater_equal_run),
    COMPARE_OP("Less", 7, VLY_T_NUMBER, less_run),
    COMPARE_OP("LessOrEqual", 12, VLY_T_NUMBER, less_equal_run),
    OLD_COMPARE_OP("Equal", VLY_T(BOOL) | VLY_T(I32) | VLY_T(I64), equal_run),
    OLD_COMPARE_OP("Greater", VLY_T_FLOAT, greater_run),
    OLD_COMPARE_OP("Less", VLY_T_FLOAT, less_run),
    {NULL},
};
