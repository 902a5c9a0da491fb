/* SPDX-License-Identifier: MIT */
/* Expected waits, with the clock in hand; worked out by hand, and against a queue played through.
 */
#include "sched/queue_wait.h"

#include "unit.h"

#define MS VLY_NSEC_PER_MS

static void knows_nothing_at_first(void **state)
{
    vly_queue_wait w = {.gap_ns = 0};

    (void)state;
    assert_int_equal(vly_queue_wait_behind(&w, 5 * MS, 100), 0);
    vly_queue_wait_taken(&w, 10 * MS, 1, 0); /* nobody was left: says nothing of the pace */
    vly_queue_wait_taken(&w, 90 * MS, 1, 0);
    assert_int_equal(vly_queue_wait_behind(&w, 91 * MS, 100), 0);
    w.gap_ns = 3 * MS; /* a guess */
    assert_int_equal(vly_queue_wait_behind(&w, 92 * MS, 10), 30 * MS);
    assert_int_equal(vly_queue_wait_behind(&w, 92 * MS, 0), 0);
}

/* Jobs leave every 20 ms, later every 5: the estimate of ten jobs is within a tenth of what they
 * will wait, ten jobs after each change within a third. */
static void follows_the_pace(void **state)
{
    vly_queue_wait w = {.gap_ns = 0};
    vly_nsec now = 1000 * MS;

    (void)state;
    for (int i = 0; i < 60; i++, now += 20 * MS)
        vly_queue_wait_taken(&w, now, 1, 10);
    now -= 20 * MS;
    assert_in_range(vly_queue_wait_behind(&w, now + MS, 10), 180 * MS, 220 * MS);
    for (int i = 0; i < 10; i++)
        vly_queue_wait_taken(&w, now += 5 * MS, 1, 10);
    assert_in_range(vly_queue_wait_behind(&w, now, 10), 50 * MS, 100 * MS);
    for (int i = 0; i < 50; i++)
        vly_queue_wait_taken(&w, now += 5 * MS, 1, 10);
    assert_in_range(vly_queue_wait_behind(&w, now, 10), 45 * MS, 55 * MS);
    for (int i = 0; i < 60; i++)
        vly_queue_wait_taken(&w, now += 20 * MS, 4, 10); /* the same pace in batches */
    assert_in_range(vly_queue_wait_behind(&w, now, 10), 45 * MS, 55 * MS);
}

static void sees_that_nobody_leaves(void **state)
{
    vly_queue_wait w = {.gap_ns = 2 * MS};

    (void)state;
    vly_queue_wait_taken(&w, 100 * MS, 1, 5);
    assert_int_equal(vly_queue_wait_behind(&w, 101 * MS, 5), 10 * MS);
    assert_int_equal(vly_queue_wait_behind(&w, 150 * MS, 5), 250 * MS);
    assert_int_equal(vly_queue_wait_behind(&w, 99 * MS, 5), 10 * MS); /* jitter between threads */
    vly_queue_wait_taken(&w, 160 * MS, 5, 0);
    assert_in_range(vly_queue_wait_behind(&w, 500 * MS, 5), 10 * MS, 20 * MS);
    assert_true(vly_queue_wait_behind(&w, UINT64_MAX, SIZE_MAX) == UINT64_MAX);
}

UNIT_TESTS(cmocka_unit_test(knows_nothing_at_first), cmocka_unit_test(follows_the_pace),
           cmocka_unit_test(sees_that_nobody_leaves))
