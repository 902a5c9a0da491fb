/* SPDX-License-Identifier: MIT */
/* Expected points computed by hand. */
#include "prep/imu/imu_grid.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#define POINTS_MAX 20000

typedef struct track {
    vly_imu_grid grid;
    vly_imu_reading points[POINTS_MAX];
    bool is_break[POINTS_MAX];
    size_t n;
} track;

static track the_track; /* too large for the stack */

static track *begin_track(unsigned rate_hz)
{
    memset(&the_track, 0, sizeof(the_track));
    vly_imu_grid_init(&the_track.grid, rate_hz);
    return &the_track;
}

/* A reading whose values all follow from v; its points are kept. Returns how many came. */
static size_t push(track *t, int64_t t_us, float v)
{
    const vly_imu_reading r = {t_us, {v, 2 * v, -v}, {4 * v, 1, v + 1}};
    vly_imu_reading out[VLY_IMU_GRID_OUT_MAX];
    bool is_break;
    size_t n = vly_imu_grid_push(&t->grid, &r, out, &is_break);

    assert_true(t->n + n <= POINTS_MAX);
    for (size_t i = 0; i < n; i++) {
        t->is_break[t->n] = is_break && i == 0;
        t->points[t->n++] = out[i];
    }
    return n;
}

static void check_point(const track *t, size_t i, int64_t t_us, double v)
{
    const vly_imu_reading *p = &t->points[i];
    const double want[6] = {v, 2 * v, -v, 4 * v, 1, v + 1};

    assert_true(i < t->n);
    assert_int_equal(p->t_us, t_us);
    for (int k = 0; k < 3; k++) {
        double rounding = 1e-6 * (1 + fabs(want[3]));
        if (fabs((double)p->acc[k] - want[k]) > rounding ||
            fabs((double)p->gyro[k] - want[3 + k]) > rounding)
            fail_msg("point %zu, axis %d: %g %g, expected %g %g", i, k, (double)p->acc[k],
                     (double)p->gyro[k], want[k], want[3 + k]);
    }
}

static void passes_the_grid_as_it_is(void **state)
{
    (void)state;
    track *t = begin_track(80);

    for (int64_t i = 0; i < 10000; i++) {
        float v = 0.1F * (float)i;
        assert_int_equal(push(t, 1700000000000000 + i * 12500, v), 1);
        const vly_imu_reading want = {
            1700000000000000 + i * 12500, {v, 2 * v, -v}, {4 * v, 1, v + 1}};
        assert_memory_equal(&t->points[i], &want, sizeof(want));
        assert_int_equal(t->is_break[i], i == 0);
    }
    assert_int_equal(t->grid.counts.n_bridged + t->grid.counts.n_gaps, 0);
}

/* 60 Hz: 16,666.67 us, which no clock in microseconds can tell. Cut or rounded, each reading is a
 * point. */
static void passes_rounded_times(void **state)
{
    (void)state;
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        track *t = begin_track(60);
        for (int64_t i = 0; i < 6000; i++) {
            int64_t t_us = ((int64_t)i * 1000000 + (is_cut ? 0 : 30)) / 60;
            assert_int_equal(push(t, t_us, (float)i), 1);
            assert_true(t->points[i].acc[0] == (float)i);
            assert_int_equal(t->points[i].t_us, t_us);
        }
    }
}

/* Values that rise by 1 with each ms are exact wherever they are interpolated. */
static void interpolates(void **state)
{
    (void)state;
    track *t = begin_track(80);

    /* 50 Hz: 0 20 40 60; points 0 | 12.5 | 25 37.5 | 50 */
    assert_int_equal(push(t, 0, 0), 1);
    assert_int_equal(push(t, 20000, 20), 1);
    assert_int_equal(push(t, 40000, 40), 2);
    assert_int_equal(push(t, 60000, 60), 1);
    for (int64_t k = 0; k < 5; k++)
        check_point(t, (size_t)k, k * 12500, 12.5 * k);

    t = begin_track(80);
    for (int64_t i = 0; i <= 100; i++) /* 100 Hz */
        push(t, 7000 + i * 10000, 10.0F * (float)i);
    assert_int_equal(t->n, 81);
    for (int64_t k = 0; k <= 80; k++)
        check_point(t, (size_t)k, 7000 + k * 12500, 12.5 * k);
    assert_int_equal(t->grid.counts.n_bridged, 0);
}

static void averages_dense_readings(void **state)
{
    (void)state;
    track *t = begin_track(80);

    for (int64_t i = 0; i <= 500; i++) /* 500 Hz: what is linear stays so */
        push(t, i * 2000, 2.0F * (float)i);
    assert_true(t->n == 79 || t->n == 80); /* the last bin is open */
    for (size_t k = 0; k < t->n; k++)
        check_point(t, k, (int64_t)k * 12500, 12.5 * (double)k);

    /* A buzz of +-1 from reading to reading is averaged away, which interpolation alone would show.
     * Around point 0: 2 4 6 ms, mean 4 ms, -1/3. Around point 1: 8 .. 18 ms, mean 13 ms, 0. Around
     * point 2: 20 .. 30 ms, mean 25 ms, 0. */
    t = begin_track(80);
    for (int64_t i = 0; i < 50; i++)
        push(t, i * 2000, i % 2 == 0 ? 1 : -1);
    check_point(t, 0, 0, 1); /* the first reading is the first point */
    check_point(t, 1, 12500, -1.0 / 3 * (13 - 12.5) / (13 - 4));
    check_point(t, 2, 25000, 0);
}

/* 8 10 12 14 16 18 ms are around point 1: their mean is 13 ms; 2 4 6 are around point 0: 4 ms. */
static void averages_times_too(void **state)
{
    (void)state;
    track *t = begin_track(80);
    const float values[] = {9, 0, 0, 0, 3, 5, 3, 5, 3, 5, 8, 8};

    for (int64_t i = 0; i < 12; i++)
        push(t, i * 2000, values[i]);
    assert_int_equal(t->n, 2);
    check_point(t, 1, 12500, 4 * (12.5 - 4) / (13 - 4));
}

static void goes_from_dense_to_sparse(void **state)
{
    (void)state;
    track *t = begin_track(80);
    int64_t t_us = 0;

    for (int64_t i = 0; i < 100; i++, t_us += 2000)
        push(t, t_us, (float)t_us / 1000);
    for (int64_t i = 0; i < 100; i++, t_us += 20000)
        push(t, t_us, (float)t_us / 1000);
    for (int64_t i = 0; i < 100; i++, t_us += 2000)
        push(t, t_us, (float)t_us / 1000);
    assert_true(t->n >= 188 && t->n <= 192);
    for (size_t k = 0; k < t->n; k++)
        check_point(t, k, (int64_t)k * 12500, 12.5 * (double)k);
}

static void takes_jittered_times(void **state)
{
    (void)state;
    track *t = begin_track(80);
    uint32_t seed = 1;
    int64_t t_us = 0;

    for (int64_t i = 0; i < 2000; i++) { /* 100 Hz, each 0 to 6 ms late */
        seed = seed * 1664525 + 1013904223;
        t_us = i * 10000 + (i > 0 ? seed >> 16 : 0) % 6000;
        push(t, t_us, (float)t_us / 1000);
    }
    assert_true(t->n >= 1597 && t->n <= 1600);
    for (size_t k = 0; k < t->n; k++)
        check_point(t, k, (int64_t)k * 12500, 12.5 * (double)k);
    assert_int_equal(t->grid.counts.n_out_of_order, 0);
}

static void leaves_out_what_is_late(void **state)
{
    (void)state;
    track *t = begin_track(80);

    push(t, 0, 0);
    push(t, 12500, 12.5F);
    assert_int_equal(push(t, 12500, 99), 0);
    assert_int_equal(push(t, 0, 99), 0);
    assert_int_equal(push(t, 25000, 25), 1);
    assert_int_equal(push(t, 24999, 99), 0);
    assert_int_equal(push(t, 37500, 37.5F), 1);
    for (int64_t k = 0; k < 4; k++)
        check_point(t, (size_t)k, k * 12500, 12.5 * k);
    assert_int_equal(t->grid.counts.n_duplicates, 1);
    assert_int_equal(t->grid.counts.n_out_of_order, 2);
}

static void bridges_and_ends_at_holes(void **state)
{
    (void)state;
    track *t = begin_track(80);

    for (int64_t i = 0; i < 4; i++)
        push(t, i * 12500, 12.5F * (float)i);
    assert_int_equal(push(t, 62500, 62.5F), 2);    /* one is missing */
    assert_int_equal(push(t, 262500, 262.5F), 16); /* 200 ms */
    assert_int_equal(t->grid.counts.n_bridged, 2);
    assert_int_equal(t->grid.counts.n_gaps, 0);
    for (int64_t k = 0; k < 22; k++)
        check_point(t, (size_t)k, k * 12500, 12.5 * k);

    assert_int_equal(push(t, 462501, 7), 1); /* 200 ms and 1 us: anew, from its own time */
    assert_true(t->is_break[22]);
    check_point(t, 22, 462501, 7);
    assert_int_equal(push(t, 475001, 8), 1);
    assert_false(t->is_break[23]);
    check_point(t, 23, 475001, 8);
    assert_int_equal(t->grid.counts.n_gaps, 1);
    assert_int_equal(t->grid.counts.n_bridged, 2);
}

static void follows_a_clock_that_was_set_back(void **state)
{
    (void)state;
    const int64_t late = 3600000000;
    track *t = begin_track(80);

    for (int64_t i = 0; i < 10; i++)
        push(t, late + i * 12500, 1);
    for (int64_t i = 0; i < 7; i++)
        assert_int_equal(push(t, i * 12500, 2), 0);
    assert_int_equal(t->grid.counts.n_out_of_order, 7);
    assert_int_equal(push(t, 87500, 2), 1);
    assert_true(t->is_break[10]);
    check_point(t, 10, 87500, 2);
    assert_int_equal(push(t, 100000, 2), 1);
    assert_int_equal(t->grid.counts.n_out_of_order, 7);
    assert_int_equal(t->grid.counts.n_gaps, 1);
}

static void does_not_follow_stray_times(void **state)
{
    (void)state;
    const int64_t now = 3600000000;
    track *t = begin_track(80);

    for (int64_t i = 0; i < 100; i++) { /* every second one from an hour ago: never two in a row */
        assert_int_equal(push(t, now + i * 12500, 1), 1);
        assert_int_equal(push(t, i * 12500, 2), 0);
    }
    for (int64_t i = 0; i < 100; i++) /* from 2 s ago once more */
        assert_int_equal(push(t, now + INT64_C(99) * 12500 - 2000000 + i * 12500, 3), 0);
    assert_int_equal(push(t, now + INT64_C(100) * 12500, 1), 1);
    assert_int_equal(t->grid.counts.n_gaps, 0);
    assert_int_equal(t->grid.counts.n_out_of_order, 200);

    /* One time from the far future: 8 readings later the grid is back. */
    assert_int_equal(push(t, INT64_C(1) << 60, 1), 1);
    size_t n = 0;
    for (int64_t i = 101; i < 111; i++)
        n += push(t, now + i * 12500, 1);
    assert_int_equal(n, 3);
    assert_int_equal(t->grid.counts.n_gaps, 2);
}

/* One time too late by 9.5 s, or by 1.5 s: what comes is in the hole before it, where nothing was.
 * It costs that reading and 7 more. */
static void comes_back_from_a_stray_time_ahead(void **state)
{
    (void)state;
    for (int64_t ahead = 1500000; ahead <= 9500000; ahead += 8000000) {
        track *t = begin_track(80);
        for (int64_t i = 0; i < 100; i++)
            push(t, i * 12500, 1);
        assert_int_equal(push(t, 1250000 + ahead, 2), 1);
        for (int64_t i = 101; i < 108; i++)
            assert_int_equal(push(t, i * 12500, 1), 0);
        for (int64_t i = 108; i < 2000; i++)
            assert_int_equal(push(t, i * 12500, 1), 1);
        assert_true(t->is_break[101]);
        check_point(t, 101, INT64_C(108) * 12500, 1);
        assert_int_equal(t->grid.counts.n_gaps, 2);
        assert_int_equal(t->grid.counts.n_out_of_order, 7);
        /* 99 steps, none, and 108 .. 1999 */
        assert_int_equal(vly_imu_grid_length_us(&t->grid), (99 + 1891) * 12500);
    }
}

/* By 3 s, in the middle of a recording of 20 s: 7 readings are left out. */
static void follows_a_clock_that_was_set_back_a_little(void **state)
{
    (void)state;
    track *t = begin_track(80);
    size_t n = 0;

    for (int64_t i = 0; i < 1600; i++)
        n += push(t, i * 12500 - (i >= 800 ? 3000000 : 0), 1);
    assert_int_equal(n, 1593);
    assert_int_equal(t->grid.counts.n_out_of_order, 7);
    assert_int_equal(vly_imu_grid_length_us(&t->grid), (799 + 792) * 12500);
}

/* What was before a hole of half a second, sent again behind it. */
static void does_not_follow_repeats_from_before_a_hole(void **state)
{
    (void)state;
    track *t = begin_track(80);

    for (int64_t i = 0; i < 100; i++)
        push(t, i * 12500, 1);
    for (int64_t i = 140; i < 150; i++)
        assert_int_equal(push(t, i * 12500, 1), 1);
    for (int64_t i = 50; i < 100; i++)
        assert_int_equal(push(t, i * 12500, 1), 0);
    assert_int_equal(push(t, INT64_C(150) * 12500, 1), 1);
    assert_int_equal(t->grid.counts.n_gaps, 1);
    assert_int_equal(t->grid.counts.n_out_of_order, 50);
}

/* The same readings, going on from a copy of the bytes. */
static void goes_on_from_a_copy(void **state)
{
    (void)state;
    track *t = begin_track(80);
    uint32_t seed = 7;
    int64_t t_us = -5000000;

    for (int64_t i = 0; i < 3000; i++) {
        seed = seed * 1664525 + 1013904223;
        t_us += (i / 500) % 2 == 0 ? 2000 + (seed >> 16) % 1000 : (seed >> 16) % 30000;
        vly_imu_grid copy;
        memcpy(&copy, &t->grid, sizeof(copy));
        assert_true(vly_imu_grid_valid(&copy, 80));
        const vly_imu_reading r = {t_us, {(float)(seed >> 24), 1, 2}, {3, 4, 5}};
        vly_imu_reading a[VLY_IMU_GRID_OUT_MAX], b[VLY_IMU_GRID_OUT_MAX];
        bool is_break_a, is_break_b;
        size_t n = vly_imu_grid_push(&t->grid, &r, a, &is_break_a);
        assert_int_equal(vly_imu_grid_push(&copy, &r, b, &is_break_b), n);
        assert_int_equal(is_break_a, is_break_b);
        assert_memory_equal(a, b, n * sizeof(*a));
        assert_memory_equal(&copy, &t->grid, sizeof(copy));
    }
}

/* Point k of a segment of 400 days at 80 Hz lies at k * 12.5 ms still. */
static void keeps_the_beat_for_a_year(void **state)
{
    (void)state;
    track *t = begin_track(60);
    const uint64_t k = UINT64_C(400) * 86400 * 60;

    push(t, 1000, 0);
    t->grid.n_points = k; /* as if the readings had been pushed */
    t->grid.node.t_us = t->grid.t_last_us = 1000 + (int64_t)(k - 1) * 50000 / 3;
    assert_true(vly_imu_grid_valid(&t->grid, 60));
    assert_int_equal(push(t, 1000 + INT64_C(400) * 86400 * 1000000, 1), 1);
    assert_true(t->points[1].acc[0] == 1);
    assert_int_equal(push(t, 1000 + INT64_C(400) * 86400 * 1000000 + 16667, 2), 1);
    assert_true(t->points[2].acc[0] == 2);
}

static void refuses_what_no_grid_wrote(void **state)
{
    (void)state;
    track *t = begin_track(80);
    vly_imu_grid bad;

    assert_true(vly_imu_grid_valid(&t->grid, 80));
    assert_false(vly_imu_grid_valid(&t->grid, 50));
    for (int64_t i = 0; i < 20; i++)
        push(t, i * 2000, 1);
    assert_true(vly_imu_grid_valid(&t->grid, 80));
    bad = t->grid;
    bad.n_points = 1000;
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad = t->grid;
    bad.n_points = 0; /* all of them again */
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad = t->grid;
    bad.t_last_us += 400000;
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad = t->grid;
    bad.t_first_us = INT64_MIN;
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad = t->grid;
    bad.node.acc[1] = NAN;
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad = t->grid;
    bad.node.gyro[2] = 1e30F; /* the difference of two such is not finite */
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad = t->grid;
    bad.t_hole_us = INT64_MIN;
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad = t->grid;
    bad.has_hole = 2;
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad = t->grid;
    bad.past_us = -1;
    assert_false(vly_imu_grid_valid(&bad, 80));
    bad.past_us = INT64_MAX;
    assert_false(vly_imu_grid_valid(&bad, 80));
    memset(&bad, 0xff, sizeof(bad));
    assert_false(vly_imu_grid_valid(&bad, 80));
}

UNIT_TESTS(cmocka_unit_test(passes_the_grid_as_it_is), cmocka_unit_test(passes_rounded_times),
           cmocka_unit_test(interpolates), cmocka_unit_test(averages_dense_readings),
           cmocka_unit_test(averages_times_too), cmocka_unit_test(goes_from_dense_to_sparse),
           cmocka_unit_test(takes_jittered_times), cmocka_unit_test(leaves_out_what_is_late),
           cmocka_unit_test(bridges_and_ends_at_holes),
           cmocka_unit_test(follows_a_clock_that_was_set_back),
           cmocka_unit_test(follows_a_clock_that_was_set_back_a_little),
           cmocka_unit_test(comes_back_from_a_stray_time_ahead),
           cmocka_unit_test(does_not_follow_repeats_from_before_a_hole),
           cmocka_unit_test(does_not_follow_stray_times), cmocka_unit_test(goes_on_from_a_copy),
           cmocka_unit_test(keeps_the_beat_for_a_year),
           cmocka_unit_test(refuses_what_no_grid_wrote))
