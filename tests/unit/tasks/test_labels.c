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

static void lists(void **state)
{
    int32_t ids[3] = {-1, -1, -1};
    size_t n = 9;
    vly_err err;

    (void)state;
    assert_int_equal(vly_label_list(&vly_labels_coco, VLY_STR(" Bus ,0,99"), ids, 3, &n, &err),
                     VLY_OK);
    assert_int_equal(n, 3);
    assert_true(ids[0] == 5 && ids[1] == 0 && ids[2] == 99);
    assert_int_equal(vly_label_list(&vly_labels_coco, VLY_STR("1,2,3"), ids, 2, &n, &err),
                     VLY_ELIMIT);
    assert_int_equal(vly_label_list(&vly_labels_coco, VLY_STR("bus,"), ids, 3, &n, &err),
                     VLY_EINVAL);
    assert_int_equal(vly_label_list(&vly_labels_coco, VLY_STR("-1"), ids, 3, &n, &err), VLY_EINVAL);
    assert_int_equal(vly_label_list(&vly_labels_coco, VLY_STR("2147483648"), ids, 3, &n, &err),
                     VLY_EINVAL);
    assert_string_equal(err.msg, "the model has no class '2147483648'");
    assert_int_equal(n, 3);
}

UNIT_TESTS(cmocka_unit_test(names_and_numbers), cmocka_unit_test(gaps_have_numbers),
           cmocka_unit_test(lists))
