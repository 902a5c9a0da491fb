/* SPDX-License-Identifier: MIT */
/* The metric on cases small enough for pencil and paper; pycocotools gives the same numbers. */
#include "tasks/coco_eval.h"

#include "base/mem.h"
#include "unit.h"

#include <math.h>

static vly_coco_eval *make(const vly_coco_options *opts)
{
    vly_coco_eval *e = NULL;

    assert_int_equal(vly_coco_eval_new(opts, &e, NULL), VLY_OK);
    return e;
}

static void add(vly_coco_eval *e, size_t n_truths, const vly_truth *truths, size_t n,
                const vly_detection *d)
{
    assert_int_equal(vly_coco_eval_add(e, truths, n_truths, d, n, NULL), VLY_OK);
}

static vly_coco_result finish(vly_coco_eval *e)
{
    vly_coco_result r;

    assert_int_equal(vly_coco_eval_compute(e, &r, NULL), VLY_OK);
    vly_coco_eval_free(e);
    return r;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

#define TRUTH(...)       ((vly_truth){.bbox = {__VA_ARGS__}})
#define GUESS(conf, ...) ((vly_detection){.confidence = conf, .bbox = {__VA_ARGS__}})

static void all_right_is_one(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10), {.class_id = 3, .bbox = {5, 5, 20, 20}}};
    const vly_detection d[] = {GUESS(0.9f, 0, 0, 10, 10),
                               {.class_id = 3, .confidence = 0.1f, .bbox = {5, 5, 20, 20}}};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 2, t, 2, d);
    vly_coco_result r = finish(e);
    assert_true(is_near(r.map50, 1.0) && is_near(r.map50_95, 1.0) && is_near(r.recall, 1.0));
    assert_int_equal(r.n_images, 1);
    assert_int_equal(r.n_truths, 2);
    assert_int_equal(r.n_classes, 2);
}

static void nothing_to_find_is_minus_one(void **state)
{
    const vly_detection d[] = {GUESS(0.9f, 0, 0, 10, 10)};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 0, NULL, 1, d);
    vly_coco_result r = finish(e);
    assert_true(r.map50 == -1.0 && r.map50_95 == -1.0);
    e = make(NULL);
    assert_true(finish(e).map50 == -1.0);
}

static void nothing_found_is_zero(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10)};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 1, t, 0, NULL);
    vly_coco_result r = finish(e);
    assert_true(r.map50 == 0.0 && r.map50_95 == 0.0 && r.recall == 0.0);
}

/* One of two truths is found, with a wrong box of higher confidence: precision 1/2 at recall 1/2,
 * so the 51 recall points 0..0.50 have 1/2. */
static void a_false_one_first_halves_the_curve(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10), TRUTH(50, 50, 60, 60)};
    const vly_detection d[] = {GUESS(0.5f, 0, 0, 10, 10), GUESS(0.9f, 20, 20, 30, 30)};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 2, t, 2, d);
    vly_coco_result r = finish(e);
    assert_true(is_near(r.map50, 51 * 0.5 / 101));
    assert_true(is_near(r.recall, 0.5));
}

/* The envelope: hit, miss, hit has precisions 1, 1/2, 2/3; recall up to 1/2 takes 1, beyond it 2/3.
 */
static void precision_is_made_monotonic(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10), TRUTH(50, 50, 60, 60)};
    const vly_detection d[] = {GUESS(0.9f, 0, 0, 10, 10), GUESS(0.8f, 20, 20, 30, 30),
                               GUESS(0.7f, 50, 50, 60, 60)};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 2, t, 3, d);
    assert_true(is_near(finish(e).map50, (51 * 1.0 + 50 * (2.0 / 3.0)) / 101));
}

/* IoU 0.8 (8 x 10 inside 10 x 10): right up to threshold .80, which is 7 of 10. */
static void thresholds_count_alike(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10)};
    const vly_detection d[] = {GUESS(0.9f, 0, 0, 8, 10)};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 1, t, 1, d);
    vly_coco_result r = finish(e);
    assert_true(is_near(r.map50, 1.0) && is_near(r.map75, 1.0));
    assert_true(is_near(r.map50_95, 0.7));
}

static void a_truth_is_found_once(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10), TRUTH(50, 50, 60, 60)};
    const vly_detection d[] = {GUESS(0.9f, 0, 0, 10, 10), GUESS(0.8f, 0, 0, 10, 10)};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 2, t, 2, d);
    assert_true(is_near(finish(e).map50, 51 * 1.0 / 101));
}

/* Boxes inside a crowd are neither right nor wrong; the crowd itself need not be found. */
static void crowds_count_neither_way(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10), {.bbox = {100, 100, 200, 200}, .is_crowd = true}};
    const vly_detection d[] = {GUESS(0.9f, 110, 110, 120, 120), GUESS(0.8f, 130, 110, 150, 120),
                               GUESS(0.7f, 0, 0, 10, 10)};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 2, t, 3, d);
    vly_coco_result r = finish(e);
    assert_true(is_near(r.map50, 1.0));
    assert_int_equal(r.n_truths, 1);
}

static void areas_outside_the_range_are_ignored(void **state)
{
    const vly_coco_options small = {.area_min = 0, .area_max = 1024};
    const vly_truth t[] = {TRUTH(0, 0, 10, 10),
                           TRUTH(100, 100, 200, 200),
                           {.bbox = {300, 300, 400, 400}, .area = 500}}; /* a thin mask */
    const vly_detection d[] = {GUESS(0.9f, 100, 100, 200, 200), GUESS(0.8f, 0, 0, 10, 10),
                               GUESS(0.7f, 500, 500, 600, 600)};
    vly_coco_eval *e = make(&small);

    (void)state;
    add(e, 3, t, 3, d);
    vly_coco_result r = finish(e);
    assert_int_equal(r.n_truths, 2);
    assert_true(is_near(r.map50, 51 * 1.0 / 101)); /* one of two, nothing wrong before it */
}

static void only_the_best_detections_of_a_picture_count(void **state)
{
    const vly_coco_options two = {.max_detections = 2};
    const vly_truth t[] = {TRUTH(0, 0, 10, 10)};
    const vly_detection d[] = {GUESS(0.1f, 0, 0, 10, 10), GUESS(0.9f, 20, 0, 30, 10),
                               GUESS(0.8f, 40, 0, 50, 10)};
    vly_coco_eval *e = make(&two);

    (void)state;
    add(e, 1, t, 3, d);
    assert_true(finish(e).map50 == 0.0);
}

/* A detection belongs to its picture: the same box elsewhere does not help. */
static void pictures_are_apart(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10)};
    const vly_detection d[] = {GUESS(0.9f, 0, 0, 10, 10)};
    vly_coco_eval *e = make(NULL);

    (void)state;
    add(e, 1, t, 0, NULL);
    add(e, 0, NULL, 1, d);
    vly_coco_result r = finish(e);
    assert_true(r.map50 == 0.0);
    assert_int_equal(r.n_images, 2);
}

static void computing_changes_nothing(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10)};
    const vly_detection d[] = {GUESS(0.9f, 0, 0, 10, 10)};
    vly_coco_eval *e = make(NULL);
    vly_coco_result r;

    (void)state;
    add(e, 1, t, 1, d);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(vly_coco_eval_compute(e, &r, NULL), VLY_OK);
        assert_true(is_near(r.map50_95, 1.0));
    }
    add(e, 1, t, 0, NULL);
    assert_true(is_near(finish(e).map50, 51 * 1.0 / 101));
}

static void bad_numbers_are_refused(void **state)
{
    const vly_truth bad_truth[] = {TRUTH(0, 0, NAN, 10)};
    const vly_detection bad_score[] = {GUESS(INFINITY, 0, 0, 10, 10)};
    const vly_detection bad_class[] = {{.class_id = -1}};
    vly_coco_eval *e = make(NULL);
    vly_err err;

    (void)state;
    assert_int_equal(vly_coco_eval_add(e, bad_truth, 1, NULL, 0, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "truth 0: expected a class and finite numbers");
    assert_int_equal(vly_coco_eval_add(e, NULL, 0, bad_score, 1, &err), VLY_EINVAL);
    assert_int_equal(vly_coco_eval_add(e, NULL, 0, bad_class, 1, &err), VLY_EINVAL);
    assert_int_equal(finish(e).n_images, 0);
}

static void memory_may_run_out(void **state)
{
    const vly_truth t[] = {TRUTH(0, 0, 10, 10)};
    const vly_detection d[] = {GUESS(0.9f, 0, 0, 10, 10)};

    (void)state;
    for (int64_t n = 0; n <= 8; n++) {
        vly_coco_eval *e = NULL;
        vly_coco_result r;
        vly_mem_fail_after(n);
        vly_status st = vly_coco_eval_new(NULL, &e, NULL);
        if (st == VLY_OK)
            st = vly_coco_eval_add(e, t, 1, d, 1, NULL);
        if (st == VLY_OK)
            st = vly_coco_eval_compute(e, &r, NULL);
        vly_mem_fail_after(-1);
        assert_int_equal(st, n < 8 ? VLY_ENOMEM : VLY_OK);
        vly_coco_eval_free(e);
    }
}

UNIT_TESTS(cmocka_unit_test(all_right_is_one), cmocka_unit_test(nothing_to_find_is_minus_one),
           cmocka_unit_test(nothing_found_is_zero),
           cmocka_unit_test(a_false_one_first_halves_the_curve),
           cmocka_unit_test(precision_is_made_monotonic), cmocka_unit_test(thresholds_count_alike),
           cmocka_unit_test(a_truth_is_found_once), cmocka_unit_test(crowds_count_neither_way),
           cmocka_unit_test(areas_outside_the_range_are_ignored),
           cmocka_unit_test(only_the_best_detections_of_a_picture_count),
           cmocka_unit_test(pictures_are_apart), cmocka_unit_test(computing_changes_nothing),
           cmocka_unit_test(bad_numbers_are_refused), cmocka_unit_test(memory_may_run_out))
