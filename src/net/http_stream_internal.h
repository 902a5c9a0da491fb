/* SPDX-License-Identifier: MIT */
/*
 * Streams as the protocols see them. Private to net.
 *
 * A message goes: posted (any thread) -> queue (loop) -> a queue of the protocol, once it is framed
 * -> released, once it is with the kernel. Functions here are for the loop thread.
 */
#ifndef VLY_NET_HTTP_STREAM_INTERNAL_H
#define VLY_NET_HTTP_STREAM_INTERNAL_H

#include "net/grpc_frame.h"
#include "net/http_internal.h"

#define VLY_STREAM_HEAD_MAX   10  /* that of a WebSocket */
#define VLY_STREAM_REASON_MAX 512 /* with its NUL */

/* A message on its way out. Its buffers stay until they are with the kernel. */
typedef struct vly_stream_message {
    struct vly_stream_message *next;
    vly_stream *stream; /* a reference, once it is queued */
    vly_buf bytes;
    size_t counted;                          /* against stream_max_out_bytes */
    unsigned char head[VLY_STREAM_HEAD_MAX]; /* of its frame; filled by the protocol */
    unsigned n_head;
    size_t pos; /* of head and bytes, what is framed */
    bool is_text;
} vly_stream_message;

typedef struct vly_stream_queue {
    vly_stream_message *head, **tail;
} vly_stream_queue;

struct vly_stream {
    _Atomic unsigned n_refs;
    vly_mpsc_node node;       /* in loop.streams, with a reference */
    vly_stream_events events; /* immutable, as the next four */
    void *ctx;
    vly_http_loop *loop;
    vly_http_budget *budget;
    size_t max_out_bytes;

    pthread_mutex_t lock;
    vly_stream_queue posted; /* guarded by lock, as all down to end_message */
    size_t out_bytes;        /* of messages that are not with the kernel */
    size_t consumed;         /* posted */
    bool is_posted;          /* it is in loop.streams, or about to be taken from there */
    bool is_ended;
    bool is_closed; /* loop and what belongs to it are out of reach */
    bool wants_room;
    unsigned end_code;
    char end_message[VLY_STREAM_REASON_MAX];

    vly_http_exchange *ex;    /* owner: loop, as all below; NULL: closed */
    vly_stream *next, **link; /* in loop.streams_open */
    vly_stream_queue queue;   /* to be framed, in this order */
    size_t queue_bytes;       /* of it, heads included; of HTTP/2 */
    bool has_end;             /* nothing comes behind queue; end_code and end_message stand */
    bool has_half;            /* on_end was called */
    size_t held_bytes;        /* delivered, not given back */
    size_t partial_bytes;     /* counted against the budget for a message that is still coming */
    vly_grpc_reader reader;   /* of HTTP/2 */
    size_t withheld_bytes;    /* of the window, until held_bytes has fallen; of HTTP/2 */
};

void vly_http__queue_init(vly_stream_queue *q);
void vly_http__queue_add(vly_stream_queue *q, vly_stream_message *m);
vly_stream_message *vly_http__queue_take(vly_stream_queue *q); /* NULL: it is empty */
/* What has been taken from a stream's queue and is with the kernel, or lost. */
void vly_http__queue_release(vly_stream_queue *q);

/* n bytes have come, of messages or around them; false: too much is in memory. */
bool vly_http__stream_receive(vly_stream *s, size_t n);
/* Releases message; false: too much is in memory, and it was not delivered. */
bool vly_http__stream_deliver(vly_stream *s, vly_buf *message, bool is_text);
void vly_http__stream_half_close(vly_stream *s);
bool vly_http__stream_is_full(const vly_stream *s); /* deliver no more */
/* The stream is over: nothing is called or queued behind this. ex may be put. */
void vly_http__stream_close(vly_http_exchange *ex);
void vly_http__streams_check(vly_http_loop *loop); /* ends those that may not go on */
void vly_http__stream_post_turn(vly_stream *s);    /* of loop.streams; gives up its reference */
void vly_http__streams_drop(vly_http_loop *loop);  /* the same, when the loop has ended */

#endif
