/* SPDX-License-Identifier: MIT */
/* The guard's arithmetic against exact values of another program (fractions, no floating point),
 * and its verdicts over many simulated runs of a driven clock. */
#include "sched/model_routes_guard.h"

#include "base/assert.h"
#include "base/rng.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#define SEC VLY_NSEC_PER_SEC

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want) + 1e-12))
        fail_msg("expected %.17g, got %.17g", want, got);
}

static void test_binomial(void **state)
{
    (void)state;
    near(vly_binomial_upper_tail(5, 100, 0.01), 0.003432321587754515);
    near(vly_binomial_upper_tail(8, 20, 0.25), 0.10181185692272265);
    near(vly_binomial_upper_tail(60, 1000, 0.05), 0.08673217838486096);
    near(vly_binomial_upper_tail(1, 50, 0.001), 0.04879437180296865);
    near(vly_binomial_lower_tail(4, 100, 0.01), 1 - 0.003432321587754515);
    near(vly_binomial_upper_tail(0, 10, 0.5), 1);
    near(vly_binomial_upper_tail(11, 10, 0.5), 0);
    near(vly_binomial_upper_tail(3, 10, 0), 0);
    near(vly_binomial_upper_tail(3, 10, 1), 1);
    /* The interval of Clopper and Pearson for 8 of 20, as in their table. */
    near(vly_binomial_lower(8, 20, 0.025), 0.19119006072530717);
    near(vly_binomial_upper(8, 20, 0.025), 0.6394574126925103);
    near(vly_binomial_lower(10, 10, 0.05), pow(0.05, 0.1));
    near(vly_binomial_upper(0, 50, 0.01), 1 - pow(0.01, 1.0 / 50));
    near(vly_binomial_lower(0, 50, 0.01), 0);
    near(vly_binomial_upper(50, 50, 0.01), 1);
    /* Large counts: near the normal distribution, and quick. */
    assert_true(fabs(vly_binomial_upper_tail(500000, 1000000, 0.5) - 0.5) < 0.001);
    assert_true(vly_binomial_upper_tail(600000, 1000000, 0.5) < 1e-300);
}

static vly_route_window window;
static vly_route_tally tally;

static void test_window_forgets(void **state)
{
    (void)state;
    vly_route_window_init(&window, 12 * SEC);
    vly_route_window_add(&window, 100 * SEC, false, 5 * VLY_NSEC_PER_MS);
    vly_route_window_add(&window, 100 * SEC, true, 0);
    vly_route_window_add(&window, 105 * SEC, false, 50 * VLY_NSEC_PER_MS);
    vly_route_window_sum(&window, 105 * SEC, &tally);
    assert_int_equal(tally.n, 3);
    assert_int_equal(tally.errors, 1);
    vly_route_window_sum(&window, 111 * SEC, &tally);
    assert_int_equal(tally.n, 3);
    vly_route_window_sum(&window, 112 * SEC, &tally); /* the slot of 100 s is twelve behind */
    assert_int_equal(tally.n, 1);
    assert_int_equal(tally.errors, 0);
    vly_route_window_add(&window, 112 * SEC, false, 1); /* in the place of that of 100 s */
    vly_route_window_sum(&window, 112 * SEC, &tally);
    assert_int_equal(tally.n, 2);
    vly_route_window_sum(&window, 1000 * SEC, &tally);
    assert_int_equal(tally.n, 0);
}

static void test_quantile(void **state)
{
    (void)state;
    vly_route_window_init(&window, 12 * SEC);
    for (unsigned ms = 1; ms <= 100; ms++)
        vly_route_window_add(&window, SEC, false, ms * VLY_NSEC_PER_MS);
    vly_route_window_sum(&window, SEC, &tally);
    for (int i = 10; i < 20; i++) {
        double q = 0.05 * i;
        double got = vly_clock_ms(vly_route_tally_quantile(&tally, q));
        double want = 100 * q;
        if (!(got >= want - 1e-9 && got <= (want + 1) * 1.125 + 0.01))
            fail_msg("quantile %g is %g ms", q, got);
    }
    /* What cannot be measured is no less than a minute. */
    vly_route_window_init(&window, 12 * SEC);
    vly_route_window_add(&window, SEC, false, 3600 * SEC);
    vly_route_window_sum(&window, SEC, &tally);
    assert_true(vly_route_tally_quantile(&tally, 0.5) > 60 * SEC);
}

/* ---- verdicts ---- */

/* Spread over the slots. */
static void fill(vly_route_tally *t, uint64_t n, uint64_t errors, uint64_t slow, vly_nsec slow_ns)
{
    vly_route_window_init(&window, 12 * SEC);
    for (uint64_t i = 0; i < n; i++)
        vly_route_window_add(&window, (100 + i % VLY_ROUTE_SLOTS) * SEC, i < errors,
                             i < errors + slow ? slow_ns : 1000000);
    vly_route_window_sum(&window, 111 * SEC, t);
}

static vly_route_reason judge(const vly_route_guard *g, const vly_route_tally *a,
                              const vly_route_tally *b)
{
    char why[VLY_ROUTE_WHY_MAX] = "";
    vly_route_reason r = vly_route_guard_judge(g, a, b, why);

    assert_true((r != VLY_ROUTE_NONE) == (why[0] != '\0'));
    return r;
}

/* alpha is 0.01 / 12 for one bound: P(X >= 12 | 100, 0.05) is 0.0043, of 14 0.0006. */
static void test_error_bound(void **state)
{
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;
    vly_route_tally a;

    (void)state;
    g.max_error_rate = 0.05;
    fill(&a, 100, 5, 0, 0);
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_NONE);
    fill(&a, 100, 12, 0, 0);
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_NONE);
    fill(&a, 100, 14, 0, 0);
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_ERRORS);
    fill(&a, 49, 49, 0, 0); /* too few to say */
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_NONE);
    fill(&a, 50, 50, 0, 0);
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_ERRORS);
    g.max_error_rate = 0; /* none are allowed: one is too many */
    fill(&a, 1000, 1, 0, 0);
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_ERRORS);
}

static void test_errors_against_baseline(void **state)
{
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;
    vly_route_tally a, b;

    (void)state;
    g.max_error_increase = 0.02;
    fill(&b, 1000, 100, 0, 0);
    fill(&a, 1000, 100, 0, 0); /* as bad as the other: no reason */
    assert_int_equal(judge(&g, &a, &b), VLY_ROUTE_NONE);
    fill(&a, 1000, 300, 0, 0);
    assert_int_equal(judge(&g, &a, &b), VLY_ROUTE_MORE_ERRORS);
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_NONE); /* nobody to compare with */
    fill(&b, 20, 0, 0, 0);
    assert_int_equal(judge(&g, &a, &b), VLY_ROUTE_NONE);
}

static void test_latency(void **state)
{
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;
    vly_route_tally a, b;

    (void)state;
    g.max_latency_ns = 10 * VLY_NSEC_PER_MS;
    fill(&a, 1000, 0, 50, 100 * VLY_NSEC_PER_MS); /* 5 % are slower: p95 is at the bound */
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_NONE);
    fill(&a, 1000, 0, 100, 100 * VLY_NSEC_PER_MS);
    assert_int_equal(judge(&g, &a, NULL), VLY_ROUTE_LATENCY);
    g.max_latency_ns = 0;
    g.max_latency_ratio = 2;
    fill(&b, 1000, 0, 0, 0);
    assert_int_equal(judge(&g, &a, &b), VLY_ROUTE_MORE_LATENCY);
    fill(&b, 1000, 0, 100, 100 * VLY_NSEC_PER_MS);
    assert_int_equal(judge(&g, &a, &b), VLY_ROUTE_NONE);
    fill(&b, 60, 0, 0, 0); /* too few for an upper bound of p95 */
    assert_int_equal(judge(&g, &a, &b), VLY_ROUTE_NONE);
}

/* Bad inputs hit both arms alike: an arm that refuses more of them has another interface. */
static void test_refused_against_baseline(void **state)
{
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;
    vly_route_tally t[2];

    (void)state;
    g.max_error_rate = 0;
    g.max_error_increase = 0.02;
    for (int with = 0; with < 2; with++) {
        for (int k = 0; k < 2; k++) {
            vly_route_window_init(&window, 12 * SEC);
            for (unsigned i = 0; i < 1200; i++) {
                if (k == 0 || (with == 0 && i < 600))
                    vly_route_window_add_refused(&window, (100 + i % 12) * SEC);
                if (k == 1 || with == 0)
                    vly_route_window_add(&window, (100 + i % 12) * SEC, false, 1000000);
            }
            vly_route_window_sum(&window, 111 * SEC, &t[k]);
        }
        /* half of them and a third of the baseline's; then all of them and none */
        assert_int_equal(judge(&g, &t[0], &t[1]), VLY_ROUTE_MORE_ERRORS);
        assert_int_equal(judge(&g, &t[0], &t[0]), VLY_ROUTE_NONE);
        assert_int_equal(judge(&g, &t[0], NULL), VLY_ROUTE_NONE); /* nobody to compare with */
    }
}

/* One stall, however many requests it hits, is no verdict. */
static void test_one_burst(void **state)
{
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;

    (void)state;
    g.max_error_rate = 0.02;
    g.max_latency_ns = 10 * VLY_NSEC_PER_MS;
    for (int is_error = 0; is_error < 2; is_error++) {
        vly_route_window_init(&window, 12 * SEC);
        for (unsigned slot = 0; slot < VLY_ROUTE_SLOTS; slot++) {
            for (unsigned i = 0; i < 100; i++)
                vly_route_window_add(&window, (100 + slot) * SEC, slot == 5 && is_error,
                                     slot == 5 ? 100000000 : 1000000);
            vly_route_window_sum(&window, (100 + slot) * SEC, &tally);
            assert_int_equal(judge(&g, &tally, NULL), VLY_ROUTE_NONE);
        }
    }
}

/* ---- false alarms ---- */

static void add_burst(vly_route_window *w, vly_nsec now, unsigned n, bool is_error, bool is_slow)
{
    for (unsigned i = 0; i < n; i++)
        vly_route_window_add(w, now, is_error, is_slow ? 40000000 : 4000000);
}

/* Requests of one window, in bursts that share one fate, to an arm and its baseline, which are
 * alike; a look at the end of each slot. True: the arm was condemned. */
static bool is_condemned(const vly_route_guard *g, vly_rng *rng, unsigned n, unsigned burst,
                         float p_error, float p_slow)
{
    static vly_route_window w[2];
    static vly_route_tally t[2];
    char why[VLY_ROUTE_WHY_MAX];

    vly_route_window_init(&w[0], g->window_ns);
    vly_route_window_init(&w[1], g->window_ns);
    for (unsigned slot = 0; slot < VLY_ROUTE_SLOTS; slot++) {
        vly_nsec now = 1000 * g->window_ns + slot * w[0].slot_ns;
        for (unsigned i = 0; i < n / VLY_ROUTE_SLOTS; i += burst)
            for (int k = 0; k < 2; k++)
                add_burst(&w[k], now, burst, vly_rng_uniform(rng) < p_error,
                          vly_rng_uniform(rng) < p_slow);
        vly_route_window_sum(&w[0], now, &t[0]);
        vly_route_window_sum(&w[1], now, &t[1]);
        if (vly_route_guard_judge(g, &t[0], &t[1], why) != VLY_ROUTE_NONE)
            return true;
    }
    return false;
}

static unsigned alarms(const vly_route_guard *g, unsigned runs, unsigned n, unsigned burst,
                       float p_error, float p_slow)
{
    unsigned count = 0;
    vly_rng rng;

    for (unsigned i = 0; i < runs; i++) {
        vly_rng_init(&rng, 7, i);
        count += is_condemned(g, &rng, n, burst, p_error, p_slow);
    }
    return count;
}

/* An arm exactly as bad as is allowed, by each bound, with a confidence so low that alarms come: at
 * most 1 - confidence of the runs, and three deviations of chance. */
static void test_false_alarms(void **state)
{
    enum { RUNS = 1000 };
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;

    (void)state;
    g.confidence = 0.9;
    g.max_error_rate = 0.02;
    g.max_error_increase = 0;
    g.max_latency_ns = 20 * VLY_NSEC_PER_MS;
    g.max_latency_ratio = 1;
    for (unsigned n = 120; n <= 1200; n *= 10) {
        unsigned count = alarms(&g, RUNS, n, 1, 0.02F, 0.05F);
        print_message("# %u requests: %u false alarms in %u runs, allowed are %g\n", n, count, RUNS,
                      (1 - g.confidence) * RUNS);
        assert_true(count <= (1 - g.confidence) * RUNS + 3 * sqrt(RUNS * 0.1 * 0.9));
    }
    /* So that the test can fail: a guard without shares of its alpha alarms more than allowed. */
    g.confidence = 1 - 0.1 * VLY_ROUTE_SLOTS * 4;
    assert_true(alarms(&g, RUNS, 1200, 1, 0.02F, 0.05F) > 0.1 * RUNS + 3 * sqrt(RUNS * 0.09));
}

/* Equal arms whose errors and slow requests come in bursts. */
static void test_bursts(void **state)
{
    enum { RUNS = 500 };
    static const unsigned sizes[] = {4, 20, 50};
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;

    (void)state;
    g.max_error_increase = 0;
    g.max_latency_ratio = 1;
    for (size_t i = 0; i < VLY_COUNT(sizes); i++) {
        unsigned count = alarms(&g, RUNS, 1200, sizes[i], 0.02F, 0.05F);
        print_message("# bursts of %u: %u false alarms in %d runs\n", sizes[i], count, RUNS);
        assert_true(count <= RUNS * 3 / 100);
    }
}

static void test_bad_arms_are_found(void **state)
{
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;
    vly_rng rng;

    (void)state;
    g.max_error_rate = 0.02;
    g.max_latency_ns = 20 * VLY_NSEC_PER_MS;
    for (unsigned i = 0; i < 100; i++) {
        vly_rng_init(&rng, 11, i);
        assert_true(is_condemned(&g, &rng, 600, 1, 0.15F, 0.01F));
        assert_true(is_condemned(&g, &rng, 600, 1, 0, 0.3F));
    }
}

UNIT_TESTS(cmocka_unit_test(test_binomial), cmocka_unit_test(test_window_forgets),
           cmocka_unit_test(test_quantile), cmocka_unit_test(test_error_bound),
           cmocka_unit_test(test_errors_against_baseline), cmocka_unit_test(test_latency),
           cmocka_unit_test(test_false_alarms), cmocka_unit_test(test_bursts),
           cmocka_unit_test(test_refused_against_baseline), cmocka_unit_test(test_one_burst),
           cmocka_unit_test(test_bad_arms_are_found))
