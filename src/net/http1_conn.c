/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.x on a connection: cuts requests, sends answers in their order.
 *
 * When max_pipelined requests are in work, what is left waits in `unread` and reading stops, so the
 * kernel holds the client back. All answers ready at the head of the queue leave in one batch.
 */
#include "base/assert.h"
#include "net/http_stream_internal.h"
#include "net/websocket.h"

#include <time.h>

#define EXCHANGE_BUFS_MAX (VLY_HTTP_MAX_PARTS + 1) /* with its head */

typedef struct http1 {
    vly_http1 parser;
    vly_http_exchange *incoming; /* being parsed, or NULL */
    vly_http_exchange *queue, **queue_tail;
    unsigned n_queued;          /* in queue and writing */
    vly_http_exchange *writing; /* of the write under way, linked by next */
    vly_buf unread;             /* read, not parsed: more requests than may be in work */
    size_t unread_pos;
    vly_http_exchange *upgrade; /* accepted as a WebSocket; alone in queue */
    bool has_last;              /* no further request is taken */
} http1;

static http1 *session_of(const vly_http_conn *c)
{
    return c->session;
}

static bool http1_open(vly_http_conn *c)
{
    http1 *h = vly_calloc(VLY_MEM_NET, 1, sizeof(*h));

    if (h == NULL)
        return false;
    h->queue_tail = &h->queue;
    vly_buf_init(&h->unread, VLY_MEM_NET, VLY_HTTP_READ_BYTES + 2 * VLY_TLS_RECORD_BYTES);
    vly_http1_init(&h->parser);
    c->session = h;
    return true;
}

/* ---- the end ---- */

static void drop_incoming(http1 *h)
{
    if (h->incoming == NULL)
        return;
    h->parser.msg = NULL;
    vly_http__exchange_put(h->incoming);
    h->incoming = NULL;
}

/* Gives back the answered exchanges; those still out forget the connection. */
static void http1_close(vly_http_conn *c)
{
    http1 *h = session_of(c);

    drop_incoming(h);
    for (vly_http_exchange *ex = h->queue, *next; ex != NULL; ex = next) {
        next = ex->next;
        h->n_queued--;
        if (ex->stream != NULL)
            vly_http__stream_close(ex);
        if (ex->is_answered || ex == h->upgrade) {
            vly_http__exchange_put(ex);
        } else {
            ex->conn = NULL;
            atomic_store(&ex->req.is_cancelled, true);
        }
    }
    h->queue = NULL;
    h->queue_tail = &h->queue;
    h->upgrade = NULL;
}

static void session_free(http1 *h)
{
    VLY_ASSERT(h->queue == NULL && h->writing == NULL && h->incoming == NULL);
    vly_buf_release(&h->unread);
    vly_free(h);
}

static void http1_free(vly_http_conn *c)
{
    session_free(session_of(c));
}

/* ---- output ---- */

/* True when the client has sent, or is sending, something behind the requests in the queue. */
static bool has_input(const vly_http_conn *c)
{
    const http1 *h = session_of(c);
    return h->incoming != NULL || h->unread.len > h->unread_pos || vly_http__conn_has_input(c);
}

/* Ends the head of ex, once it is known whether the connection goes on. */
static void end_head(vly_http_conn *c, vly_http_exchange *ex)
{
    vly_buf *head = &ex->head;

    if (c->loop->drain_ms != 0 && ex->next == NULL && !has_input(c))
        ex->is_last = session_of(c)->has_last = true;
    vly_buf_puts(head, "Date: ");
    vly_buf_puts(head, vly_http__date(c->loop));
    vly_buf_puts(head, "\r\n");
    if (ex->is_last)
        vly_buf_puts(head, "Connection: close\r\n");
    else if (ex->req.msg.minor_version == 0)
        vly_buf_puts(head, "Connection: keep-alive\r\n");
    vly_buf_puts(head, "\r\n");
}

static unsigned add_bufs(vly_http_exchange *ex, uv_buf_t *bufs)
{
    bool has_body = vly_http__exchange_has_body(ex);
    unsigned n = 0;

    bufs[n++] = uv_buf_init(ex->head.ptr, (unsigned)ex->head.len);
    for (size_t i = 0; has_body && i < ex->n_parts; i++)
        if (ex->parts[i].len > 0)
            bufs[n++] = (uv_buf_t){.base = ex->parts[i].ptr, .len = ex->parts[i].len};
    for (unsigned i = 0; i < n; i++)
        ex->bytes_out += bufs[i].len;
    return n;
}

/* Asks for the body of a client that waits, once no earlier answer is due on the wire. */
static unsigned collect_continue(vly_http_conn *c, uv_buf_t *bufs)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    http1 *h = session_of(c);

    if (h->incoming == NULL || !h->parser.wants_continue || h->n_queued > 0)
        return 0;
    h->parser.wants_continue = false;
    c->since_ms = vly_http__now_ms(c);
    bufs[0] = uv_buf_init(text, sizeof(text) - 1);
    return 1;
}

/* Moves the answered exchanges at the head of the queue to `writing`. */
static unsigned http1_collect(vly_http_conn *c, uv_buf_t *bufs)
{
    http1 *h = session_of(c);
    vly_http_exchange **tail = &h->writing;
    unsigned n = 0;

    while (h->queue != NULL && h->queue->is_answered &&
           n + EXCHANGE_BUFS_MAX <= VLY_HTTP_WRITE_BUFS) {
        vly_http_exchange *ex = h->queue;
        end_head(c, ex);
        if (ex->head.failed) { /* no memory for a few bytes: nothing sensible can be sent */
            vly_http__conn_close(c);
            return 0;
        }
        h->queue = ex->next;
        if (h->queue == NULL)
            h->queue_tail = &h->queue;
        *tail = ex;
        tail = &ex->next;
        *tail = NULL;
        n += add_bufs(ex, bufs + n);
        vly_counter_add(&vly_http__stats(c)->responses[ex->status / 100], 1);
    }
    return n > 0 ? n : collect_continue(c, bufs);
}

/* The batch is with the kernel, or lost. */
static void http1_written(vly_http_conn *c, bool is_sent)
{
    http1 *h = session_of(c);
    vly_nsec now = is_sent && h->writing != NULL ? vly_clock_now() : 0;

    while (h->writing != NULL) {
        vly_http_exchange *ex = h->writing;
        h->writing = ex->next;
        h->n_queued--;
        ex->sent_ns = now;
        vly_http__exchange_put(ex);
    }
    if (h->incoming == NULL)
        c->since_ms = vly_http__now_ms(c);
}

static void http1_answered(vly_http_conn *c, vly_http_exchange *ex)
{
    (void)c; /* collect finds it when its turn in the queue has come */
    (void)ex;
}

/* ---- input ---- */

static void enqueue(http1 *h, vly_http_exchange *ex, vly_http_conn *c)
{
    ex->conn = c;
    ex->next = NULL;
    *h->queue_tail = ex;
    h->queue_tail = &ex->next;
    h->n_queued++;
    if (ex->is_last)
        h->has_last = true;
}

void vly_http__http1_refuse(vly_http_conn *c, int status, const char *reason)
{
    http1 *h = session_of(c);
    vly_http_exchange *ex = h->incoming != NULL ? h->incoming : vly_http__exchange_take(c->loop);

    h->incoming = NULL;
    h->parser.msg = NULL;
    vly_counter_add(&vly_http__stats(c)->parse_errors, 1);
    if (ex == NULL) {
        vly_http__conn_close(c);
        return;
    }
    memcpy(ex->req.peer, c->peer, sizeof(ex->req.peer));
    vly_http__exchange_error(ex, status, reason);
    ex->is_answered = true;
    ex->is_last = true;
    enqueue(h, ex, c);
}

/* Not behind requests that wait for their answers: a client has no reason to do that. */
static bool is_upgrade(vly_http_conn *c, const vly_http_msg *m)
{
    char accept[VLY_WEBSOCKET_ACCEPT_MAX];

    return session_of(c)->n_queued == 0 && vly_http__opts(c)->stream_max_message_bytes > 0 &&
           vly_websocket_check(m, accept, NULL) == VLY_OK;
}

static void hand_over(vly_http_conn *c, vly_http_exchange *ex)
{
    http1 *h = session_of(c);

    h->incoming = NULL;
    c->since_ms = vly_http__now_ms(c);
    ex->is_last = !ex->req.msg.keep_alive;
    if (!ex->req.is_cut && is_upgrade(c, &ex->req.msg))
        ex->req.stream_kind = VLY_STREAM_WEBSOCKET;
    enqueue(h, ex, c);
    vly_http__hand_over(c, ex);
}

/* The head has come: without leave to hold its body, ex is handed over as it is, and what follows
 * is thrown away. */
static void look_at_head(vly_http_conn *c, vly_http_exchange *ex)
{
    const vly_http_opts *o = vly_http__opts(c);
    http1 *h = session_of(c);

    memcpy(ex->req.peer, c->peer, sizeof(ex->req.peer));
    size_t max = o->max_body(o->ctx, &ex->req);
    if (max == SIZE_MAX || (!h->parser.is_chunked && ex->req.msg.body_bytes <= max))
        return;
    h->parser.msg = NULL;
    h->parser.wants_continue = false;
    ex->req.is_cut = true;
    ex->req.msg.keep_alive = false;
    hand_over(c, ex);
}

/* Blank lines between requests are allowed (RFC 9112 2.2) and begin nothing. */
static vly_str skip_blank_lines(vly_str in)
{
    while (in.len > 0 && (*in.ptr == '\r' || *in.ptr == '\n')) {
        in.ptr++;
        in.len--;
    }
    return in;
}

static vly_http_exchange *begin_message(vly_http_conn *c)
{
    http1 *h = session_of(c);
    vly_http_exchange *ex = vly_http__exchange_take(c->loop);

    if (ex == NULL) {
        vly_http__conn_close(c);
        return NULL;
    }
    h->incoming = ex;
    h->parser.stops_at_head = vly_http__opts(c)->max_body != NULL;
    vly_http1_begin(&h->parser, &ex->req.msg);
    c->since_ms = vly_http__now_ms(c);
    return ex;
}

/* Parses until the input is used up or no further request may be taken; returns what is left. */
static vly_str parse(vly_http_conn *c, vly_str in)
{
    http1 *h = session_of(c);

    while (c->state == VLY_HTTP_CONN_OPEN && !h->has_last && h->upgrade == NULL) {
        size_t used;
        vly_http_exchange *ex = h->incoming;
        if (ex == NULL) {
            in = skip_blank_lines(in);
            if (in.len == 0 || h->n_queued >= vly_http__opts(c)->max_pipelined)
                break;
            ex = begin_message(c);
            if (ex == NULL)
                break;
        }
        bool was_in_body = h->parser.is_in_body;
        vly_http1_event event = vly_http1_feed(&h->parser, in, &used);
        in = (vly_str){in.ptr + used, in.len - used};
        ex->bytes_in += used;
        if (event == VLY_HTTP1_MESSAGE)
            hand_over(c, ex);
        else if (event == VLY_HTTP1_ERROR)
            vly_http__http1_refuse(c, h->parser.status, h->parser.reason);
        else if (!was_in_body && h->parser.is_in_body)
            c->since_ms = vly_http__now_ms(c);
        if (event == VLY_HTTP1_HEAD)
            look_at_head(c, ex);
        if (event == VLY_HTTP1_MORE)
            break;
    }
    return in;
}

static void http1_feed(vly_http_conn *c, vly_str in)
{
    http1 *h = session_of(c);

    in = parse(c, in);
    if (c->state != VLY_HTTP_CONN_OPEN || in.len == 0 || h->has_last)
        return;
    vly_buf_add_str(&h->unread, in);
    if (h->unread.failed)
        vly_http__conn_close(c);
}

static size_t http1_read_to(vly_http_conn *c, char **ret)
{
    http1 *h = session_of(c);

    return h->incoming != NULL && h->parser.is_in_body && h->unread.len == 0
               ? vly_http__msg_body_room(&h->incoming->req.msg, ret)
               : 0;
}

/* Parses what had to wait for room in the queue. */
static void parse_unread(vly_http_conn *c)
{
    http1 *h = session_of(c);
    vly_str all = vly_buf_str(&h->unread);

    if (all.len == 0)
        return;
    vly_str rest = parse(c, (vly_str){all.ptr + h->unread_pos, all.len - h->unread_pos});
    h->unread_pos = all.len - rest.len;
    if (rest.len == 0 || h->has_last) {
        vly_buf_release(&h->unread);
        h->unread_pos = 0;
    }
}

/* The connection is a WebSocket's from now on, with what has come behind the request. */
static void upgrade(vly_http_conn *c)
{
    http1 *h = session_of(c);
    vly_str all = vly_buf_str(&h->unread);

    if (!vly_http__websocket_begin(c, h->upgrade)) {
        vly_http__conn_close(c);
        return;
    }
    if (all.len > h->unread_pos)
        c->proto->feed(c, (vly_str){all.ptr + h->unread_pos, all.len - h->unread_pos});
    h->queue = NULL;
    session_free(h);
}

static void http1_advance(vly_http_conn *c)
{
    parse_unread(c);
    if (c->state == VLY_HTTP_CONN_OPEN && session_of(c)->upgrade != NULL)
        upgrade(c);
}

static void http1_accepted(vly_http_conn *c, vly_http_exchange *ex)
{
    http1 *h = session_of(c);

    VLY_ASSERT(h->queue == ex && h->n_queued == 1);
    h->upgrade = ex;
}

/* Messages wait in the stream until the connection is a WebSocket's. */
static void http1_stream_turn(vly_http_conn *c, vly_http_exchange *ex)
{
    (void)c;
    (void)ex;
}

static bool http1_wants_input(const vly_http_conn *c)
{
    return session_of(c)->unread.len == 0;
}

/* A request cut short gets no answer, whole ones do, unless a client that closes its sending side
 * is taken to have gone; even then an answer that comes all the same is sent. */
static void http1_eof(vly_http_conn *c)
{
    http1 *h = session_of(c);

    drop_incoming(h);
    for (vly_http_exchange *ex = h->queue; ex != NULL && vly_http__opts(c)->abort_on_close;
         ex = ex->next)
        if (!ex->is_answered)
            atomic_store(&ex->req.is_cancelled, true);
}

static bool http1_is_over(const vly_http_conn *c)
{
    const http1 *h = session_of(c);
    return h->queue == NULL && (h->has_last || c->is_eof);
}

/* ---- time ---- */

/* Time the client has for what it is sending. */
static uint64_t input_timeout_ms(const vly_http_conn *c)
{
    const vly_http_opts *opts = vly_http__opts(c);
    const http1 *h = session_of(c);

    if (!h->parser.is_in_body)
        return opts->header_timeout_ms;
    return opts->body_timeout_ms + h->incoming->req.msg.body.len / opts->body_min_rate * 1000;
}

static void http1_sweep(vly_http_conn *c, uint64_t now)
{
    const http1 *h = session_of(c);

    if (h->incoming != NULL && !h->parser.wants_continue &&
        now - c->since_ms >= input_timeout_ms(c)) {
        vly_http__http1_refuse(c, 408,
                               h->parser.is_in_body ? "the request body came too slowly"
                                                    : "the request header came too slowly");
        vly_http__conn_pump(c);
    } else if (h->incoming == NULL && h->queue == NULL && !c->is_writing &&
               vly_http__conn_is_stale(c, now)) {
        vly_http__conn_close(c);
    }
}

const vly_http_proto vly_http__proto_http1 = {
    .open = http1_open,
    .feed = http1_feed,
    .read_to = http1_read_to,
    .eof = http1_eof,
    .advance = http1_advance,
    .collect = http1_collect,
    .written = http1_written,
    .answered = http1_answered,
    .accepted = http1_accepted,
    .stream_turn = http1_stream_turn,
    .wants_input = http1_wants_input,
    .is_over = http1_is_over,
    .sweep = http1_sweep,
    .close = http1_close,
    .free = http1_free,
};
