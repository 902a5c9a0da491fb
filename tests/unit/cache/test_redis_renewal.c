/* SPDX-License-Identifier: MIT */
#include "cache/redis_renewal.h"
#include "unit.h"

#define HOUR (3600 * VLY_NSEC_PER_SEC)

static void four_times_a_day(void **state)
{
    vly_redis_renewals r = {.last = {{0}}};
    size_t n = 0;

    (void)state;
    for (vly_nsec at = HOUR; at <= 24 * HOUR; at += HOUR) {
        n += vly_redis_renewal_is_due(&r, 5, at);
        assert_false(vly_redis_renewal_is_due(&r, 5, at));
    }
    assert_int_equal(n, 4);
}

static void each_tag_for_itself(void **state)
{
    vly_redis_renewals r = {.last = {{0}}};

    (void)state;
    assert_true(vly_redis_renewal_is_due(&r, 5, HOUR));
    assert_true(vly_redis_renewal_is_due(&r, 6, HOUR));
    assert_false(vly_redis_renewal_is_due(&r, 5, 2 * HOUR));
    /* in one place: more often than they must */
    assert_true(vly_redis_renewal_is_due(&r, 5 + VLY_REDIS_RENEWALS_MAX, 2 * HOUR));
    assert_true(vly_redis_renewal_is_due(&r, 5, 2 * HOUR));
}

UNIT_TESTS(cmocka_unit_test(four_times_a_day), cmocka_unit_test(each_tag_for_itself))
