/* SPDX-License-Identifier: MIT */
/*
 * grpc.health.v1.Health. The server is one service under several names: "" and those of its gRPC
 * services are SERVING as long as the server should get requests; others are not known.
 *
 * A Watch looks again at intervals, for as long as its client listens and the server does not end:
 * readiness is the state of all models, of which nobody tells.
 */
#include "api/grpc_methods.h"
#include "base/assert.h"
#include "codec/grpc_admin.h"
#include "codec/pbwire.h"
#include "net/http_stream.h"

#include <stddef.h>

#define WATCH_INTERVAL_NS (VLY_NSEC_PER_SEC / 2)
#define ANSWER_MAX_BYTES  64
#define CODE_UNAVAILABLE  14

/* HealthCheckResponse.ServingStatus */
typedef enum serving { UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN } serving;

static serving status_of(const vly_api *api, bool is_known)
{
    if (!is_known)
        return SERVICE_UNKNOWN;
    return vly_api_is_ready(api) ? SERVING : NOT_SERVING;
}

static bool is_known(vly_str service)
{
    static const char *const names[] = {"",
                                        "inference.GRPCInferenceService",
                                        "grpc.health.v1.Health",
                                        "grpc.reflection.v1.ServerReflection",
                                        "grpc.reflection.v1alpha.ServerReflection",
                                        "volley.v1.Steps"};

    for (size_t i = 0; i < VLY_COUNT(names); i++)
        if (vly_str_is(service, names[i]))
            return true;
    return false;
}

vly_status vly_grpc_health_check(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_str service;
    vly_status st = vly_grpc_name_parse(call->message, &service, err);

    if (st != VLY_OK)
        return st;
    if (!is_known(service))
        return vly_fail(err, VLY_ENOTFOUND, "unknown service '%.*s'", VLY_STR_ARG(service));
    vly_pb_put_varint(out, 1, status_of(call->api, true));
    return VLY_OK;
}

/* ---- Watch ---- */

typedef struct watch {
    vly_api *api;
    vly_stream *stream;
    vly_alarm alarm;
    bool is_known;
    bool is_asked; /* owner: the loop thread */
    serving last;  /* what the client knows; owner: the loop thread, then the alarm */
} watch;

static void tell(watch *w, serving status)
{
    vly_buf message;
    vly_err err;

    vly_buf_init(&message, VLY_MEM_NET, ANSWER_MAX_BYTES);
    vly_pb_put_varint(&message, 1, status);
    /* A client that is behind hears the next time; without memory too. */
    if (!message.failed && vly_stream_send(w->stream, &message, false, &err) == VLY_OK)
        w->last = status;
    vly_buf_release(&message);
}

static void look(vly_alarm *alarm)
{
    watch *w = (watch *)(void *)((char *)alarm - offsetof(watch, alarm));
    bool is_last = atomic_load(&w->api->is_draining);
    serving status = status_of(w->api, w->is_known);

    if (status != w->last)
        tell(w, status);
    if (is_last) { /* an open call would keep the server from ending */
        vly_stream_end(w->stream, &(vly_stream_end_info){CODE_UNAVAILABLE, "the server is ending"});
        return;
    }
    vly_alarm_set(vly_scheduler_alarms(w->api->scheduler), alarm,
                  vly_clock_now() + WATCH_INTERVAL_NS);
}

static void on_message(void *ctx, vly_stream *s, vly_buf *message, bool is_text)
{
    watch *w = ctx;
    vly_str service;
    vly_err err;

    (void)is_text;
    vly_stream_consumed(s, message->len);
    if (w->is_asked)
        return;
    w->is_asked = true;
    vly_status st = vly_grpc_name_parse(vly_buf_str(message), &service, &err);
    if (st != VLY_OK) {
        vly_stream_end(s, &(vly_stream_end_info){(unsigned)vly_grpc_code(st), err.msg});
        return;
    }
    w->is_known = is_known(service);
    look(&w->alarm);
}

static void on_close(void *ctx, vly_stream *s)
{
    watch *w = ctx;

    (void)s;
    vly_alarm_end(vly_scheduler_alarms(w->api->scheduler), &w->alarm);
    vly_stream_unref(w->stream);
    vly_free(w);
}

static const vly_stream_events events = {.on_message = on_message, .on_close = on_close};

void vly_grpc_health_watch(vly_api *api, vly_http_request *req)
{
    watch *w = vly_calloc(VLY_MEM_NET, 1, sizeof(*w));
    vly_err err;

    if (w == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the call");
        vly_grpc_fail(req, &err);
        return;
    }
    *w = (watch){.api = api, .alarm = {.ring = look}, .last = UNKNOWN};
    if (vly_stream_accept(req, &events, w, &w->stream, &err) == VLY_OK)
        return;
    vly_free(w);
    vly_grpc_fail(req, &err);
}
