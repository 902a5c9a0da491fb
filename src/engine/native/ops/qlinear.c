/* SPDX-License-Identifier: MIT */
/*
 * com.microsoft's 8-bit ops, as ONNX Runtime's quantiser writes them: dequantise, compute in float,
 * quantise. Functions of one value go through a table of all 256.
 */
#include "base/bits.h"
#include "dsp/pooling.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "engine/native/ops/product.h"
#include "engine/native/ops/qparam.h"
#include "engine/native/ops/spatial.h"
#include "tensor/walk.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A scale and zero point, one for a tensor. */
typedef struct affine {
    vly_quant_type type;
    float scale;
    int32_t zero;
} affine;

static affine affine_of(const vly_op_ctx *ctx, int i_scale, int i_zero, vly_dtype dtype)
{
    affine a = {VLY_QUANT_U8, vly_scale_at(ctx->in[i_scale], 0),
                vly_zero_at(vly_op_in(ctx, i_zero), 0)};
    if (dtype == VLY_DTYPE_I8)
        a.type = VLY_QUANT_I8;
    return a;
}

/* The scale and zero point at i_scale and i_scale + 1 fit a tensor of this dtype. */
static vly_status check_affine(const vly_op_ctx *ctx, int i_scale, vly_dtype dtype, vly_err *err)
{
    return vly_check_qparam(ctx, i_scale, i_scale + 1, 1, dtype, err);
}

/* ---- QLinearAdd, QLinearMul --------------------------------------------------------------- */

enum { BIN_A, BIN_A_SCALE, BIN_A_ZERO, BIN_B, BIN_B_SCALE, BIN_B_ZERO, BIN_C_SCALE, BIN_C_ZERO };
#define CHUNK 256

static vly_status binary_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *a = ctx->in[BIN_A], *b = ctx->in[BIN_B];
    vly_shape out;
    vly_status st = vly_op_check_dtype(ctx, BIN_B, 1u << a->dtype, err);

    if (st == VLY_OK)
        st = check_affine(ctx, BIN_A_SCALE, a->dtype, err);
    if (st == VLY_OK)
        st = check_affine(ctx, BIN_B_SCALE, a->dtype, err);
    if (st == VLY_OK)
        st = check_affine(ctx, BIN_C_SCALE, a->dtype, err);
    if (st != VLY_OK)
        return st;
    if (!vly_shape_broadcast(&a->shape, &b->shape, &out)) {
        char text_a[VLY_SHAPE_TEXT_MAX], text_b[VLY_SHAPE_TEXT_MAX];
        return vly_fail(err, VLY_EINVAL, "shapes %s and %s do not broadcast",
                        vly_shape_text(&a->shape, text_a), vly_shape_text(&b->shape, text_b));
    }
    vly_op_out_set(ctx, 0, a->dtype, &out);
    return VLY_OK;
}

/* n values as floats, `step` apart (0: one value repeated). */
static void load_row(const affine *q, const char *x, int64_t step, int64_t n, float *out)
{
    if (step == 1) {
        vly_dequantise_f32(x, n, q->scale, q->zero, q->type, out);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        vly_dequantise_f32(x + i * step, 1, q->scale, q->zero, q->type, out + i);
}

static void binary_row(const vly_walk *w, const affine q[3], const char *a, const char *b, char *c,
                       bool is_mul)
{
    float x[CHUNK], y[CHUNK];

    for (int64_t at = 0; at < w->n; at += CHUNK) {
        int64_t n = w->n - at < CHUNK ? w->n - at : CHUNK;
        load_row(&q[0], a + at * w->step[0], w->step[0], n, x);
        load_row(&q[1], b + at * w->step[1], w->step[1], n, y);
        for (int64_t i = 0; i < n; i++)
            x[i] = is_mul ? x[i] * y[i] : x[i] + y[i];
        vly_quantise_f32(x, n, q[2].scale, q[2].zero, q[2].type, c + at);
    }
}

static void binary_rows(const vly_op_ctx *ctx, bool is_mul)
{
    const vly_tensor *a = ctx->in[BIN_A], *b = ctx->in[BIN_B], *c = &ctx->out[0];
    affine q[3] = {affine_of(ctx, BIN_A_SCALE, BIN_A_ZERO, a->dtype),
                   affine_of(ctx, BIN_B_SCALE, BIN_B_ZERO, a->dtype),
                   affine_of(ctx, BIN_C_SCALE, BIN_C_ZERO, a->dtype)};
    int64_t strides[3][VLY_RANK_MAX];
    vly_walk w;

    vly_shape_broadcast_strides(&a->shape, &c->shape, strides[0]);
    vly_shape_broadcast_strides(&b->shape, &c->shape, strides[1]);
    vly_shape_strides(&c->shape, strides[2]);
    for (vly_walk_begin(&w, &c->shape, 3, strides); w.more; vly_walk_next(&w))
        binary_row(&w, q, (const char *)a->data + w.off[0], (const char *)b->data + w.off[1],
                   (char *)c->data + w.off[2], is_mul);
}

static vly_status add_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    binary_rows(ctx, false);
    return VLY_OK;
}

static vly_status mul_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    binary_rows(ctx, true);
    return VLY_OK;
}

/* ---- functions of one value --------------------------------------------------------------- */

enum { UN_X, UN_X_SCALE, UN_X_ZERO, UN_Y_SCALE, UN_Y_ZERO };

typedef struct unary_params {
    float alpha;
} unary_params;

static vly_status leaky_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    unary_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->alpha = vly_attrs_float(&a, "alpha", 0.01f);
    return vly_attrs_end(&a, err);
}

static vly_status unary_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = check_affine(ctx, UN_X_SCALE, ctx->in[UN_X]->dtype, err);

    if (st == VLY_OK)
        st = check_affine(ctx, UN_Y_SCALE, ctx->in[UN_X]->dtype, err);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[UN_X]->dtype, &ctx->in[UN_X]->shape);
    return st;
}

typedef float scalar_fn(const unary_params *p, float x);

static float same(const unary_params *p, float x)
{
    (void)p;
    return x;
}

static float sigmoid(const unary_params *p, float x)
{
    (void)p;
    return 1.0f / (1.0f + expf(-x));
}

static float leaky(const unary_params *p, float x)
{
    return x < 0.0f ? p->alpha * x : x;
}

/* What f makes of every byte, read as from and written as to. */
static void fill_table(const unary_params *p, scalar_fn *f, const affine *from, const affine *to,
                       uint8_t table[256])
{
    for (int i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        float x;
        vly_dequantise_f32(&byte, 1, from->scale, from->zero, from->type, &x);
        x = f(p, x);
        vly_quantise_f32(&x, 1, to->scale, to->zero, to->type, &table[i]);
    }
}

static void unary_run(const vly_op_ctx *ctx, scalar_fn *f)
{
    const vly_tensor *x = ctx->in[UN_X];
    affine from = affine_of(ctx, UN_X_SCALE, UN_X_ZERO, x->dtype);
    affine to = affine_of(ctx, UN_Y_SCALE, UN_Y_ZERO, x->dtype);
    const uint8_t *in = x->data;
    uint8_t *out = ctx->out[0].data, table[256];

    fill_table(ctx->params, f, &from, &to, table);
    for (size_t i = 0; i < x->bytes; i++)
        out[i] = table[in[i]];
}

static vly_status sigmoid_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    unary_run(ctx, sigmoid);
    return VLY_OK;
}

static vly_status leaky_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    unary_run(ctx, leaky);
    return VLY_OK;
}

/* ---- QLinearConcat: y_scale, y_zero, then (x, scale, zero) for each part ------------------- */

enum { CAT_Y_SCALE, CAT_Y_ZERO, CAT_FIRST };

typedef struct concat_params {
    int64_t axis;
} concat_params;

static vly_status concat_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    concat_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", 0);
    return vly_attrs_end(&a, err);
}

/* Adds part i to the output's shape. */
static vly_status concat_part(const vly_op_ctx *ctx, int i, int axis, vly_shape *out, vly_err *err)
{
    const vly_shape *s = &ctx->in[i]->shape;
    vly_dtype dtype = ctx->in[CAT_FIRST]->dtype;
    vly_status st = vly_op_check_dtype(ctx, i, 1u << dtype, err);

    if (st == VLY_OK)
        st = check_affine(ctx, i + 1, dtype, err);
    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, i, out->rank, out->rank, err);
    for (int d = 0; d < out->rank && st == VLY_OK; d++) {
        if (d == axis)
            out->dim[d] =
                out->dim[d] < 0 || s->dim[d] < 0 ? VLY_DIM_UNKNOWN : out->dim[d] + s->dim[d];
        else if (out->dim[d] < 0)
            out->dim[d] = s->dim[d];
        else if (s->dim[d] >= 0 && s->dim[d] != out->dim[d])
            st = vly_fail(err, VLY_EINVAL, "input %d: axis %d of %" PRId64 ", expected %" PRId64, i,
                          d, s->dim[d], out->dim[d]);
    }
    return st;
}

static vly_status concat_infer(vly_op_ctx *ctx, vly_err *err)
{
    const concat_params *p = ctx->params;
    int axis;

    if ((ctx->n_in - CAT_FIRST) % 3 != 0)
        return vly_fail(err, VLY_EINVAL, "expected three inputs for each part");
    for (int i = 0; i < ctx->n_in; i++)
        if (vly_op_in(ctx, i) == NULL)
            return vly_fail(err, VLY_EINVAL, "input %d is missing", i);
    vly_shape out = ctx->in[CAT_FIRST]->shape;
    vly_status st = vly_op_check_dtype(ctx, CAT_FIRST, VLY_T_Q8, err);
    if (st == VLY_OK)
        st = vly_op_axis(p->axis, out.rank, &axis, err);
    if (st == VLY_OK)
        st = check_affine(ctx, CAT_Y_SCALE, ctx->in[CAT_FIRST]->dtype, err);
    if (st != VLY_OK)
        return st;
    out.dim[axis] = 0;
    for (int i = CAT_FIRST; i < ctx->n_in && st == VLY_OK; i += 3)
        st = concat_part(ctx, i, axis, &out, err);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[CAT_FIRST]->dtype, &out);
    return st;
}

static vly_status concat_run(vly_op_ctx *ctx, vly_err *err)
{
    const concat_params *p = ctx->params;
    const vly_shape *out = &ctx->out[0].shape;
    vly_dtype dtype = ctx->out[0].dtype;
    affine to = affine_of(ctx, CAT_Y_SCALE, CAT_Y_ZERO, dtype);
    int64_t done = 0;
    int axis;
    vly_status st = vly_op_axis(p->axis, out->rank, &axis, err);

    if (st != VLY_OK)
        return st;
    int64_t outer = vly_shape_span(out, 0, axis), row = vly_shape_span(out, axis, out->rank);
    for (int i = CAT_FIRST; i < ctx->n_in; i += 3) {
        affine from = affine_of(ctx, i + 1, i + 2, dtype);
        int64_t part = vly_shape_span(&ctx->in[i]->shape, axis, out->rank);
        const uint8_t *x = ctx->in[i]->data;
        uint8_t table[256];
        fill_table(NULL, same, &from, &to, table);
        for (int64_t o = 0; o < outer; o++) {
            uint8_t *y = (uint8_t *)ctx->out[0].data + o * row + done;
            for (int64_t k = 0; k < part; k++)
                y[k] = table[*x++];
        }
        done += part;
    }
    return VLY_OK;
}

/* ---- QLinearAveragePool, QLinearGlobalAveragePool ------------------------------------------ */

typedef struct pool_params {
    vly_spatial spatial;
    bool count_include_pad;
} pool_params;

static vly_status global_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    vly_attrs a = vly_attrs_begin(ctx->proto);

    (void)params;
    if (vly_attrs_int(&a, "channels_last", 0) != 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "channels_last is not supported");
    return vly_attrs_end(&a, err);
}

static vly_status pool_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    pool_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    vly_status st = global_prepare(ctx, params, err);

    if (st == VLY_OK)
        st = vly_spatial_read(ctx->proto, &p->spatial, err);
    if (st == VLY_OK && p->spatial.n_kernel == 0)
        st = vly_fail(err, VLY_EINVAL, "attribute 'kernel_shape': expected, but not given");
    if (st != VLY_OK)
        return st;
    p->count_include_pad = vly_attrs_int(&a, "count_include_pad", 0) != 0;
    return vly_attrs_end(&a, err);
}

/* The window; the global pool's is the whole plane. */
static vly_status pool_resolve(const vly_op_ctx *ctx, vly_spatial_window *ret, vly_err *err)
{
    const pool_params *p = ctx->params;
    const vly_shape *x = &ctx->in[UN_X]->shape;
    vly_spatial whole = {0};
    bool is_global = p->spatial.n_kernel == 0;
    vly_status st = vly_op_check_rank(ctx, UN_X, 3, 2 + VLY_SPATIAL_MAX, err);

    if (st == VLY_OK)
        st = vly_spatial_resolve(is_global ? &whole : &p->spatial, x,
                                 is_global ? x->dim + 2 : p->spatial.kernel, ret, err);
    if (st == VLY_OK)
        ret->out.dim[1] = x->dim[1];
    return st;
}

static vly_status pool_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_spatial_window win;
    vly_status st = unary_infer(ctx, err);

    if (st != VLY_OK || !vly_shape_known(&ctx->in[UN_X]->shape)) {
        for (int d = 2; st == VLY_OK && d < ctx->out[0].shape.rank; d++)
            ctx->out[0].shape.dim[d] = VLY_DIM_UNKNOWN;
        return st;
    }
    st = pool_resolve(ctx, &win, err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[UN_X]->dtype, &win.out);
    ctx->scratch_bytes = vly_align_up((size_t)vly_window_in_size(&win.w) * sizeof(float), 64) +
                         vly_align_up((size_t)vly_window_out_size(&win.w) * sizeof(float), 64);
    return VLY_OK;
}

static vly_status pool_run(vly_op_ctx *ctx, vly_err *err)
{
    const pool_params *p = ctx->params;
    const vly_tensor *x = ctx->in[UN_X];
    affine from = affine_of(ctx, UN_X_SCALE, UN_X_ZERO, x->dtype);
    affine to = affine_of(ctx, UN_Y_SCALE, UN_Y_ZERO, x->dtype);
    vly_spatial_window win;
    int64_t limit[VLY_SPATIAL_MAX];
    vly_status st = pool_resolve(ctx, &win, err);

    if (st != VLY_OK)
        return st;
    int64_t in_size = vly_window_in_size(&win.w), out_size = vly_window_out_size(&win.w);
    float *in = ctx->scratch;
    float *out = in + vly_align_up((size_t)in_size, 16);
    for (int d = 0; d < VLY_SPATIAL_MAX; d++)
        limit[d] = win.w.in[d] + win.pad_end[d];
    for (int64_t i = 0; i < x->shape.dim[0] * x->shape.dim[1]; i++) {
        vly_dequantise_f32((const char *)x->data + i * in_size, in_size, from.scale, from.zero,
                           from.type, in);
        vly_mean_pool_f32(&win.w, in, p->count_include_pad ? limit : NULL, out);
        vly_quantise_f32(out, out_size, to.scale, to.zero, to.type,
                         (char *)ctx->out[0].data + i * out_size);
    }
    return VLY_OK;
}

#define QLINEAR_OP(op_name, in_min, in_max, types, params_size, prepare_fn, infer_fn, run_fn)      \
    {                                                                                              \
        .name = (op_name), .domain = "com.microsoft", .since = 1, .n_in_min = (in_min),            \
        .n_in_max = (in_max), .dtypes = (types), .params_bytes = (params_size),                    \
        .prepare = (prepare_fn), .infer = (infer_fn), .run = (run_fn)                              \
    }

const vly_op vly_ops_qlinear[] = {
    QLINEAR_OP("QLinearAdd", 7, 8, VLY_T_Q8, 0, NULL, binary_infer, add_run),
    QLINEAR_OP("QLinearMul", 7, 8, VLY_T_Q8, 0, NULL, binary_infer, mul_run),
    QLINEAR_OP("QLinearSigmoid", 4, 5, VLY_T_Q8, 0, NULL, unary_infer, sigmoid_run),
    QLINEAR_OP("QLinearLeakyRelu", 4, 5, VLY_T_Q8, sizeof(unary_params), leaky_prepare, unary_infer,
               leaky_run),
    QLINEAR_OP("QLinearConcat", 5, VLY_OP_VARIADIC, VLY_T(F32), sizeof(concat_params),
               concat_prepare, concat_infer, concat_run),
    QLINEAR_OP("QLinearAveragePool", 4, 5, VLY_T_Q8, sizeof(pool_params), pool_prepare, pool_infer,
               pool_run),
    QLINEAR_OP("QLinearGlobalAveragePool", 4, 5, VLY_T_Q8, sizeof(pool_params), global_prepare,
               pool_infer, pool_run),
    {NULL},
};
