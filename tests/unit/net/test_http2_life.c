/* SPDX-License-Identifier: MIT */
/* Time, loss and the end, over HTTP/2; and what the application is told of requests, over both. */
#include "h2_client.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static wire w;

static const vly_http_stats *stats(void)
{
    return vly_http_server_stats(w.server);
}

static void send_only(h2_client *c)
{
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->ng, &bytes)) > 0)
        wire_send(c->fd, (const char *)bytes, (size_t)n);
}

static void until_no_connections(void)
{
    wire_wait_until(vly_gauge_get(&stats()->connections_open) == 0);
}

/* ---- slow clients ---- */

/* The beginning of the preface could become either protocol; the answer is HTTP/1. */
static void slow_preface(void **state)
{
    vly_http_opts o = wire_opts();

    (void)state;
    o.header_timeout_ms = 100;
    wire_start(&w, &o);
    int fd = wire_connect(&w);
    wire_puts(fd, "PRI * HT");
    const char *answer = wire_read(fd, 0, NULL);
    assert_non_null(strstr(answer, "HTTP/1.1 408 "));
    close(fd);
    wire_stop(&w);
}

static void slow_body(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client c;

    (void)state;
    o.body_timeout_ms = 100;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, 0);
    h2_answer *a = h2_ask_open(&c, "POST", "/echo", NULL, "begin", 5);
    h2_until(&c, a->has_end);
    assert_int_equal(a->status, 408);
    assert_non_null(strstr(a->body.ptr, "body came too slowly"));
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    h2_until(&c, a->is_closed); /* by the server, for the client never ends its request */
    assert_int_equal(a->error, NGHTTP2_NO_ERROR);
    h2_close(&c);
    wire_stop(&w);
}

/* A client that gives a stream no window holds that stream only, and not for ever. */
static void stream_without_window(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client c;

    (void)state;
    o.write_timeout_ms = 200;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, 1);
    h2_answer *a = h2_ask(&c, "GET", "/large/100", NULL, NULL, 0);
    h2_until(&c, a->is_closed);
    assert_int_equal(a->error, NGHTTP2_CANCEL);
    assert_int_equal(a->body.len, 1);
    h2_expect(&c, "GET", "/empty", NULL, 204, "");
    h2_close(&c);
    wire_stop(&w);
}

static void client_that_never_reads(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client c;

    (void)state;
    o.write_timeout_ms = 200;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, (1u << 31) - 1);
    nghttp2_session_set_local_window_size(c.ng, 0, 0, (1u << 31) - 1);
    h2_ask(&c, "GET", "/large/100000000", NULL, NULL, 0);
    send_only(&c);
    wire_wait_until(vly_counter_get(&stats()->requests) == 1);
    until_no_connections();
    h2_close(&c);
    wire_stop(&w);
}

static void idle_connections_end(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client c;

    (void)state;
    o.idle_timeout_ms = 100;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, 0);
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    while (h2_turn(&c))
        ;
    assert_int_equal(c.n_goaway, 1);
    assert_int_equal(c.goaway_error, NGHTTP2_NO_ERROR);
    h2_close(&c);
    wire_stop(&w);
}

/* A client with a request in work is pinged; one that does not even answer that has vanished. */
static void vanished_clients(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client alive, dead;

    (void)state;
    o.stream_ping_ms = 50;
    o.stream_idle_ms = 300;
    wire_start(&w, &o);
    h2_open(&alive, &w, 0, 0);
    h2_open(&dead, &w, 0, 0);
    h2_answer *a = h2_ask(&alive, "GET", "/hold", NULL, NULL, 0);
    h2_ask(&dead, "GET", "/hold", NULL, NULL, 0);
    send_only(&alive);
    send_only(&dead);
    wire_wait_held(&w, 2);
    while (vly_gauge_get(&stats()->connections_open) == 2)
        h2_turn(&alive); /* answers pings */
    assert_true(wire_is_fd_open(alive.fd));
    wire_let_go(&w);
    h2_until(&alive, a->is_closed);
    assert_int_equal(a->status, 200);
    h2_close(&alive);
    h2_close(&dead);
    wire_stop(&w);
}

/* ---- clients that leave ---- */

static void cancelled_requests(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client c;

    (void)state;
    o.http2_max_streams = 3;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, 0);
    h2_until(&c, c.has_settings);
    for (unsigned i = 1; i <= 3; i++) {
        h2_answer *a = h2_ask(&c, "GET", "/hold", NULL, NULL, 0);
        send_only(&c);
        vly_http_request *req = wire_wait_held(&w, i);
        assert_false(atomic_load(&req->is_cancelled));
        nghttp2_submit_rst_stream(c.ng, 0, a->stream_id, NGHTTP2_CANCEL);
        send_only(&c); /* first, for a PING would overtake it */
        h2_ping(&c);
        assert_true(atomic_load(&req->is_cancelled));
    }
    /* They are gone for the client, but still at work: a fourth has to wait. */
    h2_answer *a = h2_ask(&c, "GET", "/what", NULL, NULL, 0);
    h2_until(&c, a->is_closed);
    assert_int_equal(a->error, NGHTTP2_REFUSED_STREAM);
    wire_let_go(&w);
    wire_wait_until(vly_counter_get(&stats()->requests_cancelled) == 3);
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    h2_close(&c);
    wire_stop(&w);
}

/* In the middle of a frame, of a body, of an answer; with and without a reset. */
static void leaving_in_the_middle(void **state)
{
    static const char *const paths[] = {"/hold", "/large/3000000", "/echo", "/later"};
    vly_http_opts o = wire_opts();

    (void)state;
    wire_start(&w, &o);
    for (unsigned i = 0; i < 32; i++) {
        h2_client c;
        h2_open(&c, &w, 0, 0);
        h2_ask(&c, "GET", "/what", NULL, NULL, 0);
        if (i % 4 == 2)
            h2_ask_open(&c, "POST", "/echo", NULL, "body", 4);
        else
            h2_ask(&c, "GET", paths[i % 4], NULL, NULL, 0);
        send_only(&c);
        if (i % 2 == 0)
            h2_until(&c, c.answers[0].is_closed);
        if (i / 4 % 3 == 1)
            wire_send(c.fd, "\0\0\x40\0\0\0\0\0\x05half of what was said", 30);
        if (i / 4 % 2 == 1)
            setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                       sizeof(struct linger));
        h2_close(&c);
    }
    /* A client that has closed might only have half-closed: what it has asked for is still due. */
    wire_wait_until((wire_let_go(&w), vly_gauge_get(&stats()->connections_open) == 0));
    wire_stop(&w);
}

/* A client that closes its sending side only still gets its answers. */
static void half_close(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client c;

    (void)state;
    o.abort_on_close = false;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, 0);
    h2_answer *a = h2_ask(&c, "GET", "/hold", NULL, NULL, 0);
    h2_answer *cut = h2_ask_open(&c, "POST", "/echo", NULL, "x", 1);
    send_only(&c);
    vly_http_request *req = wire_wait_held(&w, 1);
    shutdown(c.fd, SHUT_WR);
    h2_until(&c, cut->is_closed);
    assert_int_equal(cut->error, NGHTTP2_CANCEL);
    assert_false(atomic_load(&req->is_cancelled));
    wire_let_go(&w);
    h2_until(&c, a->has_end);
    assert_string_equal(a->body.ptr, "GET /hold?");
    while (h2_turn(&c))
        ;
    h2_close(&c);
    wire_stop(&w);
}

/* ---- the end of the server ---- */

static void *drain(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)vly_http_server_drain(w.server, 10000);
}

/* GOAWAY with the largest number refuses nothing; a request on its way is served; then the last
 * GOAWAY, the last answer, and the end. */
static void drain_serves_what_is_here(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client c;
    pthread_t thread;
    void *is_drained;

    (void)state;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, 0);
    h2_answer *held = h2_ask(&c, "GET", "/hold", NULL, NULL, 0);
    send_only(&c);
    wire_wait_held(&w, 1);
    assert_int_equal(pthread_create(&thread, NULL, drain, NULL), 0);
    h2_until(&c, c.n_goaway == 2);
    assert_int_equal(c.goaway_streams[0], INT32_MAX);
    assert_int_equal(c.goaway_streams[1], held->stream_id);
    assert_int_equal(c.goaway_error, NGHTTP2_NO_ERROR);
    wire_let_go(&w);
    h2_until(&c, held->is_closed);
    assert_string_equal(held->body.ptr, "GET /hold?");
    while (h2_turn(&c))
        ;
    h2_close(&c); /* else the server waits for it */
    pthread_join(thread, &is_drained);
    assert_non_null(is_drained);
    wire_stop(&w);
}

static void stop_with_everything_open(void **state)
{
    vly_http_opts o = wire_opts();
    h2_client c;

    (void)state;
    wire_start(&w, &o);
    h2_open(&c, &w, 0, 0);
    h2_ask(&c, "GET", "/hold", NULL, NULL, 0);
    h2_ask(&c, "GET", "/large/30000000", NULL, NULL, 0);
    h2_ask_open(&c, "POST", "/echo", NULL, "begin", 5);
    h2_ask_open(&c, "POST", "/stream/echo", NULL, "\0\0\0\0\5begin", 8);
    send_only(&c);
    wire_wait_held(&w, 1);
    wire_wait_until(vly_counter_get(&stats()->requests) == 3);
    wire_stop(&w);
    h2_close(&c);
}

/* ---- no memory ---- */

/* The n-th allocation fails: an answer, a reset or a close, and the next client is served. nghttp2
 * allocates by the same door. */
static void without_memory(void **state)
{
    static char body[200000];
    vly_http_opts o = wire_opts();

    (void)state;
    wire_start(&w, &o);
    for (int n = 0; n < 120; n++) {
        h2_client c;
        h2_open(&c, &w, 0, 0);
        h2_answer *a =
            h2_ask(&c, "POST", n % 2 != 0 ? "/later" : "/stream/echo", NULL, body, sizeof(body));
        wire_wait_until(vly_counter_get(&stats()->connections) == 2 * (unsigned)n + 1);
        vly_buf_reserve(&a->body, 1000); /* the client's own memory comes by that door too */
        vly_buf_reserve(&a->headers, 1000);
        vly_buf_reserve(&a->trailers, 1000);
        vly_mem_fail_after(n);
        while (!a->is_closed && h2_turn(&c))
            ;
        vly_mem_fail_after(-1);
        h2_close(&c);
        h2_open(&c, &w, 0, 0);
        h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
        h2_close(&c);
    }
    wire_stop(&w);
}

UNIT_TESTS(cmocka_unit_test(slow_preface), cmocka_unit_test(slow_body),
           cmocka_unit_test(stream_without_window), cmocka_unit_test(client_that_never_reads),
           cmocka_unit_test(idle_connections_end), cmocka_unit_test(vanished_clients),
           cmocka_unit_test(cancelled_requests), cmocka_unit_test(leaving_in_the_middle),
           cmocka_unit_test(half_close), cmocka_unit_test(drain_serves_what_is_here),
           cmocka_unit_test(stop_with_everything_open), cmocka_unit_test(without_memory))
