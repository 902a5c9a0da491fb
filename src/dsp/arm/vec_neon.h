/* SPDX-License-Identifier: MIT */
/* dsp/vec/vec.h with NEON: 4 lanes; dsp/x86/vec_avx512.h tells what the names mean. */
#ifndef VLY_DSP_ARM_VEC_NEON_H
#define VLY_DSP_ARM_VEC_NEON_H

#include "dsp/vec/vec_inline.h"

#ifdef __aarch64__
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VF_LANES     4
#define VF_REGISTERS 32

typedef float32x4_t vf;

VF_INLINE void vf_copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

VF_INLINE vf vf_set(float v)
{
    return vdupq_n_f32(v);
}

VF_INLINE vf vf_load(const float *p)
{
    return vld1q_f32(p);
}

VF_INLINE vf vf_load_n(const float *p, ptrdiff_t n)
{
    if (n == VF_LANES)
        return vld1q_f32(p);
    vf v = vld1q_lane_f32(p, vdupq_n_f32(0.0f), 0);
    if (n > 1)
        v = vld1q_lane_f32(p + 1, v, 1);
    if (n > 2)
        v = vld1q_lane_f32(p + 2, v, 2);
    return v;
}

VF_INLINE void vf_store(float *p, vf v)
{
    vst1q_f32(p, v);
}

VF_INLINE void vf_store_n(float *p, vf v, ptrdiff_t n)
{
    if (n == VF_LANES) {
        vst1q_f32(p, v);
        return;
    }
    vst1q_lane_f32(p, v, 0);
    if (n > 1)
        vst1q_lane_f32(p + 1, v, 1);
    if (n > 2)
        vst1q_lane_f32(p + 2, v, 2);
}

VF_INLINE vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

VF_INLINE vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}

VF_INLINE vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

VF_INLINE vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}

/* vminq is NaN where either is. */
VF_INLINE vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

VF_INLINE vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

VF_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

VF_INLINE vf vf_fms(vf a, vf b, vf c)
{
    return vfmaq_f32(vnegq_f32(c), a, b);
}

VF_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
}

VF_INLINE vf vf_abs(vf v)
{
    return vabsq_f32(v);
}

VF_INLINE vf vf_with_sign(vf v, vf sign)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), sign, v);
}

VF_INLINE vf vf_if_less(vf a, vf b, vf then, vf otherwise)
{
    return vbslq_f32(vcltq_f32(a, b), then, otherwise);
}

VF_INLINE vf vf_round(vf v)
{
    return vrndnq_f32(v);
}

/* 2^k of whole numbers, -126 <= k <= 127 */
VF_INLINE vf vf_power_of_two(int32x4_t k)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(k, vdupq_n_s32(127)), 23));
}

/* Two factors, so that each is a normal number. */
VF_INLINE vf vf_ldexp(vf v, vf k)
{
    int32x4_t whole = vcvtnq_s32_f32(k), half = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(v, vf_power_of_two(half)), vf_power_of_two(vsubq_s32(whole, half)));
}

VF_INLINE vf vf_scale(vf v, vf k)
{
    int32x4_t up = vshlq_n_s32(vcvtq_s32_f32(k), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(v), up));
}

VF_INLINE vf vf_fraction(vf v)
{
    v = vminq_f32(vdupq_n_f32(0x1p127f), vmaxq_f32(vdupq_n_f32(-0x1p127f), v));
    return vsubq_f32(v, vrndmq_f32(v));
}

VF_INLINE vf vf_scale_floor(vf v, vf k)
{
    return vf_scale(v, vrndmq_f32(vmaxq_f32(vdupq_n_f32(-126.0f), k)));
}

VF_INLINE vf vf_recip(vf v)
{
    return vdivq_f32(vdupq_n_f32(1.0f), v);
}

/* vrecpe is good to 2^-8, a step of Newton doubles that. */
VF_INLINE vf vf_recip_coarse(vf v)
{
    vf r = vrecpeq_f32(v);
    return vmulq_f32(r, vrecpsq_f32(v, r));
}

VF_INLINE float vf_sum(vf v)
{
    return vaddvq_f32(v);
}

VF_INLINE void vf_store_i32_n(int32_t *p, vf v, ptrdiff_t n)
{
    int32x4_t w = vcvtnq_s32_f32(v);

    vst1q_lane_s32(p, w, 0);
    if (n > 1)
        vst1q_lane_s32(p + 1, w, 1);
    if (n > 2)
        vst1q_lane_s32(p + 2, w, 2);
    if (n > 3)
        vst1q_lane_s32(p + 3, w, 3);
}

VF_INLINE uint16x4_t vf_bf16_bits(vf v)
{
    uint32x4_t u = vreinterpretq_u32_f32(v);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t up = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint32x4_t quiet = vorrq_u32(u, vdupq_n_u32(0x400000));

    return vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), up, quiet), 16);
}

VF_INLINE vf vf_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

VF_INLINE vf vf_load_bf16_n(const uint16_t *p, ptrdiff_t n)
{
    if (n == VF_LANES)
        return vf_load_bf16(p);
    uint16x4_t v = vld1_lane_u16(p, vdup_n_u16(0), 0);
    if (n > 1)
        v = vld1_lane_u16(p + 1, v, 1);
    if (n > 2)
        v = vld1_lane_u16(p + 2, v, 2);
    return vreinterpretq_f32_u32(vshll_n_u16(v, 16));
}

VF_INLINE void vf_store_bf16(uint16_t *p, vf v)
{
    vst1_u16(p, vf_bf16_bits(v));
}

VF_INLINE void vf_store_bf16_n(uint16_t *p, vf v, ptrdiff_t n)
{
    uint16x4_t bits = vf_bf16_bits(v);

    if (n == VF_LANES) {
        vst1_u16(p, bits);
        return;
    }
    vst1_lane_u16(p, bits, 0);
    if (n > 1)
        vst1_lane_u16(p + 1, bits, 1);
    if (n > 2)
        vst1_lane_u16(p + 2, bits, 2);
}

VF_INLINE vf vf_load_u8_n(const uint8_t *p, ptrdiff_t n)
{
    uint8x8_t v = vld1_lane_u8(p, vdup_n_u8(0), 0);
    if (n > 1)
        v = vld1_lane_u8(p + 1, v, 1);
    if (n > 2)
        v = vld1_lane_u8(p + 2, v, 2);
    if (n > 3)
        v = vld1_lane_u8(p + 3, v, 3);
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(v))));
}

VF_INLINE vf vf_load_u8(const uint8_t *p)
{
    uint32_t bits;
    memcpy(&bits, p, sizeof(bits));
    uint8x8_t v = vreinterpret_u8_u32(vdup_n_u32(bits));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(v))));
}

/* v: whole numbers 0..255; their bytes in lanes 0..3 */
VF_INLINE uint8x8_t vf_u8_bits(vf v)
{
    uint16x4_t half = vmovn_u32(vcvtnq_u32_f32(v));
    return vmovn_u16(vcombine_u16(half, half));
}

VF_INLINE void vf_store_u8(uint8_t *p, vf v)
{
    uint32_t bits = vget_lane_u32(vreinterpret_u32_u8(vf_u8_bits(v)), 0);
    memcpy(p, &bits, sizeof(bits));
}

VF_INLINE void vf_store_u8_n(uint8_t *p, vf v, ptrdiff_t n)
{
    uint8x8_t bits = vf_u8_bits(v);

    vst1_lane_u8(p, bits, 0);
    if (n > 1)
        vst1_lane_u8(p + 1, bits, 1);
    if (n > 2)
        vst1_lane_u8(p + 2, bits, 2);
    if (n > 3)
        vst1_lane_u8(p + 3, bits, 3);
}

VF_INLINE void vf_transpose(vf t[VF_LANES])
{
    float32x4x2_t a = vtrnq_f32(t[0], t[1]), b = vtrnq_f32(t[2], t[3]);

    t[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    t[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    t[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    t[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

VF_INLINE void vf_store_pixels(float *p, const vf c[4])
{
    vst4q_f32(p, (float32x4x4_t){{c[0], c[1], c[2], c[3]}});
}

VF_INLINE void vf_store_triples(float *p, const vf c[3])
{
    vst3q_f32(p, (float32x4x3_t){{c[0], c[1], c[2]}});
}

VF_INLINE void vf_store_pixels_bf16(uint16_t *p, const vf c[4])
{
    vst4_u16(p, (uint16x4x4_t){{vf_bf16_bits(c[0]), vf_bf16_bits(c[1]), vf_bf16_bits(c[2]),
                                vf_bf16_bits(c[3])}});
}

VF_INLINE void vf_store_pixels_u8(uint8_t *p, const vf c[4])
{
    uint32x4_t v = vcvtnq_u32_f32(c[0]);

    v = vorrq_u32(v, vshlq_n_u32(vcvtnq_u32_f32(c[1]), 8));
    v = vorrq_u32(v, vshlq_n_u32(vcvtnq_u32_f32(c[2]), 16));
    v = vorrq_u32(v, vshlq_n_u32(vcvtnq_u32_f32(c[3]), 24));
    vst1q_u8(p, vreinterpretq_u8_u32(v));
}

#endif
#endif
