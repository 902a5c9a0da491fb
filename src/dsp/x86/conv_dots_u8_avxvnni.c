/* SPDX-License-Identifier: MIT */
/* U8 on 256 bits: vpdpbusd of AVX-VNNI. */
#include "dsp/x86/conv_dots_u8.h"

#define DOTS_KERNEL vly_conv_u8_avxvnni
#define DOTS_TITLE  "u8 avx vnni"
#define DOTS_CPU    (VLY_CPU_AVX2 | VLY_CPU_AVX_VNNI)
#include "dsp/x86/conv_dots.h"
