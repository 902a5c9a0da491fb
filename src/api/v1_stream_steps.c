/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/stream?kind=steps: readings in, steps out, over a WebSocket.
 *
 *     -> {"readings":[[t_ms,ax,ay,az,gx,gy,gz],...],"first":N}, packets, {"action":...}
 *     <- {"type":"session",...}, {"type":"step.start",...} or {"events":[...]}, {"type":"ack",...}
 *
 * A message that is wrong is answered by an error with the number of the next reading, and the
 * stream goes on. docs/steps.md tells each message.
 */
#include "api/v1_stream.h"

#include "api/access.h"
#include "api/imu_json.h"
#include "api/steps_query.h"
#include "net/websocket.h"
#include "tasks/steps/step_json.h"

#include <inttypes.h>

#define ARENA_BLOCK_BYTES  ((size_t)4 << 10)
#define ARENA_BUDGET_BYTES ((size_t)16 << 20)

/* ---- out ---- */

static void put_session(const vly_steps_stream *s, const vly_imu_session_info *info, vly_buf *b)
{
    const vly_step_model *m = s->api->step_model;

    vly_buf_puts(b, "{\"type\":\"session\",\"session\":");
    vly_buf_json_str(b, vly_str_from(info->id));
    vly_buf_puts(b, ",\"user\":");
    vly_buf_json_str(b, vly_str_from(info->user));
    vly_buf_puts(b, ",\"device\":");
    vly_buf_json_str(b, vly_str_from(info->device));
    vly_buf_printf(b, ",\"resumed\":%s,\"next\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"model\":",
                   info->is_resumed ? "true" : "false", info->next, info->totals.n_steps);
    vly_buf_json_str(b, vly_str_from(m->name));
    vly_buf_puts(b, ",\"look_ahead_ms\":");
    vly_step_json_ms(b, vly_step_model_delay_us(m));
    vly_buf_putc(b, '}');
}

static void tell_events(vly_steps_stream *s, const vly_step_event *events, size_t n)
{
    vly_buf b;

    for (size_t i = 0; i < n && !s->is_batched; i++) {
        b = vly_steps_stream_buf(s);
        vly_step_json_event(&b, &events[i]);
        vly_steps_stream_send(s, &b);
    }
    if (!s->is_batched)
        return;
    b = vly_steps_stream_buf(s);
    vly_buf_puts(&b, "{\"events\":");
    vly_step_json_events(&b, events, n);
    vly_buf_putc(&b, '}');
    vly_steps_stream_send(s, &b);
}

static void put_ack(const vly_steps_stream *s, uint64_t next, vly_buf *b)
{
    (void)s;
    vly_buf_printf(b, "{\"type\":\"ack\",\"next\":%" PRIu64 "}", next);
}

static void put_replaced(const vly_steps_stream *s, vly_buf *b)
{
    vly_buf_puts(b, "{\"type\":\"session.replaced\",\"session\":");
    vly_buf_json_str(b, vly_str_from(s->id));
    vly_buf_putc(b, '}');
}

static void say_error(vly_steps_stream *s, const vly_err *err)
{
    vly_buf b = vly_steps_stream_buf(s);

    vly_buf_puts(&b, "{\"type\":\"error\",\"error\":");
    vly_buf_json_str(&b, vly_str_from(err->msg));
    vly_buf_printf(&b, ",\"next\":%" PRIu64 "}", s->next);
    vly_steps_stream_send(s, &b);
}

static void put_info(const char *type, const vly_imu_session_info *info, vly_buf *b)
{
    vly_buf_printf(b, "{\"type\":\"%s\",", type);
    vly_imu_put_info(b, info);
    vly_buf_putc(b, '}');
}

static void put_ended(const vly_steps_stream *s, const vly_imu_session_info *info, vly_buf *b)
{
    (void)s;
    put_info("stopped", info, b);
}

static void say_info(vly_steps_stream *s, const char *type, const vly_imu_session_info *info)
{
    vly_buf b = vly_steps_stream_buf(s);

    put_info(type, info, &b);
    vly_steps_stream_send(s, &b);
}

/* ---- in ---- */

static vly_status act(vly_steps_stream *s, vly_imu_message *m, vly_err *err)
{
    vly_imu_session_info info;
    vly_status st;

    switch (m->action) {
    case VLY_IMU_READINGS:
        return vly_steps_stream_push(s, m, err);
    case VLY_IMU_STOP:
        vly_steps_stream_finish(s);
        break;
    case VLY_IMU_RESET:
        st = vly_steps_stream_reset(s, &info, err);
        if (st == VLY_OK)
            say_info(s, "reset", &info);
        return st;
    case VLY_IMU_STATS:
        vly_steps_stream_info(s, &info);
        say_info(s, "stats", &info);
        break;
    }
    return VLY_OK;
}

static vly_status take_text(vly_steps_stream *s, vly_str json, vly_err *err)
{
    vly_imu_message m;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_ARENA, ARENA_BLOCK_BYTES, ARENA_BUDGET_BYTES);
    vly_status st = vly_imu_message_read(json, s->has_gyro, &arena, &m, err);
    if (st == VLY_OK)
        st = act(s, &m, err);
    vly_arena_release(&arena);
    return st;
}

static void on_message(vly_steps_stream *s, vly_buf *message, bool is_text)
{
    vly_str bytes = vly_buf_str(message);
    vly_err err;
    vly_status st =
        is_text ? take_text(s, bytes, &err) : vly_steps_stream_push_packets(s, bytes, &err);

    if (st != VLY_OK && st != VLY_ECANCELLED) /* who has been replaced is told so */
        say_error(s, &err);
}

static void gone(vly_steps_stream *s)
{
    vly_free(s);
}

static const vly_steps_dialect dialect = {.on_message = on_message,
                                          .tell_events = tell_events,
                                          .put_ack = put_ack,
                                          .put_replaced = put_replaced,
                                          .put_ended = put_ended,
                                          .gone = gone,
                                          .is_text = true,
                                          .code_ended = VLY_WEBSOCKET_NORMAL,
                                          .code_replaced = VLY_WEBSOCKET_NORMAL,
                                          .code_behind = VLY_WEBSOCKET_TRY_LATER};

/* ---- opening ---- */

static vly_status open_stream(vly_steps_stream *s, vly_http_request *req, vly_err *err)
{
    vly_steps_source source = {.id = VLY_STR("")};
    vly_imu_session_info info;
    vly_status st = vly_steps_query_source(&req->msg, &source, err);

    if (st == VLY_OK)
        st = vly_steps_query_rate(&req->msg, &s->rate_hz, err);
    if (st == VLY_OK)
        st = vly_steps_query_bool(&req->msg, "gyro", &s->has_gyro, err);
    if (st == VLY_OK)
        st = vly_steps_query_bool(&req->msg, "batch", &s->is_batched, err);
    if (st == VLY_OK)
        st = vly_steps_stream_attach(s, &source, &info, err);
    if (st == VLY_OK)
        st = vly_steps_stream_accept(s, req, err);
    if (st != VLY_OK)
        return st;
    vly_buf b = vly_steps_stream_buf(s);
    put_session(s, &info, &b);
    vly_steps_stream_send(s, &b);
    vly_steps_stream_begin(s);
    return VLY_OK;
}

vly_status vly_v1_stream_steps(vly_api *api, vly_http_request *req, vly_err *err)
{
    if (api->imu_sessions == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    vly_steps_stream *s = vly_calloc(VLY_MEM_NET, 1, sizeof(*s));
    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the stream");
    s->dialect = &dialect;
    s->api = api;
    s->who = vly_access_who(api, req);
    s->has_gyro = true;
    s->rate_hz = api->imu_rate_hz;
    vly_status st = open_stream(s, req, err);
    if (st != VLY_OK) {
        vly_steps_stream_detach(s);
        vly_free(s);
    }
    return st;
}
