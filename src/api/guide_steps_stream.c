/* SPDX-License-Identifier: MIT */
/*
 * GET /ws/realtime[?user_id=]: the guide's WebSocket. Each reading is answered at once, with what
 * has become known; a connection has a count of its own, which ends with it. A second connection of
 * a user takes over from the first.
 *
 * Here a turn of the sessions runs for each message, so readings of different clients do not share
 * batches as those of /v1/stream do: the price of an answer per reading.
 */
#include "api/routes.h"

#include "api/access.h"
#include "api/answer.h"
#include "api/guide.h"
#include "api/steps_query.h"
#include "base/float_text.h"
#include "net/websocket.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#define DEVICE             "realtime"
#define ARENA_BLOCK_BYTES  ((size_t)4 << 10)
#define ARENA_BUDGET_BYTES ((size_t)1 << 20)

typedef struct realtime {
    vly_steps_stream base; /* first */
    vly_alarm idle;
    _Atomic vly_nsec heard_ns;
    uint64_t n_requests;
    uint64_t begun_ms;
    vly_guide_known known; /* since the last answer */
    bool has_user;
    char user[VLY_IMU_NAME_MAX + 1];
} realtime;

static realtime *realtime_of(vly_steps_stream *s)
{
    return (realtime *)s;
}

/* ---- out ---- */

static void put_head(const vly_steps_stream *s, const char *type, const char *status, vly_buf *b)
{
    vly_buf_printf(b, "{\"type\":\"%s\",", type);
    if (status != NULL)
        vly_buf_printf(b, "\"status\":\"%s\",", status);
    vly_buf_printf(b, "\"session_id\":\"%s\",", s->id);
}

static void put_user(const realtime *r, vly_buf *b)
{
    vly_buf_puts(b, "\"user_id\":");
    if (r->has_user)
        vly_buf_json_str(b, vly_str_from(r->user));
    else
        vly_buf_puts(b, "null");
    vly_buf_putc(b, ',');
}

static void put_tail(vly_buf *b)
{
    vly_buf_puts(b, "\"timestamp\":\"");
    vly_guide_put_time(b);
    vly_buf_puts(b, "\"}");
}

static void say_started(realtime *r, bool has_replaced)
{
    vly_buf b = vly_steps_stream_buf(&r->base);

    put_head(&r->base, "session_started", NULL, &b);
    put_user(r, &b);
    vly_buf_printf(&b,
                   "\"message\":\"Step detection session initialized successfully\","
                   "\"replaced_previous\":%s,",
                   has_replaced ? "true" : "false");
    put_tail(&b);
    vly_steps_stream_send(&r->base, &b);
}

static void put_replaced(const vly_steps_stream *s, vly_buf *b)
{
    const realtime *r = (const realtime *)s;

    put_head(s, "session_replaced", NULL, b);
    put_user(r, b);
    vly_buf_puts(b, "\"message\":\"Session replaced by a new connection, or terminated\",");
    put_tail(b);
}

static void put_number(vly_buf *b, const char *name, float v)
{
    char text[VLY_F32_TEXT_MAX];

    vly_f32_text(v, text);
    vly_buf_printf(b, "\"%s\":%s,", name, text);
}

static void put_bool(vly_buf *b, const char *name, bool v, char after)
{
    vly_buf_printf(b, "\"%s\":%s%c", name, v ? "true" : "false", after);
}

static int class_of(float none, float start, float end)
{
    if (none >= start && none >= end)
        return 0;
    return start >= end ? 1 : 2;
}

static void put_prediction(const realtime *r, const vly_imu_session_info *info,
                           const vly_imu_reading *reading, vly_buf *b)
{
    float start = info->p_start, end = info->p_end, none = fmaxf(0, 1 - start - end);
    char text[2][VLY_F32_TEXT_MAX];

    vly_f32_text(start, text[0]);
    vly_f32_text(end, text[1]);
    vly_buf_puts(b, "\"prediction\":{");
    put_number(b, "confidence", fmaxf(start, end));
    vly_buf_printf(b, "\"probabilities\":[%s,%s],", text[0], text[1]);
    put_number(b, "start_probability", start);
    put_number(b, "end_probability", end);
    put_number(b, "no_step_probability", none);
    vly_buf_printf(b, "\"predicted_class\":%d,", class_of(none, start, end));
    put_number(b, "movement_magnitude",
               (float)(vly_imu_length(reading->acc) + vly_imu_length(reading->gyro)));
    put_bool(b, "step_start", r->known.has_start, ',');
    put_bool(b, "step_end", r->known.has_end, ',');
    put_bool(b, "detector_has_current_step", info->is_in_step, '}');
    vly_buf_putc(b, ',');
}

static void say_detection(realtime *r, const vly_imu_reading *reading)
{
    const vly_step_model *m = r->base.api->step_model;
    uint64_t n_held = vly_step_model_delay_us(m) * m->rate_hz / 1000000;
    vly_buf b = vly_steps_stream_buf(&r->base);
    vly_imu_session_info info;

    vly_steps_stream_info(&r->base, &info);
    put_head(&r->base, "step_detection", NULL, &b);
    put_user(r, &b);
    put_bool(&b, "step_detected", r->known.has_end, ',');
    put_prediction(r, &info, reading, &b);
    vly_buf_printf(&b,
                   "\"total_steps\":%" PRIu64 ",\"total_predictions\":%" PRIu64
                   ",\"buffer_size\":%" PRIu64
                   ",\"message\":\"Step detection processed successfully\",\"error\":null,",
                   info.totals.n_steps, r->n_requests,
                   info.totals.n_readings < n_held ? info.totals.n_readings : n_held);
    put_tail(&b);
    vly_steps_stream_send(&r->base, &b);
    r->known = (vly_guide_known){false, false, 0};
}

static void say_error(realtime *r, const vly_err *err, bool is_missing)
{
    vly_buf b = vly_steps_stream_buf(&r->base);

    vly_buf_puts(&b, "{\"error\":");
    if (is_missing)
        vly_buf_puts(&b, "\"Missing sensor data fields\"");
    else
        vly_buf_json_str(&b, vly_str_from(err->msg));
    vly_buf_printf(&b, ",\"session_id\":\"%s\"%s}", r->base.id,
                   is_missing ? ",\"required_fields\":" VLY_GUIDE_FIELDS : "");
    vly_steps_stream_send(&r->base, &b);
}

/* ---- actions ---- */

static double age(uint64_t since_ms)
{
    return (double)(vly_clock_unix_ms() - since_ms) / 1e3;
}

static void say_stop(realtime *r)
{
    vly_buf b = vly_steps_stream_buf(&r->base);

    put_head(&r->base, "stop_response", "success", &b);
    vly_buf_printf(&b,
                   "\"message\":\"Step detection stopped. WebSocket connection will be closed.\","
                   "\"session_stats\":{\"duration\":%.3f,\"total_requests\":%" PRIu64 "},",
                   age(r->begun_ms), r->n_requests);
    put_tail(&b);
    vly_steps_stream_send(&r->base, &b);
    vly_steps_stream_end(&r->base, VLY_WEBSOCKET_NORMAL, NULL);
}

static vly_status reset(realtime *r, vly_err *err)
{
    vly_steps_stream *s = &r->base;
    vly_imu_session_info info;
    vly_status st = vly_steps_stream_reset(s, &info, err);

    if (st != VLY_OK)
        return st;
    r->known = (vly_guide_known){false, false, 0};
    vly_buf b = vly_steps_stream_buf(s);
    put_head(s, "reset_response", "success", &b);
    vly_buf_puts(&b, "\"message\":\"Step counter has been reset for this session\","
                     "\"total_steps\":0,");
    put_tail(&b);
    vly_steps_stream_send(s, &b);
    return VLY_OK;
}

static void say_stats(realtime *r)
{
    const vly_imu_sessions_stats *all = vly_imu_sessions_get_stats(r->base.api->imu_sessions);
    vly_buf b = vly_steps_stream_buf(&r->base);

    put_head(&r->base, "stats_response", "success", &b);
    vly_buf_printf(&b,
                   "\"user_stats\":{\"session_duration\":%.3f,\"total_requests\":%" PRIu64
                   ",\"last_activity\":%.3f},\"server_stats\":{\"active_sessions\":%" PRId64
                   ",\"total_server_requests\":%" PRIu64 "},",
                   age(r->begun_ms), r->n_requests, (double)vly_clock_unix_ms() / 1e3,
                   (int64_t)vly_gauge_get(&all->sessions), vly_counter_get(&all->readings));
    put_tail(&b);
    vly_steps_stream_send(&r->base, &b);
}

/* ---- in ---- */

static vly_status act(realtime *r, vly_imu_message *m, vly_err *err)
{
    vly_status st;

    switch (m->action) {
    case VLY_IMU_STOP:
        say_stop(r);
        return VLY_OK;
    case VLY_IMU_RESET:
        return reset(r, err);
    case VLY_IMU_STATS:
        say_stats(r);
        return VLY_OK;
    case VLY_IMU_READINGS:
        break;
    }
    st = vly_steps_stream_push(&r->base, m, err);
    if (st == VLY_OK)
        say_detection(r, &m->readings[m->n - 1]);
    return st;
}

static void on_message(vly_steps_stream *s, vly_buf *message, bool is_text)
{
    realtime *r = realtime_of(s);
    vly_imu_message m;
    vly_status st;
    vly_arena arena;
    vly_err err;

    atomic_store(&r->heard_ns, vly_clock_now());
    r->n_requests++;
    vly_arena_init(&arena, VLY_MEM_ARENA, ARENA_BLOCK_BYTES, ARENA_BUDGET_BYTES);
    if (is_text)
        st = vly_imu_message_read(vly_buf_str(message), true, &arena, &m, &err);
    else
        st = vly_fail(&err, VLY_EINVAL, "expected JSON in a text message, got a binary one");
    bool is_missing = st == VLY_ENOTFOUND; /* a member of the reading */
    if (st == VLY_OK)
        st = act(r, &m, &err);
    if (st != VLY_OK && st != VLY_ECANCELLED) /* who has been replaced is told so */
        say_error(r, &err, is_missing);
    vly_arena_release(&arena);
}

static void tell_events(vly_steps_stream *s, const vly_step_event *events, size_t n)
{
    vly_guide_note(&realtime_of(s)->known, events, n);
}

/* ---- life ---- */

/* Thread: that of the alarms. */
static void look(vly_alarm *alarm)
{
    realtime *r = (realtime *)(void *)((char *)alarm - offsetof(realtime, idle));
    vly_api *api = r->base.api;
    vly_nsec end = atomic_load(&r->heard_ns) + api->guide.idle_ns;

    if (vly_clock_now() < end) {
        vly_alarm_set(vly_scheduler_alarms(api->scheduler), alarm, end);
        return;
    }
    vly_buf b = vly_steps_stream_buf(&r->base);
    put_head(&r->base, "timeout_response", "timeout", &b);
    vly_buf_printf(&b, "\"message\":\"Connection closed due to %g minutes of inactivity\",",
                   vly_clock_ms(api->guide.idle_ns) / 60e3);
    put_tail(&b);
    vly_steps_stream_send(&r->base, &b);
    vly_steps_stream_end(&r->base, VLY_WEBSOCKET_NORMAL, "timeout");
}

static void gone(vly_steps_stream *s)
{
    realtime *r = realtime_of(s);

    vly_alarm_end(vly_scheduler_alarms(s->api->scheduler), &r->idle);
    vly_free(r);
}

static const vly_steps_dialect dialect = {.on_message = on_message,
                                          .tell_events = tell_events,
                                          .put_replaced = put_replaced,
                                          .gone = gone,
                                          .is_text = true,
                                          .is_passing = true,
                                          .code_ended = VLY_WEBSOCKET_NORMAL,
                                          .code_replaced = VLY_WEBSOCKET_NORMAL,
                                          .code_behind = VLY_WEBSOCKET_TRY_LATER};

static vly_status attach(realtime *r, vly_http_request *req, bool *ret_has_replaced, vly_err *err)
{
    vly_steps_source source = {.device = VLY_STR(DEVICE)};
    vly_imu_session_info info;
    vly_status st = vly_steps_query_text(&req->msg, "user_id", &source.user, err);

    if (st == VLY_OK)
        st = vly_steps_query_rate(&req->msg, &r->base.rate_hz, err);
    r->has_user = source.user.len > 0;
    if (!r->has_user)
        source.device = VLY_STR("");
    if (st == VLY_OK)
        st = vly_steps_stream_attach(&r->base, &source, &info, err);
    if (st != VLY_OK)
        return st;
    memcpy(r->user, info.user, sizeof(r->user));
    *ret_has_replaced = info.has_replaced;
    if (!info.is_resumed)
        return VLY_OK;
    return vly_imu_sessions_reset(r->base.api->imu_sessions, &r->base.who, vly_str_from(info.id),
                                  NULL, err);
}

static vly_status open_stream(realtime *r, vly_http_request *req, vly_err *err)
{
    vly_alarms *alarms = vly_scheduler_alarms(r->base.api->scheduler);
    bool has_replaced = false;
    vly_status st = attach(r, req, &has_replaced, err);

    if (st == VLY_OK)
        st = vly_steps_stream_accept(&r->base, req, err);
    if (st != VLY_OK)
        return st;
    say_started(r, has_replaced);
    vly_steps_stream_begin(&r->base);
    vly_alarm_set(alarms, &r->idle, vly_clock_now() + r->base.api->guide.idle_ns);
    return VLY_OK;
}

void vly_route_guide_realtime(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    (void)captures;
    if (req->stream_kind != VLY_STREAM_WEBSOCKET) {
        vly_guide_fail(req, 426, "expected a WebSocket");
        return;
    }
    if (api->imu_sessions == NULL) {
        vly_guide_fail(req, 503, VLY_STEPS_NOT_HERE);
        return;
    }
    realtime *r = vly_calloc(VLY_MEM_NET, 1, sizeof(*r));
    if (r == NULL) {
        vly_guide_fail(req, 503, "out of memory for the stream");
        return;
    }
    r->base = (vly_steps_stream){.dialect = &dialect,
                                 .api = api,
                                 .who = vly_access_who(api, req),
                                 .has_gyro = true,
                                 .rate_hz = api->imu_rate_hz};
    r->idle.ring = look;
    r->begun_ms = vly_clock_unix_ms();
    atomic_store(&r->heard_ns, vly_clock_now());
    if (open_stream(r, req, &err) == VLY_OK)
        return;
    vly_steps_stream_detach(&r->base);
    vly_free(r);
    vly_guide_fail(req, vly_status_http(err.status), err.msg);
}
