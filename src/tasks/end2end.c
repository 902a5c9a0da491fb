/* SPDX-License-Identifier: MIT */
/*
 * Exports that end in suppression, or need none (YOLOv10, YOLO26, Ultralytics' nms=True): one
 * output [N, detections, 6 + extra] of x1, y1, x2, y2 in input pixels, confidence, class, then
 * keypoints or mask coefficients. Unused rows have confidence 0.
 */
#include "tasks/decoder.h"

#define N_VALUES 6
#define ROWS_MAX 1000 /* more are not the answer of a suppression */

static vly_match match_rows(const vly_task_probe *p, int64_t n_extra, vly_task_params *ret)
{
    const vly_shape *s = vly_probe__output(p, 0, 3);

    if (s == NULL || s->dim[2] != N_VALUES + n_extra)
        return VLY_MATCH_NO;
    ret->n_classes = p->n_classes;
    if (p->is_end2end)
        return VLY_MATCH_SURE;
    return s->dim[1] > 0 && s->dim[1] <= ROWS_MAX ? VLY_MATCH_SHAPE : VLY_MATCH_POSSIBLE;
}

static vly_match match_detect(const vly_task_probe *p, vly_task_params *ret)
{
    if (!vly_probe__may_be(p, "detect") || p->model->n_outputs != 1)
        return VLY_MATCH_NO;
    return match_rows(p, 0, ret);
}

static vly_match match_pose(const vly_task_probe *p, vly_task_params *ret)
{
    if (!vly_probe__may_be(p, "pose") || p->model->n_outputs != 1)
        return VLY_MATCH_NO;
    ret->n_keypoints = p->n_keypoints > 0 ? p->n_keypoints : 17;
    ret->n_keypoint_values = p->n_keypoint_values > 0 ? p->n_keypoint_values : 3;
    return match_rows(p, ret->n_keypoints * ret->n_keypoint_values, ret);
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
    vly_candidates c;
    vly_rows rows;

    vly_status st = vly_rows__open(d, a, 0, false, N_VALUES + n_extra, &rows, err);
    if (st != VLY_OK)
        return st;
    st = vly_candidates__init(&c, a, rows.n_rows, err);
    if (st != VLY_OK)
        return st;
    for (size_t row = 0; row < rows.n_rows; row++) {
        const float *v = rows.data + row * rows.row_step;
        if (v[5] >= 0.0f && v[5] < 1e6f) /* also false for NaN: the class fits an integer */
            vly_candidates__add(&c, a, v, v[4], (int64_t)v[5], row);
    }
    return vly_candidates__finish(&c, d, a, true, &rows, N_VALUES, ret, err);
}

const vly_task vly_task_end2end_detect = {
    .name = "end2end-detect",
    .kind = VLY_TASK_DETECT,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match_detect,
    .decode = decode,
};

const vly_task vly_task_end2end_pose = {
    .name = "end2end-pose",
    .kind = VLY_TASK_POSE,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match_pose,
    .decode = decode,
};

const vly_task vly_task_end2end_segment = {
    .name = "end2end-segment",
    .kind = VLY_TASK_SEGMENT,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match_segment,
    .decode = decode,
};
