/* SPDX-License-Identifier: MIT */
/* The synthetic walker: the same again, as many steps as asked for, and motion that fits together.
 */
#include "tasks/steps/step_baseline.h"
#include "tasks/steps/step_synth.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>

static vly_arena arena;

static int setup(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 1 << 16, (size_t)256 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

static vly_step_recording make(const vly_step_synth_opts *opts)
{
    vly_step_recording r;

    assert_int_equal(vly_step_synth(opts, &arena, &r, NULL), VLY_OK);
    return r;
}

static bool is_same(const vly_step_recording *a, const vly_step_recording *b)
{
    return a->n == b->n && a->truth.n_steps == b->truth.n_steps &&
           memcmp(a->readings, b->readings, a->n * sizeof(*a->readings)) == 0 &&
           memcmp(a->truth.steps, b->truth.steps, a->truth.n_steps * sizeof(*a->truth.steps)) == 0;
}

static void follows_the_seed(void **state)
{
    vly_step_synth_opts opts = VLY_STEP_SYNTH_DEFAULTS;
    vly_step_recording a = make(&opts), b = make(&opts);

    (void)state;
    assert_true(is_same(&a, &b));
    opts.seed = 2;
    b = make(&opts);
    assert_false(is_same(&a, &b));
}

/* At 120 steps a minute a step takes 0.5 s, the first 15 % more; 60 s but for 0.3 hold 119. A
 * walker limps and drifts by a few per cent. */
static void walks_at_the_cadence(void **state)
{
    static const vly_activity walking[] = {VLY_ACTIVITY_WALKING};
    vly_step_synth_opts opts = VLY_STEP_SYNTH_DEFAULTS;

    (void)state;
    opts.activities = walking;
    opts.n_activities = 1;
    for (unsigned spm = 80; spm <= 160; spm += 40) {
        opts.cadence_spm = spm;
        for (opts.seed = 1; opts.seed <= 5; opts.seed++) {
            vly_step_recording r = make(&opts);
            assert_in_range(r.truth.n_steps, spm * 93 / 100, spm * 105 / 100);
            for (size_t i = 0; i + 1 < r.truth.n_steps; i++)
                assert_int_equal(r.truth.steps[i + 1].start_us - r.truth.steps[i].end_us, 12500);
        }
    }
}

static void keeps_the_rate(void **state)
{
    static const double rates[] = {20, 80, 100, 500};
    vly_step_synth_opts opts = VLY_STEP_SYNTH_DEFAULTS;

    (void)state;
    opts.seconds = 20;
    for (size_t k = 0; k < 4; k++) {
        opts.rate_hz = rates[k];
        vly_step_recording r = make(&opts);
        assert_int_equal(r.n, (size_t)(20 * rates[k]));
        assert_int_equal(r.readings[r.n - 1].t_us, llround((double)(r.n - 1) * 1e6 / rates[k]));
        assert_int_equal(r.truth.n_samples, r.n);
    }
    opts.jitter = 0.45;
    vly_step_recording r = make(&opts);
    for (size_t i = 1; i < r.n; i++) {
        assert_true(r.readings[i].t_us > r.readings[i - 1].t_us);
        assert_true(llabs(r.readings[i].t_us - (int64_t)i * 2000) <= 900);
    }
}

/* What the truth says of activities and steps agrees, and stillness is still. */
static void truth_fits(void **state)
{
    vly_step_synth_opts opts = VLY_STEP_SYNTH_DEFAULTS;

    (void)state;
    opts.seconds = 120;
    for (opts.seed = 1; opts.seed <= 5; opts.seed++) {
        size_t n[VLY_ACTIVITIES] = {0};
        vly_step_recording r = make(&opts);
        for (size_t i = 0; i < r.n; i++)
            n[r.truth.activity[i]]++;
        for (int a = 0; a < VLY_ACTIVITIES; a++)
            assert_true(n[a] > 160); /* 2 s */
        for (size_t k = 0; k < r.truth.n_steps; k++) {
            size_t middle = (size_t)((r.truth.steps[k].start_us + r.truth.steps[k].end_us) / 25000);
            assert_true(r.truth.activity[middle] != VLY_ACTIVITY_STANDING);
        }
    }
    static const vly_activity standing[] = {VLY_ACTIVITY_STANDING};
    opts.activities = standing;
    opts.n_activities = 1;
    vly_step_recording r = make(&opts);
    assert_int_equal(r.truth.n_steps, 0);
    for (size_t i = 0; i < r.n; i++) {
        const float *a = r.readings[i].acc;
        float length = sqrtf(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
        assert_true(length > 7 && length < 12.6F);
    }
}

/* Gravity as the sensor sees it turns against the rotation: dg/dt = -w x g. Over 2 s, in which bias
 * and noise make some hundredths of a radian. */
static void rotation_is_that_of_gravity(void **state)
{
    static const vly_activity standing[] = {VLY_ACTIVITY_STANDING};
    vly_step_synth_opts opts = {
        .seed = 3, .seconds = 60, .rate_hz = 200, .activities = standing, .n_activities = 1};
    vly_step_recording r = make(&opts);
    double largest = 0;

    (void)state;
    for (size_t from = 0; from + 500 < r.n; from += 400) {
        double g[3] = {0}, want[3] = {0}, dot = 0, turned = 0, n_got = 0, n_want = 0;
        for (size_t i = 0; i < 40; i++) /* means of 0.2 s against noise */
            for (int k = 0; k < 3; k++) {
                g[k] += (double)r.readings[from + i].acc[k];
                want[k] += (double)r.readings[from + 400 + i].acc[k];
            }
        const double before[3] = {g[0], g[1], g[2]};
        for (size_t i = from + 20; i < from + 420; i++) {
            const float *w = r.readings[i].gyro;
            double x = (double)w[0] / 200, y = (double)w[1] / 200, z = (double)w[2] / 200;
            double d[3] = {g[1] * z - g[2] * y, g[2] * x - g[0] * z, g[0] * y - g[1] * x};
            for (int k = 0; k < 3; k++)
                g[k] += d[k];
        }
        for (int k = 0; k < 3; k++) {
            dot += g[k] * want[k];
            turned += before[k] * want[k];
            n_got += g[k] * g[k];
            n_want += want[k] * want[k];
        }
        assert_true(acos(fmin(dot / sqrt(n_got * n_want), 1)) < 0.2);
        largest = fmax(largest, acos(fmin(turned / sqrt(n_got * n_want), 1)));
    }
    assert_true(largest > 0.4); /* the hand did turn meanwhile */
}

/* The form is that of a walk: peaks of the low-passed magnitude find nearly all steps. */
static void peaks_find_the_steps(void **state)
{
    vly_step_synth_opts opts = VLY_STEP_SYNTH_DEFAULTS;
    vly_step_score sum = {0};

    (void)state;
    opts.seconds = 120;
    for (opts.seed = 1; opts.seed <= 5; opts.seed++) {
        vly_step_recording r = make(&opts);
        vly_step_event_list l = {0};
        vly_step_peaks(&vly_step_peak_rule_default, r.readings, r.n, r.rate_hz, &l);
        assert_int_equal(vly_step_score_add(&sum, &r.truth, l.events, l.n, NULL), VLY_OK);
        vly_step_event_list_release(&l);
    }
    assert_true(vly_match_f1(&sum.match[0][1]) > 0.9);
    assert_true(sum.abs_count_error / (double)sum.n_true < 0.05);
}

static void refuses_options(void **state)
{
    static const vly_step_synth_opts wrong[] = {
        {.seconds = 0.5, .rate_hz = 80},
        {.seconds = 86401, .rate_hz = 80},
        {.seconds = (double)NAN, .rate_hz = 80},
        {.seconds = 10, .rate_hz = 19},
        {.seconds = 10, .rate_hz = 501},
        {.seconds = 10, .rate_hz = 80, .cadence_spm = 59},
        {.seconds = 10, .rate_hz = 80, .jitter = 0.46},
    };
    static const vly_step_synth_opts least = {.seconds = 1, .rate_hz = 20};
    vly_step_recording r;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(vly_step_synth(&wrong[i], &arena, &r, NULL), VLY_EINVAL);
    r = make(&least);
    assert_int_equal(r.n, 20);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(follows_the_seed), TEST(walks_at_the_cadence), TEST(keeps_the_rate),
           TEST(truth_fits), TEST(rotation_is_that_of_gravity), TEST(peaks_find_the_steps),
           TEST(refuses_options))
