/* SPDX-License-Identifier: MIT */
/* What goes over the wire, in the order it should. Date lines are cut out before comparing. */
#include "base/assert.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static wire w;

static int setup(void **state)
{
    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_stop(&w);
    return 0;
}

#define H       "Host: h\r\n"
#define CLOSE   H "Connection: close\r\n\r\n"
#define TEXT(n) "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " #n "\r\n"
#define JSON(status, n)                                                                            \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nContent-Length: " #n "\r\n"          \
    "Connection: close\r\n\r\n"

static void cases(void **state)
{
    static const struct {
        const char *request, *response;
    } rows[] = {
        {"GET /what?a HTTP/1.1\r\n" CLOSE, TEXT(11) "Connection: close\r\n\r\nGET /what?a"},
        {"POST /echo HTTP/1.1\r\nContent-Length: 3\r\n" CLOSE "abc",
         TEXT(3) "Connection: close\r\n\r\nabc"},
        {"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE
         "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
         TEXT(3) "Connection: close\r\n\r\nabc"},
        /* HEAD: the length of what GET would bring, and nothing more */
        {"HEAD /what HTTP/1.1\r\n" CLOSE, TEXT(11) "Connection: close\r\n\r\n"},
        /* keep-alive is the default of 1.1, close that of 1.0 */
        {"GET /what HTTP/1.1\r\n" H "\r\nGET /what HTTP/1.0\r\n\r\n",
         TEXT(10) "\r\nGET /what?" TEXT(10) "Connection: close\r\n\r\nGET /what?"},
        {"GET /what HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /what HTTP/1.0\r\n\r\n",
         TEXT(10) "Connection: keep-alive\r\n\r\nGET /what?" TEXT(
             10) "Connection: close\r\n\r\nGET /what?"},
        /* what follows the last request is not looked at */
        {"GET /what HTTP/1.1\r\n" CLOSE "GET /what HTTP/1.1\r\n" CLOSE,
         TEXT(10) "Connection: close\r\n\r\nGET /what?"},
        /* several parts, own headers, a status without a body */
        {"GET /parts HTTP/1.1\r\n" CLOSE, "HTTP/1.1 201 Created\r\nX-One: 1\r\nX-Two: a  b c\r\n"
                                          "Content-Length: 6\r\nConnection: close\r\n\r\n<0><2>"},
        {"GET /empty HTTP/1.1\r\n" CLOSE, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
        {"GET /none HTTP/1.1\r\n" CLOSE,
         JSON("404 Not Found", 28) "{\"error\":\"no \\\"such\\\" path\"}"},
        /* an error of the protocol is the last answer, after those before it */
        {"GET /later HTTP/1.1\r\n" H "\r\nBAD\r\n\r\n",
         TEXT(11) "\r\nGET /later?" JSON("501 Not Implemented",
                                         38) "{\"error\":\"Invalid method encountered\"}"},
        {"GET / HTTP/1.1\r\n\r\n",
         JSON("400 Bad Request", 44) "{\"error\":\"expected exactly one Host header\"}"},
        {"POST /echo HTTP/1.1\r\n" H "Content-Length: 1048577\r\n\r\n",
         JSON("413 Content Too Large", 41) "{\"error\":\"the request body is too large\"}"},
        {"POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\nExpect: magic\r\n\r\n",
         JSON("417 Expectation Failed",
              53) "{\"error\":\"the only supported Expect is 100-continue\"}"},
    };
    (void)state;
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        wire_expect(&w, rows[i].request, SIZE_MAX, rows[i].response);
        wire_expect(&w, rows[i].request, 1, rows[i].response);
    }
}

static void date_is_there(void **state)
{
    char text[512];
    char day[4], month[4], zone[4];
    int n_read = 0, year, fd = wire_connect(&w);

    (void)state;
    wire_puts(fd, "GET /what HTTP/1.1\r\n" CLOSE);
    for (ssize_t n; (n = recv(fd, text + n_read, sizeof(text) - 1 - (size_t)n_read, 0)) > 0;)
        n_read += (int)n;
    text[n_read] = '\0';
    const char *date = strstr(text, "\r\nDate: ");
    assert_non_null(date);
    assert_int_equal(
        sscanf(date, "\r\nDate: %3s, %*2d %3s %4d %*2d:%*2d:%*2d %3s", day, month, &year, zone), 4);
    assert_string_equal(zone, "GMT");
    assert_in_range(year, 2024, 2200);
    close(fd);
}

static void hundred_pipelined_come_in_order(void **state)
{
    char request[64], expected[16384], *end = expected;
    int fd = wire_connect(&w);

    (void)state;
    for (int i = 0; i < 100; i++) { /* some at once, some from worker threads; 8 in work at most */
        int n = snprintf(request, sizeof(request), "GET /%s?%02d HTTP/1.1\r\n" H "%s\r\n",
                         i % 3 == 0 ? "what_" : "later", i, i == 99 ? "Connection: close\r\n" : "");
        wire_send(fd, request, (size_t)n);
        end += snprintf(end, sizeof(expected) - (size_t)(end - expected),
                        TEXT(13) "%s\r\nGET /%s?%02d", i == 99 ? "Connection: close\r\n" : "",
                        i % 3 == 0 ? "what_" : "later", i);
    }
    assert_string_equal(wire_read(fd, 0, NULL), expected);
    close(fd);
}

/* Answers given in reverse come out in the order of the requests. */
static void answers_wait_for_their_turn(void **state)
{
    int fd = wire_connect(&w);

    (void)state;
    for (int i = 0; i < 3; i++)
        wire_puts(fd, "GET /hold HTTP/1.1\r\n" H "\r\n");
    wire_puts(fd, "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n" CLOSE "zz");
    wire_wait_held(&w, 3);
    wire_let_go(&w);
    assert_string_equal(wire_read(fd, 0, NULL),
                        TEXT(10) "\r\nGET /hold?" TEXT(10) "\r\nGET /hold?" TEXT(
                            10) "\r\nGET /hold?" TEXT(2) "Connection: close\r\n\r\nzz");
    close(fd);
}

/* 64 MiB of pipelined requests against 8 in work: the server must stop reading, not collect. */
static void pipelining_is_bounded(void **state)
{
    static const char request[] = "GET /hold HTTP/1.1\r\n" H "\r\n";
    int fd = wire_connect(&w);
    size_t sent = 0;

    (void)state;
    for (;;) {
        ssize_t n = send(fd, request, sizeof(request) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0 || sent > 64 << 20)
            break;
        sent += (size_t)n;
    }
    assert_true(sent < 64 << 20); /* the kernel's buffers are full: nobody reads */
    wire_wait_held(&w, 8);
    wire_sleep_ms(20);
    assert_int_equal(w.n_held, 8);
    close(fd);
}

static void continue_is_sent_when_waited_for(void **state)
{
    int fd = wire_connect(&w);

    (void)state;
    wire_puts(fd, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" CLOSE);
    assert_string_equal(wire_read(fd, 25, NULL), "HTTP/1.1 100 Continue\r\n\r\n");
    wire_puts(fd, "ok");
    assert_string_equal(wire_read(fd, 0, NULL), TEXT(2) "Connection: close\r\n\r\nok");
    close(fd);
    /* not when the body is there already */
    wire_expect(&w,
                "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" CLOSE "ok",
                SIZE_MAX, TEXT(2) "Connection: close\r\n\r\nok");
    /* and not in front of an earlier answer */
    fd = wire_connect(&w);
    wire_puts(fd, "GET /hold HTTP/1.1\r\n" H "\r\n"
                  "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" CLOSE);
    wire_wait_held(&w, 1);
    wire_let_go(&w);
    static const char first[] = TEXT(10) "\r\nGET /hold?HTTP/1.1 100 Continue\r\n\r\n";
    assert_string_equal(wire_read(fd, sizeof(first) - 1, NULL), first);
    wire_puts(fd, "ok");
    assert_string_equal(wire_read(fd, 0, NULL), TEXT(2) "Connection: close\r\n\r\nok");
    close(fd);
}

/* A refused upload gets its 413 although the client has not stopped sending, and then an orderly
 * end: a reset would make some systems forget the answer. */
static void refusal_reaches_a_busy_sender(void **state)
{
    static char body[4 << 20], text[4096];
    size_t len = 0;
    ssize_t n;
    int fd = wire_connect(&w);

    (void)state;
    wire_puts(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 4194304\r\n\r\n");
    wire_send(fd, body, sizeof(body));
    while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0);
    text[len] = '\0';
    assert_ptr_equal(strstr(text, "HTTP/1.1 413 "), text);
    close(fd);
}

/* A client that gets its last answer and stays does not keep the connection. */
static void linger_ends(void **state)
{
    const vly_http_stats *s = vly_http_server_stats(w.server);
    int fd = wire_connect(&w);

    (void)state;
    wire_puts(fd, "GET /what HTTP/1.1\r\n" CLOSE);
    assert_string_equal(wire_read(fd, 0, NULL), TEXT(10) "Connection: close\r\n\r\nGET /what?");
    assert_int_equal(vly_gauge_get(&s->connections_open), 1);
    wire_wait_until(vly_gauge_get(&s->connections_open) == 0);
    close(fd);
}

static void large_answers(void **state)
{
    size_t len;
    int fd = wire_connect(&w);

    (void)state;
    wire_puts(fd, "GET /large/3000000 HTTP/1.1\r\n" H "\r\nGET /large/1 HTTP/1.1\r\n" CLOSE);
    wire_sleep_ms(50); /* let it fill the kernel's buffers first */
    const char *text = wire_read(fd, 0, &len);
    static const char head[] = TEXT(3000000) "\r\n";
    static const char tail[] = TEXT(1) "Connection: close\r\n\r\nx";
    assert_int_equal(len, sizeof(head) - 1 + 3000000 + sizeof(tail) - 1);
    assert_memory_equal(text, head, sizeof(head) - 1);
    assert_string_equal(text + len - (sizeof(tail) - 1), tail);
    for (size_t i = 0; i < 3000000; i++)
        if (text[sizeof(head) - 1 + i] != 'x')
            fail_msg("byte %zu of the body is wrong", i);
    close(fd);
}

static void large_bodies(void **state)
{
    enum { N = 1 << 20 };
    static char body[N];
    size_t len;
    int fd = wire_connect(&w);

    (void)state;
    for (size_t i = 0; i < N; i++)
        body[i] = (char)('a' + i * 7919 % 26);
    wire_puts(fd, "POST /echo HTTP/1.1\r\nContent-Length: 1048576\r\n" CLOSE);
    wire_send(fd, body, N);
    const char *text = wire_read(fd, 0, &len);
    static const char head[] = TEXT(1048576) "Connection: close\r\n\r\n";
    assert_int_equal(len, sizeof(head) - 1 + N);
    assert_memory_equal(text + sizeof(head) - 1, body, N);
    close(fd);
}

static void counts(void **state)
{
    const vly_http_stats *s = vly_http_server_stats(w.server);
    static const char request[] =
        "GET /none HTTP/1.1\r\n" H "\r\nGET /what HTTP/1.1\r\n" H "\r\nBAD\r\n";

    (void)state;
    int fd = wire_connect(&w);
    wire_puts(fd, request);
    wire_read(fd, 0, NULL);
    assert_int_equal(vly_gauge_get(&s->connections_open), 1);
    close(fd);
    wire_wait_until(vly_gauge_get(&s->connections_open) == 0);
    assert_int_equal(vly_counter_get(&s->connections), 1);
    assert_int_equal(vly_counter_get(&s->requests), 2);
    assert_int_equal(vly_counter_get(&s->responses[2]), 1);
    assert_int_equal(vly_counter_get(&s->responses[4]), 1);
    assert_int_equal(vly_counter_get(&s->responses[5]), 1); /* 501 */
    assert_int_equal(vly_counter_get(&s->parse_errors), 1);
    assert_int_equal(vly_counter_get(&s->bytes_in), sizeof(request) - 1);
    assert_true(vly_counter_get(&s->bytes_out) > 200);
    assert_int_equal(vly_counter_get(&s->requests_cancelled), 0);
}

static void addresses(void **state)
{
    vly_http_server *s = NULL;
    vly_http_opts o = wire_opts();
    vly_err err;

    (void)state;
    o.on_request = (vly_http_handler)abort;
    o.address = "localhost";
    assert_int_equal(vly_http_server_start(&o, &s, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "'localhost'"));
    o.address = "127.0.0.1";
    o.port = vly_http_server_port(w.server); /* taken */
    assert_int_equal(vly_http_server_start(&o, &s, &err), VLY_EUNAVAILABLE);
    assert_non_null(strstr(err.msg, "in use"));
    o.address = "::1";
    o.port = 0;
    vly_status st = vly_http_server_start(&o, &s, &err);
    if (st == VLY_EUNAVAILABLE) {
        print_message("# no IPv6 here: %s\n", err.msg);
        return;
    }
    assert_int_equal(st, VLY_OK);
    assert_int_not_equal(vly_http_server_port(s), 0);
    vly_http_server_free(s);
}

static void thousand_connections_leak_nothing(void **state)
{
    (void)state;
    wire_expect(&w, "GET /what HTTP/1.1\r\n" CLOSE, SIZE_MAX,
                TEXT(10) "Connection: close\r\n\r\nGET /what?");
    const vly_http_stats *s = vly_http_server_stats(w.server);
    wire_wait_until(vly_gauge_get(&s->connections_open) == 0);
    unsigned fds = wire_open_fds();
    for (int i = 0; i < 1000; i++) {
        int fd = wire_connect(&w);
        wire_puts(fd,
                  i % 2 == 0 ? "GET /what HTTP/1.1\r\n" CLOSE : "GET /wh"); /* half leave early */
        if (i % 2 == 0)
            assert_true(strlen(wire_read(fd, 0, NULL)) > 0);
        close(fd);
    }
    wire_wait_until(vly_counter_get(&s->connections) == 1001 &&
                    vly_gauge_get(&s->connections_open) == 0);
    assert_int_equal(wire_open_fds(), fds);
}

/* After the first requests of a connection, our side allocates only the handler's own body. */
static void steady_state_allocates_bodies_only(void **state)
{
    static const char answer[] = TEXT(10) "\r\nGET /what?";
    int fd = wire_connect(&w);
    uint64_t before = 0;

    (void)state;
    for (int i = 0; i < 110; i++) {
        if (i == 10)
            before = vly_mem_count_all();
        wire_puts(fd, "GET /what HTTP/1.1\r\n" H "\r\n");
        assert_string_equal(wire_read(fd, sizeof(answer) - 1, NULL), answer);
    }
    assert_int_equal(vly_mem_count_all() - before, 100);
    close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(cases), TEST(date_is_there), TEST(hundred_pipelined_come_in_order),
           TEST(answers_wait_for_their_turn), TEST(pipelining_is_bounded),
           TEST(continue_is_sent_when_waited_for), TEST(refusal_reaches_a_busy_sender),
           TEST(linger_ends), TEST(large_answers), TEST(large_bodies), TEST(counts),
           TEST(addresses), TEST(thousand_connections_leak_nothing),
           TEST(steady_state_allocates_bodies_only))
