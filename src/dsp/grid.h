/* SPDX-License-Identifier: MIT */
/*
 * Sampling of pictures at arbitrary points: ONNX GridSample in one to three dimensions, RoiAlign.
 * Layout [channels][size0][size1][size2]; leading sizes of 1 for fewer dimensions.
 */
#ifndef VLY_DSP_GRID_H
#define VLY_DSP_GRID_H

#include <stdbool.h>
#include <stdint.h>

typedef enum vly_grid_mode { VLY_GRID_LINEAR, VLY_GRID_NEAREST, VLY_GRID_CUBIC } vly_grid_mode;
typedef enum vly_grid_padding {
    VLY_GRID_ZEROS,
    VLY_GRID_BORDER,
    VLY_GRID_REFLECTION,
} vly_grid_padding;

typedef struct vly_grid {
    vly_grid_mode mode;
    vly_grid_padding padding;
    bool align_corners;
    int n;           /* spatial dimensions, 1..3 */
    int64_t size[3]; /* the last n count, each >= 1 */
    int64_t channels;
} vly_grid;

/* Samples every channel of x at one point. at: [n] coordinates in -1..1, last axis first; NaN
 * counts as far outside. Channel c goes to y[c * y_stride]. */
void vly_grid_sample_f32(const vly_grid *g, const float *x, const float *at, float *y,
                         int64_t y_stride);

typedef struct vly_roi {
    float begin_y, begin_x, bin_height, bin_width; /* in pixels of the picture */
    int64_t samples_y, samples_x;                  /* per bin */
    bool is_max;                                   /* maximum of the weighted corners, not mean */
} vly_roi;

/* y [bins_y][bins_x] of one channel x [height][width], each >= 1. */
void vly_roi_align_f32(const vly_roi *roi, const float *x, int64_t height, int64_t width,
                       int64_t bins_y, int64_t bins_x, float *y);

#endif
