/* SPDX-License-Identifier: MIT */
/*
 * YOLOv8, v9, 11, 12 as Ultralytics exports them: one output [N, 4 + classes + extra, cells], or
 * the same transposed. Boxes are centre and size in input pixels, class scores are sigmoids, there
 * is no objectness. extra: keypoints (x, y, confidence) for pose, mask coefficients for
 * segmentation, whose prototypes are a second output [N, coefficients, h, w].
 */
#include "tasks/head.h"

#define N_BOX 4

/* Metadata gives the classes of most exports; else the values of a row tell them. */
static vly_match match_rows(const vly_task_probe *p, int64_t n_extra, vly_task_params *ret)
{
    const vly_shape *s = vly_probe__output(p, 0, 3);
    int64_t cells = vly_probe__cells(p, vly_strides_p5);
    int64_t cells_p6 = vly_probe__cells(p, vly_strides_p6);

    if (s == NULL || p->is_end2end)
        return VLY_MATCH_NO;
    for (int axis = 1; axis <= 2; axis++) {
        int64_t n_values = s->dim[axis];
        int64_t n_rows = s->dim[3 - axis];
        int64_t n_classes = p->n_classes > 0 ? p->n_classes : n_values - N_BOX - n_extra;
        if (n_classes < 1 || n_values != N_BOX + n_classes + n_extra)
            continue;
        bool is_told = p->task.len > 0 && p->n_classes > 0;
        if (n_rows != cells && n_rows != cells_p6 && !is_told)
            continue;
        ret->n_classes = n_classes;
        ret->is_channel_first = axis == 1;
        return is_told ? VLY_MATCH_SURE : VLY_MATCH_SHAPE;
    }
    return VLY_MATCH_NO;
}

static vly_match match_detect(const vly_task_probe *p, vly_task_params *ret)
{
    if (!vly_probe__may_be(p, "detect") || p->model->n_outputs != 1)
        return VLY_MATCH_NO;
    return match_rows(p, 0, ret);
}

static vly_match match_pose(const vly_task_probe *p, vly_task_params *ret)
{
    bool is_coco = p->n_keypoints == 0; /* the person and 17 points of COCO */
    vly_task_probe q = *p;

    if (!vly_probe__may_be(p, "pose") || p->model->n_outputs != 1)
        return VLY_MATCH_NO;
    ret->n_keypoints = is_coco ? 17 : p->n_keypoints;
    ret->n_keypoint_values = p->n_keypoint_values > 0 ? p->n_keypoint_values : 3;
    q.n_classes = p->n_classes == 0 && is_coco ? 1 : p->n_classes;
    vly_match m = match_rows(&q, ret->n_keypoints * ret->n_keypoint_values, ret);
    /* 51 values behind one class: keypoints more likely than 52 classes of boxes */
    return m == VLY_MATCH_SHAPE && is_coco ? VLY_MATCH_SURE : m;
}

static vly_match match_segment(const vly_task_probe *p, vly_task_params *ret)
{
    if (p->model->n_outputs != 2 || !vly_probe__segments(p, ret))
        return VLY_MATCH_NO;
    return match_rows(p, ret->n_mask_values, ret);
}

static vly_status decode(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err)
{
    const vly_task_params *p = &d->params;
    size_t n_extra = (size_t)(p->n_keypoints * p->n_keypoint_values + p->n_mask_values);
    vly_head head = {.class_at = N_BOX, .n_classes = (size_t)p->n_classes};
    size_t extra_at = head.class_at + head.n_classes;
    vly_rows rows;

    vly_status st = vly_rows__open(d, a, 0, p->is_channel_first, extra_at + n_extra, &rows, err);
    if (st != VLY_OK)
        return st;
    return vly_head__decode(&head, &rows, d, a, extra_at, ret, err);
}

const vly_task vly_task_yolov8_detect = {
    .name = "yolov8-detect",
    .kind = VLY_TASK_DETECT,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match_detect,
    .decode = decode,
};

const vly_task vly_task_yolov8_pose = {
    .name = "yolov8-pose",
    .kind = VLY_TASK_POSE,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match_pose,
    .decode = decode,
};

const vly_task vly_task_yolov8_segment = {
    .name = "yolov8-segment",
    .kind = VLY_TASK_SEGMENT,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match_segment,
    .decode = decode,
};
