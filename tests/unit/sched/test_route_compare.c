/* SPDX-License-Identifier: MIT */
/* Answers compared, by hand. */
#include "sched/model_routes_compare.h"

#include "unit.h"

#include <math.h>

static vly_detection box(int32_t class_id, float confidence, float x, float y)
{
    return (vly_detection){
        .class_id = class_id, .confidence = confidence, .bbox = {x, y, x + 10, y + 10}};
}

/* The second box is moved by 1 of 10: IoU 90 / 110. The third has another class, the fourth is far
 * away, the fifth overlaps by 5 of 10: IoU 50 / 150, too little. */
static void test_boxes(void **state)
{
    const vly_detection a[] = {box(0, 0.9F, 0, 0), box(1, 0.8F, 100, 0), box(2, 0.7F, 200, 0),
                               box(2, 0.6F, 300, 0), box(3, 0.5F, 400, 0)};
    const vly_detection b[] = {box(1, 0.85F, 101, 0), box(0, 0.8F, 0, 0), box(5, 0.7F, 200, 0),
                               box(3, 0.5F, 405, 0)};
    vly_route_boxes_diff d = vly_route_compare_boxes(a, 5, b, 4);

    (void)state;
    assert_int_equal(d.n_first, 5);
    assert_int_equal(d.n_second, 4);
    assert_int_equal(d.n_matched, 2);
    assert_true(fabs(d.mean_iou - (1 + 90.0 / 110) / 2) < 1e-6);
    assert_true(fabs(d.mean_score_diff - (0.1 + 0.05) / 2) < 1e-6);
    assert_true(fabs(d.max_score_diff - 0.1) < 1e-6);
}

/* Two boxes want the same one: the more confident has it, the other takes what is left. */
static void test_each_is_matched_once(void **state)
{
    const vly_detection a[] = {box(0, 0.9F, 0, 0), box(0, 0.8F, 1, 0)};
    const vly_detection b[] = {box(0, 0.9F, 0, 0)};
    const vly_detection c[] = {box(0, 0.9F, 2, 0), box(0, 0.8F, 0, 0)};

    (void)state;
    assert_int_equal(vly_route_compare_boxes(a, 2, b, 1).n_matched, 1);
    vly_route_boxes_diff d = vly_route_compare_boxes(a, 2, c, 2);
    assert_int_equal(d.n_matched, 2);
    assert_true(fabs(d.mean_iou - (1 + 90.0 / 110) / 2) < 1e-6);
    d = vly_route_compare_boxes(a, 0, c, 2);
    assert_int_equal(d.n_matched, 0);
    assert_true(d.mean_iou == 0);
}

static void test_half_overlap_is_a_match(void **state)
{
    const vly_detection a = {.confidence = 1, .bbox = {0, 0, 2, 1}};
    const vly_detection b = {.confidence = 1, .bbox = {0, 0, 1, 1}}; /* IoU exactly 1 / 2 */

    (void)state;
    assert_int_equal(vly_route_compare_boxes(&a, 1, &b, 1).n_matched, 1);
}

static vly_tensor floats(float *data, int64_t n)
{
    const vly_shape shape = {.rank = 1, .dim = {n}};
    return vly_tensor_borrow(VLY_DTYPE_F32, &shape, data);
}

static void test_tensors(void **state)
{
    float a[] = {3, 4, 0}, b[] = {4, 3, 0}, zero[] = {0, 0, 0}, bad[] = {3, NAN, 0};
    vly_tensor x = floats(a, 3), y = floats(b, 3), z = floats(zero, 3), n = floats(bad, 3),
               s = floats(a, 2);
    vly_route_tensor_diff d = vly_route_compare_tensors(&x, &y);

    (void)state;
    assert_true(d.is_same_type);
    assert_true(d.max_abs == 1);
    assert_true(fabs(d.mean_abs - 2.0 / 3) < 1e-12);
    assert_true(fabs(d.cosine - 24.0 / 25) < 1e-12);
    d = vly_route_compare_tensors(&x, &x);
    assert_true(d.max_abs == 0 && fabs(d.cosine - 1) < 1e-12);
    d = vly_route_compare_tensors(&x, &z);
    assert_true(d.cosine == 0 && d.max_abs == 4);
    assert_true(vly_route_compare_tensors(&z, &z).cosine == 1);
    assert_true(isinf(vly_route_compare_tensors(&x, &n).max_abs));
    assert_false(vly_route_compare_tensors(&x, &s).is_same_type);
}

static void test_other_types(void **state)
{
    const vly_shape shape = {.rank = 1, .dim = {2}};
    int64_t a[] = {1, -2}, b[] = {1, 5};
    vly_str p[] = {VLY_STR("cat"), VLY_STR("dog")}, q[] = {VLY_STR("cat"), VLY_STR("bus")};
    vly_tensor x = vly_tensor_borrow(VLY_DTYPE_I64, &shape, a),
               y = vly_tensor_borrow(VLY_DTYPE_I64, &shape, b),
               s = vly_tensor_borrow(VLY_DTYPE_STRING, &shape, p),
               t = vly_tensor_borrow(VLY_DTYPE_STRING, &shape, q);

    (void)state;
    assert_true(vly_route_compare_tensors(&x, &y).max_abs == 7);
    assert_false(vly_route_compare_tensors(&x, &s).is_same_type);
    assert_true(vly_route_compare_tensors(&s, &s).cosine == 1);
    assert_true(vly_route_compare_tensors(&s, &t).cosine == 0);
    assert_true(vly_route_compare_tensors(&s, &t).mean_abs == 0.5);
}

UNIT_TESTS(cmocka_unit_test(test_boxes), cmocka_unit_test(test_each_is_matched_once),
           cmocka_unit_test(test_half_overlap_is_a_match), cmocka_unit_test(test_tensors),
           cmocka_unit_test(test_other_types))
