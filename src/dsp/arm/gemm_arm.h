/* SPDX-License-Identifier: MIT */
/* Tile kernels of dsp/gemm.h for 64-bit ARM, and the ladder that picks them. */
#ifndef VLY_DSP_ARM_GEMM_ARM_H
#define VLY_DSP_ARM_GEMM_ARM_H

#include "base/cpu.h"
#include "dsp/gemm.h"

/* Shapes of the tiles, rows x columns. */
enum {
    VLY_GEMM_NEON_F32_MR = 12,
    VLY_GEMM_NEON_F32_NR = 8,
    VLY_GEMM_NEON_S16_MR = 8,
    VLY_GEMM_NEON_S16_NR = 8,
};

/* As vly_gemm_kernel.tile. The float tile fuses multiply and add. */
void vly_gemm_tile_f32_neon(void *c, size_t ldc, const void *a, const void *b, size_t k,
                            const void *bias, bool accumulate);
void vly_gemm_tile_s16_neon(void *c, size_t ldc, const void *a, const void *b, size_t k,
                            const void *bias, bool accumulate);
float vly_dot_f32_neon(const float *a, const float *b, size_t n);

static inline void vly_gemm_dsp_init_arm(vly_gemm_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_NEON) == 0)
        return;
    dsp->f32 =
        (vly_gemm_kernel){VLY_GEMM_NEON_F32_MR, VLY_GEMM_NEON_F32_NR, 4, vly_gemm_tile_f32_neon};
    dsp->s16 =
        (vly_gemm_kernel){VLY_GEMM_NEON_S16_MR, VLY_GEMM_NEON_S16_NR, 2, vly_gemm_tile_s16_neon};
    dsp->dot_f32 = vly_dot_f32_neon;
}

#endif
