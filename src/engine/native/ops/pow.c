/* SPDX-License-Identifier: MIT */
/*
 * Pow: the exponent may be of another type than the base, whose type the result has. Integer to a
 * non-negative integer power is exact modulo 2^bits; everything else goes through floating point.
 */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"
#include "tensor/walk.h"

#include <math.h>

enum { CHUNK = 256 };

typedef union chunk {
    int64_t i64[CHUNK];
    float f32[CHUNK];
    double f64[CHUNK];
} chunk;

static uint64_t pow_int(uint64_t base, uint64_t exponent)
{
    uint64_t r = 1;

    for (; exponent != 0; exponent >>= 1) {
        if ((exponent & 1) != 0)
            r *= base;
        base *= base;
    }
    return r;
}

/* Elements are int64, sign-extended; the low bits are right for each narrower type. */
static void pow_ints(const int64_t *x, const int64_t *y, int64_t *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (y[i] >= 0)
            out[i] = (int64_t)pow_int((uint64_t)x[i], (uint64_t)y[i]);
        else if (x[i] == 1 || x[i] == -1)
            out[i] = x[i] == 1 || (y[i] & 1) == 0 ? 1 : -1;
        else
            out[i] = 0; /* 1 / x^|y| truncates */
    }
}

static void pow_f32(const float *x, const float *y, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = powf(x[i], y[i]);
}

static void pow_f64(const double *x, const double *y, double *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = pow(x[i], y[i]);
}

/* The type that both operands are converted to. */
static vly_dtype work_type(vly_dtype base, vly_dtype exponent)
{
    if (vly_dtype_is_int(base) && vly_dtype_is_int(exponent))
        return VLY_DTYPE_I64;
    bool is_wide = base == VLY_DTYPE_F64 || vly_dtype_is_int(base) || exponent == VLY_DTYPE_F64;
    return is_wide ? VLY_DTYPE_F64 : VLY_DTYPE_F32;
}

static void load(const vly_tensor *t, int64_t at, int64_t step, vly_dtype work, chunk *dst,
                 int64_t n)
{
    vly_convert(t->dtype, vly_elem_at(t, at), work, dst, step != 0 ? (size_t)n : 1, false);
    for (int64_t i = 1; i < n && step == 0; i++) {
        if (work == VLY_DTYPE_F32)
            dst->f32[i] = dst->f32[0];
        else
            dst->i64[i] = dst->i64[0];
    }
}

static void pow_row(const vly_tensor *x, const vly_tensor *y, const vly_tensor *out,
                    const vly_walk *w)
{
    vly_dtype work = work_type(x->dtype, y->dtype);
    chunk a, b;

    for (int64_t at = 0; at < w->n; at += CHUNK) {
        int64_t n = w->n - at < CHUNK ? w->n - at : CHUNK;
        load(x, w->off[1] + at * w->step[1], w->step[1], work, &a, n);
        load(y, w->off[2] + at * w->step[2], w->step[2], work, &b, n);
        if (work == VLY_DTYPE_I64)
            pow_ints(a.i64, b.i64, a.i64, n);
        else if (work == VLY_DTYPE_F32)
            pow_f32(a.f32, b.f32, a.f32, n);
        else
            pow_f64(a.f64, b.f64, a.f64, n);
        vly_convert(work, &a, out->dtype, vly_elem_at(out, w->off[0] + at), (size_t)n, false);
    }
}

/* Squares and roots by a constant, which exporters write as Pow: without powf. */
static bool pow_simple(const vly_op_ctx *ctx)
{
    const float *x = ctx->in[0]->data;
    float *out = ctx->out[0].data;
    int64_t n = (int64_t)vly_tensor_count(&ctx->out[0]);

    if (ctx->in[0]->dtype != VLY_DTYPE_F32 || vly_tensor_count(ctx->in[1]) != 1 ||
        !vly_shape_eq(&ctx->in[0]->shape, &ctx->out[0].shape))
        return false;
    double exponent = vly_tensor_get_f64(ctx->in[1], 0);
    if (exponent == 2.0) {
        VLY_IVDEP
        for (int64_t i = 0; i < n; i++)
            out[i] = x[i] * x[i];
        return true;
    }
    if (exponent == 0.5) {
        for (int64_t i = 0; i < n; i++)
            out[i] = x[i] == -INFINITY ? INFINITY : sqrtf(x[i]) + 0.0F;
        return true;
    }
    return false;
}

static vly_status pow_run(vly_op_ctx *ctx, vly_err *err)
{
    int64_t strides[3][VLY_RANK_MAX];
    const vly_tensor *x = ctx->in[0], *out = &ctx->out[0];
    vly_tensor y;
    vly_walk w;
    vly_status st = vly_op_rhs(ctx, &y, err);

    if (st != VLY_OK || pow_simple(ctx))
        return st;
    vly_shape_strides(&out->shape, strides[0]);
    vly_shape_broadcast_strides(&x->shape, &out->shape, strides[1]);
    vly_shape_broadcast_strides(&y.shape, &out->shape, strides[2]);
    for (vly_walk_begin(&w, &out->shape, 3, strides); w.more; vly_walk_next(&w))
        pow_row(x, &y, out, &w);
    return VLY_OK;
}

static vly_status pow_infer(vly_op_ctx *ctx, vly_err *err)
{
    char text_x[VLY_SHAPE_TEXT_MAX], text_y[VLY_SHAPE_TEXT_MAX];
    const vly_tensor *x = ctx->in[0];
    vly_shape shape;
    vly_tensor y;
    vly_status st = vly_op_check_dtype(ctx, 1, VLY_T_NUMBER, err);

    if (st == VLY_OK)
        st = vly_op_rhs(ctx, &y, err);
    if (st != VLY_OK)
        return st;
    if (!vly_shape_broadcast(&x->shape, &y.shape, &shape))
        return vly_fail(err, VLY_EINVAL, "input 1: shape %s does not broadcast with %s",
                        vly_shape_text(&y.shape, text_y), vly_shape_text(&x->shape, text_x));
    vly_op_out_set(ctx, 0, x->dtype, &shape);
    return VLY_OK;
}

const vly_op vly_ops_pow[] = {
    {.name = "Pow",
     .since = 7,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_NUMBER,
     .flags = VLY_OP_INPLACE,
     .infer = pow_infer,
     .run = pow_run},
    {.name = "Pow",
     .since = 1,
     .until = 6,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_FLOAT,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(vly_old_broadcast),
     .prepare = vly_old_broadcast_prepare,
     .infer = pow_infer,
     .run = pow_run},
    {NULL},
};
