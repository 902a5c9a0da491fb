/* SPDX-License-Identifier: MIT */
/*
 * YuNet faces: for each stride 8, 16, 32 four outputs over its grid, cls [N, cells, 1], obj
 * [N, cells, 1], bbox [N, cells, 4] and kps [N, cells, 10] (right eye, left eye, nose, right and
 * left corner of the mouth). A face's score is sqrt(cls * obj), both cut to 0..1; centre and points
 * are offsets in strides from the cell, the size is exp() strides.
 */
#include "tasks/decoder.h"

#include <math.h>
#include <stdio.h>

#define N_POINTS   5
#define N_PARTS    4
#define N_LEVELS   3
#define ROW_VALUES 10 /* x, y of each point */

enum { PART_CLS, PART_OBJ, PART_BOX, PART_POINTS };

static const char *const part_names[N_PARTS] = {"cls", "obj", "bbox", "kps"};
static const size_t part_values[N_PARTS] = {1, 1, 4, ROW_VALUES};

static vly_match match(const vly_task_probe *p, vly_task_params *ret)
{
    char name[16];

    for (size_t level = 0; level < N_LEVELS; level++)
        for (size_t part = 0; part < N_PARTS; part++) {
            snprintf(name, sizeof(name), "%s_%d", part_names[part], vly_strides_p5[level]);
            uint8_t *idx = &ret->output_idx[level * N_PARTS + part];
            if (!vly_probe__find(p, name, idx))
                return VLY_MATCH_NO;
            const vly_shape *s = vly_probe__output(p, *idx, 3);
            if (s == NULL || s->dim[2] != (int64_t)part_values[part])
                return VLY_MATCH_NO;
        }
    ret->n_classes = 1;
    ret->n_keypoints = N_POINTS;
    ret->n_keypoint_values = 2;
    return VLY_MATCH_SURE;
}

/* The outputs of all levels, and the points of all cells in input pixels, in one array of rows. */
typedef struct faces {
    vly_rows parts[N_LEVELS][N_PARTS];
    vly_rows points;
    float *points_data;
} faces;

static vly_status open_faces(faces *f, const vly_decoder *d, const vly_decode_args *a, vly_err *err)
{
    size_t total = 0;

    for (size_t level = 0; level < N_LEVELS; level++) {
        size_t stride = (size_t)vly_strides_p5[level];
        size_t cells = (d->input_width / stride) * (d->input_height / stride);
        for (size_t part = 0; part < N_PARTS; part++) {
            vly_rows *rows = &f->parts[level][part];
            vly_status st =
                vly_rows__open(d, a, level * N_PARTS + part, false, part_values[part], rows, err);
            if (st != VLY_OK)
                return st;
            if (rows->n_rows != cells)
                return vly_fail(err, VLY_EINVAL, "output '%s_%zu': expected %zu cells, got %zu",
                                part_names[part], stride, cells, rows->n_rows);
        }
        total += cells;
    }
    f->points_data = vly_arena_calloc(a->arena, total, ROW_VALUES * sizeof(float));
    if (f->points_data == NULL)
        return vly_fail(err, VLY_ELIMIT, "%zu cells do not fit the memory of a request", total);
    f->points = (vly_rows){.data = f->points_data,
                           .n_rows = total,
                           .n_values = ROW_VALUES,
                           .row_step = ROW_VALUES,
                           .value_step = 1};
    return VLY_OK;
}

static float unit(float v)
{
    return v > 1.0f ? 1.0f : v > 0.0f ? v : 0.0f;
}

static void add_level(faces *f, size_t level, size_t first_row, const vly_decoder *d,
                      const vly_decode_args *a, vly_candidates *c)
{
    const vly_rows *parts = f->parts[level];
    float stride = (float)vly_strides_p5[level];
    size_t width = d->input_width / (size_t)vly_strides_p5[level];

    for (size_t i = 0; i < parts[PART_CLS].n_rows; i++) {
        size_t line = i / width;
        float x = (float)(i % width);
        float y = (float)line;
        const float *box = parts[PART_BOX].data + i * 4;
        const float *points = parts[PART_POINTS].data + i * ROW_VALUES;
        float *dst = f->points_data + (first_row + i) * ROW_VALUES;
        float cls = parts[PART_CLS].data[i];
        float obj = parts[PART_OBJ].data[i];
        float xyxy[4];
        vly_box__from_centre((x + box[0]) * stride, (y + box[1]) * stride, expf(box[2]) * stride,
                             expf(box[3]) * stride, xyxy);
        for (size_t k = 0; k < ROW_VALUES; k += 2) {
            dst[k] = (x + points[k]) * stride;
            dst[k + 1] = (y + points[k + 1]) * stride;
        }
        vly_candidates__add(c, a, xyxy, sqrtf(unit(cls) * unit(obj)), 0, first_row + i);
    }
}

static vly_status decode(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err)
{
    faces f;
    vly_candidates c;
    size_t first_row = 0;

    vly_status st = open_faces(&f, d, a, err);
    if (st == VLY_OK)
        st = vly_candidates__init(&c, a, f.points.n_rows, err);
    if (st != VLY_OK)
        return st;
    for (size_t level = 0; level < N_LEVELS; level++) {
        add_level(&f, level, first_row, d, a, &c);
        first_row += f.parts[level][PART_CLS].n_rows;
    }
    return vly_candidates__finish(&c, d, a, false, &f.points, 0, ret, err);
}

const vly_task vly_task_yunet = {
    .name = "yunet",
    .kind = VLY_TASK_POSE,
    .prep = {.fit = VLY_FIT_TOP_LEFT, .is_bgr = true, .std = {1.0f, 1.0f, 1.0f}},
    .labels = &vly_labels_face,
    .match = match,
    .decode = decode,
};
