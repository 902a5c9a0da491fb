/* SPDX-License-Identifier: MIT */
/* Activations over arrays (dsp/act.h) for x86, and the ladder that picks them. */
#ifndef VLY_DSP_X86_ACT_X86_H
#define VLY_DSP_X86_ACT_X86_H

#include "base/cpu.h"
#include "dsp/act.h"

void vly_act_dsp_init_avx2(vly_act_dsp *dsp);
void vly_act_dsp_init_avx512(vly_act_dsp *dsp);

static inline void vly_act_dsp_init_x86(vly_act_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_AVX2) == 0)
        return;
    vly_act_dsp_init_avx2(dsp);
    if ((cpu_flags & VLY_CPU_AVX512) == 0)
        return;
    vly_act_dsp_init_avx512(dsp);
}

#endif
