/* SPDX-License-Identifier: MIT */
/* What operators answer to indices, sizes and attributes that no honest model has. */
#include "engine/op_case.h"

#include "unit.h"

#include <math.h>

static const int64_t zero;

static const float x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/* Runs the case, which must fail with st and a message that names `part`. */
static void refuses(op_case *c, vly_status st, const char *part)
{
    assert_int_equal(oc_run(c, 1), st);
    if (strstr(c->err.msg, part) == NULL)
        fail_msg("expected '%s' in '%s'", part, c->err.msg);
    oc_free(c);
}

static void one_list(op_case *c, const char *op, int opset, int64_t *list, int64_t n)
{
    oc_init(c, op, opset);
    oc_in(c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    oc_in(c, VLY_DTYPE_I64, VLY_SHAPE(n), list);
}

static void indices_out_of_range(void **state)
{
    int64_t bad[] = {0, 3, INT64_MIN, INT64_MAX};
    op_case c;

    (void)state;
    for (int i = 1; i < 4; i++) {
        one_list(&c, "Gather", 13, bad + i, 1);
        refuses(&c, VLY_EINVAL, "out of range for a dimension of 3");
        one_list(&c, "GatherND", 13, bad + i, 1);
        refuses(&c, VLY_EINVAL, "out of range");
        oc_init(&c, "GatherElements", 13);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1, 1), bad + i);
        refuses(&c, VLY_EINVAL, "out of range");
        oc_init(&c, "ScatterElements", 18);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1, 1), bad + i);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 1), x);
        refuses(&c, VLY_EINVAL, "out of range");
        oc_init(&c, "ScatterND", 18);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1, 2), ((int64_t[]){0, bad[i]}));
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1), x);
        if (bad[i] == 3) /* fits the second axis */
            assert_int_equal(oc_run(&c, 1), VLY_OK), oc_free(&c);
        else
            refuses(&c, VLY_EINVAL, "out of range");
    }
    one_list(&c, "ReverseSequence", 10, (int64_t[]){1, 2, 3, 4}, 4);
    refuses(&c, VLY_EINVAL, "length 4 is out of range");
}

static void axes_out_of_range(void **state)
{
    static const char *const with_axis[] = {"Concat", "Split", "Gather", "ArgMax", "Flatten"};
    op_case c;

    (void)state;
    for (size_t i = 0; i < sizeof(with_axis) / sizeof(with_axis[0]); i++) {
        oc_init(&c, with_axis[i], 13);
        oc_int(&c, "axis", i % 2 == 0 ? 3 : INT64_MIN);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
        if (i == 2)
            oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), &zero);
        refuses(&c, VLY_EINVAL, "out of range for 2 dimensions");
    }
    one_list(&c, "ReduceSum", 13, (int64_t[]){0, -2}, 2);
    refuses(&c, VLY_EINVAL, "axis 0 is given twice");
    one_list(&c, "Unsqueeze", 13, (int64_t[]){0, 1, 2, 3, 4, 5, 6}, 7);
    refuses(&c, VLY_EUNSUPPORTED, "more than 8 dimensions");
    one_list(&c, "Squeeze", 13, (int64_t[]){1}, 1);
    refuses(&c, VLY_EINVAL, "cannot squeeze axis 1: its size is 4");
    oc_init(&c, "Transpose", 13);
    oc_ints(&c, "perm", 2, (int64_t[]){1, 1});
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    refuses(&c, VLY_EINVAL, "axis 1 is given twice");
}

static void sizes_that_overflow(void **state)
{
    const int64_t whole_range[] = {INT64_MIN, INT64_MAX, 1};
    const float no_limit[] = {0, NAN, 1};
    op_case c;

    (void)state;
    one_list(&c, "Tile", 13, (int64_t[]){INT64_MAX, 1}, 2);
    refuses(&c, VLY_EINVAL, "cannot repeat axis 0");
    one_list(&c, "Tile", 13, (int64_t[]){INT64_MAX / 8, INT64_MAX / 8}, 2);
    refuses(&c, VLY_ELIMIT, "limit");
    one_list(&c, "Expand", 13, (int64_t[]){INT64_MAX, 3, 4}, 3);
    refuses(&c, VLY_ELIMIT, "limit");
    one_list(&c, "Expand", 13, (int64_t[]){-1, 4}, 2);
    refuses(&c, VLY_EINVAL, "dimension 0 is negative");
    one_list(&c, "Pad", 13, (int64_t[]){INT64_MAX, 0, 0, 0}, 4);
    refuses(&c, VLY_EINVAL, "cannot pad axis 0");
    one_list(&c, "Pad", 13, (int64_t[]){INT64_MIN, 0, INT64_MIN, 0}, 4);
    refuses(&c, VLY_EINVAL, "cannot pad axis 0");
    one_list(&c, "Pad", 13, (int64_t[]){-2, 0, -2, 0}, 4);
    refuses(&c, VLY_EINVAL, "cannot pad axis 0");
    oc_init(&c, "ConstantOfShape", 9);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), ((int64_t[]){INT64_MAX, INT64_MAX}));
    refuses(&c, VLY_ELIMIT, "limit");
    oc_init(&c, "Range", 11);
    for (int i = 0; i < 3; i++)
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE_SCALAR, &whole_range[i]);
    refuses(&c, VLY_EINVAL, "not finite");
    oc_init(&c, "Range", 11);
    for (int i = 0; i < 3; i++)
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE_SCALAR, &no_limit[i]);
    refuses(&c, VLY_EINVAL, "not finite");
    oc_init(&c, "HannWindow", 17);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE_SCALAR, &(int64_t){-1});
    refuses(&c, VLY_EINVAL, "negative");
}

static void sizes_that_do_not_fit(void **state)
{
    op_case c;

    (void)state;
    one_list(&c, "Reshape", 14, (int64_t[]){5, -1}, 2);
    refuses(&c, VLY_EINVAL, "cannot reshape 12 elements");
    one_list(&c, "Reshape", 14, (int64_t[]){-1, -1}, 2);
    refuses(&c, VLY_EINVAL, "one place only");
    one_list(&c, "Reshape", 14, (int64_t[]){-5, 2}, 2);
    refuses(&c, VLY_EINVAL, "cannot reshape");
    one_list(&c, "Reshape", 14, (int64_t[]){3, 4, 0}, 3);
    refuses(&c, VLY_EINVAL, "0 at axis 2");
    one_list(&c, "Split", 13, (int64_t[]){-1}, 1);
    refuses(&c, VLY_EINVAL, "add up to 3");
    one_list(&c, "Split", 13, (int64_t[]){INT64_MAX}, 1);
    refuses(&c, VLY_EINVAL, "add up to 3");
    one_list(&c, "TopK", 11, (int64_t[]){5}, 1);
    refuses(&c, VLY_EINVAL, "k is 5, expected 0 to 4");
    one_list(&c, "TopK", 11, (int64_t[]){-1}, 1);
    refuses(&c, VLY_EINVAL, "k is -1");
    oc_init(&c, "Add", 14);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3), x);
    refuses(&c, VLY_EINVAL, "does not broadcast");
    oc_init(&c, "Concat", 13);
    oc_int(&c, "axis", 0);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 4), x);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 3), x);
    refuses(&c, VLY_EINVAL, "does not fit");
    oc_init(&c, "ArgMin", 13);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(0, 4), x);
    refuses(&c, VLY_EINVAL, "axis 0 is empty");
    oc_init(&c, "Pad", 13);
    oc_string(&c, "mode", "edge");
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(0, 4), x);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(4), ((int64_t[]){1, 0, 0, 0}));
    refuses(&c, VLY_EINVAL, "nothing to pad with");
}

static void steps_of_zero_and_bad_attributes(void **state)
{
    const int64_t slice[] = {0, 1, 0, 0};
    op_case c;

    (void)state;
    oc_init(&c, "Slice", 13);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    for (int i = 0; i < 4; i++)
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), &slice[i]);
    refuses(&c, VLY_EINVAL, "step of axis 0 is 0");
    oc_init(&c, "Cast", 13);
    oc_int(&c, "to", 14); /* complex64 */
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    refuses(&c, VLY_EUNSUPPORTED, "data type 14");
    oc_init(&c, "Cast", 13);
    oc_int(&c, "to", INT64_MAX);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    refuses(&c, VLY_EUNSUPPORTED, "is not supported");
    oc_init(&c, "Pad", 13);
    oc_string(&c, "mode", "mirror");
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(4), ((int64_t[]){0, 0, 0, 0}));
    refuses(&c, VLY_EINVAL, "attribute 'mode'");
    oc_init(&c, "And", 7);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 4), x);
    refuses(&c, VLY_EUNSUPPORTED, "expected bool, got float32");
    oc_init(&c, "Constant", 13);
    refuses(&c, VLY_EUNSUPPORTED, "expected an attribute 'value'");
}

UNIT_TESTS(cmocka_unit_test(indices_out_of_range), cmocka_unit_test(axes_out_of_range),
           cmocka_unit_test(sizes_that_overflow), cmocka_unit_test(sizes_that_do_not_fit),
           cmocka_unit_test(steps_of_zero_and_bad_attributes))
