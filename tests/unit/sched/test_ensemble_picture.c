/* SPDX-License-Identifier: MIT */
/*
 * Ensembles that look at pictures: two detectors, which see what their files say, fused by a
 * built-in step; as a picture job and as tensors.
 */
#include "base/assert.h"
#include "codec/picture.h"
#include "sched/scheduler.h"
#include "sched/step.h"
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum { SIZE = 32, CELLS = 16 + 4 + 1, ROWS = 4 + 2 };

static char dir[TEMP_DIR_PATH_MAX];
static vly_scheduler *s;
static vly_buf png; /* 64 x 64: twice the size of the models' input */
static vly_err err;

static void path_of(const char *name, char path[TEMP_DIR_PATH_MAX + 64])
{
    snprintf(path, TEMP_DIR_PATH_MAX + 64, "%s/%s", dir, name);
}

static vly_served *offer(const vly_servable_spec *spec)
{
    vly_served *m;

    assert_int_equal(vly_scheduler_load(s, spec, &m, &err), VLY_OK);
    assert_int_equal(vly_scheduler_publish(s, m, &err), VLY_OK);
    vly_served_unref(m);
    if (m->error != NULL)
        print_message("%s\n", m->error);
    assert_null(m->error);
    return m;
}

/* A detector in the form of YOLOv8 of two classes that sees one box of class 1, centred at (cx,
 * 16), 8 x 8, on every picture. */
static void add_detector(const char *name, float cx, float score)
{
    static float rows[ROWS][CELLS];
    static const float zeros[3];
    char path[TEMP_DIR_PATH_MAX + 64];
    onnx_builder b;

    memset(rows, 0, sizeof(rows));
    rows[0][5] = cx;
    rows[1][5] = 16;
    rows[2][5] = rows[3][5] = 8;
    rows[5][5] = score;
    ob_init(&b);
    ob_input(&b, "images", OB_FLOAT, 4, (int64_t[]){1, 3, SIZE, SIZE});
    ob_output(&b, "output0", OB_FLOAT, 3, (int64_t[]){1, ROWS, CELLS});
    ob_floats(&b, "rows", 3, (int64_t[]){1, ROWS, CELLS}, rows[0]);
    ob_floats(&b, "zeros", 2, (int64_t[]){3, 1}, zeros);
    ob_node(&b, "GlobalAveragePool", "images", "mean");
    ob_node(&b, "Flatten", "mean", "flat");
    ob_node(&b, "MatMul", "flat,zeros", "nothing");
    ob_node(&b, "Add", "rows,nothing", "output0");
    ob_prop(&b, "task", "detect");
    ob_prop(&b, "names", "{0: 'cat', 1: 'dog'}");
    vly_str file = ob_finish(&b, 17);
    path_of(name, path);
    assert_int_equal(vly_file_write(path, file.ptr, file.len, &err), VLY_OK);
    ob_release(&b);
    offer(&(vly_servable_spec){
        .path = path, .name = name, .version = "1", .options = VLY_MODEL_OPTIONS_DEFAULT});
}

static vly_served *add_config(const char *name, const char *config)
{
    char path[TEMP_DIR_PATH_MAX + 64];

    path_of("config.pbtxt", path);
    assert_int_equal(vly_file_write(path, config, strlen(config), &err), VLY_OK);
    return offer(&(vly_servable_spec){
        .name = name, .version = "1", .config_path = path, .options = VLY_MODEL_OPTIONS_DEFAULT});
}

#define PARTS(i)                                                                                   \
    "output_map [{ key: 'boxes' value: 'b" i "' }, { key: 'scores' value: 's" i "' }, "            \
    "{ key: 'labels' value: 'l" i "' }] "
#define FUSED(i)                                                                                   \
    "input_map [{ key: 'boxes_" i "' value: 'b" i "' }, { key: 'scores_" i "' value: 's" i "' }, " \
    "{ key: 'labels_" i "' value: 'l" i "' }] "
static const char both[] =
    "platform: 'ensemble' input { name: 'photo' data_type: TYPE_STRING dims: [1] } "
    "output [{ name: 'boxes' data_type: TYPE_FP32 dims: [-1, 4] }, "
    "{ name: 'scores' data_type: TYPE_FP32 dims: [-1] }, "
    "{ name: 'labels' data_type: TYPE_INT32 dims: [-1] }] ensemble_scheduling { "
    "step { model_name: 'left' input_map { key: 'picture' value: 'photo' } " PARTS(
        "0") "} "
             "step { model_name: 'right' input_map { key: 'picture' value: 'photo' } " PARTS(
                 "1") "} "
                      "step { model_name: 'fuse' " FUSED("0")
                          FUSED("1") "output_map [{ key: 'boxes' value: 'boxes' }, { key: 'scores' "
                                     "value: 'scores' }, "
                                     "{ key: 'labels' value: 'labels' }] } }";

static int set_up(void **state)
{
    const vly_scheduler_opts opts = {.n_threads = 2,
                                     .max_waiting = 8,
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};
    vly_picture picture;

    (void)state;
    if (!temp_dir_make(dir) || vly_scheduler_new(&opts, &s, &err) != VLY_OK ||
        vly_picture_new(64, 64, &picture, &err) != VLY_OK)
        return -1;
    memset(picture.pixels, 100, picture.stride * picture.height);
    vly_buf_init(&png, VLY_MEM_BASE, 1 << 20);
    vly_status st = vly_picture_encode_png(&picture, &png, &err);
    vly_picture_release(&picture);
    add_detector("left", 16, 0.8f);
    add_detector("right", 17, 0.4f);
    add_config("fuse", "backend: 'volley' "
                       "parameters { key: 'step' value { string_value: 'box_fusion' } }");
    return st == VLY_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vly_scheduler_free(s);
    s = NULL;
    vly_buf_release(&png);
    return temp_dir_remove(dir) ? 0 : -1;
}

typedef struct request {
    vly_job job;
    vly_detection seen[4];
    size_t n_seen;
    uint32_t width, height, pixel_width;
    float boxes[16], scores[4];
    int32_t labels[4];
    sem_t done;
} request;

static vly_status keep(vly_job *job, vly_err *e)
{
    request *r = job->ctx;

    (void)e;
    if (job->kind == VLY_JOB_PICTURE) {
        r->n_seen = job->observations.n_detections;
        if (r->n_seen > 0)
            memcpy(r->seen, job->observations.detections, r->n_seen * sizeof(r->seen[0]));
        r->width = job->observations.width;
        r->height = job->observations.height;
        r->pixel_width = job->pixels.width;
        return VLY_OK;
    }
    r->n_seen = (size_t)vly_tensor_count(&job->outputs[1]);
    memcpy(r->boxes, job->outputs[0].data, job->outputs[0].bytes);
    memcpy(r->scores, job->outputs[1].data, job->outputs[1].bytes);
    memcpy(r->labels, job->outputs[2].data, job->outputs[2].bytes);
    return VLY_OK;
}

static void done(vly_job *job)
{
    sem_post(&((request *)job->ctx)->done);
}

static vly_status run(vly_served *m, request *r)
{
    vly_job *job = &r->job;

    job->ctx = r;
    job->encode = keep;
    job->done = done;
    sem_init(&r->done, 0, 0);
    assert_int_equal(vly_scheduler_submit(m, &job, 1, &err), VLY_OK);
    sem_wait(&r->done);
    return job->status;
}

/* By hand: in the picture the boxes are [24, 24, 40, 40] and [26, 24, 42, 40], IoU 0.78. Weighted
 * by 0.8 and 0.4 the left edge is (0.8 * 24 + 0.4 * 26) / 1.2; the score is (0.8 + 0.4) / 2. */
static void assert_fused(const float box[4], float score, int32_t label)
{
    const float want[4] = {24 + 2.0f / 3, 24, 40 + 2.0f / 3, 40};

    for (int i = 0; i < 4; i++)
        assert_float_equal(box[i], want[i], 1e-3f);
    assert_float_equal(score, 0.6f, 1e-5f);
    assert_int_equal(label, 1);
}

static void sees_pictures(void **state)
{
    (void)state;
    request r = {.job = {.kind = VLY_JOB_PICTURE,
                         .picture = vly_buf_str(&png),
                         .options = VLY_DETECTOR_OPTIONS_INIT,
                         .wants_pixels = true}};
    vly_served *m = add_config("both", both);

    assert_int_equal(m->servable->decoder.kind, VLY_TASK_DETECT);
    assert_int_equal(vly_label_find(&m->servable->decoder.labels, VLY_STR("dog")), 1);
    assert_int_equal(run(m, &r), VLY_OK);
    assert_int_equal(r.n_seen, 1);
    assert_fused(r.seen[0].bbox, r.seen[0].confidence, r.seen[0].class_id);
    assert_int_equal(r.width, 64);
    assert_int_equal(r.height, 64);
    assert_int_equal(r.pixel_width, 64);
    r.job.options.conf_threshold = 0.7f; /* only one sees it then, and its fused score is lower */
    r.job.wants_pixels = false;
    assert_int_equal(run(m, &r), VLY_OK);
    assert_int_equal(r.n_seen, 0);
    static const int32_t cats[] = {0};
    r.job.options = (vly_detector_options)VLY_DETECTOR_OPTIONS_INIT;
    r.job.options.classes = cats;
    r.job.options.n_classes = 1;
    assert_int_equal(run(m, &r), VLY_OK);
    assert_int_equal(r.n_seen, 0);
}

static void takes_pictures_as_tensors(void **state)
{
    (void)state;
    const vly_shape one = VLY_SHAPE(1);
    const vly_str bytes = vly_buf_str(&png), text = VLY_STR("no picture");
    vly_tensor input = vly_tensor_borrow(VLY_DTYPE_STRING, &one, &bytes);
    request r = {.job = {.kind = VLY_JOB_TENSORS, .inputs = &input}};
    vly_served *m = add_config("both", both);

    assert_int_equal(run(m, &r), VLY_OK);
    assert_int_equal(r.n_seen, 1);
    assert_fused(r.boxes, r.scores[0], r.labels[0]);
    input = vly_tensor_borrow(VLY_DTYPE_STRING, &one, &text);
    assert_int_not_equal(run(m, &r), VLY_OK);
    assert_non_null(strstr(r.job.err.msg, "picture: expected jpeg, png or webp"));
}

/* Grey 100, letterboxed from 64 x 64 to 32 wide and 48 high: 8 rows of padding above and below. */
static void makes_a_tensor(void **state)
{
    (void)state;
    const vly_shape one = VLY_SHAPE(1);
    const vly_str bytes = vly_buf_str(&png);
    const vly_tensor input = vly_tensor_borrow(VLY_DTYPE_STRING, &one, &bytes);
    vly_served *m = add_config(
        "prep", "backend: 'volley' parameters { key: 'step' value { string_value: 'picture' } } "
                "parameters { key: 'width' value { string_value: '32' } } "
                "parameters { key: 'height' value { string_value: '48' } } "
                "parameters { key: 'scale' value { string_value: '1' } } "
                "parameters { key: 'mean' value { string_value: '10, 20, 30' } } "
                "parameters { key: 'std' value { string_value: '2,2,2' } } "
                "parameters { key: 'pad' value { string_value: '50' } }");
    vly_tensor outputs[2];

    const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;
    assert_int_equal(vly_step_run(m->servable->step, &limits, &input, outputs, &err), VLY_OK);
    const float *t = outputs[0].data, *map = outputs[1].data;
    assert_int_equal(outputs[0].shape.dim[2], 48);
    for (int c = 0; c < 3; c++) {
        const float *plane = t + (ptrdiff_t)c * 48 * 32;
        float mean = 10.0f * (float)(c + 1);
        assert_float_equal(plane[0], (50 - mean) / 2, 1e-4f);
        assert_float_equal(plane[24 * 32 + 16], (100 - mean) / 2, 1e-4f);
    }
    assert_float_equal(map[0], 0.5f, 1e-6f);
    assert_float_equal(map[3], 8, 1e-6f);
    vly_tensor_release(&outputs[0]);
    vly_tensor_release(&outputs[1]);
}

/* Without outputs of those names it is no detector. */
static void others_take_no_pictures(void **state)
{
    (void)state;
    request r = {.job = {.kind = VLY_JOB_PICTURE, .picture = vly_buf_str(&png)}};
    vly_job *job = &r.job;
    vly_served *m = add_config(
        "half", "platform: 'ensemble' input { name: 'photo' data_type: TYPE_STRING dims: [1] } "
                "output { name: 'scores' data_type: TYPE_FP32 dims: [-1] } ensemble_scheduling { "
                "step { model_name: 'left' input_map { key: 'picture' value: 'photo' } "
                "output_map { key: 'scores' value: 'scores' } } }");

    assert_int_equal(m->servable->decoder.kind, VLY_TASK_TENSOR);
    assert_int_equal(vly_scheduler_submit(m, &job, 1, &err), VLY_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "ensemble 'half' has no picture step"));
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(sees_pictures, set_up, tear_down),
           cmocka_unit_test_setup_teardown(takes_pictures_as_tensors, set_up, tear_down),
           cmocka_unit_test_setup_teardown(makes_a_tensor, set_up, tear_down),
           cmocka_unit_test_setup_teardown(others_take_no_pictures, set_up, tear_down))
