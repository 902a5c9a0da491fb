/* SPDX-License-Identifier: MIT */
/*
 * What several op families share: axes, elementwise loops, kernels by dtype.
 * Thread: any.
 */
#ifndef VLY_ENGINE_NATIVE_OP_UTIL_H
#define VLY_ENGINE_NATIVE_OP_UTIL_H

#include "base/ivdep.h"
#include "engine/op.h"

/* Types whose elements are whole bytes: what ops that only move data implement. */
#define VLY_T_BYTES                                                                                \
    (VLY_T_NUMBER | VLY_T(STRING) | VLY_T(BOOL) | VLY_T(C64) | VLY_T(C128) | VLY_T(F8E4M3FN) |     \
     VLY_T(F8E4M3FNUZ) | VLY_T(F8E5M2) | VLY_T(F8E5M2FNUZ))

static inline size_t vly_elem_bytes(const vly_tensor *t)
{
    return vly_dtype_bits(t->dtype) / 8;
}

/* Address of element i of a tensor of whole-byte elements. */
static inline void *vly_elem_at(const vly_tensor *t, int64_t i)
{
    return (unsigned char *)t->data + i * (int64_t)vly_elem_bytes(t);
}

/* Sets every element of t to the one at value. */
void vly_fill(const vly_tensor *t, const void *value);

/* ---- axes --------------------------------------------------------------------------------- */

/* vly_axis_normalise with an error. */
vly_status vly_op_axis(int64_t axis, int rank, int *ret, vly_err *err) VLY_MUST_CHECK;

/* A list of integers that newer opsets give as an input and older ones as an attribute. */
typedef struct vly_int_list {
    bool is_given;
    int n;
    int64_t v[VLY_RANK_MAX];
} vly_int_list;

/* Copies the integer list attribute `name`; more than VLY_RANK_MAX elements are an error. */
vly_status vly_attrs_list(vly_attrs *a, const char *name, vly_int_list *ret,
                          vly_err *err) VLY_MUST_CHECK;
/* Input i when it is given (its value must be known), otherwise the attribute's list. */
vly_status vly_op_list(const vly_op_ctx *ctx, int i, const vly_int_list *attr, vly_int_list *ret,
                       vly_err *err) VLY_MUST_CHECK;
/* Marks each axis of the list; one that is out of range or appears twice is an error. */
vly_status vly_op_axes(const vly_int_list *list, int rank, bool mask[VLY_RANK_MAX],
                       vly_err *err) VLY_MUST_CHECK;
/* Appends a dimension; more than VLY_RANK_MAX are an error. */
vly_status vly_shape_push(vly_shape *s, int64_t dim, vly_err *err) VLY_MUST_CHECK;

/* Reads the index tensor t (int64 or int32) at i; negative counts from the end of dim. An index out
 * of range is an error. */
vly_status vly_op_index(const vly_tensor *t, int64_t i, int64_t dim, int64_t *ret,
                        vly_err *err) VLY_MUST_CHECK;

/* ---- elementwise loops -------------------------------------------------------------------- */

/* y[i] = f(x[i]); y may be x when their types are equal. param: what the op needs besides, or NULL.
 */
typedef void vly_unary_fn(const void *x, void *y, int64_t n, const void *param);

/* Kernels by dtype; F16 and BF16 use the F32 one on converted chunks. */
typedef vly_unary_fn *const vly_unary_table[VLY_DTYPE_N];
/* Runs the kernel of input 0's dtype over it. EUNSUPPORTED when there is none. A half input's
 * output may be of its own type or BOOL. */
vly_status vly_unary_run(vly_op_ctx *ctx, vly_unary_table fns, const void *param,
                         vly_err *err) VLY_MUST_CHECK;

/* out[i] = f(a[i * a_step], b[i * b_step]), steps 0 or 1; out may be a. */
typedef void vly_binary_fn(const void *a, int64_t a_step, const void *b, int64_t b_step, void *out,
                           int64_t n);
typedef vly_binary_fn *const vly_binary_table[VLY_DTYPE_N];
/* Runs the kernel of a's dtype over a and b, broadcast to out. As vly_unary_run for the half types;
 * out may be BOOL then. a may share out's memory when their shapes are equal. */
vly_status vly_binary_run(const vly_tensor *a, const vly_tensor *b, const vly_tensor *out,
                          vly_binary_table fns, vly_err *err) VLY_MUST_CHECK;

/* run of a two-input op: vly_binary_run of its inputs, in either convention of broadcasting. */
vly_status vly_op_binary(vly_op_ctx *ctx, vly_binary_table fns, vly_err *err) VLY_MUST_CHECK;

/* Before opset 7, input 1 had to be broadcast by attribute: its dimensions stand for those of input
 * 0 from `axis` on (without `axis`: for the last ones). prepare and infer of such rows;
 * params_bytes is sizeof(vly_old_broadcast). */
typedef struct vly_old_broadcast {
    bool has_axis;
    int64_t axis;
} vly_old_broadcast;

vly_status vly_old_broadcast_prepare(const vly_op_ctx *ctx, void *params, vly_err *err);
vly_status vly_old_broadcast_infer(vly_op_ctx *ctx, vly_err *err);      /* dtype of input 0 */
vly_status vly_old_broadcast_infer_bool(vly_op_ctx *ctx, vly_err *err); /* BOOL */
/* Input 1 as both conventions see it: borrowed, with a shape that broadcasts by today's rules. */
vly_status vly_op_rhs(const vly_op_ctx *ctx, vly_tensor *ret, vly_err *err) VLY_MUST_CHECK;

/* Defines a vly_unary_fn; EXPR(x, T) is an expression. */
#define VLY_UNARY(name, T, EXPR)                                                                   \
    static void name(const void *vx, void *vy, int64_t n, const void *param)                       \
    {                                                                                              \
        const T *x = vx;                                                                           \
        T *y = vy;                                                                                 \
        (void)param;                                                                               \
        VLY_IVDEP                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = EXPR(x[i], T);                                                                  \
    }

/* Defines a vly_binary_fn; EXPR(x, y, T, U) is an expression, U an unsigned type in which integers
 * of type T wrap without promotion to int (T itself for floats). */
#define VLY_BINARY(name, T, U, TO, EXPR)                                                           \
    static void name(const void *va, int64_t a_step, const void *vb, int64_t b_step, void *vo,     \
                     int64_t n)                                                                    \
    {                                                                                              \
        const T *a = va, *b = vb;                                                                  \
        TO *o = vo;                                                                                \
        if (a_step != 0 && b_step != 0) {                                                          \
            VLY_IVDEP                                                                              \
            for (int64_t i = 0; i < n; i++)                                                        \
                o[i] = EXPR(a[i], b[i], T, U);                                                     \
        } else if (a_step != 0) {                                                                  \
            const T y = b[0];                                                                      \
            VLY_IVDEP                                                                              \
            for (int64_t i = 0; i < n; i++)                                                        \
                o[i] = EXPR(a[i], y, T, U);                                                        \
        } else if (b_step != 0) {                                                                  \
            const T x = a[0];                                                                      \
            VLY_IVDEP                                                                              \
            for (int64_t i = 0; i < n; i++)                                                        \
                o[i] = EXPR(x, b[i], T, U);                                                        \
        } else {                                                                                   \
            const TO z = EXPR(a[0], b[0], T, U);                                                   \
            for (int64_t i = 0; i < n; i++)                                                        \
                o[i] = z;                                                                          \
        }                                                                                          \
    }

/* X(dtype, T, U, ...) for each C type of the group. */
#define VLY_EACH_FLOAT(X, ...)                                                                     \
    X(F32, float, float, __VA_ARGS__)                                                              \
    X(F64, double, double, __VA_ARGS__)
#define VLY_EACH_SIGNED(X, ...)                                                                    \
    X(I8, int8_t, uint32_t, __VA_ARGS__)                                                           \
    X(I16, int16_t, uint32_t, __VA_ARGS__)                                                         \
    X(I32, int32_t, uint32_t, __VA_ARGS__)                                                         \
    X(I64, int64_t, uint64_t, __VA_ARGS__)
#define VLY_EACH_UNSIGNED(X, ...)                                                                  \
    X(U8, uint8_t, uint32_t, __VA_ARGS__)                                                          \
    X(U16, uint16_t, uint32_t, __VA_ARGS__)                                                        \
    X(U32, uint32_t, uint32_t, __VA_ARGS__)                                                        \
    X(U64, uint64_t, uint64_t, __VA_ARGS__)
#define VLY_EACH_INT(X, ...)                                                                       \
    VLY_EACH_SIGNED(X, __VA_ARGS__)                                                                \
    VLY_EACH_UNSIGNED(X, __VA_ARGS__)

/* Definitions and table rows for the lists above: VLY_EACH_INT(VLY_BINARY_DEF, add, WRAP_ADD) and
 * VLY_EACH_INT(VLY_TABLE_ROW, add). */
#define VLY_UNARY_DEF(dtype, T, U, prefix, EXPR)   VLY_UNARY(prefix##_##dtype, T, EXPR)
#define VLY_BINARY_DEF(dtype, T, U, prefix, EXPR)  VLY_BINARY(prefix##_##dtype, T, U, T, EXPR)
#define VLY_COMPARE_DEF(dtype, T, U, prefix, EXPR) VLY_BINARY(prefix##_##dtype, T, U, uint8_t, EXPR)
#define VLY_TABLE_ROW(dtype, T, U, prefix)         [VLY_DTYPE_##dtype] = prefix##_##dtype,

#endif
