/* SPDX-License-Identifier: MIT */
/* Routes over models that a scheduler serves. */
#include "sched/route_fixture.h"

#include "base/assert.h"
#include "support/onnx_builder.h"
#include "sys/file.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void test_no_routes(void **state)
{
    (void)state;
    assert_false(vly_model_routes_has_any(routes));
    assert_false(vly_model_routes_has_any(NULL));
    assert_null(vly_model_routes_find(routes, VLY_STR("ab")));
    assert_false(vly_file_exists(routes_file)); /* nothing was changed */
}

static void test_refused(void **state)
{
    static const struct {
        const char *name, *json, *why;
        vly_status st;
    } rows[] = {
        {"ab", "{\"arms\": [{\"model\": \"x\", \"weight\": 1}]}", "arm 'x' is not found",
         VLY_ENOTFOUND},
        {"ab", "{\"arms\": [{\"model\": \"m\", \"version\": \"3\", \"weight\": 1}]}",
         "arm 'm/3' is not found", VLY_ENOTFOUND},
        {"ab", "{\"arms\": [{\"model\": \"m\", \"weight\": 0}]}", "add up to 0", VLY_EINVAL},
        {"ab", "{\"arms\": [{\"model\": \"m\", \"weight\": -1}]}", "'weight'", VLY_EINVAL},
        {"ab", "{\"arms\": [{\"model\": \"m\"}]}", "expected a 'weight'", VLY_EINVAL},
        {"ab", "{\"arms\": []}", "list of 1 to 16", VLY_EINVAL},
        {"ab", "{}", "expected 'arms'", VLY_EINVAL},
        {"ab", "{\"arms\": [{\"model\": \"m\", \"weight\": 1}], \"wait\": 1}",
         "'wait' is none of its members", VLY_EINVAL},
        {"ab", "{\"name\": \"cd\", \"arms\": [{\"model\": \"m\", \"weight\": 1}]}",
         "expected 'ab', got 'cd'", VLY_EINVAL},
        {"ab", "{\"arms\": [{\"model\": \"m\", \"weight\": 1}, {\"model\": \"m\", \"weight\": 2}]}",
         "arms 1 and 2 are the same", VLY_EINVAL},
        {"ab", "{\"arms\": [{\"model\": \"m\", \"weight\": 1, \"state\": \"probation\"}]}",
         "has no 'guard'", VLY_EINVAL},
        {"ab", "{\"arms\": [{\"model\": \"m\", \"weight\": 1}], \"guard\": {}}", "expected a bound",
         VLY_EINVAL},
        {"ab",
         "{\"arms\": [{\"model\": \"m\", \"weight\": 1}], \"shadow\": {\"model\": \"x\", "
         "\"share\": 1}}",
         "shadow 'x' is not found", VLY_ENOTFOUND},
        {"n", "{\"arms\": [{\"model\": \"m\", \"weight\": 1}]}", "a model is named 'n' too",
         VLY_EEXIST},
        {"a:b", "{\"arms\": [{\"model\": \"m\", \"weight\": 1}]}", "the name of a route",
         VLY_EINVAL},
        {"ab",
         "{\"arms\": [{\"model\": \"m\", \"weight\": 1}], \"schedule\": {\"shares\": [0.5, 0.1], "
         "\"hold_s\": 1}}",
         "rising", VLY_EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        vly_status st = route_set(rows[i].name, rows[i].json);
        if (st != rows[i].st || strstr(route_err.msg, rows[i].why) == NULL)
            fail_msg("row %zu: %s: %s", i, vly_status_name(st), route_err.msg);
    }
    assert_false(vly_model_routes_has_any(routes));
}

static void test_limit(void **state)
{
    (void)state;
    route_must_set("a", SPLIT);
    route_must_set("b", SPLIT);
    route_must_set("c", SPLIT);
    assert_int_equal(route_set("d", SPLIT), VLY_ELIMIT);
    route_must_set("b", SPLIT); /* in place of itself */
    assert_int_equal(vly_model_routes_remove(routes, VLY_STR("a"), NULL, NULL, &route_err), VLY_OK);
    route_must_set("d", SPLIT);
    assert_int_equal(vly_model_routes_remove(routes, VLY_STR("a"), NULL, NULL, &route_err),
                     VLY_ENOTFOUND);
}

/* A name in front of the model's own versions. */
static void test_route_in_front_of_its_model(void **state)
{
    (void)state;
    route_must_set("m", SPLIT);
    assert_string_equal(route_pick("m", "session-0"), route_pick("m", "session-0"));
}

static void test_outlives_the_process(void **state)
{
    char first[200];

    (void)state;
    route_must_set("ab", SPLIT);
    for (int i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "s%d", i);
        first[i] = *strchr(route_pick("ab", id), '/');
        first[i] = strchr(route_pick("ab", id), '/')[1];
    }
    vly_model_routes_free(routes);
    routes_open();
    for (int i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "s%d", i);
        assert_int_equal(strchr(route_pick("ab", id), '/')[1], first[i]);
    }
}

static void test_bad_file(void **state)
{
#define ONE "{\"name\": \"a\", \"arms\": [{\"model\": \"m\", \"weight\": 1}]}"
    static const char *const bad[] = {"{", "[]", "{\"routes\": {}}", "{\"routes\": [{}]}",
                                      "{\"routes\": [" ONE "," ONE "]}"};
#undef ONE
    const vly_model_routes_opts opts = {
        .scheduler = route_scheduler, .file = routes_file, .max_routes = 3};
    vly_model_routes *other = NULL;

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(bad); i++) {
        assert_int_equal(vly_file_write(routes_file, bad[i], strlen(bad[i]), NULL), VLY_OK);
        assert_int_equal(vly_model_routes_new(&opts, &other, &route_err), VLY_EINVAL);
        assert_non_null(strstr(route_err.msg, routes_file));
        assert_null(other);
    }
}

/* What cannot be written does not count. */
static void test_file_that_cannot_be_written(void **state)
{
    const vly_model_routes_opts opts = {
        .scheduler = route_scheduler, .file = "/proc/nothing/routes.json", .max_routes = 3};

    (void)state;
    vly_model_routes_free(routes);
    assert_int_equal(vly_model_routes_new(&opts, &routes, &route_err), VLY_OK);
    assert_int_not_equal(route_set("ab", SPLIT), VLY_OK);
    assert_false(vly_model_routes_has_any(routes));
}

static void test_version_that_unloads(void **state)
{
    char id[16];
    size_t n = 0;

    (void)state;
    route_must_set("ab", SPLIT);
    while (snprintf(id, sizeof(id), "s%zu", n++) > 0 && strcmp(route_pick("ab", id), "m/2") != 0)
        continue;
    assert_int_equal(
        vly_scheduler_withdraw(route_scheduler, VLY_STR("m"), VLY_STR("2"), &route_err), VLY_OK);
    assert_string_equal(route_pick("ab", id), "m/1");
    vly_model_route *route = vly_model_routes_find(routes, VLY_STR("ab"));
    assert_int_equal(vly_counter_get(&route->arms[1]->outcomes[VLY_ROUTE_OUTCOME_UNAVAILABLE]), 1);
    vly_model_route_unref(route);
    route_add("m", "2");
    assert_string_equal(route_pick("ab", id), "m/2"); /* it comes back to where it was */
    assert_int_equal(
        vly_scheduler_withdraw(route_scheduler, VLY_STR("m"), VLY_STR("2"), &route_err), VLY_OK);
    assert_int_equal(
        vly_scheduler_withdraw(route_scheduler, VLY_STR("m"), VLY_STR("1"), &route_err), VLY_OK);
    assert_null(route_pick("ab", id));
}

/* ---- the guard, on a driven clock ---- */

#define COMPARED                                                                                   \
    "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 1},"                           \
    "            {\"model\": \"m\", \"version\": \"2\", \"weight\": 1, \"state\": "                \
    "\"probation\"}],"                                                                             \
    " \"guard\": {\"window_s\": 12, \"min_requests\": 20, \"max_error_rate\": 0.1,"                \
    "             \"max_error_increase\": 0}}"

static uint64_t rollbacks(const char *name, size_t arm, vly_route_reason reason)
{
    vly_model_route *route = vly_model_routes_find(routes, vly_str_from(name));
    uint64_t n = vly_counter_get(&route->arms[arm]->rollbacks[reason]);

    vly_model_route_unref(route);
    return n;
}

static void test_rolled_back_for_errors(void **state)
{
    vly_nsec now = 1000 * SEC;

    (void)state;
    route_must_set("ab", GUARDED "}");
    route_serve("ab", 1, now, 19, VLY_EINTERNAL, 0);
    vly_model_routes_tick(routes, now);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION); /* too few */
    route_serve("ab", 1, now + SEC, 1, VLY_EINTERNAL, 0);
    route_serve("ab", 1, now + SEC, 100, VLY_EINVAL, 0); /* the client's own fault */
    vly_model_routes_tick(routes, now + SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_int_equal(route_spec_of("ab")->arms[1].reason, VLY_ROUTE_ERRORS);
    assert_string_equal(route_spec_of("ab")->arms[1].why,
                        "20 of 20 requests failed (100.00 %), allowed are 10.00 %");
    assert_true(route_spec_of("ab")->arms[1].weight == 0);
    assert_int_equal(rollbacks("ab", 1, VLY_ROUTE_ERRORS), 1);
    for (int i = 0; i < 100; i++)
        assert_string_equal(route_pick("ab", NULL), "m/1");
    vly_model_routes_free(routes); /* and so it stays */
    routes_open();
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_string_equal(route_pick("ab", NULL), "m/1");
}

static void test_rolled_back_for_latency(void **state)
{
    vly_nsec now = 1000 * SEC;

    (void)state;
    route_must_set("ab", GUARDED "}");
    route_serve("ab", 1, now, 100, VLY_OK, 10 * VLY_NSEC_PER_MS);
    vly_model_routes_tick(routes, now);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION);
    route_serve("ab", 1, now + SEC, 300, VLY_OK, 100 * VLY_NSEC_PER_MS);
    vly_model_routes_tick(routes, now + SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].reason, VLY_ROUTE_LATENCY);
}

/* What any client can bring about is no verdict while it happens to the baseline too. */
static void test_refused_and_late(void **state)
{
    vly_nsec now = 1000 * SEC;

    (void)state;
    route_must_set("ab", COMPARED);
    for (size_t arm = 0; arm < 2; arm++) {
        vly_model_route *route = vly_model_routes_find(routes, VLY_STR("ab"));
        for (size_t i = 0; i < 300; i++)
            vly_route_arm_count_late(route->arms[arm], now - i % 3 * SEC);
        assert_int_equal(vly_counter_get(&route->arms[arm]->outcomes[VLY_ROUTE_OUTCOME_CANCELLED]),
                         300);
        vly_model_route_unref(route);
    }
    vly_model_routes_tick(routes, now);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION);
    route_serve("ab", 1, now + SEC, 300, VLY_EINVAL, 0);
    route_serve("ab", 0, now + SEC, 300, VLY_OK, 1000);
    vly_model_routes_tick(routes, now + SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].reason, VLY_ROUTE_MORE_ERRORS);
}

static void test_rolled_back_when_it_goes(void **state)
{
    (void)state;
    route_must_set("ab", GUARDED "}");
    assert_int_equal(
        vly_scheduler_withdraw(route_scheduler, VLY_STR("m"), VLY_STR("2"), &route_err), VLY_OK);
    vly_model_routes_tick(routes, 1000 * SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].reason, VLY_ROUTE_UNAVAILABLE);
}

/* The baseline is away and its requests are served by an arm that is too slow: better than none. */
static void test_last_one_that_serves_stays(void **state)
{
    (void)state;
    route_must_set("ab", GUARDED "}");
    assert_int_equal(
        vly_scheduler_withdraw(route_scheduler, VLY_STR("m"), VLY_STR("1"), &route_err), VLY_OK);
    route_serve("ab", 1, 1000 * SEC, 100, VLY_OK, 100 * VLY_NSEC_PER_MS);
    vly_model_routes_tick(routes, 1000 * SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION);
    assert_string_equal(route_pick("ab", NULL), "m/2");
    route_add("m", "1");
    vly_model_routes_tick(routes, 1001 * SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].reason, VLY_ROUTE_LATENCY);
    assert_string_equal(route_pick("ab", NULL), "m/1");
}

static void test_active_arms_are_not_judged(void **state)
{
    (void)state;
    route_must_set("ab", GUARDED "}");
    route_serve("ab", 0, 1000 * SEC, 100, VLY_EINTERNAL, 0);
    vly_model_routes_tick(routes, 1000 * SEC);
    assert_int_equal(route_spec_of("ab")->arms[0].state, VLY_ROUTE_ACTIVE);
}

static void test_schedule(void **state)
{
    static const double shares[] = {0.01, 0.1, 0.5, 1};
    vly_nsec now = 1000 * SEC;

    (void)state;
    route_must_set("ab",
                   GUARDED ", \"schedule\": {\"shares\": [0.01, 0.1, 0.5, 1], \"hold_s\": 10}}");
    for (size_t i = 0; i < VLY_COUNT(shares); i++) {
        const vly_route_spec *spec = route_spec_of("ab");
        double share = vly_route_spec_share(spec, 1);
        assert_true(share > shares[i] - 1e-9 && share < shares[i] + 1e-9);
        assert_int_equal(spec->arms[1].state, i < 3 ? VLY_ROUTE_PROBATION : VLY_ROUTE_ACTIVE);
        assert_true(spec->arms[0].weight == (i < 3 ? 90 : 0)); /* so nobody else moves */
        vly_model_routes_tick(routes, now);
        vly_model_routes_tick(routes, now + 11 * SEC); /* it was held, but nobody came */
        assert_true(vly_route_spec_share(route_spec_of("ab"), 1) == share);
        if (i < 3)
            route_serve("ab", 1, now + 11 * SEC, 20, VLY_OK, 1000);
        vly_model_routes_tick(routes, now + 12 * SEC);
        now += 100 * SEC;
    }
    assert_int_equal(route_spec_of("ab")->n_steps, 0);
}

static void test_bad_arm_ends_its_schedule(void **state)
{
    (void)state;
    route_must_set("ab", GUARDED ", \"schedule\": {\"shares\": [0.1, 1], \"hold_s\": 10}}");
    route_serve("ab", 1, 1000 * SEC, 50, VLY_EIO, 0);
    vly_model_routes_tick(routes, 1000 * SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_int_equal(route_spec_of("ab")->n_steps, 0);
    vly_model_routes_free(routes);
    routes_open();
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
}

/* ---- by hand ---- */

static void test_by_hand(void **state)
{
    const vly_str ab = VLY_STR("ab"), none = VLY_STR(""), m = VLY_STR("m"), two = VLY_STR("2");

    (void)state;
    route_must_set("ab", GUARDED "}");
    assert_int_equal(route_promote(ab, none, none, 0.25), VLY_OK);
    assert_true(vly_route_spec_share(route_spec_of("ab"), 1) == 0.25);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ACTIVE);
    assert_int_equal(route_promote(ab, none, none, 1), VLY_EINVAL);
    assert_int_equal(route_promote(ab, m, none, 1), VLY_ENOTFOUND);
    assert_int_equal(route_promote(ab, m, two, 2), VLY_EINVAL);
    assert_int_equal(route_promote(none, m, two, 1), VLY_ENOTFOUND);
    assert_int_equal(route_promote(ab, m, two, 1), VLY_OK);
    assert_string_equal(route_pick("ab", "anybody"), "m/2");
    /* All of the traffic was its own: it goes back to where it came from. */
    assert_int_equal(route_roll_back(ab, m, two, "it barks"), VLY_OK);
    assert_string_equal(route_pick("ab", "anybody"), "m/1");
    assert_string_equal(route_spec_of("ab")->arms[1].why, "it barks");
    assert_true(route_spec_of("ab")->arms[0].weight == 90);
    assert_int_equal(rollbacks("ab", 1, VLY_ROUTE_REQUEST), 1);
    assert_int_equal(route_roll_back(ab, m, VLY_STR("1"), ""), VLY_EINVAL);
    /* What does not serve gets no traffic. */
    assert_int_equal(vly_scheduler_withdraw(route_scheduler, m, two, &route_err), VLY_OK);
    assert_int_not_equal(route_promote(ab, m, two, 1), VLY_OK);
    assert_string_equal(route_pick("ab", "anybody"), "m/1");
}

/* What promotion promises, from where no weight is left and where none could be larger. */
static void test_share_is_what_was_asked_for(void **state)
{
    static const double shares[] = {0.1, 0.9, 0.999};
    const vly_str ab = VLY_STR("ab"), m = VLY_STR("m"), two = VLY_STR("2");

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(shares); i++) {
        route_must_set("ab", SPLIT);
        assert_int_equal(route_promote(ab, m, two, 1), VLY_OK);
        assert_int_equal(route_promote(ab, m, two, shares[i]), VLY_OK);
        assert_true(fabs(vly_route_spec_share(route_spec_of("ab"), 1) - shares[i]) < 1e-9);
        route_must_set("ab", "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 1e9},"
                             "{\"model\": \"m\", \"version\": \"2\", \"weight\": 1e9}]}");
        assert_int_equal(route_promote(ab, m, two, shares[i]), VLY_OK);
        assert_true(fabs(vly_route_spec_share(route_spec_of("ab"), 1) - shares[i]) < 1e-9);
    }
}

/* Neighbours among the doubles are two numbers, in the file too. */
static void test_shares_are_kept_exactly(void **state)
{
    (void)state;
    route_must_set("ab", GUARDED ", \"schedule\": {\"shares\": [0.30000000000000004, "
                                 "0.3000000000000001], \"hold_s\": 10}}");
    vly_model_routes_free(routes);
    routes_open();
    assert_int_equal(route_spec_of("ab")->n_steps, 2);
    assert_true(route_spec_of("ab")->steps[1] > route_spec_of("ab")->steps[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, route_set_up, route_tear_down)

UNIT_TESTS(TEST(test_no_routes), TEST(test_refused), TEST(test_limit),
           TEST(test_route_in_front_of_its_model), TEST(test_outlives_the_process),
           TEST(test_bad_file), TEST(test_file_that_cannot_be_written),
           TEST(test_version_that_unloads), TEST(test_rolled_back_for_errors),
           TEST(test_rolled_back_for_latency), TEST(test_rolled_back_when_it_goes),
           TEST(test_refused_and_late), TEST(test_last_one_that_serves_stays),
           TEST(test_active_arms_are_not_judged), TEST(test_schedule),
           TEST(test_bad_arm_ends_its_schedule), TEST(test_by_hand),
           TEST(test_share_is_what_was_asked_for), TEST(test_shares_are_kept_exactly))
