/* SPDX-License-Identifier: MIT */
/* Best class of every column (dsp/rowmax.h) for x86, and the ladder that picks it. */
#ifndef VLY_DSP_X86_ROWMAX_X86_H
#define VLY_DSP_X86_ROWMAX_X86_H

#include "base/cpu.h"
#include "dsp/rowmax.h"

vly_rowmax_fn vly_rowmax_avx2;
vly_rowmax_fn vly_rowmax_avx512;

static inline void vly_rowmax_dsp_init_x86(vly_rowmax_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_AVX2) == 0)
        return;
    dsp->rowmax = vly_rowmax_avx2;
    if ((cpu_flags & VLY_CPU_AVX512) == 0)
        return;
    dsp->rowmax = vly_rowmax_avx512;
}

#endif
