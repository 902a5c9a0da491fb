/* SPDX-License-Identifier: MIT */
/*
 * A stream on which the readings of one source come and its steps go: what the dialects share that
 * such a stream is spoken in.
 *
 *     v1_stream_steps.c     /v1/stream?kind=steps, JSON and packets over a WebSocket
 *     guide_steps_stream.c  /ws/realtime, one answer for each reading
 *     grpc_steps_stream.c   volley.v1.Steps/Stream
 *
 * A stream is attached to a session (sched/imu_sessions.h) and accepted, in any order; then the
 * client is told of it, and the stream begins. It ends when
 * the client has no more, which ends the session too; when the client goes, its session is somebody
 * else's, or it does not read what it is told, and then the session stays.
 *
 * Threads: the loop of the request, but for put_ack and put_replaced, which come on any thread.
 */
#ifndef VLY_API_STEPS_STREAM_H
#define VLY_API_STEPS_STREAM_H

#include "api/api.h"
#include "codec/imu_message.h"
#include "net/http_stream.h"

typedef struct vly_steps_stream vly_steps_stream;

/* How one dialect says things. Each put appends a message to b; NULL: it has none for that. */
typedef struct vly_steps_dialect {
    void (*on_message)(vly_steps_stream *s, vly_buf *message, bool is_text);
    void (*on_end)(vly_steps_stream *s); /* of net/http_stream.h; NULL */
    /* Sees to it that the events are sent. */
    void (*tell_events)(vly_steps_stream *s, const vly_step_event *events, size_t n);
    void (*put_ack)(const vly_steps_stream *s, uint64_t next, vly_buf *b);
    void (*put_replaced)(const vly_steps_stream *s, vly_buf *b);
    void (*put_ended)(const vly_steps_stream *s, const vly_imu_session_info *info, vly_buf *b);
    void (*gone)(vly_steps_stream *s); /* frees what s is a part of */
    bool is_text;
    bool is_passing; /* the session goes with the stream, and is never saved when it has no user */
    unsigned code_ended, code_replaced, code_behind; /* that the stream ends with */
} vly_steps_dialect;

struct vly_steps_stream {
    const vly_steps_dialect *dialect;
    vly_api *api;
    vly_imu_who who;              /* borrowed from the request, which outlives the stream */
    vly_imu_session *session;     /* NULL: not attached */
    _Atomic(vly_stream *) stream; /* NULL: not accepted */
    unsigned loop_idx;
    bool has_gyro;
    bool is_batched; /* as many events in a message as there are */
    double rate_hz;  /* of readings without times */
    uint64_t next;   /* number of the next reading */
    char id[VLY_IMU_ID_LEN + 1];
    _Atomic bool is_begun, is_replaced, has_told_replaced;
};

/* Who a stream speaks for; strings are copied. */
typedef struct vly_steps_source {
    vly_str user, device, id;
} vly_steps_source;

/* Errors: of vly_imu_session_open. */
vly_status vly_steps_stream_attach(vly_steps_stream *s, const vly_steps_source *source,
                                   vly_imu_session_info *ret, vly_err *err) VLY_MUST_CHECK;
/* After it, s is freed by gone; when it fails it is still the caller's, who calls
 * vly_steps_stream_detach. */
vly_status vly_steps_stream_accept(vly_steps_stream *s, vly_http_request *req,
                                   vly_err *err) VLY_MUST_CHECK;
/* The client has been told of its session, so it may hear that somebody else has it. */
void vly_steps_stream_begin(vly_steps_stream *s);
void vly_steps_stream_detach(vly_steps_stream *s);

/* Gives readings to the session: those of a message, or of packets, one after another. EINVAL: a
 * value, a hole in the numbers; EFORMAT: no packets; EBUSY: too many in one turn; ECANCELLED: the
 * session is somebody else's. s->next tells from where on they were not taken. */
vly_status vly_steps_stream_push(vly_steps_stream *s, vly_imu_message *m,
                                 vly_err *err) VLY_MUST_CHECK;
vly_status vly_steps_stream_push_packets(vly_steps_stream *s, vly_str bytes,
                                         vly_err *err) VLY_MUST_CHECK;
/* How the session stands, with what comes of the readings that wait; of many, some wait still. */
void vly_steps_stream_info(vly_steps_stream *s, vly_imu_session_info *ret);
/* Counts begin anew behind the readings that were pushed. EBUSY: too many of them wait; ENOTFOUND:
 * the session was removed; ECANCELLED: it is somebody else's. */
vly_status vly_steps_stream_reset(vly_steps_stream *s, vly_imu_session_info *ret,
                                  vly_err *err) VLY_MUST_CHECK;
/* No more readings come: what is left is told, then put_ended, and the stream ends. */
void vly_steps_stream_finish(vly_steps_stream *s);

/* Takes b's memory. A client who is behind is left: its stream ends. */
void vly_steps_stream_send(vly_steps_stream *s, vly_buf *b);
void vly_steps_stream_end(vly_steps_stream *s, unsigned code, const char *reason);
vly_buf vly_steps_stream_buf(const vly_steps_stream *s); /* empty, for a message */

#endif
