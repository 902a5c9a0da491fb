/* SPDX-License-Identifier: MIT */
/* MatMulInteger, QLinearMatMul and com.microsoft QGemm. */
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/matmul_shape.h"
#include "engine/native/ops/product.h"
#include "engine/native/ops/qparam.h"

/* One integer product of known shape and where its scratch lies: the packed operands, zero points
 * of rows and columns as int32, the sums of one product. */
typedef struct int_product {
    vly_gemm_dsp dsp;
    vly_gemm_plan plan; /* its kernel points into dsp */
    size_t a_zeros_at, b_zeros_at, sums_at, total;
} int_product;

static vly_status lay_out(int64_t m, int64_t n, int64_t k, bool keeps_sums, int_product *ret,
                          vly_err *err)
{
    size_t sums = 0;

    ret->dsp = vly_product_dsp();
    vly_gemm_plan_init(&ret->plan, &ret->dsp.s16, m, n, k);
    ret->a_zeros_at = vly_product_bytes(&ret->plan);
    ret->b_zeros_at = vly_align_up(ret->a_zeros_at + (size_t)m * sizeof(int32_t), 64);
    ret->sums_at = vly_align_up(ret->b_zeros_at + (size_t)n * sizeof(int32_t), 64);
    if ((keeps_sums && !vly_size_mul((size_t)m * sizeof(int32_t), (size_t)n, &sums)) ||
        !vly_size_add(ret->sums_at, sums, &ret->total) || ret->total > SIZE_MAX / 2)
        return vly_fail(err, VLY_ELIMIT, "scratch memory overflows");
    return VLY_OK;
}

static int32_t *scratch_at(const vly_op_ctx *ctx, size_t at)
{
    return (int32_t *)(void *)((char *)ctx->scratch + at);
}

/* c [m, n] = a * b; bias per row or NULL. */
static void multiply(const vly_op_ctx *ctx, const int_product *p, const vly_gemm_q8 *a,
                     const vly_gemm_q8 *b, int32_t *c)
{
    vly_gemm_b_q8 src = vly_gemm_b_q8_matrix(b);

    vly_gemm_pack_a_q8(&p->plan, ctx->scratch, a);
    vly_product_run(ctx, &p->plan, ctx->scratch, &src.base, c, (size_t)p->plan.n, NULL);
}

/* Where the operands are among the inputs. */
typedef struct matmul_inputs {
    int a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero;
} matmul_inputs;

static const matmul_inputs matmul_integer = {0, -1, 2, 1, -1, 3, -1, -1};
static const matmul_inputs qlinear_matmul = {0, 1, 2, 3, 4, 5, 6, 7};

static vly_status infer_matmul(vly_op_ctx *ctx, const matmul_inputs *in, vly_dtype out,
                               vly_err *err)
{
    const vly_shape *a = &ctx->in[in->a]->shape, *b = &ctx->in[in->b]->shape;
    vly_matmul_shape m;
    vly_status st = vly_op_check_dtype(ctx, in->b, VLY_T_Q8, err);

    if (st == VLY_OK)
        st = vly_matmul_resolve(ctx, in->a, in->b, &m, err);
    if (st == VLY_OK)
        st = vly_check_qparam(ctx, in->a_scale, in->a_zero, a->rank == 2 ? a->dim[0] : 1,
                              ctx->in[in->a]->dtype, err);
    if (st == VLY_OK)
        st = vly_check_qparam(ctx, in->b_scale, in->b_zero, b->rank > 1 ? b->dim[b->rank - 1] : 1,
                              ctx->in[in->b]->dtype, err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, out, &m.out);
    if (!m.is_known)
        return VLY_OK;
    int_product p;
    st = lay_out(m.m, m.n, m.k, out != VLY_DTYPE_I32, &p, err);
    ctx->scratch_bytes = p.total;
    ctx->flops = vly_matmul_flops(&m);
    return st;
}

/* Rows of sums back to 8 bits; row and column scales may differ. */
static void requantise(const vly_op_ctx *ctx, const matmul_inputs *in, const int_product *p,
                       const int32_t *sums, char *y)
{
    const vly_tensor *a_scale = ctx->in[in->a_scale], *b_scale = ctx->in[in->b_scale];
    float y_scale = vly_scale_at(ctx->in[in->y_scale], 0);
    int32_t y_zero = vly_zero_at(ctx->in[in->y_zero], 0);
    bool is_per_column = vly_tensor_count(b_scale) > 1;
    vly_quant_type type;

    if (!vly_quant_type_of(ctx->out[0].dtype, &type))
        return;
    for (int64_t i = 0; i < p->plan.m; i++, sums += p->plan.n, y += p->plan.n) {
        float row = vly_scale_at(a_scale, i);
        int64_t step = is_per_column ? 1 : p->plan.n;
        for (int64_t j = 0; j < p->plan.n; j += step)
            vly_requantise_s32(sums + j, step, row * vly_scale_at(b_scale, j) / y_scale, y_zero,
                               type, y + j);
    }
}

static vly_status run_matmul(vly_op_ctx *ctx, const matmul_inputs *in, vly_err *err)
{
    const vly_tensor *a = ctx->in[in->a], *b = ctx->in[in->b];
    bool keeps_sums = ctx->out[0].dtype != VLY_DTYPE_I32;
    vly_matmul_shape m;
    int_product p;
    vly_status st = vly_matmul_resolve(ctx, in->a, in->b, &m, err);

    if (st == VLY_OK)
        st = lay_out(m.m, m.n, m.k, keeps_sums, &p, err);
    if (st != VLY_OK)
        return st;
    vly_gemm_q8 qa =
        vly_q8_operand(a, m.k, 1, vly_op_in(ctx, in->a_zero), scratch_at(ctx, p.a_zeros_at));
    vly_gemm_q8 qb =
        vly_q8_operand(b, m.n, 1, vly_op_in(ctx, in->b_zero), scratch_at(ctx, p.b_zeros_at));
    for (int64_t i = 0; i < m.batch; i++) {
        int64_t at = i * m.m * m.n;
        int32_t *sums = keeps_sums ? scratch_at(ctx, p.sums_at) : (int32_t *)ctx->out[0].data + at;
        qa.data = (const char *)a->data + vly_matmul_a_offset(&m, i);
        qb.data = (const char *)b->data + vly_matmul_b_offset(&m, i);
        multiply(ctx, &p, &qa, &qb, sums);
        if (keeps_sums)
            requantise(ctx, in, &p, sums, (char *)ctx->out[0].data + at);
    }
    return VLY_OK;
}

static vly_status matmul_integer_infer(vly_op_ctx *ctx, vly_err *err)
{
    return infer_matmul(ctx, &matmul_integer, VLY_DTYPE_I32, err);
}

static vly_status matmul_integer_run(vly_op_ctx *ctx, vly_err *err)
{
    return run_matmul(ctx, &matmul_integer, err);
}

static vly_status qlinear_matmul_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_dtype out = ctx->in[qlinear_matmul.y_zero]->dtype;
    vly_status st = vly_op_check_dtype(ctx, qlinear_matmul.y_zero, VLY_T_Q8, err);

    if (st == VLY_OK)
        st = vly_check_qparam(ctx, qlinear_matmul.y_scale, qlinear_matmul.y_zero, 1, out, err);
    return st == VLY_OK ? infer_matmul(ctx, &qlinear_matmul, out, err) : st;
}

static vly_status qlinear_matmul_run(vly_op_ctx *ctx, vly_err *err)
{
    return run_matmul(ctx, &qlinear_matmul, err);
}

/* QGemm: A, a_scale, a_zero, B, b_scale, b_zero, C (int32, scale alpha * a * b), y_scale, y_zero.
 * Without y_scale the output is float. */
enum { G_A, G_A_SCALE, G_A_ZERO, G_B, G_B_SCALE, G_B_ZERO, G_C, G_Y_SCALE, G_Y_ZERO };

typedef struct qgemm_params {
    float alpha;
    bool trans_a, trans_b;
} qgemm_params;

static vly_status qgemm_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    qgemm_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->alpha = vly_attrs_float(&a, "alpha", 1.0f);
    p->trans_a = vly_attrs_int(&a, "transA", 0) != 0;
    p->trans_b = vly_attrs_int(&a, "transB", 0) != 0;
    return vly_attrs_end(&a, err);
}

static vly_status qgemm_check(const vly_op_ctx *ctx, vly_err *err)
{
    const qgemm_params *p = ctx->params;
    vly_status st = vly_op_check_dtype(ctx, G_B, VLY_T_Q8, err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, G_A, 2, 2, err);
    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, G_B, 2, 2, err);
    if (st == VLY_OK)
        st = vly_check_qparam(ctx, G_A_SCALE, G_A_ZERO, 1, ctx->in[G_A]->dtype, err);
    if (st == VLY_OK)
        st = vly_check_qparam(ctx, G_B_SCALE, G_B_ZERO, ctx->in[G_B]->shape.dim[p->trans_b ? 0 : 1],
                              ctx->in[G_B]->dtype, err);
    if (st == VLY_OK && vly_op_in(ctx, G_C) != NULL)
        st = vly_op_check_dtype(ctx, G_C, VLY_T(I32), err);
    if (st != VLY_OK || vly_op_in(ctx, G_Y_SCALE) == NULL)
        return st;
    if (vly_op_in(ctx, G_Y_ZERO) == NULL)
        return vly_fail(err, VLY_EINVAL, "input %d: a scale of the output needs a zero point",
                        G_Y_ZERO);
    st = vly_op_check_dtype(ctx, G_Y_ZERO, VLY_T_Q8, err);
    if (st != VLY_OK)
        return st;
    return vly_check_qparam(ctx, G_Y_SCALE, G_Y_ZERO, 1, ctx->in[G_Y_ZERO]->dtype, err);
}

static vly_gemm_q8 qgemm_operand(const vly_op_ctx *ctx, int i, bool transposed, int i_zero,
                                 int32_t *zeros)
{
    int64_t width = ctx->in[i]->shape.dim[1];
    return vly_q8_operand(ctx->in[i], transposed ? 1 : width, transposed ? width : 1,
                          vly_op_in(ctx, i_zero), zeros);
}

static vly_status qgemm_infer(vly_op_ctx *ctx, vly_err *err)
{
    const qgemm_params *p = ctx->params;
    const vly_tensor *c = vly_op_in(ctx, G_C);
    vly_status st = qgemm_check(ctx, err);

    if (st != VLY_OK)
        return st;
    const vly_shape *a = &ctx->in[G_A]->shape, *b = &ctx->in[G_B]->shape;
    vly_shape out = VLY_SHAPE(a->dim[p->trans_a ? 1 : 0], b->dim[p->trans_b ? 0 : 1]), merged;
    int64_t k = a->dim[p->trans_a ? 0 : 1], k_b = b->dim[p->trans_b ? 1 : 0];
    if (k >= 0 && k_b >= 0 && k != k_b)
        return vly_matmul_fail(ctx, G_A, G_B, err);
    if (c != NULL && (!vly_shape_broadcast(&c->shape, &out, &merged) ||
                      (vly_shape_known(&out) && !vly_shape_eq(&merged, &out))))
        return vly_fail(err, VLY_EINVAL, "input %d does not broadcast to the output", G_C);
    vly_op_out_set(
        ctx, 0, vly_op_in(ctx, G_Y_SCALE) != NULL ? ctx->in[G_Y_ZERO]->dtype : VLY_DTYPE_F32, &out);
    if (!vly_shape_known(&out) || k < 0)
        return VLY_OK;
    int_product ip;
    st = lay_out(out.dim[0], out.dim[1], k, true, &ip, err);
    ctx->scratch_bytes = ip.total;
    ctx->flops = 2 * (uint64_t)out.dim[0] * (uint64_t)out.dim[1] * (uint64_t)k;
    return st;
}

static void add_c(const vly_tensor *c, const vly_shape *out, int32_t *sums)
{
    int64_t stride[2];

    vly_shape_broadcast_strides(&c->shape, out, stride);
    for (int64_t i = 0; i < out->dim[0]; i++) {
        for (int64_t j = 0; j < out->dim[1]; j++, sums++)
            *sums = (int32_t)((uint32_t)*sums +
                              (uint32_t)((const int32_t *)c->data)[i * stride[0] + j * stride[1]]);
    }
}

static vly_status qgemm_run(vly_op_ctx *ctx, vly_err *err)
{
    const qgemm_params *p = ctx->params;
    const vly_shape *out = &ctx->out[0].shape;
    const vly_tensor *c = vly_op_in(ctx, G_C), *y_scale = vly_op_in(ctx, G_Y_SCALE);
    int64_t m = out->dim[0], n = out->dim[1], k = ctx->in[G_A]->shape.dim[p->trans_a ? 0 : 1];
    vly_quant_type type = VLY_QUANT_U8;
    int_product ip;
    vly_status st = lay_out(m, n, k, true, &ip, err);

    if (st != VLY_OK)
        return st;
    int32_t *sums = scratch_at(ctx, ip.sums_at);
    vly_gemm_q8 a = qgemm_operand(ctx, G_A, p->trans_a, G_A_ZERO, scratch_at(ctx, ip.a_zeros_at));
    vly_gemm_q8 b = qgemm_operand(ctx, G_B, p->trans_b, G_B_ZERO, scratch_at(ctx, ip.b_zeros_at));
    multiply(ctx, &ip, &a, &b, sums);
    if (c != NULL)
        add_c(c, out, sums);
    float a_scale = p->alpha * vly_scale_at(ctx->in[G_A_SCALE], 0);
    if (y_scale != NULL && !vly_quant_type_of(ctx->out[0].dtype, &type))
        return vly_fail(err, VLY_EINTERNAL, "output dtype");
    for (int64_t i = 0; i < m * n; i++) {
        float factor = a_scale * vly_scale_at(ctx->in[G_B_SCALE], i % n);
        if (y_scale == NULL)
            ((float *)ctx->out[0].data)[i] = (float)sums[i] * factor;
        else
            vly_requantise_s32(sums + i, 1, factor / vly_scale_at(y_scale, 0),
                               vly_zero_at(ctx->in[G_Y_ZERO], 0), type,
                               (char *)ctx->out[0].data + i);
    }
    return VLY_OK;
}

const vly_op vly_ops_matmul_int[] = {
    {.name = "MatMulInteger",
     .since = 10,
     .n_in_min = 2,
     .n_in_max = 4,
     .dtypes = VLY_T_Q8,
     .infer = matmul_integer_infer,
     .run = matmul_integer_run},
    {.name = "QLinearMatMul",
     .since = 10,
     .n_in_min = 8,
     .n_in_max = 8,
     .dtypes = VLY_T_Q8,
     .infer = qlinear_matmul_infer,
     .run = qlinear_matmul_run},
    {.name = "QGemm",
     .domain = "com.microsoft",
     .since = 1,
     .n_in_min = 6,
     .n_in_max = 9,
     .dtypes = VLY_T_Q8,
     .params_bytes = sizeof(qgemm_params),
     .prepare = qgemm_prepare,
     .infer = qgemm_infer,
     .run = qgemm_run},
    {NULL},
};
