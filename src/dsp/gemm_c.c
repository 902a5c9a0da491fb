/* SPDX-License-Identifier: MIT */
/* Reference tiles. The loops have constant bounds, so that a compiler keeps acc in registers. */
#include "base/cpu.h"
#include "dsp/gemm.h"
#if defined(__x86_64__)
#include "dsp/x86/gemm_x86.h"
#elif defined(__aarch64__)
#include "dsp/arm/gemm_arm.h"
#endif

#include <string.h>

enum { MR = 4, NR = 8 };

static void tile_f32_c(void *c, size_t ldc, const void *a, const void *b, size_t k,
                       const void *bias, bool accumulate)
{
    const float *ap = a, *bp = b;
    float *out = c;
    float acc[MR][NR];

    for (int i = 0; i < MR; i++) {
        float start = bias != NULL ? ((const float *)bias)[i] : 0.0f;
        for (int j = 0; j < NR; j++)
            acc[i][j] = accumulate ? out[(size_t)i * ldc + (size_t)j] : start;
    }
    for (size_t kk = 0; kk < k; kk++, ap += MR, bp += NR) {
        for (int i = 0; i < MR; i++) {
            for (int j = 0; j < NR; j++)
                acc[i][j] += ap[i] * bp[j];
        }
    }
    for (int i = 0; i < MR; i++)
        memcpy(out + (size_t)i * ldc, acc[i], sizeof(acc[i]));
}

/* Sums wrap like those of every 32-bit accumulator, hence unsigned. */
static void tile_s16_c(void *c, size_t ldc, const void *a, const void *b, size_t k,
                       const void *bias, bool accumulate)
{
    const int16_t *ap = a, *bp = b;
    uint32_t *out = c;
    uint32_t acc[MR][NR];

    for (int i = 0; i < MR; i++) {
        uint32_t start = bias != NULL ? ((const uint32_t *)bias)[i] : 0;
        for (int j = 0; j < NR; j++)
            acc[i][j] = accumulate ? out[(size_t)i * ldc + (size_t)j] : start;
    }
    for (size_t kk = 0; kk < k; kk++, ap += MR, bp += NR) {
        for (int i = 0; i < MR; i++) {
            for (int j = 0; j < NR; j++)
                acc[i][j] += (uint32_t)((int32_t)ap[i] * bp[j]);
        }
    }
    for (int i = 0; i < MR; i++)
        memcpy(out + (size_t)i * ldc, acc[i], sizeof(acc[i]));
}

/* Eight sums side by side, then their sum: an order that vectorises. */
static float dot_f32_c(const float *a, const float *b, size_t n)
{
    float lane[8] = {0}, tail = 0.0f;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        for (size_t j = 0; j < 8; j++)
            lane[j] += a[i + j] * b[i + j];
    }
    for (; i < n; i++)
        tail += a[i] * b[i];
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7])) + tail;
}

void vly_gemm_dsp_init(vly_gemm_dsp *dsp, unsigned cpu_flags)
{
    *dsp = (vly_gemm_dsp){
        .f32 = {MR, NR, sizeof(float), tile_f32_c},
        .s16 = {MR, NR, sizeof(int16_t), tile_s16_c},
        .dot_f32 = dot_f32_c,
    };
#if defined(__x86_64__)
    vly_gemm_dsp_init_x86(dsp, cpu_flags);
#elif defined(__aarch64__)
    vly_gemm_dsp_init_arm(dsp, cpu_flags);
#else
    (void)cpu_flags;
#endif
}
