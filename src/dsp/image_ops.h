/* SPDX-License-Identifier: MIT */
/*
 * Everything but convolution that fused plans do to images (dsp/image.h): conversion from and to
 * planes, copies with change of element, pools, resize, sums and products, activations.
 *
 * Functions work on the rows begin..end-1 of n * h output rows of all pictures, so that a step can
 * be split over threads. They write the pictures, not the borders (vly_image_fill_border). Elements
 * are converted through float: U8 inputs are dequantised with the input's scale and zero, U8
 * outputs quantised with the output's, rounding half to even, saturating. Where input and output
 * agree in element, scale and zero, selections (max pool, nearest resize, copy) move elements
 * unchanged. y and x do not overlap, but map, lookup and combine may work in place.
 *
 * Selections do not depend on the level; other results may differ by the rounding of reordered sums
 * and by the bounds of dsp/act.h.
 *
 * Pointers come from vly_image_dsp_init, for the instruction sets that cpu_flags allow.
 * Thread: any.
 */
#ifndef VLY_DSP_IMAGE_OPS_H
#define VLY_DSP_IMAGE_OPS_H

#include "dsp/conv.h"

/* Planes [n][c][h][w] of float, `plane` elements from one channel to the next (>= h * w) and
 * `picture` from one picture to the next. */
typedef struct vly_planes {
    float *data;
    int64_t plane, picture;
} vly_planes;

/* Windows are clipped to the picture, whatever its border holds; each meets the picture. */
typedef struct vly_pool_desc {
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    bool is_max;        /* else the mean */
    bool counts_border; /* mean: divide by the whole window (ONNX count_include_pad) */
} vly_pool_desc;

typedef enum vly_combine { VLY_COMBINE_ADD, VLY_COMBINE_MUL, VLY_COMBINE_SUB } vly_combine;

typedef struct vly_image_dsp {
    /* Channels of y beyond `n_channels` (y->c may be larger) are set to zero (U8: the zero point).
     */
    void (*from_planes)(const vly_image *y, const vly_planes *x, int n_channels, int begin,
                        int end);
    /* y = act(x) */
    void (*to_planes)(const vly_planes *y, const vly_image *x, vly_act act, float alpha, float beta,
                      int begin, int end);
    /* y = act(x), element by element; also the plain copy with another element or scale. act is
     * not VLY_ACT_TABLE */
    void (*map)(const vly_image *y, const vly_image *x, vly_act act, float alpha, float beta,
                int begin, int end);
    void (*lookup)(const vly_image *y, const vly_image *x, const uint8_t table[256], int begin,
                   int end); /* both U8 */
    /* y = act(a op b); b may have h = w = 1 (one factor per channel and picture), or c = 1 */
    void (*combine)(const vly_image *y, const vly_image *a, const vly_image *b, vly_combine op,
                    vly_act act, float alpha, float beta, int begin, int end);
    /* Maximum: NaN never wins. */
    void (*pool)(const vly_image *y, const vly_image *x, const vly_pool_desc *d, int begin,
                 int end);
    /* y: h = w = 1; begin..end: pictures */
    void (*global_mean)(const vly_image *y, const vly_image *x, int begin, int end);
    /* Nearest: output row i reads input row rows[i], column j column cols[j]. */
    void (*resize_nearest)(const vly_image *y, const vly_image *x, const int *rows, const int *cols,
                           int begin, int end);
    /* y[p][a] = expected value of a softmax over bins: for each anchor p and side a = 0..3,
     * sum_i weights[i] * softmax(x[p][a * bins + i])_i: the distribution focal loss decoding of
     * YOLOv8, whose weights are 0, 1 .. bins - 1, or near those in a model that was quantised */
    void (*expect)(const vly_planes *y, const vly_image *x, const float *weights, int bins,
                   int begin, int end);
} vly_image_dsp;

void vly_image_dsp_init(vly_image_dsp *dsp, unsigned cpu_flags);

#endif
