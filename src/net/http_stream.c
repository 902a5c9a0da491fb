/* SPDX-License-Identifier: MIT */
/*
 * Streams between the application, on any thread, and their connection, on its loop thread.
 *
 * What other threads do waits in the stream, under its lock, and the stream is posted to its loop
 * once, however much has come. A stream outlives its connection, loop and server for as long as
 * somebody holds a reference; closing it under the lock is what cuts it off from them.
 */
#include "net/http_stream.h"

#include "base/assert.h"
#include "net/http_stream_internal.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_OVERHEAD 64 /* so that empty messages count too */

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- queues ---- */

void vly_http__queue_init(vly_stream_queue *q)
{
    *q = (vly_stream_queue){.tail = &q->head};
}

void vly_http__queue_add(vly_stream_queue *q, vly_stream_message *m)
{
    m->next = NULL;
    *q->tail = m;
    q->tail = &m->next;
}

vly_stream_message *vly_http__queue_take(vly_stream_queue *q)
{
    vly_stream_message *m = q->head;

    if (m == NULL)
        return NULL;
    q->head = m->next;
    if (q->head == NULL)
        q->tail = &q->head;
    return m;
}

static void message_free(vly_stream_message *m)
{
    vly_buf_release(&m->bytes);
    vly_free(m);
}

/* Room has come; tells who was refused for want of it. */
static void give_room(vly_stream *s, size_t n)
{
    pthread_mutex_lock(&s->lock);
    s->out_bytes -= n;
    bool tell = s->wants_room && s->out_bytes <= s->max_out_bytes / 2;
    s->wants_room = s->wants_room && !tell;
    pthread_mutex_unlock(&s->lock);
    if (tell && s->ex != NULL && s->events.on_room != NULL)
        s->events.on_room(s->ctx, s);
}

void vly_http__queue_release(vly_stream_queue *q)
{
    vly_stream_message *m;

    while ((m = vly_http__queue_take(q)) != NULL) {
        vly_stream *s = m->stream;
        size_t n = m->counted;
        message_free(m);
        give_room(s, n);
        vly_stream_unref(s);
    }
}

/* ---- life ---- */

vly_stream *vly_stream_ref(vly_stream *s)
{
    atomic_fetch_add(&s->n_refs, 1);
    return s;
}

void vly_stream_unref(vly_stream *s)
{
    vly_stream_message *m;

    if (s == NULL || atomic_fetch_sub(&s->n_refs, 1) > 1)
        return;
    VLY_ASSERT(s->ex == NULL && s->queue.head == NULL);
    while ((m = vly_http__queue_take(&s->posted)) != NULL)
        message_free(m);
    vly_grpc_reader_release(&s->reader);
    pthread_mutex_destroy(&s->lock);
    vly_free(s);
}

static void join_list(vly_stream *s)
{
    s->next = s->loop->streams_open;
    s->link = &s->loop->streams_open;
    if (s->next != NULL)
        s->next->link = &s->next;
    s->loop->streams_open = s;
}

static void leave_list(vly_stream *s)
{
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
}

vly_status vly_stream_accept(vly_http_request *req, const vly_stream_events *events, void *ctx,
                             vly_stream **ret, vly_err *err)
{
    vly_http_exchange *ex = CONTAINER_OF(req, vly_http_exchange, req);

    VLY_ASSERT(req->stream_kind != VLY_STREAM_NONE && ex->stream == NULL && !ex->is_answered);
    VLY_ASSERT(ex->conn != NULL && pthread_equal(pthread_self(), ex->loop->self));
    vly_stream *s = vly_calloc(VLY_MEM_NET, 1, sizeof(*s));
    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "stream: out of memory");
    atomic_init(&s->n_refs, 2); /* the caller's, and that of ex */
    s->events = *events;
    s->ctx = ctx;
    s->loop = ex->loop;
    s->budget = ex->loop->server->opts.limits.body_budget;
    s->max_out_bytes = ex->loop->server->opts.stream_max_out_bytes;
    s->ex = ex;
    vly_http__queue_init(&s->posted);
    vly_http__queue_init(&s->queue);
    vly_grpc_reader_init(&s->reader, VLY_ENCODING_IDENTITY,
                         ex->loop->server->opts.stream_max_message_bytes);
    pthread_mutex_init(&s->lock, NULL);
    vly_counter_add(&ex->loop->server->stats.streams, 1);
    vly_gauge_add(&ex->loop->server->stats.streams_open, 1);
    ex->stream = s;
    join_list(s);
    *ret = s; /* before callbacks, which accepted may begin */
    ex->conn->proto->accepted(ex->conn, ex);
    return VLY_OK;
}

void vly_http__stream_close(vly_http_exchange *ex)
{
    vly_stream *s = ex->stream;

    pthread_mutex_lock(&s->lock);
    s->is_closed = true;
    s->wants_room = false;
    pthread_mutex_unlock(&s->lock);
    leave_list(s);
    vly_http__queue_release(&s->queue);
    atomic_fetch_sub(&s->budget->used_bytes, s->held_bytes + s->partial_bytes);
    s->held_bytes = s->partial_bytes = 0;
    vly_gauge_add(&s->loop->server->stats.streams_open, -1);
    if (s->events.on_close != NULL)
        s->events.on_close(s->ctx, s);
    s->ex = NULL;
    ex->stream = NULL;
    ex->loop->n_out--;
    vly_stream_unref(s);
}

/* ---- out ---- */

/* Takes over on the loop what has been posted. */
static void take_posted(vly_stream *s)
{
    vly_stream_message *m;
    vly_stream_queue posted;
    size_t consumed;

    vly_http__queue_init(&posted);
    pthread_mutex_lock(&s->lock);
    while ((m = vly_http__queue_take(&s->posted)) != NULL)
        vly_http__queue_add(&posted, m);
    consumed = s->consumed;
    s->consumed = 0;
    s->is_posted = false;
    s->has_end = s->is_ended;
    pthread_mutex_unlock(&s->lock);
    while ((m = vly_http__queue_take(&posted)) != NULL) {
        m->stream = vly_stream_ref(s);
        vly_http__queue_add(&s->queue, m);
    }
    VLY_ASSERT(consumed <= s->held_bytes);
    s->held_bytes -= consumed;
    atomic_fetch_sub(&s->budget->used_bytes, consumed);
}

void vly_http__stream_post_turn(vly_stream *s)
{
    vly_http_exchange *ex = s->ex;

    if (ex != NULL) {
        take_posted(s);
        ex->conn->proto->stream_turn(ex->conn, ex);
        vly_http__conn_touch(ex->conn);
    }
    vly_stream_unref(s);
}

void vly_http__streams_drop(vly_http_loop *loop)
{
    for (vly_mpsc_node *node = vly_mpsc_take_all(&loop->streams), *next; node; node = next) {
        next = node->next;
        vly_stream_unref(CONTAINER_OF(node, vly_stream, node));
    }
}

/* Called with the lock held, after which is_local tells what is left to do without it. The push is
 * under the lock because the loop may be gone right behind it. */
static bool post(vly_stream *s)
{
    if (s->is_posted || s->is_closed)
        return false;
    s->is_posted = true;
    vly_stream_ref(s);
    if (pthread_equal(pthread_self(), s->loop->self))
        return true;
    vly_mpsc_push(&s->loop->streams, &s->node);
    return false;
}

static vly_status try_queue(vly_stream *s, vly_stream_message *m, vly_err *err)
{
    if (s->is_closed || s->is_ended)
        return vly_fail(err, VLY_ECANCELLED, "stream: it has ended");
    if (s->out_bytes > 0 && s->out_bytes + m->counted > s->max_out_bytes) {
        s->wants_room = true;
        return vly_fail(err, VLY_EBUSY, "stream: the client is behind by %zu bytes", s->out_bytes);
    }
    s->out_bytes += m->counted;
    vly_http__queue_add(&s->posted, m);
    return VLY_OK;
}

vly_status vly_stream_send(vly_stream *s, vly_buf *message, bool is_text, vly_err *err)
{
    bool is_local = false;

    if (message->failed || message->len > UINT32_MAX)
        return vly_fail(err, VLY_ELIMIT, "stream: the message is too large");
    vly_stream_message *m = vly_calloc(VLY_MEM_NET, 1, sizeof(*m));
    if (m == NULL)
        return vly_fail(err, VLY_ENOMEM, "stream: out of memory");
    m->bytes = *message;
    m->counted = message->len + MESSAGE_OVERHEAD;
    m->is_text = is_text;
    pthread_mutex_lock(&s->lock);
    vly_status st = try_queue(s, m, err);
    if (st == VLY_OK) {
        vly_buf_init(message, message->kind, message->max_bytes);
        is_local = post(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (st != VLY_OK)
        vly_free(m);
    if (is_local)
        vly_http__stream_post_turn(s);
    return st;
}

void vly_stream_end(vly_stream *s, const vly_stream_end_info *end)
{
    bool is_local = false;

    pthread_mutex_lock(&s->lock);
    if (!s->is_ended) {
        s->is_ended = true;
        s->end_code = end->code;
        snprintf(s->end_message, sizeof(s->end_message), "%s",
                 end->message != NULL ? end->message : "");
        is_local = post(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (is_local)
        vly_http__stream_post_turn(s);
}

/* The ends are told to the connections apart from this, for a connection that is pumped may close
 * streams. */
void vly_http__streams_check(vly_http_loop *loop)
{
    const vly_http_opts *o = &loop->server->opts;
    vly_stream_end_info end = {.code = 0};

    if (o->may_go_on == NULL)
        return;
    VLY_ASSERT(loop->is_batching);
    for (vly_stream *s = loop->streams_open; s != NULL; s = s->next)
        if (!s->has_end && !o->may_go_on(o->ctx, &s->ex->req, &end))
            vly_stream_end(s, &end);
}

/* ---- in ---- */

void vly_stream_consumed(vly_stream *s, size_t n)
{
    pthread_mutex_lock(&s->lock);
    s->consumed += n;
    bool is_local = post(s);
    pthread_mutex_unlock(&s->lock);
    if (is_local)
        vly_http__stream_post_turn(s);
}

bool vly_http__stream_is_full(const vly_stream *s)
{
    return s->held_bytes > s->loop->server->opts.stream_max_in_bytes;
}

bool vly_http__stream_receive(vly_stream *s, size_t n)
{
    size_t max = s->loop->server->opts.stream_max_message_bytes - s->partial_bytes;

    n = n < max ? n : max;
    if (atomic_fetch_add(&s->budget->used_bytes, n) + n > s->budget->max_bytes) {
        atomic_fetch_sub(&s->budget->used_bytes, n);
        return false;
    }
    s->partial_bytes += n;
    return true;
}

bool vly_http__stream_deliver(vly_stream *s, vly_buf *message, bool is_text)
{
    size_t n = message->len, had = s->partial_bytes;
    size_t used = atomic_fetch_add(&s->budget->used_bytes, n) + n - had;

    if (n > had && used > s->budget->max_bytes) { /* a few bytes may inflate to many */
        atomic_fetch_sub(&s->budget->used_bytes, n);
        vly_buf_release(message);
        return false;
    }
    atomic_fetch_sub(&s->budget->used_bytes, had);
    s->partial_bytes = 0;
    s->held_bytes += n;
    s->loop->has_handed = true;
    s->events.on_message(s->ctx, s, message, is_text);
    vly_buf_release(message);
    return true;
}

void vly_http__stream_half_close(vly_stream *s)
{
    if (s->has_half)
        return;
    s->has_half = true;
    s->loop->has_handed = true;
    if (s->events.on_end != NULL)
        s->events.on_end(s->ctx, s);
}
