/* SPDX-License-Identifier: MIT */
/*
 * Transport: how the load generator speaks to a server. Each kind (http1, http2, grpc, websocket)
 * is one file and one line in transport_list.h.
 *
 * One thread owns a transport, with its loop. Calls are handed to it when they are due, whatever
 * has become of those before (open loop); what it cannot send at once waits in it, and the wait
 * counts, because latency is taken from the intended time (free of coordinated omission, Tene
 * 2013). It copies no body and allocates nothing for a call, but for what nghttp2 does.
 *
 *     send(call) -> waits for a connection -> sent -> on_done(call), once, whatever happens
 *
 * A connection that cannot be made, or breaks, is made again: at once when it has been of use,
 * else after 10 ms, 20 ms, ... 1 s. What was under way on it fails; what waits, or was to go out on
 * it and has not, goes on waiting, but fails when no connection is open and none could be made. So
 * do requests that HTTP/2's GOAWAY names as not looked at; nothing else is sent twice.
 */
#ifndef VLY_LOAD_TRANSPORT_H
#define VLY_LOAD_TRANSPORT_H

#include "base/buf.h"
#include "load/load_loop.h"
#include "load/load_target.h"

#define VLY_LOAD_ANY UINT32_MAX

typedef struct vly_load_transport vly_load_transport;

typedef enum vly_load_outcome {
    VLY_LOAD_OK,
    VLY_LOAD_STATUS, /* answered, but not 2xx (gRPC: not OK): status says */
    VLY_LOAD_FAILED, /* connection refused, reset or broken, or an answer against the protocol */
    VLY_LOAD_TIMEOUT,
} vly_load_outcome;

/* One request, or one message of a stream; the transport's from send to on_done. */
typedef struct vly_load_call vly_load_call;
struct vly_load_call {
    /* By who sends it. */
    uint64_t number;
    vly_nsec intended_ns; /* when it was due; of one transport's calls, in this order */
    uint32_t connection;  /* that has to send it, from 0; VLY_LOAD_ANY */
    vly_str body;         /* borrowed until done; of gRPC the message without its frame */
    vly_str mark;         /* the same; stands in the body at mark_at, for as many bytes of it */
    size_t mark_at;
    vly_buf *answer; /* its body is appended here, as far as it fits; NULL: counted only */
    void *user;

    /* By the transport. */
    vly_nsec sent_ns; /* its first byte went to the kernel; 0: never */
    vly_nsec done_ns; /* the last byte of its answer came, or it was given up */
    vly_load_outcome outcome;
    int status;                 /* HTTP or gRPC; 0: no answer, or gRPC's OK */
    bool is_cached;             /* the answer says "Volley-Cache: hit" */
    vly_str why;                /* unless OK: what happened, or what the answer says, at most
                                   VLY_LOAD_WHY_MAX bytes of anything; valid in on_done */
    size_t bytes_in, bytes_out; /* of bodies; and of the call's own heads, where they can be told */

    struct vly_load_links { /* private */
        vly_load_call *prev, *next;
    } all, queue;
    void *slot, *stream; /* private, as what follows */
    uint64_t end;
    size_t n_matched;
};

#define VLY_LOAD_WHY_MAX   512
#define VLY_LOAD_CHECK_MAX 255 /* bytes of the text to look for */

typedef struct vly_load_transport_opts {
    vly_load_loop *loop;           /* borrowed */
    const vly_load_target *target; /* borrowed, as all that it points to */
    const vly_load_target *others; /* borrowed; connections are made to target and these in turn, */
    unsigned n_others;             /* of which only host and port count */
    unsigned n_connections;
    uint32_t first_number;  /* "{}" in the path is a connection's number, from here on */
    unsigned max_in_flight; /* of a connection: streams of HTTP/2, messages of a stream; http1: 1 */
    unsigned connect_ms, timeout_ms; /* timeout: from the intended time */

    const char *ca;     /* TLS: PEM file of who may have signed; NULL: the system's */
    bool is_unverified; /* TLS: take any certificate */

    /* Of streams: WebSocket, and gRPC when is_streaming. The n-th answer belongs to the n-th call
     * of a connection. */
    bool is_streaming;    /* gRPC: a call is a message of one long call for each connection */
    bool is_text;         /* WebSocket: messages are text */
    vly_str first;        /* sent on each connection before its calls; of gRPC without its frame */
    bool is_one_way;      /* calls have no answers: they are done once sent */
    unsigned n_greetings; /* messages of the server, on each connection, before it is asked */
    vly_str answer_has;   /* a message without this text is no answer; empty: all are */
    vly_str error_has;    /* an answer with this text says no; empty: none does */

    vly_str check; /* an answer without this text is wrong: FAILED; empty: none is */
    void *ctx;
    void (*on_done)(void *ctx, vly_load_call *call); /* in a turn, never in send; may send */
    /* A message that is no answer. In a turn. NULL: counted only. */
    void (*on_message)(void *ctx, uint32_t connection, vly_str message);
} vly_load_transport_opts;

typedef struct vly_load_counts {
    uint64_t connects, connect_failures; /* sockets connected; rounds of all addresses in vain */
    uint64_t bytes_in, bytes_out;        /* of sockets */
    uint64_t messages;                   /* that were no answers */
    unsigned n_open;                     /* connections that calls can go out on */
} vly_load_counts;

/* A kind; private but for its name. */
typedef struct vly_load_kind vly_load_kind;

/* name: "http1", "http2", "grpc" or "websocket". */
const vly_load_kind *vly_load_kind_find(vly_str name); /* NULL: none */

/* Resolves the name, which blocks, and begins to connect. opts is copied. */
vly_status vly_load_transport_open(const vly_load_kind *kind, const vly_load_transport_opts *opts,
                                   vly_load_transport **ret, vly_err *err) VLY_MUST_CHECK;
/* Not inside on_done or on_message. Calls that are not done are forgotten. Accepts NULL. */
void vly_load_transport_close(vly_load_transport *t);

void vly_load_transport_send(vly_load_transport *t, vly_load_call *call);
/* What was sent, and is not done, is done now, as TIMEOUT. */
void vly_load_transport_give_up(vly_load_transport *t);
size_t vly_load_transport_in_flight(const vly_load_transport *t); /* sent or waiting, not done */
vly_load_counts vly_load_transport_counts(const vly_load_transport *t);
/* Why the last connection could not be made; empty: all could. NUL-terminated. */
const char *vly_load_transport_trouble(const vly_load_transport *t);

#endif
