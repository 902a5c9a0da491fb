/* SPDX-License-Identifier: MIT */
/* dsp/vec/vec_f32.h with NEON: 4 lanes, 32 registers. A mask is the number of lanes, 0..4. */
#ifndef VLY_DSP_ARM_VEC_F32_NEON_H
#define VLY_DSP_ARM_VEC_F32_NEON_H

#include "dsp/vec/vec_f32.h"

#ifdef __aarch64__
#include <arm_neon.h>

enum { VF = 4 };
typedef float32x4_t vf;
typedef int vf_mask;
#define VEC_REGISTERS   32
#define VEC_NAME(name)  name##_neon
#define VEC_TITLE(name) name " neon"
#define VEC_CPU         VLY_CPU_NEON

VEC_INLINE vf_mask vf_first(int n)
{
    return n < VF ? n : VF;
}

VEC_INLINE vf vf_zero(void)
{
    return vdupq_n_f32(0.0f);
}

VEC_INLINE vf vf_set(float v)
{
    return vdupq_n_f32(v);
}

VEC_INLINE vf vf_load(const float *p)
{
    return vld1q_f32(p);
}

VEC_INLINE vf vf_load_part(const float *p, vf_mask m)
{
    if (m == VF)
        return vld1q_f32(p);
    vf v = vf_zero();
    if (m > 0)
        v = vld1q_lane_f32(p, v, 0);
    if (m > 1)
        v = vld1q_lane_f32(p + 1, v, 1);
    if (m > 2)
        v = vld1q_lane_f32(p + 2, v, 2);
    return v;
}

VEC_INLINE void vf_store(float *p, vf v)
{
    vst1q_f32(p, v);
}

VEC_INLINE void vf_store_part(float *p, vf v, vf_mask m)
{
    if (m == VF) {
        vst1q_f32(p, v);
        return;
    }
    if (m > 0)
        vst1q_lane_f32(p, v, 0);
    if (m > 1)
        vst1q_lane_f32(p + 1, v, 1);
    if (m > 2)
        vst1q_lane_f32(p + 2, v, 2);
}

VEC_INLINE vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

VEC_INLINE vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}

VEC_INLINE vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

VEC_INLINE vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}

VEC_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

VEC_INLINE vf vf_fms(vf a, vf b, vf c)
{
    return vfmaq_f32(vnegq_f32(c), a, b);
}

VEC_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
}

VEC_INLINE vf vf_max(vf a, vf b)
{
    return vmaxq_f32(a, b);
}

VEC_INLINE vf vf_min(vf a, vf b)
{
    return vminq_f32(a, b);
}

VEC_INLINE vf vf_limit(vf v, vf most)
{
    return vminq_f32(most, vmaxq_f32(vnegq_f32(most), v));
}

VEC_INLINE vf vf_abs(vf v)
{
    return vabsq_f32(v);
}

VEC_INLINE vf vf_with_sign(vf v, vf s)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), s, v);
}

VEC_INLINE vf vf_if_less(vf a, vf b, vf x, vf y)
{
    return vbslq_f32(vcltq_f32(a, b), x, y);
}

VEC_INLINE vf vf_scale2(vf p, vf n)
{
    int32x4_t k = vshlq_n_s32(vcvtq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), k));
}

/* vrecpe is good to 2^-8, a step of Newton doubles that */
VEC_INLINE vf vf_rcp(vf d)
{
    vf r = vrecpeq_f32(d);
    return vmulq_f32(r, vrecpsq_f32(d, r));
}

VEC_INLINE vf vf_load_bf16(const uint16_t *p, vf_mask m)
{
    uint16x4_t v = vdup_n_u16(0);

    if (m == VF) {
        v = vld1_u16(p);
    } else {
        if (m > 0)
            v = vld1_lane_u16(p, v, 0);
        if (m > 1)
            v = vld1_lane_u16(p + 1, v, 1);
        if (m > 2)
            v = vld1_lane_u16(p + 2, v, 2);
    }
    return vreinterpretq_f32_u32(vshll_n_u16(v, 16));
}

VEC_INLINE void vf_store_bf16(uint16_t *p, vf v, vf_mask m)
{
    uint32x4_t u = vreinterpretq_u32_f32(v);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t up = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint32x4_t quiet = vorrq_u32(u, vdupq_n_u32(0x400000));
    uint16x4_t out = vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), up, quiet), 16);

    if (m == VF) {
        vst1_u16(p, out);
        return;
    }
    if (m > 0)
        vst1_lane_u16(p, out, 0);
    if (m > 1)
        vst1_lane_u16(p + 1, out, 1);
    if (m > 2)
        vst1_lane_u16(p + 2, out, 2);
}

VEC_INLINE vf vf_load_u8(const uint8_t *p, int32_t zero, vf_mask m)
{
    uint8x8_t v = vdup_n_u8(0);

    if (m > 0)
        v = vld1_lane_u8(p, v, 0);
    if (m > 1)
        v = vld1_lane_u8(p + 1, v, 1);
    if (m > 2)
        v = vld1_lane_u8(p + 2, v, 2);
    if (m > 3)
        v = vld1_lane_u8(p + 3, v, 3);
    int32x4_t q = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(v))));
    return vcvtq_f32_s32(vsubq_s32(q, vdupq_n_s32(zero)));
}

VEC_INLINE void vf_store_u8(uint8_t *p, vf v, int32_t zero, vf_mask m)
{
    v = vminq_f32(vdupq_n_f32(512.0f), vmaxnmq_f32(vdupq_n_f32(-512.0f), v)); /* NaN: 0 */
    int32x4_t q = vaddq_s32(vcvtnq_s32_f32(v), vdupq_n_s32(zero));
    uint8x8_t out = vqmovun_s16(vcombine_s16(vqmovn_s32(q), vdup_n_s16(0)));

    if (m > 0)
        vst1_lane_u8(p, out, 0);
    if (m > 1)
        vst1_lane_u8(p + 1, out, 1);
    if (m > 2)
        vst1_lane_u8(p + 2, out, 2);
    if (m > 3)
        vst1_lane_u8(p + 3, out, 3);
}

#endif
#endif
