/* SPDX-License-Identifier: MIT */
/*
 * The guide's requests of one reading: POST /detect_step and /detect_step_async, GET /step_count
 * and /session_summary, POST /reset_count, GET /model_info.
 *
 * One reading tells nothing of steps, so each client has a session: that of the user_id in the
 * query, else that of its address. The answer says what has become known with this reading. Only a
 * reading begins a session or takes it over; who asks for its count looks at it.
 */
#include "api/routes.h"

#include "api/access.h"
#include "api/answer.h"
#include "api/guide.h"
#include "api/steps_query.h"
#include "base/float_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#define DEVICE             "http"
#define HTTP_UNPROCESSABLE 422
#define ARENA_BLOCK_BYTES  ((size_t)1 << 10)
#define ARENA_BUDGET_BYTES ((size_t)1 << 20)

/* ---- what is shared ---- */

void vly_guide_note(vly_guide_known *known, const vly_step_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        known->has_start = known->has_start || events[i].type == VLY_STEP_START;
        known->has_end = known->has_end || events[i].type == VLY_STEP_END;
        known->confidence = events[i].confidence;
    }
}

void vly_guide_put_time(vly_buf *b)
{
    uint64_t ms = vly_clock_unix_ms();

    vly_buf_printf(b, "%" PRIu64 ".%03u", ms / 1000, (unsigned)(ms % 1000));
}

void vly_guide_fail(vly_http_request *req, int status, const char *detail)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, (size_t)16 * VLY_ERR_MSG_MAX);
    vly_buf_puts(&b, "{\"detail\":");
    vly_buf_json_str(&b, vly_str_from(detail));
    vly_buf_putc(&b, '}');
    vly_answer_json(req, status, &b);
}

void vly_guide_answer(vly_http_request *req, const vly_err *err, vly_buf *b)
{
    if (err->status == VLY_OK) {
        vly_answer_json(req, 200, b);
        return;
    }
    vly_buf_release(b);
    vly_guide_fail(req, vly_status_http(err->status), err->msg);
}

/* ---- the client's session ---- */

typedef struct visit {
    vly_imu_session *session;
    vly_imu_session_info info;
    vly_guide_known known;
} visit;

static void on_events(void *ctx, const vly_step_event *events, size_t n)
{
    visit *v = ctx;

    vly_guide_note(&v->known, events, n);
}

/* "127.0.0.1:40000" without its port. */
static vly_str address_of(const vly_http_request *req)
{
    const char *colon = strrchr(req->peer, ':');

    return (vly_str){req->peer, colon != NULL ? (size_t)(colon - req->peer) : strlen(req->peer)};
}

/* Who the client is: an empty user_id names nobody. */
static vly_status read_user(vly_http_request *req, vly_str *ret, vly_err *err)
{
    vly_str user = {NULL, 0};
    vly_status st = vly_steps_query_text(&req->msg, "user_id", &user, err);

    if (st == VLY_OK)
        *ret = user.len > 0 ? user : address_of(req);
    return st;
}

/* Ends by leave. */
static vly_status enter(const vly_api *api, vly_http_request *req, visit *v, vly_err *err)
{
    static const vly_imu_session_events events = {.on_events = on_events};
    vly_imu_open open = {.device = VLY_STR(DEVICE),
                         .who = vly_access_who(api, req),
                         .has_gyro = true,
                         .events = &events,
                         .ctx = v};

    if (api->imu_sessions == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    vly_status st = read_user(req, &open.user, err);
    if (st == VLY_OK)
        st = vly_imu_session_open(api->imu_sessions, &open, &v->session, &v->info, err);
    return st;
}

static void leave(visit *v)
{
    vly_imu_session_close(v->session);
}

/* ---- one reading ---- */

static vly_status read_body(vly_http_request *req, vly_imu_message *ret, vly_arena *arena,
                            vly_err *err)
{
    vly_status st = vly_imu_message_read(vly_buf_str(&req->msg.body), true, arena, ret, err);

    if (st != VLY_OK)
        return st;
    if (ret->action != VLY_IMU_READINGS || ret->n != 1)
        return vly_fail(err, VLY_EINVAL, "expected one reading: " VLY_GUIDE_FIELDS);
    return VLY_OK;
}

static vly_status push(const vly_api *api, vly_http_request *req, visit *v, vly_imu_message *m,
                       vly_err *err)
{
    double rate_hz = api->imu_rate_hz;
    vly_status st = vly_steps_query_rate(&req->msg, &rate_hz, err);

    if (st != VLY_OK)
        return st;
    if (!m->has_times)
        m->readings[0].t_us = llround((double)v->info.next * (1e6 / rate_hz));
    st = vly_imu_session_push(v->session, req->loop_idx, VLY_IMU_NEXT, m->readings, 1, err);
    if (st != VLY_OK)
        return st;
    if (!vly_imu_session_run(v->session, req->loop_idx)) {
        vly_imu_session_take_back(v->session, req->loop_idx);
        return vly_fail(err, VLY_EBUSY,
                        "the reading was not taken: another request of this user "
                        "came, or the server is busy");
    }
    vly_imu_session_info_get(v->session, &v->info);
    return VLY_OK;
}

/* Which it is that takes one reading and says what became known. */
static void detect(vly_api *api, vly_http_request *req, void (*put)(const visit *v, vly_buf *b))
{
    vly_err err = VLY_ERR_INIT;
    visit v = {.session = NULL};
    vly_imu_message m;
    vly_arena arena;
    vly_buf b;

    vly_arena_init(&arena, VLY_MEM_ARENA, ARENA_BLOCK_BYTES, ARENA_BUDGET_BYTES);
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    if (read_body(req, &m, &arena, &err) != VLY_OK) {
        vly_guide_fail(req, HTTP_UNPROCESSABLE, err.msg);
    } else {
        vly_status st = enter(api, req, &v, &err);
        if (st == VLY_OK)
            st = push(api, req, &v, &m, &err);
        if (st == VLY_OK)
            put(&v, &b);
        leave(&v);
        vly_guide_answer(req, &err, &b);
    }
    vly_arena_release(&arena);
}

static void put_number(vly_buf *b, float v)
{
    char text[VLY_F32_TEXT_MAX];

    vly_f32_text(v, text);
    vly_buf_puts(b, text);
}

static void put_prediction(const visit *v, vly_buf *b)
{
    float start = v->info.p_start, end = v->info.p_end;

    vly_buf_puts(b, "{\"prediction\":[");
    put_number(b, fmaxf(0, 1 - start - end));
    vly_buf_putc(b, ',');
    put_number(b, start);
    vly_buf_putc(b, ',');
    put_number(b, end);
    vly_buf_puts(b, "]}");
}

/* "2025-06-27T14:20:19.586" */
static void put_iso_time(vly_buf *b)
{
    uint64_t ms = vly_clock_unix_ms();
    time_t s = (time_t)(ms / 1000);
    char text[32];
    struct tm tm;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
    vly_buf_printf(b, "%s.%03u", text, (unsigned)(ms % 1000));
}

static void put_detection(const visit *v, vly_buf *b)
{
    vly_buf_printf(b, "{\"step_start\":%s,\"step_end\":%s,\"start_probability\":",
                   v->known.has_start ? "true" : "false", v->known.has_end ? "true" : "false");
    put_number(b, v->info.p_start);
    vly_buf_puts(b, ",\"end_probability\":");
    put_number(b, v->info.p_end);
    vly_buf_printf(b, ",\"step_count\":%" PRIu64 ",\"timestamp\":\"", v->info.totals.n_steps);
    put_iso_time(b);
    vly_buf_puts(b, "\"}");
}

void vly_route_guide_detect(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    detect(api, req, put_detection);
}

void vly_route_guide_detect_async(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    detect(api, req, put_prediction);
}

/* ---- the count ---- */

static void put_thresholds(const vly_api *api, vly_buf *b)
{
    const vly_step_decoder_rule *rule = &api->step_model->rule;

    vly_buf_puts(b, "\"thresholds\":{\"start_threshold\":");
    put_number(b, rule->threshold_first);
    vly_buf_puts(b, ",\"end_threshold\":");
    put_number(b, rule->threshold_due);
    vly_buf_puts(b, "}}");
}

static void put_count(const vly_api *api, const vly_imu_session_info *info, vly_buf *b)
{
    (void)api;
    vly_buf_printf(b, "{\"step_count\":%" PRIu64 "}", info->totals.n_steps);
}

static void put_reset(const vly_api *api, const vly_imu_session_info *info, vly_buf *b)
{
    (void)api;
    vly_buf_printf(b, "{\"message\":\"Step count reset\",\"step_count\":%" PRIu64 "}",
                   info->totals.n_steps);
}

static void put_summary(const vly_api *api, const vly_imu_session_info *info, vly_buf *b)
{
    vly_buf_printf(b,
                   "{\"total_readings\":%" PRIu64 ",\"total_steps\":%" PRIu64
                   ",\"current_step_in_progress\":%s,",
                   info->totals.n_readings, info->totals.n_steps,
                   info->is_in_step ? "true" : "false");
    put_thresholds(api, b);
}

/* Of the client's session; who has none has counted nothing. */
static vly_status look(const vly_api *api, vly_http_request *req, bool is_reset,
                       vly_imu_session_info *ret, vly_err *err)
{
    const vly_imu_who who = vly_access_who(api, req);
    vly_str user;

    *ret = (vly_imu_session_info){.next = 0};
    if (api->imu_sessions == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    vly_status st = read_user(req, &user, err);
    if (st == VLY_OK)
        st = vly_imu_sessions_find_name(api->imu_sessions, &who, user, VLY_STR(DEVICE), ret, err);
    if (st == VLY_OK && is_reset)
        st = vly_imu_sessions_reset(api->imu_sessions, &who, vly_str_from(ret->id), ret, err);
    return st;
}

static void tell(vly_api *api, vly_http_request *req, bool is_reset,
                 void (*put)(const vly_api *api, const vly_imu_session_info *info, vly_buf *b))
{
    vly_err err = VLY_ERR_INIT;
    vly_imu_session_info info;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_status st = look(api, req, is_reset, &info, &err);
    if (st == VLY_ENOTFOUND)
        err = (vly_err)VLY_ERR_INIT;
    if (st == VLY_OK || st == VLY_ENOTFOUND)
        put(api, &info, &b);
    vly_guide_answer(req, &err, &b);
}

void vly_route_guide_count(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    tell(api, req, false, put_count);
}

void vly_route_guide_reset(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    tell(api, req, true, put_reset);
}

void vly_route_guide_summary(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    tell(api, req, false, put_summary);
}

void vly_route_guide_model(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    const vly_step_model *m = api->step_model;
    vly_err err = VLY_ERR_INIT;
    vly_buf b;

    (void)captures;
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    if (m == NULL) {
        vly_fail(&err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    } else {
        vly_buf_puts(&b, "{\"model_info\":{\"name\":");
        vly_buf_json_str(&b, vly_str_from(m->name));
        vly_buf_printf(&b,
                       ",\"model_type\":\"recurrent\",\"framework\":\"ONNX\",\"input_shape\":[6],"
                       "\"output_classes\":3,\"rate_hz\":%u,\"look_ahead_ms\":%.15g},"
                       "\"api_status\":\"active\",",
                       m->rate_hz, (double)vly_step_model_delay_us(m) / 1e3);
        put_thresholds(api, &b);
    }
    vly_guide_answer(req, &err, &b);
}
