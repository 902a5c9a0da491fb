/* SPDX-License-Identifier: MIT */
/* Observations as tensors, and back. */
#include "sched/ensemble.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const part_names[] = {"boxes", "scores", "labels"};

static bool has_io(const vly_model_io *ios, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(ios[i].name, name) == 0)
            return true;
    return false;
}

bool vly_ensemble__is_picture_step(const vly_ensemble_step *step, const vly_servable *model)
{
    return step->n_inputs == 1 && strcmp(step->inputs[0].name, "picture") == 0 &&
           model->decoder.kind != VLY_TASK_TENSOR && model->decoder.kind != VLY_TASK_CLASSIFY &&
           !has_io(model->info->inputs, model->info->n_inputs, "picture");
}

vly_ensemble_part vly_ensemble__part(const char *name)
{
    int part = 0;

    while (part < VLY_ENSEMBLE_N_PARTS && strcmp(name, part_names[part]) != 0)
        part++;
    return (vly_ensemble_part)part;
}

vly_status vly_ensemble__tensor_of(const vly_observations *o, vly_ensemble_part part,
                                   vly_tensor *ret, vly_err *err)
{
    vly_shape shape = VLY_SHAPE((int64_t)o->n_detections);
    vly_tensor t;

    if (part == VLY_ENSEMBLE_BOXES)
        shape = VLY_SHAPE((int64_t)o->n_detections, 4);
    vly_status st = vly_tensor_new(part == VLY_ENSEMBLE_LABELS ? VLY_DTYPE_I32 : VLY_DTYPE_F32,
                                   &shape, &t, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < o->n_detections; i++) {
        const vly_detection *d = &o->detections[i];
        if (part == VLY_ENSEMBLE_BOXES)
            memcpy((float *)t.data + i * 4, d->bbox, sizeof(d->bbox));
        else if (part == VLY_ENSEMBLE_SCORES)
            ((float *)t.data)[i] = d->confidence;
        else
            ((int32_t *)t.data)[i] = d->class_id;
    }
    *ret = t;
    return VLY_OK;
}

/* ---- back ---- */

static bool is_wanted(const vly_detection *d, const vly_detector_options *o)
{
    if (!isfinite(d->confidence) || d->confidence <= o->conf_threshold)
        return false;
    for (int k = 0; k < 4; k++)
        if (!isfinite(d->bbox[k]))
            return false;
    if (o->classes == NULL)
        return true;
    for (size_t i = 0; i < o->n_classes; i++)
        if (o->classes[i] == d->class_id)
            return true;
    return false;
}

typedef struct ranked {
    vly_detection detection;
    size_t place;
} ranked;

/* Falling confidence; equal ones keep their order. */
static int by_confidence(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (x->detection.confidence != y->detection.confidence)
        return x->detection.confidence > y->detection.confidence ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static vly_status check_parts(const vly_tensor *parts[VLY_ENSEMBLE_N_PARTS], vly_err *err)
{
    const vly_tensor *boxes = parts[VLY_ENSEMBLE_BOXES], *scores = parts[VLY_ENSEMBLE_SCORES];
    const vly_tensor *labels = parts[VLY_ENSEMBLE_LABELS];
    uint64_t n = vly_tensor_count(scores);

    if (boxes->dtype != VLY_DTYPE_F32 || scores->dtype != VLY_DTYPE_F32 ||
        labels->dtype != VLY_DTYPE_I32 || vly_tensor_count(boxes) != n * 4 ||
        vly_tensor_count(labels) != n)
        return vly_fail(err, VLY_EINVAL,
                        "expected boxes FP32 [n, 4], scores FP32 [n], labels INT32 [n] of one n");
    return VLY_OK;
}

static vly_detection detection_at(const vly_tensor *parts[VLY_ENSEMBLE_N_PARTS], size_t i)
{
    const float *box = (const float *)parts[VLY_ENSEMBLE_BOXES]->data + i * 4;

    return (vly_detection){.class_id = ((const int32_t *)parts[VLY_ENSEMBLE_LABELS]->data)[i],
                           .confidence =
                               fminf(((const float *)parts[VLY_ENSEMBLE_SCORES]->data)[i], 1),
                           .bbox = {box[0], box[1], box[2], box[3]}};
}

vly_status vly_ensemble__observe(const vly_tensor *parts[VLY_ENSEMBLE_N_PARTS],
                                 const vly_detector_options *options, vly_arena *arena,
                                 vly_observations *ret, vly_err *err)
{
    vly_status st = check_parts(parts, err);
    size_t n = 0;

    if (st != VLY_OK)
        return st;
    size_t n_all = (size_t)vly_tensor_count(parts[VLY_ENSEMBLE_SCORES]);
    ranked *list = vly_arena_calloc(arena, n_all + 1, sizeof(*list));
    vly_detection *detections = vly_arena_calloc(arena, n_all + 1, sizeof(*detections));
    if (list == NULL || detections == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; i < n_all; i++) {
        list[n] = (ranked){detection_at(parts, i), i};
        n += is_wanted(&list[n].detection, options);
    }
    qsort(list, n, sizeof(*list), by_confidence);
    n = n < options->max_detections ? n : options->max_detections;
    for (size_t i = 0; i < n; i++)
        detections[i] = list[i].detection;
    *ret = (vly_observations){.kind = VLY_TASK_DETECT, .detections = detections, .n_detections = n};
    return VLY_OK;
}
