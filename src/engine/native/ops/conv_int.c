/* SPDX-License-Identifier: MIT */
/* ConvInteger (sums as int32) and QLinearConv (sums scaled back to 8 bits). */
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/conv_common.h"
#include "engine/native/ops/product.h"
#include "engine/native/ops/qparam.h"

/* Where the operands are among the inputs; -1: the op has none. */
typedef struct int_conv_inputs {
    int x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias;
} int_conv_inputs;

static const int_conv_inputs conv_integer = {0, -1, 2, 1, -1, 3, -1, -1, -1};
static const int_conv_inputs qlinear_conv = {0, 1, 2, 3, 4, 5, 6, 7, 8};

/* Parts of scratch: the product, zero points of the weights as int32, sums of all outputs. */
typedef struct int_conv_scratch {
    vly_gemm_dsp dsp;
    vly_gemm_plan plan; /* its kernel points into dsp */
    size_t zeros_at, sums_at, total;
} int_conv_scratch;

static vly_status conv_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    return vly_conv_read(ctx->proto, params, err);
}

static bool lay_out(const vly_conv *c, bool keeps_sums, int_conv_scratch *ret)
{
    size_t channels = (size_t)(c->group * c->m), sums = 0;

    ret->dsp = vly_product_dsp();
    vly_gemm_plan_init(&ret->plan, &ret->dsp.s16, c->m, c->out_size, c->k);
    ret->zeros_at = vly_product_bytes(&ret->plan);
    ret->sums_at = vly_align_up(ret->zeros_at + channels * sizeof(int32_t), 64);
    if (keeps_sums && (!vly_size_mul(channels * sizeof(int32_t), (size_t)c->out_size, &sums) ||
                       !vly_size_mul(sums, (size_t)c->batch, &sums)))
        return false;
    return vly_size_add(ret->sums_at, sums, &ret->total) && ret->total <= SIZE_MAX / 2;
}

static vly_status infer_conv(vly_op_ctx *ctx, const int_conv_inputs *in, vly_dtype out,
                             vly_err *err)
{
    vly_conv c;
    vly_status st = vly_op_check_dtype(ctx, in->w, VLY_T_Q8, err);

    if (st == VLY_OK)
        st = vly_conv_resolve(ctx, ctx->params, in->x, in->w, &c, err);
    if (st == VLY_OK)
        st = vly_check_qparam(ctx, in->x_scale, in->x_zero, 1, ctx->in[in->x]->dtype, err);
    if (st == VLY_OK)
        st = vly_check_qparam(ctx, in->w_scale, in->w_zero, c.out.dim[1], ctx->in[in->w]->dtype,
                              err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, out, &c.out);
    if (!c.is_known)
        return VLY_OK;
    int_conv_scratch s;
    if (!lay_out(&c, out != VLY_DTYPE_I32, &s))
        return vly_fail(err, VLY_ELIMIT, "scratch memory overflows");
    ctx->scratch_bytes = s.total;
    ctx->flops = vly_conv_flops(&c);
    return VLY_OK;
}

/* sums [batch, group * m, out] of all pictures. */
static void sum_all(const vly_op_ctx *ctx, const int_conv_inputs *in, const vly_conv *c,
                    const int_conv_scratch *s, int32_t *sums)
{
    const vly_tensor *x = ctx->in[in->x], *bias = in->bias >= 0 ? vly_op_in(ctx, in->bias) : NULL;
    int32_t *zeros = (int32_t *)(void *)((char *)ctx->scratch + s->zeros_at);
    int32_t x_zero = vly_zero_at(vly_op_in(ctx, in->x_zero), 0);
    vly_gemm_q8 w = vly_q8_operand(ctx->in[in->w], c->k, 1, vly_op_in(ctx, in->w_zero), zeros);

    for (int64_t g = 0; g < c->group; g++) {
        vly_gemm_q8 w_group = w;
        w_group.data = (const char *)w.data + g * c->m * c->k;
        w_group.zeros = w.zeros != NULL ? w.zeros + g * c->m : NULL;
        vly_gemm_pack_a_q8(&s->plan, ctx->scratch, &w_group);
        for (int64_t n = 0; n < c->batch; n++) {
            const char *image =
                (const char *)x->data + (n * c->group + g) * c->in_channels * c->in_size;
            vly_im2col b = vly_im2col_q8(&c->win.w, image, x->dtype == VLY_DTYPE_I8, x_zero);
            vly_product_run(ctx, &s->plan, ctx->scratch, &b.base,
                            sums + (n * c->group + g) * c->m * c->out_size, (size_t)c->out_size,
                            bias != NULL ? (const int32_t *)bias->data + g * c->m : NULL);
        }
    }
}

static vly_status run_conv(vly_op_ctx *ctx, const int_conv_inputs *in, vly_conv *c,
                           int32_t **ret_sums, vly_err *err)
{
    int_conv_scratch s;
    bool keeps_sums = ctx->out[0].dtype != VLY_DTYPE_I32;
    vly_status st = vly_conv_resolve(ctx, ctx->params, in->x, in->w, c, err);

    if (st != VLY_OK)
        return st;
    if (!lay_out(c, keeps_sums, &s))
        return vly_fail(err, VLY_ELIMIT, "scratch memory overflows");
    *ret_sums =
        keeps_sums ? (int32_t *)(void *)((char *)ctx->scratch + s.sums_at) : ctx->out[0].data;
    sum_all(ctx, in, c, &s, *ret_sums);
    return VLY_OK;
}

static vly_status conv_integer_infer(vly_op_ctx *ctx, vly_err *err)
{
    return infer_conv(ctx, &conv_integer, VLY_DTYPE_I32, err);
}

static vly_status conv_integer_run(vly_op_ctx *ctx, vly_err *err)
{
    vly_conv c;
    int32_t *sums;
    return run_conv(ctx, &conv_integer, &c, &sums, err);
}

static vly_status qlinear_conv_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *bias = vly_op_in(ctx, qlinear_conv.bias);
    vly_dtype out = ctx->in[qlinear_conv.y_zero]->dtype;
    vly_status st = vly_op_check_dtype(ctx, qlinear_conv.y_zero, VLY_T_Q8, err);

    if (st == VLY_OK)
        st = infer_conv(ctx, &qlinear_conv, out, err);
    if (st == VLY_OK)
        st = vly_check_qparam(ctx, qlinear_conv.y_scale, qlinear_conv.y_zero, 1, out, err);
    if (st == VLY_OK && bias != NULL)
        st = vly_op_check_dtype(ctx, qlinear_conv.bias, VLY_T(I32), err);
    if (st == VLY_OK)
        st = vly_op_check_vector(ctx, qlinear_conv.bias, ctx->out[0].shape.dim[1], err);
    return st;
}

typedef struct requantise_job {
    const vly_op_ctx *ctx;
    const vly_conv *c;
    const int32_t *sums;
    vly_quant_type type;
} requantise_job;

/* Output planes begin..end. */
static void requantise_planes(void *arg, size_t begin, size_t end)
{
    const requantise_job *j = arg;
    const int_conv_inputs *in = &qlinear_conv;
    float x_scale = vly_scale_at(j->ctx->in[in->x_scale], 0);
    float y_scale = vly_scale_at(j->ctx->in[in->y_scale], 0);
    int32_t y_zero = vly_zero_at(j->ctx->in[in->y_zero], 0);

    for (size_t i = begin; i < end; i++) {
        int64_t ch = (int64_t)i % (j->c->group * j->c->m);
        float factor = x_scale * vly_scale_at(j->ctx->in[in->w_scale], ch) / y_scale;
        int64_t at = (int64_t)i * j->c->out_size;
        vly_requantise_s32(j->sums + at, j->c->out_size, factor, y_zero, j->type,
                           (char *)j->ctx->out[0].data + at);
    }
}

static vly_status qlinear_conv_run(vly_op_ctx *ctx, vly_err *err)
{
    vly_conv c;
    int32_t *sums;
    requantise_job j = {.ctx = ctx, .c = &c};
    vly_status st = run_conv(ctx, &qlinear_conv, &c, &sums, err);

    if (st != VLY_OK || !vly_quant_type_of(ctx->out[0].dtype, &j.type))
        return st;
    j.sums = sums;
    vly_op_split(ctx, c.batch * c.group * c.m, c.out_size, requantise_planes, &j);
    return VLY_OK;
}

const vly_op vly_ops_conv_int[] = {
    {.name = "ConvInteger",
     .since = 10,
     .n_in_min = 2,
     .n_in_max = 4,
     .dtypes = VLY_T_Q8,
     .params_bytes = sizeof(vly_conv_params),
     .prepare = conv_prepare,
     .infer = conv_integer_infer,
     .run = conv_integer_run},
    {.name = "QLinearConv",
     .since = 10,
     .n_in_min = 8,
     .n_in_max = 9,
     .dtypes = VLY_T_Q8,
     .params_bytes = sizeof(vly_conv_params),
     .prepare = conv_prepare,
     .infer = qlinear_conv_infer,
     .run = qlinear_conv_run},
    {NULL},
};
