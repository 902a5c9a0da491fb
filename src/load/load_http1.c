/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1: one request at a time on a connection. What is the same in each request is written
 * once, the length of the body when it is another. A short body is copied behind them: one piece
 * costs the kernel less than three. A longer one goes from where it lies.
 */
#include "load/load_answer.h"
#include "load/load_internal.h"

enum { LENGTH_MAX = 48, SHORT_MAX = 1024 };

#define SKIP_MAX ((size_t)1 << 30) /* of one call of the kernel */

typedef struct http1_conn {
    vly_load_conn base;
    vly_load_answer answer;
    vly_load_call *call;      /* whose answer is under way; NULL: none */
    bool is_to_head;          /* answers have no body */
    bool may_lack_body;       /* a request without one need not say so */
    size_t n_same;            /* bytes of base.head that are so in each request */
    size_t n_head, length_of; /* of those and the end of the head, for bodies of length_of */
    size_t n_why;
    char why[VLY_LOAD_WHY_MAX]; /* the begin of an answer that is no success */
} http1_conn;

static http1_conn *self(vly_load_conn *c)
{
    return (http1_conn *)(void *)c;
}

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

static void on_body(void *ctx, vly_str piece)
{
    http1_conn *h = ctx;

    vly_load__body(h->call, piece);
    if (is_success(h->answer.status))
        return;
    size_t room = sizeof(h->why) - h->n_why;
    size_t n = piece.len < room ? piece.len : room;
    memcpy(h->why + h->n_why, piece.ptr, n);
    h->n_why += n;
}

static vly_status init(vly_load_conn *c, vly_err *err)
{
    const vly_load_target *target = c->t->opts.target;
    http1_conn *h = self(c);
    vly_str method = target->method.len > 0 ? target->method : VLY_STR("POST");
    vly_buf *head = &c->head;

    h->answer.on_body = on_body;
    h->answer.ctx = h;
    h->is_to_head = vly_str_is(method, "HEAD");
    h->may_lack_body = h->is_to_head || vly_str_is(method, "GET") || vly_str_is(method, "DELETE");
    vly_buf_printf(head, "%.*s %.*s HTTP/1.1\r\nHost: %.*s\r\n", VLY_STR_ARG(method),
                   VLY_STR_ARG(vly_buf_str(&c->path)), VLY_STR_ARG(target->authority));
    if (!vly_load_target_has(target, VLY_STR("user-agent")))
        vly_buf_puts(head, "User-Agent: volley\r\n");
    for (size_t i = 0; i < target->n_headers; i++)
        vly_buf_printf(head, "%.*s\r\n", VLY_STR_ARG(target->headers[i]));
    h->n_same = head->len;
    return c->path.failed || !vly_buf_reserve(head, LENGTH_MAX + SHORT_MAX)
               ? vly_fail(err, VLY_ELIMIT, "headers: too long, or out of memory")
               : VLY_OK;
}

static void open_conn(vly_load_conn *c)
{
    vly_load__opened(c);
}

static void close_conn(vly_load_conn *c)
{
    self(c)->call = NULL;
}

static void write_length(http1_conn *h, size_t len)
{
    vly_buf *head = &h->base.head;

    head->len = h->n_same;
    if (len > 0 || !h->may_lack_body)
        vly_buf_printf(head, "Content-Length: %zu\r\n", len);
    vly_buf_puts(head, "\r\n");
    h->n_head = head->len;
    h->length_of = len;
}

static void collect(vly_load_conn *c)
{
    http1_conn *h = self(c);
    vly_load_call *call = c->unsent;

    if (call == NULL)
        return;
    const size_t len = call->body.len;
    if (h->n_head == 0 || len != h->length_of)
        write_length(h, len);
    if (len > 0 && len <= SHORT_MAX)
        vly_load__copy_body(call, 0, len, c->head.ptr + h->n_head);
    (void)vly_load__add(c, c->head.ptr, h->n_head + (len <= SHORT_MAX ? len : 0));
    if (len > SHORT_MAX)
        vly_load__add_body(c, call);
    call->bytes_out = h->n_head + len;
    call->sent_ns = vly_load_loop_now(c->t->loop);
    c->unsent = NULL;
    h->call = call;
    h->n_why = 0;
    vly_load_answer_begin(&h->answer, h->is_to_head);
}

static void end_answer(http1_conn *h)
{
    vly_load_conn *c = &h->base;
    vly_load_call *call = h->call;
    bool is_early = !vly_load__is_written(c);

    if (is_early)
        c->n_out = c->out_pos = 0; /* of the call's body nothing may go any more */
    h->call = NULL;
    c->skip = 0;
    call->status = h->answer.status;
    call->is_cached = h->answer.is_cached;
    if (is_success(call->status))
        vly_load__finish(call, VLY_LOAD_OK, (vly_str){NULL, 0});
    else
        vly_load__finish(call, VLY_LOAD_STATUS, (vly_str){h->why, h->n_why});
    c->is_draining = is_early || !h->answer.has_keep_alive;
}

static void feed(vly_load_conn *c, vly_str in)
{
    http1_conn *h = self(c);
    vly_load_answer_event e;

    if (h->call == NULL) {
        vly_load__break(c, "bytes came that nobody had asked for");
        return;
    }
    if (in.ptr == NULL) { /* dropped unread */
        h->call->bytes_in += in.len;
        e = vly_load_answer_skip(&h->answer, in.len);
    } else {
        e = vly_load_answer_feed(&h->answer, &in);
    }
    bool wants_body =
        h->call->answer != NULL || c->t->opts.check.len > 0 || !is_success(h->answer.status);
    uint64_t left = vly_load_answer_body_left(&h->answer);
    c->skip = wants_body ? 0 : left < SKIP_MAX ? (size_t)left : SKIP_MAX;
    if (e == VLY_LOAD_ANSWER_WHOLE)
        end_answer(h);
    else if (e == VLY_LOAD_ANSWER_BROKEN)
        vly_load__break(c, "%.*s", VLY_STR_ARG(h->answer.reason));
    if (e == VLY_LOAD_ANSWER_WHOLE && in.ptr != NULL && in.len > 0)
        vly_load__break(c, "bytes came behind the answer");
}

static void end(vly_load_conn *c)
{
    http1_conn *h = self(c);

    if (h->call == NULL)
        return;
    if (vly_load_answer_end(&h->answer) == VLY_LOAD_ANSWER_WHOLE)
        end_answer(h);
    else
        vly_load__break(c, "%.*s", VLY_STR_ARG(h->answer.reason));
}

static void drop(vly_load_conn *c, vly_load_call *call)
{
    http1_conn *h = self(c);

    if (h->call == call)
        h->call = NULL;
    c->n_out = c->out_pos = 0;
    vly_load__break(c, "given up");
}

const vly_load_kind vly_load__http1 = {
    .name = "http1",
    .alpn = "http/1.1",
    .conn_bytes = sizeof(http1_conn),
    .is_single = true,
    .is_prompt = true,
    .init = init,
    .open = open_conn,
    .close = close_conn,
    .feed = feed,
    .end = end,
    .collect = collect,
    .drop = drop,
};
