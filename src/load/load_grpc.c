/* SPDX-License-Identifier: MIT */
/*
 * gRPC. Unary: each call is a stream with one message and one answer. Streaming: one stream for
 * each connection, as long as that lives; a call is a message of it, and the n-th answer is the
 * n-th call's.
 */
#include "load/load_h2.h"

#include "base/assert.h"

#include <stdio.h>

#define MESSAGE_MAX_BYTES ((size_t)256 << 20)
#define KEEP_BYTES        ((size_t)1 << 20) /* of memory between messages */

static void begin_frame(vly_load_h2_stream *s, size_t len)
{
    vly_grpc_frame_head(s->head, false, len);
}

static void begin_reading(vly_load_h2_stream *s)
{
    vly_grpc_reader *r = &s->reader;
    vly_buf wire = r->wire;

    *r = (vly_grpc_reader){.encoding = VLY_ENCODING_IDENTITY,
                           .max_message_bytes = MESSAGE_MAX_BYTES};
    vly_buf_init(&r->wire, VLY_MEM_NET, MESSAGE_MAX_BYTES);
    if (wire.ptr != NULL && wire.cap <= KEEP_BYTES) {
        vly_buf_clear(&wire);
        r->wire = wire;
    } else {
        vly_buf_release(&wire);
    }
}

static void begin(vly_load_h2_stream *s)
{
    begin_frame(s, s->call != NULL ? s->call->body.len : 0);
    begin_reading(s);
}

/* Each whole message of bytes. */
static void read_messages(vly_load_h2 *h, vly_load_h2_stream *s, vly_str bytes,
                          void (*take)(vly_load_h2 *h, vly_load_h2_stream *s, vly_str message))
{
    vly_buf message;
    bool is_message = true;
    vly_err err;

    while (is_message && !h->base.is_broken) {
        if (vly_grpc_reader_feed(&s->reader, &bytes, &message, &is_message, &err) != VLY_OK) {
            vly_load__break(&h->base, "%s", err.msg);
            return;
        }
        if (!is_message)
            return;
        s->n_messages++;
        take(h, s, vly_buf_str(&message));
        vly_grpc_reader_recycle(&s->reader, &message);
    }
}

/* What a call that has ended with no message came to; *ret_why: of an outcome that is not OK. */
static vly_load_outcome verdict(vly_load_h2_stream *s, char room[VLY_LOAD_WHY_MAX],
                                vly_str *ret_why)
{
    vly_str said = {s->why, s->n_why};

    *ret_why = said;
    if (s->grpc_status > 0)
        return VLY_LOAD_STATUS;
    if (s->grpc_status == 0)
        return VLY_LOAD_OK;
    int n = snprintf(room, VLY_LOAD_WHY_MAX, "no gRPC: HTTP status %d without a grpc-status",
                     s->status);
    *ret_why = (vly_str){room, (size_t)n};
    return VLY_LOAD_FAILED;
}

/* ---- unary ---- */

static void ready(vly_load_h2 *h)
{
    vly_load__opened(&h->base);
}

static void take_answer(vly_load_h2 *h, vly_load_h2_stream *s, vly_str message)
{
    (void)h;
    if (s->call != NULL)
        vly_load__body(s->call, message);
}

static void data(vly_load_h2 *h, vly_load_h2_stream *s, vly_str bytes)
{
    if (s->status == 200)
        read_messages(h, s, bytes, take_answer);
}

static void end_call(vly_load_h2_stream *s, vly_load_call *call)
{
    char room[VLY_LOAD_WHY_MAX];
    vly_str why;
    vly_load_outcome outcome = verdict(s, room, &why);

    if (outcome == VLY_LOAD_OK && (s->n_messages != 1 || !vly_grpc_reader_is_between(&s->reader))) {
        outcome = VLY_LOAD_FAILED;
        why = VLY_STR("expected one whole message in the answer");
    }
    call->status = s->grpc_status > 0 ? s->grpc_status : 0;
    vly_load__finish(call, outcome, why);
}

/* ---- streaming ---- */

/* The message that is being said, and whose; false: there is none. */
static bool current(const vly_load_h2 *h, vly_str *ret)
{
    const vly_load_conn *c = &h->base;

    if (!h->has_said_first)
        *ret = c->t->opts.first;
    else if (c->unsent != NULL)
        *ret = c->unsent->body;
    return !h->has_said_first || c->unsent != NULL;
}

static ssize_t read_said(nghttp2_session *ng, int32_t id, uint8_t *bytes, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    vly_load_h2 *h = user;
    vly_str message;
    (void)ng;
    (void)id;
    (void)bytes;
    (void)source;

    h->is_waiting = !current(h, &message);
    if (h->is_waiting)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    size_t left = VLY_GRPC_HEAD_BYTES + message.len - h->n_said;
    return (ssize_t)(len < left ? len : left);
}

/* n more bytes of the message, into out. */
static void say(vly_load_h2 *h, vly_load_h2_stream *s, size_t n)
{
    vly_load_conn *c = &h->base;
    vly_str message = {NULL, 0};

    bool is_there = current(h, &message);
    VLY_ASSERT(is_there);
    if (h->n_said == 0) {
        begin_frame(s, message.len);
        if (h->has_said_first)
            c->unsent->sent_ns = vly_load_loop_now(c->t->loop);
    }
    size_t from_head = h->n_said < VLY_GRPC_HEAD_BYTES ? VLY_GRPC_HEAD_BYTES - h->n_said : 0;
    size_t k = from_head < n ? from_head : n;
    if (k > 0)
        vly_load__h2_put(h, s->head + h->n_said, k);
    const size_t from = h->n_said + k - VLY_GRPC_HEAD_BYTES;
    if (n > k && h->has_said_first)
        vly_load__h2_put_body(h, c->unsent, from, n - k);
    else if (n > k)
        vly_load__h2_put(h, message.ptr + from, n - k);
    h->n_said += n;
    if (h->n_said < VLY_GRPC_HEAD_BYTES + message.len)
        return;
    h->n_said = 0;
    if (h->has_said_first) {
        c->unsent->bytes_out = VLY_GRPC_HEAD_BYTES + message.len;
        c->unsent = c->unsent->queue.next;
    }
    h->has_said_first = true;
}

static void begin_stream(vly_load_h2 *h)
{
    h->has_said_first = h->base.t->opts.first.ptr == NULL;
    h->n_said = 0;
    h->is_waiting = false;
    h->stream = vly_load__h2_submit(h, NULL, read_said);
    if (h->stream != NULL && h->base.n_greetings == 0)
        vly_load__opened(&h->base);
}

static void turn(vly_load_h2 *h)
{
    vly_load_conn *c = &h->base;

    vly_load__sent(c);
    if (h->is_waiting && c->unsent != NULL && h->stream != NULL) {
        h->is_waiting = false;
        (void)nghttp2_session_resume_data(h->ng, h->stream->id);
    }
}

/* ModelStreamInferResponse: field 1 is the text of an error, and then there is nothing else. */
static bool is_refusal(const vly_load_h2 *h, vly_str message)
{
    return message.len > 2 && message.ptr[0] == 0x0a &&
           vly_str_ends(h->base.t->opts.target->path,
                        VLY_STR("/inference.GRPCInferenceService/ModelStreamInfer"));
}

static void take_message(vly_load_h2 *h, vly_load_h2_stream *s, vly_str message)
{
    (void)s;
    vly_load__message(&h->base, message, is_refusal(h, message));
    if (h->base.state == VLY_LOAD_OPENING && h->base.n_greetings == 0)
        vly_load__opened(&h->base);
}

static void stream_data(vly_load_h2 *h, vly_load_h2_stream *s, vly_str bytes)
{
    if (s->status == 200)
        read_messages(h, s, bytes, take_message);
}

/* Calls that it leaves without an answer have what it says for one. */
static void stream_end(vly_load_h2 *h, vly_load_h2_stream *s)
{
    char room[VLY_LOAD_WHY_MAX];
    vly_str why;
    vly_load_outcome outcome = verdict(s, room, &why);

    h->stream = NULL;
    while (outcome == VLY_LOAD_STATUS && h->base.flying.first != NULL) {
        h->base.flying.first->status = s->grpc_status;
        vly_load__finish(h->base.flying.first, outcome, why);
    }
    vly_load__break(&h->base, "the stream ended: %.*s", VLY_STR_ARG(why));
}

/* One that has not begun to go out never will; of one that has gone the answer is passed over. */
static void drop(vly_load_conn *c, vly_load_call *call)
{
    vly_load_h2 *h = vly_load__h2(c);

    if (!h->is_streaming)
        vly_load__h2_drop(c, call);
    else if (call != c->unsent)
        c->n_ghosts++;
    else if (h->n_said > 0 && h->has_said_first)
        vly_load__break(c, "a message was given up half sent");
}

static vly_status init(vly_load_conn *c, vly_err *err)
{
    static const char *const fields[] = {"content-type", "application/grpc", "te", "trailers",
                                         NULL};
    static const vly_load_h2_dialect unary = {.fields = fields,
                                              .n_head = VLY_GRPC_HEAD_BYTES,
                                              .ready = ready,
                                              .begin = begin,
                                              .data = data,
                                              .end_call = end_call};
    static const vly_load_h2_dialect streaming = {.fields = fields,
                                                  .n_head = VLY_GRPC_HEAD_BYTES,
                                                  .ready = begin_stream,
                                                  .begin = begin,
                                                  .put = say,
                                                  .data = stream_data,
                                                  .end = stream_end,
                                                  .turn = turn};

    vly_load__h2(c)->is_streaming = c->t->opts.is_streaming;
    return vly_load__h2_init(c, c->t->opts.is_streaming ? &streaming : &unary, err);
}

const vly_load_kind vly_load__grpc = {
    .name = "grpc",
    .alpn = "h2",
    .conn_bytes = sizeof(vly_load_h2),
    .init = init,
    .release = vly_load__h2_release,
    .open = vly_load__h2_open,
    .close = vly_load__h2_close,
    .feed = vly_load__h2_feed,
    .collect = vly_load__h2_collect,
    .drop = drop,
};
