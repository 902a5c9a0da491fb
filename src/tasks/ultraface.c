/* SPDX-License-Identifier: MIT */
/*
 * UltraFace ("version-RFB-320"): outputs "scores" [N, n, 2] (background, face) and "boxes" [N, n,
 * 4] (x1, y1, x2, y2 as parts of the picture, which is stretched to the input).
 */
#include "tasks/decoder.h"

static vly_match match(const vly_task_probe *p, vly_task_params *ret)
{
    if (!vly_probe__find(p, "scores", &ret->output_idx[0]) ||
        !vly_probe__find(p, "boxes", &ret->output_idx[1]))
        return VLY_MATCH_NO;
    const vly_shape *scores = vly_probe__output(p, ret->output_idx[0], 3);
    const vly_shape *boxes = vly_probe__output(p, ret->output_idx[1], 3);
    if (scores == NULL || boxes == NULL || scores->dim[2] != 2 || boxes->dim[2] != 4)
        return VLY_MATCH_NO;
    ret->n_classes = 1;
    return VLY_MATCH_SURE;
}

static vly_status decode(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err)
{
    float w = (float)d->input_width;
    float h = (float)d->input_height;
    vly_rows scores;
    vly_rows boxes;
    vly_candidates c;

    vly_status st = vly_rows__open(d, a, 0, false, 2, &scores, err);
    if (st == VLY_OK)
        st = vly_rows__open(d, a, 1, false, 4, &boxes, err);
    if (st != VLY_OK)
        return st;
    if (scores.n_rows != boxes.n_rows)
        return vly_fail(err, VLY_EINVAL, "expected as many boxes as scores, got %zu and %zu",
                        boxes.n_rows, scores.n_rows);
    st = vly_candidates__init(&c, a, boxes.n_rows, err);
    if (st != VLY_OK)
        return st;
    for (size_t row = 0; row < boxes.n_rows; row++) {
        const float *b = boxes.data + row * boxes.row_step;
        const float box[4] = {b[0] * w, b[1] * h, b[2] * w, b[3] * h};
        vly_candidates__add(&c, a, box, vly_rows__get(&scores, row, 1), 0, row);
    }
    return vly_candidates__finish(&c, d, a, false, NULL, 0, ret, err);
}

const vly_task vly_task_ultraface = {
    .name = "ultraface",
    .kind = VLY_TASK_DETECT,
    .prep = {.fit = VLY_FIT_STRETCH,
             .mean = {127.0f, 127.0f, 127.0f},
             .std = {128.0f, 128.0f, 128.0f}},
    .labels = &vly_labels_face,
    .match = match,
    .decode = decode,
};
