/* SPDX-License-Identifier: MIT */
/* Ranges of known distributions, by hand or from what they must be better than. */
#include "optim/range.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 100000

static float values[N]; /* of the running test */
static vly_tally tally;

/* Sum of many uniform numbers: close to normal, mean 0, deviation 1; the same on every machine. */
static void fill_normal(void)
{
    uint32_t x = 12345;

    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < 12; k++) {
            x = x * 1664525u + 1013904223u;
            sum += (double)(x >> 8) / (1 << 24);
        }
        values[i] = (float)(sum - 6);
    }
}

static void count(void)
{
    vly_range r = {0, 0};

    assert_true(vly_range_widen(&r, values, N));
    memset(&tally, 0, sizeof(tally));
    tally.lo = r.lo;
    tally.hi = r.hi;
    vly_tally_add(&tally, values, N);
    assert_int_equal(tally.n, N);
}

static double mean_square_error(vly_range r)
{
    vly_affine a = vly_affine_of(r);
    double sum = 0;

    for (int i = 0; i < N; i++) {
        double q = nearbyint((double)values[i] / (double)a.scale) + a.zero;
        q = q < 0 ? 0 : (q > 255 ? 255 : q);
        double d = (q - a.zero) * (double)a.scale - (double)values[i];
        sum += d * d;
    }
    return sum / N;
}

static void widen(void **state)
{
    vly_range r = {0, 0};

    (void)state;
    assert_true(vly_range_widen(&r, (float[]){1, 3, 2}, 3));
    assert_true(r.lo == 0.0f && r.hi == 3.0f); /* 0 always belongs */
    assert_true(vly_range_widen(&r, (float[]){-4}, 1));
    assert_true(r.lo == -4.0f && r.hi == 3.0f);
    assert_false(vly_range_widen(&r, (float[]){9, NAN}, 2));
    assert_false(vly_range_widen(&r, (float[]){9, -INFINITY}, 2));
    assert_true(r.lo == -4.0f && r.hi == 3.0f);
}

/* scale = span / 255, zero = round(-lo / scale): 0.02, 50 for -1..4.1. */
static void affine(void **state)
{
    vly_affine a = vly_affine_of((vly_range){-1.0f, 4.1f});

    (void)state;
    assert_true(fabsf(a.scale - 0.02f) < 1e-8f);
    assert_int_equal(a.zero, 50);
    a = vly_affine_of((vly_range){0, 2.55f});
    assert_true(fabsf(a.scale - 0.01f) < 1e-8f);
    assert_int_equal(a.zero, 0);
    assert_int_equal(vly_affine_of((vly_range){-5, 0}).zero, 255);
    a = vly_affine_of((vly_range){0, 0});
    assert_true(a.scale == 1.0f && a.zero == 0);
    assert_true(vly_affine_of((vly_range){0, 1e-44f}).scale > 0);
}

/* 0, 1, ..., 99999 scaled: a percentile of 99 leaves out 1000 values at the top. */
static void percentile(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        values[i] = (float)i / N;
    count();
    vly_range r = vly_tally_range(&tally, VLY_RANGE_PERCENTILE, 99);
    assert_true(r.lo == 0.0f);
    assert_true(fabsf(r.hi - 0.99f) < 2.0f / VLY_TALLY_BINS);
    r = vly_tally_range(&tally, VLY_RANGE_PERCENTILE, 100);
    assert_true(fabsf(r.hi - tally.hi) < 1e-6f);
}

/* For a normal distribution and 256 levels the best symmetric limit is 3.92 deviations (Banner et
 * al., "Post training 4-bit quantization", table 1, gives 3.92 for 8 bits). */
static void mse(void **state)
{
    (void)state;
    fill_normal();
    count();
    vly_range r = vly_tally_range(&tally, VLY_RANGE_MSE, 0);
    assert_true(r.hi > 3.5f && r.hi < 4.4f);
    assert_true(r.lo < -3.4f && r.lo > -4.5f);
    assert_true(mean_square_error(r) <= mean_square_error((vly_range){tally.lo, tally.hi}) * 1.001);

    for (size_t i = 0; i < 5; i++)
        values[i * 1000] = 60; /* a few outliers: min-max wastes its levels on them */
    count();
    r = vly_tally_range(&tally, VLY_RANGE_MSE, 0);
    double best = mean_square_error(r);
    for (int hi = 4; hi <= 60; hi += 4)
        assert_true(best <= mean_square_error((vly_range){r.lo, (float)hi}) * 1.02);
}

static void entropy(void **state)
{
    (void)state;
    fill_normal();
    for (size_t i = 0; i < 5; i++)
        values[i * 1000] = 60;
    count();
    vly_range r = vly_tally_range(&tally, VLY_RANGE_ENTROPY, 0);
    assert_true(r.hi < 30 && r.hi > 2.5f && r.lo < -2.5f);
}

static void nothing_to_choose(void **state)
{
    (void)state;
    for (int m = 0; m < VLY_RANGE_METHODS; m++) {
        assert_non_null(vly_range_method_name((vly_range_method)m));
        memset(&tally, 0, sizeof(tally));
        vly_range r = vly_tally_range(&tally, (vly_range_method)m, 99);
        assert_true(r.lo == 0.0f && r.hi == 0.0f);
        vly_tally_add(&tally, (float[]){0, 0}, 2); /* all values are 0 */
        r = vly_tally_range(&tally, (vly_range_method)m, 99);
        assert_true(r.lo == 0.0f && r.hi == 0.0f);
    }
    assert_null(vly_range_method_name(VLY_RANGE_METHODS));
}

UNIT_TESTS(cmocka_unit_test(widen), cmocka_unit_test(affine), cmocka_unit_test(percentile),
           cmocka_unit_test(mse), cmocka_unit_test(entropy), cmocka_unit_test(nothing_to_choose))
