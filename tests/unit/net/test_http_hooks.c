/* SPDX-License-Identifier: MIT */
/* What the server tells its user besides requests: where they are from, the ends of turns, and what
 * has become of answers. */
#include "base/assert.h"
#include "h2_client.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX = 64 };

#define GET_1 "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define SWITCHED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
#define GET_4 GET_1 GET_1 GET_1 GET_1

/* Of one loop thread; the test reads under the lock. */
static struct hooks {
    vly_http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    vly_http_request *waiting[MAX]; /* until the end of the turn */
    unsigned n_waiting;
    unsigned n_later; /* turns that a request for "/later" has seen */
    unsigned n_turns, largest_turn;
    unsigned n_messages, n_messages_of_turns; /* the latter: seen at the ends of turns */
    _Atomic bool is_over;
    _Atomic unsigned n_ended;
    unsigned n_finished;
    vly_http_finished finished[MAX];
    char lines[MAX][128]; /* "METHOD path version loop peer's address" of the finished */
} hooks;

/* One message is enough; the end of the turn sees it. */
static void on_message(void *ctx, vly_stream *s, vly_buf *message, bool is_text)
{
    struct hooks *h = ctx;
    (void)is_text;
    h->n_messages++;
    vly_stream_consumed(s, message->len);
    vly_stream_end(s, &(vly_stream_end_info){.code = 0});
}

static void accept_stream(struct hooks *h, vly_http_request *req)
{
    static const vly_stream_events events = {.on_message = on_message};
    vly_stream *s;

    assert_int_equal(vly_stream_accept(req, &events, h, &s, NULL), VLY_OK);
    vly_stream_unref(s);
}

static void on_request(void *ctx, vly_http_request *req)
{
    struct hooks *h = ctx;

    if (req->stream_kind != VLY_STREAM_NONE) {
        accept_stream(h, req);
        return;
    }
    assert_true(h->n_waiting < MAX);
    h->waiting[h->n_waiting++] = req;
}

static bool on_turn(void *ctx, unsigned loop_idx)
{
    struct hooks *h = ctx;
    unsigned n = h->n_waiting;

    assert_int_equal(loop_idx, 0);
    if (n > 0 && vly_str_is(h->waiting[0]->msg.path, "/later") && ++h->n_later < 5)
        return true;
    h->n_waiting = 0;
    for (unsigned i = 0; i < n; i++) {
        vly_buf body;
        vly_buf_init(&body, VLY_MEM_NET, 1 << 30);
        if (vly_str_is(h->waiting[i]->msg.path, "/large") && vly_buf_reserve(&body, 50000000))
            body.len = 50000000;
        else
            vly_buf_puts(&body, h->waiting[i]->is_cut ? "cut" : "done");
        assert_true(!h->waiting[i]->is_cut || h->waiting[i]->msg.body.len == 0);
        vly_http_respond(h->waiting[i],
                         &(vly_http_answer){.status = 200, .parts = &body, .n_parts = 1});
    }
    pthread_mutex_lock(&h->lock);
    h->n_turns++;
    h->n_messages_of_turns = h->n_messages;
    if (n > h->largest_turn)
        h->largest_turn = n;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    return false;
}

/* Whose path says so may go on no more, once the test has said so too. */
static bool may_go_on(void *ctx, const vly_http_request *req, vly_stream_end_info *ret)
{
    struct hooks *h = ctx;

    if (!atomic_load(&h->is_over) || !vly_str_is(req->msg.path, "/stream/short"))
        return true;
    atomic_fetch_add(&h->n_ended, 1);
    *ret = (vly_stream_end_info){req->stream_kind == VLY_STREAM_GRPC ? 16 : 1008, "enough"};
    return false;
}

/* A stranger's: 10 bytes. */
static size_t max_body(void *ctx, const vly_http_request *req)
{
    (void)ctx;
    assert_memory_equal(req->peer, "127.0.0.1:", 10);
    return vly_http_msg_header(&req->msg, "x-friend").ptr != NULL ? SIZE_MAX : 10;
}

static void on_finished(void *ctx, const vly_http_request *req, const vly_http_finished *f)
{
    struct hooks *h = ctx;
    const vly_http_msg *m = &req->msg;

    pthread_mutex_lock(&h->lock);
    snprintf(h->lines[h->n_finished], sizeof(h->lines[0]), "%.*s %.*s %d.%d %u %.*s",
             VLY_STR_ARG(m->method_name), VLY_STR_ARG(m->path), m->major_version, m->minor_version,
             req->loop_idx, (int)strcspn(req->peer, ":"), req->peer);
    h->finished[h->n_finished++] = *f;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static wire as_wire; /* for its client functions */

static int setup(void **state)
{
    vly_http_opts o = wire_opts();
    (void)state;
    hooks = (struct hooks){.n_turns = 0};
    pthread_mutex_init(&hooks.lock, NULL);
    pthread_cond_init(&hooks.changed, NULL);
    o.on_request = on_request;
    o.on_turn = on_turn;
    o.on_finished = on_finished;
    o.may_go_on = may_go_on;
    o.max_body = max_body;
    o.ctx = &hooks;
    assert_int_equal(vly_http_server_start(&o, &hooks.server, NULL), VLY_OK);
    as_wire.server = hooks.server;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_http_server_free(hooks.server);
    pthread_cond_destroy(&hooks.changed);
    pthread_mutex_destroy(&hooks.lock);
    return 0;
}

static const vly_http_finished *wait_finished(unsigned n)
{
    pthread_mutex_lock(&hooks.lock);
    while (hooks.n_finished < n)
        pthread_cond_wait(&hooks.changed, &hooks.lock);
    pthread_mutex_unlock(&hooks.lock);
    return &hooks.finished[n - 1];
}

/* Requests that come together share a turn; those that had to wait for them get one of their own.
 */
static void turns_take_all_that_came(void **state)
{
    int fd = wire_connect(&as_wire);

    (void)state;
    wire_puts(fd, GET_4 GET_4 GET_4 "GET /b HTTP/1.0\r\n\r\n"); /* max_pipelined is 8 */
    const char *answers = wire_read(fd, 0, NULL);
    for (int i = 0; i < 13; i++) {
        answers = strstr(answers, "\r\n\r\ndone");
        assert_non_null(answers);
        answers++;
    }
    close(fd);
    wait_finished(13);
    assert_int_equal(hooks.largest_turn, 8);
    assert_int_equal(hooks.n_turns, 2);
}

/* A turn that leaves something is followed by another one, though no socket says anything. */
static void turns_follow_while_something_is_left(void **state)
{
    int fd = wire_connect(&as_wire);

    (void)state;
    wire_puts(fd, "GET /later HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(wire_read(fd, 0, NULL), "\r\n\r\ndone"));
    close(fd);
    wait_finished(1);
    assert_int_equal(hooks.n_later, 5);
    assert_int_equal(hooks.n_turns, 1);
}

static void turns_of_http2(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &as_wire, 0, 0);
    h2_until(&c, c.has_settings);
    for (int i = 0; i < 10; i++)
        h2_ask(&c, "GET", "/a", NULL, NULL, 0);
    for (int i = 0; i < 10; i++)
        h2_until(&c, c.answers[i].is_closed);
    wait_finished(10);
    assert_string_equal(hooks.lines[0], "GET /a 2.0 0 127.0.0.1");
    assert_int_equal(hooks.finished[0].status, 200);
    assert_true(hooks.finished[0].sent_ns > 0);
    h2_close(&c);
}

static void turns_of_messages(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &as_wire, 0, 0);
    h2_answer *a = h2_ask_open(&c, "POST", "/stream/x", NULL, NULL, 0);
    h2_until(&c, a->status == 200);
    h2_continue(&c, a, "\0\0\0\0\1a\0\0\0\0\1b", 12, true); /* the second comes too late */
    h2_until(&c, a->is_closed);
    assert_string_equal(a->trailers.ptr, "grpc-status: 0\n");
    h2_close(&c);
    pthread_mutex_lock(&hooks.lock);
    while (hooks.n_messages_of_turns == 0)
        pthread_cond_wait(&hooks.changed, &hooks.lock);
    unsigned n = hooks.n_messages_of_turns;
    pthread_mutex_unlock(&hooks.lock);
    assert_int_equal(n, 1);
}

/* Also those on which nothing comes. */
static void streams_that_may_not_go_on_end(void **state)
{
    h2_client c;
    size_t len;
    int fd = wire_connect(&as_wire);

    (void)state;
    wire_puts(fd, "GET /stream/short HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  "Sec-WebSocket-Version: 13\r\n\r\n");
    wire_read(fd, sizeof(SWITCHED) - 1, &len);
    h2_open(&c, &as_wire, 0, 0);
    h2_answer *first = h2_ask_open(&c, "POST", "/stream/short", NULL, NULL, 0);
    h2_answer *other = h2_ask_open(&c, "POST", "/stream/long", NULL, NULL, 0);
    h2_answer *second = h2_ask_open(&c, "POST", "/stream/short", NULL, NULL, 0);
    h2_until(&c, first->status == 200 && other->status == 200 && second->status == 200);
    atomic_store(&hooks.is_over, true);
    h2_until(&c, first->has_end && second->has_end);
    assert_string_equal(first->trailers.ptr, "grpc-status: 16\ngrpc-message: enough\n");
    assert_string_equal(second->trailers.ptr, "grpc-status: 16\ngrpc-message: enough\n");
    const char *close_frame = wire_read(fd, 10, &len);
    assert_memory_equal(close_frame,
                        "\x88\x08\x03\xf0"
                        "enough",
                        10);
    h2_continue(&c, other, "\0\0\0\0\1a", 6, true);
    h2_until(&c, other->is_closed);
    assert_string_equal(other->trailers.ptr, "grpc-status: 0\n");
    assert_int_equal(atomic_load(&hooks.n_ended), 3); /* each was asked about until it ended */
    h2_close(&c);
    close(fd);
}

#define POST "POST /b HTTP/1.1\r\nHost: h\r\n"

/* Before a body is asked for, or held. */
static void bodies_of_strangers_are_not_taken(void **state)
{
    static const struct {
        const char *request, *end; /* of the answer */
        bool is_closed;
    } cases[] = {
        {POST "Content-Length: 10\r\n\r\n0123456789", "\r\n\r\ndone", false},
        {POST "Content-Length: 11\r\n\r\n", "\r\n\r\ncut", true},
        {POST "Content-Length: 11\r\n\r\n0123456789a" GET_1, "\r\n\r\ncut", true},
        {POST "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n", "\r\n\r\ncut", true},
        {POST "Transfer-Encoding: chunked\r\n\r\n1\r\n", "\r\n\r\ncut", true},
        {POST "X-Friend: y\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
         "\r\n\r\ndone", false},
        {POST "X-Friend: y\r\nContent-Length: 11\r\n\r\n0123456789a", "\r\n\r\ndone", false},
    };

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        for (size_t piece = 1; piece < 1000; piece += 998) {
            int fd = wire_connect(&as_wire);
            const char *at = cases[i].request;
            for (size_t left = strlen(at), n; left > 0; left -= n, at += n) {
                n = left < piece ? left : piece;
                wire_send(fd, at, n);
            }
            if (!cases[i].is_closed)
                wire_puts(fd, "GET /c HTTP/1.0\r\n\r\n"); /* it goes on, and closes */
            const char *got = wire_read(fd, 0, NULL), *end = strstr(got, cases[i].end);
            assert_non_null(end);
            assert_memory_equal(got, "HTTP/1.1 200 OK", 15);
            assert_int_equal(end[strlen(cases[i].end)] == '\0', cases[i].is_closed);
            close(fd);
        }
    }
}

static void bodies_of_strangers_over_http2(void **state)
{
    static const struct {
        const char *headers, *body, *want;
    } cases[] = {
        {"content-length: 11\n", "0123456789a", "cut"},
        {NULL, "0123456789", "done"},
        {NULL, "0123456789a", "cut"},
        {"x-friend: y\n", "0123456789a", "done"},
    };
    h2_client c;

    (void)state;
    h2_open(&c, &as_wire, 0, 0);
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        h2_answer *a =
            h2_ask(&c, "POST", "/b", cases[i].headers, cases[i].body, strlen(cases[i].body));
        h2_until(&c, a->is_closed);
        assert_string_equal(a->body.ptr, cases[i].want);
        assert_int_equal(a->n_continue, 0);
    }
    h2_answer *slow = h2_ask_open(&c, "POST", "/b", NULL, "0123456789a", 11);
    h2_until(&c, slow->has_end); /* the rest of the request never comes */
    assert_string_equal(slow->body.ptr, "cut");
    h2_close(&c);
}

static void answers_are_accounted_for(void **state)
{
    static const char post[] = "POST /a%20b?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    static const char bad[] = "BAD\r\n\r\n";
    size_t len;
    int fd = wire_connect(&as_wire);

    (void)state;
    vly_nsec before = vly_clock_now();
    wire_puts(fd, post);
    const vly_http_finished *f = wait_finished(1);
    assert_string_equal(hooks.lines[0], "POST /a b 1.1 0 127.0.0.1");
    assert_int_equal(f->status, 200);
    assert_int_equal(f->bytes_in, sizeof(post) - 1);
    assert_in_range(f->sent_ns, before, vly_clock_now());
    wire_puts(fd, bad);
    f = wait_finished(2);
    assert_int_equal(f->status, 501); /* a method that HTTP does not know */
    wire_read(fd, 0, &len);
    close(fd);
    /* the dates were cut out of what was read: 37 bytes each */
    assert_int_equal(hooks.finished[0].bytes_out + hooks.finished[1].bytes_out, len + 74);
}

static void lost_answers(void **state)
{
    struct linger reset = {.l_onoff = 1};
    int fd = wire_connect(&as_wire);

    (void)state;
    wire_puts(fd, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    const vly_http_finished *f = wait_finished(1);
    assert_int_equal(f->status, 200);
    assert_int_equal(f->sent_ns, 0);
    /* a request that never ended has no line */
    fd = wire_connect(&as_wire);
    wire_puts(fd, "GET /cut HTTP/1.1\r\nHo");
    close(fd);
    wire_wait_until(vly_gauge_get(&vly_http_server_stats(hooks.server)->connections_open) == 0);
    assert_int_equal(hooks.n_finished, 1);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(turns_take_all_that_came, setup, teardown),
           cmocka_unit_test_setup_teardown(turns_follow_while_something_is_left, setup, teardown),
           cmocka_unit_test_setup_teardown(turns_of_http2, setup, teardown),
           cmocka_unit_test_setup_teardown(turns_of_messages, setup, teardown),
           cmocka_unit_test_setup_teardown(streams_that_may_not_go_on_end, setup, teardown),
           cmocka_unit_test_setup_teardown(bodies_of_strangers_are_not_taken, setup, teardown),
           cmocka_unit_test_setup_teardown(bodies_of_strangers_over_http2, setup, teardown),
           cmocka_unit_test_setup_teardown(answers_are_accounted_for, setup, teardown),
           cmocka_unit_test_setup_teardown(lost_answers, setup, teardown))
