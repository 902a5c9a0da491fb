/* SPDX-License-Identifier: MIT */
/*
 * Every detector on a few rows whose answer is computed by hand. A 32 x 32 input has grids of 4 x
 * 4, 2 x 2 and 1 cell (strides 8, 16, 32): 21 rows.
 */
#include "tasks/task_fixture.h"
#include "unit.h"

#include <math.h>

enum { ROWS = 21 };

/* Writes a row of a [.., n_values, ROWS] output. */
static void set_column(task_fixture *f, size_t first, size_t row, size_t n, const float *values)
{
    for (size_t v = 0; v < n; v++)
        *fixture_at(f, 0, first + v * ROWS + row) = values[v];
}

#define ROW(f, row, ...)                                                                           \
    fixture_set(f, 0, (size_t)(row) * (sizeof((float[]){__VA_ARGS__}) / sizeof(float)),            \
                sizeof((float[]){__VA_ARGS__}) / sizeof(float), (float[]){__VA_ARGS__})
#define COLUMN(f, row, ...)                                                                        \
    set_column(f, 0, row, sizeof((float[]){__VA_ARGS__}) / sizeof(float), (float[]){__VA_ARGS__})

/* Two classes. Rows 3 and 4 overlap by 0.6 (8 x 10 boxes, 2 apart), row 9 is the same place as 3 in
 * the other class, row 20 is elsewhere and not confident. */
static void yolov8_outputs(task_fixture *f)
{
    fixture_init(f, 32, 32);
    fixture_output(f, "output0", &VLY_SHAPE(1, 6, ROWS));
    COLUMN(f, 3, 10, 10, 8, 10, 0.8f, 0.1f);
    COLUMN(f, 4, 12, 10, 8, 10, 0.9f, 0.2f);
    COLUMN(f, 9, 10, 10, 8, 10, 0.3f, 0.7f);
    COLUMN(f, 20, 24, 24, 4, 4, 0.2f, 0.25f);
}

static void yolov8_detects(void **state)
{
    task_fixture f;

    (void)state;
    yolov8_outputs(&f);
    fixture_expect_task(&f, "yolov8-detect");
    fixture_expect_count(&f, 2);
    fixture_expect(&f, 0, 0, 0.9, 8, 5, 16, 15);
    fixture_expect(&f, 1, 1, 0.7, 6, 5, 14, 15);
    assert_int_equal(f.seen.kind, VLY_TASK_DETECT);
    assert_int_equal(f.seen.width, 32);
    assert_null(f.seen.detections[0].mask);
    assert_int_equal(f.seen.detections[0].n_keypoints, 0);
    fixture_release(&f);
}

static void options_choose(void **state)
{
    const int32_t second[] = {1};
    task_fixture f;

    (void)state;
    yolov8_outputs(&f);
    fixture_expect_task(&f, "yolov8-detect");
    f.opts.iou_threshold = 0.61f; /* the overlap of 3 and 4 is 0.6 */
    fixture_expect_count(&f, 3);
    fixture_expect(&f, 1, 0, 0.8, 6, 5, 14, 15);
    f.opts.max_detections = 1;
    fixture_expect_count(&f, 1);
    f.opts = (vly_detector_options)VLY_DETECTOR_OPTIONS_INIT;
    f.opts.is_class_agnostic = true;
    fixture_expect_count(&f, 1);
    f.opts = (vly_detector_options)VLY_DETECTOR_OPTIONS_INIT;
    f.opts.classes = second;
    f.opts.n_classes = 1;
    fixture_expect_count(&f, 1);
    fixture_expect(&f, 0, 1, 0.7, 6, 5, 14, 15);
    f.opts.n_classes = 0; /* no class is wanted */
    fixture_expect_count(&f, 0);
    f.opts = (vly_detector_options)VLY_DETECTOR_OPTIONS_INIT;
    f.opts.conf_threshold = 0.24f; /* row 20 is above, 0.25 was not above 0.25 */
    fixture_expect_count(&f, 3);
    fixture_expect(&f, 2, 1, 0.25, 22, 22, 26, 26);
    f.opts.is_multi_label = true;
    f.opts.iou_threshold = 1.0f; /* nothing is suppressed: every class above 0.24 */
    fixture_expect_count(&f, 5);
    fixture_expect(&f, 3, 0, 0.3, 6, 5, 14, 15);
    fixture_release(&f);
}

static void boxes_go_back_to_the_picture(void **state)
{
    task_fixture f;

    (void)state;
    yolov8_outputs(&f);
    fixture_expect_task(&f, "yolov8-detect");
    /* a 128 x 64 picture: halved twice to 32 x 16, 8 rows of padding above and below */
    f.map = vly_letterbox_map_of(128, 64, VLY_FIT_LETTERBOX, 32, 32);
    COLUMN(&f, 20, 16, 28, 4, 6, 0.9f, 0.0f);  /* y 25..31: in the padding */
    COLUMN(&f, 19, 31, 16, 8, 40, 0.6f, 0.0f); /* leaves the picture on three sides */
    fixture_expect_count(&f, 3);
    fixture_expect(&f, 0, 0, 0.9, 32, 0, 64, 28);
    fixture_expect(&f, 1, 1, 0.7, 24, 0, 56, 28);
    fixture_expect(&f, 2, 0, 0.6, 108, 0, 128, 64);
    fixture_release(&f);
}

static void transposed_and_half_outputs_agree(void **state)
{
    task_fixture f, g;

    (void)state;
    yolov8_outputs(&f);
    fixture_init(&g, 32, 32);
    fixture_output(&g, "output0", &VLY_SHAPE(1, ROWS, 6));
    for (size_t v = 0; v < 6; v++)
        for (size_t r = 0; r < ROWS; r++)
            *fixture_at(&g, 0, r * 6 + v) = *fixture_at(&f, 0, v * ROWS + r);
    g.config.n_classes = 2;
    fixture_expect_task(&g, "yolov8-detect");
    fixture_expect_count(&g, 2);
    fixture_expect(&g, 0, 0, 0.9, 8, 5, 16, 15);
    fixture_expect(&g, 1, 1, 0.7, 6, 5, 14, 15);

    vly_tensor half;
    assert_int_equal(vly_tensor_new(VLY_DTYPE_F16, &VLY_SHAPE(1, 6, ROWS), &half, NULL), VLY_OK);
    for (size_t i = 0; i < (size_t)6 * ROWS; i++)
        ((uint16_t *)half.data)[i] = vly_f32_to_f16(*fixture_at(&f, 0, i));
    fixture_expect_task(&f, "yolov8-detect");
    vly_tensor_release(&f.tensors[0]);
    f.tensors[0] = half;
    fixture_expect_count(&f, 2);
    assert_true(fabs((double)f.seen.detections[0].confidence - 0.9) < 1e-3);
    assert_true(f.seen.detections[0].bbox[2] == 16.0f);
    fixture_release(&f);
    fixture_release(&g);
}

static void batches_have_items(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    fixture_output(&f, "output0", &VLY_SHAPE(3, 6, ROWS));
    const float row[6] = {10, 10, 8, 10, 0.8f, 0.1f};
    for (size_t v = 0; v < 6; v++)
        *fixture_at(&f, 0, (6 + v) * ROWS + 5) = row[v];
    fixture_expect_task(&f, "yolov8-detect");
    fixture_expect_count(&f, 0);
    f.item = 1;
    fixture_expect_count(&f, 1);
    f.item = 3;
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    assert_string_equal(f.err.msg, "task 'yolov8-detect': output 0: expected picture 3 of a batch, "
                                   "got shape [3,6,21]");
    fixture_release(&f);
}

static void poses_have_keypoints(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    fixture_output(&f, "output0", &VLY_SHAPE(1, 11, ROWS));
    fixture_property(&f, "task", "pose");
    fixture_property(&f, "kpt_shape", "[2, 3]");
    fixture_property(&f, "names", "{0: 'person'}");
    COLUMN(&f, 7, 10, 10, 8, 10, 0.8f, 9, 8, 0.5f, 40, 12, 1.5f);
    fixture_expect_task(&f, "yolov8-pose");
    f.map = vly_letterbox_map_of(64, 64, VLY_FIT_LETTERBOX, 32, 32);
    fixture_expect_count(&f, 1);
    const vly_detection *d = &f.seen.detections[0];
    assert_int_equal(d->n_keypoints, 2);
    assert_true(d->keypoints[0].x == 18.0f && d->keypoints[0].y == 16.0f);
    assert_true(d->keypoints[0].conf == 0.5f);
    assert_true(d->keypoints[1].x == 80.0f); /* points may lie outside, a box may not */
    assert_true(d->keypoints[1].conf == 1.0f);
    *fixture_at(&f, 0, 5 * ROWS + 7) = NAN;
    fixture_expect_count(&f, 1);
    d = &f.seen.detections[0];
    assert_true(d->keypoints[0].x == 0.0f && d->keypoints[0].conf == 0.0f);
    fixture_release(&f);
}

static void keypoints_without_confidence(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    fixture_output(&f, "output0", &VLY_SHAPE(1, 7, ROWS));
    fixture_property(&f, "task", "pose");
    fixture_property(&f, "kpt_shape", "[1, 2]");
    fixture_property(&f, "names", "['ball']");
    COLUMN(&f, 0, 10, 10, 8, 10, 0.8f, 9, 8);
    fixture_expect_task(&f, "yolov8-pose");
    fixture_expect_count(&f, 1);
    assert_true(f.seen.detections[0].keypoints[0].conf == 1.0f);
    fixture_release(&f);
}

static void yolov5_multiplies_objectness(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    fixture_output(&f, "output", &VLY_SHAPE(1, (int64_t)3 * ROWS, 7));
    ROW(&f, 2, 10, 10, 8, 10, 0.5f, 0.2f, 0.8f);  /* 0.4, class 1 */
    ROW(&f, 50, 20, 10, 8, 10, 0.5f, 0.4f, 0.3f); /* 0.2 */
    fixture_expect_task(&f, "yolov5-detect");
    fixture_expect_count(&f, 1);
    fixture_expect(&f, 0, 1, 0.4, 6, 5, 14, 15);
    fixture_release(&f);
}

static void end2end_is_not_suppressed_again(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    fixture_output(&f, "output0", &VLY_SHAPE(1, 5, 6));
    ROW(&f, 0, 2, 2, 10, 10, 0.8f, 7);
    ROW(&f, 1, 2, 2, 10, 10, 0.9f, 7); /* the same place and class */
    ROW(&f, 2, 1, 1, 4, 4, 0.7f, -1);  /* no such class */
    ROW(&f, 3, 1, 1, 4, 4, 0.7f, NAN);
    fixture_expect_task(&f, "end2end-detect");
    fixture_expect_count(&f, 2);
    fixture_expect(&f, 0, 7, 0.9, 2, 2, 10, 10);
    fixture_expect(&f, 1, 7, 0.8, 2, 2, 10, 10);
    f.opts.max_detections = 1;
    fixture_expect_count(&f, 1);
    fixture_release(&f);
}

static void yolox_decodes_its_grids(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    fixture_output(&f, "output", &VLY_SHAPE(1, ROWS, 7));
    /* row 6: column 2, row 1 of stride 8; centre (2.5 * 8, 1.25 * 8), size 8 x 8 * e^0.5 */
    ROW(&f, 6, 0.5f, 0.25f, 0, 0.5f, 0.9f, 0.9f, 0.1f);
    /* row 18: column 0, row 1 of stride 16; centre (8, 24), size 16 e^-1 x 16 */
    ROW(&f, 18, 0.5f, 0.5f, -1, 0, 0.8f, 0.1f, 0.5f);
    /* row 20: the cell of stride 32 */
    ROW(&f, 20, 0.5f, 0.5f, -2, -2, 0.6f, 0.0f, 0.5f);
    fixture_expect_task(&f, "yolox");
    assert_true(f.decoder.prep.is_bgr && !f.decoder.prep.unit);
    fixture_expect_count(&f, 3);
    fixture_expect(&f, 0, 0, 0.81, 16, 10 - 4 * 1.6487213, 24, 10 + 4 * 1.6487213);
    fixture_expect(&f, 1, 1, 0.4, 8 - 8 * 0.36787944, 16, 8 + 8 * 0.36787944, 32);
    fixture_expect(&f, 2, 1, 0.3, 16 - 16 * 0.13533528, 16 - 16 * 0.13533528, 16 + 16 * 0.13533528,
                   16 + 16 * 0.13533528);
    f.config.task = VLY_STR("yolox-decoded");
    ROW(&f, 6, 10, 10, 8, 10, 0.9f, 0.9f, 0.1f);
    fixture_expect_task(&f, "yolox-decoded");
    fixture_expect_count(&f, 1); /* the others are a pixel wide at the corner: half outside */
    fixture_expect(&f, 0, 0, 0.81, 6, 5, 14, 15);
    fixture_release(&f);
}

static void fastestdet_decodes_its_map(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    fixture_output(&f, "758", &VLY_SHAPE(1, 7, 2, 2));
    /* cell 1: column 1, row 0. tanh(0) = 0, sigmoid(0) = 1/2: centre (16, 0), 16 x 16 */
    const float cell[7] = {0.5f, 0, 0, 0, 0, 0.1f, 0.9f};
    for (size_t v = 0; v < 7; v++)
        *fixture_at(&f, 0, v * 4 + 1) = cell[v];
    fixture_expect_task(&f, "fastestdet");
    assert_int_equal(f.decoder.prep.fit, VLY_FIT_STRETCH);
    fixture_expect_count(&f, 1);
    fixture_expect(&f, 0, 1, pow(0.5, 0.6) * pow(0.9, 0.4), 8, 0, 24, 8);
    fixture_release(&f);

    fixture_init(&f, 32, 32);
    fixture_output(&f, "output", &VLY_SHAPE(1, 4, 7));
    ROW(&f, 3, 10, 10, 8, 10, 0.5f, 0.1f, 0.9f);
    fixture_expect_task(&f, "fastestdet-decoded");
    fixture_expect_count(&f, 1);
    fixture_expect(&f, 0, 1, pow(0.5, 0.6) * pow(0.9, 0.4), 6, 5, 14, 15);
    fixture_release(&f);
}

static void ultraface_has_fractions(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 16);
    fixture_output(&f, "boxes", &VLY_SHAPE(1, 3, 4)); /* the order of outputs does not matter */
    fixture_output(&f, "scores", &VLY_SHAPE(1, 3, 2));
    ROW(&f, 1, 0.25f, 0.25f, 0.5f, 0.75f);
    fixture_set(&f, 1, 2, 2, (const float[]){0.1f, 0.9f});
    fixture_expect_task(&f, "ultraface");
    fixture_expect_count(&f, 1);
    fixture_expect(&f, 0, 0, 0.9, 8, 4, 16, 12);
    fixture_release(&f);

    fixture_init(&f, 32, 16);
    fixture_output(&f, "scores", &VLY_SHAPE(1, 2, 2));
    fixture_output(&f, "boxes", &VLY_SHAPE(1, 3, 4));
    fixture_expect_task(&f, "ultraface");
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    fixture_release(&f);
}

static void yunet_reads_three_levels(void **state)
{
    static const char *const names[12] = {"cls_8",   "cls_16", "cls_32", "obj_8",
                                          "obj_16",  "obj_32", "bbox_8", "bbox_16",
                                          "bbox_32", "kps_8",  "kps_16", "kps_32"};
    static const int64_t values[4] = {1, 1, 4, 10};
    static const int64_t cells[3] = {16, 4, 1};
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    for (int i = 0; i < 12; i++)
        fixture_output(&f, names[i], &VLY_SHAPE(1, cells[i % 3], values[i / 3]));
    /* stride 16, cell 3 (column 1, row 1): centre (1.5, 1.25) * 16, size 16 x 16 e^-1 */
    *fixture_at(&f, 1, 3) = 0.5f;
    *fixture_at(&f, 4, 3) = 1.28f; /* cut to 1 */
    fixture_set(&f, 7, 12, 4, (const float[]){0.5f, 0.25f, 0, -1});
    fixture_set(&f, 10, 30, 4, (const float[]){0.25f, 0.5f, -0.5f, 0});
    fixture_expect_task(&f, "yunet");
    fixture_expect_count(&f, 1);
    const double half = 8 * 0.36787944;
    fixture_expect(&f, 0, 0, 0.70710678, 16, 20 - half, 32, 20 + half);
    const vly_detection *d = &f.seen.detections[0];
    assert_int_equal(d->n_keypoints, 5);
    assert_true(d->keypoints[0].x == 20.0f && d->keypoints[0].y == 24.0f);
    assert_true(d->keypoints[1].x == 8.0f && d->keypoints[1].y == 16.0f);
    assert_true(d->keypoints[4].conf == 1.0f);
    fixture_release(&f);
}

static void classes_by_softmax(void **state)
{
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    fixture_output(&f, "logits", &VLY_SHAPE(1, 4));
    ROW(&f, 0, 1.0f, 3.0f, 1.0f, -INFINITY);
    fixture_expect_task(&f, "classify");
    f.opts.max_classes = 3;
    assert_int_equal(fixture_decode(&f), VLY_OK);
    assert_int_equal(f.seen.n_classes, 3);
    assert_int_equal(f.seen.classes[0].class_id, 1);
    /* e^0 / (e^0 + 2 e^-2) */
    assert_true(fabs((double)f.seen.classes[0].confidence - 0.78698604) < 1e-6);
    assert_int_equal(f.seen.classes[1].class_id, 0);
    assert_int_equal(f.seen.classes[2].class_id, 2);
    ROW(&f, 0, 0.125f, 0.25f, 0.5f, 0.125f); /* already a distribution */
    assert_int_equal(fixture_decode(&f), VLY_OK);
    assert_int_equal(f.seen.classes[0].class_id, 2);
    assert_true(f.seen.classes[0].confidence == 0.5f);
    ROW(&f, 0, NAN, NAN, NAN, NAN);
    assert_int_equal(fixture_decode(&f), VLY_OK);
    assert_true(f.seen.classes[0].confidence == 0.0f);
    fixture_release(&f);
}

static void wrong_outputs_are_refused(void **state)
{
    task_fixture f;

    (void)state;
    yolov8_outputs(&f);
    fixture_expect_task(&f, "yolov8-detect");
    vly_tensor t = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1, 5, ROWS), f.tensors[0].data);
    vly_tensor good = f.tensors[0];
    f.tensors[0] = t;
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    assert_string_equal(f.err.msg, "task 'yolov8-detect': output 0: expected rows of 6 values, got "
                                   "shape [1,5,21]");
    f.tensors[0] = vly_tensor_borrow(VLY_DTYPE_BOOL, &VLY_SHAPE(1, 6, ROWS), good.data);
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    f.tensors[0] = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1), good.data);
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    f.tensors[0] = good;
    f.info.n_outputs = 0;
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    f.info.n_outputs = 1;
    f.config.task = VLY_STR("tensor");
    fixture_expect_task(&f, "tensor");
    assert_int_equal(fixture_decode(&f), VLY_EUNSUPPORTED);
    fixture_release(&f);
}

static void a_small_arena_is_a_limit(void **state)
{
    task_fixture f;

    (void)state;
    yolov8_outputs(&f);
    fixture_expect_task(&f, "yolov8-detect");
    vly_arena_release(&f.arena);
    for (size_t budget = 0; budget < 2048; budget += 64) {
        vly_arena_init(&f.arena, VLY_MEM_BASE, 64, budget);
        vly_status st = fixture_decode(&f);
        assert_true(st == VLY_ELIMIT || (st == VLY_OK && f.seen.n_detections == 2));
        vly_arena_release(&f.arena);
    }
    fixture_release(&f);
}

static void options_have_ranges(void **state)
{
    vly_detector_options o = VLY_DETECTOR_OPTIONS_INIT;
    vly_err err;

    (void)state;
    assert_int_equal(vly_detector_options_check(&o, &err), VLY_OK);
    o.conf_threshold = 1.5f;
    assert_int_equal(vly_detector_options_check(&o, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "option 'conf_threshold': expected 0..1, got 1.5");
    o = (vly_detector_options)VLY_DETECTOR_OPTIONS_INIT;
    o.iou_threshold = NAN;
    assert_int_equal(vly_detector_options_check(&o, &err), VLY_EINVAL);
    o = (vly_detector_options)VLY_DETECTOR_OPTIONS_INIT;
    o.max_detections = 30001;
    assert_int_equal(vly_detector_options_check(&o, &err), VLY_EINVAL);
    o.max_detections = 0;
    assert_int_equal(vly_detector_options_check(&o, &err), VLY_EINVAL);
    o = (vly_detector_options)VLY_DETECTOR_OPTIONS_INIT;
    o.max_classes = 0;
    assert_int_equal(vly_detector_options_check(&o, &err), VLY_EINVAL);
}

UNIT_TESTS(cmocka_unit_test(yolov8_detects), cmocka_unit_test(options_choose),
           cmocka_unit_test(boxes_go_back_to_the_picture),
           cmocka_unit_test(transposed_and_half_outputs_agree),
           cmocka_unit_test(batches_have_items), cmocka_unit_test(poses_have_keypoints),
           cmocka_unit_test(keypoints_without_confidence),
           cmocka_unit_test(yolov5_multiplies_objectness),
           cmocka_unit_test(end2end_is_not_suppressed_again),
           cmocka_unit_test(yolox_decodes_its_grids), cmocka_unit_test(fastestdet_decodes_its_map),
           cmocka_unit_test(ultraface_has_fractions), cmocka_unit_test(yunet_reads_three_levels),
           cmocka_unit_test(classes_by_softmax), cmocka_unit_test(wrong_outputs_are_refused),
           cmocka_unit_test(a_small_arena_is_a_limit), cmocka_unit_test(options_have_ranges))
