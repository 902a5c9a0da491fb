/* SPDX-License-Identifier: MIT */
/*
 * Instance masks from prototypes: mask = sum of factor[k] * prototype[k], resampled to the picture
 * (bilinear, half-pixel centres), cut to the detection's box, kept where it is above 0 (which is
 * above 0.5 behind the sigmoid of the training code).
 *
 * The work is proportional to the box's area in the picture. A mask is thresholded into columns of
 * bits, from which both the run lengths and the outlines are read.
 */
#ifndef VLY_TASKS_MASK_H
#define VLY_TASKS_MASK_H

#include "tasks/decoder.h"
#include "tasks/outline.h"

/* Where a coordinate of the picture falls between two samples of a prototype's axis. */
typedef struct vly_mask_tap {
    uint32_t low;
    uint32_t high;
    float weight; /* of high */
} vly_mask_tap;

typedef struct vly_mask_proto {
    const vly_decode_args *args;
    vly_rows rows; /* [factors][height * width] */
    uint32_t width;
    uint32_t height;
    vly_mask_tap *taps_x; /* [picture width] */
    vly_mask_tap *taps_y; /* [picture height] */
    /* scratch in the arena, reused by each mask */
    float *logits;  /* [height * width] */
    float *column;  /* [height] */
    uint64_t *bits; /* one bitmap of the picture's size ... */
    uint64_t *seen; /* ... and another */
} vly_mask_proto;

/* Opens the task's output 1, [N, params.n_mask_values, h, w]. EINVAL, ELIMIT. */
vly_status vly_mask_proto__open(vly_mask_proto *ret, const vly_decoder *d, const vly_decode_args *a,
                                vly_err *err) VLY_MUST_CHECK;
/* Makes det->mask from factors [params.n_mask_values] and det->bbox. ELIMIT. */
vly_status vly_mask_proto__make(vly_mask_proto *p, const float *factors, vly_detection *det,
                                vly_err *err) VLY_MUST_CHECK;

#endif
