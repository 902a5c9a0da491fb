/* SPDX-License-Identifier: MIT */
/* String operators; expected values from Python's str methods and numpy. */
#include "engine/model.h"
#include "engine/op_case.h"
#include "support/onnx_builder.h"

#include "unit.h"

#include <math.h>
#include <stdlib.h>

#define S(text) VLY_STR(text)

static void expect(const op_case *c, int i, const char *const *want, uint64_t n)
{
    const vly_str *got = c->out[i].data;

    assert_int_equal(c->out[i].dtype, VLY_DTYPE_STRING);
    assert_int_equal(vly_tensor_count(&c->out[i]), n);
    for (uint64_t k = 0; k < n; k++)
        if (!vly_str_is(got[k], want[k]))
            fail_msg("element %d: expected '%s', got '%.*s'", (int)k, want[k], VLY_STR_ARG(got[k]));
}

static void splits(void **state)
{
    const vly_str text[4] = {S("a--b"), S(""), S("--"), S("  x  y ")};
    op_case c;

    (void)state;
    oc_init(&c, "StringSplit", 20);
    oc_string(&c, "delimiter", "--");
    oc_in(&c, VLY_DTYPE_STRING, VLY_SHAPE(4), text);
    assert_int_equal(oc_run(&c, 2), VLY_OK);
    expect(&c, 0, (const char *const[]){"a", "b", "", "", "", "", "  x  y ", ""}, 8);
    for (int i = 0; i < 4; i++)
        assert_int_equal(vly_tensor_get_i64(&c.out[1], (uint64_t)i), ((int[]){2, 1, 2, 1})[i]);
    oc_free(&c);
    oc_init(&c, "StringSplit", 20); /* blanks: str.split() */
    oc_int(&c, "maxsplit", 1);
    oc_in(&c, VLY_DTYPE_STRING, VLY_SHAPE(2), text + 2);
    assert_int_equal(oc_run(&c, 2), VLY_OK);
    expect(&c, 0, (const char *const[]){"--", "", "x", "y "}, 4);
    oc_free(&c);
}

static void numbers_as_text(void **state)
{
    const double v[8] = {0.1, 1.0, -2.5e-7, 1e22, 123456.0, (double)NAN, -HUGE_VAL, 1.0 / 3.0};
    const float f[2] = {0.1F, 1.0F / 3.0F};
    const int64_t i[2] = {INT64_MIN, 7};
    op_case c;

    (void)state;
    oc_init(&c, "Cast", 13);
    oc_int(&c, "to", VLY_DTYPE_STRING);
    oc_in(&c, VLY_DTYPE_F64, VLY_SHAPE(8), v);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect(&c, 0,
           (const char *const[]){"0.1", "1.0", "-2.5e-07", "1e+22", "123456.0", "nan", "-inf",
                                 "0.3333333333333333"},
           8);
    oc_free(&c);
    oc_init(&c, "Cast", 13);
    oc_int(&c, "to", VLY_DTYPE_STRING);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2), f);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect(&c, 0, (const char *const[]){"0.1", "0.33333334"}, 2);
    oc_free(&c);
    oc_init(&c, "Cast", 13);
    oc_int(&c, "to", VLY_DTYPE_STRING);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), i);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect(&c, 0, (const char *const[]){"-9223372036854775808", "7"}, 2);
    oc_free(&c);
}

static void text_as_numbers(void **state)
{
    const vly_str good[4] = {S("9007199254740993"), S("-1"), S("1e3"), S("+INF")};
    const vly_str bad[1] = {S("12 apples")};
    op_case c;

    (void)state;
    oc_init(&c, "Cast", 13);
    oc_int(&c, "to", VLY_DTYPE_I64);
    oc_in(&c, VLY_DTYPE_STRING, VLY_SHAPE(4), good);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    const int64_t want[4] = {9007199254740993, -1, 1000, INT64_MAX};
    assert_memory_equal(c.out[0].data, want, sizeof(want));
    oc_free(&c);
    oc_init(&c, "Cast", 13);
    oc_int(&c, "to", VLY_DTYPE_F32);
    oc_in(&c, VLY_DTYPE_STRING, VLY_SHAPE(1), bad);
    assert_int_equal(oc_run(&c, 1), VLY_EINVAL);
    assert_non_null(strstr(c.err.msg, "'12 apples' is not a number"));
    oc_free(&c);
}

/* What comes out owns its bytes: neither the caller's input nor a run's intermediates. */
static void outputs_outlive_the_run(void **state)
{
    vly_err err = VLY_ERR_INIT;
    onnx_builder b;
    vly_model *m;
    vly_instance *inst;
    vly_tensor out[2];

    (void)state;
    ob_init(&b);
    ob_input(&b, "x", OB_STRING, 1, (int64_t[]){2});
    ob_output(&b, "y", OB_STRING, 1, (int64_t[]){2});
    ob_output(&b, "z", OB_STRING, -1, NULL);
    ob_node(&b, "Identity", "x", "y");
    ob_node(&b, "StringConcat", "x,x", "xx");
    ob_node(&b, "Unique", "xx", "z");
    vly_str file = ob_finish(&b, 20);
    assert_int_equal(vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err), VLY_OK);
    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    char *bytes = strdup("ab");
    vly_str *words = malloc(2 * sizeof(*words));
    assert_non_null(bytes);
    assert_non_null(words);
    words[0] = (vly_str){bytes, 1};
    words[1] = (vly_str){bytes + 1, 1};
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_STRING, &VLY_SHAPE(2), words);
    assert_int_equal(vly_instance_run(inst, &in, out, &err), VLY_OK);
    free(bytes);
    free(words);
    vly_instance_free(inst);
    vly_model_unref(m);
    assert_true(vly_str_is(((const vly_str *)out[0].data)[1], "b"));
    assert_true(vly_str_is(((const vly_str *)out[1].data)[0], "aa"));
    vly_tensor_release(&out[0]);
    vly_tensor_release(&out[1]);
    ob_release(&b);
}

UNIT_TESTS(cmocka_unit_test(splits), cmocka_unit_test(numbers_as_text),
           cmocka_unit_test(text_as_numbers), cmocka_unit_test(outputs_outlive_the_run))
