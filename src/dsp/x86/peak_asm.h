/* SPDX-License-Identifier: MIT */
/* Inline assembly of the peak loops: a round is one multiply-add on each accumulator. */
#ifndef VLY_DSP_X86_PEAK_ASM_H
#define VLY_DSP_X86_PEAK_ASM_H

#define VLY_PEAK_12(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define VLY_PEAK_24(X)                                                                             \
    VLY_PEAK_12(X)                                                                                 \
    X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

#define VLY_PEAK_XMM_LOW                                                                           \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define VLY_PEAK_XMM_HIGH                                                                          \
    "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm30", "xmm31"

/* Zeroes are as fast as any numbers, and no sum of them overflows or turns denormal. */
#define VLY_PEAK_LOOP(zero, body, ...)                                                             \
    __asm__ volatile(zero "1:\n\t" body "dec %0\n\tjnz 1b\n\tvzeroupper"                           \
                     : "+r"(n_rounds)                                                              \
                     :                                                                             \
                     : "cc", __VA_ARGS__)

#define VLY_PEAK_ZERO_YMM(n) "vpxor %%ymm" #n ", %%ymm" #n ", %%ymm" #n "\n\t"
#define VLY_PEAK_LOOP_YMM(X)                                                                       \
    VLY_PEAK_LOOP(VLY_PEAK_12(VLY_PEAK_ZERO_YMM) VLY_PEAK_ZERO_YMM(12) VLY_PEAK_ZERO_YMM(13)       \
                      VLY_PEAK_ZERO_YMM(14) VLY_PEAK_ZERO_YMM(15),                                 \
                  VLY_PEAK_12(X), VLY_PEAK_XMM_LOW)

#define VLY_PEAK_ZERO_ZMM(n) "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"
#define VLY_PEAK_LOOP_ZMM(X)                                                                       \
    VLY_PEAK_LOOP(VLY_PEAK_24(VLY_PEAK_ZERO_ZMM) VLY_PEAK_ZERO_ZMM(30) VLY_PEAK_ZERO_ZMM(31),      \
                  VLY_PEAK_24(X), VLY_PEAK_XMM_LOW, VLY_PEAK_XMM_HIGH)

#endif
