/* SPDX-License-Identifier: MIT */
#include "tasks/head.h"

#include "base/assert.h"
#include "base/cpu.h"
#include "dsp/rowmax.h"

#include <math.h>

/* Best class of every row, as arrays over rows. */
typedef struct best_class {
    float *score; /* of the class alone */
    int32_t *class_id;
} best_class;

static void scan_row(const vly_head *h, const vly_rows *rows, size_t row, best_class *b)
{
    const float *scores = rows->data + row * rows->row_step + h->class_at * rows->value_step;
    float max = -INFINITY;
    int32_t arg = 0;

    for (size_t c = 0; c < h->n_classes; c++) {
        float v = scores[c * rows->value_step];
        if (v > max) {
            max = v;
            arg = (int32_t)c;
        }
    }
    b->score[row] = max;
    b->class_id[row] = arg;
}

static void scan(const vly_head *h, const vly_rows *rows, best_class *b)
{
    if (rows->row_step == 1) { /* channel first: walk along the memory */
        vly_rowmax_dsp dsp;
        vly_rowmax_dsp_init(&dsp, vly_cpu_flags());
        dsp.rowmax(rows->data + h->class_at * rows->value_step, h->n_classes, rows->n_rows,
                   rows->value_step, b->score, b->class_id);
        return;
    }
    for (size_t row = 0; row < rows->n_rows; row++)
        scan_row(h, rows, row, b);
}

static float score_of(const vly_head *h, const vly_rows *rows, size_t row, float class_score)
{
    if (!h->has_objectness)
        return class_score;
    float objectness = vly_rows__get(rows, row, h->objectness_at);
    return h->score != NULL ? h->score(objectness, class_score) : objectness * class_score;
}

static void box_of(const vly_head *h, const vly_rows *rows, size_t row, float ret[4])
{
    if (h->box != NULL)
        h->box(h, rows, row, ret);
    else
        vly_box__from_centre(vly_rows__get(rows, row, 0), vly_rows__get(rows, row, 1),
                             vly_rows__get(rows, row, 2), vly_rows__get(rows, row, 3), ret);
}

/* Visits every class of a row above the threshold; c NULL: only counts them. */
static size_t each_class(const vly_head *h, const vly_rows *rows, const vly_decode_args *a,
                         size_t row, vly_candidates *c)
{
    size_t n = 0;
    float box[4];

    if (c != NULL)
        box_of(h, rows, row, box);
    for (size_t k = 0; k < h->n_classes; k++) {
        float score = score_of(h, rows, row, vly_rows__get(rows, row, h->class_at + k));
        if (!(score > a->opts->conf_threshold))
            continue;
        n++;
        if (c != NULL)
            vly_candidates__add(c, a, box, score, (int64_t)k, row);
    }
    return n;
}

static size_t add_row(const vly_head *h, const vly_rows *rows, const vly_decode_args *a,
                      const best_class *b, size_t row, vly_candidates *c)
{
    float score = score_of(h, rows, row, b->score[row]);
    float box[4];

    if (!(score > a->opts->conf_threshold))
        return 0;
    if (a->opts->is_multi_label)
        return each_class(h, rows, a, row, c);
    if (c != NULL) {
        box_of(h, rows, row, box);
        vly_candidates__add(c, a, box, score, b->class_id[row], row);
    }
    return 1;
}

/* Rows that can give a candidate, into ret[n_rows]: all of them when the score is more than the
 * class's. Written without a branch: most rows of a picture fail. */
static size_t list_rows(const vly_head *h, const best_class *b, size_t n_rows, float threshold,
                        uint32_t *ret)
{
    size_t n = 0;

    for (size_t row = 0; row < n_rows; row++) {
        ret[n] = (uint32_t)row;
        n += h->has_objectness || b->score[row] > threshold;
    }
    return n;
}

static vly_status collect(const vly_head *h, const vly_rows *rows, const vly_decode_args *a,
                          vly_candidates *ret, vly_err *err)
{
    best_class b = {
        .score = vly_arena_calloc(a->arena, rows->n_rows, sizeof(*b.score)),
        .class_id = vly_arena_calloc(a->arena, rows->n_rows, sizeof(*b.class_id)),
    };
    uint32_t *list = vly_arena_calloc(a->arena, rows->n_rows, sizeof(*list));
    size_t n = 0;

    VLY_ASSERT(h->n_classes >= 1 && h->class_at + h->n_classes <= rows->n_values);
    if (b.score == NULL || b.class_id == NULL || list == NULL)
        return vly_fail(err, VLY_ELIMIT, "%zu rows do not fit the memory of a request",
                        rows->n_rows);
    scan(h, rows, &b);
    size_t n_listed = list_rows(h, &b, rows->n_rows, a->opts->conf_threshold, list);
    for (size_t i = 0; i < n_listed; i++)
        n += add_row(h, rows, a, &b, list[i], NULL);
    vly_status st = vly_candidates__init(ret, a, n, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < n_listed; i++)
        (void)add_row(h, rows, a, &b, list[i], ret);
    return VLY_OK;
}

vly_status vly_head__decode(const vly_head *h, const vly_rows *rows, const vly_decoder *d,
                            const vly_decode_args *a, size_t extra_at, vly_observations *ret,
                            vly_err *err)
{
    vly_candidates c;

    vly_status st = collect(h, rows, a, &c, err);
    if (st != VLY_OK)
        return st;
    return vly_candidates__finish(&c, d, a, false, rows, extra_at, ret, err);
}

vly_status vly_head__check_cells(const vly_head *h, const int *strides, const vly_rows *rows,
                                 vly_err *err)
{
    size_t cells = 0;

    for (; *strides != 0; strides++)
        cells += (h->input_width / (size_t)*strides) * (h->input_height / (size_t)*strides);
    if (rows->n_rows == cells)
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "output: expected %zu rows for a %u x %u input, got %zu",
                    cells, h->input_width, h->input_height, rows->n_rows);
}

vly_cell vly_head__cell(const vly_head *h, const int *strides, size_t row)
{
    size_t width = 1;

    for (; *strides != 0; strides++) {
        width = h->input_width / (size_t)*strides;
        size_t cells = width * (h->input_height / (size_t)*strides);
        if (row < cells)
            break;
        row -= cells;
    }
    VLY_ASSERT(*strides != 0);
    size_t line = row / width;
    return (vly_cell){(float)(row % width), (float)line, (float)*strides};
}
