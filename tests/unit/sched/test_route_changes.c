/* SPDX-License-Identifier: MIT */
/* Who may change a route, and what becomes of the file that others write too. */
#include "sched/route_fixture.h"

#include "base/assert.h"
#include "support/onnx_builder.h"
#include "sys/file.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- who changes what ---- */

static const char *revision_of(const char *name)
{
    static char text[VLY_ROUTE_REVISION];
    vly_model_route *route = vly_model_routes_find(routes, vly_str_from(name));

    assert_non_null(route);
    vly_route_revision_print(route->revision, text);
    vly_model_route_unref(route);
    return text;
}

#define SWAPPED                                                                                    \
    "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 10},"                          \
    "            {\"model\": \"m\", \"version\": 2, \"weight\": 90}]"

static void test_changes_on_terms(void **state)
{
    const vly_route_terms is_new = {.must_be_new = true}, is_there = {.must_exist = true};
    const vly_route_order second = {.model = VLY_STR("m"), .version = VLY_STR("2"), .share = 1};
    const vly_str ab = VLY_STR("ab");
    char first[VLY_ROUTE_REVISION], list[64];

    (void)state;
    assert_int_equal(route_set_on("ab", SPLIT, &is_there), VLY_ECHANGED);
    assert_int_equal(vly_model_routes_remove(routes, ab, &is_there, NULL, &route_err),
                     VLY_ECHANGED);
    assert_int_equal(route_set_on("ab", SPLIT, &is_new), VLY_OK);
    assert_int_equal(route_set_on("ab", SPLIT, &is_new), VLY_ECHANGED);
    memcpy(first, revision_of("ab"), sizeof(first));
    route_serve("ab", 0, 1000 * SEC, 10, VLY_OK, 1000);
    assert_string_equal(revision_of("ab"), first); /* figures do not count */
    vly_model_routes_free(routes);
    routes_open();
    assert_string_equal(revision_of("ab"), first); /* nor does the process */
    snprintf(list, sizeof(list), "\"0123456789abcdef\", W/\"%s\"", first);
    const vly_route_terms terms = {.revisions = vly_str_from(list)};
    assert_int_equal(route_set_on("ab", SWAPPED "}", &terms), VLY_OK);
    assert_string_not_equal(revision_of("ab"), first);
    assert_int_equal(route_set_on("ab", SPLIT, &terms), VLY_ECHANGED);
    assert_non_null(strstr(route_err.msg, revision_of("ab")));
    assert_int_equal(vly_model_routes_promote(routes, ab, &second, &terms, NULL, &route_err),
                     VLY_ECHANGED);
    assert_int_equal(vly_model_routes_roll_back(routes, ab, &second, &terms, NULL, &route_err),
                     VLY_ECHANGED);
    assert_int_equal(vly_model_routes_remove(routes, ab, &terms, NULL, &route_err), VLY_ECHANGED);
    assert_true(route_spec_of("ab")->arms[1].weight == 90);
    route_must_set("ab", SPLIT);
    assert_string_equal(revision_of("ab"), first); /* the same again */
}

static void test_revision_in_the_setting(void **state)
{
    const vly_route_terms forced = {.any_interface = true}, overwriting = {.any_revision = true};
    char json[512];

    (void)state;
    route_must_set("ab", SPLIT);
    snprintf(json, sizeof(json), SWAPPED ", \"revision\": \"%s\"}", revision_of("ab"));
    route_must_set("ab", json);
    assert_int_equal(route_set("ab", json), VLY_ECHANGED);
    assert_int_equal(route_set_on("ab", json, &forced), VLY_ECHANGED);
    assert_int_equal(route_set_on("ab", json, &overwriting), VLY_OK);
    assert_int_equal(vly_model_routes_remove(routes, VLY_STR("ab"), NULL, NULL, &route_err),
                     VLY_OK);
    route_must_set("ab", json); /* there is nothing that could be lost */
}

static void test_arm_stays_rolled_back(void **state)
{
    const vly_route_terms revive = {.may_revive = true};
    vly_buf json;

    (void)state;
    route_must_set("ab", GUARDED "}");
    route_serve("ab", 1, 1000 * SEC, 50, VLY_EIO, 0);
    vly_model_routes_tick(routes, 1000 * SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_int_equal(route_set("ab", GUARDED "}"), VLY_EINVAL);
    assert_non_null(strstr(route_err.msg, "arm 'm/2' was rolled back (errors: 50 of 50"));
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    /* What came out goes in, and is the same. */
    vly_buf_init(&json, VLY_MEM_SCHED, 1 << 16);
    vly_buf_putc(&json, '{');
    vly_route_spec_put(&json, route_spec_of("ab"));
    vly_buf_putc(&json, '}');
    route_must_set("ab", json.ptr);
    vly_buf_release(&json);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_int_equal(route_set_on("ab", GUARDED "}", &revive), VLY_OK);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION);
}

/* ---- interfaces ---- */

/* m takes and gives float [?, 2]; an arm beside it, or before it. */
static void test_arms_that_differ(void **state)
{
    static const struct {
        const char *in, *out;
        int type;
        int64_t rows, columns;
        const char *behind, *before; /* NULL: it is taken */
    } rows[] = {
        {"x", "y", OB_FLOAT, -1, 2, NULL, NULL},
        {"z", "y", OB_FLOAT, -1, 2, "it has no input 'x'", "it has no input 'z'"},
        {"x", "z", OB_FLOAT, -1, 2, "it has no output 'y'", "it has no output 'z'"},
        {"x", "y", OB_INT32, -1, 2, "input 'x' is", "input 'x' is"},
        {"x", "y", OB_FLOAT, -1, 3, "input 'x' is", "input 'x' is"},
        {"x", "y", OB_FLOAT, 1, 2, "input 'x' is", "output 'y' is"},
        {"x", "y", OB_FLOAT, -1, -1, "output 'y' is", "input 'x' is"},
    };
    const vly_route_terms forced = {.any_interface = true};
    char path[160];

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        snprintf(path, sizeof(path), "%s/other%zu.onnx", routes_dir, i);
        assert_int_equal(route_write_model(path, rows[i].in, rows[i].out, rows[i].type,
                                           rows[i].rows, rows[i].columns),
                         0);
        route_add_file(path, "other", "1");
        for (int turn = 0; turn < 2; turn++) {
            const char *json = turn == 0 ? "{\"arms\": [{\"model\": \"m\", \"weight\": 1},"
                                           "{\"model\": \"other\", \"weight\": 1}]}"
                                         : "{\"arms\": [{\"model\": \"other\", \"weight\": 1},"
                                           "{\"model\": \"m\", \"weight\": 1}]}";
            const char *why = turn == 0 ? rows[i].behind : rows[i].before;
            vly_status st = route_set("ab", json);
            if (why == NULL ? st != VLY_OK : st != VLY_EINVAL || strstr(route_err.msg, why) == NULL)
                fail_msg("row %zu, turn %d: %s", i, turn, st == VLY_OK ? "taken" : route_err.msg);
            assert_int_equal(route_set_on("ab", json, &forced), VLY_OK);
        }
    }
    /* One that was rolled back may differ, for that may be why; until it is promoted. */
    route_must_set("ab", "{\"arms\": [{\"model\": \"m\", \"weight\": 1}, {\"model\": \"other\", "
                         "\"weight\": 0, \"state\": \"rolled_back\"}]}");
    assert_int_equal(route_promote(VLY_STR("ab"), VLY_STR("other"), VLY_STR(""), 0.5), VLY_EINVAL);
    assert_non_null(strstr(route_err.msg, "interfaces differ"));
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    const vly_route_order other = {.model = VLY_STR("other"), .share = 0.5};
    assert_int_equal(
        vly_model_routes_promote(routes, VLY_STR("ab"), &other, &forced, NULL, &route_err), VLY_OK);
}

/* A request of four is for all arms or for none. */
static void test_arms_that_take_less_at_once(void **state)
{
    static const struct {
        const char *name, *config;
    } rows[] = {{"one", "{\"max_batch_size\": 1}"}, {"eight", "{\"max_batch_size\": 8}"}};
    static const struct {
        const char *first, *second;
        bool is_taken;
    } pairs[] = {{"one", "eight", true},
                 {"eight", "one", false},
                 {"m", "eight", false},
                 {"eight", "m", true}};
    char json[256];

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        route_add_configured(rows[i].name, rows[i].config);
    for (size_t i = 0; i < VLY_COUNT(pairs); i++) {
        snprintf(json, sizeof(json),
                 "{\"arms\": [{\"model\": \"%s\", \"weight\": 1},"
                 "{\"model\": \"%s\", \"weight\": 1}]}",
                 pairs[i].first, pairs[i].second);
        if (route_set("ab", json) != (pairs[i].is_taken ? VLY_OK : VLY_EINVAL))
            fail_msg("row %zu", i);
        assert_true(pairs[i].is_taken || strstr(route_err.msg, "max_batch_size") != NULL);
    }
}

/* ---- the file, which others write too ---- */

static void write_file(const char *text)
{
    assert_int_equal(vly_file_write(routes_file, text, strlen(text), NULL), VLY_OK);
}

static uint64_t n_ok(const char *name, size_t arm)
{
    vly_model_route *route = vly_model_routes_find(routes, vly_str_from(name));
    uint64_t n = vly_counter_get(&route->arms[arm]->outcomes[VLY_ROUTE_OUTCOME_OK]);

    vly_model_route_unref(route);
    return n;
}

#define OTHERS                                                                                     \
    "{\"routes\": [{\"name\": \"new\", \"arms\": [{\"model\": \"n\", \"weight\": 1}]},"            \
    "{\"name\": \"ab\", \"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 10},"        \
    "            {\"model\": \"m\", \"version\": \"2\", \"weight\": 90}]},"                        \
    "{\"name\": \"cd\", \"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 90},"        \
    "            {\"model\": \"m\", \"version\": \"2\", \"weight\": 10}]}]}"

static void test_file_is_read_again(void **state)
{
    bool is_new = false;

    (void)state;
    route_must_set("ab", SPLIT);
    route_must_set("cd", SPLIT);
    route_must_set("gone", SPLIT);
    route_serve("ab", 0, 1000 * SEC, 7, VLY_OK, 1000);
    vly_model_route *cd = vly_model_routes_find(routes, VLY_STR("cd"));
    write_file(OTHERS);
    assert_int_equal(vly_model_routes_reload(routes, &is_new, &route_err), VLY_OK);
    assert_true(is_new);
    assert_int_equal(vly_model_routes_reload(routes, &is_new, &route_err), VLY_OK);
    assert_false(is_new);
    assert_true(route_spec_of("ab")->arms[0].weight == 10);
    assert_int_equal(n_ok("ab", 0), 7);
    assert_string_equal(route_pick("new", NULL), "n/1");
    assert_null(vly_model_routes_find(routes, VLY_STR("gone")));
    vly_model_route *same = vly_model_routes_find(routes, VLY_STR("cd"));
    assert_ptr_equal(same, cd);
    vly_model_route_unref(same);
    vly_model_route_unref(cd);
    route_must_set("ab", SPLIT); /* and so it may be written again */
}

static void test_bad_file_changes_nothing(void **state)
{
    static const char no_name[] = "{\"routes\": [{\"name\": \"ab\", \"arms\": [{\"model\": \"m\", "
                                  "\"weight\": 1}]}, {}]}";
    static const char *const bad[] = {"", "{\"routes\": [{\"name\": \"x\"}]}", no_name};

    (void)state;
    route_must_set("ab", SPLIT);
    for (size_t i = 0; i < VLY_COUNT(bad); i++) {
        write_file(bad[i]);
        assert_int_equal(vly_model_routes_reload(routes, NULL, &route_err), VLY_EINVAL);
        assert_non_null(strstr(route_err.msg, routes_file));
        assert_int_equal(route_spec_of("ab")->n_arms, 2);
    }
    assert_int_equal(remove(routes_file), 0);
    assert_int_equal(vly_model_routes_reload(routes, NULL, &route_err), VLY_ENOTFOUND);
    assert_int_equal(route_spec_of("ab")->n_arms, 2);
    route_must_set("ab", SPLIT); /* nothing is lost by writing it anew */
    assert_true(vly_file_exists(routes_file));
}

static bool file_is(const char *text)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_SCHED, 1 << 16);
    assert_int_equal(vly_file_read(routes_file, 1 << 16, &b, &route_err), VLY_OK);
    bool is_same = vly_str_is(vly_buf_str(&b), text);
    vly_buf_release(&b);
    return is_same;
}

/* By hand, or by another server that has the same file. */
static void test_changes_of_others_are_not_lost(void **state)
{
    const vly_str ab = VLY_STR("ab"), m = VLY_STR("m"), two = VLY_STR("2");

    (void)state;
    route_must_set("ab", GUARDED "}");
    write_file(OTHERS);
    assert_int_equal(route_set("ab", SPLIT), VLY_ECHANGED);
    assert_non_null(strstr(route_err.msg, "was changed by somebody else"));
    assert_int_equal(route_promote(ab, m, two, 1), VLY_ECHANGED);
    assert_int_equal(vly_model_routes_remove(routes, ab, NULL, NULL, &route_err), VLY_ECHANGED);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_PROBATION);
    /* A bad arm is bad whatever the file says; that is left as it is. */
    route_serve("ab", 1, 1000 * SEC, 50, VLY_EIO, 0);
    vly_model_routes_tick(routes, 1000 * SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_true(file_is(OTHERS));
    /* The other server. */
    vly_model_routes *first = routes;
    routes_open();
    route_must_set("ab", SPLIT);
    vly_model_routes_free(routes);
    routes = first;
    assert_int_equal(route_set("cd", SPLIT), VLY_ECHANGED);
    assert_int_equal(vly_model_routes_reload(routes, NULL, &route_err), VLY_OK);
    assert_true(route_spec_of("ab")->arms[0].weight == 90);
    /* The file never said that the arm was rolled back; now it does. */
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    assert_true(route_spec_of("ab")->arms[1].weight == 0);
    assert_int_equal(route_set("ab", SWAPPED "}"), VLY_EINVAL);
    vly_model_routes_free(routes);
    routes_open();
    assert_int_equal(route_spec_of("ab")->arms[1].reason, VLY_ROUTE_ERRORS);
    /* Whoever takes that out of the file means it. */
    write_file(OTHERS);
    assert_int_equal(vly_model_routes_reload(routes, NULL, &route_err), VLY_OK);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ACTIVE);
    route_must_set("ab", SWAPPED "}");
}

/* By a server that stands still: nobody waits for it without end, the guard least of all. */
static void test_lock_is_held(void **state)
{
    int lock = -1;

    (void)state;
    route_must_set("ab", GUARDED "}");
    assert_int_equal(vly_file_lock(routes_file, -1, &lock, &route_err), VLY_OK);
    assert_int_equal(route_set("cd", SPLIT), VLY_EUNAVAILABLE);
    assert_non_null(strstr(route_err.msg, "is being written by another process"));
    assert_null(vly_model_routes_find(routes, VLY_STR("cd")));
    route_serve("ab", 1, 1000 * SEC, 50, VLY_EIO, 0);
    vly_model_routes_tick(routes, 1000 * SEC);
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
    close(lock);
    assert_int_equal(vly_model_routes_reload(routes, NULL, &route_err), VLY_OK);
    vly_model_routes_free(routes);
    routes_open();
    assert_int_equal(route_spec_of("ab")->arms[1].state, VLY_ROUTE_ROLLED_BACK);
}

/* A reason that is cut within a letter would be more bytes in the file than may be read. */
static void test_long_reason(void **state)
{
    char why[3 * VLY_ROUTE_WHY_MAX + 1] = "";

    (void)state;
    for (size_t i = 0; i < VLY_ROUTE_WHY_MAX; i++)
        memcpy(why + 3 * i, "\u20ac", 4); /* three bytes each */
    for (size_t skip = 0; skip < 3; skip++) {
        route_must_set("ab", SPLIT);
        why[0] = why[1] = why[2] = 'x';
        assert_int_equal(route_roll_back(VLY_STR("ab"), VLY_STR("m"), VLY_STR("2"), why + skip),
                         VLY_OK);
        vly_model_routes_free(routes);
        routes_open();
        size_t n = strlen(route_spec_of("ab")->arms[1].why);
        assert_true(n > VLY_ROUTE_WHY_MAX - 4 && n < VLY_ROUTE_WHY_MAX);
        assert_int_equal(vly_model_routes_remove(routes, VLY_STR("ab"), NULL, NULL, &route_err),
                         VLY_OK);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, route_set_up, route_tear_down)

UNIT_TESTS(TEST(test_changes_on_terms), TEST(test_revision_in_the_setting),
           TEST(test_arm_stays_rolled_back), TEST(test_arms_that_differ),
           TEST(test_arms_that_take_less_at_once), TEST(test_file_is_read_again),
           TEST(test_bad_file_changes_nothing), TEST(test_changes_of_others_are_not_lost),
           TEST(test_lock_is_held), TEST(test_long_reason))
