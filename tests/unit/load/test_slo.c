/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/assert.h"
#include "base/mem.h"
#include "load/slo.h"

static vly_err err;

static vly_load_slo slo(const char *text)
{
    vly_load_slo s = {.limit = -1};
    assert_int_equal(vly_load_slo_parse(vly_str_from(text), &s, &err), VLY_OK);
    return s;
}

static bool holds(const char *text, const vly_load_tally *t, double ok_per_s)
{
    const vly_load_slo s = slo(text);
    double figure;
    return vly_load_slo_check(&s, t, ok_per_s, &figure);
}

static void reads_them(void **state)
{
    (void)state;

    assert_true(slo("p99<50ms").quantile == 0.99 && slo("p99<50ms").limit == 50e6);
    assert_true(slo("p99.9 <= 1s").takes_limit && slo("p99.9 <= 1s").limit == 1e9);
    assert_true(slo("max<2s").quantile == 1);
    assert_int_equal(slo("mean<5ms").kind, VLY_LOAD_SLO_MEAN);
    assert_true(slo("errors<0.1%").limit == 0.001);
    assert_true(slo("errors<=0.02").limit == 0.02);
    assert_true(slo("rate>=1000").is_above && slo("rate>=1000").limit == 1000);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "p99",    "p99>50ms", "p0<1s",    "p101<1s", "q99<1s",  "p99<", "p99<fast",
        "errors>1", "rate<5", "errors<2", "errors<%", "rate>x",  "p99==1s", "p<1s", "errors<101%"};
    vly_load_slo s;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(vly_load_slo_parse(vly_str_from(bad[i]), &s, &err), VLY_EINVAL);
}

/* 999 answers of 1 .. 999 us and one time-out of 1 s. */
static void checks_figures(void **state)
{
    (void)state;
    vly_load_tally *t = vly_calloc(VLY_MEM_CLI, 1, sizeof(*t));

    assert_non_null(t);
    assert_false(holds("p99<50ms", t, 0)); /* nothing succeeded */
    assert_true(holds("errors<0.1%", t, 0));
    for (uint64_t i = 1; i < 1000; i++)
        vly_load_histogram_add(i % 2 == 0 ? &t->hits : &t->computed, i * 1000);
    t->counts.n_ok = 999;
    t->counts.n_timeout = 1;
    assert_true(holds("p50<505us", t, 0));
    assert_false(holds("p50<495us", t, 0));
    assert_true(holds("p99.9<1ms", t, 0));
    assert_false(holds("p99.95<1ms", t, 0));
    assert_false(holds("max<1h", t, 0)); /* the one that was given up has no end */
    assert_true(holds("errors<=0.1%", t, 0));
    assert_false(holds("errors<0.1%", t, 0));
    assert_false(holds("mean<1h", t, 0));
    assert_true(holds("rate>=100", t, 100));
    assert_false(holds("rate>100", t, 100));
    t->counts.n_timeout = 0;
    assert_true(holds("max<=999us", t, 0));
    assert_true(holds("mean<501us", t, 0)); /* 500 us */
    assert_false(holds("mean<499us", t, 0));
    vly_free(t);
}

/* What was not answered well has no latency, and yet is not left out. */
static void counts_all_requests(void **state)
{
    (void)state;
    vly_load_tally *t = vly_calloc(VLY_MEM_CLI, 1, sizeof(*t));
    uint64_t *const kinds[] = {&t->counts.n_refused, &t->counts.n_failed, &t->counts.n_timeout,
                               &t->counts.n_unsent};

    for (uint64_t i = 0; i < 90; i++)
        vly_load_histogram_add(&t->computed, 1000);
    t->counts.n_ok = 90;
    for (size_t i = 0; i < VLY_COUNT(kinds); i++) {
        *kinds[i] = 10;
        assert_true(holds("p90<1ms", t, 0));
        assert_false(holds("p91<1ms", t, 0));
        *kinds[i] = 0;
    }
    vly_free(t);
}

UNIT_TESTS(cmocka_unit_test(reads_them), cmocka_unit_test(refuses),
           cmocka_unit_test(checks_figures), cmocka_unit_test(counts_all_requests))
