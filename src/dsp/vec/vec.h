/* SPDX-License-Identifier: MIT */
/*
 * Vectors of floats, vf, as wide as the file's flags allow: *_vec.c files are written once and
 * compiled once per instruction set, and name what they export VF_NAME(x): x_avx2, x_avx512,
 * x_neon; VF_TITLE and VF_CPU (base/cpu.h) say which. Empty without AVX2 or NEON.
 */
#ifndef VLY_DSP_VEC_VEC_H
#define VLY_DSP_VEC_VEC_H

#if defined(__AVX512BW__)
#include "dsp/x86/vec_avx512.h"
#define VF_NAME(name) name##_avx512
#define VF_TITLE      "avx512"
#define VF_CPU        VLY_CPU_AVX512
#elif defined(__AVX2__)
#include "dsp/x86/vec_avx2.h"
#define VF_NAME(name) name##_avx2
#define VF_TITLE      "avx2"
#define VF_CPU        VLY_CPU_AVX2
#elif defined(__aarch64__)
#include "dsp/arm/vec_neon.h"
#define VF_NAME(name) name##_neon
#define VF_TITLE      "neon"
#define VF_CPU        VLY_CPU_NEON
#endif

#endif
