/* SPDX-License-Identifier: MIT */
/* dsp/vec/vec.h with AVX2: 8 lanes; vec_avx512.h tells what the names mean. */
#ifndef VLY_DSP_X86_VEC_AVX2_H
#define VLY_DSP_X86_VEC_AVX2_H

#include "dsp/vec/vec_inline.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VF_LANES     8
#define VF_REGISTERS 16

typedef __m256 vf;

VF_INLINE __m256i vf_mask(ptrdiff_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Fewer than 32 bytes, by halves. */
VF_INLINE void vf_copy_few(void *to, const void *from, size_t bytes)
{
    unsigned char *t = to;
    const unsigned char *f = from;

#define VF_COPY_PIECE(size)                                                                        \
    if ((bytes & (size)) != 0) {                                                                   \
        memcpy(t, f, size);                                                                        \
        t += (size);                                                                               \
        f += (size);                                                                               \
    }
    VF_COPY_PIECE(16)
    VF_COPY_PIECE(8)
    VF_COPY_PIECE(4)
    VF_COPY_PIECE(2)
#undef VF_COPY_PIECE
    if ((bytes & 1) != 0)
        *t = *f;
}

VF_INLINE void vf_copy(void *to, const void *from, size_t bytes)
{
    unsigned char *t = to;
    const unsigned char *f = from;

    for (; bytes >= 32; bytes -= 32, t += 32, f += 32)
        _mm256_storeu_si256((__m256i *)(void *)t,
                            _mm256_loadu_si256((const __m256i *)(const void *)f));
    vf_copy_few(t, f, bytes);
}

VF_INLINE vf vf_set(float v)
{
    return _mm256_set1_ps(v);
}

VF_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

VF_INLINE vf vf_load_n(const float *p, ptrdiff_t n)
{
    return _mm256_maskload_ps(p, vf_mask(n));
}

VF_INLINE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}

VF_INLINE void vf_store_n(float *p, vf v, ptrdiff_t n)
{
    _mm256_maskstore_ps(p, vf_mask(n), v);
}

VF_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

VF_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

VF_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

VF_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}

VF_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

VF_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

VF_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

VF_INLINE vf vf_fms(vf a, vf b, vf c)
{
    return _mm256_fmsub_ps(a, b, c);
}

VF_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

VF_INLINE vf vf_abs(vf v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

VF_INLINE vf vf_with_sign(vf v, vf sign)
{
    return _mm256_or_ps(v, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}

VF_INLINE vf vf_if_less(vf a, vf b, vf then, vf otherwise)
{
    return _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

VF_INLINE vf vf_round(vf v)
{
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Two factors, so that each is a normal number. */
VF_INLINE vf vf_ldexp(vf v, vf k)
{
    __m256i whole = _mm256_cvtps_epi32(k), half = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, half), bias = _mm256_set1_epi32(127);
    vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    vf b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));

    return _mm256_mul_ps(_mm256_mul_ps(v, a), b);
}

VF_INLINE vf vf_scale(vf v, vf k)
{
    __m256i up = _mm256_slli_epi32(_mm256_cvtps_epi32(k), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), up));
}

VF_INLINE vf vf_fraction(vf v)
{
    v = _mm256_min_ps(_mm256_set1_ps(0x1p127f), _mm256_max_ps(_mm256_set1_ps(-0x1p127f), v));
    return _mm256_sub_ps(v, _mm256_floor_ps(v));
}

VF_INLINE vf vf_scale_floor(vf v, vf k)
{
    return vf_scale(v, _mm256_floor_ps(_mm256_max_ps(_mm256_set1_ps(-126.0f), k)));
}

VF_INLINE vf vf_recip(vf v)
{
    return _mm256_div_ps(_mm256_set1_ps(1.0f), v);
}

/* Rounded: vrcpps is too coarse for one step of Newton, and differs between makers. */
VF_INLINE vf vf_recip_coarse(vf v)
{
    return vf_recip(v);
}

VF_INLINE float vf_sum(vf v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

VF_INLINE void vf_store_i32(int32_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_cvtps_epi32(v));
}

VF_INLINE void vf_store_i32_n(int32_t *p, vf v, ptrdiff_t n)
{
    _mm256_maskstore_epi32(p, vf_mask(n), _mm256_cvtps_epi32(v));
}

VF_INLINE vf vf_of_bf16(__m128i v)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}

/* As vly_bf16_from_f32, in the low halves of 32 bits. */
VF_INLINE __m256i vf_bf16_bits(vf v)
{
    const __m256i one = _mm256_set1_epi32(1);
    __m256i u = _mm256_castps_si256(v), high = _mm256_srli_epi32(u, 16);
    __m256i up = _mm256_add_epi32(_mm256_and_si256(high, one), _mm256_set1_epi32(0x7fff));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(u, up), 16);
    __m256i nan = _mm256_or_si256(high, _mm256_set1_epi32(0x40));

    return _mm256_castps_si256(_mm256_blendv_ps(
        _mm256_castsi256_ps(rounded), _mm256_castsi256_ps(nan), _mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}

/* The low halves of 32 bits, side by side. */
VF_INLINE __m128i vf_narrow(__m256i v)
{
    return _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

VF_INLINE vf vf_load_bf16(const uint16_t *p)
{
    return vf_of_bf16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

VF_INLINE vf vf_load_bf16_n(const uint16_t *p, ptrdiff_t n)
{
    if (n == VF_LANES)
        return vf_load_bf16(p);
    __m128i v = _mm_setzero_si128();
    vf_copy_few(&v, p, (size_t)n * 2);
    return vf_of_bf16(v);
}

VF_INLINE void vf_store_bf16(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, vf_narrow(vf_bf16_bits(v)));
}

VF_INLINE void vf_store_bf16_n(uint16_t *p, vf v, ptrdiff_t n)
{
    __m128i bits = vf_narrow(vf_bf16_bits(v));

    if (n == VF_LANES)
        _mm_storeu_si128((__m128i *)(void *)p, bits);
    else
        vf_copy_few(p, &bits, (size_t)n * 2);
}

VF_INLINE vf vf_load_u8(const uint8_t *p)
{
    __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(v));
}

VF_INLINE vf vf_load_u8_n(const uint8_t *p, ptrdiff_t n)
{
    if (n == VF_LANES)
        return vf_load_u8(p);
    __m128i v = _mm_setzero_si128();
    vf_copy_few(&v, p, (size_t)n);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(v));
}

VF_INLINE __m128i vf_u8_bits(vf v)
{
    __m128i half = vf_narrow(_mm256_cvtps_epi32(v));
    return _mm_packus_epi16(half, half);
}

VF_INLINE void vf_store_u8(uint8_t *p, vf v)
{
    _mm_storel_epi64((__m128i *)(void *)p, vf_u8_bits(v));
}

VF_INLINE void vf_store_u8_n(uint8_t *p, vf v, ptrdiff_t n)
{
    __m128i bits = vf_u8_bits(v);

    if (n == VF_LANES)
        _mm_storel_epi64((__m128i *)(void *)p, bits);
    else
        vf_copy_few(p, &bits, (size_t)n);
}

VF_INLINE void vf_transpose(vf t[VF_LANES])
{
    vf u[8];

    for (int i = 0; i < 8; i += 2) {
        u[i] = _mm256_unpacklo_ps(t[i], t[i + 1]);
        u[i + 1] = _mm256_unpackhi_ps(t[i], t[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            t[i + 2 * j] = _mm256_shuffle_ps(u[i + j], u[i + 2 + j], 0x44);
            t[i + 2 * j + 1] = _mm256_shuffle_ps(u[i + j], u[i + 2 + j], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        u[i] = _mm256_permute2f128_ps(t[i], t[4 + i], 0x20);
        u[4 + i] = _mm256_permute2f128_ps(t[i], t[4 + i], 0x31);
    }
    for (int i = 0; i < 8; i++)
        t[i] = u[i];
}

VF_INLINE void vf_store_pixels(float *p, const vf c[4])
{
    vf lo01 = _mm256_unpacklo_ps(c[0], c[1]), hi01 = _mm256_unpackhi_ps(c[0], c[1]);
    vf lo23 = _mm256_unpacklo_ps(c[2], c[3]), hi23 = _mm256_unpackhi_ps(c[2], c[3]);
    vf t0 = _mm256_shuffle_ps(lo01, lo23, 0x44), t1 = _mm256_shuffle_ps(lo01, lo23, 0xee);
    vf t2 = _mm256_shuffle_ps(hi01, hi23, 0x44), t3 = _mm256_shuffle_ps(hi01, hi23, 0xee);

    _mm256_storeu_ps(p, _mm256_permute2f128_ps(t0, t1, 0x20));
    _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(t2, t3, 0x20));
    _mm256_storeu_ps(p + 16, _mm256_permute2f128_ps(t0, t1, 0x31));
    _mm256_storeu_ps(p + 24, _mm256_permute2f128_ps(t2, t3, 0x31));
}

VF_INLINE void vf_store_triples(float *p, const vf c[3])
{
    /* each channel's elements where they belong in one of the outputs, then the outputs by lanes */
    const __m256i order = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5);
    vf r = _mm256_permutevar8x32_ps(c[0], order); /* r0 r3 r6 r1 r4 r7 r2 r5 */
    vf g = _mm256_permutevar8x32_ps(c[1], _mm256_setr_epi32(5, 0, 3, 6, 1, 4, 7, 2));
    vf b = _mm256_permutevar8x32_ps(c[2], _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7));

    _mm256_storeu_ps(p, _mm256_blend_ps(_mm256_blend_ps(r, g, 0x92), b, 0x24));
    _mm256_storeu_ps(p + 8, _mm256_blend_ps(_mm256_blend_ps(r, g, 0x24), b, 0x49));
    _mm256_storeu_ps(p + 16, _mm256_blend_ps(_mm256_blend_ps(r, g, 0x49), b, 0x92));
}

VF_INLINE void vf_store_pixels_bf16(uint16_t *p, const vf c[4])
{
    __m256i c01 = _mm256_or_si256(vf_bf16_bits(c[0]), _mm256_slli_epi32(vf_bf16_bits(c[1]), 16));
    __m256i c23 = _mm256_or_si256(vf_bf16_bits(c[2]), _mm256_slli_epi32(vf_bf16_bits(c[3]), 16));
    __m256i a = _mm256_unpacklo_epi32(c01, c23), b = _mm256_unpackhi_epi32(c01, c23);

    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(p + 16), _mm256_permute2x128_si256(a, b, 0x31));
}

VF_INLINE void vf_store_pixels_u8(uint8_t *p, const vf c[4])
{
    __m256i v = _mm256_cvtps_epi32(c[0]);

    for (int j = 1; j < 4; j++)
        v = _mm256_or_si256(v, _mm256_slli_epi32(_mm256_cvtps_epi32(c[j]), 8 * j));
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

#endif
#endif
