/* SPDX-License-Identifier: MIT */
#include "dsp/x86/peak_asm.h"
#include "dsp/x86/peak_x86.h"

#define FMA(n) "vfmadd231ps %%zmm31, %%zmm30, %%zmm" #n "\n\t"

void vly_peak_f32_avx512(size_t n_rounds)
{
    VLY_PEAK_LOOP_ZMM(FMA);
}
