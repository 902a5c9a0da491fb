/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/stream: a WebSocket on which requests to one model come and answers go, in order. What
 * the v1_stream*.c files share; private.
 *
 *     v1_stream.c         the stream: opening, messages, answers
 *     v1_stream_kinds.c   a message of each kind -> a run of the model -> an answer
 *
 * Lifetime: the stream lives until it is closed and its last request is done, each request until
 * its answer has left.
 */
#ifndef VLY_API_V1_STREAM_H
#define VLY_API_V1_STREAM_H

#include "api/infer.h"
#include "api/stream_line.h"
#include "api/trace.h"
#include "codec/infer_json.h"
#include "net/http_stream.h"

typedef struct vly_v1_stream vly_v1_stream;
typedef struct vly_v1_request vly_v1_request;

typedef struct vly_v1_kind {
    const char *name;
    bool takes_pictures; /* the model must */
    /* Starts it, which leads to vly_v1_stream_done, or fails. */
    vly_status (*start)(vly_v1_request *r, vly_err *err);
} vly_v1_kind;

const vly_v1_kind *vly_v1_kind_find(vly_str name); /* NULL: none of that name */

struct vly_v1_stream {
    vly_line line; /* first */
    vly_api *api;
    const vly_v1_kind *kind;
    vly_stream *stream;
    const vly_http_request *req; /* until on_close */
    vly_arena arena;             /* of what is below */
    vly_str model, version;      /* as asked for; version empty: the one served by default */
    uint64_t session, id;        /* as vly_infer.session and .stream */
    vly_detector_options options;
    size_t request_budget; /* bytes of the arena of one request */
    _Atomic bool is_cancelled;
};

/* Owner: the line, then whoever runs it. */
struct vly_v1_request {
    vly_line_item item; /* first */
    vly_v1_stream *stream;
    vly_nsec received_ns;
    vly_trace_message trace;
    vly_buf message;
    size_t message_len;  /* to be given back to the stream */
    bool is_text;        /* of the message; an answer that is no error is of the same kind */
    const char *refusal; /* why it is not started; NULL: it is. Of arena */
    vly_arena arena;
    vly_infer infer; /* of tensors */
    vly_infer_json doc;
    vly_infer_json_input samples;
    vly_job job;        /* of a picture */
    vly_route_arm *arm; /* of job; NULL: it is no route's */
    vly_buf answer;
    bool is_text_answer;
};

/* kind=steps: v1_stream_steps.c, which has no requests. Accepts req, or fails. */
vly_status vly_v1_stream_steps(vly_api *api, vly_http_request *req, vly_err *err) VLY_MUST_CHECK;

/* The answer is complete, or err (not NULL) takes its place. Thread: any. */
void vly_v1_stream_done(vly_v1_request *r, const vly_err *err);

#endif
