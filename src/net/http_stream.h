/* SPDX-License-Identifier: MIT */
/*
 * A request whose messages flow both ways until a side ends it: a WebSocket (RFC 6455, over
 * HTTP/1.1), or a streaming gRPC call (over HTTP/2).
 *
 * In on_request, when req->stream_kind is not NONE, the handler either accepts, or refuses by
 * vly_http_respond as with any request. After it has accepted:
 *
 *     on_message ... on_message, on_end (the client will send no more), on_close (the last one)
 *     vly_stream_send ... vly_stream_send, vly_stream_end
 *
 * All callbacks come on the loop thread of the request and must not block. req->msg stays valid
 * until on_close has returned; req must not be answered by vly_http_respond any more.
 *
 * Back-pressure, in: the bytes of a message count against opts.stream_max_in_bytes until the
 * application gives them back by vly_stream_consumed; past it the client is read no further. Out:
 * past opts.stream_max_out_bytes of messages that the client has not taken, a send is refused.
 *
 * Framing, ping and pong, the closing handshake, grpc-encoding of what comes in, message size and
 * timeouts are not the application's business.
 */
#ifndef VLY_NET_HTTP_STREAM_H
#define VLY_NET_HTTP_STREAM_H

#include "net/http_server.h"

typedef struct vly_stream vly_stream;

/* Why a stream ends, both ways. For gRPC a status of that protocol, 0 is OK; for a WebSocket a
 * close code of RFC 6455 7.4, 1000 is normal. */
typedef struct vly_stream_end_info {
    unsigned code;
    const char *message; /* may be NULL; cut where the protocol has less room */
} vly_stream_end_info;

typedef struct vly_stream_events {
    /* The message may be taken (its memory moved out, leaving it empty). Give its length back by
     * vly_stream_consumed when done with it, here or later. */
    void (*on_message)(void *ctx, vly_stream *s, vly_buf *message, bool is_text);
    /* gRPC: the client has half-closed. Not called when it leaves altogether. May be NULL. */
    void (*on_end)(void *ctx, vly_stream *s);
    /* A send was refused with EBUSY, and half of the room is free again. May be NULL. */
    void (*on_room)(void *ctx, vly_stream *s);
    /* All is over: by vly_stream_end, by the client, or by the server. Always called, and last. */
    void (*on_close)(void *ctx, vly_stream *s);
} vly_stream_events;

/* Takes req over as a stream; events and ctx as above, both borrowed until on_close. The caller
 * gets a reference of its own. ENOMEM: req is as before, and may be answered. In on_request only.
 */
vly_status vly_stream_accept(vly_http_request *req, const vly_stream_events *events, void *ctx,
                             vly_stream **ret, vly_err *err) VLY_MUST_CHECK;

/* The rest may be called from any thread that holds a reference, also after on_close. */

/* Sends a message. On success its memory is taken, and message comes back empty; otherwise it is
 * untouched. EBUSY: the client is behind; ECANCELLED: the stream has ended. is_text: of a WebSocket
 * frame; must then be UTF-8. */
vly_status vly_stream_send(vly_stream *s, vly_buf *message, bool is_text,
                           vly_err *err) VLY_MUST_CHECK;
/* Ends the stream behind what has been sent. Only the first call counts. */
void vly_stream_end(vly_stream *s, const vly_stream_end_info *end);
/* n bytes of received messages are no longer held. */
void vly_stream_consumed(vly_stream *s, size_t n);

vly_stream *vly_stream_ref(vly_stream *s);
void vly_stream_unref(vly_stream *s); /* accepts NULL */

#endif
