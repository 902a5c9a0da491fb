/* SPDX-License-Identifier: MIT */
/* What detectors are compared with: on signals whose steps are known, and rule by rule. */
#include "tasks/steps/step_baseline.h"
#include "tasks/steps/step_dataset.h"
#include "tasks/steps/step_guide.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define RATE 80

/* Still for 5 s, then |acc| = 9.81 + swing * sin(2 pi 2 t) for 20 s, then still for 5 s. */
#define N ((size_t)(30 * RATE))

static vly_imu_reading *walk(double swing)
{
    vly_imu_reading *r = calloc(N, sizeof(*r));

    assert_non_null(r);
    for (size_t i = 0; i < N; i++) {
        double t = (double)i / RATE;
        double s = t >= 5 && t < 25 ? sin(2 * M_PI * 2 * (t - 5)) : 0;
        r[i] =
            (vly_imu_reading){.t_us = (int64_t)i * 12500, .acc = {0, (float)(9.81 + swing * s), 0}};
    }
    return r;
}

/* 525 ms after 525 ms, from within a second of the first movement to within one of the last. */
static void metronome_ticks_while_moving(void **state)
{
    vly_imu_reading *r = walk(2);
    vly_step_event_list l = {0};

    (void)state;
    vly_step_metronome(r, N, RATE, &l);
    assert_int_equal(vly_step_event_list_check(&l, NULL), VLY_OK);
    assert_int_equal(l.n % 2, 0);
    assert_in_range(l.n / 2, 20000 / 525, 21525 / 525);
    assert_in_range(l.events[0].t_us, 5000000, 6000000);
    for (size_t i = 0; i < l.n; i += 2) {
        assert_int_equal(l.events[i].type, VLY_STEP_START);
        assert_int_equal(l.events[i + 1].type, VLY_STEP_END);
        assert_int_equal(l.events[i].step, i / 2 + 1);
        assert_int_equal(l.events[i + 1].t_us - l.events[i].t_us, 525000);
        assert_int_equal(l.events[i].t_us, l.events[0].t_us + (int64_t)i / 2 * 525000);
    }
    assert_in_range(l.events[l.n - 1].t_us, 25000000, 26525000);
    vly_step_event_list_release(&l);
    free(r);
}

/* 40 periods of 2 Hz are 40 peaks. A second-order Butterworth low-pass of 2.5 Hz lets 2 Hz pass by
 * 1 / sqrt(1 + 0.8^4) = 0.842 and delays it by atan(sqrt(2) 0.8 / (1 - 0.64)) / (2 pi 2) = 100 ms.
 * So the peaks at 5.125 + k/2 s come out at 5.225 + k/2, and events lie 142 ms before that. */
static void peaks_are_found_where_they_are(void **state)
{
    vly_imu_reading *r = walk(2);
    vly_step_event_list l = {0};

    (void)state;
    vly_step_peaks(&vly_step_peak_rule_default, r, N, RATE, &l);
    assert_int_equal(l.n, 80);
    for (size_t i = 8; i + 2 < l.n; i += 2) { /* settled; the last ends by time */
        double expected_s = 5.225 + (double)i * 0.25 - 0.142;
        assert_true(fabs((double)l.events[i].t_us / 1e6 - expected_s) < 0.013);
        assert_int_equal(l.events[i + 1].t_us, l.events[i + 2].t_us);
        assert_in_range(l.events[i].known_us - l.events[i].t_us, 142000, 167000);
    }
    assert_int_equal(l.events[79].t_us - l.events[78].t_us, 900000);
    vly_step_event_list_release(&l);
    free(r);
}

/* 0.7 m/s^2 must be left behind the filter: 0.842 * 0.8 is not enough, 0.842 * 0.9 is. */
static void small_peaks_do_not_count(void **state)
{
    vly_imu_reading *below = walk(0.8), *above = walk(0.9);
    vly_step_event_list l = {0};

    (void)state;
    vly_step_peaks(&vly_step_peak_rule_default, below, N, RATE, &l);
    assert_int_equal(l.n, 0);
    vly_step_peaks(&vly_step_peak_rule_default, above, N, RATE, &l);
    assert_in_range(l.n, 76, 80);
    vly_step_event_list_release(&l);
    free(below);
    free(above);
}

static void accepts_short_recordings(void **state)
{
    vly_imu_reading *r = walk(2);
    vly_step_event_list l = {0};

    (void)state;
    for (size_t n = 0; n < 4; n++) {
        vly_step_metronome(r, n, RATE, &l);
        vly_step_peaks(&vly_step_peak_rule_default, r, n, RATE, &l);
    }
    assert_int_equal(l.n, 0);
    free(r);
}

/* ---- the guide ----------------------------------------------------------------------------- */

/* Feeds n readings of |acc| a and |gyro| w from reading *at on; returns how many were steps. */
static unsigned feed(vly_step_guide *g, unsigned *at, unsigned n, float a, float w, float p_start)
{
    unsigned n_steps = 0;

    for (; n > 0; n--, *at += 1) {
        vly_imu_reading r = {.t_us = (int64_t)*at * 12500, .acc = {0, 0, a}, .gyro = {0, w, 0}};
        n_steps += vly_step_guide_next(g, &r, p_start, 0);
    }
    return n_steps;
}

/* Motion without the network: only above 15.75 m/s^2 and 1.575 rad/s. */
static void guide_needs_both(void **state)
{
    vly_step_guide g = {0};
    unsigned at = 0;

    (void)state;
    assert_int_equal(feed(&g, &at, 1, 15.7F, 1.6F, 0), 0);
    assert_int_equal(feed(&g, &at, 1, 15.8F, 1.5F, 0), 0);
    assert_int_equal(feed(&g, &at, 1, 15.8F, 1.6F, 0), 1);
    g = (vly_step_guide){0};
    assert_int_equal(feed(&g, &at, 1, 14.0F, 0.6F, 0.29F), 0);
    assert_int_equal(feed(&g, &at, 1, 14.0F, 0.6F, 0.31F), 1); /* 14 > 13.65 and 0.6 > 0.525 */
}

/* Not twice within 0.4 s, which is 32 readings. Every other one would do: the 34th is the next. */
static void guide_waits_after_a_step(void **state)
{
    vly_step_guide g = {0};
    unsigned at = 0, steps[3] = {0}, n_steps = 0;

    (void)state;
    while (at <= 34)
        if (feed(&g, &at, 1, at % 2 == 0 ? 16 : 8, 2, 0.5F) > 0)
            steps[n_steps++] = at - 1;
    assert_int_equal(n_steps, 2);
    assert_int_equal(steps[0], 0);
    assert_int_equal(steps[1], 34);
    assert_int_equal(feed(&g, &at, 1, 9.8F, 0, 0.79F), 0);
    assert_int_equal(feed(&g, &at, 1, 9.8F, 0, 0.81F), 1); /* the network alone, when sure */
}

/* Where ten readings have hardly varied, no motion counts. */
static void guide_sees_stillness(void **state)
{
    vly_step_guide g = {0};
    unsigned at = 0;

    (void)state;
    assert_int_equal(feed(&g, &at, 9, 9.5F, 0, 0.5F), 0);
    assert_int_equal(feed(&g, &at, 40, 10, 1.1F, 0.5F), 0); /* 10 < 10.5 */
    assert_true(g.n_still >= 10);
    assert_int_equal(feed(&g, &at, 1, 10.6F, 2.2F, 0.5F), 0); /* variance still below 0.5 */
    g.n_still = 0;
    assert_int_equal(feed(&g, &at, 1, 10.61F, 2.2F, 0.5F), 1);
}

/* Three that rise, and a sum that jumps by 1.3. */
static void guide_sees_rises_and_jumps(void **state)
{
    vly_step_guide g = {0};
    unsigned at = 0;

    (void)state;
    feed(&g, &at, 1, 7, 0, 0);
    feed(&g, &at, 1, 8, 0, 0);
    assert_int_equal(feed(&g, &at, 1, 9, 0, 0.5F), 1); /* before ten readings nothing is still */
    g = (vly_step_guide){0};
    feed(&g, &at, 3, 4, 0, 0);
    feed(&g, &at, 2, 5.5F, 0, 0);
    assert_int_equal(feed(&g, &at, 1, 5.5F, 0, 0.5F), 1); /* 5.5 > 1.3 * 4 and > 5 */
}

/* Reference figures, of another implementation of these rules: 8,183 steps for 7,660, starts within
 * 100 ms 0.26, count error 0.22 (a few rules leave room: ours finds 1 % less). */
static void guide_is_as_bad_as_known(void **state)
{
    vly_step_score sum = {0};
    vly_model *m = NULL;
    vly_step_dataset d;
    vly_arena arena;
    vly_err err;
    char path[256];

    (void)state;
    snprintf(path, sizeof(path), "%s", unit_shared("models/step_detection.onnx"));
    vly_arena_init(&arena, VLY_MEM_CODEC, 1 << 16, (size_t)256 << 20);
    assert_int_equal(vly_step_guide_load(path, &m, &err), VLY_OK);
    assert_int_equal(vly_step_dataset_open(unit_shared("data/steps"), &arena, &d, &err), VLY_OK);
    for (size_t i = 0; i < d.n_recordings; i++) {
        vly_step_event_list l = {0};
        vly_step_recording r;
        assert_int_equal(vly_step_recording_read(&d.recordings[i], &arena, &r, &err), VLY_OK);
        assert_int_equal(vly_step_guide_run(m, r.readings, r.n, &l, &err), VLY_OK);
        assert_int_equal(vly_step_score_add(&sum, &r.truth, l.events, l.n, &err), VLY_OK);
        vly_step_event_list_release(&l);
    }
    assert_in_range(sum.n_found, 8183 * 97 / 100, 8183 * 103 / 100);
    assert_float_equal(vly_match_f1(&sum.match[0][1]), 0.26, 0.02);
    assert_true(fabs(sum.abs_count_error / (double)sum.n_true - 0.22) < 0.02);
    vly_model_unref(m);
    vly_arena_release(&arena);
}

static void guide_refuses_other_models(void **state)
{
    vly_model *m = NULL;
    vly_err err;

    (void)state;
    assert_int_equal(vly_step_guide_load(unit_source("examples/ball/ball.onnx"), &m, &err),
                     VLY_EFORMAT);
    assert_non_null(strstr(err.msg, "expected the guide's step network"));
}

UNIT_TESTS(cmocka_unit_test(metronome_ticks_while_moving),
           cmocka_unit_test(peaks_are_found_where_they_are),
           cmocka_unit_test(small_peaks_do_not_count), cmocka_unit_test(accepts_short_recordings),
           cmocka_unit_test(guide_needs_both), cmocka_unit_test(guide_waits_after_a_step),
           cmocka_unit_test(guide_sees_stillness), cmocka_unit_test(guide_sees_rises_and_jumps),
           cmocka_unit_test(guide_is_as_bad_as_known), cmocka_unit_test(guide_refuses_other_models))
