/* SPDX-License-Identifier: MIT */
/*
 * COCO detection metric: average precision of boxes over IoU .50:.05:.95, 101 recall points.
 *
 * Protocol (as pycocotools' bbox evaluation): per class and picture the max_detections best boxes
 * are matched greedily by confidence to the unmatched truth of highest IoU; a truth marked crowd
 * may be matched often, with intersection over the detection's area, and counts neither way; so do
 * truths outside the area range, and unmatched detections outside it. Classes without truth
 * are left out of the mean.
 *
 * Use: init, add pictures in any order, compute, release. Owner: one thread at a time.
 */
#ifndef VLY_TASKS_COCO_EVAL_H
#define VLY_TASKS_COCO_EVAL_H

#include "base/status.h"
#include "tasks/observation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_COCO_N_IOU    10
#define VLY_COCO_N_RECALL 101

typedef struct vly_truth {
    int32_t class_id;
    float bbox[4]; /* x1, y1, x2, y2 */
    float area;    /* of the object for the area range; 0: the box's */
    bool is_crowd;
} vly_truth;

typedef struct vly_coco_options {
    size_t max_detections; /* per picture and class; 0: 100 */
    double area_min;       /* truths with area in [area_min, area_max] count; */
    double area_max;       /* 0 and 0: all */
} vly_coco_options;

typedef struct vly_coco_result {
    double map50; /* -1 when no class has truth, as pycocotools says it */
    double map50_95;
    double map75;
    double recall; /* mean over classes and IoU of the recall at max_detections */
    size_t n_images;
    size_t n_truths;  /* that count */
    size_t n_classes; /* with truth */
} vly_coco_result;

typedef struct vly_coco_eval vly_coco_eval;

/* ENOMEM. */
vly_status vly_coco_eval_new(const vly_coco_options *opts, vly_coco_eval **ret,
                             vly_err *err) VLY_MUST_CHECK;
void vly_coco_eval_free(vly_coco_eval *e); /* accepts NULL */

/* One picture with its truths and detections (copied). EINVAL: a negative class or a number that is
 * not finite; ENOMEM. Nothing is added on failure. */
vly_status vly_coco_eval_add(vly_coco_eval *e, const vly_truth *truths, size_t n_truths,
                             const vly_detection *detections, size_t n_detections,
                             vly_err *err) VLY_MUST_CHECK;

/* The metric over all pictures so far. Mutates nothing that add uses; ENOMEM. */
vly_status vly_coco_eval_compute(const vly_coco_eval *e, vly_coco_result *ret,
                                 vly_err *err) VLY_MUST_CHECK;

#endif
