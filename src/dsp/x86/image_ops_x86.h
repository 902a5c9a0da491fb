/* SPDX-License-Identifier: MIT */
/* Image operations (dsp/image_ops.h) for x86, and the ladder that picks them. */
#ifndef VLY_DSP_X86_IMAGE_OPS_X86_H
#define VLY_DSP_X86_IMAGE_OPS_X86_H

#include "base/cpu.h"
#include "dsp/image_ops.h"

void vly_image_dsp_init_avx2(vly_image_dsp *dsp);
void vly_image_dsp_init_avx512(vly_image_dsp *dsp);
void vly_image_lookup_vbmi(const vly_image *y, const vly_image *x, const uint8_t table[256],
                           int begin, int end);

static inline void vly_image_dsp_init_x86(vly_image_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_AVX2) == 0)
        return;
    vly_image_dsp_init_avx2(dsp);
    if ((cpu_flags & VLY_CPU_AVX512) == 0)
        return;
    vly_image_dsp_init_avx512(dsp);
    if ((cpu_flags & VLY_CPU_AVX512_VBMI) == 0)
        return;
    dsp->lookup = vly_image_lookup_vbmi;
}

#endif
