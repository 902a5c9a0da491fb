/* SPDX-License-Identifier: MIT */
#include "tasks/labels.h"
#include "unit.h"

static void names_and_numbers(void **state)
{
    char text[VLY_LABEL_TEXT_MAX];

    (void)state;
    assert_int_equal(vly_labels_coco.count, 80);
    assert_true(vly_str_is(vly_label(&vly_labels_coco, 0, text), "person"));
    assert_true(vly_str_is(vly_label(&vly_labels_coco, 5, text), "bus"));
    assert_true(vly_str_is(vly_label(&vly_labels_coco, 79, text), "toothbrush"));
    assert_true(vly_str_is(vly_label(&vly_labels_coco, 80, text), "class 80"));
    assert_true(vly_str_is(vly_label(&vly_labels_coco, INT32_MIN, text), "class -2147483648"));
    assert_int_equal(vly_label_find(&vly_labels_coco, VLY_STR("Traffic Light")), 9);
    assert_int_equal(vly_label_find(&vly_labels_coco, VLY_STR("unicorn")), -1);
}

static void gaps_have_numbers(void **state)
{
    const vly_str names[] = {VLY_STR("a"), {NULL, 0}};
    const vly_labels labels = {names, 2};
    char text[VLY_LABEL_TEXT_MAX];

    (void)state;
    assert_true(vly_str_is(vly_label(&labels, 1, text), "class 1"));
    assert_int_equal(vly_label_find(&labels, VLY_STR("")), -1);
}

UNIT_TESTS(cmocka_unit_test(names_and_numbers), cmocka_unit_test(gaps_have_numbers))
