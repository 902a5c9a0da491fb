/* SPDX-License-Identifier: MIT */
/* MatMul (numpy.matmul) and Gemm. */
#include "dsp/gemm_plain.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/matmul_shape.h"
#include "engine/native/ops/product.h"

#include <math.h>

/* C = A * B for one pair of matrices of any dtype; product_scratch tells the memory. */
typedef struct product {
    vly_gemm_shape shape;
    vly_dtype dtype;
} product;

static size_t product_scratch(const product *p)
{
    bool is_narrow = vly_dtype_is_float(p->dtype) && p->dtype != VLY_DTYPE_F64;
    return is_narrow ? vly_product_f32_bytes(&p->shape) : 0;
}

static void product_run(const vly_op_ctx *ctx, const product *p, const void *a, const void *b,
                        void *c)
{
    if (p->dtype == VLY_DTYPE_F32)
        vly_product_f32(ctx, &p->shape, ctx->scratch, a, b, c);
    else if (p->dtype == VLY_DTYPE_F64)
        vly_gemm_plain_f64(&p->shape, a, b, c);
    else if (vly_dtype_bits(p->dtype) == 32)
        vly_gemm_plain_u32(&p->shape, a, b, c);
    else
        vly_gemm_plain_u64(&p->shape, a, b, c);
}

#define MATMUL_DTYPES (VLY_T_FLOAT | VLY_T(I32) | VLY_T(I64) | VLY_T(U32) | VLY_T(U64))

static product matmul_product(const vly_matmul_shape *m, vly_dtype dtype)
{
    return (product){.dtype = dtype,
                     .shape = {.m = m->m,
                               .n = m->n,
                               .k = m->k,
                               .a_row = m->k,
                               .a_col = 1,
                               .b_row = m->n,
                               .b_col = 1,
                               .ldc = m->n}};
}

static vly_status matmul_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_matmul_shape m;
    vly_status st = vly_op_check_same_dtype(ctx, 1, 1, err);

    if (st == VLY_OK)
        st = vly_matmul_resolve(ctx, 0, 1, &m, err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &m.out);
    if (!m.is_known)
        return VLY_OK;
    product p = matmul_product(&m, ctx->in[0]->dtype);
    ctx->scratch_bytes = product_scratch(&p);
    ctx->flops = vly_matmul_flops(&m);
    return vly_half_infer(ctx, err);
}

static vly_status matmul_run_any(vly_op_ctx *ctx, vly_err *err)
{
    vly_matmul_shape m;
    vly_status st = vly_matmul_resolve(ctx, 0, 1, &m, err);

    if (st != VLY_OK)
        return st;
    product p = matmul_product(&m, ctx->in[0]->dtype);
    int64_t elem = vly_dtype_bits(p.dtype) / 8;
    for (int64_t i = 0; i < m.batch; i++) {
        const char *a = (const char *)ctx->in[0]->data + vly_matmul_a_offset(&m, i) * elem;
        const char *b = (const char *)ctx->in[1]->data + vly_matmul_b_offset(&m, i) * elem;
        product_run(ctx, &p, a, b, (char *)ctx->out[0].data + i * m.m * m.n * elem);
    }
    return VLY_OK;
}

static vly_status matmul_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, matmul_run_any, err);
}

typedef struct gemm_params {
    float alpha, beta;
    bool trans_a, trans_b;
} gemm_params;

static vly_status gemm_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    gemm_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->alpha = vly_attrs_float(&a, "alpha", 1.0f);
    p->beta = vly_attrs_float(&a, "beta", 1.0f);
    p->trans_a = vly_attrs_int(&a, "transA", 0) != 0;
    p->trans_b = vly_attrs_int(&a, "transB", 0) != 0;
    return vly_attrs_end(&a, err);
}

static product gemm_product(const vly_op_ctx *ctx)
{
    const gemm_params *p = ctx->params;
    const vly_shape *a = &ctx->in[0]->shape, *b = &ctx->in[1]->shape;
    vly_gemm_shape s = {
        .m = a->dim[p->trans_a ? 1 : 0],
        .k = a->dim[p->trans_a ? 0 : 1],
        .n = b->dim[p->trans_b ? 0 : 1],
        .a_row = p->trans_a ? 1 : a->dim[1],
        .a_col = p->trans_a ? a->dim[1] : 1,
        .b_row = p->trans_b ? 1 : b->dim[1],
        .b_col = p->trans_b ? b->dim[1] : 1,
    };
    s.ldc = s.n;
    return (product){.shape = s, .dtype = ctx->in[0]->dtype};
}

static bool is_integer(float f)
{
    return f == rintf(f) && fabsf(f) < 2147483648.0f;
}

static vly_status gemm_check(const vly_op_ctx *ctx, vly_err *err)
{
    const gemm_params *p = ctx->params;
    vly_status st = vly_op_check_same_dtype(ctx, 1, 2, err);

    for (int i = 0; i < 2 && st == VLY_OK; i++)
        st = vly_op_check_rank(ctx, i, 2, 2, err);
    if (st != VLY_OK)
        return st;
    int64_t k_a = ctx->in[0]->shape.dim[p->trans_a ? 0 : 1];
    int64_t k_b = ctx->in[1]->shape.dim[p->trans_b ? 1 : 0];
    if (k_a >= 0 && k_b >= 0 && k_a != k_b)
        return vly_matmul_fail(ctx, 0, 1, err);
    if (!vly_dtype_is_float(ctx->in[0]->dtype) && !(is_integer(p->alpha) && is_integer(p->beta)))
        return vly_fail(err, VLY_EUNSUPPORTED, "integers with alpha %g and beta %g",
                        (double)p->alpha, (double)p->beta);
    return VLY_OK;
}

static vly_status gemm_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = gemm_check(ctx, err);

    if (st != VLY_OK)
        return st;
    product p = gemm_product(ctx);
    vly_shape out = VLY_SHAPE(p.shape.m, p.shape.n), merged;
    const vly_tensor *c = vly_op_in(ctx, 2);
    if (c != NULL && (!vly_shape_broadcast(&c->shape, &out, &merged) ||
                      (vly_shape_known(&out) && !vly_shape_eq(&merged, &out)))) {
        char text[VLY_SHAPE_TEXT_MAX], text_out[VLY_SHAPE_TEXT_MAX];
        return vly_fail(err, VLY_EINVAL, "input 2: shape %s does not broadcast to %s",
                        vly_shape_text(&c->shape, text), vly_shape_text(&out, text_out));
    }
    vly_op_out_set(ctx, 0, p.dtype, &out);
    if (!vly_shape_known(&out) || p.shape.k < 0)
        return VLY_OK;
    ctx->scratch_bytes = product_scratch(&p);
    ctx->flops = 2 * (uint64_t)p.shape.m * (uint64_t)p.shape.n * (uint64_t)p.shape.k;
    return vly_half_infer(ctx, err);
}

/* y = alpha * y + beta * c, where c [m or 1, n or 1] is read through strides. */
#define GEMM_FINISH(suffix, type, via)                                                             \
    static void finish_##suffix(const gemm_params *p, type *y, const type *c,                      \
                                const vly_shape *out, const int64_t *stride)                       \
    {                                                                                              \
        type alpha = (type)(via)p->alpha, beta = (type)(via)p->beta;                               \
        for (int64_t i = 0; i < out->dim[0]; i++, y += out->dim[1]) {                              \
            for (int64_t j = 0; j < out->dim[1]; j++) {                                            \
                type sum = c != NULL ? beta * c[i * stride[0] + j * stride[1]] : 0;                \
                y[j] = alpha * y[j] + sum;                                                         \
            }                                                                                      \
        }                                                                                          \
    }

GEMM_FINISH(f32, float, float)
GEMM_FINISH(f64, double, double)
GEMM_FINISH(u32, uint32_t, int64_t)
GEMM_FINISH(u64, uint64_t, int64_t)

static vly_status gemm_run_any(vly_op_ctx *ctx, vly_err *err)
{
    const gemm_params *p = ctx->params;
    const vly_tensor *c = vly_op_in(ctx, 2);
    const vly_shape *out = &ctx->out[0].shape;
    const void *addend = c != NULL ? c->data : NULL;
    void *y = ctx->out[0].data;
    int64_t stride[2] = {0, 0};

    (void)err;
    product pr = gemm_product(ctx);
    product_run(ctx, &pr, ctx->in[0]->data, ctx->in[1]->data, y);
    if (c != NULL)
        vly_shape_broadcast_strides(&c->shape, out, stride);
    else if (p->alpha == 1.0f)
        return VLY_OK;
    if (pr.dtype == VLY_DTYPE_F32)
        finish_f32(p, y, addend, out, stride);
    else if (pr.dtype == VLY_DTYPE_F64)
        finish_f64(p, y, addend, out, stride);
    else if (vly_dtype_bits(pr.dtype) == 32)
        finish_u32(p, y, addend, out, stride);
    else
        finish_u64(p, y, addend, out, stride);
    return VLY_OK;
}

static vly_status gemm_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, gemm_run_any, err);
}

const vly_op vly_ops_matmul[] = {
    {.name = "MatMul",
     .since = 1,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = MATMUL_DTYPES,
     .infer = matmul_infer,
     .run = matmul_run},
    {.name = "Gemm",
     .since = 1,
     .n_in_min = 2,
     .n_in_max = 3,
     .dtypes = MATMUL_DTYPES,
     .params_bytes = sizeof(gemm_params),
     .prepare = gemm_prepare,
     .infer = gemm_infer,
     .run = gemm_run},
    {NULL},
};
