/* SPDX-License-Identifier: MIT */
/* Pools of random windows against plain loops; indices; windows off the image. */
#include "dsp/pooling.h"
#include "dsp/windows.h"
#include "unit.h"

#include <math.h>

enum { PLANE_MAX = 32 * 32 * 32 };

static float x[PLANE_MAX], y[PLANE_MAX];
static int64_t index_of[PLANE_MAX];

/* Maximum, its first place, sum and count of the window's values on the image. */
typedef struct window_stats {
    float max;
    int64_t at;
    double sum, squares;
    int64_t n;
} window_stats;

static window_stats stats_of(const vly_window *w, int64_t out)
{
    window_stats s = {-INFINITY, -1, 0.0, 0.0, 0};

    for (int64_t k = 0; k < vly_window_kernel_size(w); k++) {
        int64_t in;
        if (!window_source(w, out, k, &in))
            continue;
        if (x[in] > s.max || s.at < 0) {
            s.max = x[in];
            s.at = in;
        }
        s.sum += (double)x[in];
        s.squares += (double)x[in] * (double)x[in];
        s.n++;
    }
    return s;
}

static void pools_of_any_window(void **state)
{
    uint32_t seed = 3;

    (void)state;
    for (int i = 0; i < 200; i++) {
        vly_window w = random_window(&seed);
        int64_t n = vly_window_out_size(&w);
        for (int64_t k = 0; k < vly_window_in_size(&w);
             k++) /* few values, so that there are ties */
            x[k] = floorf(4.0f * random_float(&seed));
        vly_max_pool_f32(&w, x, y, index_of);
        for (int64_t o = 0; o < n; o++) {
            assert_true(y[o] == stats_of(&w, o).max);
            assert_int_equal(index_of[o], stats_of(&w, o).at);
        }
        vly_max_pool_f32(&w, x, y, NULL);
        for (int64_t o = 0; o < n; o++)
            assert_true(y[o] == stats_of(&w, o).max);
        vly_mean_pool_f32(&w, x, NULL, y);
        for (int64_t o = 0; o < n; o++) {
            window_stats s = stats_of(&w, o);
            assert_true(fabs((double)y[o] - (s.n > 0 ? s.sum / (double)s.n : 0.0)) < 1e-5);
        }
        vly_lp_pool_f32(&w, x, 2, y);
        for (int64_t o = 0; o < n; o++)
            assert_true(fabs((double)y[o] - sqrt(stats_of(&w, o).squares)) < 1e-5);
    }
}

/* One row of 3 padded by 1 to 5, windows of 3 by steps of 2; the image may be said to end sooner.
 */
static void mean_counts_the_padding(void **state)
{
    const int64_t limit[3] = {1, 1, 4};
    const int64_t near_limit[3] = {1, 1, 3};
    vly_window w = VLY_WINDOW_INIT;

    (void)state;
    w.in[2] = 3;
    w.kernel[2] = 3;
    w.stride[2] = 2;
    w.pad[2] = 1;
    w.out[2] = 2;
    x[0] = 3;
    x[1] = 6;
    x[2] = 9;
    vly_mean_pool_f32(&w, x, limit, y);
    assert_true(y[0] == 3.0f && y[1] == 5.0f);
    vly_mean_pool_f32(&w, x, near_limit, y); /* the last window now has two places */
    assert_true(y[0] == 3.0f && y[1] == 7.5f);
}

static void other_types(void **state)
{
    const uint8_t u[4] = {7, 255, 0, 9};
    const int8_t s[4] = {-7, -128, -1, -9};
    const double d[4] = {-1.5, -2.5, 4.0, 3.0};
    uint8_t uy[2];
    int8_t sy[2];
    double dy[2];
    vly_window w = VLY_WINDOW_INIT;

    (void)state;
    w.in[2] = 4;
    w.kernel[2] = w.stride[2] = w.out[2] = 2;
    vly_max_pool_u8(&w, u, uy, NULL);
    vly_max_pool_i8(&w, s, sy, index_of);
    vly_max_pool_f64(&w, d, dy, NULL);
    assert_true(uy[0] == 255 && uy[1] == 9);
    assert_true(sy[0] == -7 && sy[1] == -1 && index_of[0] == 0 && index_of[1] == 2);
    assert_true(dy[0] == -1.5 && dy[1] == 4.0);
}

static void whole_planes(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 40; n++) {
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++) {
            x[i] = (float)((i * 7) % 11) - 5.0f;
            sum += (double)x[i];
        }
        assert_true((double)vly_sum_f32(x, n) == sum); /* small integers: exact */
        float most = vly_max_f32(x, n);
        for (int64_t i = 0; i < n; i++)
            assert_true(x[i] <= most);
    }
}

UNIT_TESTS(cmocka_unit_test(pools_of_any_window), cmocka_unit_test(mean_counts_the_padding),
           cmocka_unit_test(other_types), cmocka_unit_test(whole_planes))
