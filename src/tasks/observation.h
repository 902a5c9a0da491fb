/* SPDX-License-Identifier: MIT */
/*
 * Observations: what a task says about one picture.
 *
 * Boxes, keypoints and masks are in pixels of the original, upright picture: x to the right, y
 * down, pixel (i, j) covers [i, i+1) x [j, j+1). Confidence is 0..1. Detections come by falling
 * confidence; equal ones keep the order of the model's output rows.
 *
 * Lifetime: everything below lives in the arena given to the decoder and dies with its reset.
 * Thread: plain values, immutable once returned.
 */
#ifndef VLY_TASKS_OBSERVATION_H
#define VLY_TASKS_OBSERVATION_H

#include <stddef.h>
#include <stdint.h>

typedef enum vly_task_kind {
    VLY_TASK_TENSOR,   /* no decoder: the output tensors are the answer */
    VLY_TASK_DETECT,   /* detections with boxes */
    VLY_TASK_POSE,     /* detections with boxes and keypoints */
    VLY_TASK_SEGMENT,  /* detections with boxes and masks */
    VLY_TASK_CLASSIFY, /* classes of the whole picture */
} vly_task_kind;

typedef struct vly_keypoint {
    float x;
    float y;
    float conf; /* 0..1; 1 when the model gives none */
} vly_keypoint;

/* Closed ring of n_points (x, y) pairs, the first not repeated at the end. */
typedef struct vly_polygon {
    const float *xy;
    uint32_t n_points;
} vly_polygon;

/*
 * Instance mask at the picture's resolution. counts are COCO run lengths: pixels column by column
 * from the top left, runs of 0 and 1 in turn, the first (possibly empty) of 0; their sum is
 * width * height. polygons are the simplified outer outlines of the same pixels, holes left out.
 */
typedef struct vly_mask {
    uint32_t width;
    uint32_t height;
    const uint32_t *counts;
    uint32_t n_counts;
    uint32_t n_polygons;
    const vly_polygon *polygons;
} vly_mask;

typedef struct vly_detection {
    int32_t class_id;
    float confidence;
    float bbox[4];                 /* x1, y1, x2, y2; inside the picture, x1 <= x2, y1 <= y2 */
    const vly_keypoint *keypoints; /* [n_keypoints] */
    uint32_t n_keypoints;
    const vly_mask *mask; /* NULL: none */
} vly_detection;

typedef struct vly_classification {
    int32_t class_id;
    float confidence;
} vly_classification;

typedef struct vly_observations {
    vly_task_kind kind;
    uint32_t width; /* of the original, upright picture */
    uint32_t height;
    const vly_detection *detections;
    size_t n_detections;
    const vly_classification *classes; /* CLASSIFY only, by falling confidence */
    size_t n_classes;
} vly_observations;

#endif
