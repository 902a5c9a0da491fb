/* SPDX-License-Identifier: MIT */
/* U8 on 512 bits: vpdpbusd of AVX512_VNNI. */
#include "dsp/x86/conv_dots_u8.h"

#define DOTS_KERNEL vly_conv_u8_vnni
#define DOTS_TITLE  "u8 avx512 vnni"
#define DOTS_CPU    (VLY_CPU_AVX512 | VLY_CPU_AVX512_VNNI)
#include "dsp/x86/conv_dots.h"
