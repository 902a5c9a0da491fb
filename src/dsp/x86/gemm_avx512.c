/* SPDX-License-Identifier: MIT */
/* Tiles of 12 x 32: twenty-four accumulators of the thirty-two registers. */
#include "dsp/x86/gemm_x86.h"

#include <immintrin.h>

enum { MR = VLY_GEMM_AVX512_MR, NR = VLY_GEMM_AVX512_NR };

void vly_gemm_tile_f32_avx512(void *c, size_t ldc, const void *a, const void *b, size_t k,
                              const void *bias, bool accumulate)
{
    const float *ap = a, *bp = b, *start = bias;
    float *out = c;
    __m512 acc[MR][2];

    for (size_t i = 0; i < MR; i++) {
        __m512 v = start != NULL ? _mm512_set1_ps(start[i]) : _mm512_setzero_ps();
        acc[i][0] = accumulate ? _mm512_loadu_ps(out + i * ldc) : v;
        acc[i][1] = accumulate ? _mm512_loadu_ps(out + i * ldc + 16) : v;
    }
    for (size_t kk = 0; kk < k; kk++, ap += MR, bp += NR) {
        __m512 b0 = _mm512_loadu_ps(bp), b1 = _mm512_loadu_ps(bp + 16);
        for (size_t i = 0; i < MR; i++) {
            __m512 ai = _mm512_set1_ps(ap[i]);
            acc[i][0] = _mm512_fmadd_ps(ai, b0, acc[i][0]);
            acc[i][1] = _mm512_fmadd_ps(ai, b1, acc[i][1]);
        }
    }
    for (size_t i = 0; i < MR; i++) {
        _mm512_storeu_ps(out + i * ldc, acc[i][0]);
        _mm512_storeu_ps(out + i * ldc + 16, acc[i][1]);
    }
}

/* As the AVX2 tile: vpmaddwd on interleaved rows of B. Within each lane of eight columns the first
 * four end up in one accumulator, the last four in the other. */
static __m512i pair_of(const int16_t *a, size_t next)
{
    return _mm512_set1_epi32((int)((uint32_t)(uint16_t)a[next] << 16 | (uint16_t)a[0]));
}

void vly_gemm_tile_s16_avx512(void *c, size_t ldc, const void *a, const void *b, size_t k,
                              const void *bias, bool accumulate)
{
    const __m512i even =
        _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    const __m512i odd =
        _mm512_setr_epi32(4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i high =
        _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    const int16_t *ap = a, *bp = b;
    const int32_t *start = bias;
    int32_t *out = c;
    __m512i acc[MR][2];

    for (size_t i = 0; i < MR; i++) {
        __m512i v = start != NULL ? _mm512_set1_epi32(start[i]) : _mm512_setzero_si512();
        acc[i][0] = acc[i][1] = v;
        if (accumulate) {
            __m512i lo = _mm512_loadu_si512(out + i * ldc);
            __m512i hi = _mm512_loadu_si512(out + i * ldc + 16);
            acc[i][0] = _mm512_permutex2var_epi32(lo, even, hi);
            acc[i][1] = _mm512_permutex2var_epi32(lo, odd, hi);
        }
    }
    for (size_t kk = 0; kk < k; kk += 2, ap += (size_t)2 * MR, bp += (size_t)2 * NR) {
        bool has_pair = kk + 1 < k;
        __m512i b0 = _mm512_loadu_si512(bp);
        __m512i b1 = has_pair ? _mm512_loadu_si512(bp + NR) : _mm512_setzero_si512();
        __m512i lo = _mm512_unpacklo_epi16(b0, b1), hi = _mm512_unpackhi_epi16(b0, b1);
        for (size_t i = 0; i < MR; i++) {
            __m512i ai = pair_of(ap + i, has_pair ? MR : 0);
            acc[i][0] = _mm512_add_epi32(acc[i][0], _mm512_madd_epi16(ai, lo));
            acc[i][1] = _mm512_add_epi32(acc[i][1], _mm512_madd_epi16(ai, hi));
        }
    }
    for (size_t i = 0; i < MR; i++) {
        _mm512_storeu_si512(out + i * ldc, _mm512_permutex2var_epi32(acc[i][0], low, acc[i][1]));
        _mm512_storeu_si512(out + i * ldc + 16,
                            _mm512_permutex2var_epi32(acc[i][0], high, acc[i][1]));
    }
}

float vly_dot_f32_avx512(const float *a, const float *b, size_t n)
{
    __m512 acc[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    size_t i = 0;

    for (; i + 64 <= n; i += 64) {
        for (size_t j = 0; j < 4; j++)
            acc[j] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16 * j),
                                     _mm512_loadu_ps(b + i + 16 * j), acc[j]);
    }
    for (; i < n; i += 16) {
        __mmask16 m = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xffff;
        acc[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, a + i), _mm512_maskz_loadu_ps(m, b + i),
                                 acc[0]);
    }
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(acc[0], acc[1]), _mm512_add_ps(acc[2], acc[3])));
}
