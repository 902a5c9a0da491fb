/* SPDX-License-Identifier: MIT */
/* Softmax and norms on values whose results are known. */
#include "base/cpu.h"
#include "dsp/norm.h"
#include "unit.h"

#include <math.h>
#include <stdbool.h>

static void softmax_along_any_axis(void **state)
{
    enum { N = 5, INNER = 150 }; /* more columns than are handled side by side */
    static float x[N * INNER], y[N * INNER];

    (void)state;
    for (int i = 0; i < N * INNER; i++)
        x[i] = (float)(i * 37 % 101) - 50.0f;
    vly_softmax_f32(VLY_SOFTMAX, x, 1, N, INNER, y);
    for (int j = 0; j < INNER; j++) {
        double sum = 0.0;
        for (int i = 0; i < N; i++)
            sum += exp((double)x[i * INNER + j]);
        for (int i = 0; i < N; i++)
            assert_true(fabs((double)y[i * INNER + j] - exp((double)x[i * INNER + j]) / sum) <
                        1e-6);
    }
    vly_softmax_f32(VLY_LOG_SOFTMAX, x, 1, N, INNER, x); /* in place */
    for (int i = 0; i < N * INNER; i++)
        assert_true(fabs(exp((double)x[i]) - (double)y[i]) < 1e-5);
}

/* One [n, inner] slice at a place between guards. Exponentials are within an ulp, sums within a
 * few: 1e-6 relative. */
static void check_softmax(const vly_softmax_dsp *dsp, int n, int inner, bool in_place)
{
    float x[600], y[600];

    for (int i = 0; i < 600; i++) {
        x[i] = (float)(i * 7919 % 2003) * 0.01f - 10.0f;
        y[i] = in_place ? x[i] : 5.0f;
    }
    if (inner == 1)
        dsp->rows(in_place ? y + 1 : x + 1, 1, n, y + 1);
    else
        dsp->columns(in_place ? y + 1 : x + 1, n, inner, y + 1);
    for (int j = 0; j < inner; j++) {
        double sum = 0.0;
        for (int i = 0; i < n; i++)
            sum += exp((double)x[1 + i * inner + j]);
        for (int i = 0; i < n; i++) {
            double want = exp((double)x[1 + i * inner + j]) / sum;
            assert_true(fabs((double)y[1 + i * inner + j] - want) <= 2e-6 * want);
        }
    }
    assert_true(y[0] == (in_place ? x[0] : 5.0f));
    assert_true(y[1 + n * inner] == (in_place ? x[1 + n * inner] : 5.0f));
}

static const unsigned levels[] = {0, VLY_CPU_AVX2, VLY_CPU_AVX2 | VLY_CPU_AVX512};

static void softmax_of_every_level(void **state)
{
    (void)state;
    for (size_t level = 0; level < sizeof(levels) / sizeof(levels[0]); level++) {
        vly_softmax_dsp dsp;
        vly_softmax_dsp_init(&dsp, levels[level] & vly_cpu_flags());
        for (int n = 1; n <= 70; n++) {
            check_softmax(&dsp, n, 1, n % 2 == 0);
            for (int inner = 2; n * inner < 590 && inner < 40; inner += 5)
                check_softmax(&dsp, n, inner, n % 2 == 0);
        }
    }
}

/* Many rows at once give what each gives alone, to the last bit, and a NaN stays in its row. */
static void check_rows(const vly_softmax_dsp *dsp, int n)
{
    enum { ROWS = 37, NAN_ROW = 3 };
    float x[ROWS * 18], y[ROWS * 18], one[18];

    for (int i = 0; i < ROWS * n; i++)
        x[i] = i / n == NAN_ROW ? NAN : (float)(i * 7919 % 2003) * 0.01f - 10.0f;
    dsp->rows(x, ROWS, n, y);
    for (int r = 0; r < ROWS; r++) {
        dsp->rows(x + (ptrdiff_t)r * n, 1, n, one);
        for (int i = 0; i < n; i++)
            assert_true(r == NAN_ROW ? isnan(y[r * n + i]) : y[r * n + i] == one[i]);
    }
}

static void rows_do_not_touch_each_other(void **state)
{
    (void)state;
    for (size_t level = 0; level < sizeof(levels) / sizeof(levels[0]); level++) {
        vly_softmax_dsp dsp;
        vly_softmax_dsp_init(&dsp, levels[level] & vly_cpu_flags());
        for (int n = 1; n <= 18; n++)
            check_rows(&dsp, n);
    }
}

/* A row with NaN is NaN, and so is one of -inf alone. */
static void softmax_keeps_nan(void **state)
{
    float x[40], y[40];

    (void)state;
    for (int i = 0; i < 40; i++)
        x[i] = i == 33 ? NAN : 1.0f;
    vly_softmax_f32(VLY_SOFTMAX, x, 1, 40, 1, y);
    for (int i = 0; i < 40; i++) {
        assert_true(isnan(y[i]));
        x[i] = -INFINITY;
    }
    vly_softmax_f32(VLY_SOFTMAX, x, 1, 20, 2, y);
    for (int i = 0; i < 40; i++)
        assert_true(isnan(y[i]));
}

static void extremes_stay_finite(void **state)
{
    const float x[3] = {3e38f, -3e38f, 3e38f};
    const double d[2] = {1e300, 1e300};
    float y[3];
    double z[2];

    (void)state;
    vly_softmax_f32(VLY_SOFTMAX, x, 1, 3, 1, y);
    assert_true(y[0] == 0.5f && y[1] == 0.0f && y[2] == 0.5f);
    vly_softmax_f32(VLY_HARDMAX, x, 1, 3, 1, y); /* the first of equals */
    assert_true(y[0] == 1.0f && y[1] == 0.0f && y[2] == 0.0f);
    vly_softmax_f64(VLY_LOG_SOFTMAX, d, 1, 2, 1, z);
    assert_true(fabs(z[0] - log(0.5)) < 1e-15 && z[0] == z[1]);
}

/* A million values around 10000: float sums would lose the variance. */
static void moments_of_a_long_row(void **state)
{
    enum { N = 1 << 20 };
    static float x[N];

    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = 10000.0f + (i % 2 == 0 ? 0.5f : -0.5f);
    vly_moments m = vly_moments_f32(x, N);
    assert_true(m.mean == 10000.0 && m.variance == 0.25);
    assert_true(vly_mean_square_f32(x, N) == 10000.0 * 10000.0 + 0.25);
}

static void affine_rows(void **state)
{
    const float x[2] = {3, 5}, scale[2] = {10, 100}, bias[2] = {1, 2};
    float y[2];

    (void)state;
    vly_affine_f32(x, 2, 4.0f, 0.5f, 4.0f, 1.0f, y);
    assert_true(y[0] == -1.0f && y[1] == 3.0f);
    vly_affine_rows_f32(x, 2, 4.0f, 0.5f, scale, bias, y);
    assert_true(y[0] == -4.0f && y[1] == 52.0f);
    vly_affine_rows_f32(x, 2, 4.0f, 0.5f, scale, NULL, y);
    assert_true(y[0] == -5.0f && y[1] == 50.0f);
}

/* Four channels of one value, size 2: channel c sees c and c + 1. */
static void local_response(void **state)
{
    const vly_lrn p = {
        .channels = 4, .plane = 1, .size = 2, .alpha = 2.0f, .beta = 1.0f, .k = 1.0f};
    const float x[4] = {1, 2, 3, 4};
    float y[4];

    (void)state;
    vly_lrn_f32(&p, x, 0, 4, y);
    assert_true(y[0] == 1.0f / 6.0f && y[1] == 2.0f / 14.0f);
    assert_true(y[2] == 3.0f / 26.0f && y[3] == 4.0f / 17.0f);
}

UNIT_TESTS(cmocka_unit_test(softmax_along_any_axis), cmocka_unit_test(softmax_of_every_level),
           cmocka_unit_test(rows_do_not_touch_each_other), cmocka_unit_test(softmax_keeps_nan),
           cmocka_unit_test(extremes_stay_finite), cmocka_unit_test(moments_of_a_long_row),
           cmocka_unit_test(affine_rows), cmocka_unit_test(local_response))
