/* SPDX-License-Identifier: MIT */
/*
 * The end of a convolution, for kernels on vectors of floats (dsp/vec/vec_f32.h): sums of a tile of
 * pixels become outputs as dsp/conv.h says.
 *
 * Tiles leave the registers through a small buffer in the first cache level: one copy of this code
 * then serves tiles of every size, and the 2 loads and stores a vector are little beside SiLU's 16
 * instructions.
 *
 * Errors of the activations, beside the rounding of the result: sigmoid, SiLU 4 epsilon relative
 * (-87 and below: to zero within 1e-36); tanh 2 epsilon relative; GELU 3e-7 absolute or relative,
 * what is more.
 */
#ifndef VLY_DSP_VEC_CONV_FINISH_H
#define VLY_DSP_VEC_CONV_FINISH_H

#include "dsp/conv.h"
#include "dsp/vec/vec_f32.h"

/* Pixels in a row and the channels o..o + n_o - 1 of each. */
typedef struct conv_tile {
    const float *sums; /* [count][stride], stride a multiple of VF >= n_o, 64-byte aligned */
    int stride, count;
    int o, n_o;
    int n, y, x; /* the first pixel */
} conv_tile;

/* 2^(x * b), b: log2 of the base, the exponent within -126..126 */
VEC_INLINE vf vf_power(vf x, vf b)
{
    const vf magic = vf_set(12582912.0f); /* 1.5 * 2^23: rounds to an integer */
    vf n = vf_sub(vf_fma(x, b, magic), magic);
    vf f = vf_fms(x, b, n);
    vf p = vf_fma(f, vf_set(1.32647268e-3f), vf_set(9.67151267e-3f));
    p = vf_fma(p, f, vf_set(5.55073374e-2f));
    p = vf_fma(p, f, vf_set(2.40222421e-1f));
    p = vf_fma(p, f, vf_set(6.93146978e-1f));
    p = vf_fma(p, f, vf_set(1.0f));
    return vf_scale2(p, n);
}

/* a / d, d finite and > 0 */
VEC_INLINE vf vf_quotient(vf a, vf d)
{
    vf r = vf_rcp(d);
    vf q = vf_mul(a, r);
    return vf_fma(q, vf_fnma(d, r, vf_set(1.0f)), q);
}

/* |v| <= 87 */
VEC_INLINE vf vf_one_plus_exp_minus(vf v)
{
    return vf_add(vf_set(1.0f), vf_power(v, vf_set(-1.44269504f)));
}

/* As dsp/act.c: near 0 an odd polynomial, elsewhere by exp. */
VEC_INLINE vf vf_tanh(vf v)
{
    vf a = vf_abs(v), t = vf_mul(v, v);
    vf q = vf_fma(t, vf_set(2.14754521e-3f), vf_set(-8.18268246e-3f));
    q = vf_fma(q, t, vf_set(2.17029702e-2f));
    q = vf_fma(q, t, vf_set(-5.39472047e-2f));
    q = vf_fma(q, t, vf_set(1.33332098e-1f));
    q = vf_fma(q, t, vf_set(-3.33333309e-1f));
    vf small = vf_fma(vf_mul(a, t), q, a);
    vf e = vf_power(vf_min(vf_set(20.0f), a), vf_set(2.88539008f)); /* e^2|v| */
    vf large = vf_sub(vf_set(1.0f), vf_div(vf_set(2.0f), vf_add(e, vf_set(1.0f))));
    return vf_with_sign(vf_if_less(a, vf_set(0.625f), small, large), v);
}

VEC_INLINE vf vf_erf(vf v)
{
    vf a = vf_abs(v), t = vf_mul(v, v), c = vf_min(vf_set(4.0f), a);
    vf p = vf_fma(t, vf_set(-9.68019775e-6f), vf_set(1.12705654e-4f));
    p = vf_fma(p, t, vf_set(-8.48471424e-4f));
    p = vf_fma(p, t, vf_set(5.22107506e-3f));
    p = vf_fma(p, t, vf_set(-2.68654459e-2f));
    p = vf_fma(p, t, vf_set(1.12837827e-1f));
    p = vf_fma(p, t, vf_set(-3.76126385e-1f));
    p = vf_fma(p, t, vf_set(1.12837917f));
    vf q = vf_fma(c, vf_set(-2.16867243e-5f), vf_set(4.41334842e-4f));
    q = vf_fma(q, c, vf_set(-4.20455401e-3f));
    q = vf_fma(q, c, vf_set(2.52082348e-2f));
    q = vf_fma(q, c, vf_set(-1.08418541e-1f));
    q = vf_fma(q, c, vf_set(-6.33219928e-1f));
    q = vf_fma(q, c, vf_set(-1.12957841f));
    q = vf_fma(q, c, vf_set(1.88036064e-4f));
    vf large = vf_with_sign(vf_sub(vf_set(1.0f), vf_power(q, vf_set(1.44269504f))), v);
    return vf_if_less(a, vf_set(1.0f), vf_mul(v, p), large);
}

/* act: a constant */
VEC_INLINE vf vf_act(vly_act act, vf v, vf alpha, vf beta)
{
    switch (act) {
    case VLY_ACT_NONE:
    case VLY_ACT_TABLE:
        break;
    case VLY_ACT_RELU:
        return vf_max(vf_zero(), v);
    case VLY_ACT_CLIP:
        return vf_min(beta, vf_max(alpha, v));
    case VLY_ACT_LEAKY_RELU:
        return vf_if_less(v, vf_zero(), vf_mul(alpha, v), v);
    case VLY_ACT_SIGMOID:
        v = vf_min(vf_set(87.0f), vf_max(vf_set(-87.0f), v));
        return vf_quotient(vf_set(1.0f), vf_one_plus_exp_minus(v));
    case VLY_ACT_SILU:
        return vf_quotient(v, vf_one_plus_exp_minus(vf_limit(v, vf_set(87.0f))));
    case VLY_ACT_TANH:
        return vf_tanh(v);
    case VLY_ACT_HARD_SIGMOID:
        return vf_min(vf_set(1.0f), vf_max(vf_zero(), vf_fma(alpha, v, beta)));
    case VLY_ACT_HARD_SWISH: {
        vf s = vf_fma(v, vf_set(1.0f / 6.0f), vf_set(0.5f));
        return vf_mul(v, vf_min(vf_set(1.0f), vf_max(vf_zero(), s)));
    }
    case VLY_ACT_GELU:
        return vf_mul(vf_mul(vf_set(0.5f), v),
                      vf_add(vf_set(1.0f), vf_erf(vf_mul(v, vf_set(0.707106781f)))));
    }
    return v;
}

VEC_INLINE vf finish_load(const vly_image *im, const void *at, vf_mask m)
{
    if (im->elem == VLY_ELEM_F32)
        return vf_load_part(at, m);
    if (im->elem == VLY_ELEM_BF16)
        return vf_load_bf16(at, m);
    return vf_mul(vf_load_u8(at, im->zero, m), vf_set(im->scale));
}

static inline void finish_store(const vly_conv_call *call, void *at, vf v, vf_mask m, int n,
                                float per_scale)
{
    const vly_image *y = call->y;

    if (y->elem == VLY_ELEM_F32) {
        vf_store_part(at, v, m);
    } else if (y->elem == VLY_ELEM_BF16) {
        vf_store_bf16(at, v, m);
    } else if (call->desc->act != VLY_ACT_TABLE) {
        vf_store_u8(at, vf_mul(v, vf_set(per_scale)), y->zero, m);
    } else {
        uint8_t lanes[VF];
        vf_store_u8(lanes, vf_mul(v, vf_set(per_scale)), y->zero, m);
        for (int i = 0; i < n; i++)
            ((uint8_t *)at)[i] = call->table[lanes[i]];
    }
}

/* act: a constant */
VEC_INLINE void finish(const vly_conv_call *call, const conv_tile *t, vly_act act)
{
    const vly_image *y = call->y, *r = call->residual;
    const vly_residual residual = call->desc->residual;
    const vf alpha = vf_set(call->alpha), beta = vf_set(call->beta);
    const float per_scale = y->elem == VLY_ELEM_U8 ? 1.0f / y->scale : 0.0f;
    const size_t y_elem = vly_elem_size(y->elem), y_pixel = (size_t)y->pixel * y_elem;
    unsigned char *to = (unsigned char *)vly_image_at(y, t->n, t->y, t->x) + (size_t)t->o * y_elem;
    const unsigned char *from = to; /* without residual not read */
    const bool is_plain = y->elem == VLY_ELEM_F32 && residual == VLY_RESIDUAL_NONE;
    const int count = t->count, stride = t->stride, n_o = t->n_o;
    size_t r_elem = 0, r_pixel = 0;

    if (residual != VLY_RESIDUAL_NONE) {
        r_elem = vly_elem_size(r->elem);
        r_pixel = (size_t)r->pixel * r_elem;
        from = (const unsigned char *)vly_image_at(r, t->n, t->y, t->x) + (size_t)t->o * r_elem;
    }
    for (int j = 0; j < n_o; j += VF, to += VF * y_elem, from += VF * r_elem) {
        const vf_mask m = vf_first(n_o - j);
        const vf scale = call->scale != NULL ? vf_load_part(call->scale + t->o + j, m) : vf_set(1);
        const vf bias = call->bias != NULL ? vf_load_part(call->bias + t->o + j, m) : vf_zero();
        const float *sums = t->sums + j;
        if (is_plain && n_o - j >= VF) {
            for (int i = 0; i < count; i++) {
                vf v = vf_fma(vf_load(sums + (size_t)i * (size_t)stride), scale, bias);
                vf_store((float *)(void *)(to + (size_t)i * y_pixel), vf_act(act, v, alpha, beta));
            }
            continue;
        }
        for (int i = 0; i < count; i++) {
            vf v = vf_fma(vf_load(sums + (size_t)i * (size_t)stride), scale, bias);
            if (residual == VLY_RESIDUAL_BEFORE)
                v = vf_add(v, finish_load(r, from + (size_t)i * r_pixel, m));
            v = vf_act(act, v, alpha, beta);
            if (residual == VLY_RESIDUAL_AFTER)
                v = vf_add(v, finish_load(r, from + (size_t)i * r_pixel, m));
            finish_store(call, to + (size_t)i * y_pixel, v, m, n_o - j < VF ? n_o - j : VF,
                         per_scale);
        }
    }
}

/* Writes the tile's outputs. */
static __attribute__((noinline, unused)) void conv_finish(const vly_conv_call *call,
                                                          const conv_tile *t)
{
    switch (call->desc->act) {
    case VLY_ACT_NONE:
    case VLY_ACT_TABLE:
        finish(call, t, VLY_ACT_NONE);
        break;
    case VLY_ACT_RELU:
        finish(call, t, VLY_ACT_RELU);
        break;
    case VLY_ACT_CLIP:
        finish(call, t, VLY_ACT_CLIP);
        break;
    case VLY_ACT_LEAKY_RELU:
        finish(call, t, VLY_ACT_LEAKY_RELU);
        break;
    case VLY_ACT_SIGMOID:
        finish(call, t, VLY_ACT_SIGMOID);
        break;
    case VLY_ACT_SILU:
        finish(call, t, VLY_ACT_SILU);
        break;
    case VLY_ACT_TANH:
        finish(call, t, VLY_ACT_TANH);
        break;
    case VLY_ACT_HARD_SIGMOID:
        finish(call, t, VLY_ACT_HARD_SIGMOID);
        break;
    case VLY_ACT_HARD_SWISH:
        finish(call, t, VLY_ACT_HARD_SWISH);
        break;
    case VLY_ACT_GELU:
        finish(call, t, VLY_ACT_GELU);
        break;
    }
}

#endif
