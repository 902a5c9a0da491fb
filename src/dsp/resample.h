/* SPDX-License-Identifier: MIT */
/*
 * Resampling along one axis by the rules of ONNX Resize; more axes are resampled one after the
 * other.
 *
 * A table holds, for each output position, the input positions it is made of and their weights.
 * Nearest has one, linear two, cubic four, antialiased filters as many as the scale asks for.
 */
#ifndef VLY_DSP_RESAMPLE_H
#define VLY_DSP_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vly_resample_mode {
    VLY_RESAMPLE_NEAREST,
    VLY_RESAMPLE_LINEAR,
    VLY_RESAMPLE_CUBIC,
} vly_resample_mode;

/* coordinate_transformation_mode: where output position o lies in the input. */
typedef enum vly_resample_coord {
    VLY_COORD_HALF_PIXEL,
    VLY_COORD_HALF_PIXEL_SYMMETRIC,
    VLY_COORD_PYTORCH_HALF_PIXEL,
    VLY_COORD_ALIGN_CORNERS,
    VLY_COORD_ASYMMETRIC,
    VLY_COORD_TF_HALF_PIXEL_FOR_NN,
    VLY_COORD_TF_CROP_AND_RESIZE,
} vly_resample_coord;

typedef enum vly_nearest_mode {
    VLY_NEAREST_ROUND_PREFER_FLOOR,
    VLY_NEAREST_ROUND_PREFER_CEIL,
    VLY_NEAREST_FLOOR,
    VLY_NEAREST_CEIL,
} vly_nearest_mode;

typedef struct vly_resample_rule {
    vly_resample_mode mode;
    vly_resample_coord coord;
    vly_nearest_mode nearest;
    float cubic_a;
    bool antialias;
    bool exclude_outside; /* weights off the input count 0, the others are scaled up */
} vly_resample_rule;

typedef struct vly_resample_axis {
    int64_t n_in, n_out;       /* below 2^31 */
    double scale;              /* > 0; about n_out / n_in */
    double roi_begin, roi_end; /* tf_crop_and_resize */
    int64_t taps;              /* vly_resample_taps() */
    int32_t *index;            /* [n_out][taps]; -1: the output is extrapolated */
    float *weight;             /* [n_out][taps] */
} vly_resample_axis;

/* Input positions per output position; -1 when a scale is so small that they cannot be counted. */
int64_t vly_resample_taps(const vly_resample_rule *rule, double scale);
/* Fills index and weight. */
void vly_resample_table(const vly_resample_rule *rule, const vly_resample_axis *axis);

/* y [n_out][inner] of one slice x [n_in][inner]. */
void vly_resample_f32(const vly_resample_axis *axis, int64_t inner, float extrapolation,
                      const float *x, float *y);
/* Nearest, any element size: copies; extrapolation points to one element. */
void vly_resample_copy(const vly_resample_axis *axis, int64_t inner, size_t elem_bytes,
                       const void *extrapolation, const void *x, void *y);

#endif
