/* SPDX-License-Identifier: MIT */
/*
 * Decoders on outputs of any bits: NaN, infinities, huge and tiny numbers, plausible ones between.
 * What comes out obeys the contract of vly_observations; under the sanitizers nothing else happens.
 */
#include "tasks/task_fixture.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct model_case {
    const char *task;
    int n_outputs;
    vly_shape outputs[2];
    const char *names[2];
} model_case;

static const model_case cases[] = {
    {"yolov8-detect", 1, {{3, {2, 9, 21}}}, {"o"}},
    {"yolov8-pose", 1, {{3, {2, 56, 21}}}, {"o"}},
    {"yolov8-segment", 2, {{3, {2, 9, 21}}, {4, {2, 3, 8, 8}}}, {"o", "p"}},
    {"yolov5-detect", 1, {{3, {2, 63, 9}}}, {"o"}},
    {"yolov5-segment", 2, {{3, {2, 63, 12}}, {4, {2, 3, 5, 7}}}, {"o", "p"}},
    {"end2end-detect", 1, {{3, {2, 50, 6}}}, {"o"}},
    {"end2end-pose", 1, {{3, {2, 50, 57}}}, {"o"}},
    {"end2end-segment", 2, {{3, {2, 50, 8}}, {4, {2, 2, 8, 8}}}, {"o", "p"}},
    {"yolox", 1, {{3, {2, 21, 9}}}, {"o"}},
    {"yolox-decoded", 1, {{3, {2, 21, 9}}}, {"o"}},
    {"fastestdet", 1, {{4, {2, 9, 2, 2}}}, {"o"}},
    {"fastestdet-decoded", 1, {{3, {2, 4, 9}}}, {"o"}},
    {"ultraface", 2, {{3, {2, 40, 2}}, {3, {2, 40, 4}}}, {"scores", "boxes"}},
    {"classify", 1, {{2, {2, 11}}}, {"o"}},
};

static uint32_t seed = 1;

static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static float hostile(void)
{
    uint32_t bits = next_random();
    float v;

    switch (next_random() % 8) {
    case 0:
        memcpy(&v, &bits, sizeof(v)); /* any float */
        return v;
    case 1:
        return bits % 3 == 0 ? NAN : bits % 3 == 1 ? INFINITY : -INFINITY;
    case 2:
        return (bits & 1) != 0 ? 3.4e38f : -3.4e38f;
    case 3:
    case 4:
        return (float)(bits % 1000) / 1000.0f;
    default:
        return (float)(bits % 4000) / 100.0f - 4.0f;
    }
}

static void check_mask(const vly_observations *o, const vly_mask *m)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < m->n_counts; i++) {
        sum += m->counts[i];
        assert_true(i == 0 || m->counts[i] > 0);
    }
    assert_int_equal(sum, (uint64_t)o->width * o->height);
    for (uint32_t i = 0; i < m->n_polygons; i++) {
        assert_true(m->polygons[i].n_points >= 3);
        for (uint32_t k = 0; k < m->polygons[i].n_points; k++) {
            const float *xy = m->polygons[i].xy + (size_t)2 * k;
            assert_true(xy[0] >= 0 && xy[0] <= (float)o->width);
            assert_true(xy[1] >= 0 && xy[1] <= (float)o->height);
        }
    }
}

static void check_detection(const vly_observations *o, const vly_detection *d)
{
    assert_true(d->class_id >= 0);
    assert_true(d->confidence >= 0.0f && d->confidence <= 1.0f);
    assert_true(d->bbox[0] >= 0.0f && d->bbox[0] < d->bbox[2] && d->bbox[2] <= (float)o->width);
    assert_true(d->bbox[1] >= 0.0f && d->bbox[1] < d->bbox[3] && d->bbox[3] <= (float)o->height);
    for (uint32_t i = 0; i < d->n_keypoints; i++) {
        assert_true(isfinite(d->keypoints[i].x) && isfinite(d->keypoints[i].y));
        assert_true(d->keypoints[i].conf >= 0.0f && d->keypoints[i].conf <= 1.0f);
    }
    if (d->mask != NULL)
        check_mask(o, d->mask);
}

static void check(const vly_observations *o, const vly_detector_options *opts)
{
    assert_true(o->n_detections <= opts->max_detections);
    for (size_t i = 0; i < o->n_detections; i++) {
        check_detection(o, &o->detections[i]);
        assert_true(i == 0 || o->detections[i].confidence <= o->detections[i - 1].confidence);
    }
    for (size_t i = 0; i < o->n_classes; i++)
        assert_true(o->classes[i].confidence >= 0.0f && o->classes[i].confidence <= 1.0f);
}

static void fill(task_fixture *f)
{
    for (size_t t = 0; t < f->info.n_outputs; t++)
        for (uint64_t i = 0; i < vly_tensor_count(&f->tensors[t]); i++)
            *fixture_at(f, t, i) = hostile();
}

static void decode_many(task_fixture *f, const char *task, int n_rounds)
{
    uint32_t width = 1 + next_random() % 200;
    uint32_t height = 1 + next_random() % 200;

    f->config.task = vly_str_from(task);
    fixture_expect_task(f, task);
    f->map = vly_letterbox_map_of(width, height, f->decoder.prep.fit, f->decoder.input_width,
                                  f->decoder.input_height);
    for (int round = 0; round < n_rounds; round++) {
        fill(f);
        f->item = (size_t)round % 2;
        f->opts.is_multi_label = round % 3 == 0;
        f->opts.conf_threshold = round % 5 == 0 ? 0.0f : 0.3f;
        f->opts.max_detections = round % 7 == 0 ? 3 : 300;
        assert_int_equal(fixture_decode(f), VLY_OK);
        check(&f->seen, &f->opts);
        vly_arena_reset(&f->arena);
    }
}

static void any_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        task_fixture f;
        fixture_init(&f, 32, 32);
        for (int k = 0; k < cases[i].n_outputs; k++)
            fixture_output(&f, cases[i].names[k], &cases[i].outputs[k]);
        decode_many(&f, cases[i].task, 300);
        fixture_release(&f);
    }
}

static void any_values_of_yunet(void **state)
{
    static const char *const parts[4] = {"cls", "obj", "bbox", "kps"};
    static const int64_t values[4] = {1, 1, 4, 10};
    static const int64_t cells[3] = {16, 4, 1};
    char names[12][16];
    task_fixture f;

    (void)state;
    fixture_init(&f, 32, 32);
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof(names[i]), "%s_%d", parts[i / 3], 8 << i % 3);
        fixture_output(&f, names[i], &VLY_SHAPE(2, cells[i % 3], values[i / 3]));
    }
    decode_many(&f, "yunet", 300);
    fixture_release(&f);
}

UNIT_TESTS(cmocka_unit_test(any_values), cmocka_unit_test(any_values_of_yunet))
