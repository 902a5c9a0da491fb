/* SPDX-License-Identifier: MIT */
/* Which task a model gets: the descriptions of exports as they are in the world. */
#include "tasks/task_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

typedef struct model_case {
    const char *task;
    int64_t size; /* of the square input; -1: free */
    vly_shape outputs[2];
    const char *properties[6]; /* key, value, ... */
} model_case;

#define ULTRALYTICS(task) "task", task, "imgsz", "[640, 640]"

static const model_case cases[] = {
    {"yolov8-detect", 640, {{3, {1, 84, 8400}}}, {NULL}},
    {"yolov8-detect", 640, {{3, {-1, 84, 8400}}}, {NULL}},
    {"yolov8-detect", 640, {{3, {1, 8400, 84}}}, {NULL}}, /* transposed */
    {"yolov8-detect", 320, {{3, {1, 6, 2100}}}, {"names", "{0: 'a', 1: 'b'}"}},
    {"yolov8-detect", -1, {{3, {-1, 84, -1}}}, {ULTRALYTICS("detect"), "names", NULL}},
    {"yolov8-detect", 1280, {{3, {1, 84, 34000}}}, {NULL}}, /* P6: four grids */
    {"yolov8-pose", 640, {{3, {1, 56, 8400}}}, {NULL}},
    {"yolov8-pose",
     640,
     {{3, {1, 13, 8400}}},
     {"task", "pose", "kpt_shape", "[4, 2]", "names", "{0: 'corner'}"}},
    {"yolov8-segment", 640, {{3, {1, 116, 8400}}, {4, {1, 32, 160, 160}}}, {NULL}},
    {"yolov5-detect", 640, {{3, {1, 25200, 85}}}, {NULL}},
    {"yolov5-detect", 640, {{3, {1, 25200, 85}}}, {"names", NULL}},
    {"yolov5-segment", 640, {{3, {1, 25200, 117}}, {4, {1, 32, 160, 160}}}, {NULL}},
    {"end2end-detect", 640, {{3, {1, 300, 6}}}, {NULL}},
    {"end2end-detect",
     640,
     {{3, {1, 300, 6}}},
     {"end2end", "True", "task", "detect", "names", "{0: 'a', 1: 'b'}"}},
    {"end2end-pose", 640, {{3, {1, 300, 57}}}, {"end2end", "True", "task", "pose"}},
    {"end2end-segment",
     640,
     {{3, {1, 300, 38}}, {4, {1, 32, 160, 160}}},
     {"args", "{'nms': True}", "task", "segment"}},
    {"yolox", 416, {{3, {1, 3549, 85}}}, {NULL}},
    {"yolox", 640, {{3, {1, 8400, 6}}}, {NULL}},
    {"fastestdet", 352, {{4, {1, 85, 22, 22}}}, {NULL}},
    {"fastestdet-decoded", 352, {{3, {1, 484, 85}}}, {NULL}},
    {"classify", 224, {{2, {1, 1000}}}, {NULL}},
    {"classify", 224, {{4, {1, 1000, 1, 1}}}, {NULL}},
    {"tensor", 224, {{4, {1, 3, 672, 672}}}, {NULL}}, /* super resolution */
    {"tensor", 640, {{3, {1, 20, 8400}}}, {"task", "obb", "names", "{0: 'a', 1: 'b'}"}},
    {"tensor", 640, {{3, {1, 12, 12}}}, {NULL}},
};

/* Eighty names for the cases that have "names" without a value. */
static const char *coco_names(char text[4096])
{
    size_t len = (size_t)snprintf(text, 4096, "{");

    for (int i = 0; i < 80; i++)
        len += (size_t)snprintf(text + len, 4096 - len, "%d: 'name %d', ", i, i);
    snprintf(text + len, 4096 - len, "}");
    return text;
}

static void expect_case(const model_case *c)
{
    char names[4096];
    task_fixture f;

    fixture_init(&f, c->size, c->size);
    for (int i = 0; i < 2 && c->outputs[i].rank > 0; i++) {
        f.outputs[f.info.n_outputs++] = (vly_model_io){
            .name = "output", .dtype = VLY_DTYPE_F32, .shape = c->outputs[i], .has_shape = true};
    }
    for (int i = 0; i < 6 && c->properties[i] != NULL; i += 2)
        fixture_property(&f, c->properties[i],
                         c->properties[i + 1] != NULL ? c->properties[i + 1] : coco_names(names));
    fixture_expect_task(&f, c->task);
    fixture_release(&f);
}

static void finds_the_task(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("# case %zu: %s\n", i, cases[i].task);
        expect_case(&cases[i]);
    }
}

static void finds_tasks_by_name_of_output(void **state)
{
    static const char *const parts[] = {"cls", "obj", "bbox", "kps"};
    static const int64_t values[] = {1, 1, 4, 10};
    static char names[12][16];
    task_fixture f;

    (void)state;
    fixture_init(&f, -1, -1); /* yunet_n_dynamic */
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof(names[i]), "%s_%d", parts[i / 3], 8 << i % 3);
        fixture_output(&f, names[i], &VLY_SHAPE(-1, -1, values[i / 3]));
    }
    fixture_expect_task(&f, "yunet");
    assert_int_equal(f.decoder.kind, VLY_TASK_POSE);
    assert_int_equal(f.decoder.input_width, 640);
    assert_int_equal(f.decoder.prep.fit, VLY_FIT_TOP_LEFT);
    assert_true(f.decoder.prep.is_bgr && !f.decoder.prep.unit);
    assert_true(vly_str_is(f.decoder.labels.names[0], "face"));
    fixture_release(&f);

    fixture_init(&f, 320, 240);
    fixture_output(&f, "scores", &VLY_SHAPE(1, 4420, 2));
    fixture_output(&f, "boxes", &VLY_SHAPE(1, 4420, 4));
    fixture_expect_task(&f, "ultraface");
    assert_int_equal(f.decoder.input_height, 240);
    assert_true(f.decoder.prep.mean[2] == 127.0f && f.decoder.prep.std[2] == 128.0f);
    fixture_release(&f);
}

static void takes_sizes_from_where_they_are(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, -1, -1);
    fixture_output(&f, "output0", &VLY_SHAPE(1, 84, -1));
    fixture_property(&f, "imgsz", "[320, 416]"); /* height, width */
    fixture_expect_task(&f, "tensor");           /* rows unknown, nothing says detect */
    assert_int_equal(f.decoder.input_width, 416);
    assert_int_equal(f.decoder.input_height, 320);
    f.config.input_width = f.config.input_height = 256;
    fixture_expect_task(&f, "tensor");
    assert_int_equal(f.decoder.input_width, 256);
    f.input.shape.dim[3] = 640; /* the model itself comes first */
    fixture_expect_task(&f, "tensor");
    assert_int_equal(f.decoder.input_width, 640);
    assert_int_equal(f.decoder.input_height, 256);
    fixture_release(&f);
}

static void labels_come_from_the_best_source(void **state)
{
    static const vly_str mine[] = {{"mine", 4}};
    const vly_labels labels = {mine, 1};
    task_fixture f;

    (void)state;
    fixture_init(&f, 640, 640);
    fixture_output(&f, "output0", &VLY_SHAPE(1, 84, 8400));
    fixture_expect_task(&f, "yolov8-detect");
    assert_ptr_equal(f.decoder.labels.names, vly_labels_coco.names);
    f.outputs[0].shape.dim[1] = 5;
    fixture_property(&f, "names", "{0: 'ball'}");
    fixture_expect_task(&f, "yolov8-detect");
    assert_true(vly_str_is(f.decoder.labels.names[0], "ball"));
    f.config.labels = &labels;
    fixture_expect_task(&f, "yolov8-detect");
    assert_true(vly_str_is(f.decoder.labels.names[0], "mine"));
    fixture_release(&f);
}

static void configuration_names_the_task(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 416, 416);
    fixture_output(&f, "output", &VLY_SHAPE(1, 3549, 85));
    f.config.task = VLY_STR("yolox-decoded");
    fixture_expect_task(&f, "yolox-decoded");
    f.config.task = VLY_STR("tensor");
    fixture_expect_task(&f, "tensor");
    f.config.task = VLY_STR("yunet");
    assert_int_equal(vly_decoder_init(&f.decoder, &f.info, &f.config, &f.model_arena, &f.err),
                     VLY_EINVAL);
    assert_string_equal(f.err.msg, "task 'yunet': does not fit the model's outputs");
    f.config.task = VLY_STR("yolov99");
    assert_int_equal(vly_decoder_init(&f.decoder, &f.info, &f.config, &f.model_arena, &f.err),
                     VLY_EINVAL);
    assert_string_equal(f.err.msg, "task 'yolov99': unknown");
    fixture_release(&f);
}

static void models_without_a_picture_are_tensors(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 640, 640);
    f.input.shape = VLY_SHAPE(-1, 6); /* a step detector */
    fixture_output(&f, "y", &VLY_SHAPE(1, 3));
    fixture_expect_task(&f, "tensor");
    assert_int_equal(f.decoder.input_channels, 0);
    f.config.task = VLY_STR("classify");
    assert_int_equal(vly_decoder_init(&f.decoder, &f.info, &f.config, &f.model_arena, &f.err),
                     VLY_EINVAL);
    assert_string_equal(f.err.msg, "task 'classify': the model has no picture input");
    f.config.task = (vly_str){NULL, 0};
    f.input.shape = VLY_SHAPE(1, 28, 28, 1); /* channels last */
    fixture_expect_task(&f, "tensor");
    f.input.shape = VLY_SHAPE(1, 1, 28, 28);
    fixture_expect_task(&f, "classify");
    assert_int_equal(f.decoder.input_channels, 1);
    assert_false(f.decoder.prep.unit);
    fixture_release(&f);
}

static void unreadable_names_are_absent(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 640, 640);
    fixture_output(&f, "output0", &VLY_SHAPE(1, 84, 8400));
    f.outputs[0].shape.dim[1] = 7;
    fixture_property(&f, "names", "{0: person}");
    fixture_expect_task(&f, "yolov8-detect");
    assert_int_equal(f.decoder.labels.count, 0);
    assert_int_equal(f.decoder.params.n_classes, 3);
    vly_arena_release(&f.model_arena);
    vly_arena_init(&f.model_arena, VLY_MEM_BASE, 64, 64);
    f.properties[0].value = VLY_STR("['a', 'b', 'c']");
    assert_int_equal(vly_decoder_init(&f.decoder, &f.info, NULL, &f.model_arena, &f.err),
                     VLY_ENOMEM);
    fixture_release(&f);
}

static void task_names_end(void **state)
{
    size_t n = 0;

    (void)state;
    while (vly_task_name(n) != NULL)
        n++;
    assert_int_equal(n, 16);
    assert_string_equal(vly_task_name(n - 1), "tensor");
    assert_string_equal(vly_task_kind_name(VLY_TASK_SEGMENT), "segment");
}

UNIT_TESTS(cmocka_unit_test(finds_the_task), cmocka_unit_test(finds_tasks_by_name_of_output),
           cmocka_unit_test(takes_sizes_from_where_they_are),
           cmocka_unit_test(labels_come_from_the_best_source),
           cmocka_unit_test(configuration_names_the_task),
           cmocka_unit_test(models_without_a_picture_are_tensors),
           cmocka_unit_test(unreadable_names_are_absent), cmocka_unit_test(task_names_end))
