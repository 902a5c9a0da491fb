/* SPDX-License-Identifier: MIT */
/* Who gets resources when: held and released by hand on one thread. */
#include "sched/rate_limit.h"

#include "unit.h"

#include <string.h>

static vly_rate_limiter *l;
static vly_err err;

typedef struct probe {
    vly_rate_claim claim; /* first: a claim is its probe */
    int n_granted;
} probe;

static probe probes[4];

static void granted(vly_rate_claim *c)
{
    ((probe *)c)->n_granted++;
}

static int close_limiter(void **state)
{
    (void)state;
    vly_rate_limiter_free(l);
    l = NULL;
    return 0;
}

static void open_limiter(const char *capacities)
{
    memset(probes, 0, sizeof(probes));
    assert_int_equal(vly_rate_limiter_new(capacities, &l, &err), VLY_OK);
}

static vly_status init(size_t i, const char *name, int64_t count, int64_t priority)
{
    const vly_triton_resource resource = {.name = vly_str_from(name), .count = count};
    const vly_triton_rate_limiter config = {
        .n_resources = 1, .resources = &resource, .priority = priority};

    probes[i] = (probe){.claim = {.granted = granted}};
    return vly_rate_claim_init(l, &config, &probes[i].claim, &err);
}

static bool take(size_t i)
{
    return vly_rate_claim_take(l, &probes[i].claim);
}

static void release(size_t i)
{
    vly_rate_claim_release(l, &probes[i].claim);
}

/* There are as many as the one that needs most of them asks for: 4. */
static void as_many_as_are_needed(void **state)
{
    (void)state;
    open_limiter("");
    assert_int_equal(init(0, "R", 4, 1), VLY_OK);
    assert_int_equal(init(1, "R", 2, 1), VLY_OK);
    assert_int_equal(init(2, "R", 2, 1), VLY_OK);
    assert_int_equal(init(3, "S", 1, 1), VLY_OK);
    assert_true(take(1));
    assert_true(take(2));
    assert_false(take(0));
    assert_true(take(3)); /* another resource: nothing holds it up */
    release(1);
    assert_int_equal(probes[0].n_granted, 0); /* two are not enough */
    assert_false(take(1));                    /* and nobody overtakes, though two are there */
    release(2);
    assert_int_equal(probes[0].n_granted, 1);
    release(0);
    assert_int_equal(probes[1].n_granted, 1);
    release(1);
    release(3);
}

static void as_many_as_the_setting_says(void **state)
{
    (void)state;
    open_limiter("R=3,S=1");
    assert_int_equal(init(0, "R", 2, 1), VLY_OK);
    assert_int_equal(init(1, "R", 1, 1), VLY_OK);
    assert_int_equal(init(2, "R", 4, 1), VLY_EINVAL);
    assert_string_equal(err.msg, "rate_limiter: resource 'R': an instance needs 4, there are 3");
    assert_true(take(0));
    assert_true(take(1));
    release(0);
    release(1);
    vly_rate_limiter *none;
    assert_int_equal(vly_rate_limiter_new("R=3,S", &none, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "expected NAME=COUNT, got 'S'");
    assert_int_equal(vly_rate_limiter_new("=3", &none, &err), VLY_EINVAL);
}

/* Of three that always want the one resource, that of priority 2 gets half as many turns. */
static void priorities_are_shares(void **state)
{
    (void)state;
    size_t holder = 0;

    open_limiter("");
    assert_int_equal(init(0, "R", 1, 1), VLY_OK);
    assert_int_equal(init(1, "R", 1, 2), VLY_OK);
    assert_int_equal(init(2, "R", 1, 1), VLY_OK);
    assert_true(take(0));
    assert_false(take(1));
    assert_false(take(2));
    for (int i = 0; i < 300; i++) {
        int before[3] = {probes[0].n_granted, probes[1].n_granted, probes[2].n_granted};
        size_t last = holder;
        release(holder);
        for (size_t k = 0; k < 3; k++)
            holder = probes[k].n_granted != before[k] ? k : holder;
        assert_int_not_equal(holder, last);
        assert_false(take(last));
    }
    assert_in_range(probes[0].n_granted, 118, 122);
    assert_in_range(probes[1].n_granted, 58, 62);
    assert_in_range(probes[2].n_granted, 118, 122);
    for (int i = 0; i < 3; i++) { /* each of those left gets it in the end */
        int before[3] = {probes[0].n_granted, probes[1].n_granted, probes[2].n_granted};
        release(holder);
        for (size_t k = 0; k < 3; k++)
            holder = probes[k].n_granted != before[k] ? k : holder;
    }
}

static void without_needs(void **state)
{
    (void)state;
    open_limiter("R=0");
    probes[0].claim.granted = granted;
    assert_int_equal(vly_rate_claim_init(l, NULL, &probes[0].claim, &err), VLY_OK);
    assert_true(take(0));
    assert_true(take(0));
    release(0);
}

static void names_a_resource_once(void **state)
{
    (void)state;
    const vly_triton_resource twice[] = {{.name = VLY_STR("R"), .count = 1},
                                         {.name = VLY_STR("R"), .count = 1}};
    const vly_triton_rate_limiter config = {.n_resources = 2, .resources = twice};

    open_limiter("R=1");
    assert_int_equal(vly_rate_claim_init(l, &config, &probes[0].claim, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "rate_limiter: resource 'R' is named twice");
}

UNIT_TESTS(cmocka_unit_test_teardown(as_many_as_are_needed, close_limiter),
           cmocka_unit_test_teardown(as_many_as_the_setting_says, close_limiter),
           cmocka_unit_test_teardown(priorities_are_shares, close_limiter),
           cmocka_unit_test_teardown(without_needs, close_limiter),
           cmocka_unit_test_teardown(names_a_resource_once, close_limiter))
