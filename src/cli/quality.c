/* SPDX-License-Identifier: MIT */
#include "cli/quality.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tasks/coco_eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OBSERVATIONS_MAX ((size_t)1 << 30)

typedef struct measurement {
    const vly_quality_bench *bench;
    vly_model *model;
    vly_instance *instance, *reference;
    vly_tensor *inputs, *outputs, *wanted;
    vly_coco_eval *coco;
    vly_arena arena;
    double *ms;
    double signal, noise;
    size_t n_same;
} measurement;

vly_quality_bench vly_quality_bench_of(vly_cli_samples *samples, vly_model *reference)
{
    vly_quality_bench b = {.samples = samples, .reference = reference};
    bool has_boxes =
        vly_cli_samples_are_pictures(samples) && samples->decoder->kind != VLY_TASK_CLASSIFY;

    b.kind = !has_boxes ? VLY_QUALITY_CLASSES
                        : (samples->truth.n_images > 0 ? VLY_QUALITY_LABELS : VLY_QUALITY_BOXES);
    return b;
}

const char *vly_quality_name(vly_quality_kind kind)
{
    switch (kind) {
    case VLY_QUALITY_LABELS:
        return "mAP50-95";
    case VLY_QUALITY_BOXES:
        return "box agreement";
    case VLY_QUALITY_CLASSES:
        return "same class";
    }
    return "?";
}

void vly_quality_explain(const vly_quality_bench *b, vly_buf *out)
{
    size_t n = b->samples->base.n;

    switch (b->kind) {
    case VLY_QUALITY_LABELS:
        vly_buf_printf(out, "mAP50-95 over %zu labelled pictures", n);
        break;
    case VLY_QUALITY_BOXES:
        vly_buf_printf(
            out, "no labels: mAP50-95 against the input model's own detections, %zu pictures", n);
        break;
    case VLY_QUALITY_CLASSES:
        vly_buf_printf(out, "share of %zu samples with the input model's largest output", n);
        break;
    }
}

/* ---- one sample --------------------------------------------------------------------------- */

static vly_status decode(measurement *m, const vly_tensor *outputs, float confidence,
                         bool is_multi_label, vly_observations *ret, vly_err *err)
{
    vly_detector_options opts = VLY_DETECTOR_OPTIONS_INIT;
    vly_cli_samples *s = m->bench->samples;

    opts.conf_threshold = confidence;
    opts.iou_threshold = 0.7f;
    opts.is_multi_label = is_multi_label;
    vly_decode_args args = {.outputs = outputs,
                            .n_outputs = s->info->n_outputs,
                            .map = &s->map,
                            .opts = &opts,
                            .arena = &m->arena};
    return vly_decoder_run(s->decoder, &args, ret, err);
}

/* The float model's detections as truth. */
static vly_status truth_of(measurement *m, vly_truth **ret, size_t *ret_n, vly_err *err)
{
    vly_observations seen;
    vly_status st = decode(m, m->wanted, 0.25f, false, &seen, err);

    if (st != VLY_OK)
        return st;
    vly_truth *truths = vly_arena_calloc(&m->arena, seen.n_detections, sizeof(*truths));
    if (truths == NULL)
        return vly_arena_fail(&m->arena, err);
    for (size_t i = 0; i < seen.n_detections; i++) {
        truths[i].class_id = seen.detections[i].class_id;
        memcpy(truths[i].bbox, seen.detections[i].bbox, sizeof(truths[i].bbox));
    }
    *ret = truths;
    *ret_n = seen.n_detections;
    return VLY_OK;
}

static vly_status score_boxes(measurement *m, size_t i, vly_err *err)
{
    vly_cli_samples *s = m->bench->samples;
    vly_observations seen;
    vly_truth *truths = NULL;
    size_t n = 0;

    vly_arena_reset(&m->arena);
    if (m->bench->kind == VLY_QUALITY_LABELS) {
        truths = s->truth.images[i].truths;
        n = s->truth.images[i].n_truths;
    } else {
        vly_status st = truth_of(m, &truths, &n, err);
        if (st != VLY_OK)
            return st;
    }
    vly_status st = decode(m, m->outputs, 0.001f, true, &seen, err);
    return st == VLY_OK
               ? vly_coco_eval_add(m->coco, truths, n, seen.detections, seen.n_detections, err)
               : st;
}

static uint64_t largest(const vly_tensor *t)
{
    uint64_t best = 0, n = vly_tensor_count(t);

    for (uint64_t i = 1; i < n; i++)
        best = vly_tensor_get_f64(t, i) > vly_tensor_get_f64(t, best) ? i : best;
    return best;
}

static void score_noise(measurement *m)
{
    for (size_t k = 0; k < m->bench->samples->info->n_outputs; k++) {
        const vly_tensor *a = &m->wanted[k], *b = &m->outputs[k];
        if (a->dtype != VLY_DTYPE_F32 || b->dtype != VLY_DTYPE_F32 ||
            !vly_shape_eq(&a->shape, &b->shape))
            continue;
        const float *x = a->data, *y = b->data;
        for (uint64_t i = 0, n = vly_tensor_count(a); i < n; i++) {
            double d = (double)x[i] - (double)y[i];
            m->signal += (double)x[i] * (double)x[i];
            m->noise += d * d;
        }
    }
}

static vly_status run_sample(measurement *m, size_t i, vly_err *err)
{
    const vly_model_info *info = m->bench->samples->info;
    vly_status st = m->bench->samples->base.get(m->bench->samples, i, m->inputs, err);

    if (st == VLY_OK)
        st = vly_instance_run(m->reference, m->inputs, m->wanted, err);
    vly_nsec began = vly_clock_now();
    if (st == VLY_OK)
        st = vly_instance_run(m->instance, m->inputs, m->outputs, err);
    m->ms[i] = (double)(vly_clock_now() - began) / 1e6;
    if (st == VLY_OK) {
        score_noise(m);
        m->n_same += largest(&m->wanted[0]) == largest(&m->outputs[0]);
    }
    if (st == VLY_OK && m->coco != NULL)
        st = score_boxes(m, i, err);
    for (size_t k = 0; k < info->n_inputs; k++)
        vly_tensor_release(&m->inputs[k]);
    for (size_t k = 0; k < info->n_outputs; k++) {
        vly_tensor_release(&m->outputs[k]);
        vly_tensor_release(&m->wanted[k]);
    }
    return st;
}

/* ---- all of them -------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static vly_status open_measurement(measurement *m, const void *bytes, size_t len, vly_err *err)
{
    const vly_quality_bench *b = m->bench;
    const vly_model_info *info = b->samples->info;
    vly_model_options model = VLY_MODEL_OPTIONS_DEFAULT;

    /* a quantised file by the kernels that will serve it; one without codes is fp32 all the same */
    model.precision = VLY_PRECISION_INT8;
    vly_status st = vly_model_load_bytes(bytes, len, &model, &m->model, err);
    vly_arena_init(&m->arena, VLY_MEM_CLI, 1 << 20, OBSERVATIONS_MAX);
    m->inputs = vly_calloc(VLY_MEM_CLI, info->n_inputs + 1, sizeof(*m->inputs));
    m->outputs = vly_calloc(VLY_MEM_CLI, info->n_outputs + 1, sizeof(*m->outputs));
    m->wanted = vly_calloc(VLY_MEM_CLI, info->n_outputs + 1, sizeof(*m->wanted));
    m->ms = vly_calloc(VLY_MEM_CLI, b->samples->base.n, sizeof(*m->ms));
    if (st == VLY_OK &&
        (m->inputs == NULL || m->outputs == NULL || m->wanted == NULL || m->ms == NULL))
        st = vly_fail(err, VLY_ENOMEM, "out of memory to measure the model");
    if (st == VLY_OK)
        st = vly_instance_new(m->model, b->samples->pool, &m->instance, err);
    if (st == VLY_OK)
        st = vly_instance_new(b->reference, b->samples->pool, &m->reference, err);
    if (st == VLY_OK && b->kind != VLY_QUALITY_CLASSES)
        st = vly_coco_eval_new(&(vly_coco_options){0}, &m->coco, err);
    return st;
}

static void close_measurement(measurement *m)
{
    vly_coco_eval_free(m->coco);
    vly_instance_free(m->reference);
    vly_instance_free(m->instance);
    vly_model_unref(m->model);
    vly_free(m->inputs);
    vly_free(m->outputs);
    vly_free(m->wanted);
    vly_free(m->ms);
    vly_arena_release(&m->arena);
}

static vly_status settle(measurement *m, vly_quality *ret, vly_err *err)
{
    size_t n = m->bench->samples->base.n;
    vly_plan_summary plan;
    vly_coco_result boxes;
    vly_status st = VLY_OK;

    qsort(m->ms, n, sizeof(*m->ms), by_value);
    ret->ms = m->ms[n / 2];
    ret->score = (double)m->n_same / (double)n;
    ret->snr_db = m->noise > 0 ? 10 * log10(fmax(m->signal, 1e-30) / m->noise) : HUGE_VAL;
    if (vly_instance_plan(m->instance, NULL, &plan, NULL) == VLY_OK)
        ret->flops = plan.flops;
    if (m->coco == NULL)
        return VLY_OK;
    st = vly_coco_eval_compute(m->coco, &boxes, err);
    if (st == VLY_OK) {
        ret->score = fmax(boxes.map50_95, 0);
        ret->map50 = fmax(boxes.map50, 0);
    }
    return st;
}

vly_status vly_quality_measure(const vly_quality_bench *b, const void *bytes, size_t len,
                               const char *what, vly_quality *ret, vly_err *err)
{
    measurement m = {.bench = b};
    vly_quality q = {.file_bytes = len};
    vly_status st = open_measurement(&m, bytes, len, err);

    for (size_t i = 0; i < b->samples->base.n && st == VLY_OK; i++) {
        st = run_sample(&m, i, err);
        b->samples->base.progress(b->samples, what, i + 1, b->samples->base.n);
    }
    if (st == VLY_OK)
        st = settle(&m, &q, err);
    if (st == VLY_OK)
        *ret = q;
    close_measurement(&m);
    return st;
}
