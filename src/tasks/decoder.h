/* SPDX-License-Identifier: MIT */
/*
 * Inside of the task room: what a decoder file implements, and what decoders share.
 *
 *   outputs --view--> rows --candidates--> suppression --detections--> keypoints, masks
 *
 * Nothing here trusts a tensor: views check shapes, candidates drop what is not finite, and every
 * size comes from a shape whose elements are in memory.
 */
#ifndef VLY_TASKS_DECODER_H
#define VLY_TASKS_DECODER_H

#include "tasks/task.h"
#include "tasks/task_list.h"

/* How well a task fits. A match of POSSIBLE is used only when the configuration names the task. */
typedef enum vly_match {
    VLY_MATCH_NO,
    VLY_MATCH_POSSIBLE,
    VLY_MATCH_SHAPE,
    VLY_MATCH_SURE
} vly_match;

/* The model as match() sees it. */
typedef struct vly_task_probe {
    const vly_model_info *model;
    uint32_t input_width; /* of the tensor; not 0 */
    uint32_t input_height;
    uint32_t input_channels;
    vly_str task;        /* metadata "task": "detect"; empty: not said */
    bool is_end2end;     /* metadata says that suppression is part of the model */
    int64_t n_classes;   /* by configuration or metadata; 0: not said */
    int64_t n_keypoints; /* likewise */
    int64_t n_keypoint_values;
} vly_task_probe;

struct vly_task {
    const char *name;
    vly_task_kind kind;
    vly_letterbox_opts prep;
    /* Adapts prep to the model; NULL: nothing to adapt. */
    void (*prepare)(const vly_task_probe *p, vly_letterbox_opts *prep);
    const vly_labels *labels; /* when the model has none; NULL: COCO's where the count fits */
    /* Fills *ret (zeroed by the caller), or returns VLY_MATCH_NO. */
    vly_match (*match)(const vly_task_probe *p, vly_task_params *ret);
    vly_status (*decode)(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err);
};

#define VLY_TASK_DECLARE(name) extern const vly_task vly_task_##name;
VLY_TASK_LIST(VLY_TASK_DECLARE)
#undef VLY_TASK_DECLARE

/* The i-th output's shape when the model has one of this rank; else NULL. */
const vly_shape *vly_probe__output(const vly_task_probe *p, size_t idx, int rank);
/* Place of the output of this name; false when there is none. */
bool vly_probe__find(const vly_task_probe *p, const char *name, uint8_t *ret_idx);
/* Metadata names this task, or none. */
bool vly_probe__may_be(const vly_task_probe *p, const char *task);
/* A model that may segment, with prototypes of masks as its second output; *ret says so. */
bool vly_probe__segments(const vly_task_probe *p, vly_task_params *ret);
/* Cells of the grids of these strides (0 ends) over the input. */
int64_t vly_probe__cells(const vly_task_probe *p, const int *strides);
extern const int vly_strides_p5[4]; /* 8, 16, 32 */
extern const int vly_strides_p6[5]; /* 8, 16, 32, 64 */

/*
 * One picture's part of an output as rows of values:
 * value v of row r is data[r * row_step + v * value_step].
 */
typedef struct vly_rows {
    const float *data;
    size_t n_rows;
    size_t n_values;
    size_t row_step;
    size_t value_step;
} vly_rows;

/*
 * Opens output number `part` of the task. The tensor is [N, rows, values], or [N, values, rows]
 * when is_channel_first; trailing dimensions are multiplied into the last of them. Float16 and
 * other number types are converted into the arena. EINVAL: rank, batch item or n_values differ.
 */
vly_status vly_rows__open(const vly_decoder *d, const vly_decode_args *a, size_t part,
                          bool is_channel_first, size_t n_values, vly_rows *ret,
                          vly_err *err) VLY_MUST_CHECK;

static inline float vly_rows__get(const vly_rows *r, size_t row, size_t value)
{
    return r->data[row * r->row_step + value * r->value_step];
}

/* Boxes that passed the threshold, not yet suppressed. Arrays in the arena, [cap]. */
typedef struct vly_candidates {
    float *boxes; /* [][4] xyxy in pixels of the input tensor */
    float *scores;
    int32_t *classes;
    uint32_t *rows; /* of the output each came from */
    size_t n;
    size_t cap;
} vly_candidates;

vly_status vly_candidates__init(vly_candidates *c, const vly_decode_args *a, size_t cap,
                                vly_err *err) VLY_MUST_CHECK;
/* Adds a box unless a value is not finite, the score is not above the threshold, or the class is
 * not wanted. The score is cut at 1. c has room (asserted). */
void vly_candidates__add(vly_candidates *c, const vly_decode_args *a, const float box[4],
                         float score, int64_t class_id, size_t row);
static inline void vly_box__from_centre(float cx, float cy, float w, float h, float ret[4])
{
    ret[0] = cx - w * 0.5f;
    ret[1] = cy - h * 0.5f;
    ret[2] = cx + w * 0.5f;
    ret[3] = cy + h * 0.5f;
}

/*
 * The end of every detector: suppresses (or, with is_final, only sorts: the model has suppressed),
 * maps boxes to the picture, drops those with nothing inside it, and reads the keypoints
 * (params.n_keypoints) and mask factors (params.n_mask_values) that stand from value extra_at of
 * each row. rows may be NULL when the task has neither.
 */
vly_status vly_candidates__finish(const vly_candidates *c, const vly_decoder *d,
                                  const vly_decode_args *a, bool is_final, const vly_rows *rows,
                                  size_t extra_at, vly_observations *ret,
                                  vly_err *err) VLY_MUST_CHECK;

#endif
