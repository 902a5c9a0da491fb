/* SPDX-License-Identifier: MIT */
/*
 * Vectors of floats, of the width that the including file is compiled for: the kernels written with
 * them serve AVX2 with FMA (8 lanes, 16 registers), AVX-512 (16 lanes, 32 registers) and NEON
 * (4 lanes, 32 registers) alike.
 *
 * Only for files of dsp/vec, dsp/x86 and dsp/arm; everything is static inline.
 */
#ifndef VLY_DSP_VEC_VEC_F32_H
#define VLY_DSP_VEC_VEC_F32_H

#include "dsp/image.h"

#define VEC_INLINE static inline __attribute__((always_inline))

/* Before a loop over constants: unroll it, so that arrays of vectors become registers. */
#ifdef __clang__
#define VEC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEC_UNROLL _Pragma("GCC unroll 64")
#endif

#ifdef __aarch64__

#include "dsp/arm/vec_f32_neon.h"

#elif defined(__AVX512F__)

#include <immintrin.h>

enum { VF = 16 }; /* lanes */
typedef __m512 vf;
typedef __mmask16 vf_mask;
#define VEC_REGISTERS   32
#define VEC_NAME(name)  name##_avx512
#define VEC_TITLE(name) name " avx512"
#define VEC_CPU         VLY_CPU_AVX512

/* The first n lanes, 0 <= n; all when n >= VF. */
VEC_INLINE vf_mask vf_first(int n)
{
    return (vf_mask)_bzhi_u32(0xffff, n < VF ? (unsigned)n : VF);
}

VEC_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}

VEC_INLINE vf vf_set(float v)
{
    return _mm512_set1_ps(v);
}

VEC_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

VEC_INLINE vf vf_load_part(const float *p, vf_mask m)
{
    return _mm512_maskz_loadu_ps(m, p);
}

VEC_INLINE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}

VEC_INLINE void vf_store_part(float *p, vf v, vf_mask m)
{
    _mm512_mask_storeu_ps(p, m, v);
}

VEC_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

VEC_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

VEC_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

VEC_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

/* a * b + c */
VEC_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* a * b - c */
VEC_INLINE vf vf_fms(vf a, vf b, vf c)
{
    return _mm512_fmsub_ps(a, b, c);
}

/* c - a * b */
VEC_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

/* Where b is NaN, b. */
VEC_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

VEC_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

/* v within -most..most; NaN stays NaN. Not vrangeps, which does it in one step: measured on a
 * Sapphire Rapids, it made whole convolutions with SiLU up to 1.6 times slower. */
VEC_INLINE vf vf_limit(vf v, vf most)
{
    return vf_min(most, vf_max(vf_sub(vf_zero(), most), v));
}

VEC_INLINE vf vf_abs(vf v)
{
    return _mm512_abs_ps(v);
}

/* |v| with the sign of s; v >= 0 */
VEC_INLINE vf vf_with_sign(vf v, vf s)
{
    return _mm512_or_ps(v, _mm512_and_ps(s, _mm512_set1_ps(-0.0f)));
}

/* a < b ? x : y */
VEC_INLINE vf vf_if_less(vf a, vf b, vf x, vf y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}

/* p * 2^n, n integral and |n| <= 126 */
VEC_INLINE vf vf_scale2(vf p, vf n)
{
    return _mm512_scalef_ps(p, n);
}

/* 1 / d within 2^-14 */
VEC_INLINE vf vf_rcp(vf d)
{
    return _mm512_rcp14_ps(d);
}

VEC_INLINE vf vf_load_bf16(const uint16_t *p, vf_mask m)
{
    __m512i v = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}

/* As vly_bf16_from_f32. */
VEC_INLINE void vf_store_bf16(uint16_t *p, vf v, vf_mask m)
{
    __m512i u = _mm512_castps_si512(v),
            odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    up = _mm512_mask_or_epi32(up, nan, u, _mm512_set1_epi32(0x400000));
    _mm256_mask_storeu_epi16(p, m, _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16)));
}

/* q - zero as float */
VEC_INLINE vf vf_load_u8(const uint8_t *p, int32_t zero, vf_mask m)
{
    __m512i v = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, p));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(v, _mm512_set1_epi32(zero)));
}

/* clamp(round_half_even(v) + zero, 0, 255) */
VEC_INLINE __m128i vf_to_u8(vf v, int32_t zero)
{
    v = vf_min(vf_set(512.0f), vf_max(vf_set(-512.0f), v));
    __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(zero));
    return _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512()));
}

VEC_INLINE void vf_store_u8(uint8_t *p, vf v, int32_t zero, vf_mask m)
{
    _mm_mask_storeu_epi8(p, m, vf_to_u8(v, zero));
}

#else

#include <immintrin.h>

enum { VF = 8 };
typedef __m256 vf;
typedef __m256i vf_mask;
#define VEC_REGISTERS   16
#define VEC_NAME(name)  name##_avx2
#define VEC_TITLE(name) name " avx2"
#define VEC_CPU         VLY_CPU_AVX2

VEC_INLINE vf_mask vf_first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

VEC_INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}

VEC_INLINE vf vf_set(float v)
{
    return _mm256_set1_ps(v);
}

VEC_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

VEC_INLINE vf vf_load_part(const float *p, vf_mask m)
{
    return _mm256_maskload_ps(p, m);
}

VEC_INLINE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}

VEC_INLINE void vf_store_part(float *p, vf v, vf_mask m)
{
    _mm256_maskstore_ps(p, m, v);
}

VEC_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

VEC_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

VEC_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

VEC_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}

VEC_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

VEC_INLINE vf vf_fms(vf a, vf b, vf c)
{
    return _mm256_fmsub_ps(a, b, c);
}

VEC_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

VEC_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

VEC_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

VEC_INLINE vf vf_limit(vf v, vf most)
{
    return vf_min(most, vf_max(vf_sub(vf_zero(), most), v));
}

VEC_INLINE vf vf_abs(vf v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

VEC_INLINE vf vf_with_sign(vf v, vf s)
{
    return _mm256_or_ps(v, _mm256_and_ps(s, _mm256_set1_ps(-0.0f)));
}

VEC_INLINE vf vf_if_less(vf a, vf b, vf x, vf y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

VEC_INLINE vf vf_scale2(vf p, vf n)
{
    __m256i k = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), k));
}

/* 1 / d, rounded: vrcpps is too coarse for one step of Newton, and differs between makers */
VEC_INLINE vf vf_rcp(vf d)
{
    return _mm256_div_ps(_mm256_set1_ps(1.0f), d);
}

VEC_INLINE int vf_count(vf_mask m)
{
    return __builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(m)));
}

VEC_INLINE vf vf_load_bf16(const uint16_t *p, vf_mask m)
{
    uint16_t lanes[8] = {0};
    __builtin_memcpy(lanes, p, (size_t)vf_count(m) * 2);
    __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)lanes));
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}

/* Eight 32-bit lanes that fit 16 bits, unsigned, to 16 bits. */
VEC_INLINE __m128i vf_narrow(__m256i v)
{
    return _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

VEC_INLINE void vf_store_bf16(uint16_t *p, vf v, vf_mask m)
{
    __m256i u = _mm256_castps_si256(v),
            odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    vf nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    up = _mm256_blendv_epi8(up, quiet, _mm256_castps_si256(nan));
    __m128i out = vf_narrow(_mm256_srli_epi32(up, 16));
    int n = vf_count(m);
    if (n == VF)
        _mm_storeu_si128((__m128i *)(void *)p, out);
    else
        __builtin_memcpy(p, &out, (size_t)n * 2);
}

VEC_INLINE vf vf_load_u8(const uint8_t *p, int32_t zero, vf_mask m)
{
    uint8_t lanes[8] = {0};
    __builtin_memcpy(lanes, p, (size_t)vf_count(m));
    __m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)lanes));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(v, _mm256_set1_epi32(zero)));
}

VEC_INLINE __m128i vf_to_u8(vf v, int32_t zero)
{
    v = vf_min(vf_set(512.0f), vf_max(vf_set(-512.0f), v));
    __m256i q = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(zero));
    __m128i half = vf_narrow(_mm256_max_epi32(q, _mm256_setzero_si256()));
    return _mm_packus_epi16(half, half);
}

VEC_INLINE void vf_store_u8(uint8_t *p, vf v, int32_t zero, vf_mask m)
{
    __m128i out = vf_to_u8(v, zero);
    __builtin_memcpy(p, &out, (size_t)vf_count(m));
}

#endif

#endif
