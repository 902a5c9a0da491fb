/* SPDX-License-Identifier: MIT */
/* Softmax and norms on values whose results are known. */
#include "dsp/norm.h"
#include "unit.h"

#include <math.h>

static void softmax_along_any_axis(void **state)
{
    enum { N = 5, INNER = 150 }; /* more columns than are handled side by side */
    static float x[N * INNER], y[N * INNER];

    (void)state;
    for (int i = 0; i < N * INNER; i++)
        x[i] = (float)(i * 37 % 101) - 50.0f;
    vly_softmax_f32(VLY_SOFTMAX, x, N, INNER, y);
    for (int j = 0; j < INNER; j++) {
        double sum = 0.0;
        for (int i = 0; i < N; i++)
            sum += exp((double)x[i * INNER + j]);
        for (int i = 0; i < N; i++)
            assert_true(fabs((double)y[i * INNER + j] - exp((double)x[i * INNER + j]) / sum) <
                        1e-6);
    }
    vly_softmax_f32(VLY_LOG_SOFTMAX, x, N, INNER, x); /* in place */
    for (int i = 0; i < N * INNER; i++)
        assert_true(fabs(exp((double)x[i]) - (double)y[i]) < 1e-5);
}

static void extremes_stay_finite(void **state)
{
    const float x[3] = {3e38f, -3e38f, 3e38f};
    const double d[2] = {1e300, 1e300};
    float y[3];
    double z[2];

    (void)state;
    vly_softmax_f32(VLY_SOFTMAX, x, 3, 1, y);
    assert_true(y[0] == 0.5f && y[1] == 0.0f && y[2] == 0.5f);
    vly_softmax_f32(VLY_HARDMAX, x, 3, 1, y); /* the first of equals */
    assert_true(y[0] == 1.0f && y[1] == 0.0f && y[2] == 0.0f);
    vly_softmax_f64(VLY_LOG_SOFTMAX, d, 2, 1, z);
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

UNIT_TESTS(cmocka_unit_test(softmax_along_any_axis), cmocka_unit_test(extremes_stay_finite),
           cmocka_unit_test(moments_of_a_long_row), cmocka_unit_test(affine_rows),
           cmocka_unit_test(local_response))
