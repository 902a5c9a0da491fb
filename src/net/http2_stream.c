/* SPDX-License-Identifier: MIT */
/*
 * Streams of gRPC messages. The window of a stream is what holds its client back: while more than
 * stream_max_in_bytes of messages are with the application, nothing of what comes is given back to
 * it. The answer's body ends when the application ends the stream, and the status follows.
 */
#include "base/assert.h"
#include "net/http2_internal.h"

#include <stdio.h>

#define STATUS_RESOURCE_EXHAUSTED 8
#define STATUS_UNIMPLEMENTED      12
#define STATUS_INTERNAL           13

/* ---- out ---- */

static void submit_status(vly_http2 *h, vly_http_exchange *ex)
{
    vly_stream *s = ex->stream;
    char code[16];
    vly_buf message;
    nghttp2_nv nv[2];

    snprintf(code, sizeof(code), "%u", s->end_code);
    vly_buf_init(&message, VLY_MEM_NET, (size_t)3 * VLY_STREAM_REASON_MAX);
    vly_grpc_escape(&message, vly_str_from(s->end_message));
    nv[0] = vly_http2__field(VLY_STR("grpc-status"), vly_str_from(code));
    nv[1] = vly_http2__field(VLY_STR("grpc-message"), vly_buf_str(&message));
    vly_http2__check(h,
                     nghttp2_submit_trailer(h->ng, ex->h2.stream_id, nv, message.len > 0 ? 2 : 1));
    vly_buf_release(&message);
    ex->is_answered = true;
}

static ssize_t read_messages(nghttp2_session *ng, int32_t stream_id, uint8_t *to, size_t cap,
                             uint32_t *flags, nghttp2_data_source *source, void *user)
{
    vly_http_exchange *ex = source->ptr;
    vly_stream *s = ex->stream;
    size_t n = s->queue_bytes < cap ? s->queue_bytes : cap;
    (void)ng;
    (void)stream_id;
    (void)to;

    if (n == 0 && !s->has_end)
        return NGHTTP2_ERR_DEFERRED; /* until a turn of the stream */
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == s->queue_bytes && s->has_end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_status(user, ex);
    }
    return (ssize_t)n;
}

/* Of message m up to n bytes; returns how many. */
static size_t frame_message(vly_http2 *h, vly_stream_message *m, size_t n)
{
    size_t total = m->n_head + m->bytes.len, before = m->pos;

    if (m->pos < m->n_head) {
        size_t left = m->n_head - m->pos, piece = left < n ? left : n;
        vly_http2__add_copy(h, m->head + m->pos, piece);
        m->pos += piece;
        n -= piece;
    }
    if (n > 0 && m->pos < total) {
        size_t left = total - m->pos, piece = left < n ? left : n;
        vly_http2__add_piece(h, m->bytes.ptr + (m->pos - m->n_head), piece);
        m->pos += piece;
    }
    return m->pos - before;
}

void vly_http2__stream_frame(vly_http2 *h, vly_http_exchange *ex, size_t n)
{
    vly_stream *s = ex->stream;

    s->queue_bytes -= n;
    while (s->queue.head != NULL) {
        vly_stream_message *m = s->queue.head;
        n -= frame_message(h, m, n);
        if (m->pos < m->n_head + m->bytes.len)
            break;
        vly_http__queue_add(&h->leaving, vly_http__queue_take(&s->queue));
    }
    VLY_ASSERT(n == 0);
}

/* ---- life ---- */

void vly_http2__stream_accepted(vly_http_conn *c, vly_http_exchange *ex)
{
    vly_http2 *h = vly_http2__of(c);
    vly_str encoding = vly_http_msg_header(&ex->req.msg, "grpc-encoding");
    nghttp2_data_provider body = {.source.ptr = ex, .read_callback = read_messages};
    const nghttp2_nv nv[] = {
        vly_http2__field(VLY_STR(":status"), VLY_STR("200")),
        vly_http2__field(VLY_STR("content-type"), VLY_STR("application/grpc")),
        vly_http2__field(VLY_STR("grpc-accept-encoding"), VLY_STR("identity,deflate,gzip")),
    };

    /* An unknown encoding is refused with the first message that uses it. */
    if (vly_encoding_parse(encoding, &ex->stream->reader.encoding, NULL) != VLY_OK)
        ex->stream->reader.encoding = VLY_ENCODING_IDENTITY;
    ex->status = 200;
    vly_counter_add(&vly_http__stats(c)->responses[2], 1);
    ex->h2.since_ms = vly_http__now_ms(c);
    vly_http2__check(h, nghttp2_submit_response(h->ng, ex->h2.stream_id, nv, VLY_COUNT(nv), &body));
}

/* What has been framed of a message must stay until the batch has left. */
void vly_http2__stream_close(vly_http2 *h, vly_http_exchange *ex)
{
    vly_stream_message *m = ex->stream->queue.head;

    if (h->is_leaving && m != NULL && m->pos > 0)
        vly_http__queue_add(&h->leaving, vly_http__queue_take(&ex->stream->queue));
    if (!ex->is_answered)
        atomic_store(&ex->req.is_cancelled, true);
    vly_http__stream_close(ex);
    vly_http2__retire(h, ex);
}

/* ---- in ---- */

/* The client has broken a rule or a limit; what it sends from now on is dropped. */
static void fail(vly_http_exchange *ex, const vly_err *err)
{
    vly_stream *s = ex->stream;
    unsigned code = err->status == VLY_EUNSUPPORTED ? STATUS_UNIMPLEMENTED
                    : err->status == VLY_ELIMIT || err->status == VLY_ENOMEM
                        ? STATUS_RESOURCE_EXHAUSTED
                        : STATUS_INTERNAL;

    s->has_half = true;
    vly_counter_add(&ex->loop->server->stats.parse_errors, 1);
    vly_stream_end(s, &(vly_stream_end_info){.code = code, .message = err->msg});
}

/* Gives bytes of the window back, or keeps them until the application has done some work. */
static void give_window(vly_http2 *h, vly_http_exchange *ex, size_t n)
{
    vly_stream *s = ex->stream;

    s->withheld_bytes += n;
    if (s->withheld_bytes == 0 || vly_http__stream_is_full(s))
        return;
    vly_http2__check(h, nghttp2_session_consume_stream(h->ng, ex->h2.stream_id, s->withheld_bytes));
    s->withheld_bytes = 0;
}

static void fail_for_memory(vly_http_exchange *ex)
{
    vly_err err;

    vly_fail(&err, VLY_ELIMIT, "too many request bodies in memory");
    fail(ex, &err);
}

static void deliver(vly_http_exchange *ex, vly_buf *message)
{
    if (ex->stream->has_end) /* the application has had enough */
        vly_buf_release(message);
    else if (!vly_http__stream_deliver(ex->stream, message, false))
        fail_for_memory(ex);
}

void vly_http2__stream_feed(vly_http2 *h, vly_http_exchange *ex, vly_str in)
{
    vly_stream *s = ex->stream;
    size_t n = in.len;
    vly_err err;

    if (!s->has_half && !vly_http__stream_receive(s, n))
        fail_for_memory(ex);
    while (in.len > 0 && !s->has_half) {
        vly_buf message;
        bool is_message;
        if (vly_grpc_reader_feed(&s->reader, &in, &message, &is_message, &err) != VLY_OK)
            fail(ex, &err);
        else if (is_message)
            deliver(ex, &message);
    }
    if (!s->has_half) /* what is dropped asks for no more */
        give_window(h, ex, n);
}

void vly_http2__stream_half_close(vly_http2 *h, vly_http_exchange *ex)
{
    vly_stream *s = ex->stream;
    vly_err err;
    (void)h;

    if (s->has_half)
        return;
    if (vly_grpc_reader_is_between(&s->reader)) {
        vly_http__stream_half_close(s);
        return;
    }
    vly_fail(&err, VLY_EFORMAT, "the request ends within a message");
    fail(ex, &err);
}

void vly_http2__stream_turn(vly_http_conn *c, vly_http_exchange *ex)
{
    vly_http2 *h = vly_http2__of(c);
    vly_stream *s = ex->stream;
    bool was_empty = s->queue_bytes == 0;

    for (vly_stream_message *m = s->queue.head; m != NULL; m = m->next) {
        if (m->n_head > 0)
            continue;
        vly_grpc_frame_head(m->head, false, m->bytes.len);
        m->n_head = VLY_GRPC_HEAD_BYTES;
        s->queue_bytes += VLY_GRPC_HEAD_BYTES + m->bytes.len;
    }
    give_window(h, ex, 0);
    if (was_empty)
        ex->h2.since_ms = vly_http__now_ms(c);
    vly_http2__check(h, nghttp2_session_resume_data(h->ng, ex->h2.stream_id));
}
