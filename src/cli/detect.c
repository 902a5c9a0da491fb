/* SPDX-License-Identifier: MIT */
/* `volley detect`: pictures in, observations out, as a table, JSON or drawn on the picture. */
#include "base/assert.h"
#include "cli/command.h"
#include "cli/session.h"
#include "sys/file.h"
#include "tasks/draw.h"
#include "tasks/observation_json.h"

#include <stdio.h>
#include <string.h>

#define OUTPUT_MAX  ((size_t)1 << 30)
#define CLASSES_MAX 256

typedef struct detect_opts {
    const char *model;
    const char *task, *precision;
    const char *draw;
    const char *classes;
    double confidence, iou;
    int64_t max, threads;
    bool json;
} detect_opts;

static const detect_opts defaults = {.confidence = 0.25, .iou = 0.45, .max = 300};

static const vly_opt options[] = {
    VLY_OPT(detect_opts, model, 'm', TEXT, "model", "FILE",
            "the .onnx model, or the directory of one in a repository (required)"),
    VLY_OPT(detect_opts, json, 0, FLAG, "json", NULL, "print JSON, the body of the HTTP answer"),
    VLY_OPT(detect_opts, draw, 'd', TEXT, "draw", "FILE",
            "write the picture with its boxes (.jpg or .png); a directory for several pictures"),
    VLY_OPT(detect_opts, confidence, 'c', FLOAT, "confidence", "X",
            "least confidence, 0 to 1 (default 0.25)"),
    VLY_OPT(detect_opts, iou, 0, FLOAT, "iou", "X",
            "overlap above which one of two boxes of a class goes (default 0.45)"),
    VLY_OPT(detect_opts, max, 0, INT, "max", "N", "most detections per picture (default 300)"),
    VLY_OPT(detect_opts, classes, 0, TEXT, "classes", "LIST",
            "only these classes: names or numbers with commas between"),
    VLY_OPT(detect_opts, task, 0, TEXT, "task", "NAME",
            "how to read the outputs, when the model does not tell (see details)"),
    VLY_OPT(detect_opts, precision, 0, TEXT, "precision", "P[:NODE,..]",
            "exact, fp32, bf16, int8 or auto (default auto)"),
    VLY_OPT(detect_opts, threads, 't', INT, "threads", "N", "cores to use (default: all)"),
    VLY_OPT_END,
};

static void print_detections(const vly_observations *o, const vly_labels *labels)
{
    char text[VLY_LABEL_TEXT_MAX];

    if (o->n_detections > 0)
        printf("  %-16s %10s  %8s %8s %8s %8s\n", "class", "confidence", "x1", "y1", "x2", "y2");
    for (size_t i = 0; i < o->n_detections; i++) {
        const vly_detection *d = &o->detections[i];
        vly_str name = vly_label(labels, d->class_id, text);
        printf("  %-16.*s %10.3f  %8.1f %8.1f %8.1f %8.1f", VLY_STR_ARG(name),
               (double)d->confidence, (double)d->bbox[0], (double)d->bbox[1], (double)d->bbox[2],
               (double)d->bbox[3]);
        if (d->n_keypoints > 0)
            printf("  %u keypoints", d->n_keypoints);
        if (d->mask != NULL)
            printf("  mask of %u outlines", d->mask->n_polygons);
        putchar('\n');
    }
}

static void print_table(const char *path, const vly_observations *o, const vly_labels *labels,
                        const vly_vision_times *t)
{
    char text[VLY_LABEL_TEXT_MAX];
    size_t n = o->kind == VLY_TASK_CLASSIFY ? o->n_classes : o->n_detections;

    printf("%s: %ux%u, %zu %s in %.1f ms (decode %.1f, prep %.1f, net %.1f, post %.1f)\n", path,
           o->width, o->height, n,
           o->kind == VLY_TASK_CLASSIFY ? "classes" : (n == 1 ? "detection" : "detections"),
           vly_clock_ms(t->decode + t->prep + t->infer + t->post), vly_clock_ms(t->decode),
           vly_clock_ms(t->prep), vly_clock_ms(t->infer), vly_clock_ms(t->post));
    print_detections(o, labels);
    for (size_t i = 0; i < o->n_classes; i++) {
        vly_str name = vly_label(labels, o->classes[i].class_id, text);
        printf("  %-24.*s %.4f\n", VLY_STR_ARG(name), (double)o->classes[i].confidence);
    }
}

static bool is_png(const char *path)
{
    return vly_str_ends(vly_str_from(path), VLY_STR(".png"));
}

/* draw: a file, or the directory in which the picture keeps its name. */
static vly_status write_drawing(const char *draw, const char *source, vly_picture *picture,
                                const vly_observations *o, const vly_labels *labels, vly_err *err)
{
    char path[4096];
    const char *slash = strrchr(source, '/');
    const char *base = slash != NULL ? slash + 1 : source;
    const char *dot = strrchr(base, '.');
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CLI, OUTPUT_MAX);
    if (vly_dir_exists(draw))
        snprintf(path, sizeof(path), "%s/%.*s.jpg", draw,
                 (int)(dot != NULL && dot > base ? dot - base : (long)strlen(base)), base);
    else
        snprintf(path, sizeof(path), "%s", draw);
    vly_draw_observations(picture, o, labels);
    vly_status st = is_png(path) ? vly_picture_encode_png(picture, &out, err)
                                 : vly_picture_encode_jpeg(picture, 92, &out, err);
    if (st == VLY_OK)
        st = vly_file_write(path, out.ptr, out.len, err);
    vly_buf_release(&out);
    if (st == VLY_OK)
        fprintf(stderr, "wrote %s\n", path);
    return st;
}

static vly_status detect_one(vly_session *s, const detect_opts *opts, const char *path,
                             const vly_detector_options *detector, vly_buf *json, vly_err *err)
{
    const vly_labels *labels = &s->servable->decoder.labels;
    vly_picture picture = {0};
    vly_vision_times times;
    vly_observations seen;
    vly_status st = vly_session_run(s, path, detector, &seen, opts->draw != NULL ? &picture : NULL,
                                    &times, err);

    if (st != VLY_OK)
        return st;
    if (opts->json)
        vly_observations_json(json, &seen, labels, vly_str_from(s->servable->name),
                              vly_str_from(s->servable->version));
    else
        print_table(path, &seen, labels, &times);
    if (opts->draw != NULL)
        st = write_drawing(opts->draw, path, &picture, &seen, labels, err);
    vly_picture_release(&picture);
    return st;
}

/* Every picture is tried; one that fails is told and makes the command fail at the end. */
static int detect_all(vly_session *s, const detect_opts *opts, const vly_detector_options *detector,
                      int n_args, char *const *args)
{
    vly_buf json;
    vly_err err;
    int status = VLY_EXIT_OK;

    vly_buf_init(&json, VLY_MEM_CLI, OUTPUT_MAX);
    if (n_args > 1)
        vly_buf_puts(&json, "{\"results\":[");
    for (int i = 0; i < n_args; i++) {
        if (i > 0)
            vly_buf_putc(&json, ',');
        if (detect_one(s, opts, args[i], detector, &json, &err) == VLY_OK)
            continue;
        status = vly_command_fail(&err);
        vly_buf_puts(&json, "{\"error\":");
        vly_buf_json_str(&json, vly_str_from(err.msg));
        vly_buf_putc(&json, '}');
    }
    if (n_args > 1)
        vly_buf_puts(&json, "]}");
    if (opts->json)
        printf("%.*s\n", VLY_STR_ARG(vly_buf_str(&json)));
    vly_buf_release(&json);
    return status;
}

static int run(const void *opts_, int n_args, char *const *args)
{
    const detect_opts *opts = opts_;
    vly_detector_options detector = VLY_DETECTOR_OPTIONS_INIT;
    int32_t classes[CLASSES_MAX];
    vly_session session = {0};
    vly_err err;
    int status;

    if (opts->model == NULL || (n_args > 1 && opts->draw != NULL && !vly_dir_exists(opts->draw))) {
        fprintf(stderr, opts->model == NULL
                            ? "volley detect: option --model is required; see --help\n"
                            : "volley detect: --draw must name a directory for several pictures\n");
        return VLY_EXIT_USAGE;
    }
    detector.conf_threshold = (float)opts->confidence;
    detector.iou_threshold = (float)opts->iou;
    detector.max_detections = opts->max > 0 && opts->max < UINT32_MAX ? (uint32_t)opts->max : 0;
    detector.classes = classes;
    vly_status st = vly_detector_options_check(&detector, &err);
    if (st == VLY_OK)
        st = vly_session_open(
            &session,
            &(vly_session_options){opts->model, opts->task, opts->precision, opts->threads}, &err);
    if (st == VLY_OK && opts->classes != NULL) {
        st = vly_label_list(&session.servable->decoder.labels, vly_str_from(opts->classes), classes,
                            CLASSES_MAX, &detector.n_classes, &err);
        if (st != VLY_OK)
            vly_fail_in(&err, st, "option --classes");
    }
    if (detector.n_classes == 0)
        detector.classes = NULL;
    status =
        st == VLY_OK ? detect_all(&session, opts, &detector, n_args, args) : vly_command_fail(&err);
    vly_session_close(&session);
    return st == VLY_EUNSUPPORTED ? VLY_EXIT_UNSUPPORTED : status;
}

const vly_command vly_command_detect = {
    .name = "detect",
    .args = "IMAGE...",
    .summary = "find objects, poses, masks or classes in pictures",
    .details =
        "Runs a model on JPEG, PNG or WebP pictures and prints what it sees, boxes in pixels of\n"
        "the upright picture. The task and the class names come from the model's metadata and\n"
        "output shapes: YOLOv5, v8, 11 (detect, pose, segment), YOLOX, FastestDet, UltraFace,\n"
        "YuNet and classifiers are known; --task names one when the file does not tell.\n",
    .examples = "  volley detect bus.jpg --model yolov8n.onnx\n"
                "  volley detect bus.jpg -m yolov8n.onnx --json | jq .detections\n"
                "  volley detect *.jpg -m yolov8n.onnx --classes person,bus --draw out/\n",
    .opts = options,
    .opts_bytes = sizeof(detect_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = VLY_ARGS_ANY,
    .run = run,
};
