/* SPDX-License-Identifier: MIT */
/*
 * The convolution kernels, by input element and best first: dsp/<isa>/conv_<family>_<isa>.c defines
 *     const vly_conv_kernel vly_conv_<name>;
 * The C reference is last and fits everything.
 */
#ifndef VLY_DSP_CONV_LIST_H
#define VLY_DSP_CONV_LIST_H

#include "dsp/conv.h"

#define VLY_CONV_KERNELS_F32_ISA(X, isa)                                                           \
    X(depthwise_##isa) X(gemv_##isa) X(winograd_##isa) X(direct_##isa)
#if defined(__x86_64__)
#define VLY_CONV_KERNELS_F32(X)                                                                    \
    VLY_CONV_KERNELS_F32_ISA(X, avx512) VLY_CONV_KERNELS_F32_ISA(X, avx2)
#define VLY_CONV_KERNELS_BF16(X) X(bf16_amx) X(bf16_vnni) X(bf16_avx512) X(bf16_avx2)
#define VLY_CONV_KERNELS_U8(X)   X(u8_amx) X(u8_vnni) X(u8_avxvnni) X(u8_avx2)
#elif defined(__aarch64__)
#define VLY_CONV_KERNELS_F32(X) VLY_CONV_KERNELS_F32_ISA(X, neon)
#define VLY_CONV_KERNELS_BF16(X)
#define VLY_CONV_KERNELS_U8(X)
#else
#define VLY_CONV_KERNELS_F32(X)
#define VLY_CONV_KERNELS_BF16(X)
#define VLY_CONV_KERNELS_U8(X)
#endif
#define VLY_CONV_KERNELS(X)                                                                        \
    VLY_CONV_KERNELS_F32(X) VLY_CONV_KERNELS_BF16(X) VLY_CONV_KERNELS_U8(X) X(plain_c)

#define VLY_CONV_DECLARE(name) extern const vly_conv_kernel vly_conv_##name;
VLY_CONV_KERNELS(VLY_CONV_DECLARE)
#undef VLY_CONV_DECLARE

#endif
