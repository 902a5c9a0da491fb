/* SPDX-License-Identifier: MIT */
/* Triton's statistics extension (extension_statistics.md). */
#include "service.h"

#include <stdio.h>
#include <string.h>
#include <yyjson.h>

static yyjson_doc *doc;

/* Statistics of the only model that target names. */
static yyjson_val *stats_of(const char *target)
{
    reply r = get(target);

    assert_int_equal(r.status, 200);
    yyjson_doc_free(doc);
    doc = yyjson_read(r.body, r.body_len, 0);
    yyjson_val *models = yyjson_obj_get(yyjson_doc_get_root(doc), "model_stats");
    assert_int_equal(yyjson_arr_size(models), 1);
    return yyjson_arr_get_first(models);
}

static int end(void **state)
{
    yyjson_doc_free(doc);
    doc = NULL;
    return service_stop(state);
}

static uint64_t number(yyjson_val *v, const char *pointer)
{
    yyjson_val *at = yyjson_ptr_get(v, pointer);

    if (!yyjson_is_uint(at))
        fail_msg("no number at %s", pointer);
    return yyjson_get_uint(at);
}

static void a_fresh_model_has_done_nothing(void **state)
{
    (void)state;
    assert_reply(
        get("/v2/models/simple/stats"), 200,
        "{\"model_stats\":[{\"name\":\"simple\",\"version\":\"1\",\"last_inference\":0,"
        "\"inference_count\":0,\"execution_count\":0,\"inference_stats\":{"
        "\"success\":{\"count\":0,\"ns\":0},\"fail\":{\"count\":0,\"ns\":0},"
        "\"queue\":{\"count\":0,\"ns\":0},\"compute_input\":{\"count\":0,\"ns\":0},"
        "\"compute_infer\":{\"count\":0,\"ns\":0},\"compute_output\":{\"count\":0,\"ns\":0},"
        "\"cache_hit\":{\"count\":0,\"ns\":0},\"cache_miss\":{\"count\":0,\"ns\":0}},"
        "\"response_stats\":{},\"batch_stats\":[],\"memory_usage\":[]}]}");
}

static void counts_what_was_done(void **state)
{
    (void)state;
    static const char target[] = "/v2/models/id_UINT8/infer";
    static const char two[] =
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"UINT8\",\"shape\":[2,1],\"data\":[1,2]}]}";

    for (int i = 0; i < 3; i++)
        assert_int_equal(post(target, two).status, 200);
    assert_int_equal(post(target, "{\"inputs\":[]}").status, 400);
    yyjson_val *m = stats_of("/v2/models/id_UINT8/versions/1/stats");
    assert_int_equal(number(m, "/inference_count"), 6);
    assert_int_equal(number(m, "/execution_count"), 3);
    assert_true(number(m, "/last_inference") > UINT64_C(1600000000000));
    assert_int_equal(number(m, "/inference_stats/success/count"), 3);
    assert_int_equal(number(m, "/inference_stats/fail/count"), 1);
    assert_int_equal(number(m, "/inference_stats/queue/count"), 3);
    assert_true(number(m, "/inference_stats/success/ns") >=
                number(m, "/inference_stats/compute_infer/ns"));
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(m, "batch_stats")), 1);
    assert_int_equal(number(m, "/batch_stats/0/batch_size"), 2);
    assert_int_equal(number(m, "/batch_stats/0/compute_infer/count"), 3);
#define SERIES(name, le) "volley_batch_size_" name "{model=\"id_UINT8\",version=\"1\"" le "} "
    assert_says(get("/metrics"), 200, SERIES("bucket", ",le=\"1\"") "0\n");
    assert_says(get("/metrics"), 200, SERIES("bucket", ",le=\"2\"") "3\n");
    assert_says(get("/metrics"), 200, SERIES("bucket", ",le=\"+Inf\"") "3\n");
    assert_says(get("/metrics"), 200, SERIES("sum", "") "6\n");
}

static void tells_all_that_serve(void **state)
{
    (void)state;
    assert_says(get("/v2/models/stats"), 200, "{\"name\":\"batches\",\"version\":\"1\"");
    reply r = get("/v2/models/stats");
    assert_null(strstr(r.body, "broken"));
    assert_says(get("/v2/models/nobody/stats"), 404,
                "Request for unknown model: 'nobody' is not found");
    assert_says(get("/v2/models/simple/versions/9/stats"), 404,
                "Request for unknown model: 'simple' version 9 is not found");
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(a_fresh_model_has_done_nothing, service_start, end),
           cmocka_unit_test_setup_teardown(counts_what_was_done, service_start, end),
           cmocka_unit_test_setup_teardown(tells_all_that_serve, service_start, end))
