/* SPDX-License-Identifier: MIT */
/*
 * HTTP/2 on a connection, by nghttp2: what its files share. Private to net.
 *
 *     http2_conn.c   the protocol's life: open, feed, drain, time, close
 *     http2_in.c     frames in: requests
 *     http2_out.c    answers to frames, gathered without copying bodies
 *     http2_stream.c gRPC messages of streams, in and out
 *
 * Each stream is an exchange, the stream's user data, in `exchanges` until both the responder and
 * nghttp2 are done with it. Buffers of an exchange may be in the write under way when its stream
 * closes; so it waits in `done` for the end of that write. Owner: the loop thread.
 */
#ifndef VLY_NET_HTTP2_INTERNAL_H
#define VLY_NET_HTTP2_INTERNAL_H

#include "net/http2_mem.h"
#include "net/http_stream_internal.h"

#include <nghttp2/nghttp2.h>

typedef struct vly_http2 {
    vly_http_conn *conn;
    nghttp2_session *ng;
    vly_http_exchange *exchanges;
    unsigned n_exchanges; /* those of cancelled requests that are still out included */
    vly_http_exchange *done;
    unsigned n_done;
    vly_stream_queue leaving; /* messages with bytes in the batch */
    vly_buf out;              /* frames, but for long payloads */
    uv_buf_t *bufs;           /* of the batch being collected; base NULL: the next bytes of out */
    unsigned n_bufs;
    size_t n_bytes;
    bool is_leaving;     /* a batch is collected and not yet written */
    unsigned noise_left; /* the right to frames that only keep us busy; refills with time */
    uint64_t noise_ms;   /* when it was last refilled */
    uint64_t input_ms;   /* when something came last */
    uint64_t ping_ms;    /* when the client was last pinged, or input_ms */
    uint64_t goaway_ms;  /* when the drain was announced; 0: not */
    bool is_goaway_sent; /* the last one, that names the last stream */
    bool is_lost;        /* nghttp2 cannot go on */
    vly_http2_mem mem;
} vly_http2;

static inline vly_http2 *vly_http2__of(const vly_http_conn *c)
{
    return c->session;
}

static inline bool vly_http2__is_lost(const vly_http2 *h)
{
    return h->is_lost || h->mem.is_out;
}

/* http2_in.c */
void vly_http2__set_input(nghttp2_session_callbacks *callbacks);
/* Answers ex, which is not with a responder, with an error. */
void vly_http2__refuse(vly_http2 *h, vly_http_exchange *ex, int status, const char *reason);

/* http2_out.c */
void vly_http2__set_output(nghttp2_session_callbacks *callbacks);
unsigned vly_http2__collect(vly_http_conn *c, uv_buf_t *bufs);
void vly_http2__submit(vly_http2 *h, vly_http_exchange *ex); /* it is answered */

/* n bytes join the batch, copied, or as they are when they are many. */
void vly_http2__add_copy(vly_http2 *h, const void *bytes, size_t n);
void vly_http2__add_piece(vly_http2 *h, char *bytes, size_t n);
nghttp2_nv vly_http2__field(vly_str name, vly_str value);

/* http2_stream.c */
void vly_http2__stream_accepted(vly_http_conn *c, vly_http_exchange *ex);
void vly_http2__stream_turn(vly_http_conn *c, vly_http_exchange *ex);
void vly_http2__stream_feed(vly_http2 *h, vly_http_exchange *ex, vly_str in);
void vly_http2__stream_half_close(vly_http2 *h, vly_http_exchange *ex);
void vly_http2__stream_close(vly_http2 *h, vly_http_exchange *ex);
/* n bytes of the stream's messages join the batch. */
void vly_http2__stream_frame(vly_http2 *h, vly_http_exchange *ex, size_t n);

/* http2_conn.c */
/* rc: what nghttp2 has said; without memory the connection is lost, the rest is no concern. */
void vly_http2__check(vly_http2 *h, int rc);
void vly_http2__reset(vly_http2 *h, int32_t stream_id, uint32_t error); /* the stream */
void vly_http2__link(vly_http2 *h, vly_http_exchange *ex);
/* Out of `exchanges`, into `done`. */
void vly_http2__retire(vly_http2 *h, vly_http_exchange *ex);

#endif
