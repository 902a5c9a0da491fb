/* SPDX-License-Identifier: MIT */
/*
 * Classification of the whole picture: one output [N, classes] (trailing dimensions of 1 allowed).
 * Scores that already are a distribution (each 0..1, sum 1 within 1 %) are taken as they are,
 * others go through a softmax; exports do not say which they hold.
 *
 * Preparation: Ultralytics' classifiers take RGB 0..1; without metadata the mean and deviation of
 * ImageNet are assumed, with which most published classifiers were trained. Grey inputs get raw
 * samples. The configuration overrides it.
 */
#include "dsp/nms.h"
#include "tasks/decoder.h"

#include <math.h>
#include <string.h>

static vly_match match(const vly_task_probe *p, vly_task_params *ret)
{
    const vly_model_io *out = p->model->n_outputs == 1 ? &p->model->outputs[0] : NULL;

    if (out == NULL || !out->has_shape || out->shape.rank < 2 || out->shape.dim[1] < 2 ||
        !vly_probe__may_be(p, "classify"))
        return VLY_MATCH_NO;
    for (int i = 2; i < out->shape.rank; i++)
        if (out->shape.dim[i] != 1)
            return VLY_MATCH_NO;
    if (p->n_classes > 0 && out->shape.dim[1] != p->n_classes)
        return VLY_MATCH_NO;
    ret->n_classes = out->shape.dim[1];
    return p->task.len > 0 ? VLY_MATCH_SURE : VLY_MATCH_SHAPE;
}

static void prepare(const vly_task_probe *p, vly_letterbox_opts *prep)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f};
    static const float std[3] = {0.229f, 0.224f, 0.225f};

    if (p->input_channels == 1) {
        prep->unit = false;
    } else if (p->task.len == 0) {
        memcpy(prep->mean, mean, sizeof(mean));
        memcpy(prep->std, std, sizeof(std));
    }
}

static bool is_distribution(const float *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= 0.0f && x[i] <= 1.0f))
            return false;
        sum += (double)x[i];
    }
    return fabs(sum - 1.0) <= 0.01;
}

/* What is not finite counts as the lowest score. */
static void softmax(const float *x, size_t n, float *ret)
{
    double sum = 0.0;
    float max = -INFINITY;

    for (size_t i = 0; i < n; i++)
        max = isfinite(x[i]) && x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) {
        ret[i] = isfinite(x[i]) ? expf(x[i] - max) : 0.0f;
        sum += (double)ret[i];
    }
    for (size_t i = 0; i < n; i++)
        ret[i] = sum > 0.0 ? (float)((double)ret[i] / sum) : 0.0f;
}

static vly_status decode(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err)
{
    size_t n = (size_t)d->params.n_classes;
    size_t n_best = n < a->opts->max_classes ? n : a->opts->max_classes;
    vly_rows rows;

    vly_status st = vly_rows__open(d, a, 0, true, n, &rows, err);
    if (st != VLY_OK)
        return st;
    float *scores = vly_arena_calloc(a->arena, n, sizeof(*scores));
    uint32_t *order = vly_arena_calloc(a->arena, n, sizeof(*order));
    vly_classification *best = vly_arena_calloc(a->arena, n_best, sizeof(*best));
    if (scores == NULL || order == NULL || best == NULL)
        return vly_fail(err, VLY_ELIMIT, "%zu classes do not fit the memory of a request", n);
    const float *probs = rows.data;
    if (!is_distribution(rows.data, n)) {
        softmax(rows.data, n, scores);
        probs = scores;
    }
    vly_sort_scores(probs, n, order);
    for (size_t i = 0; i < n_best; i++)
        best[i] = (vly_classification){(int32_t)order[i], probs[order[i]]};
    *ret = (vly_observations){.kind = d->kind,
                              .width = a->map->width,
                              .height = a->map->height,
                              .classes = best,
                              .n_classes = n_best};
    return VLY_OK;
}

const vly_task vly_task_classify = {
    .name = "classify",
    .kind = VLY_TASK_CLASSIFY,
    .prep = {.fit = VLY_FIT_COVER, .unit = true, .std = {1.0f, 1.0f, 1.0f}},
    .prepare = prepare,
    .match = match,
    .decode = decode,
};
