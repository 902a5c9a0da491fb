/* SPDX-License-Identifier: MIT */
/*
 * Accuracy of another engine's outputs through Volley's own preparation, decoder and metric, so
 * that a difference in mAP is the engine's alone:
 *
 *     other_engine prepare MODEL DATA DIR    writes DIR/<i>.npy, the input tensor of picture i
 *     (the other engine writes DIR/<i>_<k>.npy, output k of picture i)
 *     other_engine score MODEL DATA DIR      prints mAP as `volley eval detect --json` does
 *
 * tests/oracle/ort_accuracy.py drives it with ONNX Runtime.
 */
#include "base/mem.h"
#include "cli/model_io.h"
#include "sched/servable.h"
#include "sys/file.h"
#include "tasks/coco_eval.h"
#include "tasks/truth_set.h"

#include <stdio.h>
#include <string.h>

#define PICTURE_BYTES_MAX ((size_t)64 << 20)

typedef struct oracle {
    vly_servable *servable;
    vly_arena truth_arena, arena;
    vly_truth_set truth;
    vly_letterbox letterbox;
    const char *dir;
} oracle;

/* Input tensor of one picture; *ret is a new tensor. */
static vly_status prepare(oracle *o, const char *path, vly_tensor *ret, vly_letterbox_map *map,
                          vly_err *err)
{
    const vly_decoder *d = &o->servable->decoder;
    vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;
    vly_shape shape = VLY_SHAPE(1, 3, d->input_height, d->input_width);
    vly_picture picture = {0};
    vly_buf file;

    vly_buf_init(&file, VLY_MEM_CLI, PICTURE_BYTES_MAX);
    vly_status st = vly_file_read(path, PICTURE_BYTES_MAX, &file, err);
    if (st == VLY_OK)
        st = vly_picture_decode(file.ptr, file.len, &limits, &picture, err);
    if (st == VLY_OK)
        st = vly_tensor_new(VLY_DTYPE_F32, &shape, ret, err);
    if (st == VLY_OK)
        st = vly_letterbox_run(&o->letterbox, &picture, &d->prep, d->input_width, d->input_height,
                               ret->data, map, err);
    vly_picture_release(&picture);
    vly_buf_release(&file);
    return st;
}

static vly_status prepare_all(oracle *o, vly_err *err)
{
    char path[4096];
    vly_letterbox_map map;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < o->truth.n_images && st == VLY_OK; i++) {
        vly_tensor input = {0};
        st = prepare(o, o->truth.images[i].path, &input, &map, err);
        snprintf(path, sizeof(path), "%s/%zu.npy", o->dir, i);
        if (st == VLY_OK)
            st = vly_cli_tensor_write(path, &input, err);
        vly_tensor_release(&input);
    }
    return st;
}

static vly_status score_one(oracle *o, size_t i, vly_tensor *outputs, vly_coco_eval *coco,
                            vly_err *err)
{
    vly_detector_options opts = VLY_DETECTOR_OPTIONS_INIT;
    vly_truth_image *image = &o->truth.images[i];
    vly_letterbox_map map;
    vly_tensor input = {0};
    vly_observations seen;
    vly_status st = prepare(o, image->path, &input, &map, err);

    opts.conf_threshold = 0.001f; /* the settings of `volley eval detect` */
    opts.iou_threshold = 0.7f;
    opts.is_multi_label = true;
    vly_tensor_release(&input);
    vly_arena_reset(&o->arena);
    vly_decode_args args = {.outputs = outputs,
                            .n_outputs = o->servable->info->n_outputs,
                            .map = &map,
                            .opts = &opts,
                            .arena = &o->arena};
    if (st == VLY_OK)
        st = vly_decoder_run(&o->servable->decoder, &args, &seen, err);
    if (st != VLY_OK)
        return st;
    vly_truth_image_scale(image, seen.width, seen.height);
    return vly_coco_eval_add(coco, image->truths, image->n_truths, seen.detections,
                             seen.n_detections, err);
}

static vly_status score_all(oracle *o, vly_err *err)
{
    size_t n_outputs = o->servable->info->n_outputs;
    vly_tensor outputs[VLY_TASK_OUTPUTS_MAX] = {0};
    vly_coco_eval *coco = NULL;
    vly_coco_result r;
    char path[4096];
    vly_status st = vly_coco_eval_new(&(vly_coco_options){0}, &coco, err);

    if (st == VLY_OK && n_outputs > VLY_TASK_OUTPUTS_MAX)
        st = vly_fail(err, VLY_ELIMIT, "more outputs than a task reads");
    for (size_t i = 0; i < o->truth.n_images && st == VLY_OK; i++) {
        for (size_t k = 0; k < n_outputs && st == VLY_OK; k++) {
            snprintf(path, sizeof(path), "%s/%zu_%zu.npy", o->dir, i, k);
            st = vly_cli_tensor_read(path, &outputs[k], err);
        }
        if (st == VLY_OK)
            st = score_one(o, i, outputs, coco, err);
        for (size_t k = 0; k < VLY_TASK_OUTPUTS_MAX; k++)
            vly_tensor_release(&outputs[k]);
    }
    if (st == VLY_OK)
        st = vly_coco_eval_compute(coco, &r, err);
    if (st == VLY_OK)
        printf("{\"map50\":%.6f,\"map50_95\":%.6f,\"images\":%zu}\n", r.map50, r.map50_95,
               r.n_images);
    vly_coco_eval_free(coco);
    return st;
}

int main(int argc, char **argv)
{
    oracle o = {0};
    vly_err err = VLY_ERR_INIT;

    if (argc != 5 || (strcmp(argv[1], "prepare") != 0 && strcmp(argv[1], "score") != 0)) {
        fprintf(stderr, "usage: other_engine prepare|score MODEL DATA DIR\n");
        return 2;
    }
    vly_servable_spec spec = {.path = argv[2], .options = VLY_MODEL_OPTIONS_DEFAULT};
    o.dir = argv[4];
    vly_letterbox_init(&o.letterbox);
    vly_arena_init(&o.truth_arena, VLY_MEM_CLI, 1 << 20, (size_t)1 << 30);
    vly_arena_init(&o.arena, VLY_MEM_CLI, 1 << 20, (size_t)1 << 30);
    vly_status st = vly_servable_open(&spec, &o.servable, &err);
    if (st == VLY_OK)
        st = vly_truth_set_load(argv[3], &o.truth_arena, &o.truth, &err);
    if (st == VLY_OK)
        st = strcmp(argv[1], "prepare") == 0 ? prepare_all(&o, &err) : score_all(&o, &err);
    if (st != VLY_OK)
        fprintf(stderr, "other_engine: %s\n", err.msg);
    vly_servable_unref(o.servable);
    vly_letterbox_release(&o.letterbox);
    vly_arena_release(&o.truth_arena);
    vly_arena_release(&o.arena);
    return st == VLY_OK ? 0 : 1;
}
