/* SPDX-License-Identifier: MIT */
/* Recurrent cells (dsp/recurrent.h) for x86, and the ladder that picks them. */
#ifndef VLY_DSP_X86_RECURRENT_X86_H
#define VLY_DSP_X86_RECURRENT_X86_H

#include "base/cpu.h"
#include "dsp/recurrent.h"

extern const vly_cell_kernel vly_cell_avx2, vly_cell_avx512;

static inline const vly_cell_kernel *vly_cell_choose_x86(unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_AVX2) == 0)
        return NULL;
    return (cpu_flags & VLY_CPU_AVX512) == 0 ? &vly_cell_avx2 : &vly_cell_avx512;
}

#endif
