/* SPDX-License-Identifier: MIT */
/*
 * volley.v1.Steps/Stream: readings in, steps out. The first request opens a session; a request that
 * is wrong is refused by a message, and the call goes on.
 */
#include "api/access.h"
#include "api/grpc_methods.h"
#include "api/imu_json.h"
#include "api/steps_stream.h"
#include "codec/grpc_steps.h"
#include "tasks/steps/step_json.h"

#include <inttypes.h>

#define ARENA_BLOCK_BYTES  ((size_t)4 << 10)
#define ARENA_BUDGET_BYTES ((size_t)1 << 20)
#define RATE_MAX_HZ        10000

enum { OK = 0, RESOURCE_EXHAUSTED = 8, ABORTED = 10, UNAVAILABLE = 14 };

/* ---- out: messages are made from JSON ---- */

static vly_buf begin(const vly_steps_stream *s)
{
    return vly_steps_stream_buf(s);
}

/* To out, as a StreamResponse; json is released. */
static void convert(vly_buf *json, vly_buf *out)
{
    if (vly_grpc_put_json("volley.v1.StreamResponse", json, out, NULL) != VLY_OK)
        out->failed = true;
    vly_buf_release(json);
}

static void send(vly_steps_stream *s, vly_buf *json)
{
    vly_buf out = vly_steps_stream_buf(s);

    convert(json, &out);
    vly_steps_stream_send(s, &out);
}

static void put_info(vly_buf *json, const char *name, const vly_imu_session_info *info)
{
    vly_buf_printf(json, "{\"%s\":{", name);
    vly_imu_put_info(json, info);
    vly_buf_puts(json, "}}");
}

static void say_opened(vly_steps_stream *s, const vly_imu_session_info *info)
{
    const vly_step_model *m = s->api->step_model;
    vly_buf json = begin(s);

    vly_buf_puts(&json, "{\"opened\":{\"session\":{");
    vly_imu_put_info(&json, info);
    vly_buf_printf(&json, "},\"resumed\":%s,\"model\":", info->is_resumed ? "true" : "false");
    vly_buf_json_str(&json, vly_str_from(m->name));
    vly_buf_puts(&json, ",\"look_ahead_ms\":");
    vly_step_json_ms(&json, vly_step_model_delay_us(m));
    vly_buf_puts(&json, "}}");
    send(s, &json);
}

static void say_refused(vly_steps_stream *s, const vly_err *err)
{
    vly_buf json = begin(s);

    vly_buf_puts(&json, "{\"refused\":{\"error\":");
    vly_buf_json_str(&json, vly_str_from(err->msg));
    vly_buf_printf(&json, ",\"next\":%" PRIu64 "}}", s->next);
    send(s, &json);
}

static void tell_events(vly_steps_stream *s, const vly_step_event *events, size_t n)
{
    vly_buf json = begin(s);

    vly_buf_puts(&json, "{\"events\":{\"events\":");
    vly_step_json_events(&json, events, n);
    vly_buf_puts(&json, "}}");
    send(s, &json);
}

static void put_ack(const vly_steps_stream *s, uint64_t next, vly_buf *b)
{
    vly_buf json = begin(s);

    vly_buf_printf(&json, "{\"durable\":%" PRIu64 "}", next);
    convert(&json, b);
}

static void put_replaced(const vly_steps_stream *s, vly_buf *b)
{
    vly_buf json = begin(s);

    vly_buf_printf(&json, "{\"replaced\":\"%s\"}", s->id);
    convert(&json, b);
}

static void put_ended(const vly_steps_stream *s, const vly_imu_session_info *info, vly_buf *b)
{
    vly_buf json = begin(s);

    put_info(&json, "ended", info);
    convert(&json, b);
}

/* ---- in ---- */

static vly_status open_session(vly_steps_stream *s, const vly_grpc_steps_request *r, vly_err *err)
{
    const vly_steps_source source = {r->open.user, r->open.device, r->open.session};
    vly_imu_session_info info;

    if (s->session != NULL)
        return vly_fail(err, VLY_EINVAL, "the session is open already");
    if (!(r->open.rate_hz == 0 || (r->open.rate_hz >= 1 && r->open.rate_hz <= RATE_MAX_HZ)))
        return vly_fail(err, VLY_EINVAL, "'rate_hz': expected 1 to %d, got %g", RATE_MAX_HZ,
                        r->open.rate_hz);
    if (r->open.rate_hz > 0)
        s->rate_hz = r->open.rate_hz;
    s->has_gyro = !r->open.is_without_gyro;
    vly_status st = vly_steps_stream_attach(s, &source, &info, err);
    if (st != VLY_OK)
        return st;
    say_opened(s, &info);
    vly_steps_stream_begin(s);
    return VLY_OK;
}

static vly_status act(vly_steps_stream *s, vly_imu_message *m, vly_err *err)
{
    vly_imu_session_info info;
    vly_status st = VLY_OK;
    vly_buf json;

    if (m->action == VLY_IMU_READINGS)
        return vly_steps_stream_push(s, m, err);
    if (m->action == VLY_IMU_RESET)
        st = vly_steps_stream_reset(s, &info, err);
    else
        vly_steps_stream_info(s, &info);
    if (st != VLY_OK)
        return st;
    json = begin(s);
    put_info(&json, "stats", &info);
    send(s, &json);
    return VLY_OK;
}

static vly_status take(vly_steps_stream *s, vly_grpc_steps_request *r, vly_err *err)
{
    switch (r->what) {
    case VLY_GRPC_STEPS_OPEN:
        return open_session(s, r, err);
    case VLY_GRPC_STEPS_MESSAGE:
        return act(s, &r->message, err);
    case VLY_GRPC_STEPS_PACKETS:
        return vly_steps_stream_push_packets(s, r->packets, err);
    case VLY_GRPC_STEPS_NOTHING:
        break;
    }
    return vly_fail(err, VLY_EINVAL, "expected open, readings, packets or action");
}

static void on_message(vly_steps_stream *s, vly_buf *message, bool is_text)
{
    vly_grpc_steps_request r;
    vly_arena arena;
    vly_err err;

    (void)is_text;
    vly_arena_init(&arena, VLY_MEM_ARENA, ARENA_BLOCK_BYTES, ARENA_BUDGET_BYTES);
    vly_status st =
        vly_grpc_steps_request_parse(vly_buf_str(message), s->has_gyro, &arena, &r, &err);
    if (st == VLY_OK && s->session == NULL && r.what != VLY_GRPC_STEPS_OPEN)
        st = vly_fail(&err, VLY_EINVAL, "expected 'open' first");
    if (st == VLY_OK)
        st = take(s, &r, &err);
    vly_arena_release(&arena);
    if (st == VLY_OK || st == VLY_ECANCELLED) /* who has been replaced is told so */
        return;
    if (s->session == NULL)
        vly_steps_stream_end(s, (unsigned)vly_grpc_code(st), err.msg);
    else
        say_refused(s, &err);
}

/* Half-closed; or the server is ending and takes no more. Then the session stays. */
static void on_end(vly_steps_stream *s)
{
    if (atomic_load(&s->api->is_draining))
        vly_steps_stream_end(s, UNAVAILABLE, "the server is ending");
    else if (s->session != NULL)
        vly_steps_stream_finish(s);
    else
        vly_steps_stream_end(s, OK, NULL);
}

static void gone(vly_steps_stream *s)
{
    vly_free(s);
}

static const vly_steps_dialect dialect = {.on_message = on_message,
                                          .on_end = on_end,
                                          .tell_events = tell_events,
                                          .put_ack = put_ack,
                                          .put_replaced = put_replaced,
                                          .put_ended = put_ended,
                                          .gone = gone,
                                          .code_ended = OK,
                                          .code_replaced = ABORTED,
                                          .code_behind = RESOURCE_EXHAUSTED};

void vly_grpc_steps_stream(vly_api *api, vly_http_request *req)
{
    vly_steps_stream *s = NULL;
    vly_err err;

    if (api->imu_sessions == NULL) {
        vly_fail(&err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
        vly_grpc_fail(req, &err);
        return;
    }
    s = vly_calloc(VLY_MEM_NET, 1, sizeof(*s));
    if (s == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the call");
        vly_grpc_fail(req, &err);
        return;
    }
    *s = (vly_steps_stream){.dialect = &dialect,
                            .api = api,
                            .who = vly_access_who(api, req),
                            .has_gyro = true,
                            .rate_hz = api->imu_rate_hz};
    if (vly_steps_stream_accept(s, req, &err) == VLY_OK)
        return;
    vly_free(s);
    vly_grpc_fail(req, &err);
}
