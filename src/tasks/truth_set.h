/* SPDX-License-Identifier: MIT */
/*
 * Labelled pictures to measure a detector on. A data directory has images/ and either
 *   instances.json  COCO annotations: boxes in pixels, areas, crowds; categories in the order of
 *                   their ids become classes 0, 1, ..., as YOLO exports of COCO number them
 *   labels/X.txt    YOLO: one `class cx cy w h` per line, relative to the picture; a picture
 *                   without a file has no objects
 * of which instances.json is preferred: only it knows crowds.
 * Lifetime: everything lives in the caller's arena. Thread: immutable once loaded.
 */
#ifndef VLY_TASKS_TRUTH_SET_H
#define VLY_TASKS_TRUTH_SET_H

#include "base/arena.h"
#include "base/status.h"
#include "tasks/coco_eval.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct vly_truth_image {
    const char *path; /* of the picture */
    vly_truth *truths;
    size_t n_truths;
    bool is_relative; /* boxes are fractions of the picture: vly_truth_image_scale makes pixels */
} vly_truth_image;

typedef struct vly_truth_set {
    vly_truth_image *images;
    size_t n_images;
    const char *source; /* "instances.json" or "labels/" */
} vly_truth_set;

/* Errors: ENOTFOUND (no images/, or no truth), EFORMAT (names file and place), ELIMIT, ENOMEM. */
vly_status vly_truth_set_load(const char *dir, vly_arena *arena, vly_truth_set *ret,
                              vly_err *err) VLY_MUST_CHECK;

/* Turns relative boxes into pixels of a picture of this size; does nothing the second time. */
void vly_truth_image_scale(vly_truth_image *image, uint32_t width, uint32_t height);

/* The two formats, from memory. COCO: pictures are images_dir/file_name. */
vly_status vly_truth_parse_coco(vly_str json, const char *images_dir, vly_arena *arena,
                                vly_truth_set *ret, vly_err *err) VLY_MUST_CHECK;
vly_status vly_truth_parse_yolo(vly_str text, vly_arena *arena, vly_truth_image *image,
                                vly_err *err) VLY_MUST_CHECK;

#endif
