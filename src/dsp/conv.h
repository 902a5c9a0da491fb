/* SPDX-License-Identifier: MIT */
/*
 * Convolution over images (dsp/image.h) with weights packed once, and everything that may follow it
 * done while the sums are in registers. Products with constant matrices (Gemm, MatMul) are 1x1
 * convolutions over n = h = 1 images.
 *
 *   sum[o] = sum over taps (r, q) and channels i of
 *            x[y * stride_h + r * dilation_h - pad_top][x * stride_w + q * dilation_w -
 * pad_left][i]
 *            * w[o][i][r][q]
 *   v = sum * scale[o] + bias[o]
 *   v = v + residual   (VLY_RESIDUAL_BEFORE)
 *   v = act(v)
 *   v = v + residual   (VLY_RESIDUAL_AFTER)
 *   y = v, rounded to the output's element; U8: clamp(round_half_even(v / y.scale) + y.zero, 0,
 * 255)
 *
 * With U8 input the sum is of (x - zero) * w in exact int32. Kernels may sum floats in any order,
 * but each output is summed the same way whatever the split into units. With BF16 or U8 output,
 * sigmoid, SiLU, tanh and GELU may be off by 2^-12 of their value, an eighth of what rounding to
 * BF16 may change.
 *
 * A kernel is one row of constants and functions. To add one: a file
 * dsp/<isa>/conv_<family>_<isa>.c and a line in conv.c's list, best first; the first that fits a
 * description is taken.
 *
 * Thread: any; units of one call may run at once, each with its own scratch.
 */
#ifndef VLY_DSP_CONV_H
#define VLY_DSP_CONV_H

#include "dsp/image.h"

typedef enum vly_act {
    VLY_ACT_NONE,
    VLY_ACT_RELU,
    VLY_ACT_CLIP,       /* min(max(v, alpha), beta) */
    VLY_ACT_LEAKY_RELU, /* v < 0 ? alpha * v : v */
    VLY_ACT_SIGMOID,
    VLY_ACT_SILU, /* v * sigmoid(v) */
    VLY_ACT_TANH,
    VLY_ACT_HARD_SIGMOID, /* min(max(alpha * v + beta, 0), 1) */
    VLY_ACT_HARD_SWISH,   /* v * min(max(v / 6 + 1/2, 0), 1) */
    VLY_ACT_GELU,         /* v / 2 * (1 + erf(v / sqrt 2)) */
    VLY_ACT_TABLE,        /* U8 output only: table[quantised v] */
} vly_act;

typedef enum vly_residual {
    VLY_RESIDUAL_NONE,
    VLY_RESIDUAL_BEFORE,
    VLY_RESIDUAL_AFTER
} vly_residual;

/* What a kernel is chosen by and packs for. Sizes are > 0. */
typedef struct vly_conv_desc {
    vly_elem in, out;
    int c_in, c_out, group; /* group divides both; with group == c_in == c_out: depthwise */
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int dilation_h, dilation_w;
    int pad_top, pad_left;
    int n, h_out, w_out;
    bool is_flat; /* input and output are (vly_image_is_flat), kernel 1x1, stride 1, no padding */
    vly_act act;
    vly_residual residual;
} vly_conv_desc;

typedef struct vly_conv_call {
    const vly_conv_desc *desc;
    const void *packed; /* what the kernel's pack made, 64-byte aligned */
    const vly_image *x; /* its border, or the picture itself, holds every tap */
    const vly_image *y; /* only the h_out * w_out * c_out elements are written, not the border */
    const vly_image
        *residual;        /* same sizes as y; elem F32 or y's; NULL with RESIDUAL_NONE; never y */
    const float *scale;   /* [c_out], NULL: 1. Always given with U8 input */
    const float *bias;    /* [c_out], NULL: 0 */
    float alpha, beta;    /* of the activation */
    const uint8_t *table; /* [256], VLY_ACT_TABLE */
} vly_conv_call;

typedef struct vly_conv_kernel {
    const char *name;   /* as plans show it: "direct avx512" */
    unsigned cpu_flags; /* all that it needs, base/cpu.h */
    bool (*fits)(const vly_conv_desc *d);
    size_t (*packed_bytes)(const vly_conv_desc *d);
    /* weights: [c_out][c_in / group][kernel_h][kernel_w] float, or int8_t with U8 input. */
    void (*pack)(const vly_conv_desc *d, const void *weights, void *packed);
    size_t (*scratch_bytes)(const vly_conv_desc *d); /* of one unit range; NULL: none */
    /* Independent pieces of about equal cost; run is called with ranges that cover [0, units). */
    int (*units)(const vly_conv_desc *d);
    void (*run)(const vly_conv_call *call, int begin, int end, void *scratch);
} vly_conv_kernel;

/* Never NULL: the C reference fits everything. U8 input goes with int8_t weights, the others with
 * float weights. BF16 input: weights are rounded to BF16 when packed. */
const vly_conv_kernel *vly_conv_choose(const vly_conv_desc *d, unsigned cpu_flags);
/* The kernel list, for tests: kernel i, or NULL past the end. */
const vly_conv_kernel *vly_conv_kernel_at(int i);

/* Is there more than the reference for this CPU? */
bool vly_conv_has_kernels(unsigned cpu_flags);

/* v after the call's activation (not VLY_ACT_TABLE): what every kernel must match. */
float vly_act_apply(vly_act act, float v, float alpha, float beta);

#endif
