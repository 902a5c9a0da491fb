/* SPDX-License-Identifier: MIT */
/*
 * WebSocket on a connection: what HTTP/1.1 becomes once an upgrade was accepted (RFC 6455).
 *
 * Messages of the stream leave as one frame each, straight from their memory. Control frames go
 * before them; our close goes when nothing is queued any more. In a drain no further message is
 * read, and the stream is closed when the application has given all of them back.
 */
#include "base/assert.h"
#include "net/http_stream_internal.h"
#include "net/websocket.h"

#define CONTROL_MAX_BYTES  ((size_t)64 * 1024) /* as many as a session lets wait */
#define CONTROL_KEEP_BYTES ((size_t)1024)

typedef struct http_websocket {
    vly_http_exchange *ex; /* its stream is NULL once it is over */
    vly_websocket *ws;
    vly_stream_queue leaving; /* messages of the write under way */
    vly_buf control;          /* control frames of it */
    uint64_t input_ms;        /* when the client was last heard, or could not be */
    uint64_t ping_ms;         /* the same, or when it was pinged */
    uint64_t close_ms;        /* when we have said our close */
    bool has_answered;        /* 101 is on its way */
} http_websocket;

static http_websocket *session_of(const vly_http_conn *c)
{
    return c->session;
}

static vly_websocket_state state_of(const http_websocket *w)
{
    return vly_websocket_get_state(w->ws);
}

static void say_close(vly_http_conn *c, unsigned code, const char *reason)
{
    http_websocket *w = session_of(c);

    vly_websocket_close(w->ws, code, reason);
    w->close_ms = vly_http__now_ms(c);
}

static void refuse_for_memory(vly_http_conn *c)
{
    say_close(c, VLY_WEBSOCKET_TRY_LATER, "too many requests in memory");
}

/* ---- life ---- */

static void on_message(void *ctx, vly_buf *message, bool is_text)
{
    const http_websocket *w = session_of(ctx);
    vly_stream *s = w->ex->stream;

    if (s != NULL && !s->has_end && !vly_http__stream_deliver(s, message, is_text))
        refuse_for_memory(ctx);
}

static void put_answer(const vly_http_conn *c, vly_http_exchange *ex)
{
    const char *protocol = vly_http__opts(c)->websocket_protocol;
    char accept[VLY_WEBSOCKET_ACCEPT_MAX];
    vly_status st = vly_websocket_check(&ex->req.msg, accept, NULL);

    VLY_ASSERT(st == VLY_OK); /* it was, when the request was handed over */
    ex->status = 101;
    vly_buf_clear(&ex->head);
    vly_buf_printf(&ex->head,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                   accept);
    if (protocol != NULL && vly_websocket_offers(&ex->req.msg, protocol))
        vly_buf_printf(&ex->head, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    vly_buf_puts(&ex->head, "\r\n");
}

bool vly_http__websocket_begin(vly_http_conn *c, vly_http_exchange *ex)
{
    const vly_websocket_opts opts = {.max_message_bytes =
                                         vly_http__opts(c)->stream_max_message_bytes,
                                     .on_message = on_message,
                                     .ctx = c};
    http_websocket *w = vly_calloc(VLY_MEM_NET, 1, sizeof(*w));

    put_answer(c, ex);
    if (w == NULL || ex->head.failed || vly_websocket_new(&opts, &w->ws, NULL) != VLY_OK) {
        vly_free(w);
        return false;
    }
    w->ex = ex;
    w->input_ms = w->ping_ms = c->since_ms = vly_http__now_ms(c);
    vly_http__queue_init(&w->leaving);
    vly_buf_init(&w->control, VLY_MEM_NET, CONTROL_MAX_BYTES);
    vly_counter_add(&vly_http__stats(c)->responses[1], 1);
    c->proto = &vly_http__proto_websocket;
    c->session = w;
    return true;
}

static bool websocket_open(vly_http_conn *c)
{
    (void)c; /* by vly_http__websocket_begin only */
    return false;
}

static void end_stream(http_websocket *w)
{
    if (w->ex->stream == NULL)
        return;
    atomic_store(&w->ex->req.is_cancelled, true);
    vly_http__stream_close(w->ex);
}

static void websocket_close(vly_http_conn *c)
{
    end_stream(session_of(c));
}

static void websocket_free(vly_http_conn *c)
{
    http_websocket *w = session_of(c);

    VLY_ASSERT(w->leaving.head == NULL && w->ex->stream == NULL);
    vly_http__exchange_put(w->ex);
    vly_websocket_free(w->ws);
    vly_buf_release(&w->control);
    vly_free(w);
}

/* ---- out ---- */

/* Says our close when it is time; ends the stream when both closes are said, or one is missing for
 * good. */
static void websocket_advance(vly_http_conn *c)
{
    http_websocket *w = session_of(c);
    const vly_stream *s = w->ex->stream;

    if (s == NULL)
        return;
    if (state_of(w) == VLY_WEBSOCKET_OPEN && s->queue.head == NULL) {
        if (s->has_end)
            say_close(c, s->end_code, s->end_message);
        else if (c->loop->drain_ms != 0 && s->held_bytes == 0)
            say_close(c, VLY_WEBSOCKET_GOING_AWAY, "the server is shutting down");
    }
    if (state_of(w) == VLY_WEBSOCKET_CLOSED || c->is_eof)
        end_stream(w);
}

static unsigned collect_messages(http_websocket *w, uv_buf_t *bufs, unsigned n)
{
    vly_stream *s = w->ex->stream;

    while (s != NULL && s->queue.head != NULL && state_of(w) == VLY_WEBSOCKET_OPEN &&
           n + 2 <= VLY_HTTP_WRITE_BUFS) {
        vly_stream_message *m = vly_http__queue_take(&s->queue);
        m->n_head = (unsigned)vly_websocket_head(m->head, m->is_text, m->bytes.len);
        bufs[n++] = (uv_buf_t){.base = (char *)m->head, .len = m->n_head};
        if (m->bytes.len > 0)
            bufs[n++] = (uv_buf_t){.base = m->bytes.ptr, .len = m->bytes.len};
        vly_http__queue_add(&w->leaving, m);
    }
    return n;
}

static unsigned websocket_collect(vly_http_conn *c, uv_buf_t *bufs)
{
    http_websocket *w = session_of(c);
    vly_buf *control = vly_websocket_out(w->ws);
    unsigned n = 0;

    if (!w->has_answered)
        bufs[n++] = (uv_buf_t){.base = w->ex->head.ptr, .len = w->ex->head.len};
    w->has_answered = true;
    if (control->len > 0) {
        vly_buf empty = w->control;
        w->control = *control;
        *control = empty;
        bufs[n++] = (uv_buf_t){.base = w->control.ptr, .len = w->control.len};
    }
    n = collect_messages(w, bufs, n);
    for (unsigned i = 0; i < n; i++)
        w->ex->bytes_out += bufs[i].len;
    return n;
}

static void websocket_written(vly_http_conn *c, bool is_sent)
{
    http_websocket *w = session_of(c);

    if (is_sent)
        w->ex->sent_ns = vly_clock_now();
    if (w->control.cap > CONTROL_KEEP_BYTES)
        vly_buf_release(&w->control);
    vly_buf_clear(&w->control);
    vly_http__queue_release(&w->leaving);
}

static void websocket_answered(vly_http_conn *c, vly_http_exchange *ex)
{
    (void)c;
    (void)ex;
    VLY_ASSERT(!"a request that was accepted as a stream is not answered");
}

static void websocket_turn(vly_http_conn *c, vly_http_exchange *ex)
{
    (void)c; /* the connection is pumped behind this: advance and collect see what has come */
    (void)ex;
}

/* ---- in ---- */

static void websocket_feed(vly_http_conn *c, vly_str in)
{
    http_websocket *w = session_of(c);

    w->input_ms = w->ping_ms = vly_http__now_ms(c);
    w->ex->bytes_in += in.len;
    if (w->ex->stream != NULL && !vly_http__stream_receive(w->ex->stream, in.len))
        refuse_for_memory(c);
    vly_websocket_feed(w->ws, in);
}

static void websocket_eof(vly_http_conn *c)
{
    (void)c; /* advance sees it; a client that sends no more cannot say its close */
}

static bool websocket_wants_input(const vly_http_conn *c)
{
    const http_websocket *w = session_of(c);
    const vly_stream *s = w->ex->stream;

    if (s == NULL || state_of(w) != VLY_WEBSOCKET_OPEN)
        return true;
    return c->loop->drain_ms == 0 && !vly_http__stream_is_full(s);
}

static bool websocket_is_over(const vly_http_conn *c)
{
    return session_of(c)->ex->stream == NULL;
}

/* ---- time ---- */

static void sweep_open(vly_http_conn *c, uint64_t now)
{
    const vly_http_opts *o = vly_http__opts(c);
    http_websocket *w = session_of(c);

    if (!websocket_wants_input(c))
        w->input_ms = w->ping_ms = now; /* it may talk, and is not listened to */
    if (now - w->input_ms >= o->stream_idle_ms) {
        vly_http__conn_close(c);
    } else if (now - w->ping_ms >= o->stream_ping_ms) {
        w->ping_ms = now;
        vly_websocket_ping(w->ws);
        vly_http__conn_pump(c);
    }
}

static void websocket_sweep(vly_http_conn *c, uint64_t now)
{
    const http_websocket *w = session_of(c);

    if (state_of(w) == VLY_WEBSOCKET_OPEN)
        sweep_open(c, now);
    else if (now - w->close_ms >= VLY_HTTP_LINGER_MS)
        vly_http__conn_close(c);
}

const vly_http_proto vly_http__proto_websocket = {
    .open = websocket_open,
    .feed = websocket_feed,
    .eof = websocket_eof,
    .advance = websocket_advance,
    .collect = websocket_collect,
    .written = websocket_written,
    .answered = websocket_answered,
    .stream_turn = websocket_turn,
    .wants_input = websocket_wants_input,
    .is_over = websocket_is_over,
    .sweep = websocket_sweep,
    .close = websocket_close,
    .free = websocket_free,
};
