/* SPDX-License-Identifier: MIT */
#include "base/assert.h"
#include "base/metrics.h"
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>

enum { N = 20000, THREADS = 4 };

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Values of every magnitude up to 2^40: quantiles against the sorted list. */
static void quantile_error_is_bounded(void **state)
{
    (void)state;
    static vly_histogram h;
    static uint64_t values[N];
    static const double quantiles[] = {0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1};
    uint64_t seed = 1, sum = 0;
    for (size_t i = 0; i < N; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        values[i] = (seed >> 23) >> (seed % 41);
        sum += values[i];
        vly_histogram_record(&h, values[i]);
    }
    qsort(values, N, sizeof(values[0]), compare_u64);
    assert_int_equal(vly_histogram_count(&h), N);
    assert_true(vly_histogram_sum(&h) == sum);
    assert_true(vly_histogram_max(&h) == values[N - 1]);
    for (size_t k = 0; k < VLY_COUNT(quantiles); k++) {
        size_t rank = (size_t)(quantiles[k] * N + 0.5); /* nearest rank, from 1 */
        uint64_t exact = values[rank > 0 ? rank - 1 : 0];
        uint64_t got = vly_histogram_quantile(&h, quantiles[k]);
        assert_true(got >= exact);
        assert_true((double)got <= (double)exact * (1 + 1.0 / 16));
    }
}

/* Each single value, around every bucket edge, is its own median. */
static void small_values_and_edges(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit <= 40; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)delta;
            vly_histogram h = {0};
            vly_histogram_record(&h, v);
            vly_histogram_record(&h,
                                 UINT64_MAX / 4); /* so that the maximum does not cap v's bucket */
            uint64_t got = vly_histogram_quantile(&h, 0.25);
            assert_true(got >= v);
            assert_true(v < 32 ? got == v : (double)got <= (double)v * (1 + 1.0 / 16));
        }
    }
    vly_histogram empty = {0};
    assert_true(vly_histogram_quantile(&empty, 0.5) == 0);
    assert_true(vly_histogram_max(&empty) == 0);
}

static void counts_below_are_cumulative(void **state)
{
    (void)state;
    static vly_histogram h;
    for (uint64_t v = 1; v <= 1000; v++)
        vly_histogram_record(&h, v);
    static const uint64_t limits[] = {0, 10, 10, 127, 500, UINT64_MAX};
    uint64_t below[VLY_COUNT(limits)];
    assert_true(vly_histogram_cumulate(&h, limits, VLY_COUNT(limits), below) == 1000);
    assert_true(below[0] == 0);
    assert_true(below[1] == 10 && below[2] == 10);
    assert_true(below[3] == 127); /* an edge: exact */
    assert_true(below[4] <= 500 && below[4] >= 500 - 500 / 16);
    assert_true(below[5] == 1000);
}

/* At, just below and just above every limit: none lies in the bucket of another. */
static void limits_are_exact(void **state)
{
    (void)state;
#define LIMIT(ns) UINT64_C(ns),
    static const uint64_t limits[] = {VLY_HIST_LIMITS(LIMIT)};
    uint64_t below[VLY_COUNT(limits)];
    static vly_histogram h;

    for (size_t i = 0; i < VLY_COUNT(limits); i++) {
        vly_histogram_record(&h, limits[i] - 1);
        vly_histogram_record(&h, limits[i]);
        vly_histogram_record(&h, limits[i] + 1);
        vly_histogram_record(&h, limits[i] + limits[i] / 40); /* as a rule the same bucket */
    }
    assert_int_equal(vly_histogram_cumulate(&h, limits, VLY_COUNT(limits), below),
                     4 * VLY_COUNT(limits));
    for (size_t i = 0; i < VLY_COUNT(limits); i++)
        assert_int_equal(below[i], 4 * i + 2);
}

/* What came between two looks, by hand: 1..100, then 1000 ten times. */
static void what_came_since_is_told_apart(void **state)
{
    static vly_histogram h;
    static vly_histogram_counts mark, first, then, none;
    (void)state;
    for (uint64_t v = 1; v <= 100; v++)
        vly_histogram_record(&h, v);
    vly_histogram_since(&h, &mark, &first);
    for (int i = 0; i < 10; i++)
        vly_histogram_record(&h, 1000);
    vly_histogram_since(&h, &mark, &then);
    vly_histogram_since(&h, &mark, &none);
    assert_int_equal(first.n, 100);
    assert_int_equal(first.sum, 5050);
    assert_int_equal(vly_histogram_counts_quantile(&first, 0), 1);
    assert_in_range(vly_histogram_counts_quantile(&first, 0.5), 50, 53);
    assert_in_range(vly_histogram_counts_quantile(&first, 1), 100, 106);
    assert_int_equal(then.n, 10);
    assert_int_equal(then.sum, 10000);
    assert_in_range(vly_histogram_counts_quantile(&then, 0.5), 1000, 1062);
    assert_int_equal(none.n, 0);
    assert_int_equal(none.sum, 0);
    assert_int_equal(vly_histogram_counts_quantile(&none, 0.5), 0);
    vly_histogram_counts_add(&then, &first);
    assert_int_equal(then.n, 110);
    assert_int_equal(then.sum, 15050);
    assert_in_range(vly_histogram_counts_quantile(&then, 0.9), 99, 105);
    assert_in_range(vly_histogram_counts_quantile(&then, 0.95), 1000, 1062);
    vly_histogram_counts_remove(&then, &first);
    assert_int_equal(then.n, 10);
    assert_int_equal(then.sum, 10000);
    assert_in_range(vly_histogram_counts_quantile(&then, 0), 1000, 1062);
    vly_histogram_counts_add(&first, &then);
    vly_histogram_counts_add(&first, &then);
    vly_histogram_counts_remove(&then, &first); /* more than there is */
    assert_int_equal(then.n, 0);
    assert_int_equal(then.sum, 0);
    static vly_histogram other; /* in the place of the first: its mark does not count */
    vly_histogram_record(&other, 3);
    vly_histogram_since(&other, &mark, &then);
    assert_int_equal(then.n, 1);
    assert_int_equal(vly_histogram_counts_quantile(&then, 0.5), 3);
}

static vly_histogram shared_histogram;
static vly_counter shared_counter;
static vly_gauge shared_gauge;

static void *hammer(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < N; i++) {
        vly_histogram_record(&shared_histogram, i);
        vly_counter_add(&shared_counter, 2);
        vly_gauge_add(&shared_gauge, i % 2 == 0 ? 1 : -1);
    }
    return NULL;
}

static void updates_from_threads_are_not_lost(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(vly_histogram_count(&shared_histogram), THREADS * N);
    assert_int_equal(vly_histogram_sum(&shared_histogram), (uint64_t)THREADS * N * (N - 1) / 2);
    assert_int_equal(vly_histogram_max(&shared_histogram), N - 1);
    assert_int_equal(vly_counter_get(&shared_counter), 2 * THREADS * N);
    assert_int_equal(vly_gauge_get(&shared_gauge), 0);
}

UNIT_TESTS(cmocka_unit_test(quantile_error_is_bounded), cmocka_unit_test(small_values_and_edges),
           cmocka_unit_test(counts_below_are_cumulative), cmocka_unit_test(limits_are_exact),
           cmocka_unit_test(what_came_since_is_told_apart),
           cmocka_unit_test(updates_from_threads_are_not_lost))
