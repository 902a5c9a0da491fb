/* SPDX-License-Identifier: MIT */
#include "load_fixture.h"
#include "unit.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES(text) text, sizeof(text) - 1

/* Of the key that the client sends, by `openssl dgst -sha1 -binary | base64`. */
#define UPGRADE                                                                                    \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n"
#define ACCEPT "xR8O+PIKE61KD4qfNbhfahJ7PAA="

static void begin(load_fixture *f, unsigned in_flight)
{
    load_begin(f, "ws", "/stream?device={}");
    f->opts.max_in_flight = in_flight;
    f->opts.is_text = true;
    f->opts.first_number = 7;
}

static void open_up(load_fixture *f)
{
    load_open(f, "websocket");
    assert_int_equal(vly_load_transport_counts(f->t).n_open, 0);
    load_take(f, 0);
    load_answer(f, 0, UPGRADE);
}

static void send(load_fixture *f, vly_load_call *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vly_load_transport_send(f->t, &calls[i]);
    load_turn(f);
}

static void assert_taken(load_fixture *f, const char *bytes, size_t n)
{
    vly_str got = load_take(f, 0);

    assert_int_equal(got.len, n);
    assert_memory_equal(got.ptr, bytes, n);
}

static void upgrade_is_asked_for(void **state)
{
    (void)state;
    static const vly_str headers[] = {{"X-Key: 1", 8}};
    load_fixture f;
    char want[512];

    begin(&f, 1);
    f.target.headers = headers;
    f.target.n_headers = 1;
    load_open(&f, "websocket");
    (void)snprintf(want, sizeof(want),
                   "GET /stream?device=7 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dm9sbGV5LWxvYWQtMTIzNA==\r\nUser-Agent: volley\r\n"
                   "X-Key: 1\r\n\r\n",
                   f.port);
    assert_taken(&f, want, strlen(want));
    load_end(&f);
}

static void messages_go_and_answers_come_in_order(void **state)
{
    (void)state;
    vly_load_call calls[3];
    vly_buf body;
    load_fixture f;

    begin(&f, 2);
    open_up(&f);
    for (size_t i = 0; i < 3; i++)
        calls[i] = load_call(&f, i == 0 ? "a" : i == 1 ? "bc" : "d");
    vly_buf_init(&body, VLY_MEM_NET, 16);
    calls[1].answer = &body;
    vly_nsec begin_ns = f.now_ns;
    calls[1].mark = VLY_STR("C");
    calls[1].mark_at = 1;
    send(&f, calls, 3);
    assert_taken(&f, BYTES("\x81\x81\0\0\0\0a\x81\x82\0\0\0\0bC"));
    load_move_time(&f, 3);
    load_answer_bytes(&f, 0,
                      BYTES("\x81\x01"
                            "A"
                            "\x01\x01"
                            "B"));
    assert_int_equal(f.n_done, 1);
    assert_ptr_equal(f.done[0].call, &calls[0]);
    assert_taken(&f, BYTES("\x81\x81\0\0\0\0d"));
    load_answer_bytes(&f, 0,
                      BYTES("\x80\x01"
                            "C"
                            "\x82\x02xy"));
    assert_int_equal(f.n_done, 3);
    assert_ptr_equal(f.done[1].call, &calls[1]);
    assert_true(vly_str_is(vly_buf_str(&body), "BC"));
    assert_int_equal(calls[0].sent_ns, begin_ns);
    assert_int_equal(calls[0].done_ns, begin_ns + 3 * VLY_NSEC_PER_MS);
    assert_int_equal(calls[2].sent_ns, begin_ns + 3 * VLY_NSEC_PER_MS);
    vly_buf_release(&body);
    load_end(&f);
}

static void greetings_and_other_messages_answer_nothing(void **state)
{
    (void)state;
    vly_load_call calls[2];
    load_fixture f;

    begin(&f, 2);
    f.opts.n_greetings = 1;
    f.opts.answer_has = VLY_STR("answer");
    f.opts.error_has = VLY_STR("error");
    open_up(&f);
    assert_int_equal(vly_load_transport_counts(f.t).n_open, 0);
    load_answer_bytes(&f, 0, BYTES("\x81\x05hello"));
    assert_int_equal(vly_load_transport_counts(f.t).n_open, 1);
    calls[0] = load_call(&f, "a");
    calls[1] = load_call(&f, "b");
    send(&f, calls, 2);
    load_answer_bytes(&f, 0,
                      BYTES("\x81\x03"
                            "ack"
                            "\x81\x07"
                            "answer1"
                            "\x81\x06"
                            "error2"));
    assert_int_equal(f.n_done, 2);
    assert_int_equal(f.done[0].outcome, VLY_LOAD_OK);
    assert_int_equal(f.done[1].outcome, VLY_LOAD_STATUS);
    assert_string_equal(f.done[1].why, "error2");
    assert_string_equal(f.messages, "0:hello|0:ack|");
    assert_int_equal(vly_load_transport_counts(f.t).messages, 2);
    load_end(&f);
}

static void one_way_is_done_when_sent(void **state)
{
    (void)state;
    static char bodies[200][4];
    static vly_load_call calls[60];
    load_fixture f;

    begin(&f, 100);
    f.opts.is_one_way = true;
    f.opts.is_text = false;
    f.opts.first = VLY_STR("F");
    open_up(&f);
    load_turn(&f);
    assert_taken(&f, BYTES("\x82\x81\0\0\0\0F"));
    for (size_t i = 0; i < 60; i++) {
        (void)snprintf(bodies[i], sizeof(bodies[i]), "%02zu", i);
        calls[i] = load_call(&f, bodies[i]);
        vly_load_transport_send(f.t, &calls[i]);
    }
    load_until_done(&f, 60);
    vly_str got = load_take(&f, 0);
    assert_int_equal(got.len, 60 * 8);
    for (size_t i = 0; i < 60; i++) {
        assert_ptr_equal(f.done[i].call, &calls[i]);
        assert_memory_equal(got.ptr + i * 8, "\x82\x82\0\0\0\0", 6);
        assert_memory_equal(got.ptr + i * 8 + 6, bodies[i], 2);
    }
    load_answer_bytes(&f, 0, BYTES("\x81\x04step"));
    assert_string_equal(f.messages, "0:step|");
    load_end(&f);
}

static void pings_are_answered(void **state)
{
    (void)state;
    load_fixture f;

    begin(&f, 1);
    open_up(&f);
    load_answer_bytes(&f, 0, BYTES("\x89\x02hi"));
    assert_taken(&f, BYTES("\x8a\x82\0\0\0\0hi"));
    load_end(&f);
}

static void large_messages_arrive_whole(void **state)
{
    (void)state;
    const size_t n = (size_t)4 << 20;
    char *bytes = malloc(n + 10);
    vly_buf body;
    load_fixture f;

    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[10 + i] = (char)(i * 3 + (i >> 10));
    begin(&f, 1);
    f.opts.is_text = false;
    open_up(&f);
    vly_load_call call = load_call(&f, "");
    call.body = (vly_str){bytes + 10, n};
    vly_buf_init(&body, VLY_MEM_NET, n);
    call.answer = &body;
    send(&f, &call, 1);
    vly_str got = load_take(&f, 0);
    assert_int_equal(got.len, n + 14);
    assert_memory_equal(got.ptr, "\x82\xff\0\0\0\0\0\x40\0\0\0\0\0\0", 14);
    assert_memory_equal(got.ptr + 14, bytes + 10, n);
    memcpy(bytes, "\x82\x7f\0\0\0\0\0\x40\0\0", 10);
    load_answer_bytes(&f, 0, bytes, n + 10);
    load_until_done(&f, 1);
    assert_int_equal(body.len, n);
    assert_memory_equal(body.ptr, bytes + 10, n);
    vly_buf_release(&body);
    free(bytes);
    load_end(&f);
}

static void refused_upgrades_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *why;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", "no WebSocket: HTTP 404 gone"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "no WebSocket: HTTP 200"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
         "Sec-WebSocket-Accept"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
         "Sec-WebSocket-Accept"},
        {"nonsense\r\n", "no HTTP/1.1 answer"},
    };
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        load_fixture f;
        begin(&f, 1);
        load_open(&f, "websocket");
        vly_load_call call = load_call(&f, "a");
        vly_load_transport_send(f.t, &call);
        load_answer(&f, 0, cases[i].answer);
        load_until_done(&f, 1);
        assert_int_equal(f.done[0].outcome, VLY_LOAD_FAILED);
        if (strstr(f.done[0].why, cases[i].why) == NULL)
            fail_msg("'%s' lacks '%s'", f.done[0].why, cases[i].why);
        load_end(&f);
    }
}

static void broken_frames_fail_what_is_under_way(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } cases[] = {
        {BYTES("\x81\x81\0\0\0\0a"), "the WebSocket was closed"}, /* a server must not mask */
        {BYTES("\xc1\x01"
               "a"),
         "the WebSocket was closed"},                    /* reserved bits */
        {BYTES("\x83\x00"), "the WebSocket was closed"}, /* no such opcode */
        {BYTES("\x80\x01"
               "a"),
         "the WebSocket was closed"},                            /* continues nothing */
        {BYTES("\x81\x02\xc3\x28"), "the WebSocket was closed"}, /* no UTF-8 */
        {BYTES("\x88\x02\x03\xf3"), "the WebSocket was closed: 1011"},
        {BYTES("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff_"), "the WebSocket was closed"},
    };
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        load_fixture f;
        begin(&f, 1);
        open_up(&f);
        vly_load_call call = load_call(&f, "a");
        send(&f, &call, 1);
        load_answer_bytes(&f, 0, cases[i].bytes, cases[i].n);
        if (f.n_done != 1)
            fail_msg("%zu: nothing came of it", i);
        assert_int_equal(f.done[0].outcome, VLY_LOAD_FAILED);
        if (strstr(f.done[0].why, cases[i].why) == NULL)
            fail_msg("%zu: '%s' lacks '%s'", i, f.done[0].why, cases[i].why);
        load_end(&f);
    }
}

/* Its body could be read again while it is being sent, were that taken for an answer. */
static void answer_before_the_question_is_a_fault(void **state)
{
    (void)state;
    const size_t n = (size_t)32 << 20;
    char *bytes = calloc(1, n);
    load_fixture f;

    assert_non_null(bytes);
    begin(&f, 2);
    f.opts.is_text = false;
    open_up(&f);
    vly_load_call call = load_call(&f, "");
    call.body = (vly_str){bytes, n};
    vly_load_transport_send(f.t, &call);
    vly_load_loop_turn(f.loop, 0);
    load_answer_bytes(&f, 0,
                      BYTES("\x81\x01"
                            "a"));
    load_until_done(&f, 1);
    free(bytes);
    assert_int_equal(f.done[0].outcome, VLY_LOAD_FAILED);
    load_end(&f);
}

/* The write that carries the first question goes on with the second for as long as it takes. */
static void answer_may_come_while_the_next_question_goes_out(void **state)
{
    (void)state;
    const size_t n = (size_t)32 << 20;
    char *bytes = calloc(1, n);
    vly_load_call calls[2];
    load_fixture f;

    assert_non_null(bytes);
    begin(&f, 2);
    f.opts.is_text = false;
    f.opts.answer_has = VLY_STR("answer");
    open_up(&f);
    calls[0] = load_call(&f, "a");
    calls[1] = load_call(&f, "");
    calls[1].body = (vly_str){bytes, n};
    for (size_t i = 0; i < 2; i++)
        vly_load_transport_send(f.t, &calls[i]);
    vly_load_loop_turn(f.loop, 0);
    load_answer_bytes(&f, 0,
                      BYTES("\x81\x03"
                            "ack"
                            "\x81\x06"
                            "answer"));
    load_until_done(&f, 1);
    assert_ptr_equal(f.done[0].call, &calls[0]);
    assert_int_equal(f.done[0].outcome, VLY_LOAD_OK);
    while (f.peers[0].in.len < n)
        load_turn(&f);
    load_answer_bytes(&f, 0,
                      BYTES("\x81\x06"
                            "answer"));
    load_until_done(&f, 2);
    assert_int_equal(f.done[1].outcome, VLY_LOAD_OK);
    free(bytes);
    load_end(&f);
}

static void late_answers_are_passed_over(void **state)
{
    (void)state;
    vly_load_call calls[2];
    load_fixture f;

    begin(&f, 2);
    open_up(&f);
    calls[0] = load_call(&f, "a");
    send(&f, calls, 1);
    load_move_time(&f, 600);
    calls[1] = load_call(&f, "b");
    send(&f, calls + 1, 1);
    load_move_time(&f, 400);
    assert_int_equal(f.n_done, 1);
    assert_int_equal(f.done[0].outcome, VLY_LOAD_TIMEOUT);
    load_answer_bytes(&f, 0,
                      BYTES("\x81\x01"
                            "A"));
    assert_int_equal(f.n_done, 1);
    load_answer_bytes(&f, 0,
                      BYTES("\x81\x01"
                            "B"));
    assert_int_equal(f.n_done, 2);
    assert_ptr_equal(f.done[1].call, &calls[1]);
    assert_int_equal(f.done[1].outcome, VLY_LOAD_OK);
    load_end(&f);
}

UNIT_TESTS(cmocka_unit_test(upgrade_is_asked_for),
           cmocka_unit_test(messages_go_and_answers_come_in_order),
           cmocka_unit_test(greetings_and_other_messages_answer_nothing),
           cmocka_unit_test(one_way_is_done_when_sent), cmocka_unit_test(pings_are_answered),
           cmocka_unit_test(large_messages_arrive_whole),
           cmocka_unit_test(refused_upgrades_are_told),
           cmocka_unit_test(broken_frames_fail_what_is_under_way),
           cmocka_unit_test(answer_before_the_question_is_a_fault),
           cmocka_unit_test(answer_may_come_while_the_next_question_goes_out),
           cmocka_unit_test(late_answers_are_passed_over))
