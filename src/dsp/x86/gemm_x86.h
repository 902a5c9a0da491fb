/* SPDX-License-Identifier: MIT */
/* Tile kernels of dsp/gemm.h for x86, and the ladder that picks them. */
#ifndef VLY_DSP_X86_GEMM_X86_H
#define VLY_DSP_X86_GEMM_X86_H

#include "base/cpu.h"
#include "dsp/gemm.h"

/* Shapes of the tiles, rows x columns. */
enum {
    VLY_GEMM_AVX2_MR = 6,
    VLY_GEMM_AVX2_NR = 16,
    VLY_GEMM_AVX512_MR = 12,
    VLY_GEMM_AVX512_NR = 32,
};

/* As vly_gemm_kernel.tile. The float tiles fuse multiply and add, and so round once where the C
 * reference rounds twice. */
void vly_gemm_tile_f32_avx2(void *c, size_t ldc, const void *a, const void *b, size_t k,
                            const void *bias, bool accumulate);
void vly_gemm_tile_s16_avx2(void *c, size_t ldc, const void *a, const void *b, size_t k,
                            const void *bias, bool accumulate);
float vly_dot_f32_avx2(const float *a, const float *b, size_t n);

void vly_gemm_tile_f32_avx512(void *c, size_t ldc, const void *a, const void *b, size_t k,
                              const void *bias, bool accumulate);
void vly_gemm_tile_s16_avx512(void *c, size_t ldc, const void *a, const void *b, size_t k,
                              const void *bias, bool accumulate);
float vly_dot_f32_avx512(const float *a, const float *b, size_t n);

static inline void vly_gemm_dsp_init_x86(vly_gemm_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_AVX2) == 0)
        return;
    dsp->f32 = (vly_gemm_kernel){VLY_GEMM_AVX2_MR, VLY_GEMM_AVX2_NR, 4, vly_gemm_tile_f32_avx2};
    dsp->s16 = (vly_gemm_kernel){VLY_GEMM_AVX2_MR, VLY_GEMM_AVX2_NR, 2, vly_gemm_tile_s16_avx2};
    dsp->dot_f32 = vly_dot_f32_avx2;
    if ((cpu_flags & VLY_CPU_AVX512) == 0)
        return;
    dsp->f32 =
        (vly_gemm_kernel){VLY_GEMM_AVX512_MR, VLY_GEMM_AVX512_NR, 4, vly_gemm_tile_f32_avx512};
    dsp->s16 =
        (vly_gemm_kernel){VLY_GEMM_AVX512_MR, VLY_GEMM_AVX512_NR, 2, vly_gemm_tile_s16_avx512};
    dsp->dot_f32 = vly_dot_f32_avx512;
}

#endif
