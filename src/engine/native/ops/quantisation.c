/* SPDX-License-Identifier: MIT */
/*
 * QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: integers of 4 to 32 bits, and the small
 * floats, which are scaled and converted without a zero point. One scale for the tensor, one for
 * each slice along an axis, or one for each block of an axis.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/qparam.h"
#include "tensor/convert.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define T_SMALL_FLOATS                                                                             \
    (VLY_T(F8E4M3FN) | VLY_T(F8E4M3FNUZ) | VLY_T(F8E5M2) | VLY_T(F8E5M2FNUZ) | VLY_T(F4E2M1))
#define T_QUANTISED                                                                                \
    (VLY_T(U8) | VLY_T(I8) | VLY_T(U16) | VLY_T(I16) | VLY_T(U4) | VLY_T(I4) | T_SMALL_FLOATS)
#define T_SCALE (VLY_T(F32) | VLY_T(F16) | VLY_T(BF16))

typedef struct linear_params {
    int64_t axis, block;
    vly_dtype output; /* UNDEFINED: not given */
    bool saturate;
} linear_params;

static vly_status linear_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    linear_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", 1);
    p->block = vly_attrs_int_in(&a, "block_size", 0, 0, INT32_MAX);
    p->saturate = vly_attrs_int(&a, "saturate", 1) != 0;
    int64_t output = vly_attrs_int(&a, "output_dtype", 0);
    if (output != 0 && !vly_dtype_valid(output))
        return vly_fail(err, VLY_EUNSUPPORTED, "attribute 'output_dtype': data type %" PRId64,
                        output);
    p->output = (vly_dtype)output;
    return vly_attrs_end(&a, err);
}

/* How the elements share scales: runs of `run` elements have one, whose index is run_param(). */
typedef struct layout {
    int64_t n_runs, run;
    int64_t axis_len, inner; /* per axis and blocked; axis_len 0: one scale for all */
    int64_t block, n_blocks; /* blocked; block 0: not */
} layout;

static int64_t run_param(const layout *l, int64_t i)
{
    if (l->axis_len == 0)
        return 0;
    if (l->block == 0)
        return i % l->axis_len;
    if (l->inner == 1 && l->run == l->block)
        return i;
    int64_t inner = i % l->inner, at = i / l->inner % l->axis_len,
            outer = i / l->inner / l->axis_len;
    return (outer * l->n_blocks + at / l->block) * l->inner + inner;
}

static vly_status resolve(const vly_op_ctx *ctx, layout *ret, vly_err *err)
{
    const linear_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape, *s = &ctx->in[1]->shape;
    char text[VLY_SHAPE_TEXT_MAX];
    int axis = 0;
    layout l = {.n_runs = 1, .run = vly_shape_span(x, 0, x->rank)};

    if (vly_shape_span(s, 0, s->rank) == 1 && s->rank <= 1 && p->block == 0) {
        *ret = l;
        return VLY_OK;
    }
    if (!vly_axis_normalise(p->axis, x->rank, &axis))
        return vly_fail(err, VLY_EINVAL, "attribute 'axis': %" PRId64 " is outside of rank %d",
                        p->axis, x->rank);
    l.axis_len = x->dim[axis];
    l.inner = l.run = vly_shape_span(x, axis + 1, x->rank);
    l.n_runs = vly_shape_span(x, 0, axis + 1);
    if (p->block == 0) {
        if (s->rank != 1 || s->dim[0] != l.axis_len)
            return vly_fail(err, VLY_EINVAL, "input 1: expected %" PRId64 " scales, got shape %s",
                            l.axis_len, vly_shape_text(s, text));
        *ret = l;
        return VLY_OK;
    }
    vly_shape want = *x;
    l.block = p->block;
    l.n_blocks = want.dim[axis] = (l.axis_len + p->block - 1) / p->block;
    if (!vly_shape_eq(s, &want))
        return vly_fail(err, VLY_EINVAL, "input 1: shape %s does not fit blocks of %" PRId64,
                        vly_shape_text(s, text), p->block);
    l.run = l.inner == 1 && l.axis_len % p->block == 0 ? p->block : 1;
    l.n_runs = vly_shape_span(x, 0, x->rank) / l.run;
    *ret = l;
    return VLY_OK;
}

static vly_status check_zero(const vly_op_ctx *ctx, vly_dtype want, vly_err *err)
{
    const vly_tensor *zero = vly_op_in(ctx, 2);

    if (zero == NULL)
        return VLY_OK;
    if (zero->dtype != want)
        return vly_fail(err, VLY_EINVAL, "input 2: expected %s, got %s", vly_dtype_name(want),
                        vly_dtype_name(zero->dtype));
    if (vly_shape_known(&zero->shape) && vly_shape_known(&ctx->in[1]->shape) &&
        vly_shape_span(&zero->shape, 0, zero->shape.rank) !=
            vly_shape_span(&ctx->in[1]->shape, 0, ctx->in[1]->shape.rank))
        return vly_fail(err, VLY_EINVAL, "input 2: expected the shape of the scales");
    return VLY_OK;
}

static vly_status linear_infer(vly_op_ctx *ctx, vly_dtype out, vly_dtype zero, vly_err *err)
{
    layout l;
    vly_status st = vly_op_check_dtype(ctx, 1, T_SCALE, err);

    if (st == VLY_OK)
        st = check_zero(ctx, zero, err);
    if (st == VLY_OK && vly_shape_known(&ctx->in[0]->shape) && vly_shape_known(&ctx->in[1]->shape))
        st = resolve(ctx, &l, err);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, out, &ctx->in[0]->shape);
    return st;
}

static vly_status quantise_infer(vly_op_ctx *ctx, vly_err *err)
{
    const linear_params *p = ctx->params;
    const vly_tensor *zero = vly_op_in(ctx, 2);
    vly_dtype out = zero != NULL                       ? zero->dtype
                    : p->output != VLY_DTYPE_UNDEFINED ? p->output
                                                       : VLY_DTYPE_U8;

    if ((T_QUANTISED & 1u << out) == 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "output of type %s", vly_dtype_name(out));
    return linear_infer(ctx, out, out, err);
}

static vly_status dequantise_infer(vly_op_ctx *ctx, vly_err *err)
{
    const linear_params *p = ctx->params;
    vly_dtype out = p->output != VLY_DTYPE_UNDEFINED ? p->output : ctx->in[1]->dtype;

    if ((T_SCALE & 1u << out) == 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "output of type %s", vly_dtype_name(out));
    return linear_infer(ctx, out, ctx->in[0]->dtype, err);
}

/* Rows are handled in pieces of CHUNK elements, which pass through floats (and bytes, for 4-bit
 * types) on the stack. */
#define CHUNK 256

static void store_nibbles(uint8_t *dst, int64_t at, const uint8_t *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++, at++) {
        unsigned shift = at % 2 == 0 ? 0 : 4;
        dst[at / 2] = (uint8_t)((dst[at / 2] & ~(0xfu << shift)) | (values[i] & 0xfu) << shift);
    }
}

static void load_nibbles(const uint8_t *src, int64_t at, bool is_signed, int8_t *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++, at++) {
        int v = src[at / 2] >> (at % 2 == 0 ? 0 : 4) & 0xf;
        values[i] = (int8_t)(is_signed && v > 7 ? v - 16 : v);
    }
}

static bool is_nibble(vly_dtype t)
{
    return vly_dtype_bits(t) == 4;
}

/* Elements at..at+n of a real tensor, as floats. n <= CHUNK. */
static void load_floats(const vly_tensor *t, int64_t at, int64_t n, float *out)
{
    if (is_nibble(t->dtype)) {
        uint8_t values[CHUNK], packed[CHUNK / 2 + 1] = {0};
        load_nibbles(t->data, at, false, (int8_t *)values, n);
        store_nibbles(packed, 0, values, n); /* vly_convert begins at whole bytes */
        vly_convert(t->dtype, packed, VLY_DTYPE_F32, out, (size_t)n, false);
        return;
    }
    const char *src = (const char *)t->data + at * (vly_dtype_bits(t->dtype) / 8);
    vly_convert(t->dtype, src, VLY_DTYPE_F32, out, (size_t)n, false);
}

static void store_floats(const vly_tensor *t, int64_t at, int64_t n, bool saturate, const float *in)
{
    uint8_t packed[CHUNK / 2 + 1];

    if (is_nibble(t->dtype)) {
        uint8_t values[CHUNK];
        vly_convert(VLY_DTYPE_F32, in, t->dtype, packed, (size_t)n, saturate);
        load_nibbles(packed, 0, false, (int8_t *)values, n);
        store_nibbles(t->data, at, values, n);
        return;
    }
    char *dst = (char *)t->data + at * (vly_dtype_bits(t->dtype) / 8);
    vly_convert(VLY_DTYPE_F32, in, t->dtype, dst, (size_t)n, saturate);
}

/* y[at..at+n] of one scale and zero point. */
static void quantise_chunk(const vly_op_ctx *ctx, int64_t at, int64_t n, float scale, int32_t zero)
{
    const linear_params *p = ctx->params;
    const vly_tensor *y = &ctx->out[0];
    float x[CHUNK];
    uint8_t nibbles[CHUNK];
    vly_quant_type type;

    load_floats(ctx->in[0], at, n, x);
    if (!vly_quant_type_of(y->dtype, &type)) {
        for (int64_t i = 0; i < n; i++)
            x[i] = x[i] / scale + 0.0f; /* the zero point, which makes -0 a 0 */
        store_floats(y, at, n, p->saturate, x);
    } else if (is_nibble(y->dtype)) {
        vly_quantise_f32(x, n, scale, zero, type, nibbles);
        store_nibbles(y->data, at, nibbles, n);
    } else {
        vly_quantise_f32(x, n, scale, zero, type,
                         (char *)y->data + at * (vly_dtype_bits(y->dtype) / 8));
    }
}

static void dequantise_chunk(const vly_op_ctx *ctx, int64_t at, int64_t n, float scale,
                             int32_t zero)
{
    const vly_tensor *x = ctx->in[0];
    float y[CHUNK];
    int8_t nibbles[CHUNK];
    vly_quant_type type;

    if (!vly_quant_type_of(x->dtype, &type)) {
        load_floats(x, at, n, y);
        for (int64_t i = 0; i < n; i++)
            y[i] *= scale;
    } else if (is_nibble(x->dtype)) {
        load_nibbles(x->data, at, x->dtype == VLY_DTYPE_I4, nibbles, n);
        vly_dequantise_f32(nibbles, n, scale, zero, type, y);
    } else {
        vly_dequantise_f32((const char *)x->data + at * (vly_dtype_bits(x->dtype) / 8), n, scale,
                           zero, type, y);
    }
    store_floats(&ctx->out[0], at, n, false, y);
}

typedef void chunk_fn(const vly_op_ctx *ctx, int64_t at, int64_t n, float scale, int32_t zero);

static vly_status linear_run(vly_op_ctx *ctx, chunk_fn *chunk, vly_err *err)
{
    const vly_tensor *zeros = vly_op_in(ctx, 2);
    bool is_integer = zeros != NULL && (T_SMALL_FLOATS & 1u << zeros->dtype) == 0;
    layout l;
    vly_status st = resolve(ctx, &l, err);

    if (st != VLY_OK)
        return st;
    if (is_nibble(ctx->out[0].dtype))
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    for (int64_t i = 0; i < l.n_runs && l.run > 0; i++) {
        int64_t param = run_param(&l, i);
        float scale = vly_scale_at(ctx->in[1], param);
        int32_t zero = is_integer ? vly_zero_at(zeros, param) : 0;
        for (int64_t done = 0; done < l.run; done += CHUNK)
            chunk(ctx, i * l.run + done, l.run - done < CHUNK ? l.run - done : CHUNK, scale, zero);
    }
    return VLY_OK;
}

static vly_status quantise_run(vly_op_ctx *ctx, vly_err *err)
{
    return linear_run(ctx, quantise_chunk, err);
}

static vly_status dequantise_run(vly_op_ctx *ctx, vly_err *err)
{
    return linear_run(ctx, dequantise_chunk, err);
}

static vly_status dynamic_infer(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    vly_op_out_set(ctx, 0, VLY_DTYPE_U8, &ctx->in[0]->shape);
    vly_op_out_set(ctx, 1, VLY_DTYPE_F32, &VLY_SHAPE_SCALAR);
    vly_op_out_set(ctx, 2, VLY_DTYPE_U8, &VLY_SHAPE_SCALAR);
    return VLY_OK;
}

/* The range is made to hold 0, so that 0 is exact. */
static vly_status dynamic_run(vly_op_ctx *ctx, vly_err *err)
{
    const float *x = ctx->in[0]->data;
    int64_t n = (int64_t)vly_tensor_count(ctx->in[0]);
    float lo = 0.0f, hi = 0.0f;
    uint8_t zero;

    (void)err;
    for (int64_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    float scale = hi > lo ? (hi - lo) / 255.0f : 1.0f;
    float at_zero = -lo;
    vly_quantise_f32(&at_zero, 1, scale, 0, VLY_QUANT_U8, &zero);
    if (vly_op_wants(ctx, 0))
        vly_quantise_f32(x, n, scale, zero, VLY_QUANT_U8, ctx->out[0].data);
    if (vly_op_wants(ctx, 1))
        *(float *)ctx->out[1].data = scale;
    if (vly_op_wants(ctx, 2))
        *(uint8_t *)ctx->out[2].data = zero;
    return VLY_OK;
}

#define LINEAR_OP(op_name, op_domain, types, infer_fn, run_fn)                                     \
    {                                                                                              \
        .name = (op_name), .domain = (op_domain), .since = (op_domain) != NULL ? 1 : 10,           \
        .n_in_min = 2, .n_in_max = 3, .dtypes = (types), .params_bytes = sizeof(linear_params),    \
        .prepare = linear_prepare, .infer = (infer_fn), .run = (run_fn)                            \
    }
#define T_TO_QUANTISE   (T_SCALE | VLY_T(I32))
#define T_TO_DEQUANTISE (T_QUANTISED | VLY_T(I32))

const vly_op vly_ops_quantisation[] = {
    LINEAR_OP("QuantizeLinear", NULL, T_TO_QUANTISE, quantise_infer, quantise_run),
    LINEAR_OP("DequantizeLinear", NULL, T_TO_DEQUANTISE, dequantise_infer, dequantise_run),
    LINEAR_OP("QuantizeLinear", "com.microsoft", T_TO_QUANTISE, quantise_infer, quantise_run),
    LINEAR_OP("DequantizeLinear", "com.microsoft", T_TO_DEQUANTISE, dequantise_infer,
              dequantise_run),
    {.name = "DynamicQuantizeLinear",
     .since = 11,
     .n_in_min = 1,
     .n_in_max = 1,
     .n_out_max = 3,
     .dtypes = VLY_T(F32),
     .infer = dynamic_infer,
     .run = dynamic_run},
    {NULL},
};
