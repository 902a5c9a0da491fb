/* SPDX-License-Identifier: MIT */
#include "load_fixture.h"
#include "unit.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void begin(load_fixture *f)
{
    load_begin(f, "http", "/infer?n={}");
    load_open(f, "http1");
    assert_int_equal(f->n_peers, 1);
}

static void assert_done(const load_fixture *f, size_t i, vly_load_outcome outcome, const char *why)
{
    assert_true(i < f->n_done);
    assert_int_equal(f->done[i].outcome, outcome);
    if (strstr(f->done[i].why, why) == NULL)
        fail_msg("'%s' lacks '%s'", f->done[i].why, why);
}

static void request_is_written_as_it_should(void **state)
{
    (void)state;
    static const vly_str headers[] = {{"Content-Type: text/plain", 24}, {"X-A: b", 6}};
    load_fixture f;
    char want[256];

    load_begin(&f, "http", "/infer?n={}");
    f.target.headers = headers;
    f.target.n_headers = 2;
    load_open(&f, "http1");
    vly_load_call call = load_call(&f, "hello");
    vly_load_transport_send(f.t, &call);
    load_turn(&f);
    (void)snprintf(want, sizeof(want),
                   "POST /infer?n=0 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: volley\r\n"
                   "Content-Type: text/plain\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello",
                   f.port);
    vly_str got = load_take(&f, 0);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr, want, got.len);
    assert_int_equal(call.bytes_out, strlen(want));
    assert_int_equal(f.n_done, 0);
    assert_int_equal(vly_load_transport_in_flight(f.t), 1);
    load_end(&f);
}

static void get_has_no_length(void **state)
{
    (void)state;
    load_fixture f;

    load_begin(&f, "http", "/x");
    f.target.method = VLY_STR("GET");
    load_open(&f, "http1");
    vly_load_call call = load_call(&f, "");
    vly_load_transport_send(f.t, &call);
    load_turn(&f);
    vly_str got = load_take(&f, 0);
    assert_true(vly_str_starts(got, VLY_STR("GET /x HTTP/1.1\r\n")));
    assert_true(vly_str_ends(got, VLY_STR("User-Agent: volley\r\n\r\n")));
    load_end(&f);
}

static void times_are_intended_sent_and_done(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    vly_load_call call = load_call(&f, "x"), late = load_call(&f, "y");
    vly_nsec begin_ns = f.now_ns;
    vly_load_transport_send(f.t, &call);
    load_move_time(&f, 10);
    vly_load_transport_send(f.t, &late); /* waits for the connection */
    load_move_time(&f, 20);
    load_answer(&f, 0, OK_ANSWER);
    load_until_done(&f, 1);
    assert_int_equal(call.intended_ns, begin_ns);
    assert_int_equal(call.sent_ns, begin_ns);
    assert_int_equal(call.done_ns, begin_ns + 30 * VLY_NSEC_PER_MS);
    assert_int_equal(late.sent_ns, begin_ns + 30 * VLY_NSEC_PER_MS);
    assert_int_equal(late.intended_ns, begin_ns);
    load_end(&f);
}

/* An answer in every way of cutting it in two, one kept alive after the other on one connection. */
static void answers_come_in_any_pieces(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVolley-Cache: hit\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nvolley-cache:hit\r\n\r\n"
        "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: r\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVOLLEY-CACHE: hit \r\n"
        "Content-Length: 5\r\n\r\nhello",
    };
    load_fixture f;
    size_t n = 0;

    begin(&f);
    for (size_t k = 0; k < 3; k++) {
        size_t len = strlen(answers[k]);
        for (size_t cut = 1; cut < len; cut++) {
            vly_buf body;
            vly_load_call call = load_call(&f, "x");
            vly_buf_init(&body, VLY_MEM_NET, 16);
            call.answer = &body;
            vly_load_transport_send(f.t, &call);
            load_turn(&f);
            load_answer_bytes(&f, 0, answers[k], cut);
            assert_int_equal(f.n_done, 0);
            load_answer_bytes(&f, 0, answers[k] + cut, len - cut);
            load_until_done(&f, 1);
            assert_done(&f, 0, VLY_LOAD_OK, "");
            assert_true(call.is_cached);
            assert_int_equal(call.status, 200);
            assert_int_equal(call.bytes_in, 5);
            assert_true(vly_str_is(vly_buf_str(&body), "hello"));
            vly_buf_release(&body);
            f.n_done = 0;
            n++;
        }
    }
    assert_true(n > 200);
    assert_int_equal(f.n_peers, 1);
    assert_int_equal(vly_load_transport_counts(f.t).connects, 1);
    load_end(&f);
}

static void mark_stands_in_the_body(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    vly_load_call call = load_call(&f, "0123456789");
    call.mark = VLY_STR("AB");
    call.mark_at = 3;
    vly_load_transport_send(f.t, &call);
    load_turn(&f);
    assert_true(vly_str_ends(load_take(&f, 0), VLY_STR("Length: 10\r\n\r\n012AB56789")));
    load_end(&f);
}

static void answers_are_looked_through(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    static const struct {
        const char *piece, *rest;
        vly_load_outcome outcome;
    } cases[] = {{"xaba", "cab", VLY_LOAD_OK}, /* begun twice, and cut */
                 {"abac", "xxx", VLY_LOAD_OK},
                 {"xxxa", "bac", VLY_LOAD_OK},
                 {"abab", "abx", VLY_LOAD_FAILED},
                 {"xxxx", "aba", VLY_LOAD_FAILED}};

    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        load_fixture f;
        load_begin(&f, "http", "/");
        f.opts.check = VLY_STR("abac");
        load_open(&f, "http1");
        vly_load_call call = load_call(&f, "");
        vly_load_transport_send(f.t, &call);
        load_turn(&f);
        load_answer(&f, 0, head);
        load_answer(&f, 0, cases[i].piece);
        load_answer(&f, 0, cases[i].rest);
        assert_done(&f, 0, cases[i].outcome,
                    cases[i].outcome == VLY_LOAD_OK ? "" : "the answer lacks 'abac'");
        load_end(&f);
    }
}

static void answer_keeps_what_fits(void **state)
{
    (void)state;
    load_fixture f;
    vly_buf body;

    begin(&f);
    vly_load_call call = load_call(&f, "x");
    vly_buf_init(&body, VLY_MEM_NET, 3);
    call.answer = &body;
    vly_load_transport_send(f.t, &call);
    load_turn(&f);
    load_answer(&f, 0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    load_until_done(&f, 1);
    assert_true(vly_str_is(vly_buf_str(&body), "hel"));
    assert_int_equal(call.bytes_in, 5);
    vly_buf_release(&body);
    load_end(&f);
}

/* More than is read at once, dropped in the kernel; then the next one on the same connection. */
static void large_answers_are_counted(void **state)
{
    (void)state;
    const size_t n = (size_t)5 << 20;
    char *bytes = calloc(1, n);
    load_fixture f;

    assert_non_null(bytes);
    begin(&f);
    for (int i = 0; i < 3; i++) {
        vly_load_call call = load_call(&f, "x");
        vly_load_transport_send(f.t, &call);
        load_turn(&f);
        load_answer(&f, 0, "HTTP/1.1 200 OK\r\nContent-Length: 5242880\r\n\r\n");
        load_answer_bytes(&f, 0, bytes, n);
        load_until_done(&f, 1);
        assert_done(&f, 0, VLY_LOAD_OK, "");
        assert_int_equal(call.bytes_in, n);
        f.n_done = 0;
    }
    assert_int_equal(f.n_peers, 1);
    free(bytes);
    load_end(&f);
}

/* The socket takes some of it at a time. */
static void large_requests_arrive_whole(void **state)
{
    (void)state;
    const size_t n = (size_t)6 << 20;
    char *bytes = malloc(n);
    load_fixture f;

    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 7 + (i >> 9));
    begin(&f);
    vly_load_call call = load_call(&f, "");
    call.body = (vly_str){bytes, n};
    vly_load_transport_send(f.t, &call);
    load_turn(&f);
    vly_str got = load_take(&f, 0);
    assert_true(got.len > n);
    assert_memory_equal(got.ptr + got.len - n, bytes, n);
    load_answer(&f, 0, OK_ANSWER);
    load_until_done(&f, 1);
    assert_done(&f, 0, VLY_LOAD_OK, "");
    free(bytes);
    load_end(&f);
}

static void calls_wait_in_order_for_connections(void **state)
{
    (void)state;
    static const char *const bodies[] = {"a", "b", "c", "d"};
    vly_load_call calls[4];
    load_fixture f;

    load_begin(&f, "http", "/{}");
    f.opts.n_connections = 2;
    load_open(&f, "http1");
    assert_int_equal(f.n_peers, 2);
    for (size_t i = 0; i < 4; i++) {
        calls[i] = load_call(&f, bodies[i]);
        vly_load_transport_send(f.t, &calls[i]);
    }
    load_turn(&f);
    assert_int_equal(load_take(&f, 0).len > 0 && load_take(&f, 1).len > 0, 1);
    load_answer(&f, 1, OK_ANSWER);
    assert_int_equal(f.n_done, 1);
    assert_ptr_equal(f.done[0].call, &calls[1]);
    assert_true(vly_str_ends(load_take(&f, 1), VLY_STR("\r\n\r\nc")));
    load_answer(&f, 0, OK_ANSWER);
    assert_ptr_equal(f.done[1].call, &calls[0]);
    assert_true(vly_str_ends(load_take(&f, 0), VLY_STR("\r\n\r\nd")));
    load_end(&f);
}

static void bound_call_waits_for_its_connection(void **state)
{
    (void)state;
    load_fixture f;

    load_begin(&f, "http", "/{}");
    f.opts.n_connections = 2;
    load_open(&f, "http1");
    vly_load_call a = load_call(&f, "a"), b = load_call(&f, "b");
    a.connection = b.connection = 1;
    vly_load_transport_send(f.t, &a);
    vly_load_transport_send(f.t, &b);
    load_turn(&f);
    size_t at = f.peers[0].in.len > 0 ? 0 : 1;
    vly_str got = load_take(&f, at);
    assert_true(vly_str_starts(got, VLY_STR("POST /1 ")) && vly_str_ends(got, VLY_STR("\r\na")));
    assert_int_equal(load_take(&f, 1 - at).len, 0);
    load_answer(&f, at, OK_ANSWER);
    assert_true(vly_str_ends(load_take(&f, at), VLY_STR("\r\nb")));
    load_end(&f);
}

static void closed_loop_goes_on_from_on_done(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    vly_load_call a = load_call(&f, "a"), b = load_call(&f, "b");
    f.next = &b;
    vly_load_transport_send(f.t, &a);
    load_turn(&f);
    load_answer(&f, 0, OK_ANSWER);
    load_answer(&f, 0, OK_ANSWER);
    load_until_done(&f, 2);
    assert_ptr_equal(f.done[1].call, &b);
    load_end(&f);
}

static void refusal_is_told_with_its_body(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    vly_load_call a = load_call(&f, "a"), b = load_call(&f, "b");
    f.next = &b;
    vly_load_transport_send(f.t, &a);
    load_turn(&f);
    load_answer(&f, 0,
                "HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 16\r\n\r\n"
                "{\"error\":\"full\"}");
    load_until_done(&f, 1);
    assert_done(&f, 0, VLY_LOAD_STATUS, "{\"error\":\"full\"}");
    assert_int_equal(f.done[0].status, 503);
    load_turn(&f);
    assert_int_equal(f.n_peers, 2); /* it was of use: again at once */
    load_answer(&f, 1, OK_ANSWER);
    load_until_done(&f, 2);
    assert_done(&f, 1, VLY_LOAD_OK, "");
    load_end(&f);
}

/* The body of the request is the caller's again, though the server has not read it. */
static void answer_may_come_before_the_request_has_gone(void **state)
{
    (void)state;
    const size_t n = (size_t)32 << 20;
    char *bytes = calloc(1, n);
    load_fixture f;

    begin(&f);
    vly_load_call call = load_call(&f, "");
    call.body = (vly_str){bytes, n};
    vly_load_transport_send(f.t, &call);
    load_answer(&f, 0, "HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n");
    load_until_done(&f, 1);
    free(bytes);
    assert_done(&f, 0, VLY_LOAD_STATUS, "");
    assert_int_equal(f.done[0].status, 413);
    load_turn(&f);
    assert_true(f.peers[0].is_ended);
    assert_int_equal(f.n_peers, 2);
    load_end(&f);
}

static void end_of_connection_ends_an_answer_without_length(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    vly_load_call call = load_call(&f, "x");
    vly_load_transport_send(f.t, &call);
    load_turn(&f);
    load_answer(&f, 0, "HTTP/1.0 200 OK\r\n\r\nall of it");
    assert_int_equal(f.n_done, 0);
    load_hang_up(&f, 0);
    load_until_done(&f, 1);
    assert_done(&f, 0, VLY_LOAD_OK, "");
    assert_int_equal(call.bytes_in, 9);
    load_end(&f);
}

static void broken_connections_fail_what_is_under_way(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *why;
        bool is_reset;
    } cases[] = {
        {"", "the connection ended before the answer", false},
        {"HTTP/1.1 200 OK\r\nContent-Le", "the connection ended within the answer", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "ended within the answer", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", "within", false},
        {"", "Connection reset by peer", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "reset", true},
        {"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP/1.1 answer", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n", "no HTTP/1.1 answer", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no HTTP/1.1", false},
    };
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        load_fixture f;
        begin(&f);
        vly_load_call call = load_call(&f, "x");
        vly_load_transport_send(f.t, &call);
        load_turn(&f);
        if (cases[i].answer[0] != '\0')
            load_answer(&f, 0, cases[i].answer);
        if (cases[i].is_reset)
            load_reset(&f, 0);
        else
            load_hang_up(&f, 0);
        load_until_done(&f, 1);
        assert_done(&f, 0, VLY_LOAD_FAILED, cases[i].why);
        load_end(&f);
    }
}

static void unasked_bytes_end_the_connection(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    load_answer(&f, 0, OK_ANSWER);
    assert_int_equal(vly_load_transport_counts(f.t).n_open, 0);
    load_move_time(&f, 10);
    assert_int_equal(f.n_peers, 2);
    vly_load_call call = load_call(&f, "x");
    vly_load_transport_send(f.t, &call);
    load_turn(&f);
    load_answer(&f, 1, OK_ANSWER OK_ANSWER);
    load_until_done(&f, 1); /* its own answer was good */
    assert_done(&f, 0, VLY_LOAD_OK, "");
    assert_int_equal(f.peers[1].fd >= 0 && f.peers[1].is_ended, 1);
    load_end(&f);
}

static void silence_is_a_timeout(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    vly_load_call a = load_call(&f, "a"), b = load_call(&f, "b");
    vly_load_transport_send(f.t, &a);
    load_move_time(&f, 500);
    b.intended_ns = f.now_ns;
    vly_load_transport_send(f.t, &b);
    load_move_time(&f, 499);
    assert_int_equal(f.n_done, 0);
    load_move_time(&f, 1);
    assert_int_equal(f.n_done, 1);
    assert_ptr_equal(f.done[0].call, &a);
    assert_done(&f, 0, VLY_LOAD_TIMEOUT, "no answer in time");
    assert_true(a.sent_ns > 0);
    load_move_time(&f, 10); /* a late answer could not be told from b's: a new connection */
    assert_int_equal(f.n_peers, 2);
    load_answer(&f, 1, OK_ANSWER);
    load_until_done(&f, 2);
    assert_done(&f, 1, VLY_LOAD_OK, "");
    load_end(&f);
}

static void waiting_is_a_timeout_too(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    vly_load_call a = load_call(&f, "a"), b = load_call(&f, "b");
    vly_load_transport_send(f.t, &a);
    vly_load_transport_send(f.t, &b);
    load_turn(&f);
    load_move_time(&f, 1000);
    load_until_done(&f, 2);
    assert_done(&f, 1, VLY_LOAD_TIMEOUT, "no connection was free");
    assert_int_equal(b.sent_ns, 0);
    load_end(&f);
}

static void give_up_ends_all(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    vly_load_call a = load_call(&f, "a"), b = load_call(&f, "b");
    vly_load_transport_send(f.t, &a);
    vly_load_transport_send(f.t, &b);
    load_turn(&f);
    vly_load_transport_give_up(f.t);
    assert_int_equal(f.n_done, 2);
    assert_int_equal(vly_load_transport_in_flight(f.t), 0);
    load_end(&f);
}

/* 10 ms, 20 ms, 40 ms ... 1 s between attempts; each fails what waits. */
static void dead_server_is_not_hammered(void **state)
{
    (void)state;
    load_fixture f;
    vly_load_call calls[2];

    load_begin(&f, "http", "/");
    close(f.listener);
    f.listener = -1;
    calls[0] = load_call(&f, "a");
    vly_err err;
    assert_int_equal(
        vly_load_transport_open(vly_load_kind_find(VLY_STR("http1")), &f.opts, &f.t, &err), VLY_OK);
    vly_load_transport_send(f.t, &calls[0]);
    load_until_done(&f, 1);
    assert_done(&f, 0, VLY_LOAD_FAILED, "Connection refused");
    for (unsigned i = 0, ms = 10; i < 10; i++, ms = ms < 512 ? 2 * ms : 1000) {
        unsigned wait_ms = ms < 1000 ? ms : 1000;
        uint64_t n = vly_load_transport_counts(f.t).connect_failures;
        load_move_time(&f, wait_ms - 1);
        assert_int_equal(vly_load_transport_counts(f.t).connect_failures, n);
        load_move_time(&f, 1);
        assert_int_equal(vly_load_transport_counts(f.t).connect_failures, n + 1);
    }
    load_end(&f);
}

static void useless_server_is_not_hammered(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    load_hang_up(&f, 0);
    assert_int_equal(f.n_peers, 1);
    load_move_time(&f, 9);
    assert_int_equal(f.n_peers, 1);
    load_move_time(&f, 1);
    assert_int_equal(f.n_peers, 2);
    load_hang_up(&f, 1);
    load_move_time(&f, 19);
    assert_int_equal(f.n_peers, 2);
    load_move_time(&f, 1);
    assert_int_equal(f.n_peers, 3);
    load_end(&f);
}

static void pipelining_is_refused(void **state)
{
    (void)state;
    load_fixture f;
    vly_err err;

    load_begin(&f, "http", "/");
    f.opts.max_in_flight = 2;
    assert_int_equal(
        vly_load_transport_open(vly_load_kind_find(VLY_STR("http1")), &f.opts, &f.t, &err),
        VLY_EINVAL);
    f.opts.max_in_flight = 1;
    f.opts.n_connections = 0;
    assert_int_equal(
        vly_load_transport_open(vly_load_kind_find(VLY_STR("http1")), &f.opts, &f.t, &err),
        VLY_EINVAL);
    load_end(&f);
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f);
    uint64_t before = 0;
    for (int i = 0; i < 20; i++) {
        vly_load_call call = load_call(&f, "x");
        vly_load_transport_send(f.t, &call);
        load_turn(&f);
        load_take(&f, 0);
        load_answer(&f, 0, OK_ANSWER);
        load_until_done(&f, 1);
        f.n_done = 0;
        if (i == 2)
            before = vly_mem_count_all();
    }
    assert_int_equal(vly_mem_count_all(), before);
    load_end(&f);
}

UNIT_TESTS(cmocka_unit_test(request_is_written_as_it_should), cmocka_unit_test(get_has_no_length),
           cmocka_unit_test(times_are_intended_sent_and_done),
           cmocka_unit_test(answers_come_in_any_pieces), cmocka_unit_test(mark_stands_in_the_body),
           cmocka_unit_test(answers_are_looked_through), cmocka_unit_test(answer_keeps_what_fits),
           cmocka_unit_test(large_answers_are_counted),
           cmocka_unit_test(large_requests_arrive_whole),
           cmocka_unit_test(calls_wait_in_order_for_connections),
           cmocka_unit_test(bound_call_waits_for_its_connection),
           cmocka_unit_test(closed_loop_goes_on_from_on_done),
           cmocka_unit_test(refusal_is_told_with_its_body),
           cmocka_unit_test(answer_may_come_before_the_request_has_gone),
           cmocka_unit_test(end_of_connection_ends_an_answer_without_length),
           cmocka_unit_test(broken_connections_fail_what_is_under_way),
           cmocka_unit_test(unasked_bytes_end_the_connection),
           cmocka_unit_test(silence_is_a_timeout), cmocka_unit_test(waiting_is_a_timeout_too),
           cmocka_unit_test(give_up_ends_all), cmocka_unit_test(dead_server_is_not_hammered),
           cmocka_unit_test(useless_server_is_not_hammered),
           cmocka_unit_test(pipelining_is_refused),
           cmocka_unit_test(steady_state_allocates_nothing))
