/* SPDX-License-Identifier: MIT */
#include "h2_server.h"
#include "unit.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct both {
    load_fixture f;
    h2_server s;
} both;

static void begin(both *b, unsigned in_flight, unsigned max_streams)
{
    load_begin(&b->f, "http", "/infer?n={}");
    b->f.opts.max_in_flight = in_flight;
    load_open(&b->f, "http2");
    assert_int_equal(vly_load_transport_counts(b->f.t).n_open, 0); /* no SETTINGS by now */
    h2_begin(&b->s, &b->f, 0, max_streams);
    assert_int_equal(vly_load_transport_counts(b->f.t).n_open, 1);
}

static void end(both *b)
{
    h2_end(&b->s);
    load_end(&b->f);
}

static void send(both *b, vly_load_call *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vly_load_transport_send(b->f.t, &calls[i]);
    h2_turn(&b->s);
}

static void requests_carry_what_they_should(void **state)
{
    (void)state;
    static const vly_str headers[] = {{"Content-Type: text/plain", 24}};
    static const char *const hit[] = {"volley-cache", "hit", NULL};
    char want[256];
    vly_buf body;
    both b;

    load_begin(&b.f, "http", "/infer?n={}");
    b.f.target.headers = headers;
    b.f.target.n_headers = 1;
    load_open(&b.f, "http2");
    h2_begin(&b.s, &b.f, 0, 0);
    vly_load_call call = load_call(&b.f, "hello");
    vly_buf_init(&body, VLY_MEM_NET, 64);
    call.answer = &body;
    send(&b, &call, 1);
    (void)snprintf(want, sizeof(want),
                   ":method: POST\n:scheme: http\n:authority: 127.0.0.1:%u\n:path: /infer?n=0\n"
                   "user-agent: volley\ncontent-type: text/plain\ncontent-length: 5\n",
                   b.f.port);
    assert_int_equal(b.s.n_asked, 1);
    assert_string_equal(b.s.asked[0].headers, want);
    assert_true(vly_str_is(vly_buf_str(&b.s.asked[0].body), "hello"));
    assert_true(b.s.asked[0].is_ended);
    h2_answer(&b.s, 0, "200", hit, "good", 4);
    assert_int_equal(b.f.n_done, 1);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_OK);
    assert_int_equal(call.status, 200);
    assert_true(call.is_cached);
    assert_int_equal(call.bytes_in, 4);
    assert_int_equal(call.bytes_out, 5);
    assert_true(vly_str_is(vly_buf_str(&body), "good"));
    vly_buf_release(&body);
    end(&b);
}

static void get_without_body_ends_at_once(void **state)
{
    (void)state;
    both b;

    load_begin(&b.f, "http", "/health");
    b.f.target.method = VLY_STR("GET");
    load_open(&b.f, "http2");
    h2_begin(&b.s, &b.f, 0, 0);
    vly_load_call call = load_call(&b.f, "");
    send(&b, &call, 1);
    assert_true(b.s.asked[0].is_ended);
    assert_null(strstr(b.s.asked[0].headers, "content-length"));
    end(&b);
}

static void answers_in_any_order_find_their_calls(void **state)
{
    (void)state;
    vly_load_call calls[5];
    both b;

    begin(&b, 3, 0);
    for (size_t i = 0; i < 5; i++)
        calls[i] = load_call(&b.f, i == 0 ? "0" : i == 1 ? "1" : "n");
    vly_nsec begin_ns = b.f.now_ns;
    send(&b, calls, 5);
    assert_int_equal(b.s.n_asked, 3);
    load_move_time(&b.f, 5);
    h2_answer(&b.s, 1, "200", NULL, "x", 1);
    assert_int_equal(b.f.n_done, 1);
    assert_ptr_equal(b.f.done[0].call, &calls[1]);
    assert_int_equal(calls[1].sent_ns, begin_ns);
    assert_int_equal(calls[1].done_ns, begin_ns + 5 * VLY_NSEC_PER_MS);
    assert_int_equal(b.s.n_asked, 4); /* the fourth has taken its place */
    assert_int_equal(calls[3].sent_ns, begin_ns + 5 * VLY_NSEC_PER_MS);
    h2_answer(&b.s, 2, "200", NULL, "x", 1);
    h2_answer(&b.s, 0, "500", NULL, "why not", 7);
    assert_ptr_equal(b.f.done[1].call, &calls[2]);
    assert_ptr_equal(b.f.done[2].call, &calls[0]);
    assert_int_equal(b.f.done[2].outcome, VLY_LOAD_STATUS);
    assert_int_equal(b.f.done[2].status, 500);
    assert_string_equal(b.f.done[2].why, "why not");
    end(&b);
}

static void server_says_how_many_streams(void **state)
{
    (void)state;
    vly_load_call calls[4];
    both b;

    begin(&b, 100, 2);
    for (size_t i = 0; i < 4; i++)
        calls[i] = load_call(&b.f, "x");
    send(&b, calls, 4);
    assert_int_equal(b.s.n_asked, 2);
    h2_answer(&b.s, 0, "204", NULL, "", 0);
    assert_int_equal(b.s.n_asked, 3);
    end(&b);
}

static void large_bodies_arrive_whole(void **state)
{
    (void)state;
    const size_t n = (size_t)3 << 20;
    char *bytes = malloc(n);
    both b;

    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 5 + (i >> 8));
    begin(&b, 2, 0);
    vly_load_call calls[2] = {load_call(&b.f, ""), load_call(&b.f, "small")};
    calls[0].body = (vly_str){bytes, n};
    send(&b, calls, 2);
    assert_int_equal(b.s.asked[0].body.len, n);
    assert_memory_equal(b.s.asked[0].body.ptr, bytes, n);
    assert_true(vly_str_is(vly_buf_str(&b.s.asked[1].body), "small"));
    h2_answer(&b.s, 0, "200", NULL, bytes, n);
    assert_int_equal(b.f.n_done, 1);
    assert_int_equal(calls[0].bytes_in, n);
    free(bytes);
    end(&b);
}

static void reset_is_a_failure_of_one(void **state)
{
    (void)state;
    vly_load_call calls[2];
    both b;

    begin(&b, 2, 0);
    calls[0] = load_call(&b.f, "a");
    calls[1] = load_call(&b.f, "b");
    send(&b, calls, 2);
    h2_reset(&b.s, 0, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(b.f.n_done, 1);
    assert_ptr_equal(b.f.done[0].call, &calls[0]);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_FAILED);
    assert_non_null(strstr(b.f.done[0].why, "REFUSED_STREAM"));
    h2_answer(&b.s, 1, "200", NULL, "x", 1);
    assert_int_equal(b.f.done[1].outcome, VLY_LOAD_OK);
    end(&b);
}

static void timeout_cancels_the_stream_alone(void **state)
{
    (void)state;
    vly_load_call calls[2];
    both b;

    begin(&b, 2, 0);
    calls[0] = load_call(&b.f, "a");
    send(&b, calls, 1);
    load_move_time(&b.f, 600);
    calls[1] = load_call(&b.f, "b");
    send(&b, calls + 1, 1);
    load_move_time(&b.f, 400);
    h2_turn(&b.s);
    assert_int_equal(b.f.n_done, 1);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_TIMEOUT);
    assert_true(b.s.asked[0].is_closed);
    assert_int_equal(b.s.asked[0].error, NGHTTP2_CANCEL);
    h2_answer(&b.s, 1, "200", NULL, "x", 1);
    assert_int_equal(b.f.done[1].outcome, VLY_LOAD_OK);
    assert_int_equal(b.f.n_peers, 1);
    end(&b);
}

/* What it has taken it answers, the rest goes on the next connection. */
static void going_away_moves_to_another_connection(void **state)
{
    (void)state;
    vly_load_call calls[2];
    both b;
    h2_server next;

    begin(&b, 1, 0);
    calls[0] = load_call(&b.f, "a");
    calls[1] = load_call(&b.f, "b");
    send(&b, calls, 2);
    h2_go_away(&b.s, 1);
    assert_int_equal(b.f.n_done, 0);
    h2_answer(&b.s, 0, "200", NULL, "x", 1);
    assert_int_equal(b.f.n_done, 1);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_OK);
    load_turn(&b.f);
    assert_int_equal(b.f.n_peers, 2);
    h2_begin(&next, &b.f, 1, 0);
    assert_int_equal(next.n_asked, 1);
    h2_answer(&next, 0, "200", NULL, "x", 1);
    assert_int_equal(b.f.done[1].outcome, VLY_LOAD_OK);
    h2_end(&next);
    end(&b);
}

/* Those behind the last stream that it names go on the next connection, and count from when they
 * were due. */
static void what_was_not_looked_at_is_asked_again(void **state)
{
    (void)state;
    vly_load_call calls[3];
    both b;
    h2_server next;

    begin(&b, 3, 0);
    for (size_t i = 0; i < 3; i++)
        calls[i] = load_call(&b.f, "a");
    const vly_nsec begin_ns = b.f.now_ns;
    send(&b, calls, 3);
    assert_int_equal(b.s.n_asked, 3);
    h2_go_away(&b.s, b.s.asked[0].id);
    assert_int_equal(b.f.n_done, 0);
    h2_answer(&b.s, 0, "200", NULL, "x", 1);
    load_move_time(&b.f, 5);
    assert_int_equal(b.f.n_peers, 2);
    h2_begin(&next, &b.f, 1, 0);
    assert_int_equal(next.n_asked, 2);
    h2_answer(&next, 0, "200", NULL, "x", 1);
    h2_answer(&next, 1, "200", NULL, "x", 1);
    assert_int_equal(b.f.n_done, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(b.f.done[i].outcome, VLY_LOAD_OK);
    assert_int_equal(calls[1].intended_ns, begin_ns);
    assert_int_equal(calls[1].sent_ns, begin_ns + 5 * VLY_NSEC_PER_MS);
    h2_end(&next);
    end(&b);
}

static void mark_stands_in_the_body(void **state)
{
    (void)state;
    both b;

    begin(&b, 1, 0);
    vly_load_call call = load_call(&b.f, "0123456789");
    call.mark = VLY_STR("AB");
    call.mark_at = 3;
    send(&b, &call, 1);
    assert_true(vly_str_is(vly_buf_str(&b.s.asked[0].body), "012AB56789"));
    end(&b);
}

static void lost_connection_fails_all_its_calls(void **state)
{
    (void)state;
    vly_load_call calls[3];
    both b;

    begin(&b, 3, 0);
    for (size_t i = 0; i < 3; i++)
        calls[i] = load_call(&b.f, "a");
    send(&b, calls, 3);
    load_hang_up(&b.f, 0);
    assert_int_equal(b.f.n_done, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(b.f.done[i].outcome, VLY_LOAD_FAILED);
        assert_non_null(strstr(b.f.done[i].why, "the server closed the connection"));
    }
    end(&b);
}

static void other_protocols_are_told(void **state)
{
    (void)state;
    static const char *const greetings[] = {
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    };
    for (size_t i = 0; i < VLY_COUNT(greetings); i++) {
        both b;
        load_begin(&b.f, "http", "/");
        vly_load_call call = load_call(&b.f, "a");
        load_open(&b.f, "http2");
        vly_load_transport_send(b.f.t, &call);
        load_answer(&b.f, 0, greetings[i]);
        load_until_done(&b.f, 1);
        assert_int_equal(b.f.done[0].outcome, VLY_LOAD_FAILED);
        assert_true(b.f.done[0].why[0] != '\0');
        load_end(&b.f);
    }
}

/* A server that never speaks must not keep calls for ever. */
static void silent_server_is_given_up(void **state)
{
    (void)state;
    both b;

    load_begin(&b.f, "http", "/");
    b.f.opts.connect_ms = 300;
    load_open(&b.f, "http2");
    vly_load_call call = load_call(&b.f, "a");
    vly_load_transport_send(b.f.t, &call);
    load_move_time(&b.f, 300);
    load_until_done(&b.f, 1);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_FAILED);
    assert_string_equal(b.f.done[0].why, "no connection within 300 ms");
    load_end(&b.f);
}

UNIT_TESTS(cmocka_unit_test(requests_carry_what_they_should),
           cmocka_unit_test(get_without_body_ends_at_once),
           cmocka_unit_test(answers_in_any_order_find_their_calls),
           cmocka_unit_test(server_says_how_many_streams),
           cmocka_unit_test(large_bodies_arrive_whole), cmocka_unit_test(reset_is_a_failure_of_one),
           cmocka_unit_test(timeout_cancels_the_stream_alone),
           cmocka_unit_test(going_away_moves_to_another_connection),
           cmocka_unit_test(what_was_not_looked_at_is_asked_again),
           cmocka_unit_test(mark_stands_in_the_body),
           cmocka_unit_test(lost_connection_fails_all_its_calls),
           cmocka_unit_test(other_protocols_are_told), cmocka_unit_test(silent_server_is_given_up))
