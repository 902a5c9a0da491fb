/* SPDX-License-Identifier: MIT */
/*
 * FastestDet: one grid of stride 16. The plain export is [N, 5 + classes, h, w]: objectness,
 * offsets of the centre (before tanh), size (before sigmoid), class scores. The decoded one is [N,
 * h * w, 5 + classes]: centre and size in input pixels, objectness, class scores. Both score a
 * class objectness^0.6 * class^0.4.
 */
#include "tasks/head.h"

#include <math.h>

#define N_BOX  4
#define STRIDE 16

static const int strides[] = {STRIDE, 0};

static vly_match match_map(const vly_task_probe *p, vly_task_params *ret)
{
    const vly_shape *s = vly_probe__output(p, 0, 4);

    if (s == NULL || p->model->n_outputs != 1 || s->dim[2] != p->input_height / STRIDE ||
        s->dim[3] != p->input_width / STRIDE || s->dim[1] < N_BOX + 2 ||
        (p->n_classes > 0 && s->dim[1] != N_BOX + 1 + p->n_classes))
        return VLY_MATCH_NO;
    ret->n_classes = s->dim[1] - N_BOX - 1;
    ret->is_channel_first = true;
    return VLY_MATCH_SHAPE;
}

static vly_match match_decoded(const vly_task_probe *p, vly_task_params *ret)
{
    const vly_shape *s = vly_probe__output(p, 0, 3);

    if (s == NULL || p->model->n_outputs != 1 || s->dim[1] != vly_probe__cells(p, strides) ||
        s->dim[2] < N_BOX + 2 || (p->n_classes > 0 && s->dim[2] != N_BOX + 1 + p->n_classes))
        return VLY_MATCH_NO;
    ret->n_classes = s->dim[2] - N_BOX - 1;
    return VLY_MATCH_SHAPE;
}

static float score(float objectness, float class_score)
{
    return powf(objectness, 0.6f) * powf(class_score, 0.4f);
}

static float sigmoid(float v)
{
    return 1.0f / (1.0f + expf(-v));
}

static void map_box(const vly_head *h, const vly_rows *rows, size_t row, float ret[4])
{
    vly_cell cell = vly_head__cell(h, strides, row);

    vly_box__from_centre((cell.x + tanhf(vly_rows__get(rows, row, 1))) * cell.stride,
                         (cell.y + tanhf(vly_rows__get(rows, row, 2))) * cell.stride,
                         sigmoid(vly_rows__get(rows, row, 3)) * (float)h->input_width,
                         sigmoid(vly_rows__get(rows, row, 4)) * (float)h->input_height, ret);
}

static vly_status decode(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err)
{
    bool is_map = d->task == &vly_task_fastestdet;
    vly_head head = {.has_objectness = true,
                     .objectness_at = is_map ? 0 : N_BOX,
                     .class_at = N_BOX + 1,
                     .n_classes = (size_t)d->params.n_classes,
                     .score = score,
                     .box = is_map ? map_box : NULL,
                     .input_width = d->input_width,
                     .input_height = d->input_height};
    vly_rows rows;

    vly_status st = vly_rows__open(d, a, 0, is_map, head.class_at + head.n_classes, &rows, err);
    if (st == VLY_OK)
        st = vly_head__check_cells(&head, strides, &rows, err);
    if (st != VLY_OK)
        return st;
    return vly_head__decode(&head, &rows, d, a, 0, ret, err);
}

#define PREP                                                                                       \
    {                                                                                              \
        .fit = VLY_FIT_STRETCH, .is_bgr = true, .unit = true, .std = { 1.0f, 1.0f, 1.0f }          \
    }

const vly_task vly_task_fastestdet = {
    .name = "fastestdet",
    .kind = VLY_TASK_DETECT,
    .prep = PREP,
    .match = match_map,
    .decode = decode,
};

const vly_task vly_task_fastestdet_decoded = {
    .name = "fastestdet-decoded",
    .kind = VLY_TASK_DETECT,
    .prep = PREP,
    .match = match_decoded,
    .decode = decode,
};
