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

/* Jobs leave every 20 ms, later every 5: the estimate behind ten jobs, who leaves as the eleventh,
 * is within a tenth of what it will wait, ten jobs after each change within twice that. */
static void follows_the_pace(void **state)
{
    vly_queue_wait w = {.gap_ns = 0};
    vly_nsec now = 1000 * MS;

    (void)state;
    for (int i = 0; i < 60; i++, now += 20 * MS)
        vly_queue_wait_taken(&w, now, 1, 10);
    now -= 20 * MS;
    assert_in_range(vly_queue_wait_behind(&w, now + MS, 10), 198 * MS, 240 * MS); /* 219 */
    for (int i = 0; i < 10; i++)
        vly_queue_wait_taken(&w, now += 5 * MS, 1, 10);
    assert_in_range(vly_queue_wait_behind(&w, now, 10), 55 * MS, 110 * MS);
    for (int i = 0; i < 50; i++)
        vly_queue_wait_taken(&w, now += 5 * MS, 1, 10);
    assert_in_range(vly_queue_wait_behind(&w, now, 10), 50 * MS, 60 * MS); /* 55 */
    for (int i = 0; i < 60; i++)
        vly_queue_wait_taken(&w, now += 20 * MS, 4, 10); /* the same pace in batches */
    assert_in_range(vly_queue_wait_behind(&w, now, 10), 54 * MS, 66 * MS); /* the third: 60 */
}

/* Eight leave every 80 ms, and eight wait: who comes now leaves with the batch after the next. */
static void counts_in_batches(void **state)
{
    vly_queue_wait w = {.gap_ns = 0};
    vly_nsec now = 1000 * MS;

    (void)state;
    for (int i = 0; i < 30; i++)
        vly_queue_wait_taken(&w, now += 80 * MS, 8, 8);
    assert_in_range(vly_queue_wait_behind(&w, now, 8), 155 * MS, 165 * MS);
    assert_in_range(vly_queue_wait_behind(&w, now + 70 * MS, 8), 85 * MS, 95 * MS);
    assert_in_range(vly_queue_wait_behind(&w, now + 70 * MS, 7), 5 * MS, 15 * MS);
}

/* A pace of 10 ms, and a stall of 12 s. From then on who would wait for more than 400 ms is
 * refused, so that at most one waits and nobody is left behind when it leaves: soon two may wait
 * again. */
static void forgets_a_stall(void **state)
{
    vly_queue_wait w = {.gap_ns = 0}, cold = {.gap_ns = 0};
    vly_nsec now = 1000 * MS;
    int n = 0;

    (void)state;
    for (int i = 0; i < 30; i++)
        vly_queue_wait_taken(&w, now += 10 * MS, 1, 3);
    vly_queue_wait_taken(&w, now += 12000 * MS, 1, 0);
    assert_true(vly_queue_wait_behind(&w, now, 4) < 100 * MS); /* it happened once */
    vly_queue_wait_taken(&cold, now, 1, 1); /* the first run is all that is known: it was slow */
    vly_queue_wait_taken(&cold, now += 12000 * MS, 1, 0);
    assert_true(vly_queue_wait_behind(&cold, now, 1) > 400 * MS);
    for (; vly_queue_wait_behind(&cold, now, 1) > 40 * MS; n++)
        vly_queue_wait_taken(&cold, now += 10 * MS, 1, 0);
    assert_in_range(n, 1, 10);
}

static void sees_that_nobody_leaves(void **state)
{
    vly_queue_wait w = {.gap_ns = 2 * MS};

    (void)state;
    vly_queue_wait_taken(&w, 100 * MS, 1, 5);
    assert_int_equal(vly_queue_wait_behind(&w, 101 * MS, 5), 11 * MS);
    assert_int_equal(vly_queue_wait_behind(&w, 150 * MS, 5), 250 * MS);
    assert_int_equal(vly_queue_wait_behind(&w, 99 * MS, 5), 12 * MS); /* jitter between threads */
    vly_queue_wait_taken(&w, 160 * MS, 5, 0);
    assert_in_range(vly_queue_wait_behind(&w, 500 * MS, 5), 10 * MS, 20 * MS);
    assert_true(vly_queue_wait_behind(&w, UINT64_MAX, SIZE_MAX) == UINT64_MAX);
}

UNIT_TESTS(cmocka_unit_test(knows_nothing_at_first), cmocka_unit_test(follows_the_pace),
           cmocka_unit_test(counts_in_batches), cmocka_unit_test(forgets_a_stall),
           cmocka_unit_test(sees_that_nobody_leaves))
