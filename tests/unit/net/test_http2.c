/* SPDX-License-Identifier: MIT */
/* HTTP/2: the same requests and answers as over HTTP/1.1, many at once, and what is refused. */
#include "h2_client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static wire w;

#define PREFACE       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define EMPTY_SETTING "\0\0\0\4\0\0\0\0\0"

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

static const vly_http_stats *stats(void)
{
    return vly_http_server_stats(w.server);
}

static void requests_and_answers(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_expect(&c, "GET", "/what%20is?a=1&b", NULL, 200, "GET /what is?a=1&b");
    h2_expect(&c, "POST", "/echo", "some body", 200, "some body");
    h2_expect(&c, "POST", "/echo", "", 200, "");
    h2_expect(&c, "HEAD", "/what", NULL, 200, "");
    assert_string_equal(c.answers[3].headers.ptr, "content-type: text/plain\ncontent-length: 11\n");
    h2_expect(&c, "PATCH", "/later", NULL, 200, "PATCH /later?");
    h2_expect(&c, "BREW", "/what", NULL, 200, "BREW /what?");
    h2_expect(&c, "GET", "/no", NULL, 404, "{\"error\":\"no \\\"such\\\" path\"}");
    h2_expect(&c, "GET", "/empty", NULL, 204, "");
    assert_null(c.answers[7].headers.ptr);
    h2_expect(&c, "GET", "/parts", NULL, 201, "<0><2>");
    assert_string_equal(c.answers[8].headers.ptr, "x-one: 1\nx-two: a  b c\ncontent-length: 6\n");
    assert_int_equal(vly_counter_get(&stats()->connections), 1);
    h2_close(&c);
}

/* However the bytes are cut, beginning with the preface; HTTP/1 that begins like it is HTTP/1. */
static void in_pieces(void **state)
{
    h2_client c;

    (void)state;
    for (size_t piece = 1; piece < 30; piece += 7) {
        h2_open(&c, &w, piece, 0);
        h2_expect(&c, "POST", "/echo", "cut to pieces", 200, "cut to pieces");
        h2_close(&c);
        wire_expect(&w, "PROPFIND /what HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", piece,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n"
                    "Connection: close\r\n\r\nPROPFIND /what?");
    }
}

static void answers_overtake_each_other(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *held = h2_ask(&c, "GET", "/hold", NULL, NULL, 0);
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    assert_false(held->is_closed);
    wire_let_go(&w);
    h2_until(&c, held->is_closed);
    assert_string_equal(held->body.ptr, "GET /hold?");
    h2_close(&c);
}

static void many_at_once(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_until(&c, c.has_settings);
    assert_int_equal(c.max_streams, 16);
    for (int i = 0; i < H2_STREAMS_MAX; i++) /* nghttp2 keeps back what is past the limit */
        h2_ask(&c, "GET", i % 2 != 0 ? "/later" : "/what", NULL, NULL, 0);
    for (size_t i = 0; i < H2_STREAMS_MAX; i++) {
        h2_until(&c, c.answers[i].is_closed);
        assert_int_equal(c.answers[i].status, 200);
        assert_string_equal(c.answers[i].body.ptr, i % 2 != 0 ? "GET /later?" : "GET /what?");
    }
    h2_close(&c);
}

/* Larger than every window on the way, in both directions, and of several parts. */
static void large_bodies(void **state)
{
    static char body[1 << 20];
    h2_client c;

    (void)state;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i * 7 + i / 4096);
    h2_open(&c, &w, 0, 0);
    h2_answer *echo = h2_ask(&c, "POST", "/echo", NULL, body, sizeof(body));
    h2_answer *large = h2_ask(&c, "GET", "/large/20000000", NULL, NULL, 0);
    h2_until(&c, echo->is_closed && large->is_closed);
    assert_int_equal(echo->body.len, sizeof(body));
    assert_memory_equal(echo->body.ptr, body, sizeof(body));
    assert_int_equal(large->body.len, 20000000);
    for (size_t i = 0; i < large->body.len; i++)
        assert_int_equal(large->body.ptr[i], 'x');
    h2_close(&c);
}

/* 65535 bytes at first, then what the whole connection has. */
static void large_bodies_get_large_windows(void **state)
{
    static char body[100000];
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = h2_ask_open(&c, "POST", "/echo", NULL, body, sizeof(body));
    while (a->request_left > 0)
        h2_ping(&c);
    h2_ping(&c);
    assert_true(nghttp2_session_get_stream_remote_window_size(c.ng, a->stream_id) > 900000);
    h2_continue(&c, a, NULL, 0, true);
    h2_until(&c, a->is_closed);
    assert_int_equal(a->body.len, sizeof(body));
    h2_close(&c);
}

static void trailers(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    for (int i = 0; i < 2; i++) {
        h2_answer *a = h2_ask(&c, "POST", "/trailers", NULL, i == 0 ? "body" : "", i == 0 ? 4 : 0);
        h2_until(&c, a->is_closed);
        assert_int_equal(a->error, NGHTTP2_NO_ERROR);
        assert_int_equal(a->body.len, i == 0 ? 4 : 0);
        assert_string_equal(a->trailers.ptr, "grpc-status: 0\ngrpc-message: fine\n");
    }
    h2_close(&c);
    /* HTTP/1 leaves them out */
    wire_expect(&w, "POST /trailers HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", SIZE_MAX,
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
}

static void asks_for_the_body(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = h2_ask_open(&c, "POST", "/echo", "expect: 100-continue\n", NULL, 0);
    h2_until(&c, a->n_continue == 1);
    h2_continue(&c, a, "body", 4, true);
    h2_until(&c, a->is_closed);
    assert_int_equal(a->status, 200);
    assert_string_equal(a->body.ptr, "body");
    h2_close(&c);
}

/* ---- refusals, after which the connection goes on ---- */

static void expect_refusal(h2_client *c, h2_answer *a, int status, const char *text)
{
    h2_until(c, a->has_end);
    assert_int_equal(a->status, status);
    assert_non_null(strstr(a->body.ptr, text));
    h2_expect(c, "GET", "/what", NULL, 200, "GET /what?");
}

static void body_past_the_limit(void **state)
{
    static char body[(1 << 20) + 1];
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    expect_refusal(&c, h2_ask(&c, "POST", "/echo", "content-length: 1048577\n", body, sizeof(body)),
                   413, "too large");
    expect_refusal(&c, h2_ask(&c, "POST", "/echo", NULL, body, sizeof(body)), 413, "too large");
    h2_close(&c);
}

/* gRPC tells by its first bytes, and hears by a status of its own. */
static void message_past_the_limit(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_answer *a = h2_ask_open(&c, "POST", "/echo", "content-type: application/grpc\n",
                               "\0\0\x0f\xff\xfc", 5); /* of 1 MiB with its head: one too many */
    h2_until(&c, a->has_end);
    assert_int_equal(a->status, 200);
    assert_non_null(strstr(a->headers.ptr, "grpc-status: 8\n"));
    h2_answer *b =
        h2_ask_open(&c, "POST", "/echo", "content-type: application/grpc\n", "\0\0\x0f\xff\xfb", 5);
    h2_ping(&c);
    h2_ping(&c);
    assert_int_equal(b->status, 0);
    h2_continue(&c, b, "and less than it said", 21, true);
    h2_until(&c, b->is_closed);
    assert_int_equal(b->body.len, 26);
    h2_close(&c);
}

static void header_past_the_limit(void **state)
{
    char headers[4096] = "x: ";
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    memset(headers + 3, 'a', 1100);
    headers[1103] = '\n';
    expect_refusal(&c, h2_ask(&c, "GET", "/what", headers, NULL, 0), 431, "header is too large");
    for (int i = 0; i < 16; i++) /* and Host, that is :authority */
        memcpy(headers + (size_t)5 * i, "a: b\n", 6);
    expect_refusal(&c, h2_ask(&c, "GET", "/what", headers, NULL, 0), 431, "too many headers");
    h2_close(&c);
}

static void malformed_requests(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    expect_refusal(&c, h2_ask(&c, "GET", "/a%zz", NULL, NULL, 0), 400, "percent");
    expect_refusal(&c, h2_ask(&c, "GET", "/a#b", NULL, NULL, 0), 400, "path");
    expect_refusal(&c, h2_ask_open(&c, "POST", "/echo", "expect: more\n", NULL, 0), 417, "Expect");
    /* nghttp2's part: a length that is not that of the body */
    h2_answer *a = h2_ask(&c, "POST", "/echo", "content-length: 5\n", "four", 4);
    h2_until(&c, a->is_closed);
    assert_int_equal(a->error, NGHTTP2_PROTOCOL_ERROR);
    h2_expect(&c, "GET", "/what", NULL, 200, "GET /what?");
    assert_int_equal(vly_counter_get(&stats()->parse_errors), 3);
    h2_close(&c);
}

/* Sends raw frames behind a preface and reads until the server ends. True when it ends with GOAWAY
 * of this error. */
static bool ends_with(const char *frames, size_t len, unsigned n, uint32_t error)
{
    int fd = wire_connect(&w);
    size_t got;

    wire_send(fd, PREFACE EMPTY_SETTING, sizeof(PREFACE EMPTY_SETTING) - 1);
    for (unsigned i = 0; i < n; i++)
        wire_send(fd, frames, len);
    const char *text = wire_read(fd, 0, &got);
    close(fd);
    for (size_t at = 0; at + 9 <= got;) { /* length 3, type 1, flags 1, stream 4 */
        const unsigned char *f = (const unsigned char *)text + at;
        size_t size = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        if (f[3] == 7 && at + 17 <= got &&
            ((uint32_t)f[13] << 24 | (uint32_t)f[14] << 16 | (uint32_t)f[15] << 8 | f[16]) == error)
            return true;
        at += 9 + size;
    }
    return false;
}

static void broken_framing(void **state)
{
    (void)state;
    /* DATA on stream 0; HEADERS on an even stream; a PING of 7 bytes; a frame of 16385 bytes */
    assert_true(ends_with("\0\0\1\0\0\0\0\0\0x", 10, 1, NGHTTP2_PROTOCOL_ERROR));
    assert_true(ends_with("\0\0\1\1\5\0\0\0\2\x82", 10, 1, NGHTTP2_PROTOCOL_ERROR));
    assert_true(ends_with("\0\0\7\6\0\0\0\0\0abcdefg", 16, 1, NGHTTP2_FRAME_SIZE_ERROR));
    assert_true(ends_with("\0\x40\1\0\0\0\0\0\1", 9, 1, NGHTTP2_FRAME_SIZE_ERROR));
    /* a header block that refers to an entry that HPACK's tables do not have */
    assert_true(ends_with("\0\0\1\1\5\0\0\0\1\xff", 10, 1, NGHTTP2_COMPRESSION_ERROR));
    wire_expect(&w, PREFACE "GET / HTTP/1.1\r\n\r\n", SIZE_MAX, "");
}

/* ---- floods ---- */

static void pings_are_answered_but_not_endlessly(void **state)
{
    static const char ping[] = "\0\0\x08\6\0\0\0\0\0abcdefgh";
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    for (int i = 0; i < 50; i++)
        nghttp2_submit_ping(c.ng, 0, NULL);
    h2_until(&c, c.n_ping_acks == 50);
    h2_close(&c);
    assert_true(ends_with(ping, sizeof(ping) - 1, 102, NGHTTP2_ENHANCE_YOUR_CALM));
}

static void settings_flood(void **state)
{
    (void)state;
    assert_true(ends_with(EMPTY_SETTING, 9, 102, NGHTTP2_ENHANCE_YOUR_CALM));
}

/* A request that never ends, of empty frames. */
static void empty_data_flood(void **state)
{
    static const char data[] = "\0\0\0\0\0\0\0\0\1";
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_ask_open(&c, "POST", "/echo", NULL, NULL, 0);
    h2_until(&c, c.has_settings);
    for (int i = 0; i < 102; i++)
        wire_send(c.fd, data, sizeof(data) - 1);
    h2_until(&c, c.n_goaway > 0);
    assert_int_equal(c.goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_close(&c);
}

/* CVE-2023-44487: requests asked and cancelled in one breath. */
static void rapid_resets(void **state)
{
    h2_client c;

    (void)state;
    h2_open(&c, &w, 0, 0);
    h2_until(&c, c.has_settings);
    for (int i = 0; i < 110 && !c.is_eof && c.n_goaway == 0; i++) {
        c.n_answers = 0;
        h2_answer *a = h2_ask(&c, "GET", "/hold", NULL, NULL, 0);
        const uint8_t *bytes;
        ssize_t n;
        while ((n = nghttp2_session_mem_send(c.ng, &bytes)) > 0)
            wire_send(c.fd, (const char *)bytes, (size_t)n);
        nghttp2_submit_rst_stream(c.ng, 0, a->stream_id, NGHTTP2_CANCEL);
    }
    h2_until(&c, c.n_goaway > 0);
    assert_int_equal(c.goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_true(vly_counter_get(&stats()->requests) <= 16); /* those that nobody answers */
    h2_close(&c);
}

/* CVE-2024-27316: a header block without an end. */
static void continuation_flood(void **state)
{
    static char frame[9 + 16000] = "\0\x3e\x80\x09\0\0\0\0\1";
    int fd = wire_connect(&w);

    (void)state;
    wire_send(fd, PREFACE EMPTY_SETTING, sizeof(PREFACE EMPTY_SETTING) - 1);
    wire_send(fd, "\0\0\3\1\0\0\0\0\1\x82\x86\x84", 12);
    for (size_t i = 9; i + 5 <= sizeof(frame); i += 5) /* literals without indexing: "a: b" */
        memcpy(frame + i, "\0\1a\1b", 5);
    for (int i = 0; i < 20; i++)
        wire_send(fd, frame, sizeof(frame));
    wire_read(fd, 0, NULL); /* comes to an end */
    close(fd);
    assert_int_equal(vly_counter_get(&stats()->requests), 0);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(requests_and_answers, setup, teardown),
           cmocka_unit_test_setup_teardown(in_pieces, setup, teardown),
           cmocka_unit_test_setup_teardown(answers_overtake_each_other, setup, teardown),
           cmocka_unit_test_setup_teardown(many_at_once, setup, teardown),
           cmocka_unit_test_setup_teardown(large_bodies, setup, teardown),
           cmocka_unit_test_setup_teardown(large_bodies_get_large_windows, setup, teardown),
           cmocka_unit_test_setup_teardown(trailers, setup, teardown),
           cmocka_unit_test_setup_teardown(asks_for_the_body, setup, teardown),
           cmocka_unit_test_setup_teardown(body_past_the_limit, setup, teardown),
           cmocka_unit_test_setup_teardown(message_past_the_limit, setup, teardown),
           cmocka_unit_test_setup_teardown(header_past_the_limit, setup, teardown),
           cmocka_unit_test_setup_teardown(malformed_requests, setup, teardown),
           cmocka_unit_test_setup_teardown(broken_framing, setup, teardown),
           cmocka_unit_test_setup_teardown(pings_are_answered_but_not_endlessly, setup, teardown),
           cmocka_unit_test_setup_teardown(settings_flood, setup, teardown),
           cmocka_unit_test_setup_teardown(empty_data_flood, setup, teardown),
           cmocka_unit_test_setup_teardown(rapid_resets, setup, teardown),
           cmocka_unit_test_setup_teardown(continuation_flood, setup, teardown))
