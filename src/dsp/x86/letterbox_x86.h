/* SPDX-License-Identifier: MIT */
/* Kernels of dsp/letterbox.h for x86, and the ladder that picks them. */
#ifndef VLY_DSP_X86_LETTERBOX_X86_H
#define VLY_DSP_X86_LETTERBOX_X86_H

#include "base/cpu.h"
#include "dsp/letterbox.h"

void vly_letterbox_dsp_init_avx2(vly_letterbox_dsp *dsp);
void vly_letterbox_dsp_init_vbmi(vly_letterbox_dsp *dsp);

static inline void vly_letterbox_dsp_init_x86(vly_letterbox_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_AVX2) == 0)
        return;
    vly_letterbox_dsp_init_avx2(dsp);
    if ((cpu_flags & VLY_CPU_AVX512_VBMI) == 0)
        return;
    vly_letterbox_dsp_init_vbmi(dsp);
}

#endif
