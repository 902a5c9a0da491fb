/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 server on libuv: sockets to requests, answers to sockets.
 *
 * A few loop threads, each with its own uv loop, own the connections; the first one accepts and
 * hands out new connections in turn. (Rejected: a SO_REUSEPORT listener each. The kernel then deals
 * by hash, so loops fill unevenly, a second server on the port is not noticed, and closing one
 * listener resets the connections that wait in its backlog.)
 *
 * Each request goes to on_request on its loop thread, which must not block. Its responder, on any
 * thread, calls vly_http_respond exactly once; until then the request and all it points to stay
 * valid, also when the client has gone. Answers leave in the order of the requests.
 *
 * Not the handler's business: framing, keep-alive, 100-continue, HEAD, limits and timeouts. A
 * request that breaks one is answered with {"error": "..."} and never reaches the handler.
 */
#ifndef VLY_NET_HTTP_SERVER_H
#define VLY_NET_HTTP_SERVER_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "net/http_msg.h"
#include "net/tls.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define VLY_HTTP_MAX_PARTS 16
#define VLY_HTTP_PEER_MAX  56 /* "[address]:port" with its NUL */

typedef struct vly_http_server vly_http_server;
struct vly_stream_end_info; /* net/http_stream.h */

/* What may come of a request besides one answer: net/http_stream.h. */
typedef enum vly_stream_kind {
    VLY_STREAM_NONE,
    VLY_STREAM_WEBSOCKET, /* a valid upgrade was asked for */
    VLY_STREAM_GRPC,      /* opts.is_stream said so; there is no body to wait for */
} vly_stream_kind;

/* Owner: as msg. Made by the server only. */
typedef struct vly_http_request {
    vly_http_msg msg;
    vly_nsec received_ns;         /* when its last byte was parsed */
    vly_stream_kind stream_kind;  /* not NONE: vly_stream_accept may be called */
    unsigned loop_idx;            /* of the loop thread whose request this is */
    char peer[VLY_HTTP_PEER_MAX]; /* "127.0.0.1:40000", "[::1]:40000" */
    bool is_cut; /* its body is longer than opts.max_body let it be, and not here */
    /* The client has gone, or the server is giving up: the answer will not be read. Read it before
     * starting costly work; respond all the same. Thread: any. */
    _Atomic bool is_cancelled;
    vly_http_server *server;
    void *user; /* the handler's own; NULL when it gets the request, and when it never did */
} vly_http_request;

/* Thread: loop. Must not block, and must see to it that the request is answered. */
typedef void (*vly_http_handler)(void *ctx, vly_http_request *req);

/* What became of an answer. */
typedef struct vly_http_finished {
    int status;       /* 0: the client had gone before there was any, as of a stream */
    size_t bytes_in;  /* head and body as received */
    size_t bytes_out; /* head and body, begun to be sent */
    vly_nsec sent_ns; /* when the kernel had all of them; 0: the client went before */
} vly_http_finished;

typedef struct vly_http_opts {
    const char *address; /* IPv4 or IPv6 literal */
    uint16_t port;       /* 0: any */
    unsigned n_loops;
    unsigned max_connections;
    unsigned max_pipelined;
    vly_http_limits limits; /* body_budget is the server's own: leave NULL */
    size_t max_body_total_bytes;
    /* Atomic, for vly_http_server_set_times changes them. */
    _Atomic unsigned header_timeout_ms;
    _Atomic unsigned body_timeout_ms;
    _Atomic size_t body_min_rate; /* bytes that prolong the body timeout by a second */
    _Atomic unsigned idle_timeout_ms;
    _Atomic unsigned write_timeout_ms;
    bool abort_on_close;
    vly_tls *tls;               /* NULL: plaintext; borrowed, outlives the server */
    unsigned http2_max_streams; /* requests of one connection in work; 0: no HTTP/2 */
    /* PING, SETTINGS, PRIORITY, RST_STREAM and empty DATA frames taken from a connection in 10 s,
     * besides one for each DATA frame with something in it. */
    unsigned http2_max_noise;
    size_t http2_window_bytes; /* of a request body on its way; 65535 .. 2^31 - 1 */
    size_t http2_conn_window_bytes;
    /* Streams, see net/http_stream.h; 0 messages bytes: there are none. */
    const char *websocket_protocol; /* chosen when a client offers it; NULL: none is */
    size_t stream_max_message_bytes;
    size_t stream_max_in_bytes;
    size_t stream_max_out_bytes;
    unsigned stream_ping_ms; /* without a byte from the client, after which it is pinged */
    unsigned stream_idle_ms; /* the same, after which the connection is closed */
    vly_http_handler on_request;
    /* The rest may be NULL; all on a loop thread. At the end of each turn of a loop in which
     * requests, or messages and ends of streams, were handed over: work of little cost is done
     * here, for all of them at once, and answers given here leave together. True: something is left
     * to do, so that it is called again after a look at the sockets, whatever they have brought. */
    bool (*on_turn)(void *ctx, unsigned loop_idx);
    /* The answer has left, or was lost; req is valid for this call. Requests that were refused
     * before on_request come too, with as much of msg as had been read. For the access log. */
    void (*on_finished)(void *ctx, const vly_http_request *req, const vly_http_finished *f);
    /* Headers of an HTTP/2 request have come: true when its body is a stream of gRPC messages, so
     * that on_request is to be called at once, with stream_kind GRPC. */
    bool (*is_stream)(void *ctx, const vly_http_msg *msg);
    /* Headers of a request have come, and a body is to follow: how many bytes of it may be held
     * before on_request, besides what limits say. Of a longer one, and over HTTP/1 of one that does
     * not say its length, nothing is taken: on_request is called at once, with is_cut. */
    size_t (*max_body)(void *ctx, const vly_http_request *req);
    /* Asked several times a second for each open stream: may it go on? False: *ret, to be filled,
     * says how it ends. */
    bool (*may_go_on)(void *ctx, const vly_http_request *req, struct vly_stream_end_info *ret);
    void *ctx;
} vly_http_opts;

/* Counters since start; gauges are the present. */
typedef struct vly_http_stats {
    vly_gauge connections_open;
    vly_gauge streams_open; /* WebSockets and streaming gRPC calls */
    vly_counter streams;
    vly_counter connections;
    vly_counter connections_refused; /* past max_connections */
    vly_counter requests;            /* handed to the handler */
    vly_counter requests_cancelled;  /* whose client had gone before the answer */
    vly_counter bytes_in;
    vly_counter bytes_out;
    vly_counter responses[6]; /* [k]: status kxx; [0] unused */
    vly_counter parse_errors; /* refused before the handler: malformed, too large, too slow */
} vly_http_stats;

/* Listens and starts the loop threads. EINVAL: not an address; EUNAVAILABLE: the port is taken or
 * not allowed. opts is copied. */
vly_status vly_http_server_start(const vly_http_opts *opts, vly_http_server **ret,
                                 vly_err *err) VLY_MUST_CHECK;
/* The times of opts, and body_min_rate; nothing else of it. They hold at once, also for connections
 * that are open. Thread: any. */
void vly_http_server_set_times(vly_http_server *s, const vly_http_opts *opts);
uint16_t vly_http_server_port(const vly_http_server *s);
const vly_http_stats *vly_http_server_stats(const vly_http_server *s);

/* Graceful end: takes what waits in the backlog, stops listening, answers everything received with
 * "Connection: close", closes idle connections after a short grace, and returns true when none is
 * left, false when timeout_ms passed first. Blocks; not on a loop thread. */
bool vly_http_server_drain(vly_http_server *s, unsigned timeout_ms);
/* Closes every connection (cancelling its requests), waits until each request has been answered by
 * its responder, stops the threads. Not on a loop thread. Accepts NULL. */
void vly_http_server_free(vly_http_server *s);

typedef struct vly_http_answer {
    int status;                     /* 200 .. 599 */
    const char *content_type;       /* NULL: no body type */
    const vly_http_header *headers; /* besides Date, Connection, Content-Length and Content-Type */
    size_t n_headers;
    const vly_http_header *trailers; /* sent behind the body over HTTP/2; else left out */
    size_t n_trailers;
    vly_buf *parts; /* the body is their concatenation; at most VLY_HTTP_MAX_PARTS */
    size_t n_parts;
} vly_http_answer;

/* Answers req and gives it up: the caller must not touch it again. The parts move to the server and
 * come back empty; the rest is copied. Never fails for the caller: without memory the client gets
 * 503, or a closed connection. A control byte in a header becomes a blank.
 * Thread: any. On the loop thread of req it acts at once, elsewhere it posts to that loop. */
void vly_http_respond(vly_http_request *req, const vly_http_answer *answer);

/* {"error": msg} with this HTTP status. */
void vly_http_respond_error(vly_http_request *req, int status, const char *msg);
/* The same from err: status by vly_status_http, text by msg. */
void vly_http_respond_err(vly_http_request *req, const vly_err *err);

#endif
