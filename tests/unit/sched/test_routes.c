/* SPDX-License-Identifier: MIT */
/* Routes over models that a scheduler serves; the clock is driven. */
#include "sched/model_routes.h"

#include "base/assert.h"
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SEC VLY_NSEC_PER_SEC

static char dir[TEMP_DIR_PATH_MAX], model_file[128], routes_file[128];
static vly_scheduler *s;
static vly_model_routes *r;
static vly_err err;

/* y = x, float [N, 2] */
static int write_model(void **state)
{
    onnx_builder b;

    (void)state;
    if (!temp_dir_make(dir))
        return -1;
    snprintf(model_file, sizeof(model_file), "%s/m.onnx", dir);
    snprintf(routes_file, sizeof(routes_file), "%s/routes.json", dir);
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, (int64_t[]){-1, 2});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, 2});
    ob_node(&b, "Identity", "x", "y");
    vly_str file = ob_finish(&b, 17);
    int st = vly_file_write(model_file, file.ptr, file.len, NULL) == VLY_OK ? 0 : -1;
    ob_release(&b);
    return st;
}

static void add(const char *name, const char *version)
{
    const vly_servable_spec spec = {
        .path = model_file, .name = name, .version = version, .options = VLY_MODEL_OPTIONS_DEFAULT};
    vly_served *m;

    assert_int_equal(vly_scheduler_load(s, &spec, &m, &err), VLY_OK);
    assert_int_equal(vly_scheduler_publish(s, m, &err), VLY_OK);
    vly_served_unref(m);
}

static void open_routes(void)
{
    const vly_model_routes_opts opts = {.scheduler = s, .file = routes_file, .max_routes = 3};

    if (vly_model_routes_new(&opts, &r, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static int setup(void **state)
{
    const vly_scheduler_opts opts = {.n_threads = 1,
                                     .max_waiting = 8,
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};

    if (write_model(state) != 0)
        return -1;
    assert_int_equal(vly_scheduler_new(&opts, &s, &err), VLY_OK);
    add("m", "1");
    add("m", "2");
    add("n", "1");
    open_routes();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_model_routes_free(r);
    vly_scheduler_free(s);
    return temp_dir_remove(dir) ? 0 : -1;
}

static vly_status set(const char *name, const char *json)
{
    vly_route_spec spec;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, 1 << 20);
    vly_status st =
        vly_route_spec_read(vly_str_from(json), vly_str_from(name), &arena, &spec, &err);
    vly_arena_release(&arena);
    return st == VLY_OK ? vly_model_routes_set(r, &spec, NULL, &err) : st;
}

static void must_set(const char *name, const char *json)
{
    if (set(name, json) != VLY_OK)
        fail_msg("%s", err.msg);
}

static const vly_route_spec *spec_of(const char *name)
{
    static vly_route_spec spec;
    vly_model_route *route = vly_model_routes_find(r, vly_str_from(name));

    assert_non_null(route);
    spec = route->spec;
    vly_model_route_unref(route);
    return &spec;
}

/* The version that this session gets; NULL: the route answers nobody. */
static const char *pick(const char *name, const char *session)
{
    static char version[32];
    vly_model_route *route = vly_model_routes_find(r, vly_str_from(name));
    vly_route_pick p;

    assert_non_null(route);
    uint64_t hash = session != NULL ? vly_route_session_hash(vly_str_from(session)) : 0;
    vly_status st = vly_model_route_pick(r, route, hash, &p, &err);
    vly_model_route_unref(route);
    if (st != VLY_OK) {
        assert_int_equal(st, VLY_EUNAVAILABLE);
        return NULL;
    }
    snprintf(version, sizeof(version), "%s/%s", p.model->name, p.model->version);
    vly_route_pick_release(&p);
    return version;
}

#define SPLIT                                                                                      \
    "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 90},"                          \
    "            {\"model\": \"m\", \"version\": 2, \"weight\": 10}]}"

static void test_no_routes(void **state)
{
    (void)state;
    assert_false(vly_model_routes_has_any(r));
    assert_false(vly_model_routes_has_any(NULL));
    assert_null(vly_model_routes_find(r, VLY_STR("ab")));
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
        vly_status st = set(rows[i].name, rows[i].json);
        if (st != rows[i].st || strstr(err.msg, rows[i].why) == NULL)
            fail_msg("row %zu: %s: %s", i, vly_status_name(st), err.msg);
    }
    assert_false(vly_model_routes_has_any(r));
}

static void test_limit(void **state)
{
    (void)state;
    must_set("a", SPLIT);
    must_set("b", SPLIT);
    must_set("c", SPLIT);
    assert_int_equal(set("d", SPLIT), VLY_ELIMIT);
    must_set("b", SPLIT); /* in place of itself */
    assert_int_equal(vly_model_routes_remove(r, VLY_STR("a"), &err), VLY_OK);
    must_set("d", SPLIT);
    assert_int_equal(vly_model_routes_remove(r, VLY_STR("a"), &err), VLY_ENOTFOUND);
}

/* A name in front of the model's own versions. */
static void test_route_in_front_of_its_model(void **state)
{
    (void)state;
    must_set("m", SPLIT);
    assert_string_equal(pick("m", "session-0"), pick("m", "session-0"));
}

static void test_outlives_the_process(void **state)
{
    char first[200];

    (void)state;
    must_set("ab", SPLIT);
    for (int i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "s%d", i);
        first[i] = *strchr(pick("ab", id), '/');
        first[i] = strchr(pick("ab", id), '/')[1];
    }
    vly_model_routes_free(r);
    open_routes();
    for (int i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "s%d", i);
        assert_int_equal(strchr(pick("ab", id), '/')[1], first[i]);
    }
}

static void test_bad_file(void **state)
{
#define ONE "{\"name\": \"a\", \"arms\": [{\"model\": \"m\", \"weight\": 1}]}"
    static const char *const bad[] = {"{", "[]", "{\"routes\": {}}", "{\"routes\": [{}]}",
                                      "{\"routes\": [" ONE "," ONE "]}"};
#undef ONE
    const vly_model_routes_opts opts = {.scheduler = s, .file = routes_file, .max_routes = 3};
    vly_model_routes *other = NULL;

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(bad); i++) {
        assert_int_equal(vly_file_write(routes_file, bad[i], strlen(bad[i]), NULL), VLY_OK);
        assert_int_equal(vly_model_routes_new(&opts, &other, &err), VLY_EINVAL);
        assert_non_null(strstr(err.msg, routes_file));
        assert_null(other);
    }
}

/* What cannot be written does not count. */
static void test_file_that_cannot_be_written(void **state)
{
    const vly_model_routes_opts opts = {
        .scheduler = s, .file = "/proc/nothing/routes.json", .max_routes = 3};

    (void)state;
    vly_model_routes_free(r);
    assert_int_equal(vly_model_routes_new(&opts, &r, &err), VLY_OK);
    assert_int_not_equal(set("ab", SPLIT), VLY_OK);
    assert_false(vly_model_routes_has_any(r));
}

static void test_version_that_unloads(void **state)
{
    char id[16];
    size_t n = 0;

    (void)state;
    must_set("ab", SPLIT);
    while (snprintf(id, sizeof(id), "s%zu", n++) > 0 && strcmp(pick("ab", id), "m/2") != 0)
        continue;
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("m"), VLY_STR("2"), &err), VLY_OK);
    assert_string_equal(pick("ab", id), "m/1");
    vly_model_route *route = vly_model_routes_find(r, VLY_STR("ab"));
    assert_int_equal(vly_counter_get(&route->arms[1]->outcomes[VLY_ROUTE_OUTCOME_UNAVAILABLE]), 1);
    vly_model_route_unref(route);
    add("m", "2");
    assert_string_equal(pick("ab", id), "m/2"); /* it comes back to where it was */
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("m"), VLY_STR("2"), &err), VLY_OK);
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("m"), VLY_STR("1"), &err), VLY_OK);
    assert_null(pick("ab", id));
}

/* ---- the guard, on a driven clock ---- */

#define GUARDED                                                                                    \
    "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 90},"                          \
    "            {\"model\": \"m\", \"version\": \"2\", \"weight\": 10, \"state\": "               \
    "\"probation\"}],"                                                                             \
    " \"guard\": {\"window_s\": 12, \"min_requests\": 20, \"max_error_rate\": 0.1,"                \
    "             \"max_latency_ms\": 50}"

#define COMPARED                                                                                   \
    "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 1},"                           \
    "            {\"model\": \"m\", \"version\": \"2\", \"weight\": 1, \"state\": "                \
    "\"probation\"}],"                                                                             \
    " \"guard\": {\"window_s\": 12, \"min_requests\": 20, \"max_error_rate\": 0.1,"                \
    "             \"max_error_increase\": 0}}"

/* Requests to an arm at this time and in the two slots before. */
static void serve(const char *name, size_t arm, vly_nsec now, size_t n, vly_status st,
                  vly_nsec latency)
{
    vly_model_route *route = vly_model_routes_find(r, vly_str_from(name));

    for (size_t i = 0; i < n; i++) {
        vly_nsec at = now - i % 3 * SEC;
        vly_route_arm_count(route->arms[arm], at, st, false, at - latency);
    }
    vly_model_route_unref(route);
}

static uint64_t rollbacks(const char *name, size_t arm, vly_route_reason reason)
{
    vly_model_route *route = vly_model_routes_find(r, vly_str_from(name));
    uint64_t n = vly_counter_get(&route->arms[arm]->rollbacks[reason]);

    vly_model_route_unref(route);
    return n;
}

static void test_rolled_back_for_errors(void **state)
{
    vly_nsec now = 1000 * SEC;

    (void)state;
    must_set("ab", GUARDED "}");
    serve("ab", 1, now, 19, VLY_EINTERNAL, 0);
    vly_model_routes_tick(r, now);
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION); /* too few */
    serve("ab", 1, now + SEC, 1, VLY_EINTERNAL, 0);
    serve("ab", 1, now + SEC, 100, VLY_EINVAL, 0); /* the client's own fault */
    vly_model_routes_tick(r, now + SEC);
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_int_equal(spec_of("ab")->arms[1].reason, VLY_ROUTE_ERRORS);
    assert_string_equal(spec_of("ab")->arms[1].why,
                        "20 of 20 requests failed (100.00 %), allowed are 10.00 %");
    assert_true(spec_of("ab")->arms[1].weight == 0);
    assert_int_equal(rollbacks("ab", 1, VLY_ROUTE_ERRORS), 1);
    for (int i = 0; i < 100; i++)
        assert_string_equal(pick("ab", NULL), "m/1");
    vly_model_routes_free(r); /* and so it stays */
    open_routes();
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_string_equal(pick("ab", NULL), "m/1");
}

static void test_rolled_back_for_latency(void **state)
{
    vly_nsec now = 1000 * SEC;

    (void)state;
    must_set("ab", GUARDED "}");
    serve("ab", 1, now, 100, VLY_OK, 10 * VLY_NSEC_PER_MS);
    vly_model_routes_tick(r, now);
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION);
    serve("ab", 1, now + SEC, 300, VLY_OK, 100 * VLY_NSEC_PER_MS);
    vly_model_routes_tick(r, now + SEC);
    assert_int_equal(spec_of("ab")->arms[1].reason, VLY_ROUTE_LATENCY);
}

/* What any client can bring about is no verdict while it happens to the baseline too. */
static void test_refused_and_late(void **state)
{
    vly_nsec now = 1000 * SEC;

    (void)state;
    must_set("ab", COMPARED);
    for (size_t arm = 0; arm < 2; arm++) {
        vly_model_route *route = vly_model_routes_find(r, VLY_STR("ab"));
        for (size_t i = 0; i < 300; i++)
            vly_route_arm_count_late(route->arms[arm], now - i % 3 * SEC);
        assert_int_equal(vly_counter_get(&route->arms[arm]->outcomes[VLY_ROUTE_OUTCOME_CANCELLED]),
                         300);
        vly_model_route_unref(route);
    }
    vly_model_routes_tick(r, now);
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION);
    serve("ab", 1, now + SEC, 300, VLY_EINVAL, 0);
    serve("ab", 0, now + SEC, 300, VLY_OK, 1000);
    vly_model_routes_tick(r, now + SEC);
    assert_int_equal(spec_of("ab")->arms[1].reason, VLY_ROUTE_MORE_ERRORS);
}

static void test_rolled_back_when_it_goes(void **state)
{
    (void)state;
    must_set("ab", GUARDED "}");
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("m"), VLY_STR("2"), &err), VLY_OK);
    vly_model_routes_tick(r, 1000 * SEC);
    assert_int_equal(spec_of("ab")->arms[1].reason, VLY_ROUTE_UNAVAILABLE);
}

/* The baseline is away and its requests are served by an arm that is too slow: better than none. */
static void test_last_one_that_serves_stays(void **state)
{
    (void)state;
    must_set("ab", GUARDED "}");
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("m"), VLY_STR("1"), &err), VLY_OK);
    serve("ab", 1, 1000 * SEC, 100, VLY_OK, 100 * VLY_NSEC_PER_MS);
    vly_model_routes_tick(r, 1000 * SEC);
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION);
    assert_string_equal(pick("ab", NULL), "m/2");
    add("m", "1");
    vly_model_routes_tick(r, 1001 * SEC);
    assert_int_equal(spec_of("ab")->arms[1].reason, VLY_ROUTE_LATENCY);
    assert_string_equal(pick("ab", NULL), "m/1");
}

static void test_active_arms_are_not_judged(void **state)
{
    (void)state;
    must_set("ab", GUARDED "}");
    serve("ab", 0, 1000 * SEC, 100, VLY_EINTERNAL, 0);
    vly_model_routes_tick(r, 1000 * SEC);
    assert_int_equal(spec_of("ab")->arms[0].state, VLY_ROUTE_ACTIVE);
}

static void test_schedule(void **state)
{
    static const double shares[] = {0.01, 0.1, 0.5, 1};
    vly_nsec now = 1000 * SEC;

    (void)state;
    must_set("ab", GUARDED ", \"schedule\": {\"shares\": [0.01, 0.1, 0.5, 1], \"hold_s\": 10}}");
    for (size_t i = 0; i < VLY_COUNT(shares); i++) {
        const vly_route_spec *spec = spec_of("ab");
        double share = vly_route_spec_share(spec, 1);
        assert_true(share > shares[i] - 1e-9 && share < shares[i] + 1e-9);
        assert_int_equal(spec->arms[1].state, i < 3 ? VLY_ROUTE_PROBATION : VLY_ROUTE_ACTIVE);
        assert_true(spec->arms[0].weight == (i < 3 ? 90 : 0)); /* so nobody else moves */
        vly_model_routes_tick(r, now);
        vly_model_routes_tick(r, now + 11 * SEC); /* it was held, but nobody came */
        assert_true(vly_route_spec_share(spec_of("ab"), 1) == share);
        if (i < 3)
            serve("ab", 1, now + 11 * SEC, 20, VLY_OK, 1000);
        vly_model_routes_tick(r, now + 12 * SEC);
        now += 100 * SEC;
    }
    assert_int_equal(spec_of("ab")->n_steps, 0);
}

static void test_bad_arm_ends_its_schedule(void **state)
{
    (void)state;
    must_set("ab", GUARDED ", \"schedule\": {\"shares\": [0.1, 1], \"hold_s\": 10}}");
    serve("ab", 1, 1000 * SEC, 50, VLY_EIO, 0);
    vly_model_routes_tick(r, 1000 * SEC);
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_int_equal(spec_of("ab")->n_steps, 0);
    vly_model_routes_free(r);
    open_routes();
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
}

/* ---- by hand ---- */

static void test_by_hand(void **state)
{
    const vly_str ab = VLY_STR("ab"), none = VLY_STR(""), m = VLY_STR("m"), two = VLY_STR("2");

    (void)state;
    must_set("ab", GUARDED "}");
    assert_int_equal(vly_model_routes_promote(r, ab, none, none, 0.25, &err), VLY_OK);
    assert_true(vly_route_spec_share(spec_of("ab"), 1) == 0.25);
    assert_int_equal(spec_of("ab")->arms[1].state, VLY_ROUTE_ACTIVE);
    assert_int_equal(vly_model_routes_promote(r, ab, none, none, 1, &err), VLY_EINVAL);
    assert_int_equal(vly_model_routes_promote(r, ab, m, none, 1, &err), VLY_ENOTFOUND);
    assert_int_equal(vly_model_routes_promote(r, ab, m, two, 2, &err), VLY_EINVAL);
    assert_int_equal(vly_model_routes_promote(r, none, m, two, 1, &err), VLY_ENOTFOUND);
    assert_int_equal(vly_model_routes_promote(r, ab, m, two, 1, &err), VLY_OK);
    assert_string_equal(pick("ab", "anybody"), "m/2");
    /* All of the traffic was its own: it goes back to where it came from. */
    assert_int_equal(vly_model_routes_roll_back(r, ab, m, two, "it barks", &err), VLY_OK);
    assert_string_equal(pick("ab", "anybody"), "m/1");
    assert_string_equal(spec_of("ab")->arms[1].why, "it barks");
    assert_true(spec_of("ab")->arms[0].weight == 90);
    assert_int_equal(rollbacks("ab", 1, VLY_ROUTE_REQUEST), 1);
    assert_int_equal(vly_model_routes_roll_back(r, ab, m, VLY_STR("1"), "", &err), VLY_EINVAL);
    /* What does not serve gets no traffic. */
    assert_int_equal(vly_scheduler_withdraw(s, m, two, &err), VLY_OK);
    assert_int_not_equal(vly_model_routes_promote(r, ab, m, two, 1, &err), VLY_OK);
    assert_string_equal(pick("ab", "anybody"), "m/1");
}

/* What promotion promises, from where no weight is left and where none could be larger. */
static void test_share_is_what_was_asked_for(void **state)
{
    static const double shares[] = {0.1, 0.9, 0.999};
    const vly_str ab = VLY_STR("ab"), m = VLY_STR("m"), two = VLY_STR("2");

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(shares); i++) {
        must_set("ab", SPLIT);
        assert_int_equal(vly_model_routes_promote(r, ab, m, two, 1, &err), VLY_OK);
        assert_int_equal(vly_model_routes_promote(r, ab, m, two, shares[i], &err), VLY_OK);
        assert_true(fabs(vly_route_spec_share(spec_of("ab"), 1) - shares[i]) < 1e-9);
        must_set("ab", "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 1e9},"
                       "{\"model\": \"m\", \"version\": \"2\", \"weight\": 1e9}]}");
        assert_int_equal(vly_model_routes_promote(r, ab, m, two, shares[i], &err), VLY_OK);
        assert_true(fabs(vly_route_spec_share(spec_of("ab"), 1) - shares[i]) < 1e-9);
    }
}

/* Neighbours among the doubles are two numbers, in the file too. */
static void test_shares_are_kept_exactly(void **state)
{
    (void)state;
    must_set("ab", GUARDED ", \"schedule\": {\"shares\": [0.30000000000000004, "
                           "0.3000000000000001], \"hold_s\": 10}}");
    vly_model_routes_free(r);
    open_routes();
    assert_int_equal(spec_of("ab")->n_steps, 2);
    assert_true(spec_of("ab")->steps[1] > spec_of("ab")->steps[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

UNIT_TESTS(TEST(test_no_routes), TEST(test_refused), TEST(test_limit),
           TEST(test_route_in_front_of_its_model), TEST(test_outlives_the_process),
           TEST(test_bad_file), TEST(test_file_that_cannot_be_written),
           TEST(test_version_that_unloads), TEST(test_rolled_back_for_errors),
           TEST(test_rolled_back_for_latency), TEST(test_rolled_back_when_it_goes),
           TEST(test_refused_and_late), TEST(test_last_one_that_serves_stays),
           TEST(test_active_arms_are_not_judged), TEST(test_schedule),
           TEST(test_bad_arm_ends_its_schedule), TEST(test_by_hand),
           TEST(test_share_is_what_was_asked_for), TEST(test_shares_are_kept_exactly))
