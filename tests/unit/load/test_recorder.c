/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/mem.h"
#include "load/recorder.h"

static vly_load_recorder *r;
static vly_load_tally *tally;

static int set_up(void **state)
{
    (void)state;
    r = vly_calloc(VLY_MEM_CLI, 1, sizeof(*r));
    tally = vly_calloc(VLY_MEM_CLI, 1, sizeof(*tally));
    vly_load_recorder_init(r);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_load_recorder_release(r);
    vly_free(r);
    vly_free(tally);
    return 0;
}

/* Due at 100, handed over at 107, sent at 150, done at 190. */
static vly_load_call call(vly_load_outcome outcome, int status)
{
    return (vly_load_call){.intended_ns = 100,
                           .sent_ns = 150,
                           .done_ns = 190,
                           .outcome = outcome,
                           .status = status,
                           .bytes_in = 3,
                           .bytes_out = 5};
}

static void counts_from_when_it_was_due(void **state)
{
    (void)state;
    const vly_load_call c = call(VLY_LOAD_OK, 200);

    vly_load_recorder_add(r, &c, 107);
    vly_load_recorder_take(r, tally);
    assert_int_equal(tally->latency.max, 90);
    assert_int_equal(tally->service.max, 40);
    assert_int_equal(tally->lateness.max, 7);
    assert_int_equal(tally->counts.n_ok, 1);
    assert_int_equal(tally->counts.bytes_in, 3);
    assert_int_equal(tally->counts.bytes_out, 5);
    assert_int_equal(tally->last_ok_ns, 190);
}

static void tells_outcomes_apart(void **state)
{
    (void)state;
    vly_load_call hit = call(VLY_LOAD_OK, 200);
    const vly_load_call all[] = {call(VLY_LOAD_OK, 200),     call(VLY_LOAD_STATUS, 429),
                                 call(VLY_LOAD_STATUS, 503), call(VLY_LOAD_STATUS, 429),
                                 call(VLY_LOAD_FAILED, 0),   call(VLY_LOAD_TIMEOUT, 0)};

    hit.is_cached = true;
    vly_load_recorder_add(r, &hit, 100);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        vly_load_recorder_add(r, &all[i], 100);
    vly_load_recorder_add_unsent(r);
    vly_load_recorder_take(r, tally);
    const vly_load_outcomes *c = &tally->counts;
    assert_int_equal(c->n_ok, 2);
    assert_int_equal(c->n_hits, 1);
    assert_int_equal(c->n_refused, 3);
    assert_int_equal(c->n_failed, 1);
    assert_int_equal(c->n_timeout, 1);
    assert_int_equal(c->n_unsent, 1);
    assert_int_equal(vly_load_n_all(c), 8);
    assert_true(vly_load_error_share(c) == 0.75);
    assert_int_equal(tally->hits.n, 1);
    assert_int_equal(tally->computed.n, 1);
    assert_int_equal(tally->latency.n, 3); /* the time-out too */
    assert_int_equal(tally->refused.n, 3);
    assert_int_equal(tally->n_statuses, 2);
    assert_int_equal(tally->statuses[0].status, 429);
    assert_int_equal(tally->statuses[0].n, 2);
    assert_int_equal(tally->statuses[1].status, 503);
}

static void a_take_leaves_nothing(void **state)
{
    (void)state;
    const vly_load_call c = call(VLY_LOAD_OK, 200);
    vly_load_recent *recent = vly_calloc(VLY_MEM_CLI, 1, sizeof(*recent));

    vly_load_recorder_add(r, &c, 100);
    vly_load_recorder_take_recent(r, recent);
    vly_load_recorder_take_recent(r, recent);
    assert_int_equal(recent->counts.n_ok, 1);
    assert_int_equal(recent->latency.n, 1);
    vly_load_recorder_add(r, &c, 100);
    vly_load_recorder_take_recent(r, recent);
    assert_int_equal(recent->counts.n_ok, 2);
    vly_load_recorder_take(r, tally);
    vly_load_recorder_take(r, tally);
    assert_int_equal(tally->counts.n_ok, 2);
    vly_free(recent);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(counts_from_when_it_was_due, set_up, tear_down),
           cmocka_unit_test_setup_teardown(tells_outcomes_apart, set_up, tear_down),
           cmocka_unit_test_setup_teardown(a_take_leaves_nothing, set_up, tear_down))
