/* SPDX-License-Identifier: MIT */
/* Streams over HTTP/2: messages both ways, limits, ends, and losses. */
#include "h2_client.h"
#include "net/grpc_frame.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static wire w;

#define GRPC "content-type: application/grpc\nte: trailers\n"

static int setup(void **state)
{
    vly_http_opts o = wire_opts();
    (void)state;
    wire_start(&w, &o);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_stop(&w);
    return 0;
}

static void wait_for(const unsigned *counter, unsigned n)
{
    pthread_mutex_lock(&w.lock);
    while (*counter < n)
        pthread_cond_wait(&w.has_held, &w.lock);
    pthread_mutex_unlock(&w.lock);
}

static vly_stream *first_stream(void)
{
    wait_for(&w.n_streams, 1);
    return w.streams[0];
}

static h2_answer *call(h2_client *c, const char *path)
{
    return h2_ask_open(c, "POST", path, GRPC, NULL, 0);
}

/* A message of n bytes that begins with a frame's head; valid until the next call. */
static const char *frame(size_t n, size_t *ret_len)
{
    static char bytes[(2 << 20) + 5];
    memset(bytes + 5, 'm', n);
    bytes[0] = 0;
    for (int i = 0; i < 4; i++)
        bytes[1 + i] = (char)(n >> (24 - 8 * i));
    *ret_len = n + 5;
    return bytes;
}

static void expect_end(h2_client *c, h2_answer *a, const char *trailers)
{
    h2_until(c, a->has_end);
    assert_int_equal(a->status, 200);
    assert_string_equal(a->trailers.ptr, trailers);
}

static void messages_both_ways(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = call(&c, "/stream/echo");
    h2_until(&c, a->status == 200); /* the answer begins before the request ends */
    assert_string_equal(a->headers.ptr, "content-type: application/grpc\n"
                                        "grpc-accept-encoding: identity,deflate,gzip\n");
    h2_continue(&c, a, "\0\0\0\0\3one\0\0\0", 11, false); /* and the beginning of another */
    h2_until(&c, a->body.len == 8);
    assert_memory_equal(a->body.ptr, "\0\0\0\0\3one", 8);
    h2_continue(&c, a, "\0\3two\0\0\0\0\0", 10, false);
    h2_until(&c, a->body.len == 21);
    assert_memory_equal(a->body.ptr + 8, "\0\0\0\0\3two\0\0\0\0\0", 13);
    assert_false(a->has_end);
    h2_continue(&c, a, NULL, 0, true);
    expect_end(&c, a, "grpc-status: 0\ngrpc-message: 100 %25 gone%0A\n");
    h2_until(&c, a->is_closed);
    assert_int_equal(a->error, NGHTTP2_NO_ERROR);
    wait_for(&w.n_closed, 1);
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    h2_close(&c);
}

static void refused_and_empty_streams(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *refused = call(&c, "/stream/refused");
    h2_until(&c, refused->has_end);
    assert_int_equal(refused->status, 403);
    h2_continue(&c, refused, "late", 4, true);
    h2_answer *empty = h2_ask(&c, "POST", "/stream/echo", GRPC, NULL, 0);
    expect_end(&c, empty, "grpc-status: 0\ngrpc-message: 100 %25 gone%0A\n");
    assert_int_equal(w.n_messages, 0);
    h2_close(&c);
}

/* Messages above every window, in and out, and many at once. */
static void large_messages(void **state)
{
    size_t len;
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = call(&c, "/stream/echo");
    for (size_t i = 1; i <= 8; i++) {
        const char *bytes = frame(1 << 20, &len);
        h2_continue(&c, a, bytes, len, false);
        h2_until(&c, a->body.len == i * len);
        assert_memory_equal(a->body.ptr + (i - 1) * len, bytes, len);
    }
    h2_continue(&c, a, NULL, 0, true);
    expect_end(&c, a, "grpc-status: 0\ngrpc-message: 100 %25 gone%0A\n");
    h2_close(&c);
}

static void broken_messages(void **state)
{
    size_t len;
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *large = call(&c, "/stream/echo");
    const char *bytes = frame((1 << 20) + 1, &len);
    h2_continue(&c, large, bytes, 5, false);
    expect_end(&c, large,
               "grpc-status: 8\ngrpc-message: message: 1048577 bytes are more than 1048576\n");
    h2_answer *bad = call(&c, "/stream/echo");
    h2_continue(&c, bad, "\7\0\0\0\0", 5, false);
    expect_end(&c, bad,
               "grpc-status: 13\n"
               "grpc-message: message: expected 0 or 1 before its length, got 7\n");
    h2_answer *squeezed = call(&c, "/stream/echo");
    h2_continue(&c, squeezed, "\1\0\0\0\1x", 6, false);
    expect_end(&c, squeezed,
               "grpc-status: 12\ngrpc-message: message: compressed, without a grpc-encoding\n");
    h2_answer *cut = call(&c, "/stream/echo");
    h2_continue(&c, cut, "\0\0\0\0\5four", 9, true);
    expect_end(&c, cut, "grpc-status: 13\ngrpc-message: the request ends within a message\n");
    wait_for(&w.n_closed, 1); /* the others linger for their clients */
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    h2_close(&c);
}

/* Messages are no header, however many they are; trailers have the room of a header. */
static void a_request_may_end_in_trailers(void **state)
{
    size_t len;
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = call(&c, "/stream/echo");
    const char *bytes = frame(wire_opts().limits.max_header_bytes + 1, &len);
    h2_continue(&c, a, bytes, len, false);
    h2_until(&c, a->body.len == len);
    a->has_trailer = true;
    h2_continue(&c, a, NULL, 0, true);
    expect_end(&c, a, "grpc-status: 0\ngrpc-message: 100 %25 gone%0A\n");
    h2_until(&c, a->is_closed);
    assert_int_equal(a->error, NGHTTP2_NO_ERROR);
    h2_close(&c);
}

/* ---- from other threads ---- */

static vly_buf text(const char *s)
{
    vly_buf b;
    vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
    vly_buf_puts(&b, s);
    return b;
}

static void server_speaks_first(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = call(&c, "/stream/echo");
    h2_until(&c, a->status == 200);
    vly_stream *s = first_stream();
    vly_buf message = text("news");
    assert_int_equal(vly_stream_send(s, &message, false, NULL), VLY_OK);
    assert_null(message.ptr);
    h2_until(&c, a->body.len == 9);
    assert_memory_equal(a->body.ptr, "\0\0\0\0\4news", 9);
    vly_stream_end(s, &(vly_stream_end_info){.code = 5});
    vly_stream_end(s, &(vly_stream_end_info){.code = 0, .message = "too late"});
    expect_end(&c, a, "grpc-status: 5\n");
    h2_continue(&c, a, NULL, 0, true);
    h2_until(&c, a->is_closed);
    wait_for(&w.n_closed, 1);
    message = text("nobody hears this");
    assert_int_equal(vly_stream_send(s, &message, false, NULL), VLY_ECANCELLED);
    assert_non_null(message.ptr);
    vly_buf_release(&message);
    vly_stream_consumed(s, 0);
    h2_close(&c);
}

static void stream_outlives_the_server(void **state)
{
    h2_client c;
    vly_http_opts o = wire_opts();

    (void)state;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, 0);
    h2_answer *a = call(&c, "/stream/echo");
    h2_until(&c, a->status == 200);
    vly_stream *s = vly_stream_ref(first_stream());
    wire_stop(&w);
    vly_buf message = text("x");
    assert_int_equal(vly_stream_send(s, &message, false, NULL), VLY_ECANCELLED);
    vly_buf_release(&message);
    vly_stream_end(s, &(vly_stream_end_info){.code = 0});
    vly_stream_unref(s);
    h2_close(&c);
}

/* ---- back-pressure ---- */

static unsigned n_messages(void)
{
    pthread_mutex_lock(&w.lock);
    unsigned n = w.n_messages;
    pthread_mutex_unlock(&w.lock);
    return n;
}

/* The client gives no window: sends fill what is allowed, then are refused; reading makes room. */
static void sends_are_bounded(void **state)
{
    h2_client c;
    unsigned n = 0;
    vly_status st;
    vly_err err;

    (void)state;
    h2_open(&c, &w, 0, 1);
    h2_answer *a = call(&c, "/stream/echo");
    h2_until(&c, a->status == 200);
    vly_stream *s = first_stream();
    for (;; n++) {
        vly_buf message;
        vly_buf_init(&message, VLY_MEM_NET, 1 << 20);
        assert_true(vly_buf_reserve(&message, 10000));
        memset(message.ptr, 'x', 10000);
        message.len = 10000;
        st = vly_stream_send(s, &message, false, &err);
        vly_buf_release(&message);
        if (st != VLY_OK)
            break;
        assert_true(n < 27);
    }
    assert_int_equal(st, VLY_EBUSY);
    assert_int_equal(n, 26); /* 26 * 10064 <= 262144 */
    assert_int_equal(w.n_rooms, 0);
    nghttp2_session_set_local_window_size(c.ng, 0, a->stream_id, 1 << 20);
    nghttp2_session_set_local_window_size(c.ng, 0, 0, 1 << 20);
    h2_until(&c, a->body.len == (size_t)26 * 10005);
    wait_for(&w.n_rooms, 1);
    vly_buf message = text("room");
    assert_int_equal(vly_stream_send(s, &message, false, NULL), VLY_OK);
    h2_until(&c, a->body.len == (size_t)26 * 10005 + 9);
    h2_close(&c);
}

/* An application that gives nothing back stops its client at about what it may hold; other streams
 * of the connection go on. */
static void receives_are_bounded(void **state)
{
    static char bytes[3 << 20];
    h2_client c;
    size_t len;

    (void)state;
    w.keeps_messages = true;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = call(&c, "/stream/echo");
    memcpy(bytes, frame(49995, &len), 50000);
    for (size_t at = 50000; at + 50000 <= sizeof(bytes); at += 50000)
        memcpy(bytes + at, bytes, 50000);
    h2_continue(&c, a, bytes, sizeof(bytes) / 50000 * 50000, false);
    /* The sixth message passes 262144 bytes; then at most the rest of a window comes. */
    while (n_messages() < 6)
        h2_ping(&c);
    for (int i = 0; i < 20; i++)
        h2_ping(&c);
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    assert_in_range(n_messages(), 6, 7);
    assert_true(a->request_left > sizeof(bytes) - 500000);
    vly_stream_consumed(first_stream(), (size_t)6 * 49995);
    while (n_messages() < 12)
        h2_ping(&c);
    h2_close(&c);
    wait_for(&w.n_closed, 1);
}

/* More messages in one frame than buffers in a write. */
static void many_messages_in_a_frame(void **state)
{
    enum { N = 64, LEN = 2500 };
    const nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1 << 18};
    h2_client c;
    size_t len;

    (void)state;
    h2_open(&c, &w, 0, 1);
    assert_int_equal(nghttp2_submit_settings(c.ng, 0, &entry, 1), 0);
    nghttp2_session_set_local_window_size(c.ng, 0, 0, 1 << 20);
    h2_answer *a = call(&c, "/stream/echo");
    h2_until(&c, a->status == 200);
    for (int i = 0; i < N; i++) {
        vly_buf message;
        vly_buf_init(&message, VLY_MEM_NET, 1 << 20);
        vly_buf_add(&message, frame(LEN, &len) + 5, LEN);
        memset(message.ptr, ' ' + i, LEN);
        assert_int_equal(vly_stream_send(first_stream(), &message, false, NULL), VLY_OK);
    }
    nghttp2_session_set_local_window_size(c.ng, 0, a->stream_id, 1 << 20);
    h2_until(&c, a->body.len == (size_t)N * (LEN + 5));
    for (int i = 0; i < N; i++) {
        char *want = (char *)(uintptr_t)frame(LEN, &len);
        memset(want + 5, ' ' + i, LEN);
        assert_memory_equal(a->body.ptr + (size_t)i * len, want, len);
    }
    h2_close(&c);
}

/* A thousand bytes that inflate to a mebibyte each: the budget counts what they become. */
static void inflated_messages_are_bounded(void **state)
{
    static char plain[1 << 20], bytes[4 << 12];
    vly_http_opts o = wire_opts();
    size_t len = 0;
    h2_client c;

    (void)state;
    o.max_body_total_bytes = 5 << 19; /* two and a half of them */
    wire_start(&w, &o);
    w.keeps_messages = true;
    for (int i = 0; i < 4; i++) {
        uLongf n = 1 << 12;
        assert_int_equal(compress2((Bytef *)bytes + len + 5, &n, (Bytef *)plain, sizeof(plain), 9),
                         Z_OK);
        vly_grpc_frame_head((unsigned char *)bytes + len, true, n);
        len += 5 + n;
        assert_true(len + 5 + (1 << 12) <= sizeof(bytes) || i == 3);
    }
    h2_open(&c, &w, 0, 0);
    h2_answer *a =
        h2_ask_open(&c, "POST", "/stream/echo", GRPC "grpc-encoding: deflate\n", NULL, 0);
    h2_continue(&c, a, bytes, len, false);
    expect_end(&c, a, "grpc-status: 8\ngrpc-message: too many request bodies in memory\n");
    assert_int_equal(n_messages(), 2);
    h2_close(&c);
    wait_for(&w.n_closed, 1);
    wire_stop(&w);
}

static void cancelled_streams(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = call(&c, "/stream/echo");
    h2_until(&c, a->status == 200);
    nghttp2_submit_rst_stream(c.ng, 0, a->stream_id, NGHTTP2_CANCEL);
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    wait_for(&w.n_closed, 1);
    h2_answer *b = call(&c, "/stream/echo");
    h2_until(&c, b->status == 200);
    h2_close(&c); /* without a word */
    wait_for(&w.n_closed, 2);
    wire_wait_until(vly_gauge_get(&vly_http_server_stats(w.server)->connections_open) == 0);
}

/* Threads send and end while clients cancel and leave. */
static void *run_sender(void *arg)
{
    vly_stream *s = arg;
    vly_status st = VLY_OK;

    for (int i = 0; i < 1000 && (st == VLY_OK || st == VLY_EBUSY); i++) {
        vly_buf message = text("from a thread");
        st = vly_stream_send(s, &message, false, NULL);
        vly_buf_release(&message);
    }
    vly_stream_end(s, &(vly_stream_end_info){.code = 0});
    vly_stream_unref(s);
    return NULL;
}

static void clients_leave_while_threads_send(void **state)
{
    enum { N = 12 };
    pthread_t threads[N];

    (void)state;
    for (unsigned i = 0; i < N; i++) {
        h2_client c;
        h2_open(&c, &w, 0, 0);
        h2_answer *a = call(&c, "/stream/echo");
        h2_until(&c, a->status == 200);
        wait_for(&w.n_streams, i + 1);
        assert_int_equal(
            pthread_create(&threads[i], NULL, run_sender, vly_stream_ref(w.streams[i])), 0);
        if (i % 3 == 0)
            h2_until(&c, a->has_end);
        else if (i % 3 == 1)
            h2_until(&c, a->body.len > 100);
        h2_close(&c);
    }
    for (unsigned i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    wait_for(&w.n_closed, N);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(messages_both_ways, setup, teardown),
           cmocka_unit_test_setup_teardown(refused_and_empty_streams, setup, teardown),
           cmocka_unit_test_setup_teardown(large_messages, setup, teardown),
           cmocka_unit_test_setup_teardown(broken_messages, setup, teardown),
           cmocka_unit_test_setup_teardown(a_request_may_end_in_trailers, setup, teardown),
           cmocka_unit_test_setup_teardown(server_speaks_first, setup, teardown),
           cmocka_unit_test(stream_outlives_the_server),
           cmocka_unit_test_setup_teardown(sends_are_bounded, setup, teardown),
           cmocka_unit_test_setup_teardown(receives_are_bounded, setup, teardown),
           cmocka_unit_test_setup_teardown(many_messages_in_a_frame, setup, teardown),
           cmocka_unit_test(inflated_messages_are_bounded),
           cmocka_unit_test_setup_teardown(cancelled_streams, setup, teardown),
           cmocka_unit_test_setup_teardown(clients_leave_while_threads_send, setup, teardown))
