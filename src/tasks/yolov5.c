/* SPDX-License-Identifier: MIT */
/*
 * YOLOv5, v7: one output [N, 3 * cells, 5 + classes (+ mask coefficients)], boxes as centre and
 * size in input pixels, then objectness, then class scores; all decoded by the graph. Older exports
 * append the three raw heads as further outputs, which are ignored.
 */
#include "tasks/head.h"

#define N_BOX     4
#define N_ANCHORS 3

static vly_match match_rows(const vly_task_probe *p, int64_t n_extra, vly_task_params *ret)
{
    const vly_shape *s = vly_probe__output(p, 0, 3);

    if (s == NULL || p->is_end2end)
        return VLY_MATCH_NO;
    int64_t n_rows = s->dim[1];
    int64_t n_values = s->dim[2];
    bool is_grid = n_rows == N_ANCHORS * vly_probe__cells(p, vly_strides_p5) ||
                   n_rows == N_ANCHORS * vly_probe__cells(p, vly_strides_p6);
    int64_t n_classes = n_values - N_BOX - 1 - n_extra;
    if (n_classes < 1 || (p->n_classes > 0 && p->n_classes != n_classes))
        return VLY_MATCH_NO;
    ret->n_classes = n_classes;
    return is_grid ? VLY_MATCH_SHAPE : VLY_MATCH_POSSIBLE;
}

static vly_match match_detect(const vly_task_probe *p, vly_task_params *ret)
{
    return vly_probe__may_be(p, "detect") ? match_rows(p, 0, ret) : VLY_MATCH_NO;
}

static vly_match match_segment(const vly_task_probe *p, vly_task_params *ret)
{
    if (!vly_probe__segments(p, ret))
        return VLY_MATCH_NO;
    vly_match m = match_rows(p, ret->n_mask_values, ret);
    /* the same rows could be those of more classes, but then nobody adds prototypes */
    return m == VLY_MATCH_SHAPE ? VLY_MATCH_SURE : m;
}

static vly_status decode(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err)
{
    vly_head head = {.has_objectness = true,
                     .objectness_at = N_BOX,
                     .class_at = N_BOX + 1,
                     .n_classes = (size_t)d->params.n_classes};
    size_t extra_at = head.class_at + head.n_classes;
    vly_rows rows;

    vly_status st =
        vly_rows__open(d, a, 0, false, extra_at + (size_t)d->params.n_mask_values, &rows, err);
    if (st != VLY_OK)
        return st;
    return vly_head__decode(&head, &rows, d, a, extra_at, ret, err);
}

const vly_task vly_task_yolov5_detect = {
    .name = "yolov5-detect",
    .kind = VLY_TASK_DETECT,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match_detect,
    .decode = decode,
};

const vly_task vly_task_yolov5_segment = {
    .name = "yolov5-segment",
    .kind = VLY_TASK_SEGMENT,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match_segment,
    .decode = decode,
};
