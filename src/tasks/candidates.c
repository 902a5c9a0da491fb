/* SPDX-License-Identifier: MIT */
/* The road that all detectors share: rows of an output -> candidates -> detections. */
#include "base/assert.h"
#include "base/bits.h"
#include "dsp/nms.h"
#include "tasks/decoder.h"
#include "tasks/mask.h"

#include <math.h>
#include <string.h>

static vly_status no_memory(vly_err *err)
{
    return vly_fail(err, VLY_ELIMIT, "the observations do not fit the memory of a request");
}

/* The tensor as f32, without a copy where it is that already. */
static vly_status as_f32(const vly_tensor *t, size_t begin, size_t count, vly_arena *arena,
                         const float **ret, vly_err *err)
{
    size_t bytes;

    if (t->dtype == VLY_DTYPE_F32) {
        *ret = (const float *)t->data + begin;
        return VLY_OK;
    }
    if (!vly_dtype_is_float(t->dtype) && !vly_dtype_is_int(t->dtype))
        return vly_fail(err, VLY_EINVAL, "output: expected numbers, got %s",
                        vly_dtype_name(t->dtype));
    float *copy = vly_size_mul(count, sizeof(*copy), &bytes) ? vly_arena_alloc(arena, bytes) : NULL;
    if (copy == NULL)
        return no_memory(err);
    for (size_t i = 0; i < count; i++)
        copy[i] = (float)vly_tensor_get_f64(t, begin + i);
    *ret = copy;
    return VLY_OK;
}

vly_status vly_rows__open(const vly_decoder *d, const vly_decode_args *a, size_t part,
                          bool is_channel_first, size_t n_values, vly_rows *ret, vly_err *err)
{
    size_t idx = d->params.output_idx[part];
    char text[VLY_SHAPE_TEXT_MAX];

    if (idx >= a->n_outputs)
        return vly_fail(err, VLY_EINVAL, "expected an output %zu, got %zu outputs", idx,
                        a->n_outputs);
    const vly_tensor *t = &a->outputs[idx];
    const vly_shape *s = &t->shape;
    if (s->rank < 2 || a->item >= (uint64_t)s->dim[0])
        return vly_fail(err, VLY_EINVAL,
                        "output %zu: expected picture %zu of a batch, got shape %s", idx, a->item,
                        vly_shape_text(s, text));
    size_t first = (size_t)s->dim[1];
    size_t second = (size_t)vly_shape_span(s, 2, s->rank);
    vly_rows rows = {.n_rows = is_channel_first ? second : first,
                     .n_values = is_channel_first ? first : second,
                     .row_step = is_channel_first ? 1 : second,
                     .value_step = is_channel_first ? second : 1};
    if (rows.n_values != n_values || rows.n_rows > INT32_MAX)
        return vly_fail(err, VLY_EINVAL, "output %zu: expected rows of %zu values, got shape %s",
                        idx, n_values, vly_shape_text(s, text));
    vly_status st = as_f32(t, a->item * first * second, first * second, a->arena, &rows.data, err);
    if (st == VLY_OK)
        *ret = rows;
    return st;
}

vly_status vly_candidates__init(vly_candidates *c, const vly_decode_args *a, size_t cap,
                                vly_err *err)
{
    vly_candidates made = {.cap = cap};

    made.boxes = vly_arena_calloc(a->arena, cap, 4 * sizeof(float));
    made.scores = vly_arena_calloc(a->arena, cap, sizeof(float));
    made.classes = vly_arena_calloc(a->arena, cap, sizeof(int32_t));
    made.rows = vly_arena_calloc(a->arena, cap, sizeof(uint32_t));
    if (made.boxes == NULL || made.scores == NULL || made.classes == NULL || made.rows == NULL)
        return no_memory(err);
    *c = made;
    return VLY_OK;
}

static bool is_wanted(const vly_detector_options *o, int64_t class_id)
{
    if (o->classes == NULL)
        return true;
    for (size_t i = 0; i < o->n_classes; i++)
        if (o->classes[i] == class_id)
            return true;
    return false;
}

void vly_candidates__add(vly_candidates *c, const vly_decode_args *a, const float box[4],
                         float score, int64_t class_id, size_t row)
{
    /* the negated comparison drops NaN as well */
    if (!(score > a->opts->conf_threshold) || !isfinite(score) || !isfinite(box[0]) ||
        !isfinite(box[1]) || !isfinite(box[2]) || !isfinite(box[3]) ||
        !is_wanted(a->opts, class_id))
        return;
    VLY_ASSERT(c->n < c->cap && class_id >= 0 && class_id <= INT32_MAX);
    memcpy(c->boxes + 4 * c->n, box, 4 * sizeof(*box));
    c->scores[c->n] = score < 1.0f ? score : 1.0f;
    c->classes[c->n] = (int32_t)class_id;
    c->rows[c->n] = (uint32_t)row;
    c->n++;
}

/* Indices of what stays, best first; their number goes to *ret_n. NULL: no memory. */
static uint32_t *choose(const vly_candidates *c, const vly_decode_args *a, bool is_final,
                        size_t *ret_n)
{
    const vly_detector_options *o = a->opts;
    size_t max = c->n < o->max_detections ? c->n : o->max_detections;
    uint32_t *order = vly_arena_calloc(a->arena, c->n, sizeof(*order));
    uint32_t *keep = vly_arena_calloc(a->arena, max, sizeof(*keep));

    if (order == NULL || keep == NULL)
        return NULL;
    if (is_final) {
        vly_sort_scores(c->scores, c->n, order);
        *ret_n = max;
        return order;
    }
    *ret_n = vly_nms(&(vly_nms_args){.boxes = c->boxes,
                                     .scores = c->scores,
                                     .classes = o->is_class_agnostic ? NULL : c->classes,
                                     .n = c->n,
                                     .iou_threshold = o->iou_threshold,
                                     .max_visit = VLY_NMS_CANDIDATES_MAX,
                                     .max_keep = max},
                     order, keep);
    return keep;
}

/* A detection under construction, and the row it came from. */
typedef struct selection {
    vly_detection *detections;
    uint32_t *rows;
    size_t n;
} selection;

static vly_status select_boxes(const vly_candidates *c, const vly_decode_args *a, bool is_final,
                               selection *ret, vly_err *err)
{
    size_t n_keep = 0;
    const uint32_t *keep = choose(c, a, is_final, &n_keep);
    selection s = {0};

    s.detections = vly_arena_calloc(a->arena, n_keep, sizeof(*s.detections));
    s.rows = vly_arena_calloc(a->arena, n_keep, sizeof(*s.rows));
    if (keep == NULL || s.detections == NULL || s.rows == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n_keep; i++) {
        vly_detection det = {.class_id = c->classes[keep[i]], .confidence = c->scores[keep[i]]};
        memcpy(det.bbox, c->boxes + 4 * (size_t)keep[i], sizeof(det.bbox));
        vly_letterbox_unmap_box(a->map, det.bbox);
        if (!(det.bbox[2] > det.bbox[0] && det.bbox[3] > det.bbox[1]))
            continue; /* wholly in the padding */
        s.rows[s.n] = c->rows[keep[i]];
        s.detections[s.n++] = det;
    }
    *ret = s;
    return VLY_OK;
}

static float finite_or_zero(float v)
{
    return isfinite(v) ? v : 0.0f;
}

/* One point in the picture; a point that is not finite has confidence 0. */
static vly_keypoint read_keypoint(const vly_rows *rows, size_t row, size_t at, bool has_conf,
                                  const vly_letterbox_map *map)
{
    vly_keypoint k = {.x = vly_rows__get(rows, row, at),
                      .y = vly_rows__get(rows, row, at + 1),
                      .conf = has_conf ? vly_rows__get(rows, row, at + 2) : 1.0f};

    vly_letterbox_unmap_point(map, &k.x, &k.y);
    if (!isfinite(k.x) || !isfinite(k.y) || !(k.conf > 0.0f))
        k.conf = 0.0f;
    k.conf = k.conf < 1.0f ? k.conf : 1.0f;
    k.x = finite_or_zero(k.x);
    k.y = finite_or_zero(k.y);
    return k;
}

static vly_status read_keypoints(const selection *s, const vly_decoder *d, const vly_decode_args *a,
                                 const vly_rows *rows, size_t first, vly_err *err)
{
    size_t n = (size_t)d->params.n_keypoints;
    size_t step = (size_t)d->params.n_keypoint_values;

    VLY_ASSERT(first + n * step <= rows->n_values);
    for (size_t i = 0; i < s->n; i++) {
        vly_keypoint *points = vly_arena_calloc(a->arena, n, sizeof(*points));
        if (points == NULL)
            return no_memory(err);
        for (size_t k = 0; k < n; k++)
            points[k] = read_keypoint(rows, s->rows[i], first + k * step, step == 3, a->map);
        s->detections[i].keypoints = points;
        s->detections[i].n_keypoints = (uint32_t)n;
    }
    return VLY_OK;
}

/* Mask of each detection: its factors times the prototypes, which are the task's output 1. */
static vly_status read_masks(const selection *s, const vly_decoder *d, const vly_decode_args *a,
                             const vly_rows *rows, size_t first, vly_err *err)
{
    size_t n = (size_t)d->params.n_mask_values;
    vly_mask_proto proto;

    VLY_ASSERT(first + n <= rows->n_values);
    float *factors = vly_arena_calloc(a->arena, n, sizeof(*factors));
    if (factors == NULL)
        return no_memory(err);
    vly_status st = vly_mask_proto__open(&proto, d, a, err);
    for (size_t i = 0; st == VLY_OK && i < s->n; i++) {
        for (size_t k = 0; k < n; k++)
            factors[k] = vly_rows__get(rows, s->rows[i], first + k);
        st = vly_mask_proto__make(&proto, factors, &s->detections[i], err);
    }
    return st;
}

vly_status vly_candidates__finish(const vly_candidates *c, const vly_decoder *d,
                                  const vly_decode_args *a, bool is_final, const vly_rows *rows,
                                  size_t extra_at, vly_observations *ret, vly_err *err)
{
    selection s = {0};

    vly_status st = select_boxes(c, a, is_final, &s, err);
    if (st == VLY_OK && d->params.n_keypoints > 0)
        st = read_keypoints(&s, d, a, rows, extra_at, err);
    if (st == VLY_OK && d->params.n_mask_values > 0)
        st = read_masks(&s, d, a, rows, extra_at, err);
    if (st != VLY_OK)
        return st;
    *ret = (vly_observations){.kind = d->kind,
                              .width = a->map->width,
                              .height = a->map->height,
                              .detections = s.detections,
                              .n_detections = s.n};
    return VLY_OK;
}
