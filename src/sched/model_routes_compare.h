/* SPDX-License-Identifier: MIT */
/*
 * Answers of two models to one request, compared. Pure.
 *
 * Boxes: each of the first answer, by falling confidence, is matched with the box of the second one
 * of its class that it overlaps most, by an IoU of at least 0.5; each is matched once. Tensors: by
 * what the elements differ, and the cosine of the angle between the two as vectors.
 */
#ifndef VLY_SCHED_MODEL_ROUTES_COMPARE_H
#define VLY_SCHED_MODEL_ROUTES_COMPARE_H

#include "tasks/observation.h"
#include "tensor/tensor.h"

#include <stdbool.h>

#define VLY_ROUTE_BOXES_MAX  1024 /* of either answer; more are left out */
#define VLY_ROUTE_IOU_MIN    0.5F
#define VLY_ROUTE_COSINE_MIN 0.999

typedef struct vly_route_boxes_diff {
    size_t n_first, n_second;
    size_t n_matched;       /* of the first without a match n_first - n_matched are missing, and so
                               many of the second are extra */
    double mean_iou;        /* of what matched; 0: nothing did, as the next two */
    double mean_score_diff; /* absolute, of what matched */
    double max_score_diff;
} vly_route_boxes_diff;

/* Detections come by falling confidence, as observations have them. */
vly_route_boxes_diff vly_route_compare_boxes(const vly_detection *first, size_t n_first,
                                             const vly_detection *second, size_t n_second);

typedef struct vly_route_tensor_diff {
    bool is_same_type; /* dtype and shape are equal; the rest is meaningless when not */
    double max_abs, mean_abs;
    double cosine; /* 1 of two zero vectors, 0 of a zero vector and another; of texts 1: equal */
} vly_route_tensor_diff;

/* What is not finite in either makes max_abs infinite. */
vly_route_tensor_diff vly_route_compare_tensors(const vly_tensor *first, const vly_tensor *second);

#endif
