/* SPDX-License-Identifier: MIT */
/* The memory planner's heap against the plain truth: ranges in use never overlap. */
#include "engine/native/offsets.h"

#include "unit.h"

#include <stdint.h>

static void test_reuse(void **state)
{
    (void)state;
    vly_offsets o = {0};
    size_t a, b, c, d;

    assert_true(vly_offsets_take(&o, 100, &a));
    assert_true(vly_offsets_take(&o, 1000, &b));
    assert_true(vly_offsets_take(&o, 100, &c));
    assert_int_equal(a % 64 + b % 64 + c % 64, 0);
    size_t peak = o.peak_bytes;
    assert_true(vly_offsets_give(&o, b, 1000));
    assert_true(vly_offsets_take(&o, 900, &d)); /* fits where b was */
    assert_int_equal(d, b);
    assert_int_equal(o.peak_bytes, peak);
    assert_true(vly_offsets_give(&o, d, 900));
    assert_true(vly_offsets_give(&o, a, 100));
    assert_true(vly_offsets_give(&o, c, 100));
    assert_int_equal(o.n_free, 1);               /* all joined */
    assert_true(vly_offsets_take(&o, peak, &d)); /* the tail is extended, not left behind */
    assert_int_equal(d, 0);
    vly_offsets_release(&o);
}

static void test_overflow(void **state)
{
    (void)state;
    vly_offsets o = {0};
    size_t a;
    assert_false(vly_offsets_take(&o, SIZE_MAX - 10, &a));
    assert_true(vly_offsets_take(&o, SIZE_MAX / 2, &a));
    assert_false(vly_offsets_take(&o, SIZE_MAX / 2 + 1000, &a));
    vly_offsets_release(&o);
}

static void test_random(void **state)
{
    (void)state;
    enum { LIVE = 64, ROUNDS = 20000 };
    struct {
        size_t at, bytes;
    } live[LIVE];
    size_t n = 0;
    uint32_t seed = 1;
    vly_offsets o = {0};

    for (int r = 0; r < ROUNDS; r++) {
        seed = seed * 1664525u + 1013904223u;
        if (n < LIVE && (seed >> 16 & 1) != 0) {
            size_t bytes = seed >> 17 & 0xfff, at;
            assert_true(vly_offsets_take(&o, bytes, &at));
            for (size_t i = 0; i < n; i++)
                assert_true(at + bytes <= live[i].at || live[i].at + live[i].bytes <= at);
            assert_true(at + bytes <= o.peak_bytes);
            live[n].at = at;
            live[n++].bytes = bytes;
        } else if (n > 0) {
            size_t i = (seed >> 17) % n;
            assert_true(vly_offsets_give(&o, live[i].at, live[i].bytes));
            live[i] = live[--n];
        }
    }
    vly_offsets_release(&o);
}

UNIT_TESTS(cmocka_unit_test(test_reuse), cmocka_unit_test(test_overflow),
           cmocka_unit_test(test_random))
