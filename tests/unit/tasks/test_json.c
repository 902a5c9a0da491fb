/* SPDX-License-Identifier: MIT */
/* The answer's bytes. Numbers: the shortest of 6 to 9 digits that numpy.float32 reads back. */
#include "tasks/observation_json.h"
#include "unit.h"

#include <math.h>

static const vly_str names[] = {{"person", 6}, {"say \"hi\"", 8}};
static const vly_labels labels = {names, 2};

static void expect_json(const vly_observations *o, const char *expected)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_BASE, 4096);
    vly_observations_json(&b, o, &labels, VLY_STR("m"), VLY_STR("1"));
    assert_false(b.failed);
    assert_string_equal(b.ptr, expected);
    vly_buf_release(&b);
}

static void numbers_read_back(void **state)
{
    static const struct {
        float v;
        const char *text;
    } cases[] = {
        {0.1f, "0.1"},
        {1.0f / 3.0f, "0.33333334"},
        {16777216.0f, "16777216"},
        {0.86f, "0.86"},
        {1e-10f, "1e-10"},
        {1.5e30f, "1.5e+30"},
        {123.456f, "123.456"},
        {5.0f, "5"},
        {2.0f / 3.0f, "0.6666667"},
        {0x1p-149f, "1.4013e-45"},
        {3.4028235e38f, "3.4028235e+38"},
        {NAN, "null"},
        {-INFINITY, "null"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vly_buf b;
        vly_buf_init(&b, VLY_MEM_BASE, 64);
        vly_json_f32(&b, cases[i].v);
        assert_string_equal(b.ptr, cases[i].text);
        vly_buf_release(&b);
    }
}

static void detections(void **state)
{
    const vly_keypoint points[2] = {{1.5f, 2.0f, 0.5f}, {0, 0, 0}};
    const vly_detection d[2] = {
        {.class_id = 1, .confidence = 0.9f, .bbox = {1, 2, 3.25f, 4}},
        {.class_id = 7, .confidence = 0.5f, .keypoints = points, .n_keypoints = 2},
    };
    const vly_observations o = {
        .kind = VLY_TASK_POSE, .width = 810, .height = 1080, .detections = d, .n_detections = 2};

    (void)state;
    expect_json(&o, "{\"detections\":[{\"class_id\":1,\"class_name\":\"say \\\"hi\\\"\","
                    "\"confidence\":0.9,\"bbox\":[1,2,3.25,4]},{\"class_id\":7,\"class_name\":"
                    "\"class 7\",\"confidence\":0.5,\"bbox\":[0,0,0,0],\"keypoints\":"
                    "[[1.5,2,0.5],[0,0,0]]}],\"image\":{\"width\":810,\"height\":1080},"
                    "\"model\":{\"name\":\"m\",\"version\":\"1\"}}");
}

static void masks(void **state)
{
    const uint32_t counts[2] = {44, 4};
    const float xy[6] = {1, 2, 3, 4, 5, 6};
    const vly_polygon polygons[2] = {{xy, 3}, {xy, 1}};
    const vly_mask mask = {.width = 12,
                           .height = 4,
                           .counts = counts,
                           .n_counts = 2,
                           .polygons = polygons,
                           .n_polygons = 2};
    const vly_detection d = {.confidence = 1, .mask = &mask};
    const vly_observations o = {
        .kind = VLY_TASK_SEGMENT, .width = 12, .height = 4, .detections = &d, .n_detections = 1};

    (void)state;
    expect_json(&o, "{\"detections\":[{\"class_id\":0,\"class_name\":\"person\",\"confidence\":1,"
                    "\"bbox\":[0,0,0,0],\"mask\":{\"size\":[4,12],\"counts\":\"\\\\14\","
                    "\"polygons\":[[1,2,3,4,5,6],[1,2]]}}],\"image\":{\"width\":12,\"height\":4},"
                    "\"model\":{\"name\":\"m\",\"version\":\"1\"}}");
}

static void classifications(void **state)
{
    const vly_classification c[2] = {{0, 0.75f}, {1, 0.25f}};
    const vly_observations o = {
        .kind = VLY_TASK_CLASSIFY, .width = 3, .height = 2, .classes = c, .n_classes = 2};

    (void)state;
    expect_json(&o, "{\"classifications\":[{\"class_id\":0,\"class_name\":\"person\",\"confidence\""
                    ":0.75},{\"class_id\":1,\"class_name\":\"say \\\"hi\\\"\",\"confidence\":0.25}]"
                    ",\"image\":{\"width\":3,\"height\":2},\"model\":{\"name\":\"m\",\"version\":"
                    "\"1\"}}");
}

static void nothing_seen(void **state)
{
    const vly_observations o = {.kind = VLY_TASK_DETECT, .width = 3, .height = 2};

    (void)state;
    expect_json(&o, "{\"detections\":[],\"image\":{\"width\":3,\"height\":2},\"model\":{\"name\":"
                    "\"m\",\"version\":\"1\"}}");
}

static void a_full_buffer_is_told(void **state)
{
    const vly_observations o = {.kind = VLY_TASK_DETECT};
    vly_buf b;

    (void)state;
    vly_buf_init(&b, VLY_MEM_BASE, 20);
    vly_observations_json(&b, &o, &labels, VLY_STR("m"), VLY_STR("1"));
    assert_true(b.failed);
    vly_buf_release(&b);
}

UNIT_TESTS(cmocka_unit_test(numbers_read_back), cmocka_unit_test(detections),
           cmocka_unit_test(masks), cmocka_unit_test(classifications),
           cmocka_unit_test(nothing_seen), cmocka_unit_test(a_full_buffer_is_told))
