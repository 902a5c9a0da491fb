/* SPDX-License-Identifier: MIT */
/* Triton's trace and logging extensions; members and texts as its http_server.cc has them. */
#include "base/log.h"
#include "service.h"

#define TRACE "/v2/trace/setting"
#define OFF                                                                                        \
    "{\"trace_level\":[\"OFF\"],\"trace_rate\":\"1000\",\"trace_count\":\"-1\","                   \
    "\"log_frequency\":\"0\",\"trace_file\":\"\",\"trace_mode\":\"triton\"}"

static void trace_settings_are_kept(void **state)
{
    (void)state;
    reply r = get(TRACE);
    assert_reply(r, 200, OFF);
    assert_null(header(&r, "Warning"));
    r = post(TRACE, "{\"trace_level\":[\"TIMESTAMPS\",\"TENSORS\"],\"trace_rate\":\"10\"}");
    assert_reply(r, 200,
                 "{\"trace_level\":[\"TIMESTAMPS\",\"TENSORS\"],\"trace_rate\":\"10\","
                 "\"trace_count\":\"-1\",\"log_frequency\":\"0\",\"trace_file\":\"\","
                 "\"trace_mode\":\"triton\"}");
    assert_string_equal(header(&r, "Warning"), "199 - \"traces are not written\"");
    assert_says(get("/v2/models/simple/trace/setting"), 200, "\"trace_rate\":\"10\"");
    assert_says(post("/v2/models/simple/trace/setting", "{\"trace_rate\":\"7\"}"), 200,
                "[\"TIMESTAMPS\",\"TENSORS\"],\"trace_rate\":\"7\"");
    assert_says(get(TRACE), 200, "\"trace_rate\":\"10\"");
    assert_says(post("/v2/models/simple/trace/setting", "{\"trace_rate\":null}"), 200,
                "\"trace_rate\":\"10\"");
    assert_reply(post(TRACE, "{\"trace_level\":null,\"trace_rate\":[]}"), 200, OFF);
}

static void bad_trace_settings_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *body, *says;
        int status;
    } rows[] = {
        {"{\"trace_file\":\"/x\"}",
         "trace file location can not be updated through network protocol", 501},
        {"{\"trace_rate\":\"3\",\"trace_level\":[\"OFF\",\"TENSORS\"]}",
         "Expect only one trace level 'OFF' is specified", 400},
        {"{\"trace_level\":[\"SOME\"]}", "Unable to parse 'trace_level'", 400},
        {"{\"trace_level\":\"OFF\"}", "Unable to parse 'trace_level'", 400},
        {"{\"trace_rate\":\"x\"}", "Unable to parse 'trace_rate', got: x", 400},
        {"{\"trace_rate\":5}", "Unable to parse 'trace_rate'", 400},
        {"{\"trace_rate\":\"4294967296\"}", "Unable to parse 'trace_rate', value is out of range",
         400},
        {"{\"trace_count\":\"-2\"}", "Unable to parse 'trace_count'. Expecting value >= -1, got:-2",
         400},
        {"[", "failed to parse the request JSON buffer", 400},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_says(post(TRACE, rows[i].body), rows[i].status, rows[i].says);
    assert_reply(get(TRACE), 200, OFF);
    assert_says(get("/v2/models/nobody/trace/setting"), 404, "Request for unknown model");
}

static void an_answer_without_room_is_refused(void **state)
{
    (void)state;
    svc.api.max_answer_bytes = 16;
    assert_says(get(TRACE), 503, "out of memory for the answer");
}

static void log_settings_take_effect(void **state)
{
    (void)state;
    assert_reply(get("/v2/logging"), 200,
                 "{\"log_file\":\"\",\"log_info\":true,\"log_warning\":true,\"log_error\":true,"
                 "\"log_verbose_level\":0,\"log_format\":\"ISO8601\"}");
    assert_says(post("/v2/logging", "{\"log_info\":false,\"log_verbose_level\":3,"
                                    "\"log_error\":null,\"log_format\":\"ISO8601\"}"),
                200,
                "\"log_info\":false,\"log_warning\":true,\"log_error\":true,"
                "\"log_verbose_level\":3");
    assert_false(vly_log_is_on(VLY_LOG_INFO));
    assert_true(vly_log_is_on(VLY_LOG_WARN));
    assert_true(vly_log_is_on(VLY_LOG_DEBUG));
    assert_says(post("/v2/logging", "{\"log_info\":true,\"log_verbose_level\":0}"), 200,
                "\"log_verbose_level\":0");
    assert_true(vly_log_is_on(VLY_LOG_INFO));
    assert_false(vly_log_is_on(VLY_LOG_DEBUG));
}

static void bad_log_settings_change_nothing(void **state)
{
    (void)state;
    assert_says(post("/v2/logging", "{\"log_info\":false,\"log_file\":\"/x\"}"), 501,
                "log file location can not be updated through network protocol");
    assert_says(post("/v2/logging", "{\"log_info\":false,\"log_error\":1}"), 400,
                "Unable to parse 'log_error'");
    assert_says(post("/v2/logging", "{\"log_info\":false,\"log_verbose_level\":-1}"), 400,
                "Unable to parse 'log_verbose_level'");
    assert_says(post("/v2/logging", "{\"log_info\":false,\"log_format\":\"xml\"}"), 503,
                "invalid argument for --log_format, got: xml");
    assert_says(post("/v2/logging", "{\"log_format\":\"default\"}"), 501, "only ISO8601");
    assert_true(vly_log_is_on(VLY_LOG_INFO));
}

UNIT_TESTS(
    cmocka_unit_test_setup_teardown(trace_settings_are_kept, service_start, service_stop),
    cmocka_unit_test_setup_teardown(bad_trace_settings_change_nothing, service_start, service_stop),
    cmocka_unit_test_setup_teardown(an_answer_without_room_is_refused, service_start, service_stop),
    cmocka_unit_test_setup_teardown(log_settings_take_effect, service_start, service_stop),
    cmocka_unit_test_setup_teardown(bad_log_settings_change_nothing, service_start, service_stop))
