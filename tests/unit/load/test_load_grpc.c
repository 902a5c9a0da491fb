/* SPDX-License-Identifier: MIT */
#include "h2_server.h"
#include "unit.h"

#include "base/assert.h"

#include <stdio.h>

#define ONE         "\0\0\0\0\3abc"
#define BYTES(text) text, sizeof(text) - 1

typedef struct both {
    load_fixture f;
    h2_server s;
} both;

static void begin(both *b, bool is_streaming, const char *first)
{
    load_begin(&b->f, "grpc", "/inference.GRPCInferenceService/ModelInfer");
    b->f.opts.is_streaming = is_streaming;
    b->f.opts.max_in_flight = 4;
    b->f.opts.error_has = VLY_STR("ERR");
    if (first != NULL) {
        b->f.opts.first = vly_str_from(first);
        b->f.opts.n_greetings = 1;
    }
    load_open(&b->f, "grpc");
    h2_begin(&b->s, &b->f, 0, 0);
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

static void assert_body(const both *b, size_t i, const char *bytes, size_t n)
{
    assert_int_equal(b->s.asked[i].body.len, n);
    assert_memory_equal(b->s.asked[i].body.ptr, bytes, n);
}

static void unary_call_is_framed_both_ways(void **state)
{
    (void)state;
    vly_buf answer;
    both b;

    begin(&b, false, NULL);
    vly_load_call call = load_call(&b.f, "hello");
    vly_buf_init(&answer, VLY_MEM_NET, 64);
    call.answer = &answer;
    send(&b, &call, 1);
    assert_non_null(
        strstr(b.s.asked[0].headers, ":path: /inference.GRPCInferenceService/ModelInfer\n"));
    assert_non_null(strstr(b.s.asked[0].headers, "content-type: application/grpc\n"));
    assert_non_null(strstr(b.s.asked[0].headers, "te: trailers\n"));
    assert_body(&b, 0, BYTES("\0\0\0\0\5hello"));
    assert_true(b.s.asked[0].is_ended);
    h2_answer_grpc(&b.s, 0, BYTES(ONE), "0", NULL);
    assert_int_equal(b.f.n_done, 1);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_OK);
    assert_int_equal(call.status, 0);
    assert_true(vly_str_is(vly_buf_str(&answer), "abc"));
    vly_buf_release(&answer);
    end(&b);
}

static void unary_answers_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *code, *message;
        vly_load_outcome outcome;
        int status;
        const char *why;
    } cases[] = {
        {BYTES(""), "14", "model is busy", VLY_LOAD_STATUS, 14, "model is busy"},
        {BYTES(""), "0", NULL, VLY_LOAD_FAILED, 0, "expected one whole message"},
        {BYTES(ONE ONE), "0", NULL, VLY_LOAD_FAILED, 0, "expected one whole message"},
        {BYTES("\0\0\0\0\4abc"), "0", NULL, VLY_LOAD_FAILED, 0, "expected one whole message"},
        {BYTES(ONE), NULL, NULL, VLY_LOAD_FAILED, 0, "without a grpc-status"},
        {BYTES(ONE), "-1", NULL, VLY_LOAD_STATUS, 2, ""},
        {BYTES(ONE), "0x", NULL, VLY_LOAD_STATUS, 2, ""},
        {BYTES("\1\0\0\0\3abc"), "0", NULL, VLY_LOAD_FAILED, 0, "grpc-encoding"},
        {BYTES("\2\0\0\0\3abc"), "0", NULL, VLY_LOAD_FAILED, 0, "expected 0 or 1"},
        {BYTES("\0\xff\xff\xff\xff"), "0", NULL, VLY_LOAD_FAILED, 0, "are more than"},
    };
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        both b;
        begin(&b, false, NULL);
        vly_load_call call = load_call(&b.f, "x");
        send(&b, &call, 1);
        h2_answer_grpc(&b.s, 0, cases[i].bytes, cases[i].len, cases[i].code, cases[i].message);
        assert_int_equal(b.f.n_done, 1);
        assert_int_equal(b.f.done[0].outcome, cases[i].outcome);
        assert_int_equal(b.f.done[0].status, cases[i].status);
        if (strstr(b.f.done[0].why, cases[i].why) == NULL)
            fail_msg("%zu: '%s' lacks '%s'", i, b.f.done[0].why, cases[i].why);
        end(&b);
    }
}

static void http_errors_are_no_grpc(void **state)
{
    (void)state;
    both b;

    begin(&b, false, NULL);
    vly_load_call call = load_call(&b.f, "x");
    send(&b, &call, 1);
    h2_answer(&b.s, 0, "404", NULL, BYTES("nothing here"));
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_FAILED);
    assert_non_null(strstr(b.f.done[0].why, "HTTP status 404"));
    end(&b);
}

static void stream_pairs_messages_in_order(void **state)
{
    (void)state;
    vly_load_call calls[5];
    both b;

    begin(&b, true, NULL);
    for (size_t i = 0; i < 5; i++)
        calls[i] = load_call(&b.f, i % 2 == 0 ? "ab" : "xyz");
    calls[1].mark = VLY_STR("YZ");
    calls[1].mark_at = 1;
    send(&b, calls, 5);
    assert_int_equal(b.s.n_asked, 1); /* four on their way: max_in_flight */
    assert_body(&b, 0, BYTES("\0\0\0\0\2ab\0\0\0\0\3xYZ\0\0\0\0\2ab\0\0\0\0\3xyz"));
    assert_false(b.s.asked[0].is_ended);
    h2_stream_say(&b.s, 0, BYTES("\0\0\0\0\1a\0\0\0\0\5ERR-b\0\0"));
    assert_int_equal(b.f.n_done, 2);
    assert_ptr_equal(b.f.done[0].call, &calls[0]);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_OK);
    assert_ptr_equal(b.f.done[1].call, &calls[1]);
    assert_int_equal(b.f.done[1].outcome, VLY_LOAD_STATUS);
    assert_string_equal(b.f.done[1].why, "ERR-b");
    assert_int_equal(b.s.asked[0].body.len, 4 * 5 + 10 + 5 + 2); /* the fifth has gone */
    h2_stream_say(&b.s, 0, BYTES("\0\0\1c"));
    assert_int_equal(b.f.n_done, 3);
    h2_stream_end(&b.s, 0, "8", "enough");
    assert_int_equal(b.f.n_done, 5);
    assert_int_equal(b.f.done[4].outcome, VLY_LOAD_STATUS);
    assert_int_equal(b.f.done[4].status, 8);
    assert_string_equal(b.f.done[4].why, "enough");
    load_turn(&b.f);
    assert_int_equal(b.f.n_peers, 2); /* and begins again */
    end(&b);
}

static void stream_says_its_first_message_first(void **state)
{
    (void)state;
    both b;

    begin(&b, true, "open");
    vly_load_call call = load_call(&b.f, "x");
    send(&b, &call, 1);
    assert_body(&b, 0, BYTES("\0\0\0\0\4open"));
    h2_stream_say(&b.s, 0, BYTES("\0\0\0\0\2hi"));
    h2_turn(&b.s);
    assert_string_equal(b.f.messages, "0:hi|");
    assert_body(&b, 0, BYTES("\0\0\0\0\4open\0\0\0\0\1x"));
    assert_int_equal(b.f.n_done, 0);
    h2_stream_say(&b.s, 0, BYTES(ONE));
    assert_int_equal(b.f.n_done, 1);
    end(&b);
}

static void stream_without_answers_is_done_when_sent(void **state)
{
    (void)state;
    vly_load_call calls[3];
    both b;

    load_begin(&b.f, "grpc", "/volley.v1.Steps/Stream");
    b.f.opts.is_streaming = b.f.opts.is_one_way = true;
    load_open(&b.f, "grpc");
    h2_begin(&b.s, &b.f, 0, 0);
    for (size_t i = 0; i < 3; i++)
        calls[i] = load_call(&b.f, "abc");
    send(&b, calls, 3);
    assert_int_equal(b.f.n_done, 3);
    assert_body(&b, 0, BYTES(ONE ONE ONE));
    h2_stream_say(&b.s, 0, BYTES("\0\0\0\0\4step"));
    assert_string_equal(b.f.messages, "0:step|");
    end(&b);
}

/* The late answer is not the next call's. */
static void late_answers_of_a_stream_are_passed_over(void **state)
{
    (void)state;
    vly_load_call calls[2];
    both b;

    begin(&b, true, NULL);
    calls[0] = load_call(&b.f, "a");
    send(&b, calls, 1);
    load_move_time(&b.f, 600);
    calls[1] = load_call(&b.f, "b");
    send(&b, calls + 1, 1);
    load_move_time(&b.f, 400);
    assert_int_equal(b.f.n_done, 1);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_TIMEOUT);
    h2_stream_say(&b.s, 0, BYTES(ONE));
    assert_int_equal(b.f.n_done, 1);
    h2_stream_say(&b.s, 0, BYTES(ONE));
    assert_int_equal(b.f.n_done, 2);
    assert_ptr_equal(b.f.done[1].call, &calls[1]);
    assert_int_equal(b.f.done[1].outcome, VLY_LOAD_OK);
    assert_int_equal(b.f.n_peers, 1);
    end(&b);
}

/* Triton's way: the stream goes on, and the message is the error. */
static void refusals_in_messages_are_seen(void **state)
{
    (void)state;
    vly_load_call calls[2];
    both b;

    load_begin(&b.f, "grpc", "/inference.GRPCInferenceService/ModelStreamInfer");
    b.f.opts.is_streaming = true;
    b.f.opts.max_in_flight = 2;
    load_open(&b.f, "grpc");
    h2_begin(&b.s, &b.f, 0, 0);
    calls[0] = load_call(&b.f, "a");
    calls[1] = load_call(&b.f, "b");
    send(&b, calls, 2);
    h2_stream_say(&b.s, 0,
                  BYTES("\0\0\0\0\5\x0a\x03"
                        "bad"
                        "\0\0\0\0\3\x12\1x"));
    assert_int_equal(b.f.n_done, 2);
    assert_int_equal(b.f.done[0].outcome, VLY_LOAD_STATUS);
    assert_non_null(strstr(b.f.done[0].why, "bad"));
    assert_int_equal(b.f.done[1].outcome, VLY_LOAD_OK);
    end(&b);
}

static void unasked_message_ends_the_connection(void **state)
{
    (void)state;
    both b;

    begin(&b, true, NULL);
    h2_stream_say(&b.s, 0, BYTES(ONE));
    assert_int_equal(vly_load_transport_counts(b.f.t).n_open, 0);
    end(&b);
}

UNIT_TESTS(cmocka_unit_test(unary_call_is_framed_both_ways),
           cmocka_unit_test(unary_answers_are_judged), cmocka_unit_test(http_errors_are_no_grpc),
           cmocka_unit_test(stream_pairs_messages_in_order),
           cmocka_unit_test(stream_says_its_first_message_first),
           cmocka_unit_test(stream_without_answers_is_done_when_sent),
           cmocka_unit_test(refusals_in_messages_are_seen),
           cmocka_unit_test(late_answers_of_a_stream_are_passed_over),
           cmocka_unit_test(unasked_message_ends_the_connection))
