/* SPDX-License-Identifier: MIT */
/*
 * dsp/vec/vec.h with AVX-512: 16 lanes. vec_avx2.h has the same names.
 *
 * Functions that end in _n touch the first n elements in memory, 1 <= n <= VF_LANES; what a load
 * does not touch is 0.
 */
#ifndef VLY_DSP_X86_VEC_AVX512_H
#define VLY_DSP_X86_VEC_AVX512_H

#include "dsp/vec/vec_inline.h"

#ifdef __AVX512BW__
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define VF_LANES     16
#define VF_REGISTERS 32

typedef __m512 vf;

VF_INLINE __mmask16 vf_mask(ptrdiff_t n)
{
    return (__mmask16)_bzhi_u32(0xffff, (unsigned)n);
}

VF_INLINE vf vf_set(float v)
{
    return _mm512_set1_ps(v);
}

VF_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

VF_INLINE vf vf_load_n(const float *p, ptrdiff_t n)
{
    return _mm512_maskz_loadu_ps(vf_mask(n), p);
}

VF_INLINE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}

VF_INLINE void vf_store_n(float *p, vf v, ptrdiff_t n)
{
    _mm512_mask_storeu_ps(p, vf_mask(n), v);
}

VF_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

VF_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

VF_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

VF_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

/* b where either is NaN */
VF_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

/* b where either is NaN */
VF_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

VF_INLINE vf vf_fma(vf a, vf b, vf c) /* a * b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}

VF_INLINE vf vf_fms(vf a, vf b, vf c) /* a * b - c */
{
    return _mm512_fmsub_ps(a, b, c);
}

VF_INLINE vf vf_fnma(vf a, vf b, vf c) /* c - a * b */
{
    return _mm512_fnmadd_ps(a, b, c);
}

VF_INLINE vf vf_abs(vf v)
{
    return _mm512_abs_ps(v);
}

/* |v| with the sign of `sign`, v >= 0 */
VF_INLINE vf vf_with_sign(vf v, vf sign)
{
    return _mm512_or_ps(v, _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
}

/* a < b ? then : otherwise */
VF_INLINE vf vf_if_less(vf a, vf b, vf then, vf otherwise)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), otherwise, then);
}

VF_INLINE vf vf_round(vf v) /* half to even */
{
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* v * 2^k, rounded once; |k| <= 160 */
VF_INLINE vf vf_ldexp(vf v, vf k)
{
    return _mm512_scalef_ps(v, k);
}

/* v * 2^k, k whole and |k| <= 126, the result a normal number */
VF_INLINE vf vf_scale(vf v, vf k)
{
    return _mm512_scalef_ps(v, k);
}

/* v - floor(v); 0 for an infinity */
VF_INLINE vf vf_fraction(vf v)
{
    return _mm512_reduce_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

/* v * 2^floor(k), |v| within 1..2, k <= 126; 0 may stand for what is less than 2^-126 */
VF_INLINE vf vf_scale_floor(vf v, vf k)
{
    return _mm512_scalef_ps(v, k);
}

/* 1 / v within 2^-23 of it, 2^-126 <= v <= 2^126 */
VF_INLINE vf vf_recip(vf v)
{
    vf y = _mm512_rcp14_ps(v);
    return _mm512_fmadd_ps(y, _mm512_fnmadd_ps(v, y, _mm512_set1_ps(1.0f)), y);
}

/* 1 / v within 2^-14 of it */
VF_INLINE vf vf_recip_coarse(vf v)
{
    return _mm512_rcp14_ps(v);
}

VF_INLINE float vf_sum(vf v)
{
    return _mm512_reduce_add_ps(v);
}

/* v: whole numbers */
VF_INLINE void vf_store_i32(int32_t *p, vf v)
{
    _mm512_storeu_si512(p, _mm512_cvtps_epi32(v));
}

VF_INLINE void vf_store_i32_n(int32_t *p, vf v, ptrdiff_t n)
{
    _mm512_mask_storeu_epi32(p, vf_mask(n), _mm512_cvtps_epi32(v));
}

VF_INLINE vf vf_of_bf16(__m256i v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

/* As vly_bf16_from_f32, in the low halves of 32 bits. */
VF_INLINE __m512i vf_bf16_bits(vf v)
{
    const __m512i one = _mm512_set1_epi32(1);
    __m512i u = _mm512_castps_si512(v), high = _mm512_srli_epi32(u, 16);
    __m512i up = _mm512_add_epi32(_mm512_and_si512(high, one), _mm512_set1_epi32(0x7fff));
    __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);

    return _mm512_mask_or_epi32(_mm512_srli_epi32(_mm512_add_epi32(u, up), 16), is_nan, high,
                                _mm512_set1_epi32(0x40));
}

VF_INLINE vf vf_load_bf16(const uint16_t *p)
{
    return vf_of_bf16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

VF_INLINE vf vf_load_bf16_n(const uint16_t *p, ptrdiff_t n)
{
    return vf_of_bf16(_mm256_maskz_loadu_epi16(vf_mask(n), p));
}

VF_INLINE void vf_store_bf16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(vf_bf16_bits(v)));
}

VF_INLINE void vf_store_bf16_n(uint16_t *p, vf v, ptrdiff_t n)
{
    _mm256_mask_storeu_epi16(p, vf_mask(n), _mm512_cvtepi32_epi16(vf_bf16_bits(v)));
}

VF_INLINE vf vf_load_u8(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(v));
}

VF_INLINE vf vf_load_u8_n(const uint8_t *p, ptrdiff_t n)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vf_mask(n), p)));
}

/* v: whole numbers 0..255 */
VF_INLINE void vf_store_u8(uint8_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

VF_INLINE void vf_store_u8_n(uint8_t *p, vf v, ptrdiff_t n)
{
    _mm_mask_storeu_epi8(p, vf_mask(n), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

/* t[i][j] becomes t[j][i]. */
VF_INLINE void vf_transpose(vf t[VF_LANES])
{
    vf u[16];

    for (int i = 0; i < 16; i += 2) { /* pairs of rows, then quads */
        u[i] = _mm512_unpacklo_ps(t[i], t[i + 1]);
        u[i + 1] = _mm512_unpackhi_ps(t[i], t[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            __m512d a = _mm512_castps_pd(u[i + j]), b = _mm512_castps_pd(u[i + 2 + j]);
            t[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            t[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    for (int i = 0; i < 4; i++) { /* t[4 q + i]: columns i, 4 + i, 8 + i, 12 + i of rows 4 q.. */
        vf a = _mm512_shuffle_f32x4(t[i], t[4 + i], 0x88);
        vf b = _mm512_shuffle_f32x4(t[i], t[4 + i], 0xdd);
        vf c = _mm512_shuffle_f32x4(t[8 + i], t[12 + i], 0x88);
        vf d = _mm512_shuffle_f32x4(t[8 + i], t[12 + i], 0xdd);
        u[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        u[4 + i] = _mm512_shuffle_f32x4(b, d, 0x88);
        u[8 + i] = _mm512_shuffle_f32x4(a, c, 0xdd);
        u[12 + i] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
    for (int i = 0; i < 16; i++)
        t[i] = u[i];
}

/* Pixels of 4 channels, VF_LANES of them side by side: p[4 i + j] = c[j][i]. */
VF_INLINE void vf_store_pixels(float *p, const vf c[4])
{
    __m512d lo01 = _mm512_castps_pd(_mm512_unpacklo_ps(c[0], c[1]));
    __m512d hi01 = _mm512_castps_pd(_mm512_unpackhi_ps(c[0], c[1]));
    __m512d lo23 = _mm512_castps_pd(_mm512_unpacklo_ps(c[2], c[3]));
    __m512d hi23 = _mm512_castps_pd(_mm512_unpackhi_ps(c[2], c[3]));
    vf t[4] = {_mm512_castpd_ps(_mm512_unpacklo_pd(lo01, lo23)),
               _mm512_castpd_ps(_mm512_unpackhi_pd(lo01, lo23)),
               _mm512_castpd_ps(_mm512_unpacklo_pd(hi01, hi23)),
               _mm512_castpd_ps(_mm512_unpackhi_pd(hi01, hi23))}; /* t[i]: i, 4 + i, 8 + i ... */
    vf a = _mm512_shuffle_f32x4(t[0], t[1], 0x44), b = _mm512_shuffle_f32x4(t[2], t[3], 0x44);
    vf d = _mm512_shuffle_f32x4(t[0], t[1], 0xee), e = _mm512_shuffle_f32x4(t[2], t[3], 0xee);

    _mm512_storeu_ps(p, _mm512_shuffle_f32x4(a, b, 0x88));
    _mm512_storeu_ps(p + 16, _mm512_shuffle_f32x4(a, b, 0xdd));
    _mm512_storeu_ps(p + 32, _mm512_shuffle_f32x4(d, e, 0x88));
    _mm512_storeu_ps(p + 48, _mm512_shuffle_f32x4(d, e, 0xdd));
}

/* The same with 3 channels. */
VF_INLINE void vf_store_triples(float *p, const vf c[3])
{
    /* lane i of output v is element (16 v + i) / 3 of channel (16 v + i) % 3 */
    const __m512i rg0 = _mm512_setr_epi32(0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
    const __m512i rg1 = _mm512_setr_epi32(21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
    const __m512i rg2 = _mm512_setr_epi32(0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
    const __m512i b0 = _mm512_setr_epi32(0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4, 0);
    const __m512i b1 = _mm512_setr_epi32(0, 5, 0, 0, 6, 0, 0, 7, 0, 0, 8, 0, 0, 9, 0, 0);
    const __m512i b2 = _mm512_setr_epi32(10, 0, 0, 11, 0, 0, 12, 0, 0, 13, 0, 0, 14, 0, 0, 15);
    vf v0 = _mm512_permutex2var_ps(c[0], rg0, c[1]), v1 = _mm512_permutex2var_ps(c[0], rg1, c[1]);
    vf v2 = _mm512_permutex2var_ps(c[0], rg2, c[1]);

    _mm512_storeu_ps(p, _mm512_mask_permutexvar_ps(v0, 0x4924, b0, c[2]));
    _mm512_storeu_ps(p + 16, _mm512_mask_permutexvar_ps(v1, 0x2492, b1, c[2]));
    _mm512_storeu_ps(p + 32, _mm512_mask_permutexvar_ps(v2, 0x9249, b2, c[2]));
}

VF_INLINE void vf_store_pixels_bf16(uint16_t *p, const vf c[4])
{
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i c01 = _mm512_or_si512(vf_bf16_bits(c[0]), _mm512_slli_epi32(vf_bf16_bits(c[1]), 16));
    __m512i c23 = _mm512_or_si512(vf_bf16_bits(c[2]), _mm512_slli_epi32(vf_bf16_bits(c[3]), 16));
    __m512i a = _mm512_unpacklo_epi32(c01, c23), b = _mm512_unpackhi_epi32(c01, c23);

    _mm512_storeu_si512(p, _mm512_permutex2var_epi64(a, low, b));
    _mm512_storeu_si512(p + 32, _mm512_permutex2var_epi64(a, high, b));
}

/* c: whole numbers 0..255 */
VF_INLINE void vf_store_pixels_u8(uint8_t *p, const vf c[4])
{
    __m512i v = _mm512_cvtps_epi32(c[0]);

    for (unsigned j = 1; j < 4; j++)
        v = _mm512_or_si512(v, _mm512_slli_epi32(_mm512_cvtps_epi32(c[j]), 8 * j));
    _mm512_storeu_si512(p, v);
}

VF_INLINE void vf_copy(void *to, const void *from, size_t bytes)
{
    unsigned char *t = to;
    const unsigned char *f = from;

    for (; bytes >= 64; bytes -= 64, t += 64, f += 64)
        _mm512_storeu_si512(t, _mm512_loadu_si512(f));
    if (bytes > 0) {
        __mmask64 m = ((__mmask64)1 << bytes) - 1;
        _mm512_mask_storeu_epi8(t, m, _mm512_maskz_loadu_epi8(m, f));
    }
}

#endif
#endif
