/* SPDX-License-Identifier: MIT */
/*
 * Values at the edges that the ONNX cases do not visit: integers that trap or overflow, NaN, signed
 * zeros, ties, halves, negative pads. Expected values are from numpy or by hand.
 */
#include "engine/op_case.h"

#include "unit.h"

#include <math.h>

static void expect_i64(const op_case *c, int i, const int64_t *want, uint64_t n)
{
    assert_int_equal(vly_tensor_count(&c->out[i]), n);
    for (uint64_t k = 0; k < n; k++)
        assert_int_equal(vly_tensor_get_i64(&c->out[i], k), want[k]);
}

static void expect_f64(const op_case *c, int i, const double *want, uint64_t n)
{
    assert_int_equal(vly_tensor_count(&c->out[i]), n);
    for (uint64_t k = 0; k < n; k++) {
        double got = vly_tensor_get_f64(&c->out[i], k);
        if (isnan(want[k]) ? !isnan(got) : got != want[k])
            fail_msg("element %d: expected %g, got %g", (int)k, want[k], got);
    }
}

static void run_binary(op_case *c, const char *op, vly_dtype dtype, int64_t n, const void *a,
                       const void *b)
{
    oc_init(c, op, 18);
    oc_in(c, dtype, VLY_SHAPE(n), a);
    oc_in(c, dtype, VLY_SHAPE(n), b);
    assert_int_equal(oc_run(c, 1), VLY_OK);
}

static void integers_never_trap(void **state)
{
    const int32_t a[5] = {7, -7, 5, INT32_MIN, INT32_MIN};
    const int32_t b[5] = {-2, 2, 0, -1, 0};
    const int8_t a8[3] = {-128, 100, 5}, b8[3] = {-1, 100, 0};
    const uint8_t u[3] = {1, 200, 255}, shift[3] = {7, 8, 255};
    op_case c;

    (void)state;
    run_binary(&c, "Div", VLY_DTYPE_I32, 5, a, b);
    expect_i64(&c, 0, (int64_t[]){-3, -3, 0, INT32_MIN, 0}, 5);
    oc_free(&c);
    run_binary(&c, "Mod", VLY_DTYPE_I32, 5, a, b); /* sign of the divisor, as in Python */
    expect_i64(&c, 0, (int64_t[]){-1, 1, 0, 0, 0}, 5);
    oc_free(&c);
    run_binary(&c, "Div", VLY_DTYPE_I8, 3, a8, b8);
    expect_i64(&c, 0, (int64_t[]){-128, 1, 0}, 3);
    oc_free(&c);
    run_binary(&c, "Mul", VLY_DTYPE_I8, 3, a8, b8);
    expect_i64(&c, 0, (int64_t[]){-128, 16, 0}, 3); /* 10000 = 39 * 256 + 16 */
    oc_free(&c);
    run_binary(&c, "Sub", VLY_DTYPE_I32, 5, b, a);
    expect_i64(&c, 0, (int64_t[]){-9, 9, -5, INT32_MAX, INT32_MIN}, 5);
    oc_free(&c);
    oc_init(&c, "BitShift", 11);
    oc_string(&c, "direction", "LEFT");
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(3), u);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(3), shift);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_i64(&c, 0, (int64_t[]){128, 0, 0}, 3);
    oc_free(&c);
    oc_init(&c, "Abs", 13);
    oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(5), a);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_i64(&c, 0, (int64_t[]){7, 7, 5, INT32_MIN, INT32_MIN}, 5);
    oc_free(&c);
}

static void integer_powers(void **state)
{
    const int32_t base[6] = {3, -2, 2, 0, 1, -1}, exponent[6] = {4, 3, -1, -1, -5, -3};
    op_case c;

    (void)state;
    run_binary(&c, "Pow", VLY_DTYPE_I32, 6, base, exponent);
    expect_i64(&c, 0, (int64_t[]){81, -8, 0, 0, 1, -1}, 6);
    oc_free(&c);
}

static void nan_and_signed_zero(void **state)
{
    const float a[4] = {NAN, 1, -0.0F, 3}, b[4] = {1, NAN, 0.0F, 2};
    const double nan_first[4] = {(double)NAN, (double)NAN, 0, 3};
    op_case c;

    (void)state;
    run_binary(&c, "Max", VLY_DTYPE_F32, 4, a, b);
    expect_f64(&c, 0, nan_first, 4);
    oc_free(&c);
    oc_init(&c, "Relu", 14);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(4), a);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_f64(&c, 0, (double[]){(double)NAN, 1, 0, 3}, 4);
    oc_free(&c);
    oc_init(&c, "NonZero", 13); /* -0.0 is zero, NaN is not */
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 2), a);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_i64(&c, 0, (int64_t[]){0, 0, 1, 0, 1, 1}, 6);
    oc_free(&c);
    oc_init(&c, "ReduceMax", 18);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(4), a);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_f64(&c, 0, (double[]){(double)NAN}, 1);
    oc_free(&c);
    oc_init(&c, "ReduceLogSumExp", 18); /* no overflow, and all minus infinity stays so */
    oc_int(&c, "keepdims", 0);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 2), ((float[]){1000, 1000, -INFINITY, -INFINITY}));
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), (int64_t[]){1});
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    assert_true(fabs(vly_tensor_get_f64(&c.out[0], 0) - 1000.6931471805599) < 1e-4);
    assert_true(vly_tensor_get_f64(&c.out[0], 1) == -HUGE_VAL);
    oc_free(&c);
}

static void ranking_of_ties_and_nan(void **state)
{
    const float x[6] = {1, NAN, 3, 3, -INFINITY, 3};
    op_case c;

    (void)state;
    oc_init(&c, "TopK", 11);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(6), x);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), (int64_t[]){4});
    assert_int_equal(oc_run(&c, 2), VLY_OK);
    expect_i64(&c, 1, (int64_t[]){1, 2, 3, 5}, 4);
    oc_free(&c);
    oc_init(&c, "TopK", 11);
    oc_int(&c, "largest", 0);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(6), x);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), (int64_t[]){6});
    assert_int_equal(oc_run(&c, 2), VLY_OK);
    expect_i64(&c, 1, (int64_t[]){4, 0, 2, 3, 5, 1}, 6);
    oc_free(&c);
    oc_init(&c, "ArgMax", 13);
    oc_int(&c, "select_last_index", 1);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(4), x + 2);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_i64(&c, 0, (int64_t[]){3}, 1);
    oc_free(&c);
    oc_init(&c, "Unique", 11);
    oc_int(&c, "sorted", 0);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(5), ((int64_t[]){9, 4, 9, 1, 4}));
    assert_int_equal(oc_run(&c, 4), VLY_OK);
    expect_i64(&c, 0, (int64_t[]){9, 4, 1}, 3);
    expect_i64(&c, 1, (int64_t[]){0, 1, 3}, 3);
    expect_i64(&c, 2, (int64_t[]){0, 1, 0, 2, 1}, 5);
    expect_i64(&c, 3, (int64_t[]){2, 2, 1}, 3);
    oc_free(&c);
}

/* numpy.pad of x[1:], x[:-1] ... : cutting comes first. */
static void pads_cut_and_repeat(void **state)
{
    static const struct {
        const char *mode;
        int64_t pads[2];
        int64_t n;
        int64_t want[12];
    } rows[] = {
        {"constant", {-1, 2}, 5, {2, 3, 4, 0, 0}},
        {"edge", {-1, 2}, 5, {2, 3, 4, 4, 4}},
        {"reflect", {3, -1}, 6, {2, 3, 2, 1, 2, 3}},
        {"reflect", {0, 8}, 12, {1, 2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2}},
        {"wrap", {3, 5}, 12, {2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1}},
        {"wrap", {-2, 3}, 5, {3, 4, 3, 4, 3}},
    };
    const int64_t x[4] = {1, 2, 3, 4};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        op_case c;
        oc_init(&c, "Pad", 19);
        oc_string(&c, "mode", rows[i].mode);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(4), x);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), rows[i].pads);
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        expect_i64(&c, 0, rows[i].want, (uint64_t)rows[i].n);
        oc_free(&c);
    }
}

static void slices_at_the_limits(void **state)
{
    static const struct {
        int64_t start, end, step, n;
        int64_t want[4];
    } rows[] = {
        {0, INT64_MAX, 1, 4, {1, 2, 3, 4}}, {-1, INT64_MIN, -1, 4, {4, 3, 2, 1}},
        {0, 4, INT64_MAX, 1, {1}},          {3, INT64_MIN, INT64_MIN, 1, {4}},
        {INT64_MIN, INT64_MIN, 1, 0, {0}},  {3, 0, 1, 0, {0}},
        {INT64_MAX, 0, -2, 2, {4, 2}},
    };
    const int64_t x[4] = {1, 2, 3, 4};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        op_case c;
        oc_init(&c, "Slice", 13);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(4), x);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), &rows[i].start);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), &rows[i].end);
        oc_omit(&c);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), &rows[i].step);
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        expect_i64(&c, 0, rows[i].want, (uint64_t)rows[i].n);
        oc_free(&c);
    }
}

/* float16: 1, 2, 3, 65504 and their sums; the result rounds to half. */
static void halves(void **state)
{
    const uint16_t a[4] = {0x3c00, 0x4000, 0x4200, 0x7bff}, b[4] = {0x3c00, 0x0001, 0x4200, 0x7bff};
    op_case c;

    (void)state;
    run_binary(&c, "Add", VLY_DTYPE_F16, 4, a, b);
    expect_f64(&c, 0, (double[]){2, 2, 6, HUGE_VAL}, 4);
    oc_free(&c);
    run_binary(&c, "Less", VLY_DTYPE_F16, 4, b, a);
    expect_i64(&c, 0, (int64_t[]){0, 1, 0, 0}, 4);
    oc_free(&c);
    oc_init(&c, "ReduceMean", 18); /* the sum is beyond half's range, the mean is not */
    oc_in(&c, VLY_DTYPE_F16, VLY_SHAPE(2), ((uint16_t[]){0x7bff, 0x7bff}));
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_f64(&c, 0, (double[]){65504}, 1);
    oc_free(&c);
}

static void empty_reductions(void **state)
{
    static const struct {
        const char *op;
        vly_dtype dtype;
        double want;
    } rows[] = {
        {"ReduceSum", VLY_DTYPE_F32, 0},         {"ReduceProd", VLY_DTYPE_I32, 1},
        {"ReduceMax", VLY_DTYPE_F32, -HUGE_VAL}, {"ReduceMax", VLY_DTYPE_I8, INT8_MIN},
        {"ReduceMin", VLY_DTYPE_U8, UINT8_MAX},  {"ReduceMin", VLY_DTYPE_BOOL, 1},
        {"ReduceMax", VLY_DTYPE_BOOL, 0},        {"ReduceLogSum", VLY_DTYPE_F32, -HUGE_VAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        op_case c;
        oc_init(&c, rows[i].op, 20);
        oc_in(&c, rows[i].dtype, VLY_SHAPE(0, 2), "");
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), (int64_t[]){0});
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        expect_f64(&c, 0, (double[]){rows[i].want, rows[i].want}, 2);
        oc_free(&c);
    }
}

UNIT_TESTS(cmocka_unit_test(integers_never_trap), cmocka_unit_test(integer_powers),
           cmocka_unit_test(nan_and_signed_zero), cmocka_unit_test(ranking_of_ties_and_nan),
           cmocka_unit_test(pads_cut_and_repeat), cmocka_unit_test(slices_at_the_limits),
           cmocka_unit_test(halves), cmocka_unit_test(empty_reductions))
