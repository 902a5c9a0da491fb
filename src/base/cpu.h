/* SPDX-License-Identifier: MIT */
/*
 * What this CPU can do, once for the process. VOLLEY_CPU=c|avx2|avx512|amx masks it downwards, so
 * that every kernel level can be tested on one machine; avx512 includes VNNI and BF16.
 */
#ifndef VLY_BASE_CPU_H
#define VLY_BASE_CPU_H

enum {
    VLY_CPU_AVX2 = 1u << 0,        /* AVX2 and FMA */
    VLY_CPU_AVX512 = 1u << 1,      /* F, BW, VL, DQ */
    VLY_CPU_AVX512_VNNI = 1u << 2, /* vpdpbusd */
    VLY_CPU_AVX512_BF16 = 1u << 3, /* vdpbf16ps */
    VLY_CPU_NEON = 1u << 4,
    VLY_CPU_AVX_VNNI = 1u << 5, /* vpdpbusd on 256 bits, without AVX-512 */
    VLY_CPU_AMX = 1u << 6, /* tiles, with int8 and bf16 products; Linux lets the process use them */
    VLY_CPU_AVX512_VBMI = 1u << 7, /* vpermi2b */
};

unsigned vly_cpu_flags(void);    /* detected, then masked by VOLLEY_CPU. Thread: any */
const char *vly_cpu_level(void); /* highest level in use: "c", "avx2", "avx512", "amx", "neon" */

#endif
