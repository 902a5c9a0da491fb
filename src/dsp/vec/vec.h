/* SPDX-License-Identifier: MIT */
/*
 * Vectors of floats, vf, as wide as the file's flags allow: AVX-512 (16 lanes, 32 registers), AVX2
 * with FMA (8 lanes, 16 registers), NEON (4 lanes, 32 registers). vec_avx512.h tells what the
 * operations mean; the two others have the same.
 *
 * Kernels on them are written once: *_vec.c files are compiled once per instruction set; conv_*.h
 * are included by a file for each. What they export is named VF_NAME(x): x_avx2, x_avx512, x_neon;
 * VF_TITLE and VF_CPU (base/cpu.h) say which.
 */
#ifndef VLY_DSP_VEC_VEC_H
#define VLY_DSP_VEC_VEC_H

#if defined(__aarch64__)
#include "dsp/arm/vec_neon.h"
#define VF_NAME(name) name##_neon
#define VF_TITLE      "neon"
#define VF_CPU        VLY_CPU_NEON
#elif defined(__AVX512BW__)
#include "dsp/x86/vec_avx512.h"
#define VF_NAME(name) name##_avx512
#define VF_TITLE      "avx512"
#define VF_CPU        VLY_CPU_AVX512
#else
#include "dsp/x86/vec_avx2.h"
#define VF_NAME(name) name##_avx2
#define VF_TITLE      "avx2"
#define VF_CPU        VLY_CPU_AVX2
#endif

/* Lanes that the first of n elements take. */
VF_INLINE int vf_lanes(int64_t n)
{
    return n < VF_LANES ? (int)n : VF_LANES;
}

/* v rounded half to even, plus zero, within 0..255: the code of a U8 image. NaN: 0 */
VF_INLINE vf vf_code(vf v, float zero)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: a sum with it is whole, if |v| <= 2^22 */
    vf q = vf_sub(vf_add(v, vf_set(magic)), vf_set(magic - zero));
    return vf_min(vf_max(q, vf_set(0.0f)), vf_set(255.0f));
}

#endif
