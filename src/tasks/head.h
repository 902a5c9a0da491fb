/* SPDX-License-Identifier: MIT */
/*
 * A detection head whose rows hold a box, class scores and perhaps an objectness: all of the YOLO
 * family. Heads differ in where these stand, how a box is read and how a score is made.
 */
#ifndef VLY_TASKS_HEAD_H
#define VLY_TASKS_HEAD_H

#include "tasks/decoder.h"

typedef struct vly_head vly_head;

struct vly_head {
    size_t class_at; /* value of the first class score in a row */
    size_t n_classes;
    bool has_objectness;
    size_t objectness_at;
    /* Score of a class; grows with class_score for every objectness. NULL: their product, or the
     * class score alone without objectness. */
    float (*score)(float objectness, float class_score);
    /* The box of a row, xyxy in input pixels. NULL: values 0..3 are centre and size in pixels. */
    void (*box)(const vly_head *h, const vly_rows *rows, size_t row, float ret[4]);
    uint32_t input_width; /* for box() */
    uint32_t input_height;
};

/* Candidates of all rows (the best class of each, or every class with is_multi_label), then
 * vly_candidates__finish with suppression. */
vly_status vly_head__decode(const vly_head *h, const vly_rows *rows, const vly_decoder *d,
                            const vly_decode_args *a, size_t extra_at, vly_observations *ret,
                            vly_err *err) VLY_MUST_CHECK;

/* Position of a row among the cells of the grids of these strides, laid one after the other. */
typedef struct vly_cell {
    float x, y; /* column and row of the grid */
    float stride;
} vly_cell;

/* EINVAL unless there is a row for each cell. */
vly_status vly_head__check_cells(const vly_head *h, const int *strides, const vly_rows *rows,
                                 vly_err *err) VLY_MUST_CHECK;
vly_cell vly_head__cell(const vly_head *h, const int *strides, size_t row);

#endif
