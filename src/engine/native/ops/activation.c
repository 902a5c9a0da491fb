/* SPDX-License-Identifier: MIT */
/*
 * Activations with parameters: Relu, LeakyRelu, PRelu, ThresholdedRelu, Elu, Celu, Selu,
 * HardSigmoid, Gelu, Swish, Shrink.
 */
#include "dsp/act.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"

#include <tgmath.h>

/* The up to two numbers that an activation has, whatever their names. */
typedef struct act_params {
    float a, b;
    bool is_approximate; /* Gelu by tanh */
} act_params;

#define ACT_KERNEL(dtype, T, U, name, EXPR)                                                        \
    static void name##_##dtype(const void *vx, void *vy, int64_t n, const void *param)             \
    {                                                                                              \
        const act_params *p = param;                                                               \
        const T *x = vx;                                                                           \
        const T a = (T)p->a, b = (T)p->b;                                                          \
        T *y = vy;                                                                                 \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        VLY_IVDEP                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = EXPR(x[i], T);                                                                  \
    }

#define ACT_RUN(name, EXPR)                                                                        \
    VLY_EACH_FLOAT(ACT_KERNEL, name, EXPR)                                                         \
    static vly_status name##_run(vly_op_ctx *ctx, vly_err *err)                                    \
    {                                                                                              \
        static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, name)};                        \
        return vly_unary_run(ctx, fns, ctx->params, err);                                          \
    }

#define LEAKY_RELU(x, T)       ((x) < 0 ? a * (x) : (x))
#define THRESHOLDED_RELU(x, T) ((x) > a ? (x) : (T)0)
#define ELU(x, T)              ((x) < 0 ? a * expm1(x) : (x))
#define CELU(x, T)             ((x) < 0 ? a * expm1((x) / a) : (x))
#define SELU(x, T)             ((x) > 0 ? b * (x) : b * a * expm1(x))
#define HARD_SIGMOID(x, T)     fmin(fmax(a *(x) + b, (T)0), (T)1)
#define GELU_EXACT(x, T)       ((T)0.5 * (x) * (1 + erf((x) * (T)0.70710678118654752)))
#define GELU_TANH(x, T)                                                                            \
    ((T)0.5 * (x) * (1 + tanh((T)0.79788456080286536 * ((x) + (T)0.044715 * (x) * (x) * (x)))))
#define SWISH(x, T)  ((x) / (1 + exp(-a * (x))))
#define SHRINK(x, T) ((x) < -a ? (x) + b : (x) > a ? (x)-b : (T)0)
#define SHRINK_INT(x, T)                                                                           \
    (T)((double)(x) < -(double)p->a  ? (double)(x) + (double)p->b                                  \
        : (double)(x) > (double)p->a ? (double)(x) - (double)p->b                                  \
                                     : 0.0)

ACT_RUN(leaky_relu, LEAKY_RELU)
ACT_RUN(thresholded_relu, THRESHOLDED_RELU)
ACT_RUN(elu, ELU)
ACT_RUN(celu, CELU)
ACT_RUN(selu, SELU)
ACT_RUN(hard_sigmoid, HARD_SIGMOID)
VLY_EACH_FLOAT(ACT_KERNEL, swish, SWISH)
VLY_EACH_FLOAT(ACT_KERNEL, shrink, SHRINK)
VLY_EACH_INT(ACT_KERNEL, shrink, SHRINK_INT)
ACT_KERNEL(F64, double, double, gelu_exact, GELU_EXACT)
ACT_KERNEL(F64, double, double, gelu_tanh, GELU_TANH)

static void gelu_F32(const void *x, void *y, int64_t n, const void *param)
{
    const act_params *p = param;

    if (p->is_approximate)
        vly_act_gelu_tanh(x, y, (size_t)n);
    else
        vly_act_gelu(x, y, (size_t)n);
}

static void gelu_F64(const void *x, void *y, int64_t n, const void *param)
{
    const act_params *p = param;

    if (p->is_approximate)
        gelu_tanh_F64(x, y, n, param);
    else
        gelu_exact_F64(x, y, n, param);
}

static vly_status gelu_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, gelu)};
    return vly_unary_run(ctx, fns, ctx->params, err);
}

static void silu_F32(const void *x, void *y, int64_t n, const void *param)
{
    (void)param;
    vly_act_silu(x, y, (size_t)n);
}

static vly_status swish_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table any_alpha = {VLY_EACH_FLOAT(VLY_TABLE_ROW, swish)};
    static vly_unary_table alpha_1 = {[VLY_DTYPE_F32] = silu_F32, [VLY_DTYPE_F64] = swish_F64};
    const act_params *p = ctx->params;

    return vly_unary_run(ctx, p->a == 1.0F ? alpha_1 : any_alpha, p, err);
}

static vly_status shrink_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, shrink)
                                      VLY_EACH_INT(VLY_TABLE_ROW, shrink)};
    return vly_unary_run(ctx, fns, ctx->params, err);
}

#define RELU(x, T) ((x) < 0 ? (T)0 : (x)) /* NaN stays */
VLY_EACH_FLOAT(VLY_UNARY_DEF, relu, RELU)
VLY_EACH_SIGNED(VLY_UNARY_DEF, relu, RELU)

static vly_status relu_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_unary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, relu)
                                      VLY_EACH_SIGNED(VLY_TABLE_ROW, relu)};
    return vly_unary_run(ctx, fns, NULL, err);
}

/* ---- parameters --------------------------------------------------------------------------- */

static vly_status read_params(const vly_op_ctx *ctx, void *params, const char *name_a, float a,
                              const char *name_b, float b, vly_err *err)
{
    act_params *p = params;
    vly_attrs attrs = vly_attrs_begin(ctx->proto);

    p->a = vly_attrs_float(&attrs, name_a, a);
    p->b = name_b != NULL ? vly_attrs_float(&attrs, name_b, b) : 0.0F;
    return vly_attrs_end(&attrs, err);
}

static vly_status leaky_relu_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    return read_params(ctx, params, "alpha", 0.01F, NULL, 0.0F, err);
}

static vly_status alpha_1_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    return read_params(ctx, params, "alpha", 1.0F, NULL, 0.0F, err);
}

static vly_status selu_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    return read_params(ctx, params, "alpha", 1.67326319F, "gamma", 1.05070102F, err);
}

static vly_status hard_sigmoid_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    return read_params(ctx, params, "alpha", 0.2F, "beta", 0.5F, err);
}

static vly_status shrink_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    return read_params(ctx, params, "lambd", 0.5F, "bias", 0.0F, err);
}

static vly_status gelu_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    act_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_approximate = vly_attrs_enum(&a, "approximate", "none\0tanh\0", 0) == 1;
    return vly_attrs_end(&a, err);
}

/* ---- PRelu -------------------------------------------------------------------------------- */

#define PRELU(x, y, T, U) ((x) < 0 ? (T)((U)(x) * (U)(y)) : (x))
#define FIRST(x, y, T, U) ((void)(y), (x))
VLY_EACH_FLOAT(VLY_BINARY_DEF, prelu, PRELU)
VLY_EACH_SIGNED(VLY_BINARY_DEF, prelu, PRELU)
VLY_EACH_UNSIGNED(VLY_BINARY_DEF, prelu, FIRST)

/* Before opset 7 a slope of one dimension belongs to axis 1, the channels. */
static vly_tensor slope_of(const vly_op_ctx *ctx)
{
    vly_tensor slope = *ctx->in[1];
    int rank = ctx->in[0]->shape.rank;

    if (ctx->opset < 7 && slope.shape.rank == 1 && slope.shape.dim[0] != 1)
        while (slope.shape.rank < rank - 1)
            slope.shape.dim[slope.shape.rank++] = 1;
    return slope;
}

static vly_status prelu_infer(vly_op_ctx *ctx, vly_err *err)
{
    char text_x[VLY_SHAPE_TEXT_MAX], text_s[VLY_SHAPE_TEXT_MAX];
    const vly_tensor *x = ctx->in[0];
    vly_tensor slope = slope_of(ctx);
    vly_shape out;

    if (slope.dtype != x->dtype)
        return vly_fail(err, VLY_EINVAL, "input 1: expected %s as input 0, got %s",
                        vly_dtype_name(x->dtype), vly_dtype_name(slope.dtype));
    if (!vly_shape_broadcast(&x->shape, &slope.shape, &out) || !vly_shape_eq(&out, &x->shape))
        return vly_fail(err, VLY_EINVAL, "input 1: shape %s does not broadcast to %s",
                        vly_shape_text(&ctx->in[1]->shape, text_s),
                        vly_shape_text(&x->shape, text_x));
    vly_op_out_set(ctx, 0, x->dtype, &x->shape);
    return VLY_OK;
}

static vly_status prelu_run(vly_op_ctx *ctx, vly_err *err)
{
    static vly_binary_table fns = {VLY_EACH_FLOAT(VLY_TABLE_ROW, prelu)
                                       VLY_EACH_INT(VLY_TABLE_ROW, prelu)};
    vly_tensor slope = slope_of(ctx);

    return vly_binary_run(ctx->in[0], &slope, &ctx->out[0], fns, err);
}

/* ---- table -------------------------------------------------------------------------------- */

#define ACT_OP(op_name, first, prepare_fn, run_fn)                                                 \
    {                                                                                              \
        .name = op_name, .since = first, .n_in_min = 1, .n_in_max = 1, .dtypes = VLY_T_FLOAT,      \
        .flags = VLY_OP_INPLACE, .params_bytes = sizeof(act_params), .prepare = prepare_fn,        \
        .infer = vly_infer_same, .run = run_fn                                                     \
    }

const vly_op vly_ops_activation[] = {
    {.name = "Relu",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_FLOAT | VLY_T(I8) | VLY_T(I16) | VLY_T(I32) | VLY_T(I64),
     .flags = VLY_OP_INPLACE,
     .infer = vly_infer_same,
     .run = relu_run},
    ACT_OP("LeakyRelu", 1, leaky_relu_prepare, leaky_relu_run),
    ACT_OP("ThresholdedRelu", 10, alpha_1_prepare, thresholded_relu_run),
    ACT_OP("Elu", 1, alpha_1_prepare, elu_run),
    ACT_OP("Celu", 12, alpha_1_prepare, celu_run),
    ACT_OP("Selu", 6, selu_prepare, selu_run),
    ACT_OP("HardSigmoid", 1, hard_sigmoid_prepare, hard_sigmoid_run),
    ACT_OP("Gelu", 20, gelu_prepare, gelu_run),
    ACT_OP("Swish", 24, alpha_1_prepare, swish_run),
    {.name = "Shrink",
     .since = 9,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_NUMBER,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(act_params),
     .prepare = shrink_prepare,
     .infer = vly_infer_same,
     .run = shrink_run},
    {.name = "PRelu",
     .since = 1,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_NUMBER,
     .flags = VLY_OP_INPLACE,
     .infer = prelu_infer,
     .run = prelu_run},
    {NULL},
};
