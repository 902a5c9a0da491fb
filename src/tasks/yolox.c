/* SPDX-License-Identifier: MIT */
/*
 * YOLOX: one output [N, cells, 5 + classes] of box, objectness, class scores (sigmoids). As
 * exported by default the boxes are offsets within their grid cell and logarithms of the size, in
 * units of the cell's stride; the variant "yolox-decoded" (--decode_in_inference) has centre and
 * size in input pixels. Shapes do not tell them apart, so the configuration names the second.
 */
#include "tasks/head.h"

#include <math.h>

#define N_BOX 4

static vly_match match(const vly_task_probe *p, vly_task_params *ret)
{
    const vly_shape *s = vly_probe__output(p, 0, 3);

    if (s == NULL || p->task.len > 0 || s->dim[1] != vly_probe__cells(p, vly_strides_p5) ||
        s->dim[2] < N_BOX + 2 || (p->n_classes > 0 && s->dim[2] != N_BOX + 1 + p->n_classes))
        return VLY_MATCH_NO;
    ret->n_classes = s->dim[2] - N_BOX - 1;
    /* 84 values are more likely a transposed YOLOv8 of COCO than 79 classes */
    return s->dim[2] != 84 || p->n_classes > 0 ? VLY_MATCH_SURE : VLY_MATCH_POSSIBLE;
}

static vly_match match_decoded(const vly_task_probe *p, vly_task_params *ret)
{
    return match(p, ret) != VLY_MATCH_NO ? VLY_MATCH_POSSIBLE : VLY_MATCH_NO;
}

static void cell_box(const vly_head *h, const vly_rows *rows, size_t row, float ret[4])
{
    vly_cell cell = vly_head__cell(h, vly_strides_p5, row);

    vly_box__from_centre((cell.x + vly_rows__get(rows, row, 0)) * cell.stride,
                         (cell.y + vly_rows__get(rows, row, 1)) * cell.stride,
                         expf(vly_rows__get(rows, row, 2)) * cell.stride,
                         expf(vly_rows__get(rows, row, 3)) * cell.stride, ret);
}

static vly_status decode(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err)
{
    vly_head head = {.has_objectness = true,
                     .objectness_at = N_BOX,
                     .class_at = N_BOX + 1,
                     .n_classes = (size_t)d->params.n_classes,
                     .box = d->task == &vly_task_yolox ? cell_box : NULL,
                     .input_width = d->input_width,
                     .input_height = d->input_height};
    vly_rows rows;

    vly_status st = vly_rows__open(d, a, 0, false, head.class_at + head.n_classes, &rows, err);
    if (st == VLY_OK)
        st = vly_head__check_cells(&head, vly_strides_p5, &rows, err);
    if (st != VLY_OK)
        return st;
    return vly_head__decode(&head, &rows, d, a, 0, ret, err);
}

#define PREP                                                                                       \
    {                                                                                              \
        .fit = VLY_FIT_TOP_LEFT, .is_bgr = true, .pad = 114, .std = { 1.0f, 1.0f, 1.0f }           \
    }

const vly_task vly_task_yolox = {
    .name = "yolox",
    .kind = VLY_TASK_DETECT,
    .prep = PREP,
    .match = match,
    .decode = decode,
};

const vly_task vly_task_yolox_decoded = {
    .name = "yolox-decoded",
    .kind = VLY_TASK_DETECT,
    .prep = PREP,
    .match = match_decoded,
    .decode = decode,
};
