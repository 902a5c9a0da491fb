/* SPDX-License-Identifier: MIT */
/*
 * Transport: how the load generator speaks to a server. Each kind (http1, http2, grpc, websocket)
 * is one file with one vly_load_transport_ops and one line in transport_list.h.
 *
 * One thread owns a transport: a loop with its connections. Requests are handed to it when they are
 * due, whatever has become of those before (open loop); what it cannot send at once it queues, and
 * the wait counts, because latency is taken from the intended time (free of coordinated omission,
 * Tene 2013).
 */
#ifndef VLY_LOAD_TRANSPORT_H
#define VLY_LOAD_TRANSPORT_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct vly_load_transport vly_load_transport;

typedef struct vly_load_target {
    vly_str scheme; /* "http", "https", "grpc", "ws", "wss" */
    vly_str host;
    uint16_t port;
    vly_str path; /* of gRPC the method */
    bool is_tls;
    bool is_unverified; /* TLS: take any certificate */
    vly_str method;
    const vly_str *headers; /* "Name: value" */
    size_t n_headers;
    bool is_text;         /* WebSocket: messages are text */
    unsigned n_greetings; /* WebSocket: messages of the server before it is asked, not counted */
} vly_load_target;

typedef enum vly_load_outcome {
    VLY_LOAD_OK,
    VLY_LOAD_STATUS, /* answered, but not 2xx (gRPC: not OK): status says */
    VLY_LOAD_FAILED, /* connection refused, reset, or broken */
    VLY_LOAD_TIMEOUT,
} vly_load_outcome;

/* One request, the transport's from send to done. */
typedef struct vly_load_call vly_load_call;
struct vly_load_call {
    uint64_t number;
    vly_nsec intended_ns; /* when it was due */
    vly_str body;         /* borrowed until done */
    vly_nsec sent_ns;     /* its first byte went to the kernel; 0: never */
    vly_nsec done_ns;     /* the last byte of its answer came */
    vly_load_outcome outcome;
    int status;      /* HTTP or gRPC */
    bool is_cached;  /* the answer says Volley-Cache: hit */
    vly_buf *answer; /* its body is appended here; NULL: counted only */
    size_t bytes_in, bytes_out;
    vly_load_call *next; /* private to whoever owns the call, as is user */
    void *user;
};

typedef struct vly_load_transport_opts {
    uv_loop_t *loop;
    const vly_load_target *target; /* borrowed */
    unsigned n_connections;
    unsigned max_in_flight; /* of one connection: streams of HTTP/2, messages of a WebSocket; 1 */
    unsigned connect_ms, timeout_ms;
    void *ctx;
    void (*on_done)(void *ctx, vly_load_call *call); /* on the loop, once for each sent call */
} vly_load_transport_opts;

typedef struct vly_load_transport_ops {
    const char *name; /* "http1" */
    vly_status (*open)(const vly_load_transport_opts *opts, vly_load_transport **ret, vly_err *err);
    void (*send)(vly_load_transport *t, vly_load_call *call);
    size_t (*in_flight)(const vly_load_transport *t); /* sent or queued, not done */
    void (*close)(
        vly_load_transport *t); /* what is under way fails; frees t once the loop has run */
} vly_load_transport_ops;

/* The first member of each kind. */
struct vly_load_transport {
    const vly_load_transport_ops *ops;
};

#endif
