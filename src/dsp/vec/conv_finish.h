/* SPDX-License-Identifier: MIT */
/*
 * The end of a convolution, for kernels on vectors of floats (dsp/vec/vec.h): sums of a tile of
 * pixels become outputs as dsp/conv.h says.
 *
 * Tiles leave the registers through a small buffer in the first cache level: one copy of this code
 * then serves tiles of every size, and the 2 loads and stores a vector are little beside SiLU's 16
 * instructions.
 *
 * Errors of the activations, beside the rounding of the result: sigmoid, SiLU 4 epsilon relative
 * (-87 and below: to zero within 1e-36); the others as in dsp/act.h.
 */
#ifndef VLY_DSP_VEC_CONV_FINISH_H
#define VLY_DSP_VEC_CONV_FINISH_H

#include "dsp/conv.h"
#include "dsp/vec/vec_act.h"

/* Pixels in a row and the channels o..o + n_o - 1 of each. */
typedef struct conv_tile {
    const float *sums; /* [count][stride], stride a multiple of VF_LANES >= n_o, 64-byte aligned */
    int stride, count;
    int o, n_o;
    int n, y, x; /* the first pixel */
} conv_tile;

/* a / (1 + e^-v), within 4 epsilon, but to 0 within 1e-36 at -87 and below */
VF_INLINE vf finish_logistic(vf a, vf v)
{
    const vf magic = vf_set(12582912.0f); /* 1.5 * 2^23: rounds to an integer */
    const vf b = vf_set(-1.44269504f), one = vf_set(1.0f);
    vf x = vf_clip(v, vf_set(-87.0f), vf_set(87.0f));
    vf n = vf_sub(vf_fma(x, b, magic), magic); /* e^-x = 2^n 2^f */
    vf f = vf_fms(x, b, n);
    vf p = vf_fma(f, vf_set(1.32647268e-3f), vf_set(9.67151267e-3f));
    p = vf_fma(p, f, vf_set(5.55073374e-2f));
    p = vf_fma(p, f, vf_set(2.40222421e-1f));
    p = vf_fma(p, f, vf_set(6.93146978e-1f));
    p = vf_fma(p, f, one);
    vf d = vf_add(one, vf_scale(p, n));
    vf r = vf_recip_coarse(d), q = vf_mul(a, r);
    return vf_fma(q, vf_fnma(d, r, one), q);
}

/* As vf_act, the logistic ones in fewer steps; act: a constant */
VF_INLINE vf finish_act(vly_act act, vf v, float alpha, float beta)
{
    if (act == VLY_ACT_SIGMOID)
        return finish_logistic(vf_set(1.0f), v);
    if (act == VLY_ACT_SILU)
        return finish_logistic(v, v);
    return vf_act(act, v, alpha, beta);
}

VF_INLINE vf finish_load(const vly_image *im, const void *at, int m)
{
    if (im->elem == VLY_ELEM_F32)
        return vf_load_n(at, m);
    if (im->elem == VLY_ELEM_BF16)
        return vf_load_bf16_n(at, m);
    vf q = vf_sub(vf_load_u8_n(at, m), vf_set((float)im->zero));
    return vf_mul(q, vf_set(im->scale));
}

/* zero, per_scale: of U8 outputs */
VF_INLINE void finish_store(const vly_conv_call *call, void *at, vf v, int m, float zero,
                            float per_scale)
{
    const vly_image *y = call->y;

    if (y->elem == VLY_ELEM_F32) {
        vf_store_n(at, v, m);
    } else if (y->elem == VLY_ELEM_BF16) {
        vf_store_bf16_n(at, v, m);
    } else if (call->desc->act != VLY_ACT_TABLE) {
        vf_store_u8_n(at, vf_code(vf_mul(v, vf_set(per_scale)), zero), m);
    } else {
        uint8_t lanes[VF_LANES];
        vf_store_u8(lanes, vf_code(vf_mul(v, vf_set(per_scale)), zero));
        for (int i = 0; i < m; i++)
            ((uint8_t *)at)[i] = call->table[lanes[i]];
    }
}

/* act: a constant */
VF_INLINE void finish(const vly_conv_call *call, const conv_tile *t, vly_act act)
{
    const vly_image *y = call->y, *r = call->residual;
    const vly_residual residual = call->desc->residual;
    const float alpha = call->alpha, beta = call->beta;
    const float per_scale = y->elem == VLY_ELEM_U8 ? 1.0f / y->scale : 0.0f;
    const float zero = (float)y->zero;
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
    for (int j = 0; j < n_o; j += VF_LANES, to += VF_LANES * y_elem, from += VF_LANES * r_elem) {
        const int m = vf_lanes(n_o - j);
        const vf scale = call->scale != NULL ? vf_load_n(call->scale + t->o + j, m) : vf_set(1.0f);
        const vf bias = call->bias != NULL ? vf_load_n(call->bias + t->o + j, m) : vf_set(0.0f);
        const float *sums = t->sums + j;
        if (is_plain && m == VF_LANES) {
            for (int i = 0; i < count; i++) {
                vf v = vf_fma(vf_load(sums + (size_t)i * (size_t)stride), scale, bias);
                vf_store((float *)(void *)(to + (size_t)i * y_pixel),
                         finish_act(act, v, alpha, beta));
            }
            continue;
        }
        for (int i = 0; i < count; i++) {
            vf v = vf_fma(vf_load(sums + (size_t)i * (size_t)stride), scale, bias);
            if (residual == VLY_RESIDUAL_BEFORE)
                v = vf_add(v, finish_load(r, from + (size_t)i * r_pixel, m));
            v = finish_act(act, v, alpha, beta);
            if (residual == VLY_RESIDUAL_AFTER)
                v = vf_add(v, finish_load(r, from + (size_t)i * r_pixel, m));
            finish_store(call, to + (size_t)i * y_pixel, v, m, zero, per_scale);
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
