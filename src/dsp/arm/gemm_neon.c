/* SPDX-License-Identifier: MIT */
/* Floats in tiles of 12 x 8: 24 accumulators, two vectors of B and three of A fit the 32 registers.
 * Integers in tiles of 8 x 8. */
#include "dsp/arm/gemm_arm.h"

#include <arm_neon.h>

enum { MR = VLY_GEMM_NEON_F32_MR, NR = VLY_GEMM_NEON_F32_NR, S16_MR = VLY_GEMM_NEON_S16_MR };

/* Row i of the tile, which is lane l of av. */
#define F32_ROW(i, av, l)                                                                          \
    acc[i][0] = vfmaq_laneq_f32(acc[i][0], b0, av, l);                                             \
    acc[i][1] = vfmaq_laneq_f32(acc[i][1], b1, av, l);
#define F32_ROWS(i, av)                                                                            \
    F32_ROW(i, av, 0) F32_ROW((i) + 1, av, 1) F32_ROW((i) + 2, av, 2) F32_ROW((i) + 3, av, 3)

void vly_gemm_tile_f32_neon(void *c, size_t ldc, const void *a, const void *b, size_t k,
                            const void *bias, bool accumulate)
{
    const float *ap = a, *bp = b, *start = bias;
    float *out = c;
    float32x4_t acc[MR][2];

    for (size_t i = 0; i < MR; i++) {
        float32x4_t v = vdupq_n_f32(start != NULL ? start[i] : 0.0f);
        acc[i][0] = accumulate ? vld1q_f32(out + i * ldc) : v;
        acc[i][1] = accumulate ? vld1q_f32(out + i * ldc + 4) : v;
    }
    for (size_t kk = 0; kk < k; kk++, ap += MR, bp += NR) {
        float32x4_t a0 = vld1q_f32(ap), a1 = vld1q_f32(ap + 4), a2 = vld1q_f32(ap + 8);
        float32x4_t b0 = vld1q_f32(bp), b1 = vld1q_f32(bp + 4);
        F32_ROWS(0, a0)
        F32_ROWS(4, a1)
        F32_ROWS(8, a2)
    }
    for (size_t i = 0; i < MR; i++) {
        vst1q_f32(out + i * ldc, acc[i][0]);
        vst1q_f32(out + i * ldc + 4, acc[i][1]);
    }
}

#define S16_ROW(i)                                                                                 \
    acc[i][0] = vmlal_laneq_s16(acc[i][0], vget_low_s16(bv), av, i);                               \
    acc[i][1] = vmlal_high_laneq_s16(acc[i][1], bv, av, i);

void vly_gemm_tile_s16_neon(void *c, size_t ldc, const void *a, const void *b, size_t k,
                            const void *bias, bool accumulate)
{
    const int16_t *ap = a, *bp = b;
    const int32_t *start = bias;
    int32_t *out = c;
    int32x4_t acc[S16_MR][2];

    for (size_t i = 0; i < S16_MR; i++) {
        int32x4_t v = vdupq_n_s32(start != NULL ? start[i] : 0);
        acc[i][0] = accumulate ? vld1q_s32(out + i * ldc) : v;
        acc[i][1] = accumulate ? vld1q_s32(out + i * ldc + 4) : v;
    }
    for (size_t kk = 0; kk < k; kk++, ap += S16_MR, bp += VLY_GEMM_NEON_S16_NR) {
        int16x8_t av = vld1q_s16(ap), bv = vld1q_s16(bp);
        S16_ROW(0)
        S16_ROW(1)
        S16_ROW(2)
        S16_ROW(3)
        S16_ROW(4)
        S16_ROW(5)
        S16_ROW(6)
        S16_ROW(7)
    }
    for (size_t i = 0; i < S16_MR; i++) {
        vst1q_s32(out + i * ldc, acc[i][0]);
        vst1q_s32(out + i * ldc + 4, acc[i][1]);
    }
}

float vly_dot_f32_neon(const float *a, const float *b, size_t n)
{
    float32x4_t acc[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f),
                          vdupq_n_f32(0.0f)};
    float tail = 0.0f;
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 4; j++)
            acc[j] = vfmaq_f32(acc[j], vld1q_f32(a + i + 4 * j), vld1q_f32(b + i + 4 * j));
    for (; i + 4 <= n; i += 4)
        acc[0] = vfmaq_f32(acc[0], vld1q_f32(a + i), vld1q_f32(b + i));
    for (; i < n; i++)
        tail += a[i] * b[i];
    acc[0] = vaddq_f32(vaddq_f32(acc[0], acc[1]), vaddq_f32(acc[2], acc[3]));
    return vaddvq_f32(acc[0]) + tail;
}
