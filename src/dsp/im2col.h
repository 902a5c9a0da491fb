/* SPDX-License-Identifier: MIT */
/*
 * Sliding windows over up to three spatial dimensions: the im2col matrix as a source of GEMM
 * panels, its transpose (col2im), and the direct form for depthwise convolutions.
 *
 * The matrix has a row for each (channel, kernel position) and a column for each output position;
 * where the window leaves the image it holds zeros. It is never stored as a whole.
 *
 * Layouts are dense: image [c][in0][in1][in2], columns [c][k0][k1][k2][out0][out1][out2]. Fewer
 * spatial dimensions: leading ones of size 1 (VLY_WINDOW_INIT).
 */
#ifndef VLY_DSP_IM2COL_H
#define VLY_DSP_IM2COL_H

#include "dsp/gemm.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct vly_window {
    int64_t in[3], out[3], kernel[3];
    int64_t stride[3], dilation[3];
    int64_t pad[3]; /* before the first element; negative crops */
} vly_window;

#define VLY_WINDOW_INIT                                                                            \
    {                                                                                              \
        .in = {1, 1, 1}, .out = {1, 1, 1}, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = { \
            1,                                                                                     \
            1,                                                                                     \
            1                                                                                      \
        }                                                                                          \
    }

int64_t vly_window_in_size(const vly_window *w);     /* product of in */
int64_t vly_window_out_size(const vly_window *w);    /* product of out */
int64_t vly_window_kernel_size(const vly_window *w); /* product of kernel */

/* What one kernel tap touches: output positions begin..end of each dimension, the first of them
 * reading input position `first`. The lines of a tap are its positions (o0, o1, begin[2]..end[2]).
 */
typedef struct vly_tap {
    int64_t begin[3], end[3], first[3];
} vly_tap;

vly_tap vly_window_tap(const vly_window *w, int64_t idx); /* 0 <= idx < kernel size */
/* Offsets at which line (o0, o1) begins in the input and in the output plane. */
int64_t vly_tap_in(const vly_window *w, const vly_tap *t, int64_t o0, int64_t o1);
int64_t vly_tap_out(const vly_window *w, const vly_tap *t, int64_t o0, int64_t o1);

/* The im2col matrix as B of a product. Borrows w and x until the product is done. */
typedef struct vly_im2col {
    vly_gemm_b base;
    const vly_window *w;
    const void *x;
    int elem_bytes; /* of x: 4 (float) or 1 */
    bool is_signed; /* 8-bit: int8_t */
    int32_t zero;   /* 8-bit: zero point, subtracted; outside the image the difference is 0 */
} vly_im2col;

vly_im2col vly_im2col_f32(const vly_window *w, const float *x);
vly_im2col vly_im2col_q8(const vly_window *w, const void *x, bool is_signed, int32_t zero);

/* Adds each column element to the image element it was taken from: x [c][in...] += cols. */
void vly_col2im_f32(const vly_window *w, int64_t c, const float *cols, float *x);

/* One channel in, one channel out: y[out] = bias + sum over the kernel of weight * x. */
void vly_depthwise_f32(const vly_window *w, const float *x, const float *weight, float bias,
                       float *y);

#endif
