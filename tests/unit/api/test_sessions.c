/* SPDX-License-Identifier: MIT */
/* /v1/sessions: lists in pages, one by its id, reset and removal. */
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

static int n_replaced;

static void note_replaced(void *ctx)
{
    (void)ctx;
    n_replaced++;
}

static vly_imu_session *open_session(const char *user, vly_imu_session_info *ret_info)
{
    static const vly_imu_session_events events = {.on_replaced = note_replaced};
    const vly_imu_open o = {
        .user = vly_str_from(user), .device = VLY_STR("watch"), .events = &events};
    vly_imu_session *a = NULL;

    assert_int_equal(vly_imu_session_open(svc.imu_sessions, &o, &a, ret_info, NULL), VLY_OK);
    return a;
}

static reply ask_one(const char *method, const char *id, const char *verb)
{
    char target[128];

    snprintf(target, sizeof(target), "/v1/sessions/%s%s", id, verb);
    return ask(method, target, "", NULL, 0);
}

static void one_is_found_reset_and_removed(void **state)
{
    (void)state;
    vly_imu_session_info info;
    vly_imu_session *a = open_session("ann \"1\"", &info);

    n_replaced = 0;
    reply r = ask_one("GET", info.id, "");
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, info.id));
    assert_non_null(strstr(r.body, "\"user\":\"ann \\\"1\\\"\",\"device\":\"watch\","
                                   "\"attached\":true,\"next\":0,\"durable\":0,\"readings\":0,"
                                   "\"steps\":0,\"activity\":\"standing\""));
    r = ask_one("POST", info.id, ":reset");
    assert_int_equal(r.status, 200);
    assert_int_equal(ask_one("POST", info.id, ":other").status, 405);
    assert_int_equal(ask_one("POST", info.id, "").status, 405);
    assert_int_equal(n_replaced, 0);
    r = ask_one("DELETE", info.id, "");
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, info.id));
    assert_int_equal(n_replaced, 1);
    assert_int_equal(ask_one("DELETE", info.id, "").status, 404);
    assert_int_equal(ask_one("GET", info.id, "").status, 404);
    assert_int_equal(ask_one("POST", info.id, ":reset").status, 404);
    assert_int_equal(ask_one("GET", "nobody", "").status, 404);
    assert_int_equal(ask_one("POST", "", ":reset").status, 405);
    vly_imu_session_close(a);
}

/* Ids of a page, checked to be in order behind last; returns how many, last is the last one. */
static size_t read_page(const char *query, char last[64], bool *ret_has_more)
{
    char target[256];
    size_t i, n;
    yyjson_val *session;

    snprintf(target, sizeof(target), "/v1/sessions%s", query);
    reply r = get(target);
    assert_int_equal(r.status, 200);
    yyjson_doc *doc = yyjson_read(r.body, r.body_len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *sessions = yyjson_obj_get(root, "sessions");
    assert_int_equal(yyjson_get_int(yyjson_obj_get(root, "count")), 70);
    assert_int_equal(yyjson_get_int(yyjson_obj_get(root, "attached")), 0);
    yyjson_arr_foreach(sessions, i, n, session)
    {
        const char *id = yyjson_get_str(yyjson_obj_get(session, "session"));
        assert_true(strcmp(id, last) > 0);
        snprintf(last, 64, "%s", id);
    }
    const char *after = yyjson_get_str(yyjson_obj_get(root, "after"));
    *ret_has_more = after != NULL;
    assert_true(after == NULL || strcmp(after, last) == 0);
    n = yyjson_arr_size(sessions);
    yyjson_doc_free(doc);
    return n;
}

static void lists_have_pages(void **state)
{
    (void)state;
    char user[16], query[128], last[64] = "";
    bool has_more = true;
    size_t n = 0;

    for (int i = 0; i < 70; i++) {
        snprintf(user, sizeof(user), "user %d", i);
        vly_imu_session_close(open_session(user, NULL));
    }
    assert_int_equal(read_page("", last, &has_more), 70);
    assert_false(has_more);
    last[0] = '\0';
    while (has_more || n == 0) {
        snprintf(query, sizeof(query), "?limit=16&after=%s", last);
        size_t more = read_page(query, last, &has_more);
        assert_true(more == (has_more ? 16 : 6));
        n += more;
    }
    assert_int_equal(n, 70);
    last[0] = '\0';
    assert_int_equal(read_page("?limit=66", last, &has_more), 66); /* pages of the inside are 64 */
    assert_true(has_more);
    assert_int_equal(get("/v1/sessions?limit=0").status, 400);
    assert_int_equal(get("/v1/sessions?limit=1001").status, 400);
    assert_int_equal(get("/v1/sessions?limit=x").status, 400);
    assert_int_equal(get("/v1/sessions?after=x").status, 400);
    assert_int_equal(get("/v1/sessions?after=%zz").status, 400);
}

static void without_a_model_there_are_none(void **state)
{
    (void)state;
    assert_int_equal(get("/v1/sessions").status, 503);
    assert_int_equal(get("/v1/sessions/x").status, 503);
    assert_int_equal(get("/metrics").status, 200);
}

static void metrics_tell_of_them(void **state)
{
    (void)state;
    vly_imu_session *a = open_session("ann", NULL);

    vly_imu_session_close(open_session("bob", NULL));
    reply r = get("/metrics");
    assert_non_null(strstr(r.body, "\nvolley_imu_sessions 2\n"));
    assert_non_null(strstr(r.body, "\nvolley_imu_sessions_attached 1\n"));
    assert_non_null(strstr(r.body, "\nvolley_imu_sessions_opened_total 2\n"));
    assert_non_null(strstr(r.body, "\nvolley_imu_snapshot_duration_seconds_count 0\n"));
    vly_imu_session_close(a);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(one_is_found_reset_and_removed, service_start,
                                           service_stop),
           cmocka_unit_test_setup_teardown(lists_have_pages, service_start, service_stop),
           cmocka_unit_test_setup_teardown(without_a_model_there_are_none,
                                           service_start_without_steps, service_stop),
           cmocka_unit_test_setup_teardown(metrics_tell_of_them, service_start, service_stop))
