/* SPDX-License-Identifier: MIT */
/* Which arm a session gets: known values, made by a program in another language after the
 * description in the header; shares; who moves when weights change. */
#include "sched/model_routes_choice.h"

#include "base/assert.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>

#define SESSIONS 100000

static vly_route_choice arm(const char *route, const char *salt, const char *model,
                            const char *version, double weight)
{
    return (vly_route_choice){vly_route_arm_hash(vly_str_from(route), vly_str_from(salt),
                                                 vly_str_from(model), vly_str_from(version)),
                              weight};
}

static size_t sticky(const vly_route_choice *arms, size_t n, unsigned session)
{
    char id[32];

    snprintf(id, sizeof(id), "session-%u", session);
    return vly_route_choose_sticky(arms, n, vly_route_session_hash(vly_str_from(id)));
}

static void test_known_values(void **state)
{
    static const char expected[] = "110000000100000101110220210202210010020101000101";
    const vly_route_choice arms[] = {arm("detector", "", "yolov8n", "1", 50),
                                     arm("detector", "", "yolov8n", "2", 30),
                                     arm("detector", "salt", "yolov8s", "", 20)};

    (void)state;
    assert_true(vly_route_session_hash(VLY_STR("foobar")) == UINT64_C(0x85944171f73967e8));
    assert_true(vly_route_session_hash(VLY_STR("alice")) == UINT64_C(0x508b2abb65a03907));
    assert_true(arms[0].arm == UINT64_C(0x6c3e712717b0bc5b));
    assert_true(arms[1].arm == UINT64_C(0x6c343f2717a812e0));
    assert_true(arms[2].arm == UINT64_C(0x4275fa4ef66a9601));
    for (unsigned i = 0; i < sizeof(expected) - 1; i++)
        assert_int_equal(sticky(arms, 3, i), expected[i] - '0');
}

/* Chi squared of what came against the weights; 3 arms: 2 degrees of freedom, 13.8 at 0.001. */
static void expect_shares(const size_t *got, const vly_route_choice *arms, size_t n, size_t total)
{
    double sum = 0, chi = 0;

    for (size_t i = 0; i < n; i++)
        sum += arms[i].weight;
    for (size_t i = 0; i < n; i++) {
        double want = (double)total * arms[i].weight / sum;
        chi += ((double)got[i] - want) * ((double)got[i] - want) / want;
    }
    if (chi > 13.8)
        fail_msg("chi squared is %g: %zu %zu %zu", chi, got[0], got[1], got[2]);
}

static void test_shares(void **state)
{
    static const char *const salts[] = {"", "a", "b", "another one"};

    (void)state;
    for (size_t s = 0; s < VLY_COUNT(salts); s++) {
        const vly_route_choice arms[] = {arm("r", salts[s], "m", "1", 50),
                                         arm("r", salts[s], "m", "2", 30),
                                         arm("r", salts[s], "m", "3", 20)};
        size_t got[3] = {0};
        for (unsigned i = 0; i < SESSIONS; i++)
            got[sticky(arms, 3, i)]++;
        expect_shares(got, arms, 3, SESSIONS);
    }
}

/* The acceptance figure: within 0.5 % of 90/10, which is more than five deviations of chance. */
static void test_90_10(void **state)
{
    const vly_route_choice arms[] = {arm("detector", "", "yolov8n", "1", 90),
                                     arm("detector", "", "yolov8n", "2", 10)};
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < SESSIONS; i++)
        n += sticky(arms, 2, i) == 0;
    assert_int_equal(n, 90039); /* as that other program counts */
    assert_true(fabs((double)n / SESSIONS - 0.9) < 0.005);
}

/* Splits of two routes have nothing to do with each other: nine cells that are alike, 8 degrees of
 * freedom, 26.1 at 0.001. */
static void test_routes_are_independent(void **state)
{
    const vly_route_choice a[] = {arm("a", "", "m", "1", 1), arm("a", "", "m", "2", 1),
                                  arm("a", "", "m", "3", 1)};
    const vly_route_choice b[] = {arm("b", "", "m", "1", 1), arm("b", "", "m", "2", 1),
                                  arm("b", "", "m", "3", 1)};
    size_t cell[3][3] = {{0}};
    double chi = 0;

    (void)state;
    for (unsigned i = 0; i < SESSIONS; i++)
        cell[sticky(a, 3, i)][sticky(b, 3, i)]++;
    for (int i = 0; i < 9; i++) {
        double want = SESSIONS / 9.0, got = (double)(&cell[0][0])[i];
        chi += (got - want) * (got - want) / want;
    }
    assert_true(chi < 26.1);
}

/* Sessions that are elsewhere with `after`; all who move go from or to `changed`. */
static size_t moved(const vly_route_choice *before, const vly_route_choice *after, size_t n,
                    size_t changed)
{
    size_t count = 0;

    for (unsigned i = 0; i < SESSIONS; i++) {
        size_t x = sticky(before, n, i), y = sticky(after, n, i);
        if (x == y)
            continue;
        if (x != changed && y != changed)
            fail_msg("session %u went from arm %zu to %zu, when only %zu changed", i, x, y,
                     changed);
        count++;
    }
    return count;
}

static void expect_moved(size_t got, double share)
{
    if (fabs((double)got / SESSIONS - share) > 0.005)
        fail_msg("%zu sessions moved, expected %.4f of them", got, share);
}

static void test_only_those_move_that_must(void **state)
{
    vly_route_choice before[] = {arm("r", "", "m", "1", 50), arm("r", "", "m", "2", 30),
                                 arm("r", "", "m", "3", 20)};
    vly_route_choice after[3];

    (void)state;
    memcpy(after, before, sizeof(after));
    after[2].weight = 40; /* 20 of 100 -> 40 of 120 */
    expect_moved(moved(before, after, 3, 2), 40.0 / 120 - 0.2);
    after[2].weight = 0; /* it goes: its sessions alone find another place */
    expect_moved(moved(before, after, 3, 2), 0.2);
    after[2].weight = 20;
    after[0].weight = 500; /* 50 of 100 -> 500 of 550 */
    expect_moved(moved(before, after, 3, 0), 500.0 / 550 - 0.5);
    for (int i = 0; i < 3; i++) /* only what the weights are to each other counts */
        after[i].weight = before[i].weight / 1000;
    expect_moved(moved(before, after, 3, 0), 0);
}

static void test_spread_is_even_at_any_length(void **state)
{
    const vly_route_choice arms[] = {arm("r", "", "m", "1", 6), arm("r", "", "m", "2", 3),
                                     arm("r", "", "m", "3", 1)};
    size_t got[3] = {0};

    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        got[vly_route_choose_spread(arms, 3, i + 12345)]++;
        double n = (double)(i + 1);
        for (int k = 0; k < 3; k++)
            if (fabs((double)got[k] - n * arms[k].weight / 10) > 4)
                fail_msg("after %g: arm %d has %zu", n, k, got[k]);
    }
}

static void test_nobody_to_choose(void **state)
{
    const vly_route_choice none[] = {{1, 0}, {2, 0}};
    const vly_route_choice one[] = {{1, 0}, {2, 1e-9}, {3, 0}};

    (void)state;
    assert_int_equal(vly_route_choose_sticky(none, 2, 7), 2);
    assert_int_equal(vly_route_choose_spread(none, 2, 7), 2);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(vly_route_choose_sticky(one, 3, i), 1);
        assert_int_equal(vly_route_choose_spread(one, 3, i), 1);
    }
}

static void test_sample(void **state)
{
    size_t n = 0;

    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        n += vly_route_is_sampled(0.05, i);
        assert_false(vly_route_is_sampled(0, i));
        assert_true(vly_route_is_sampled(1, i));
    }
    assert_in_range(n, 497, 503);
}

/* A sample has of each arm what the arm has of all. */
static void test_sample_is_of_all_arms(void **state)
{
    const vly_route_choice arms[] = {{.arm = 1, .weight = 90}, {.arm = 2, .weight = 10}};
    unsigned n[2] = {0, 0};

    (void)state;
    for (uint64_t i = 0; i < 10000; i++)
        n[vly_route_choose_spread(arms, 2, i)] += vly_route_is_sampled(0.2, i);
    if (n[0] < 1780 || n[0] > 1820 || n[1] < 180 || n[1] > 220)
        fail_msg("%u of the first arm, %u of the second", n[0], n[1]);
}

UNIT_TESTS(cmocka_unit_test(test_sample_is_of_all_arms), cmocka_unit_test(test_known_values),
           cmocka_unit_test(test_shares), cmocka_unit_test(test_90_10),
           cmocka_unit_test(test_routes_are_independent),
           cmocka_unit_test(test_only_those_move_that_must),
           cmocka_unit_test(test_spread_is_even_at_any_length),
           cmocka_unit_test(test_nobody_to_choose), cmocka_unit_test(test_sample))
