/* SPDX-License-Identifier: MIT */
/*
 * gRPC on the port of everything else: calls to methods.
 *
 * A call is a POST over HTTP/2 with content type application/grpc. One with a single message is an
 * ordinary request whose body is that message behind 5 bytes; the streaming ones are vly_streams.
 * The status comes in trailers, or in the headers when there is nothing else.
 *
 *   unary      api.c -> vly_grpc_handle -> table -> message -> method -> answer
 *                                                  (a worker, when it may block or is much)
 *   streaming  api.c -> vly_grpc_handle -> table -> vly_stream_accept -> net/http_stream.h
 *
 * A method is one function here and one line in VLY_GRPC_METHODS; codec/grpc_*.h knows the
 * messages. Values and texts that REST has too come from where REST gets them.
 */
#ifndef VLY_API_GRPC_H
#define VLY_API_GRPC_H

#include "api/api.h"
#include "codec/inflate.h"
#include "net/grpc_frame.h"
#include "store/key_file.h"
#include "sys/worker_pool.h"

/* As net/http_stream.h asks: is this the head of a call whose messages flow? */
bool vly_grpc_is_stream(void *ctx, const vly_http_msg *msg);

/* Answers req when it is a gRPC call; false: it is none. Thread: loop. */
bool vly_grpc_handle(vly_api *api, vly_http_request *req);

/* A unary call. Lifetime: the request's arena, until it is answered. */
typedef struct vly_grpc_call {
    vly_api *api;
    vly_http_request *req;
    const struct vly_grpc_method *method;
    vly_str message;       /* whole and uncompressed; borrowed from the body or from inflated */
    size_t tail_bytes;     /* so many bytes behind it may be read */
    vly_nsec deadline_ns;  /* grpc-timeout; 0: none */
    vly_encoding encoding; /* of the request; an answer of some size gets the same */
    vly_buf inflated;
    vly_work work;
} vly_grpc_call;

/* Appends the answer's message to out, in one go; on_worker ones may block. */
typedef vly_status (*vly_grpc_answer_fn)(vly_grpc_call *call, vly_buf *out, vly_err *err);
/* Sees to it that the call is answered, by vly_grpc_reply or vly_grpc_fail. */
typedef void (*vly_grpc_begin_fn)(vly_grpc_call *call);
/* Accepts req as a stream, or answers it. Thread: loop. */
typedef void (*vly_grpc_open_fn)(vly_api *api, vly_http_request *req);

typedef struct vly_grpc_method {
    vly_str path;
    vly_grpc_answer_fn answer; /* one of the three is set */
    vly_grpc_begin_fn begin;
    vly_grpc_open_fn open;
    bool on_worker;
    vly_key_scope scope; /* that a key needs */
} vly_grpc_method;

/* Room at the begin of an answer for what goes before a message. out is empty. */
void vly_grpc_begin_frame(vly_buf *out);

/* Answers with the message that follows the frame's head at the begin of parts, and takes their
 * memory. */
void vly_grpc_reply(vly_grpc_call *call, vly_buf *parts, size_t n_parts);
/* Answers with the status that err maps to, and its text. */
void vly_grpc_fail(vly_http_request *req, const vly_err *err);

/* Appends the message of this type (codec/pb_json.h) that the JSON of a REST answer says. */
vly_status vly_grpc_put_json(const char *type, const vly_buf *json, vly_buf *out,
                             vly_err *err) VLY_MUST_CHECK;

/* Status of gRPC for a status of ours: that of the table, but for a message that cannot be parsed,
 * which is INTERNAL as from all servers. */
int vly_grpc_code(vly_status st);

/* When the call is given up: "grpc-timeout: 100m" from since on; 0: never. EINVAL: not a timeout.
 */
vly_status vly_grpc_deadline(const vly_http_msg *msg, vly_nsec since, vly_nsec *ret,
                             vly_err *err) VLY_MUST_CHECK;

#endif
