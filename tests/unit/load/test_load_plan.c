/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "load/load_plan.h"

#include <math.h>

static vly_err err;

static vly_load_plan constant(double rate, double seconds)
{
    vly_load_plan p = {.seed = 1};
    assert_int_equal(vly_load_plan_add(&p, rate, rate, (vly_nsec)(seconds * 1e9), &err), VLY_OK);
    return p;
}

static void constant_is_evenly_spaced(void **state)
{
    (void)state;
    const vly_load_plan p = constant(1000, 2);
    vly_load_arrivals a;
    vly_nsec at;
    uint64_t n = 0;

    vly_load_arrivals_init(&a, &p, 0, 1);
    for (; vly_load_arrivals_next(&a, &at); n++)
        assert_in_range(at, n * VLY_NSEC_PER_MS - (n > 0), n * VLY_NSEC_PER_MS);
    assert_int_equal(n, 2000);
}

/* 0 to 100 a second in 10 s: 500 arrivals, the n-th when 5 t^2 = n. */
static void ramp_follows_its_integral(void **state)
{
    (void)state;
    vly_load_plan p = {.seed = 1};
    vly_load_arrivals a;
    vly_nsec at;
    int n = 0;

    assert_int_equal(vly_load_plan_ramp(&p, VLY_STR("0..100"), 10 * VLY_NSEC_PER_SEC, &err),
                     VLY_OK);
    assert_true(vly_load_plan_count(&p) == 500);
    vly_load_arrivals_init(&a, &p, 0, p.n_phases);
    for (; vly_load_arrivals_next(&a, &at); n++)
        assert_true(fabs((double)at - sqrt(n / 5.0) * 1e9) < 2);
    assert_int_equal(n, 500);
    assert_true(fabs(vly_load_plan_rate(&p, 5 * VLY_NSEC_PER_SEC) - 50) < 1e-9);
}

static void ramp_goes_down_too(void **state)
{
    (void)state;
    vly_load_plan p = {.seed = 1};
    vly_load_arrivals a;
    vly_nsec at, last = 0;
    int n = 0, n_early = 0;

    assert_int_equal(vly_load_plan_ramp(&p, VLY_STR("100..0"), 10 * VLY_NSEC_PER_SEC, &err),
                     VLY_OK);
    vly_load_arrivals_init(&a, &p, 0, p.n_phases);
    for (; vly_load_arrivals_next(&a, &at); n++) {
        assert_true(at >= last && at < 10 * VLY_NSEC_PER_SEC);
        n_early += at < 5 * VLY_NSEC_PER_SEC;
        last = at;
    }
    assert_int_equal(n, 500);
    assert_int_equal(n_early, 375); /* 100 t - 5 t^2 at 5 */
}

/* Gaps of a Poisson process: mean 1/rate, deviation the same, e^-1 of them longer than the mean;
 * counts in windows: variance equals mean. Bounds: 4 standard errors. */
static void poisson_has_its_statistics(void **state)
{
    (void)state;
    enum { WINDOWS = 2000 };
    static int counts[WINDOWS];
    vly_load_plan p = constant(1000, 200);
    vly_load_arrivals a;
    vly_nsec at, last = 0;
    double sum = 0, squares = 0, variance = 0;
    int n = 0, n_long = 0;

    p.is_poisson = true;
    vly_load_arrivals_init(&a, &p, 0, 1);
    for (; vly_load_arrivals_next(&a, &at); n++, last = at) {
        const double gap = (double)(at - last) * 1e-6; /* ms: mean 1 */
        sum += gap;
        squares += gap * gap;
        n_long += gap > 1;
        counts[at / (VLY_NSEC_PER_SEC / 10)]++;
    }
    const double mean = sum / n;
    assert_true(fabs(n - 200e3) < 4 * sqrt(200e3));
    assert_true(fabs(mean - 1) < 4 / sqrt(200e3));
    assert_true(fabs(squares / n - mean * mean - 1) < 4 * sqrt(8.0 / 200e3));
    assert_true(fabs((double)n_long / n - exp(-1)) < 4 * sqrt(0.2325 / 200e3));
    for (size_t i = 0; i < WINDOWS; i++)
        variance += (counts[i] - 100.0) * (counts[i] - 100.0) / WINDOWS;
    assert_true(fabs(variance / 100 - 1) < 4 * sqrt(2.0 / WINDOWS));
}

static void a_seed_gives_the_same_again(void **state)
{
    (void)state;
    vly_load_plan p = constant(500, 1), q = constant(500, 1);
    vly_load_arrivals a, b;
    vly_nsec x = 0, y = 0;
    bool differ = false;

    p.is_poisson = q.is_poisson = true;
    vly_load_arrivals_init(&a, &p, 0, 1);
    vly_load_arrivals_init(&b, &q, 0, 1);
    while (vly_load_arrivals_next(&a, &x)) {
        assert_true(vly_load_arrivals_next(&b, &y));
        assert_int_equal(x, y);
    }
    q.seed = 2;
    vly_load_arrivals_init(&a, &p, 0, 1);
    vly_load_arrivals_init(&b, &q, 0, 1);
    while (vly_load_arrivals_next(&a, &x) && vly_load_arrivals_next(&b, &y))
        differ |= x != y;
    assert_true(differ);
}

static void spike_goes_up_and_down(void **state)
{
    (void)state;
    vly_load_plan p = {.seed = 1};
    vly_load_arrivals a;
    vly_nsec at;
    int before = 0, during = 0, after = 0;

    assert_int_equal(
        vly_load_plan_spike(&p, VLY_STR("2000@1s+500ms"), 100, 3 * VLY_NSEC_PER_SEC, &err), VLY_OK);
    vly_load_arrivals_init(&a, &p, 0, p.n_phases);
    while (vly_load_arrivals_next(&a, &at)) {
        before += at < VLY_NSEC_PER_SEC;
        during += at >= VLY_NSEC_PER_SEC && at < 3 * VLY_NSEC_PER_SEC / 2;
        after += at >= 3 * VLY_NSEC_PER_SEC / 2;
    }
    assert_int_equal(before, 100);
    assert_int_equal(during, 1000);
    assert_int_equal(after, 150);
    assert_true(vly_load_plan_rate(&p, 1200 * VLY_NSEC_PER_MS) == 2000);
    assert_true(vly_load_plan_rate(&p, 3 * VLY_NSEC_PER_SEC) == 0);
}

static void steps_are_phases(void **state)
{
    (void)state;
    vly_load_plan p = {.seed = 1};
    vly_load_arrivals a;
    vly_nsec at;
    int n = 0;

    assert_int_equal(vly_load_plan_steps(&p, VLY_STR("100..500+100/2s"), &err), VLY_OK);
    assert_int_equal(p.n_phases, 5);
    assert_true(p.phases[4].from == 500 && p.phases[4].to == 500);
    assert_int_equal(vly_load_plan_duration(&p), 10 * VLY_NSEC_PER_SEC);
    vly_load_arrivals_init(&a, &p, 2, 1);
    for (; vly_load_arrivals_next(&a, &at); n++)
        assert_true(at < 2 * VLY_NSEC_PER_SEC);
    assert_int_equal(n, 600);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const ramps[] = {"",      "5",      "1..",    "..2", "1..2..3",
                                        "-1..5", "1..1e9", "nan..5", "0..0"};
    static const char *const spikes[] = {"", "5", "5@1s", "5@1s+", "5@0+1s", "5@2s+1s", "x@1s+1s"};
    static const char *const steps[] = {"",          "1..2",         "1..2+1",   "1..2+0/1s",
                                        "2..1+1/1s", "1..1000+1/1s", "1..2+1/0s"};
    vly_load_plan p = {0};

    for (size_t i = 0; i < sizeof(ramps) / sizeof(ramps[0]); i++)
        assert_int_not_equal(vly_load_plan_ramp(&p, vly_str_from(ramps[i]), VLY_NSEC_PER_SEC, &err),
                             VLY_OK);
    for (size_t i = 0; i < sizeof(spikes) / sizeof(spikes[0]); i++)
        assert_int_not_equal(
            vly_load_plan_spike(&p, vly_str_from(spikes[i]), 1, 3 * VLY_NSEC_PER_SEC, &err),
            VLY_OK);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        assert_int_not_equal(vly_load_plan_steps(&p, vly_str_from(steps[i]), &err), VLY_OK);
    assert_int_equal(vly_load_plan_add(&p, 1, 1, 0, &err), VLY_EINVAL);
}

static void reads_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        vly_nsec ns;
    } good[] = {{"250us", 250000},
                {"500ms", 500000000},
                {"1.5s", 1500000000},
                {"2m", 120000000000},
                {"1h", 3600000000000},
                {"7", 7000000000},
                {"0", 0},
                {"0.1ms", 100000}};
    static const char *const bad[] = {"", "s", "-1s", "1d", "1 s", "nan", "inf", "800h", "1sms"};
    vly_nsec ns;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(vly_load_duration_parse(vly_str_from(good[i].text), &ns, &err), VLY_OK);
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(vly_load_duration_parse(vly_str_from(bad[i]), &ns, &err), VLY_EINVAL);
}

UNIT_TESTS(cmocka_unit_test(constant_is_evenly_spaced), cmocka_unit_test(ramp_follows_its_integral),
           cmocka_unit_test(ramp_goes_down_too), cmocka_unit_test(poisson_has_its_statistics),
           cmocka_unit_test(a_seed_gives_the_same_again), cmocka_unit_test(spike_goes_up_and_down),
           cmocka_unit_test(steps_are_phases), cmocka_unit_test(refuses),
           cmocka_unit_test(reads_durations))
