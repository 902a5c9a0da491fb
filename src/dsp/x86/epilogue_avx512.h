/* SPDX-License-Identifier: MIT */
/*
 * What follows the sums of a convolution of BF16 or U8 images (dsp/conv.h), sixteen channels of one
 * pixel at a time: activations, and the elements of images.
 *
 * `mask` names the channels that exist; the others are neither read nor written. Everything is
 * inlined: `act` and `elem` are meant to be constants where it matters.
 *
 * Only for files compiled with AVX-512 F, BW, VL and DQ; with AVX512_BF16 as well, rounding to BF16
 * is one instruction, which takes subnormal floats for 0.
 */
#ifndef VLY_DSP_X86_EPILOGUE_AVX512_H
#define VLY_DSP_X86_EPILOGUE_AVX512_H
#ifdef __AVX512F__ /* else it is only parsed by itself */

#include "dsp/conv.h"
#include "dsp/vec/vec_act.h"

#define EPILOGUE_LOG2_E 1.44269504f

/* a / (1 + 2^t), within 2^-12 of the value. */
VF_INLINE vf epilogue_logistic(vf a, vf t)
{
    /* 2^(t - floor t) by a cubic, relative error 2^-13.7; scalef takes the floor itself */
    vf f = _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    vf p = vf_fma(f, vf_set(7.80240595e-2f), vf_set(2.26067916e-1f));
    p = vf_fma(p, f, vf_set(6.95833206e-1f));
    p = vf_fma(p, f, vf_set(9.99925256e-1f));
    vf d = vf_add(vf_ldexp(p, t), vf_set(1.0f));
    return vf_mul(a, _mm512_rcp14_ps(d));
}

/* As vly_act_apply, and with F32 output as exact. */
VF_INLINE vf epilogue_act(vly_act act, vf v, float alpha, float beta, vly_elem out)
{
    if (out != VLY_ELEM_F32 && act == VLY_ACT_SILU)
        return epilogue_logistic(v, vf_mul(v, vf_set(-EPILOGUE_LOG2_E)));
    if (out != VLY_ELEM_F32 && act == VLY_ACT_SIGMOID)
        return epilogue_logistic(vf_set(1.0f), vf_mul(v, vf_set(-EPILOGUE_LOG2_E)));
    return vf_act(act, v, alpha, beta);
}

/* Channels of an image as real values; those outside the mask give anything finite. */
VF_INLINE vf epilogue_load(const vly_image *im, const void *at, __mmask16 mask)
{
    if (im->elem == VLY_ELEM_F32)
        return _mm512_maskz_loadu_ps(mask, at);
    if (im->elem == VLY_ELEM_BF16)
        return vf_of_bf16(_mm256_maskz_loadu_epi16(mask, at));
    __m512i q = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, at));
    q = _mm512_sub_epi32(q, _mm512_set1_epi32(im->zero));
    return vf_mul(_mm512_cvtepi32_ps(q), vf_set(im->scale));
}

/* Rounded to nearest even; NaN stays NaN. */
VF_INLINE __m256i epilogue_bf16(vf v)
{
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(v);
#else
    return _mm512_cvtepi32_epi16(vf_bf16_bits(v));
#endif
}

/* b:a in BF16 */
VF_INLINE __m512i epilogue_bf16_pair(vf a, vf b)
{
#ifdef __AVX512BF16__
    return (__m512i)_mm512_cvtne2ps_pbh(b, a);
#else
    return _mm512_inserti64x4(_mm512_castsi256_si512(epilogue_bf16(a)), epilogue_bf16(b), 1);
#endif
}

/* Four vectors, divided by the scale, to 64 bytes in their order: rounded half to even, plus zero,
 * saturated. NaN gives 0. */
VF_INLINE __m512i epilogue_u8(const vf v[4], int32_t zero)
{
    const vf top = vf_set(32767.0f); /* from 2^31 on, conversion would give the least int */
    const __m512i z = _mm512_set1_epi16((short)zero);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i a = _mm512_packs_epi32(_mm512_cvtps_epi32(vf_min(top, v[0])),
                                   _mm512_cvtps_epi32(vf_min(top, v[1])));
    __m512i b = _mm512_packs_epi32(_mm512_cvtps_epi32(vf_min(top, v[2])),
                                   _mm512_cvtps_epi32(vf_min(top, v[3])));
    __m512i q = _mm512_packus_epi16(_mm512_adds_epi16(a, z), _mm512_adds_epi16(b, z));
    return _mm512_permutexvar_epi32(order, q);
}

#endif
#endif
