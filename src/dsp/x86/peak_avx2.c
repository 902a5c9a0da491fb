/* SPDX-License-Identifier: MIT */
#include "dsp/x86/peak_asm.h"
#include "dsp/x86/peak_x86.h"

#define FMA(n) "vfmadd231ps %%ymm15, %%ymm14, %%ymm" #n "\n\t"

void vly_peak_f32_avx2(size_t n_rounds)
{
    VLY_PEAK_LOOP_YMM(FMA);
}

/* Without vpdpbusd a byte product takes three steps; the temporary is renamed away. */
#define MADD(n)                                                                                    \
    "vpmaddubsw %%ymm15, %%ymm14, %%ymm12\n\t"                                                     \
    "vpmaddwd %%ymm13, %%ymm12, %%ymm12\n\t"                                                       \
    "vpaddd %%ymm12, %%ymm" #n ", %%ymm" #n "\n\t"

void vly_peak_int8_avx2(size_t n_rounds)
{
    VLY_PEAK_LOOP_YMM(MADD);
}

#define DOT(n) "%{vex%} vpdpbusd %%ymm15, %%ymm14, %%ymm" #n "\n\t"

void vly_peak_int8_avxvnni(size_t n_rounds)
{
    VLY_PEAK_LOOP_YMM(DOT);
}
