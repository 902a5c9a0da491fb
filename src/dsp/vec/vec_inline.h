/* SPDX-License-Identifier: MIT */
/* How kernels on vectors tell the compiler what must become straight code in registers. */
#ifndef VLY_DSP_VEC_VEC_INLINE_H
#define VLY_DSP_VEC_VEC_INLINE_H

#define VF_INLINE static inline __attribute__((always_inline))

/* Before a loop over constants: unroll it, so that arrays of vectors become registers. */
#ifdef __clang__
#define VF_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VF_UNROLL _Pragma("GCC unroll 64")
#endif

#endif
