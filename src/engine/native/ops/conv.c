/* SPDX-License-Identifier: MIT */
/* Conv, and com.microsoft FusedConv: a Conv with an activation behind it. */
#include "base/bits.h"
#include "dsp/act.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/conv_common.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"

#include <math.h>

/* Up to this many output positions a matrix-vector product per position beats packing the weights.
 */
#define THIN_MAX 3

typedef enum fused_act {
    ACT_NONE,
    ACT_RELU,
    ACT_SIGMOID,
    ACT_TANH,
    ACT_LEAKY_RELU,
    ACT_CLIP,
    ACT_HARD_SIGMOID,
} fused_act;

typedef struct conv_params {
    vly_conv_params conv; /* first: Conv reads no more than this */
    fused_act act;
    float act_param[2];
} conv_params;

static vly_status conv_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    conv_params *p = params;
    return vly_conv_read(ctx->proto, &p->conv, err);
}

static vly_status fused_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    conv_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    size_t n;
    vly_status st = vly_conv_read(ctx->proto, &p->conv, err);

    if (st != VLY_OK)
        return st;
    p->act = (fused_act)vly_attrs_enum(
        &a, "activation", "NONE\0Relu\0Sigmoid\0Tanh\0LeakyRelu\0Clip\0HardSigmoid\0", ACT_NONE);
    const float *values = vly_attrs_floats(&a, "activation_params", &n);
    size_t want = p->act == ACT_LEAKY_RELU ? 1 : p->act >= ACT_CLIP ? 2 : 0;
    if (n < want)
        return vly_fail(err, VLY_EINVAL,
                        "attribute 'activation_params': expected %zu floats, got %zu", want, n);
    for (size_t i = 0; i < want; i++)
        p->act_param[i] = values[i];
    return vly_attrs_end(&a, err);
}

typedef enum conv_method { CONV_DEPTHWISE, CONV_THIN, CONV_PRODUCT } conv_method;

static conv_method method_of(const vly_conv *c)
{
    if (c->in_channels == 1 && c->group > 1)
        return CONV_DEPTHWISE;
    return c->out_size <= THIN_MAX ? CONV_THIN : CONV_PRODUCT;
}

static vly_gemm_plan product_plan(const vly_gemm_dsp *dsp, const vly_conv *c)
{
    vly_gemm_plan plan;
    vly_gemm_plan_init(&plan, &dsp->f32, c->m, c->out_size, c->k);
    return plan;
}

static vly_status conv_infer(vly_op_ctx *ctx, vly_err *err)
{
    const conv_params *p = ctx->params;
    vly_conv c;
    vly_status st = vly_op_check_same_dtype(ctx, 1, 3, err);

    if (st == VLY_OK)
        st = vly_conv_resolve(ctx, &p->conv, 0, 1, &c, err);
    if (st == VLY_OK)
        st = vly_op_check_vector(ctx, 2, c.out.dim[1], err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &c.out);
    if (!c.is_known)
        return VLY_OK;
    ctx->flops = vly_conv_flops(&c);
    if (method_of(&c) == CONV_THIN) {
        ctx->scratch_bytes = (size_t)(c.k * c.out_size) * sizeof(float);
    } else if (method_of(&c) == CONV_PRODUCT) {
        vly_gemm_dsp dsp = vly_product_dsp();
        vly_gemm_plan plan = product_plan(&dsp, &c);
        ctx->scratch_bytes = vly_product_bytes(&plan);
    }
    ctx->scratch_bytes = vly_align_up(ctx->scratch_bytes, 64);
    return vly_half_infer(ctx, err);
}

typedef struct conv_job {
    const vly_conv *c;
    const float *x, *w, *bias;
    float *y;
} conv_job;

/* Output planes begin..end of all pictures. */
static void depthwise_planes(void *arg, size_t begin, size_t end)
{
    const conv_job *j = arg;
    const vly_conv *c = j->c;
    int64_t channels = c->group * c->m;

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        int64_t ch = i % channels, in_plane = i / channels * c->group + ch / c->m;
        vly_depthwise_f32(&c->win.w, j->x + in_plane * c->in_size, j->w + ch * c->k,
                          j->bias != NULL ? j->bias[ch] : 0.0f, j->y + i * c->out_size);
    }
}

/* A convolution without window arithmetic: the image is the matrix. */
static bool is_pointwise(const vly_window *w)
{
    for (int d = 0; d < 3; d++)
        if (w->kernel[d] != 1 || w->stride[d] != 1 || w->pad[d] != 0 || w->in[d] != w->out[d])
            return false;
    return true;
}

/* One picture, one group. */
static void thin_group(const vly_gemm_dsp *dsp, const conv_job *j, float *columns)
{
    const vly_conv *c = j->c;
    vly_im2col cols = vly_im2col_f32(&c->win.w, j->x);

    cols.base.pack(&cols.base, columns, 0, c->k, 0, c->out_size, 1);
    for (int64_t i = 0; i < c->m; i++) {
        for (int64_t o = 0; o < c->out_size; o++)
            j->y[i * c->out_size + o] =
                dsp->dot_f32(j->w + i * c->k, columns + o * c->k, (size_t)c->k) +
                (j->bias != NULL ? j->bias[i] : 0.0f);
    }
}

static void product_group(const vly_op_ctx *ctx, const vly_gemm_plan *plan, const conv_job *j)
{
    const vly_conv *c = j->c;
    vly_im2col cols = vly_im2col_f32(&c->win.w, j->x);
    vly_gemm_b_f32 image = vly_gemm_b_f32_matrix(j->x, c->in_size, 1);
    const vly_gemm_b *b = is_pointwise(&c->win.w) ? &image.base : &cols.base;

    vly_product_run(ctx, plan, ctx->scratch, b, j->y, (size_t)c->out_size, j->bias);
}

static void groups_run(const vly_op_ctx *ctx, const conv_job *all)
{
    const vly_conv *c = all->c;
    vly_gemm_dsp dsp = vly_product_dsp();
    vly_gemm_plan plan = product_plan(&dsp, c);
    bool is_thin = method_of(c) == CONV_THIN;

    for (int64_t g = 0; g < c->group; g++) {
        conv_job j = *all;
        j.w = all->w + g * c->m * c->k;
        j.bias = all->bias != NULL ? all->bias + g * c->m : NULL;
        if (!is_thin)
            vly_gemm_pack_a_f32(&plan, ctx->scratch, j.w, c->k, 1);
        for (int64_t n = 0; n < c->batch; n++) {
            j.x = all->x + (n * c->group + g) * c->in_channels * c->in_size;
            j.y = all->y + (n * c->group + g) * c->m * c->out_size;
            if (is_thin)
                thin_group(&dsp, &j, ctx->scratch);
            else
                product_group(ctx, &plan, &j);
        }
    }
}

static vly_status conv_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    const conv_params *p = ctx->params;
    const vly_tensor *bias = vly_op_in(ctx, 2);
    vly_conv c;
    vly_status st = vly_conv_resolve(ctx, &p->conv, 0, 1, &c, err);

    if (st != VLY_OK)
        return st;
    conv_job j = {&c, ctx->in[0]->data, ctx->in[1]->data, bias != NULL ? bias->data : NULL,
                  ctx->out[0].data};
    if (method_of(&c) == CONV_DEPTHWISE)
        vly_op_split(ctx, c.batch * c.group * c.m, c.out_size * c.k, depthwise_planes, &j);
    else
        groups_run(ctx, &j);
    return VLY_OK;
}

static vly_status conv_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, conv_run_f32, err);
}

/* y = act(y), in place. */
static void activate(const conv_params *p, float *y, int64_t n)
{
    const float *v = p->act_param;

    switch (p->act) {
    case ACT_NONE:
        break;
    case ACT_RELU:
        for (int64_t i = 0; i < n; i++)
            y[i] = y[i] < 0.0f ? 0.0f : y[i];
        break;
    case ACT_SIGMOID:
        vly_act_sigmoid(y, y, (size_t)n);
        break;
    case ACT_TANH:
        vly_act_tanh(y, y, (size_t)n);
        break;
    case ACT_LEAKY_RELU:
        for (int64_t i = 0; i < n; i++)
            y[i] = y[i] < 0.0f ? v[0] * y[i] : y[i];
        break;
    case ACT_CLIP:
        for (int64_t i = 0; i < n; i++)
            y[i] = fminf(fmaxf(y[i], v[0]), v[1]);
        break;
    case ACT_HARD_SIGMOID:
        for (int64_t i = 0; i < n; i++)
            y[i] = fminf(fmaxf(v[0] * y[i] + v[1], 0.0f), 1.0f);
        break;
    }
}

/* Z, the optional input 3, is added before the activation. */
static vly_status fused_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *z = vly_op_in(ctx, 3);
    float *y = ctx->out[0].data;
    int64_t n = (int64_t)vly_tensor_count(&ctx->out[0]);
    vly_status st = conv_run_f32(ctx, err);

    if (st != VLY_OK)
        return st;
    if (z != NULL && !vly_shape_eq(&z->shape, &ctx->out[0].shape))
        return vly_fail(err, VLY_EINVAL, "input 3: expected the shape of the output");
    for (int64_t i = 0; z != NULL && i < n; i++)
        y[i] += ((const float *)z->data)[i];
    activate(ctx->params, y, n);
    return VLY_OK;
}

const vly_op vly_ops_conv[] = {
    {.name = "Conv",
     .since = 1,
     .n_in_min = 2,
     .n_in_max = 3,
     .dtypes = VLY_T(F32) | VLY_T(F16) | VLY_T(BF16),
     .params_bytes = sizeof(conv_params),
     .prepare = conv_prepare,
     .infer = conv_infer,
     .run = conv_run},
    {.name = "FusedConv",
     .domain = "com.microsoft",
     .since = 1,
     .n_in_min = 2,
     .n_in_max = 4,
     .dtypes = VLY_T(F32),
     .params_bytes = sizeof(conv_params),
     .prepare = fused_prepare,
     .infer = conv_infer,
     .run = fused_run},
    {NULL},
};
