/* SPDX-License-Identifier: MIT */
/* Loops of dsp/peak.h for x86, and the ladder that lists them. */
#ifndef VLY_DSP_X86_PEAK_X86_H
#define VLY_DSP_X86_PEAK_X86_H

#include "base/cpu.h"
#include "dsp/peak.h"

/* Independent accumulators: more than latency times ports of any CPU so far. */
enum {
    VLY_PEAK_YMM_N = 12,
    VLY_PEAK_ZMM_N = 24,
    VLY_PEAK_TMM_N = 6,
};

void vly_peak_f32_avx2(size_t n_rounds);
void vly_peak_int8_avx2(size_t n_rounds);    /* vpmaddubsw, vpmaddwd, vpaddd */
void vly_peak_int8_avxvnni(size_t n_rounds); /* vpdpbusd on 256 bits */
void vly_peak_f32_avx512(size_t n_rounds);
void vly_peak_int8_vnni(size_t n_rounds);
void vly_peak_bf16_vnni(size_t n_rounds); /* vdpbf16ps */
void vly_peak_bf16_amx(size_t n_rounds);
void vly_peak_int8_amx(size_t n_rounds);

static inline void vly_peak_add(vly_peak_dsp *dsp, vly_peak_kind kind, const char *isa, int ops,
                                void (*run)(size_t n_rounds))
{
    dsp->loops[dsp->n_loops++] = (vly_peak_loop){kind, isa, ops, run};
}

static inline void vly_peak_dsp_init_x86(vly_peak_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_AVX2) == 0)
        return;
    vly_peak_add(dsp, VLY_PEAK_F32, "avx2", VLY_PEAK_YMM_N * 8 * 2, vly_peak_f32_avx2);
    vly_peak_add(dsp, VLY_PEAK_INT8, "avx2", VLY_PEAK_YMM_N * 32 * 2, vly_peak_int8_avx2);
    if ((cpu_flags & VLY_CPU_AVX_VNNI) != 0)
        vly_peak_add(dsp, VLY_PEAK_INT8, "avx-vnni", VLY_PEAK_YMM_N * 32 * 2,
                     vly_peak_int8_avxvnni);
    if ((cpu_flags & VLY_CPU_AVX512) == 0)
        return;
    vly_peak_add(dsp, VLY_PEAK_F32, "avx512", VLY_PEAK_ZMM_N * 16 * 2, vly_peak_f32_avx512);
    if ((cpu_flags & VLY_CPU_AVX512_BF16) != 0)
        vly_peak_add(dsp, VLY_PEAK_BF16, "avx512-bf16", VLY_PEAK_ZMM_N * 32 * 2,
                     vly_peak_bf16_vnni);
    if ((cpu_flags & VLY_CPU_AVX512_VNNI) != 0)
        vly_peak_add(dsp, VLY_PEAK_INT8, "avx512-vnni", VLY_PEAK_ZMM_N * 64 * 2,
                     vly_peak_int8_vnni);
    if ((cpu_flags & VLY_CPU_AMX) == 0)
        return;
    vly_peak_add(dsp, VLY_PEAK_BF16, "amx", VLY_PEAK_TMM_N * 16 * 16 * 32 * 2, vly_peak_bf16_amx);
    vly_peak_add(dsp, VLY_PEAK_INT8, "amx", VLY_PEAK_TMM_N * 16 * 16 * 64 * 2, vly_peak_int8_amx);
}

#endif
