/* SPDX-License-Identifier: MIT */
/* Tiles of 6 x 16: twelve accumulators, two vectors of B and one of A fill the sixteen registers.
 */
#include "dsp/x86/gemm_x86.h"

#include <immintrin.h>

enum { MR = VLY_GEMM_AVX2_MR, NR = VLY_GEMM_AVX2_NR };

void vly_gemm_tile_f32_avx2(void *c, size_t ldc, const void *a, const void *b, size_t k,
                            const void *bias, bool accumulate)
{
    const float *ap = a, *bp = b, *start = bias;
    float *out = c;
    __m256 acc[MR][2];

    for (size_t i = 0; i < MR; i++) {
        __m256 v = start != NULL ? _mm256_set1_ps(start[i]) : _mm256_setzero_ps();
        acc[i][0] = accumulate ? _mm256_loadu_ps(out + i * ldc) : v;
        acc[i][1] = accumulate ? _mm256_loadu_ps(out + i * ldc + 8) : v;
    }
    for (size_t kk = 0; kk < k; kk++, ap += MR, bp += NR) {
        __m256 b0 = _mm256_loadu_ps(bp), b1 = _mm256_loadu_ps(bp + 8);
        for (size_t i = 0; i < MR; i++) {
            __m256 ai = _mm256_broadcast_ss(ap + i);
            acc[i][0] = _mm256_fmadd_ps(ai, b0, acc[i][0]);
            acc[i][1] = _mm256_fmadd_ps(ai, b1, acc[i][1]);
        }
    }
    for (size_t i = 0; i < MR; i++) {
        _mm256_storeu_ps(out + i * ldc, acc[i][0]);
        _mm256_storeu_ps(out + i * ldc + 8, acc[i][1]);
    }
}

/* Two steps of k at once: rows kk and kk + 1 of B, interleaved, meet pairs of A in vpmaddwd. The
 * interleaving leaves columns 0-3 and 8-11 in one accumulator, 4-7 and 12-15 in the other. */
static __m256i pair_of(const int16_t *a, size_t next)
{
    return _mm256_set1_epi32((int)((uint32_t)(uint16_t)a[next] << 16 | (uint16_t)a[0]));
}

void vly_gemm_tile_s16_avx2(void *c, size_t ldc, const void *a, const void *b, size_t k,
                            const void *bias, bool accumulate)
{
    const int16_t *ap = a, *bp = b;
    const int32_t *start = bias;
    int32_t *out = c;
    __m256i acc[MR][2];

    for (size_t i = 0; i < MR; i++) {
        __m256i v = start != NULL ? _mm256_set1_epi32(start[i]) : _mm256_setzero_si256();
        acc[i][0] = acc[i][1] = v;
        if (accumulate) {
            __m256i lo = _mm256_loadu_si256((const __m256i *)(const void *)(out + i * ldc));
            __m256i hi = _mm256_loadu_si256((const __m256i *)(const void *)(out + i * ldc + 8));
            acc[i][0] = _mm256_permute2x128_si256(lo, hi, 0x20);
            acc[i][1] = _mm256_permute2x128_si256(lo, hi, 0x31);
        }
    }
    for (size_t kk = 0; kk < k; kk += 2, ap += (size_t)2 * MR, bp += (size_t)2 * NR) {
        bool has_pair = kk + 1 < k;
        __m256i b0 = _mm256_loadu_si256((const __m256i *)(const void *)bp);
        __m256i b1 = has_pair ? _mm256_loadu_si256((const __m256i *)(const void *)(bp + NR))
                              : _mm256_setzero_si256();
        __m256i lo = _mm256_unpacklo_epi16(b0, b1), hi = _mm256_unpackhi_epi16(b0, b1);
        for (size_t i = 0; i < MR; i++) {
            __m256i ai = pair_of(ap + i, has_pair ? MR : 0);
            acc[i][0] = _mm256_add_epi32(acc[i][0], _mm256_madd_epi16(ai, lo));
            acc[i][1] = _mm256_add_epi32(acc[i][1], _mm256_madd_epi16(ai, hi));
        }
    }
    for (size_t i = 0; i < MR; i++) {
        _mm256_storeu_si256((__m256i *)(void *)(out + i * ldc),
                            _mm256_permute2x128_si256(acc[i][0], acc[i][1], 0x20));
        _mm256_storeu_si256((__m256i *)(void *)(out + i * ldc + 8),
                            _mm256_permute2x128_si256(acc[i][0], acc[i][1], 0x31));
    }
}

float vly_dot_f32_avx2(const float *a, const float *b, size_t n)
{
    __m256 acc[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    float tail = 0.0f;
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        for (size_t j = 0; j < 4; j++)
            acc[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), _mm256_loadu_ps(b + i + 8 * j),
                                     acc[j]);
    }
    for (; i + 8 <= n; i += 8)
        acc[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), acc[0]);
    for (; i < n; i++)
        tail += a[i] * b[i];
    acc[0] = _mm256_add_ps(_mm256_add_ps(acc[0], acc[1]), _mm256_add_ps(acc[2], acc[3]));
    __m128 v = _mm_add_ps(_mm256_castps256_ps128(acc[0]), _mm256_extractf128_ps(acc[0], 1));
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    v = _mm_add_ss(v, _mm_shuffle_ps(v, v, 1));
    return _mm_cvtss_f32(v) + tail;
}
