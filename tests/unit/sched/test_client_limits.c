/* SPDX-License-Identifier: MIT */
/*
 * Token buckets with the clock in hand. Random requests are held against a model that counts in
 * whole billionths of a request and keeps every client for good.
 */
#include "sched/client_limits.h"

#include "base/assert.h"
#include "base/rng.h"
#include "unit.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SEC VLY_NSEC_PER_SEC
#define MS  VLY_NSEC_PER_MS

static vly_client_limits *l;
static vly_client_state s;
static vly_err err;

static void open_limits(size_t n)
{
    assert_int_equal(vly_client_limits_new(n, &l, &err), VLY_OK);
}

static vly_status take(uint64_t id, const vly_client_rule *r, vly_nsec now)
{
    bool would = vly_client_limits_would_take(l, id, r, now);
    vly_status st = vly_client_limits_take(l, id, r, now, &s, &err);

    assert_true(would == (st == VLY_OK) ||
                (would && strcmp(err.msg, "too many clients at once") == 0));
    return st;
}

/* A request that is answered at once. */
static vly_status ask(uint64_t id, const vly_client_rule *r, vly_nsec now)
{
    vly_status st = take(id, r, now);

    if (st == VLY_OK)
        vly_client_limits_give(l, id);
    return st;
}

static void fills_at_its_rate(void **state)
{
    const vly_client_rule r = {.rate = 10, .burst = 3};

    (void)state;
    open_limits(8);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(1, &r, SEC), VLY_OK);
    assert_true(s.left < 1 && s.full_ns >= 300 * MS && s.full_ns <= 300 * MS + 1);
    assert_int_equal(ask(1, &r, SEC), VLY_EBUSY);
    assert_string_equal(err.msg, "more than 10 requests a second");
    assert_true(s.wait_ns >= 100 * MS && s.wait_ns <= 100 * MS + 1);
    assert_int_equal(ask(2, &r, SEC), VLY_OK); /* another client */
    assert_int_equal(ask(1, &r, SEC + 99 * MS), VLY_EBUSY);
    assert_int_equal(ask(1, &r, SEC + 101 * MS), VLY_OK);
    assert_int_equal(ask(1, &r, SEC + 102 * MS), VLY_EBUSY);
    for (int i = 0; i < 3; i++) /* never more than the burst */
        assert_int_equal(ask(1, &r, 1000 * SEC), VLY_OK);
    assert_int_equal(ask(1, &r, 1000 * SEC), VLY_EBUSY);
    assert_int_equal(ask(1, &r, 999 * SEC), VLY_EBUSY); /* a clock that goes back gives nothing */
    assert_int_equal(ask(1, &r, 1000 * SEC + 101 * MS), VLY_OK);
    vly_client_limits_free(l);
}

static void bounds_what_is_in_work(void **state)
{
    const vly_client_rule r = {.concurrency = 2}, both = {.rate = 1, .burst = 5, .concurrency = 1};

    (void)state;
    open_limits(8);
    assert_int_equal(take(1, &r, SEC), VLY_OK);
    assert_int_equal(take(1, &r, SEC), VLY_OK);
    assert_int_equal(take(1, &r, SEC), VLY_EBUSY);
    assert_string_equal(err.msg, "more than 2 requests at once");
    assert_int_equal(s.wait_ns, SEC);
    vly_client_limits_give(l, 1);
    assert_int_equal(take(1, &r, SEC), VLY_OK);
    assert_int_equal(take(2, &both, SEC), VLY_OK);
    for (int i = 0; i < 9; i++) /* a refused one takes nothing of the bucket */
        assert_int_equal(take(2, &both, SEC), VLY_EBUSY);
    assert_true(s.left > 3.99 && s.left < 4.01);
    assert_int_equal(vly_client_limits_spend(l, 2, &both, SEC, &s, &err), VLY_OK);
    assert_true(s.left > 2.99 && s.left < 3.01);
    vly_client_limits_free(l);
}

/* One part of four places. */
static void forgets_who_was_silent_longest(void **state)
{
    const vly_client_rule r = {.rate = 1, .burst = 1};

    (void)state;
    open_limits(4);
    for (uint64_t id = 1; id <= 4; id++)
        assert_int_equal(ask(id, &r, SEC), VLY_OK);
    assert_int_equal(ask(1, &r, SEC + 1), VLY_EBUSY); /* so 2 is silent for longest */
    assert_int_equal(take(5, &r, SEC + 2), VLY_OK);
    assert_int_equal(ask(1, &r, SEC + 3), VLY_EBUSY);
    assert_int_equal(take(2, &r, SEC + 4), VLY_OK); /* in place of 3 */
    assert_int_equal(take(6, &r, SEC + 5), VLY_OK); /* of 4 */
    assert_int_equal(take(7, &r, SEC + 6), VLY_OK); /* of 1 */
    assert_int_equal(take(8, &r, SEC + 7), VLY_EBUSY);
    assert_string_equal(err.msg, "too many clients at once");
    assert_int_equal(take(5, &r, SEC + 8), VLY_EBUSY); /* still known */
    vly_client_limits_give(l, 6);
    assert_int_equal(take(8, &r, SEC + 9), VLY_OK);
    vly_client_limits_free(l);
}

enum { CLIENTS = 40, STEPS = 200000 };

#define UNIT INT64_C(1000000000) /* of one request */

typedef struct model {
    int64_t rate, burst, left, concurrency, n_in_work;
    vly_nsec since;
} model;

static bool model_take(model *m, vly_nsec now, bool *ret_is_close)
{
    int64_t left = m->left + (int64_t)(now - m->since) * m->rate;

    m->left = left < m->burst * UNIT ? left : m->burst * UNIT;
    m->since = now;
    *ret_is_close = m->rate > 0 && llabs(m->left - UNIT) < 100;
    if ((m->concurrency > 0 && m->n_in_work >= m->concurrency) || (m->rate > 0 && m->left < UNIT))
        return false;
    m->left -= m->rate > 0 ? UNIT : 0;
    m->n_in_work++;
    return true;
}

static void is_as_the_plain_model(void **state)
{
    model models[CLIENTS];
    vly_nsec now = SEC;
    size_t n_ok = 0, n_refused = 0;
    vly_rng rng;

    (void)state;
    vly_rng_init(&rng, 6, 0);
    open_limits((size_t)CLIENTS * 100); /* room in each part, however they fall */
    for (int i = 0; i < CLIENTS; i++) {
        models[i] = (model){.rate = i % 4 == 0 ? 0 : 1 + (int64_t)vly_rng_below(&rng, 200),
                            .burst = 1 + (int64_t)vly_rng_below(&rng, 20),
                            .concurrency = (int64_t)vly_rng_below(&rng, 4),
                            .since = now};
        models[i].left = models[i].burst * UNIT;
    }
    for (int k = 0; k < STEPS; k++) {
        uint64_t id = vly_rng_below(&rng, CLIENTS);
        model *m = &models[id];
        const vly_client_rule r = {.rate = (double)m->rate,
                                   .burst = (double)m->burst,
                                   .concurrency = (unsigned)m->concurrency};
        bool is_close = false;
        now += vly_rng_below(&rng, 300000);
        if (m->n_in_work > 0 && vly_rng_below(&rng, 2) == 0) {
            vly_client_limits_give(l, id);
            m->n_in_work--;
            continue;
        }
        bool want = model_take(m, now, &is_close);
        bool got = take(id, &r, now) == VLY_OK;
        assert_false(is_close); /* with this seed none is too close to call */
        assert_int_equal(got, want);
        if (m->rate > 0)
            assert_true(fabs(s.left - (double)m->left / (double)UNIT) < 1e-6);
        n_ok += want;
        n_refused += !want;
    }
    assert_true(n_ok > STEPS / 10 && n_refused > STEPS / 10);
    vly_client_limits_free(l);
}

static void *take_and_give(void *arg)
{
    const vly_client_rule r = {.rate = 1e6, .burst = 100000, .concurrency = 2};
    vly_client_state mine;
    size_t *n_ok = arg;

    for (int i = 0; i < 20000; i++) {
        uint64_t id = (uint64_t)i % 3;
        if (vly_client_limits_take(l, id, &r, SEC, &mine, NULL) != VLY_OK)
            continue;
        ++*n_ok;
        vly_client_limits_give(l, id);
    }
    return NULL;
}

/* At one moment the buckets only get emptier: what was given out is what is missing. */
static void counts_from_many_threads(void **state)
{
    const vly_client_rule r = {.rate = 1e6, .burst = 100000};
    pthread_t threads[4];
    size_t n_ok[4] = {0}, total = 0;
    double left = 0;

    (void)state;
    open_limits(2);
    vly_client_limits_free(l);
    open_limits(3);
    for (size_t i = 0; i < VLY_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &n_ok[i]), 0);
    for (size_t i = 0; i < VLY_COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
        total += n_ok[i];
    }
    for (uint64_t id = 0; id < 3; id++) {
        assert_int_equal(ask(id, &r, SEC), VLY_OK);
        left += s.left;
    }
    assert_true(fabs(left + (double)total + 3 - 300000) < 0.5);
    vly_client_limits_free(l);
}

/* As many keys as there may be, all at work: hashes, which do not fall evenly. */
static void has_a_place_for_each(void **state)
{
    const vly_client_rule r = {.rate = 1, .burst = 1};
    enum { N = 10000 };

    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        open_limits(N);
        for (uint64_t i = 0; i < N; i++)
            assert_int_equal(take(vly_rng_mix(seed, i), &r, SEC), VLY_OK);
        for (uint64_t i = 0; i < N; i++)
            assert_int_equal(take(vly_rng_mix(seed, i), &r, SEC), VLY_EBUSY); /* its own bucket */
        vly_client_limits_free(l);
    }
}

UNIT_TESTS(cmocka_unit_test(fills_at_its_rate), cmocka_unit_test(bounds_what_is_in_work),
           cmocka_unit_test(forgets_who_was_silent_longest),
           cmocka_unit_test(is_as_the_plain_model), cmocka_unit_test(has_a_place_for_each),
           cmocka_unit_test(counts_from_many_threads))
