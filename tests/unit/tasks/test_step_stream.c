/* SPDX-License-Identifier: MIT */
/*
 * Streams and the batcher: the same readings give the same events to the bit, however they come.
 * The signal is made here: it has to have steps, not to be true to life.
 */
#include "base/mem.h"
#include "tasks/steps/step_stream.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define READINGS   1600 /* 20 s at 80 Hz */
#define LENGTH_US  (INT64_C(12500) * READINGS)
#define EVENTS_MAX 256

typedef struct told {
    vly_step_event events[EVENTS_MAX];
    size_t n;
} told;

static void tell(void *arg, const vly_step_event *events, size_t n)
{
    told *t = arg;

    assert_true(t->n + n <= EVENTS_MAX);
    memcpy(t->events + t->n, events, n * sizeof(*events));
    t->n += n;
}

/* Walks of 1.8 steps a second from the third second on, each with its own phase and direction. */
static void make_walk(vly_imu_reading *out, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        double t = (double)i / 80, w = 2 * 3.14159265358979 * 1.8 * t + seed;
        float on = t > 3 ? 1.0F : 0.0F, bounce = on * 3.0F * (float)sin(w);
        float tilt = 0.1F * (float)(seed % 7);
        out[i] = (vly_imu_reading){
            .t_us = (int64_t)i * 12500,
            .acc = {on * (float)sin(w / 2), tilt * (9.81F + bounce), 9.81F + bounce},
            .gyro = {on * 0.5F * (float)cos(w / 2), 0.1F, on * 0.2F * (float)sin(w)}};
    }
}

typedef struct fixture {
    vly_step_model *model;
    vly_step_batcher *runner;
    vly_imu_reading readings[READINGS];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    vly_err err;

    assert_non_null(f);
    if (vly_step_model_load(NULL, -1, &f->model, &err) != VLY_OK ||
        vly_step_batcher_new(f->model, &f->runner, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    make_walk(f->readings, READINGS, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    vly_step_batcher_free(f->runner);
    vly_step_model_unref(f->model);
    free(f);
    return 0;
}

static void run(fixture *f, const vly_step_work *work, size_t n)
{
    vly_err err;

    if (vly_step_batcher_run(f->runner, work, n, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static void finish(fixture *f, const vly_step_work *work)
{
    vly_err err;

    if (vly_step_batcher_finish(f->runner, work, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

/* The readings in one piece. */
static void run_whole(fixture *f, const vly_imu_reading *readings, size_t n, told *ret,
                      vly_step_stream *ret_stream)
{
    vly_step_work work = {ret_stream, readings, n, tell, ret};

    ret->n = 0;
    vly_step_stream_init(ret_stream, f->model, true);
    run(f, &work, 1);
    finish(f, &work);
}

static void assert_same(const told *a, const told *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        assert_int_equal(a->events[i].type, b->events[i].type);
        assert_int_equal(a->events[i].activity, b->events[i].activity);
        assert_int_equal(a->events[i].step, b->events[i].step);
        assert_int_equal(a->events[i].t_us, b->events[i].t_us);
        assert_int_equal(a->events[i].known_us, b->events[i].known_us);
        assert_memory_equal(&a->events[i].confidence, &b->events[i].confidence, sizeof(float));
    }
}

static void steps_come_in_turn(void **state)
{
    fixture *f = *state;
    vly_step_stream s;
    told all;

    run_whole(f, f->readings, READINGS, &all, &s);
    assert_true(all.n > 40);
    for (size_t i = 0; i < all.n; i++) {
        const vly_step_event *e = &all.events[i];
        assert_int_equal(e->type, i % 2 == 0 ? VLY_STEP_START : VLY_STEP_END);
        assert_int_equal(e->step, i / 2 + 1);
        assert_true(e->t_us >= 2500000 && e->t_us < LENGTH_US);
        assert_true(e->known_us >= e->t_us);
        int64_t missed_us =
            e->type == VLY_STEP_START ? INT64_C(12500) * f->model->rule.missed_step : 0;
        assert_true(e->known_us <= e->t_us + vly_step_model_delay_us(f->model) + missed_us);
        assert_true(i == 0 || e->t_us >= all.events[i - 1].t_us);
    }
    assert_int_equal(s.totals.n_steps, all.n / 2);
    assert_int_equal(s.totals.n_readings, READINGS);
    uint64_t n_activity = 0;
    for (int i = 0; i < VLY_ACTIVITIES; i++)
        n_activity += s.totals.n_activity[i];
    assert_int_equal(n_activity, READINGS);
}

/* In pieces of 1, and of 1 .. 61 in turn. */
static void pieces_do_not_matter(void **state)
{
    fixture *f = *state;
    vly_step_stream whole, s;
    told all, parts;

    run_whole(f, f->readings, READINGS, &all, &whole);
    for (size_t most = 1; most <= 61; most += 60) {
        parts.n = 0;
        vly_step_stream_init(&s, f->model, true);
        for (size_t at = 0, n = 1; at < READINGS; at += n) {
            n = 1 + at % most;
            n = n < READINGS - at ? n : READINGS - at;
            run(f, &(vly_step_work){&s, f->readings + at, n, tell, &parts}, 1);
        }
        finish(f, &(vly_step_work){&s, NULL, 0, tell, &parts});
        assert_same(&all, &parts);
        assert_memory_equal(&whole, &s, sizeof(s));
    }
}

/* Streams of different lengths beside each other, alone and together. */
static void company_does_not_matter(void **state)
{
    static const size_t companies[] = {2, 3, 5, 17, 70, 300, 1030};
    enum { MOST = 1030, LONG = 240 };
    fixture *f = *state;
    vly_imu_reading *readings = calloc((size_t)MOST * LONG, sizeof(*readings));
    vly_step_stream *alone = calloc(MOST, sizeof(*alone)), *s = calloc(MOST, sizeof(*s));
    told *all = calloc(MOST, sizeof(*all)), *beside = calloc(MOST, sizeof(*beside));
    vly_step_work *work = calloc(MOST, sizeof(*work));

    assert_true(readings && alone && s && all && beside && work);
    for (unsigned i = 0; i < MOST; i++) {
        make_walk(readings + (size_t)i * LONG, LONG, i);
        run_whole(f, readings + (size_t)i * LONG, LONG - i % 37, &all[i], &alone[i]);
    }
    for (size_t c = 0; c < sizeof(companies) / sizeof(*companies); c++) {
        for (size_t i = 0; i < companies[c]; i++) {
            beside[i].n = 0;
            vly_step_stream_init(&s[i], f->model, true);
            work[i] = (vly_step_work){&s[i], readings + i * LONG, LONG - i % 37, tell, &beside[i]};
        }
        run(f, work, companies[c]);
        for (size_t i = 0; i < companies[c]; i++) {
            finish(f, &work[i]);
            assert_same(&all[i], &beside[i]);
            assert_memory_equal(&alone[i], &s[i], sizeof(s[i]));
        }
    }
    free(readings);
    free(alone);
    free(s);
    free(all);
    free(beside);
    free(work);
}

/* After a gap everything begins anew, as in a recording of its own, but for times and counts. */
static void gaps_begin_anew(void **state)
{
    enum { GAP_US = 5000000 };
    fixture *f = *state;
    vly_imu_reading *twice = calloc((size_t)2 * READINGS, sizeof(*twice));
    vly_step_stream s;
    told one, two;

    assert_non_null(twice);
    run_whole(f, f->readings, READINGS, &one, &s);
    memcpy(twice, f->readings, sizeof(f->readings));
    memcpy(twice + READINGS, f->readings, sizeof(f->readings));
    for (size_t i = READINGS; i < (size_t)2 * READINGS; i++)
        twice[i].t_us += LENGTH_US + GAP_US;
    run_whole(f, twice, (size_t)2 * READINGS, &two, &s);
    assert_int_equal(s.grid.counts.n_gaps, 1);
    assert_int_equal(two.n, 2 * one.n);
    for (size_t i = 0; i < one.n; i++) {
        const vly_step_event *a = &one.events[i], *b = &two.events[i + one.n];
        assert_int_equal(two.events[i].t_us, a->t_us);
        assert_int_equal(b->t_us, a->t_us + LENGTH_US + GAP_US);
        assert_int_equal(b->step, a->step + one.n / 2);
        assert_true(b->confidence == a->confidence);
    }
    free(twice);
}

/* Segments of 1 .. 9 readings, the gaps as small as they can be. */
static void short_segments_are_the_same_in_pieces(void **state)
{
    fixture *f = *state;
    vly_step_stream whole, s;
    told all, parts;
    int64_t t_us = 0;

    for (size_t i = 0, left = 1, n = 1; i < READINGS; i++) {
        f->readings[i].t_us = t_us;
        t_us += --left == 0 ? VLY_IMU_GRID_GAP_US + 1 : 12500;
        if (left == 0)
            left = n = n % 9 + 1;
    }
    run_whole(f, f->readings, READINGS, &all, &whole);
    for (size_t most = 1; most <= 61; most += 20) {
        parts.n = 0;
        vly_step_stream_init(&s, f->model, true);
        for (size_t at = 0, n = 1; at < READINGS; at += n) {
            n = 1 + at % most;
            n = n < READINGS - at ? n : READINGS - at;
            run(f, &(vly_step_work){&s, f->readings + at, n, tell, &parts}, 1);
            assert_true(vly_step_stream_valid(&s, sizeof(s), f->model));
        }
        finish(f, &(vly_step_work){&s, NULL, 0, tell, &parts});
        assert_same(&all, &parts);
        assert_memory_equal(&whole, &s, sizeof(s));
    }
}

/* Readings with a gap behind each never reach the net; from five on a segment does. */
static void lone_readings_cost_no_more_than_others(void **state)
{
    fixture *f = *state;
    vly_step_stream s;
    told all;

    for (size_t i = 0; i < READINGS; i++)
        f->readings[i].t_us = (int64_t)i * (VLY_IMU_GRID_GAP_US + 1);
    run_whole(f, f->readings, READINGS, &all, &s);
    assert_int_equal(s.grid.counts.n_gaps, READINGS - 1);
    assert_int_equal(s.totals.n_net, 0);
    for (size_t n = 1; n <= 5; n++) {
        make_walk(f->readings, n, 1);
        run_whole(f, f->readings, n, &all, &s);
        assert_int_equal(all.n, 0);
        assert_true(s.totals.n_net > 5 || n < 5);
        assert_true(s.totals.n_net <= n || n == 5);
    }
}

static void steady_state_allocates_nothing(void **state)
{
    fixture *f = *state;
    vly_step_stream s;
    told all;

    run_whole(f, f->readings, READINGS, &all, &s);
    uint64_t before = vly_mem_count_all();
    run_whole(f, f->readings, READINGS, &all, &s);
    assert_int_equal(vly_mem_count_all(), before);
}

static void only_own_states_are_valid(void **state)
{
    fixture *f = *state;
    vly_step_stream s, bad;
    told all = {.n = 0};

    vly_step_stream_init(&s, f->model, true);
    assert_true(vly_step_stream_valid(&s, sizeof(s), f->model));
    run(f, &(vly_step_work){&s, f->readings, 333, tell, &all}, 1);
    assert_true(vly_step_stream_valid(&s, sizeof(s), f->model));
    assert_false(vly_step_stream_valid(&s, sizeof(s) - 1, f->model));
    bad = s;
    bad.version++;
    assert_false(vly_step_stream_valid(&bad, sizeof(bad), f->model));
    bad = s;
    bad.model++;
    assert_false(vly_step_stream_valid(&bad, sizeof(bad), f->model));
    bad = s;
    bad.n_frame = VLY_STEP_HOP_MAX;
    assert_false(vly_step_stream_valid(&bad, sizeof(bad), f->model));
    bad = s;
    bad.state[0] = NAN;
    assert_false(vly_step_stream_valid(&bad, sizeof(bad), f->model));
    bad = s;
    memset(&bad.has_gyro, 2, 1);
    assert_false(vly_step_stream_valid(&bad, sizeof(bad), f->model));
}

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        vly_step_stream bad = s;                                                                   \
        change;                                                                                    \
        assert_false(vly_step_stream_valid(&bad, sizeof(bad), f->model));                          \
    } while (0)

/* What would run into sums that overflow, or numbers that are none for good. */
static void damaged_states_are_refused(void **state)
{
    fixture *f = *state;
    vly_step_stream s;
    told all = {.n = 0};

    vly_step_stream_init(&s, f->model, true);
    run(f, &(vly_step_work){&s, f->readings, 333, tell, &all}, 1);
    REFUSED(bad.t_first_us = INT64_MAX);
    REFUSED(bad.t_first_us = INT64_MIN);
    REFUSED(bad.n_segment += UINT64_C(1) << 60; bad.n_run += UINT64_C(1) << 60);
    REFUSED(bad.features.gravity[1] = NAN);
    REFUSED(bad.features.late[0] = INFINITY);
    REFUSED(bad.features.gravity[2] = 1e30F);
    REFUSED(bad.features.has_gravity = 2);
    REFUSED(bad.motion[0][0] = 1e30F);
    REFUSED(bad.decoder.p_start[3] = NAN);
    REFUSED(bad.decoder.p_end[0] = 1.5F);
    REFUSED(bad.decoder.start[1] = -0.5F);
    REFUSED(bad.decoder.end[7] = INFINITY);
    REFUSED(bad.decoder.n++);
    REFUSED(bad.decoder.boundary = bad.decoder.n + 1);
    REFUSED(bad.decoder.has_boundary = 2);
    REFUSED(bad.decoder.is_in_step = 2);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(steps_come_in_turn, set_up, tear_down),
           cmocka_unit_test_setup_teardown(pieces_do_not_matter, set_up, tear_down),

           cmocka_unit_test_setup_teardown(company_does_not_matter, set_up, tear_down),
           cmocka_unit_test_setup_teardown(gaps_begin_anew, set_up, tear_down),
           cmocka_unit_test_setup_teardown(steady_state_allocates_nothing, set_up, tear_down),
           cmocka_unit_test_setup_teardown(short_segments_are_the_same_in_pieces, set_up,
                                           tear_down),
           cmocka_unit_test_setup_teardown(lone_readings_cost_no_more_than_others, set_up,
                                           tear_down),
           cmocka_unit_test_setup_teardown(only_own_states_are_valid, set_up, tear_down),
           cmocka_unit_test_setup_teardown(damaged_states_are_refused, set_up, tear_down))
