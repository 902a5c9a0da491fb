/* SPDX-License-Identifier: MIT */
/*
 * VLY_IVDEP before a loop: its iterations do not depend on each other, although the pointers in it
 * may be equal (in-place kernels). Without it the compiler runs such loops element by element.
 */
#ifndef VLY_BASE_IVDEP_H
#define VLY_BASE_IVDEP_H

#ifdef __clang__
#define VLY_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define VLY_IVDEP _Pragma("GCC ivdep")
#endif

#endif
