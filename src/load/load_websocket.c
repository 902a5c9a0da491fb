/* SPDX-License-Identifier: MIT */
/*
 * WebSocket: a call is a message. The n-th answer of a connection is that of its n-th call; without
 * answers (is_one_way) a call is done when it is written. Several messages go in one call of the
 * kernel, from where they lie.
 */
#include "load/load_answer.h"
#include "load/load_internal.h"
#include "net/websocket.h"

#include <stdio.h>

enum { HEADS = VLY_LOAD_OUT_MAX / 2 }; /* messages of one write, at most */

#define MESSAGE_MAX_BYTES ((size_t)256 << 20)

/* 16 bytes in base64. It proves nothing but that the server has read it. */
static const char key[] = "dm9sbGV5LWxvYWQtMTIzNA==";

typedef struct websocket_conn {
    vly_load_conn base;
    vly_load_answer answer;
    char accept[VLY_WEBSOCKET_ACCEPT_MAX]; /* that the answer has to say */
    vly_websocket *ws;                     /* of this connection; NULL: not yet */
    bool has_asked, has_said_first;
    vly_buf control; /* frames being written */
    unsigned n_heads;
    unsigned char heads[HEADS][VLY_WEBSOCKET_ASK_MAX];
    size_t n_why;
    char why[128]; /* the begin of an answer that is no upgrade */
} websocket_conn;

static websocket_conn *self(vly_load_conn *c)
{
    return (websocket_conn *)(void *)c;
}

static void on_body(void *ctx, vly_str piece)
{
    websocket_conn *w = ctx;
    size_t room = sizeof(w->why) - w->n_why, n = piece.len < room ? piece.len : room;

    memcpy(w->why + w->n_why, piece.ptr, n);
    w->n_why += n;
}

static void on_message(void *ctx, vly_buf *message, bool is_text)
{
    vly_load_conn *c = ctx;
    (void)is_text;

    if (c->is_broken)
        return;
    vly_load__message(c, vly_buf_str(message), false);
    if (c->state == VLY_LOAD_OPENING && c->n_greetings == 0)
        vly_load__opened(c);
}

static vly_status init(vly_load_conn *c, vly_err *err)
{
    const vly_load_target *target = c->t->opts.target;
    websocket_conn *w = self(c);

    w->answer.on_body = on_body;
    w->answer.ctx = w;
    vly_buf_init(&w->control, VLY_MEM_NET, (size_t)64 << 10);
    if (!vly_websocket_make_accept(vly_str_from(key), w->accept))
        return vly_fail(err, VLY_EINTERNAL, "WebSocket: no SHA-1");
    vly_buf_printf(&c->head,
                   "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
                   VLY_STR_ARG(vly_buf_str(&c->path)), VLY_STR_ARG(target->authority), key);
    if (!vly_load_target_has(target, VLY_STR("user-agent")))
        vly_buf_puts(&c->head, "User-Agent: volley\r\n");
    for (size_t i = 0; i < target->n_headers; i++)
        vly_buf_printf(&c->head, "%.*s\r\n", VLY_STR_ARG(target->headers[i]));
    vly_buf_puts(&c->head, "\r\n");
    return c->path.failed || c->head.failed
               ? vly_fail(err, VLY_ELIMIT, "headers: too long, or out of memory")
               : VLY_OK;
}

static void release(vly_load_conn *c)
{
    vly_buf_release(&self(c)->control);
}

static void open_conn(vly_load_conn *c)
{
    websocket_conn *w = self(c);

    w->has_asked = false;
    w->has_said_first = c->t->opts.first.ptr == NULL;
    w->n_why = 0;
    vly_load_answer_begin(&w->answer, false);
}

static void close_conn(vly_load_conn *c)
{
    websocket_conn *w = self(c);

    vly_websocket_free(w->ws);
    w->ws = NULL;
    vly_buf_clear(&w->control);
}

/* ---- out ---- */

static void add_head(websocket_conn *w, size_t len)
{
    unsigned char *head = w->heads[w->n_heads++];

    (void)vly_load__add(&w->base, head, vly_websocket_ask_head(head, w->base.t->opts.is_text, len));
}

static bool has_room(const websocket_conn *w)
{
    return w->n_heads < HEADS && w->base.n_out + 1 + VLY_LOAD_BODY_PIECES <= VLY_LOAD_OUT_MAX;
}

/* Answers to pings, and our close. They stand between messages. */
static void add_control(websocket_conn *w)
{
    vly_buf *waiting = vly_websocket_out(w->ws), swap = w->control;

    vly_buf_clear(&swap);
    w->control = *waiting;
    *waiting = swap;
    (void)vly_load__add(&w->base, w->control.ptr, w->control.len);
}

static void collect(vly_load_conn *c)
{
    websocket_conn *w = self(c);

    w->n_heads = 0;
    if (w->ws == NULL) {
        if (!w->has_asked)
            (void)vly_load__add(c, c->head.ptr, c->head.len);
        w->has_asked = true;
        return;
    }
    vly_load__sent(c);
    add_control(w);
    if (!w->has_said_first) {
        add_head(w, c->t->opts.first.len);
        (void)vly_load__add(c, c->t->opts.first.ptr, c->t->opts.first.len);
    }
    w->has_said_first = true;
    if (c->state != VLY_LOAD_OPEN || c->unsent == NULL)
        return;
    vly_nsec now = vly_load_loop_now(c->t->loop);
    for (; c->unsent != NULL && has_room(w); c->unsent = c->unsent->queue.next) {
        c->unsent->sent_ns = now;
        c->unsent->bytes_out = c->unsent->body.len;
        add_head(w, c->unsent->body.len);
        vly_load__add_body(c, c->unsent);
        c->unsent->end = c->n_added;
    }
}

/* ---- in ---- */

static void begin_messages(websocket_conn *w)
{
    const vly_websocket_opts opts = {.is_client = true,
                                     .max_message_bytes = MESSAGE_MAX_BYTES,
                                     .on_message = on_message,
                                     .ctx = w};
    vly_err err;

    if (vly_websocket_new(&opts, &w->ws, &err) != VLY_OK)
        vly_load__break(&w->base, "%s", err.msg);
    else if (w->base.n_greetings == 0)
        vly_load__opened(&w->base);
}

static void end_upgrade(websocket_conn *w)
{
    if (w->answer.status != 101)
        vly_load__break(&w->base, "no WebSocket: HTTP %d %.*s", w->answer.status, (int)w->n_why,
                        w->why);
    else if (strcmp(w->answer.accept, w->accept) != 0)
        vly_load__break(&w->base, "no WebSocket: Sec-WebSocket-Accept is not what it has to be");
    else
        begin_messages(w);
}

static void feed_upgrade(websocket_conn *w, vly_str *in)
{
    switch (vly_load_answer_feed(&w->answer, in)) {
    case VLY_LOAD_ANSWER_MORE:
        break;
    case VLY_LOAD_ANSWER_WHOLE:
        end_upgrade(w);
        break;
    case VLY_LOAD_ANSWER_BROKEN:
        vly_load__break(&w->base, "%.*s", VLY_STR_ARG(w->answer.reason));
        break;
    }
}

static void feed(vly_load_conn *c, vly_str in)
{
    websocket_conn *w = self(c);

    if (w->ws == NULL)
        feed_upgrade(w, &in);
    if (w->ws == NULL || c->is_broken)
        return;
    if (in.len > 0)
        vly_websocket_feed(w->ws, in);
    if (vly_websocket_get_state(w->ws) == VLY_WEBSOCKET_CLOSED)
        vly_load__break(c, "the WebSocket was closed: %u", vly_websocket_peer_code(w->ws));
}

/* What stands among the pieces being written cannot be taken back. */
static void drop(vly_load_conn *c, vly_load_call *call)
{
    if (call->sent_ns == 0)
        return;
    c->n_ghosts += !c->t->opts.is_one_way;
    if (vly_load__has_gone(c, call))
        return;
    c->n_out = c->out_pos = 0;
    vly_load__break(c, "a message was given up half sent");
}

const vly_load_kind vly_load__websocket = {
    .name = "websocket",
    .alpn = "http/1.1",
    .conn_bytes = sizeof(websocket_conn),
    .init = init,
    .release = release,
    .open = open_conn,
    .close = close_conn,
    .feed = feed,
    .collect = collect,
    .drop = drop,
};
