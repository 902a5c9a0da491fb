/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/mem.h"
#include "base/rng.h"
#include "load/load_histogram.h"

#include <stdlib.h>

static vly_load_histogram *new_histogram(void)
{
    vly_load_histogram *h = vly_calloc(VLY_MEM_CLI, 1, sizeof(*h));
    assert_non_null(h);
    return h;
}

static void empty_is_zero(void **state)
{
    (void)state;
    vly_load_histogram *h = new_histogram();

    assert_int_equal(vly_load_histogram_quantile(h, 0.5), 0);
    assert_true(vly_load_histogram_mean(h) == 0);
    vly_free(h);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    vly_load_histogram *h = new_histogram();

    for (uint64_t v = 1; v <= 100; v++)
        vly_load_histogram_add(h, v);
    assert_int_equal(vly_load_histogram_quantile(h, 0), 1);
    assert_int_equal(vly_load_histogram_quantile(h, 0.01), 1);
    assert_int_equal(vly_load_histogram_quantile(h, 0.5), 50);
    assert_int_equal(vly_load_histogram_quantile(h, 0.99), 99);
    assert_int_equal(vly_load_histogram_quantile(h, 0.991), 100);
    assert_int_equal(vly_load_histogram_quantile(h, 1), 100);
    assert_true(vly_load_histogram_mean(h) == 50.5);
    vly_free(h);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Against the sorted values: never below, at most 1/128 above. */
static void quantiles_are_close(void **state)
{
    (void)state;
    enum { N = 20000 };
    static uint64_t values[N];
    static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    vly_load_histogram *h = new_histogram();
    vly_rng rng;

    vly_rng_init(&rng, 7, 0);
    for (size_t i = 0; i < N; i++) {
        values[i] = ((uint64_t)vly_rng_next(&rng) << 8) >> vly_rng_below(&rng, 30);
        vly_load_histogram_add(h, values[i]);
    }
    qsort(values, N, sizeof(values[0]), compare);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        const size_t rank = (size_t)(shares[i] * N + 0.9999999);
        const uint64_t exact = values[rank - 1];
        const uint64_t got = vly_load_histogram_quantile(h, shares[i]);
        assert_in_range(got, exact, exact + exact / 128);
    }
    assert_int_equal(h->min, values[0]);
    assert_int_equal(h->max, values[N - 1]);
    vly_free(h);
}

static void edges_leave_no_gap(void **state)
{
    (void)state;
    uint64_t low, high, expected = 0;

    for (size_t i = 0; i < VLY_LOAD_HIST_BUCKETS; i++) {
        vly_load_histogram_edges(i, &low, &high);
        assert_int_equal(low, expected);
        assert_true(high - low <= low / 128);
        expected = high + 1;
    }
    assert_int_equal(expected, UINT64_C(1) << VLY_LOAD_HIST_MAX_BITS);
}

static void past_the_end_keeps_the_maximum(void **state)
{
    (void)state;
    vly_load_histogram *h = new_histogram();

    vly_load_histogram_add(h, UINT64_MAX);
    assert_int_equal(h->n, 1);
    assert_true(vly_load_histogram_quantile(h, 0.5) == UINT64_MAX);
    vly_free(h);
}

static void merging_equals_adding(void **state)
{
    (void)state;
    vly_load_histogram *a = new_histogram(), *b = new_histogram(), *both = new_histogram();

    for (uint64_t v = 0; v < 5000; v += 7) {
        vly_load_histogram_add(v % 2 == 0 ? a : b, v * v);
        vly_load_histogram_add(both, v * v);
    }
    vly_load_histogram_merge(a, b);
    assert_memory_equal(a, both, sizeof(*a));
    vly_free(a);
    vly_free(b);
    vly_free(both);
}

UNIT_TESTS(cmocka_unit_test(empty_is_zero), cmocka_unit_test(small_values_are_exact),
           cmocka_unit_test(quantiles_are_close), cmocka_unit_test(edges_leave_no_gap),
           cmocka_unit_test(past_the_end_keeps_the_maximum),
           cmocka_unit_test(merging_equals_adding))
