/* SPDX-License-Identifier: MIT */
/*
 * Real models: which task each gets, and what small ones see in a photo. The expected boxes come
 * from ONNX Runtime 1.31's outputs for the same photo (scaled by Pillow) through decoders in numpy;
 * Pillow scales a little differently, so boxes must overlap by 0.8.
 */
#include "codec/picture.h"
#include "dsp/nms.h"
#include "sys/file.h"
#include "tasks/task.h"
#include "unit.h"

#include <stdio.h>

typedef struct expected_box {
    int32_t class_id;
    float bbox[4];
} expected_box;

typedef struct model_case {
    const char *file;
    const char *task;
    expected_box boxes[5]; /* above 0.6 on bus.jpg; none: the model is not run */
} model_case;

enum { PERSON = 0, BUS = 5, SKATEBOARD = 36 };

static const model_case cases[] = {
    {"yolov8n.onnx", "yolov8-detect", {{0}}},
    {"yolov8n_dyn.onnx", "yolov8-detect", {{0}}},
    {"yolov8n-seg_int8_320.onnx", "yolov8-segment", {{0}}},
    {"yolo11n-pose_qdq_640.onnx", "yolov8-pose", {{0}}},
    {"light/light_squeezenet.onnx", "classify", {{0}}},
    {"mnist_8/model.onnx", "classify", {{0}}},
    {"super_resolution_10/model.onnx", "tensor", {{0}}},
    {"step_detection.onnx", "tensor", {{0}}},
    {"yunet_n_dynamic.onnx", "yunet", {{0}}},
    {"yunet_n_640.onnx", "yunet", {{0, {113, 416, 155, 470}}, {0, {269, 422, 306, 475}}}},
    {"ultraface_RFB_320.onnx", "ultraface", {{0, {111, 409, 153, 466}}, {0, {268, 417, 304, 485}}}},
    {"yolox_nano_416.onnx",
     "yolox",
     {{BUS, {8, 230, 806, 734}},
      {PERSON, {56, 388, 211, 900}},
      {PERSON, {218, 404, 350, 855}},
      {PERSON, {682, 447, 810, 876}}}},
    {"FastestDet_352.onnx",
     "fastestdet",
     {{PERSON, {45, 381, 216, 900}},
      {PERSON, {217, 406, 336, 871}},
      {BUS, {22, 176, 810, 793}},
      {PERSON, {0, 575, 63, 844}},
      {SKATEBOARD, {35, 856, 254, 919}}}},
    {"FastestDet_352_decoded.onnx",
     "fastestdet-decoded",
     {{PERSON, {45, 381, 216, 900}},
      {PERSON, {217, 406, 336, 871}},
      {BUS, {22, 176, 810, 793}},
      {PERSON, {0, 575, 63, 844}},
      {SKATEBOARD, {35, 856, 254, 919}}}},
};

/* One model at work. */
typedef struct run {
    vly_model *model;
    vly_instance *instance;
    vly_decoder decoder;
    vly_arena arena;
    vly_tensor input;
    vly_tensor outputs[VLY_TASK_OUTPUTS_MAX];
    size_t n_outputs;
    vly_observations seen;
    vly_err err;
} run;

static void ok(vly_status st, const run *r)
{
    if (st != VLY_OK)
        fail_msg("%s", r->err.msg);
}

static void run_open(run *r, const char *path)
{
    *r = (run){0};
    vly_arena_init(&r->arena, VLY_MEM_BASE, 65536, (size_t)256 << 20);
    ok(vly_model_load(path, NULL, &r->model, &r->err), r);
    ok(vly_decoder_init(&r->decoder, vly_model_describe(r->model), NULL, &r->arena, &r->err), r);
}

static void run_close(run *r)
{
    for (size_t i = 0; i < r->n_outputs; i++)
        vly_tensor_release(&r->outputs[i]);
    vly_tensor_release(&r->input);
    vly_instance_free(r->instance);
    vly_model_unref(r->model);
    vly_arena_release(&r->arena);
}

static void run_picture(run *r, const vly_picture *picture)
{
    const vly_decoder *d = &r->decoder;
    const vly_detector_options opts = VLY_DETECTOR_OPTIONS_INIT;
    vly_letterbox_map map;
    vly_letterbox lb;

    vly_letterbox_init(&lb);
    ok(vly_tensor_new(VLY_DTYPE_F32, &VLY_SHAPE(1, 3, d->input_height, d->input_width), &r->input,
                      &r->err),
       r);
    ok(vly_letterbox_run(&lb, picture, &d->prep, d->input_width, d->input_height, r->input.data,
                         &map, &r->err),
       r);
    vly_letterbox_release(&lb);
    ok(vly_instance_new(r->model, NULL, &r->instance, &r->err), r);
    ok(vly_instance_run(r->instance, &r->input, r->outputs, &r->err), r);
    r->n_outputs = vly_model_describe(r->model)->n_outputs;
    const vly_decode_args args = {.outputs = r->outputs,
                                  .n_outputs = r->n_outputs,
                                  .map = &map,
                                  .opts = &opts,
                                  .arena = &r->arena};
    ok(vly_decoder_run(d, &args, &r->seen, &r->err), r);
}

static bool is_seen(const vly_observations *o, const expected_box *e)
{
    for (size_t i = 0; i < o->n_detections; i++)
        if (o->detections[i].class_id == e->class_id &&
            vly_box_iou(o->detections[i].bbox, e->bbox) > 0.8f)
            return true;
    return false;
}

static bool is_expected(const vly_detection *d, const model_case *c)
{
    for (size_t i = 0; i < 5; i++)
        if (d->class_id == c->boxes[i].class_id && vly_box_iou(d->bbox, c->boxes[i].bbox) > 0.8f)
            return true;
    return false;
}

static void check_boxes(const vly_observations *o, const model_case *c)
{
    for (size_t i = 0; i < 5 && c->boxes[i].bbox[2] > 0.0f; i++)
        if (!is_seen(o, &c->boxes[i]))
            fail_msg("%s: no class %d at %g %g", c->file, c->boxes[i].class_id,
                     (double)c->boxes[i].bbox[0], (double)c->boxes[i].bbox[1]);
    for (size_t i = 0; i < o->n_detections; i++)
        if (o->detections[i].confidence > 0.7f && !is_expected(&o->detections[i], c))
            fail_msg("%s: unexpected class %d at %g %g", c->file, o->detections[i].class_id,
                     (double)o->detections[i].bbox[0], (double)o->detections[i].bbox[1]);
}

static void each_model_gets_its_task(void **state)
{
    (void)state;
    (void)unit_shared("models");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[256];
        run r;
        snprintf(path, sizeof(path), "models/%s", cases[i].file);
        run_open(&r, unit_shared(path));
        assert_string_equal(r.decoder.name, cases[i].task);
        run_close(&r);
    }
}

static void small_models_see_the_bus(void **state)
{
    const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;
    vly_picture picture;
    vly_buf file;

    (void)state;
    vly_buf_init(&file, VLY_MEM_BASE, (size_t)4 << 20);
    assert_int_equal(
        vly_file_read(unit_shared("data/images/classic/bus.jpg"), file.max_bytes, &file, NULL),
        VLY_OK);
    assert_int_equal(vly_picture_decode(file.ptr, file.len, &limits, &picture, NULL), VLY_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[256];
        run r;
        if (cases[i].boxes[0].bbox[2] == 0.0f)
            continue;
        snprintf(path, sizeof(path), "models/%s", cases[i].file);
        run_open(&r, unit_shared(path));
        run_picture(&r, &picture);
        check_boxes(&r.seen, &cases[i]);
        run_close(&r);
    }
    vly_picture_release(&picture);
    vly_buf_release(&file);
}

UNIT_TESTS(cmocka_unit_test(each_model_gets_its_task), cmocka_unit_test(small_models_see_the_bus))
