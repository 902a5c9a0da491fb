/* SPDX-License-Identifier: MIT */
/* `volley eval detect`: mean average precision over a directory of pictures with YOLO labels. */
#include "base/metrics.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "tasks/coco_eval.h"
#include "tasks/truth_set.h"

#include <stdio.h>
#include <string.h>

#define TRUTH_BYTES_MAX ((size_t)4 << 30)

typedef struct eval_opts {
    const char *model, *data, *task, *precision;
    double confidence, iou;
    int64_t limit, threads;
    bool json;
} eval_opts;

/* The settings that published COCO figures are measured with. */
static const eval_opts defaults = {.confidence = 0.001, .iou = 0.7};

static const vly_opt options[] = {
    VLY_OPT(eval_opts, model, 'm', TEXT, "model", "FILE",
            "the .onnx model, or the directory of one in a repository (required)"),
    VLY_OPT(eval_opts, data, 0, TEXT, "data", "DIR",
            "directory with images/ and instances.json or labels/ (required)"),
    VLY_OPT(eval_opts, json, 0, FLAG, "json", NULL, "print the figures as JSON"),
    VLY_OPT(eval_opts, confidence, 'c', FLOAT, "confidence", "X",
            "least confidence (default 0.001)"),
    VLY_OPT(eval_opts, iou, 0, FLOAT, "iou", "X", "overlap limit of suppression (default 0.7)"),
    VLY_OPT(eval_opts, limit, 0, INT, "limit", "N", "only the first N pictures (default: all)"),
    VLY_OPT(eval_opts, task, 0, TEXT, "task", "NAME", "how to read the model's outputs"),
    VLY_OPT(eval_opts, precision, 0, TEXT, "precision", "P[:NODE,..]",
            "exact, fp32, bf16, int8 or auto (default auto)"),
    VLY_OPT(eval_opts, threads, 't', INT, "threads", "N", "cores to use (default: all)"),
    VLY_OPT_END,
};

/* Nanoseconds per picture, by stage. */
typedef struct stage_times {
    vly_histogram decode, prep, infer, post, total;
} stage_times;

typedef struct evaluation {
    const eval_opts *opts;
    vly_session session;
    vly_coco_eval *coco;
    stage_times times;
    vly_arena arena; /* the truth */
    vly_truth_set truth;
} evaluation;

static void record(stage_times *h, const vly_vision_times *t)
{
    vly_histogram_record(&h->decode, t->decode);
    vly_histogram_record(&h->prep, t->prep);
    vly_histogram_record(&h->infer, t->infer);
    vly_histogram_record(&h->post, t->post);
    vly_histogram_record(&h->total, t->decode + t->prep + t->infer + t->post);
}

static vly_status eval_image(evaluation *e, vly_truth_image *image, vly_err *err)
{
    vly_detector_options detector = VLY_DETECTOR_OPTIONS_INIT;
    vly_observations seen;
    vly_vision_times times;

    detector.conf_threshold = (float)e->opts->confidence;
    detector.iou_threshold = (float)e->opts->iou;
    detector.is_multi_label = true;
    vly_status st = vly_session_run(&e->session, image->path, &detector, &seen, NULL, &times, err);
    if (st != VLY_OK)
        return st;
    vly_truth_image_scale(image, seen.width, seen.height);
    record(&e->times, &times);
    return vly_coco_eval_add(e->coco, image->truths, image->n_truths, seen.detections,
                             seen.n_detections, err);
}

static vly_status open_all(evaluation *e, vly_err *err)
{
    const eval_opts *o = e->opts;
    vly_status st = vly_truth_set_load(o->data, &e->arena, &e->truth, err);

    if (st == VLY_OK && e->truth.n_images == 0)
        st = vly_fail(err, VLY_ENOTFOUND, "'%s': no pictures", o->data);
    if (st == VLY_OK)
        st = vly_coco_eval_new(&(vly_coco_options){0}, &e->coco, err);
    if (st == VLY_OK)
        st = vly_session_open(
            &e->session, &(vly_session_options){o->model, o->task, o->precision, o->threads}, err);
    if (st == VLY_OK && e->session.servable->decoder.kind == VLY_TASK_CLASSIFY)
        st = vly_fail(err, VLY_EINVAL, "model '%s' classifies: it has no boxes to evaluate",
                      o->model);
    return st;
}

static vly_status run_all(evaluation *e, vly_err *err)
{
    vly_progress progress;
    size_t n = e->truth.n_images;
    vly_status st = VLY_OK;

    if (e->opts->limit > 0 && (uint64_t)e->opts->limit < n)
        n = (size_t)e->opts->limit;
    vly_progress_begin(&progress, "eval", n);
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        st = eval_image(e, &e->truth.images[i], err);
        vly_progress_step(&progress);
    }
    vly_progress_end(&progress);
    return st;
}

static double median_ms(const vly_histogram *h)
{
    return (double)vly_histogram_quantile(h, 0.5) / 1e6;
}

static void print_json(const vly_coco_result *r, const stage_times *t)
{
    printf("{\"map50\":%.6f,\"map50_95\":%.6f,\"map75\":%.6f,\"recall\":%.6f,\"images\":%zu,"
           "\"truths\":%zu,\"classes\":%zu,\"ms\":{\"decode\":%.3f,\"prep\":%.3f,\"infer\":%.3f,"
           "\"post\":%.3f,\"total\":%.3f}}\n",
           r->map50, r->map50_95, r->map75, r->recall, r->n_images, r->n_truths, r->n_classes,
           median_ms(&t->decode), median_ms(&t->prep), median_ms(&t->infer), median_ms(&t->post),
           median_ms(&t->total));
}

static void print_table(const vly_coco_result *r, const stage_times *t)
{
    printf("%zu pictures, %zu objects of %zu classes\n", r->n_images, r->n_truths, r->n_classes);
    printf("  mAP50      %.4f\n  mAP50-95   %.4f\n  mAP75      %.4f\n  recall     %.4f\n", r->map50,
           r->map50_95, r->map75, r->recall);
    printf("  ms/picture %.1f (median: decode %.1f, prep %.1f, net %.1f, post %.1f)\n",
           median_ms(&t->total), median_ms(&t->decode), median_ms(&t->prep), median_ms(&t->infer),
           median_ms(&t->post));
}

static int run(const void *opts_, int n_args, char *const *args)
{
    static evaluation e; /* histograms are large for a stack */
    const eval_opts *opts = opts_;
    vly_coco_result result;
    vly_err err;

    (void)n_args, (void)args;
    if (opts->model == NULL || opts->data == NULL) {
        fprintf(stderr,
                "volley eval detect: options --model and --data are required; see --help\n");
        return VLY_EXIT_USAGE;
    }
    e = (evaluation){.opts = opts};
    vly_arena_init(&e.arena, VLY_MEM_CLI, 1 << 20, TRUTH_BYTES_MAX);
    vly_status st = open_all(&e, &err);
    if (st == VLY_OK)
        st = run_all(&e, &err);
    if (st == VLY_OK)
        st = vly_coco_eval_compute(e.coco, &result, &err);
    if (st == VLY_OK)
        (opts->json ? print_json : print_table)(&result, &e.times);
    else
        vly_command_fail(&err);
    vly_session_close(&e.session);
    vly_coco_eval_free(e.coco);
    vly_arena_release(&e.arena);
    return st == VLY_OK ? VLY_EXIT_OK
                        : (st == VLY_EUNSUPPORTED ? VLY_EXIT_UNSUPPORTED : VLY_EXIT_FAILURE);
}

const vly_command vly_command_eval_detect = {
    .name = "eval detect",
    .args = "",
    .summary = "measure a detector: COCO mAP over labelled pictures",
    .details =
        "Runs the model over DIR/images and compares with DIR/instances.json (COCO annotations) "
        "or\n"
        "DIR/labels (YOLO: one .txt per picture, lines of `class cx cy w h`, relative to the\n"
        "picture). Prints COCO's mean average precision at IoU 0.50 and 0.50:0.95 (101 recall\n"
        "points), and the median time of each stage.\n",
    .examples = "  volley eval detect --model yolov8n.onnx --data coco128\n"
                "  volley eval detect --model yolov8n.onnx --data coco128 --json | jq .map50_95\n",
    .opts = options,
    .opts_bytes = sizeof(eval_opts),
    .defaults = &defaults,
    .run = run,
};
