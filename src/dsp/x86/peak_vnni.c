/* SPDX-License-Identifier: MIT */
#include "dsp/x86/peak_asm.h"
#include "dsp/x86/peak_x86.h"

#define DOT(n) "vpdpbusd %%zmm31, %%zmm30, %%zmm" #n "\n\t"

void vly_peak_int8_vnni(size_t n_rounds)
{
    VLY_PEAK_LOOP_ZMM(DOT);
}

#define DOT_BF16(n) "vdpbf16ps %%zmm31, %%zmm30, %%zmm" #n "\n\t"

void vly_peak_bf16_vnni(size_t n_rounds)
{
    VLY_PEAK_LOOP_ZMM(DOT_BF16);
}
