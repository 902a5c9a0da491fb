/* SPDX-License-Identifier: MIT */
/* Softmax (dsp/norm.h) for x86, and the ladder that picks it. */
#ifndef VLY_DSP_X86_NORM_X86_H
#define VLY_DSP_X86_NORM_X86_H

#include "base/cpu.h"
#include "dsp/norm.h"

void vly_softmax_dsp_init_avx2(vly_softmax_dsp *dsp);
void vly_softmax_dsp_init_avx512(vly_softmax_dsp *dsp);

static inline void vly_softmax_dsp_init_x86(vly_softmax_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_AVX2) == 0)
        return;
    vly_softmax_dsp_init_avx2(dsp);
    if ((cpu_flags & VLY_CPU_AVX512) == 0)
        return;
    vly_softmax_dsp_init_avx512(dsp);
}

#endif
