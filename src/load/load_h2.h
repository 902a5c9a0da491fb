/* SPDX-License-Identifier: MIT */
/*
 * HTTP/2 of a connection of the load generator, by nghttp2: what the kinds http2 and grpc share.
 * Private to load.
 *
 * Frames are gathered in `out`, bodies copied into it once; it is written whole, then gathered
 * anew. The connection is open once the server's SETTINGS have come: then it is known to speak
 * HTTP/2, and how many streams it takes.
 */
#ifndef VLY_LOAD_LOAD_H2_H
#define VLY_LOAD_LOAD_H2_H

#include "load/load_internal.h"
#include "net/grpc_frame.h"
#include "net/http2_mem.h"

enum { VLY_LOAD_H2_FIELDS_MAX = 80 };

/* One request under way. */
typedef struct vly_load_h2_stream {
    vly_load_call *call; /* NULL: given up, or nobody's */
    struct vly_load_h2_stream *next_free;
    int32_t id;
    unsigned char head[VLY_GRPC_HEAD_BYTES]; /* before the body */
    size_t n_head, n_sent;                   /* of head and body */
    char length[24];                         /* content-length */
    int status;                              /* HTTP; 0: not known */
    int grpc_status;                         /* -1: not said */
    bool is_cached;
    vly_grpc_reader reader; /* of gRPC */
    size_t n_messages;
    size_t n_why;
    char why[VLY_LOAD_WHY_MAX];
} vly_load_h2_stream;

typedef struct vly_load_h2 vly_load_h2;

typedef struct vly_load_h2_dialect {
    const char *const *fields; /* of each request: name, value, ..., NULL */
    size_t n_head;             /* bytes before a body */
    /* The settings have come. */
    void (*ready)(vly_load_h2 *h);
    void (*begin)(vly_load_h2_stream *s); /* s->call is about to go out */
    /* n more bytes of what s sends go into out; NULL: of the head and the body of its call. */
    void (*put)(vly_load_h2 *h, vly_load_h2_stream *s, size_t n);
    void (*data)(vly_load_h2 *h, vly_load_h2_stream *s, vly_str bytes);
    /* The server has ended its side: what came of call? It is no more the stream's. */
    void (*end_call)(vly_load_h2_stream *s, vly_load_call *call);
    void (*end)(vly_load_h2 *h, vly_load_h2_stream *s); /* the same, of a stream that goes on */
    void (*turn)(vly_load_h2 *h);                       /* of streaming: all has been written */
} vly_load_h2_dialect;

struct vly_load_h2 {
    vly_load_conn base;
    const vly_load_h2_dialect *dialect;
    nghttp2_session *ng;
    vly_http2_mem mem;
    char *out; /* OUT_BYTES */
    size_t n_out;
    vly_load_h2_stream *streams, *first_free;
    unsigned n_streams;
    nghttp2_nv fields[VLY_LOAD_H2_FIELDS_MAX];
    size_t n_fields;
    char said[128]; /* of the server, by nghttp2 */

    /* Of a gRPC call that goes on. */
    bool is_streaming;
    vly_load_h2_stream *stream; /* NULL: not begun, or ended */
    bool is_waiting;            /* its sender has nothing to say */
    bool has_said_first;
    size_t n_said; /* of the first message, then of the first unsent call, frame included */
};

static inline vly_load_h2 *vly_load__h2(vly_load_conn *c)
{
    return (vly_load_h2 *)(void *)c;
}

/* For kinds: as vly_load_kind has them, but for init, which is told the dialect; is_streaming is
 * set before. */
vly_status vly_load__h2_init(vly_load_conn *c, const vly_load_h2_dialect *dialect, vly_err *err);
void vly_load__h2_release(vly_load_conn *c);
void vly_load__h2_open(vly_load_conn *c);
void vly_load__h2_close(vly_load_conn *c);
void vly_load__h2_feed(vly_load_conn *c, vly_str in);
void vly_load__h2_collect(vly_load_conn *c);
void vly_load__h2_drop(vly_load_conn *c, vly_load_call *call);

/* A stream of its own for call; NULL: there is none to be had. read: what it sends; NULL: the
 * call's body. */
vly_load_h2_stream *vly_load__h2_submit(vly_load_h2 *h, vly_load_call *call,
                                        nghttp2_data_source_read_callback read);
/* n bytes into out; the caller has seen to the room. */
void vly_load__h2_put(vly_load_h2 *h, const void *bytes, size_t n);
void vly_load__h2_put_body(vly_load_h2 *h, const vly_load_call *call, size_t from, size_t n);
void vly_load__h2_keep_why(vly_load_h2_stream *s, vly_str text);

#endif
