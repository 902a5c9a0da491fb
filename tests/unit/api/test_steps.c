/* SPDX-License-Identifier: MIT */
/* Steps over HTTP: what is refused, and what one client's requests make of its session. */
#include "api/steps_pool.h"
#include "service.h"

#include <stdio.h>

#define DETECT       "/v1/imu:detect"
#define SESSIONS_MAX 100 /* of the service */
#define READING                                                                                    \
    "{\"accel_x\":0.1,\"accel_y\":-0.2,\"accel_z\":9.8,\"gyro_x\":0,\"gyro_y\":0,\"gyro_z\":0}"

/* Ten seconds of a sensor that lies still, at 80 Hz. */
static vly_buf still(void)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 20);
    vly_buf_puts(&b, "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z\n");
    for (int i = 0; i < 800; i++)
        vly_buf_printf(&b, "%.4f,0.1,-0.2,9.8,0,0,0\n", i / 80.0);
    return b;
}

static void recordings(void **state)
{
    vly_buf csv = still();

    (void)state;
    reply r = ask("POST", DETECT, "", csv.ptr, csv.len);
    assert_says(r, 200, "{\"samples\":800,\"steps\":0,");
    assert_says(r, 200, "\"activity_s\":{\"standing\":10,");
    assert_string_equal(header(&r, "Content-Type"), "application/json");
    r = ask("POST", DETECT "?rate=80", "Accept: text/csv\r\n", csv.ptr, csv.len);
    assert_reply(r, 200, "type,step,t_ms,confidence,activity\n");
    assert_says(ask("POST", DETECT, "Accept: image/svg+xml\r\n", csv.ptr, csv.len), 200, "<svg");
    assert_reply(ask("POST", DETECT, "", NULL, 0), 400,
                 "{\"error\":\"expected a recording in the body, got nothing\"}");
    assert_says(ask("POST", DETECT "?rate=0", "", csv.ptr, csv.len), 400,
                "'rate': expected 1 to 10000 Hz, got '0'");
    assert_says(ask("POST", DETECT "?events=2", "", csv.ptr, csv.len), 400,
                "'events': expected true or false, got '2'");
    assert_says(ask("POST", DETECT, "Content-Encoding: gzip\r\n", csv.ptr, csv.len), 400, "error");
    svc.api.max_imu_readings = 100;
    assert_says(ask("POST", DETECT, "", csv.ptr, csv.len), 413, "100");
    vly_buf_release(&csv);
}

static void as_many_as_may_wait(void **state)
{
    vly_err err;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(vly_steps_pool_enter(svc.steps_pool, &err), VLY_OK);
    reply r = ask("POST", DETECT, "", "1,2,3", 5);
    assert_says(r, 429, "4 recordings are waiting already");
    assert_string_equal(header(&r, "Retry-After"), "1");
    for (int i = 0; i < 4; i++)
        vly_steps_pool_leave(svc.steps_pool);
    assert_says(ask("POST", DETECT, "", "x", 1), 400, "error");
}

static void batchers_are_kept(void **state)
{
    vly_step_batcher *b[3], *again;
    vly_err err;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(vly_steps_pool_take(svc.steps_pool, &b[i], &err), VLY_OK);
    for (int i = 0; i < 3; i++) /* the third is one too many, and freed */
        vly_steps_pool_give(svc.steps_pool, b[i]);
    vly_steps_pool_give(svc.steps_pool, NULL);
    assert_int_equal(vly_steps_pool_take(svc.steps_pool, &again, &err), VLY_OK);
    assert_ptr_equal(again, b[1]);
    vly_steps_pool_give(svc.steps_pool, again);
}

static void single_readings(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_says(post("/detect_step_async", READING), 200, "{\"prediction\":[");
    assert_says(post("/detect_step", READING), 200, "{\"step_start\":false,\"step_end\":false,");
    assert_says(get("/session_summary"), 200, "{\"total_readings\":21,\"total_steps\":0,");
    assert_says(get("/session_summary?user_id=b"), 200, "{\"total_readings\":0,");
    assert_reply(get("/step_count"), 200, "{\"step_count\":0}");
    assert_reply(post("/reset_count", ""), 200,
                 "{\"message\":\"Step count reset\",\"step_count\":0}");
    assert_says(get("/session_summary"), 200, "{\"total_readings\":0,");
    assert_reply(post("/detect_step", "{\"accel_x\":1}"), 422,
                 "{\"detail\":\"expected 'accel_y', which is missing\"}");
    assert_says(post("/detect_step", "{\"action\":\"stop\"}"), 422, "expected one reading");
    assert_says(get("/step_count?user_id=%00"), 400, "{\"detail\":\"'user_id': a bad escape\"}");
    for (int i = 1; i < SESSIONS_MAX; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/detect_step?user_id=c%d", i);
        assert_int_equal(post(path, READING).status, 200);
    }
    assert_says(post("/detect_step?user_id=i", READING), 429, "{\"detail\":");
}

static void note_replaced(void *ctx)
{
    ++*(int *)ctx;
}

static int64_t n_sessions(void)
{
    return vly_gauge_get(&vly_imu_sessions_get_stats(svc.imu_sessions)->sessions);
}

/* Who asks for a count neither begins a session nor takes one over. */
static void a_look_leaves_sessions_alone(void **state)
{
    static const vly_imu_session_events events = {.on_replaced = note_replaced};
    int n_replaced = 0;
    const vly_imu_open open = {
        .user = VLY_STR("ann"), .device = VLY_STR("http"), .events = &events, .ctx = &n_replaced};
    vly_imu_session *a;

    (void)state;
    assert_int_equal(vly_imu_session_open(svc.imu_sessions, &open, &a, NULL, NULL), VLY_OK);
    assert_reply(get("/step_count?user_id=ann"), 200, "{\"step_count\":0}");
    assert_says(get("/session_summary?user_id=ann"), 200, "{\"total_readings\":0,");
    assert_int_equal(post("/reset_count?user_id=ann", "").status, 200);
    assert_int_equal(n_replaced, 0);
    assert_int_equal(post("/reset_count?user_id=bob", "").status, 200);
    assert_int_equal(get("/step_count?user_id=bob").status, 200);
    assert_int_equal(get("/session_summary").status, 200);
    assert_int_equal(n_sessions(), 1);
    assert_int_equal(post("/detect_step?user_id=", READING).status, 200); /* nobody: the address */
    assert_int_equal(post("/detect_step", READING).status, 200);
    assert_says(get("/session_summary?user_id="), 200, "{\"total_readings\":2,");
    assert_int_equal(n_sessions(), 2);
    vly_imu_session_close(a);
}

static void settings_of_the_guide(void **state)
{
    (void)state;
    assert_says(get("/config"), 200, "{\"window_size\":10,\"start_threshold\":0.3,");
    assert_says(post("/config/start_threshold", "{\"value\":\"0.6\"}"), 200,
                "\"start_threshold\":0.6,");
    assert_says(get("/config/start_threshold"), 200,
                "{\"window_size\":null,\"start_threshold\":0.6,\"end_threshold\":null,");
    assert_says(get("/config/start_threshold"), 200, "\"effect\":\"none: ");
    assert_reply(get("/config/api.port"), 403, "{\"detail\":\"Config key not allowed\"}");
    assert_reply(post("/config/api.port", "{\"value\":\"1\"}"), 403,
                 "{\"detail\":\"Config key not allowed\"}");
    assert_says(post("/config/window_size", "{\"value\":\"2.5\"}"), 422,
                "'window_size': expected {\\\"value\\\": \\\"N\\\"} with a whole number of 1 to "
                "10000");
    assert_says(post("/config/window_size", "{"), 422, "JSON");
}

static void without_a_model(void **state)
{
    static const char *const paths[] = {"/step_count", "/session_summary", "/model_info",
                                        "/sessions", "/sessions/x"};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_reply(get(paths[i]), 503, "{\"detail\":\"" VLY_STEPS_NOT_HERE "\"}");
    assert_reply(ask("POST", DETECT, "", "x", 1), 503, "{\"error\":\"" VLY_STEPS_NOT_HERE "\"}");
    assert_says(get("/health"), 200, "\"model_loaded\":false");
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, service_start, service_stop)

UNIT_TESTS(SERVED(recordings), SERVED(as_many_as_may_wait), SERVED(batchers_are_kept),
           SERVED(single_readings), SERVED(a_look_leaves_sessions_alone),
           SERVED(settings_of_the_guide),
           cmocka_unit_test_setup_teardown(without_a_model, service_start_without_steps,
                                           service_stop))
