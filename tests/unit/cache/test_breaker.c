/* SPDX-License-Identifier: MIT */
/* The circuit breaker, its clock driven by hand. */
#include "cache/breaker.h"
#include "unit.h"

#define MS VLY_NSEC_PER_MS

static vly_breaker new_breaker(uint64_t seed)
{
    vly_breaker b;

    vly_breaker_init(&b, 3, 100 * MS, 1000 * MS, seed);
    return b;
}

static void opens_after_failures_in_a_row(void **state)
{
    (void)state;
    vly_breaker b = new_breaker(1);

    assert_false(vly_breaker_fail(&b, 0));
    assert_false(vly_breaker_fail(&b, 0));
    vly_breaker_ok(&b); /* the row is broken */
    assert_false(vly_breaker_fail(&b, 0));
    assert_false(vly_breaker_fail(&b, 0));
    assert_true(vly_breaker_try(&b, 0));
    assert_true(vly_breaker_fail(&b, 0));
    assert_int_equal(b.state, VLY_BREAKER_OPEN);
    assert_false(vly_breaker_try(&b, 0));
    assert_false(vly_breaker_fail(&b, 0)); /* late answers do not count */
}

static void lets_one_probe_through(void **state)
{
    (void)state;
    vly_breaker b = new_breaker(2);

    vly_breaker_trip(&b, 1000 * MS);
    vly_nsec retry = b.retry_ns;
    assert_true(retry >= 1050 * MS && retry <= 1100 * MS);
    assert_false(vly_breaker_try(&b, retry - 1));
    assert_true(vly_breaker_try(&b, retry));
    assert_false(vly_breaker_try(&b, retry)); /* the others wait for it */
    vly_breaker_ok(&b);
    assert_int_equal(b.state, VLY_BREAKER_CLOSED);
    assert_true(vly_breaker_try(&b, retry));
    assert_true(vly_breaker_try(&b, retry));
}

/* Every wait lies in the upper half of 100, 200, 400, 800, 1000, 1000 ms. */
static void waits_double_up_to_the_limit(void **state)
{
    static const unsigned base_ms[] = {100, 200, 400, 800, 1000, 1000};
    (void)state;

    for (uint64_t seed = 0; seed < 200; seed++) {
        vly_breaker b = new_breaker(seed);
        vly_nsec now = 0;
        for (size_t i = 0; i < sizeof(base_ms) / sizeof(base_ms[0]); i++) {
            assert_true(vly_breaker_try(&b, now));
            if (i == 0)
                vly_breaker_trip(&b, now);
            else
                assert_true(vly_breaker_fail(&b, now));
            vly_nsec wait = b.retry_ns - now;
            assert_true(wait >= base_ms[i] * MS / 2 && wait <= base_ms[i] * MS);
            now = b.retry_ns;
        }
    }
}

/* Over many seeds the wait comes near both ends of its range, so that clients do not march in step.
 */
static void waits_are_spread(void **state)
{
    (void)state;
    vly_nsec least = UINT64_MAX, most = 0;

    for (uint64_t seed = 0; seed < 1000; seed++) {
        vly_breaker b = new_breaker(seed);
        vly_breaker_trip(&b, 0);
        least = b.retry_ns < least ? b.retry_ns : least;
        most = b.retry_ns > most ? b.retry_ns : most;
    }
    assert_true(least < 52 * MS);
    assert_true(most > 98 * MS);
}

/* A probe that is answered closes the circuit; only work that goes well makes the wait short again.
 */
static void patience_lasts_until_work_goes_well(void **state)
{
    (void)state;
    vly_breaker b = new_breaker(3);

    vly_breaker_trip(&b, 0);
    assert_true(vly_breaker_try(&b, b.retry_ns));
    vly_breaker_ok(&b);
    vly_breaker_trip(&b, 0);
    assert_true(b.retry_ns > 100 * MS - 1); /* half of 200 */
    assert_true(vly_breaker_try(&b, b.retry_ns));
    vly_breaker_ok(&b);
    vly_breaker_ok(&b); /* work */
    vly_breaker_trip(&b, 0);
    assert_true(b.retry_ns <= 100 * MS);
}

UNIT_TESTS(cmocka_unit_test(opens_after_failures_in_a_row),
           cmocka_unit_test(lets_one_probe_through), cmocka_unit_test(waits_double_up_to_the_limit),
           cmocka_unit_test(waits_are_spread),
           cmocka_unit_test(patience_lasts_until_work_goes_well))
