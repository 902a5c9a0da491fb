/* SPDX-License-Identifier: MIT */
/*
 * Non-maximum suppression on raw arrays.
 *
 * Greedy, class-wise: in order of falling score, a box is kept unless a kept box of its class
 * overlaps it with IoU > iou_threshold. Equal scores: the lower index comes first, so the result
 * depends on the values alone. Boxes are xyxy; one with x2 <= x1 or y2 <= y1 has no area and
 * overlaps nothing. Values must be finite (callers drop the rest).
 *
 * Cost: sorting n, then at most min(n, max_visit) * max_keep comparisons. Rejected: shifting boxes
 * by class * width and suppressing once, as PyTorch code does: it loses low bits of the
 * coordinates.
 */
#ifndef VLY_DSP_NMS_H
#define VLY_DSP_NMS_H

#include <stddef.h>
#include <stdint.h>

typedef struct vly_nms_args {
    const float *boxes;     /* [n][4] */
    const float *scores;    /* [n] */
    const int32_t *classes; /* [n]; NULL: all of one class */
    size_t n;
    float iou_threshold;
    size_t max_visit; /* only the so many best boxes are looked at, the others are dropped */
    size_t max_keep;
} vly_nms_args;

/* Fills keep with the indices of kept boxes by falling score and returns their count (<= max_keep).
 * order: [n] scratch. keep: [min(n, max_keep)]. */
size_t vly_nms(const vly_nms_args *a, uint32_t *order, uint32_t *keep);

/* Indices 0..n-1 by falling score, the lower index first among equals. */
void vly_sort_scores(const float *scores, size_t n, uint32_t *ret_order);

/* Intersection over union of two xyxy boxes; 0 when either has no area. */
float vly_box_iou(const float *a, const float *b);

#endif
