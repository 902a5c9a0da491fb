/* SPDX-License-Identifier: MIT */
/* Frames by the examples and rules of RFC 6455, whole and byte by byte. */
#include "base/assert.h"
#include "net/http1.h"
#include "net/websocket.h"
#include "unit.h"

#include <stdio.h>

#define MAX 100000

static vly_websocket *ws;
static char log_text[4096]; /* messages: "T:text;" or "B:length;" */
static size_t log_len;
static bool takes; /* the messages' memory */
static bool checks_pattern;

static void on_message(void *ctx, vly_buf *message, bool is_text)
{
    (void)ctx;
    for (size_t i = 0; checks_pattern && i < message->len; i++)
        if (message->ptr[i] != (char)(i * 7 + i / 251))
            fail_msg("byte %zu of %zu", i, message->len);
    int n = is_text && message->len < 200 ? snprintf(log_text + log_len, sizeof(log_text) - log_len,
                                                     "T:%.*s;", VLY_STR_ARG(vly_buf_str(message)))
                                          : snprintf(log_text + log_len, sizeof(log_text) - log_len,
                                                     "%c:%zu;", is_text ? 'T' : 'B', message->len);
    log_len += (size_t)n;
    if (takes)
        vly_buf_release(message);
}

static void restart(void)
{
    const vly_websocket_opts opts = {.max_message_bytes = MAX, .on_message = on_message};

    vly_websocket_free(ws);
    assert_int_equal(vly_websocket_new(&opts, &ws, NULL), VLY_OK);
    log_len = 0;
    log_text[0] = '\0';
}

static int setup(void **state)
{
    (void)state;
    ws = NULL;
    takes = checks_pattern = false;
    restart();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_websocket_free(ws);
    return 0;
}

static void feed(const char *bytes, size_t n, size_t piece)
{
    for (size_t done = 0, len; done < n; done += len) {
        len = n - done < piece ? n - done : piece;
        vly_websocket_feed(ws, (vly_str){bytes + done, len});
    }
}

/* A client's frame, masked with a key that changes bytes. */
static size_t put_frame(char *to, unsigned first, const char *payload, size_t len)
{
    static const char key[4] = {0x11, (char)0x82, 0x53, (char)0xf4};
    size_t n = 0;

    to[n++] = (char)first;
    if (len < 126) {
        to[n++] = (char)(0x80 | len);
    } else {
        to[n++] = (char)(0x80 | (len < 65536 ? 126 : 127));
        for (int i = len < 65536 ? 1 : 7; i >= 0; i--)
            to[n++] = (char)((uint64_t)len >> (8 * i));
    }
    memcpy(to + n, key, 4);
    n += 4;
    for (size_t i = 0; i < len; i++)
        to[n++] = (char)(payload[i] ^ key[i % 4]);
    return n;
}

static const size_t pieces[] = {SIZE_MAX, 1, 3, 5000, 65536};

#define BYTES(literal) literal, sizeof(literal) - 1

/* What waits to be sent must be these bytes; takes it. */
static void expect_out(const char *bytes, size_t n)
{
    vly_buf *out = vly_websocket_out(ws);

    assert_int_equal(out->len, n);
    if (n > 0)
        assert_memory_equal(out->ptr, bytes, n);
    vly_buf_clear(out);
}

/* ---- handshake ---- */

static vly_status check(const char *text, char accept[VLY_WEBSOCKET_ACCEPT_MAX], vly_err *err)
{
    vly_http_budget budget = {.max_bytes = 64};
    vly_http_limits limits = {.max_header_bytes = 1024,
                              .max_headers = 16,
                              .max_body_bytes = 32,
                              .max_scratch_bytes = 8192,
                              .body_budget = &budget};
    vly_http1 parser;
    vly_http_msg msg;
    size_t used;

    assert_int_equal(vly_http_msg_init(&msg, &limits, NULL), VLY_OK);
    vly_http1_init(&parser);
    vly_http1_begin(&parser, &msg);
    if (vly_http1_feed(&parser, vly_str_from(text), &used) != VLY_HTTP1_MESSAGE)
        fail_msg("no message: %s", text);
    vly_status st = vly_websocket_check(&msg, accept, err);
    vly_http_msg_release(&msg);
    return st;
}

#define GET     "GET /chat HTTP/1.1\r\nHost: h\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13     "Sec-WebSocket-Version: 13\r\n"

/* The example of RFC 6455 1.3. */
static void accepts_the_handshake(void **state)
{
    static const char *const good[] = {
        GET UPGRADE KEY V13 "Origin: http://example.com\r\n\r\n",
        GET "Upgrade: h2c, WebSocket\r\nConnection: keep-alive, upgrade\r\n" KEY V13 "\r\n",
    };
    char accept[VLY_WEBSOCKET_ACCEPT_MAX];

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(good); i++) {
        memset(accept, 0, sizeof(accept));
        assert_int_equal(check(good[i], accept, NULL), VLY_OK);
        assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

static void refuses_other_requests(void **state)
{
    static const struct {
        const char *text;
        vly_status status;
    } cases[] = {
        {GET "\r\n", VLY_ENOTFOUND},
        {GET "Upgrade: h2c\r\nConnection: Upgrade\r\n" KEY V13 "\r\n", VLY_ENOTFOUND},
        {GET "Upgrade: websocket\r\n" KEY V13 "\r\n", VLY_EINVAL},
        {GET "Upgrade: websocket\r\nConnection: close\r\n" KEY V13 "\r\n", VLY_EINVAL},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" UPGRADE KEY V13 "\r\n", VLY_EINVAL},
        {"GET / HTTP/1.0\r\nHost: h\r\n" UPGRADE KEY V13 "\r\n", VLY_EINVAL},
        {GET UPGRADE KEY V13 "Content-Length: 1\r\n\r\nx", VLY_EINVAL},
        {GET UPGRADE KEY "\r\n", VLY_EUNSUPPORTED},
        {GET UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", VLY_EUNSUPPORTED},
        {GET UPGRADE V13 "\r\n", VLY_EINVAL},
        {GET UPGRADE V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n\r\n", VLY_EINVAL},
        {GET UPGRADE V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEy\r\n\r\n", VLY_EINVAL},
        {GET UPGRADE V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n\r\n", VLY_EINVAL},
        {GET UPGRADE V13 "Sec-WebSocket-Key: dGhl!HNhbXBsZSBub25jZQ==\r\n\r\n", VLY_EINVAL},
    };
    char accept[VLY_WEBSOCKET_ACCEPT_MAX];
    vly_err err;

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        vly_status st = check(cases[i].text, accept, &err);
        if (st != cases[i].status)
            fail_msg("%d instead of %d: %s", st, cases[i].status, cases[i].text);
        assert_int_not_equal(err.msg[0], '\0');
    }
}

/* ---- frames ---- */

/* RFC 6455 5.7. Of a server's frames only the head is ours; a client's must be masked, so that the
 * examples without a mask are given one of zeros. */
static void examples_of_the_standard(void **state)
{
    unsigned char head[VLY_WEBSOCKET_HEAD_MAX];

    (void)state;
    assert_int_equal(vly_websocket_head(head, true, 5), 2);
    assert_memory_equal(head, "\x81\x05", 2);
    assert_int_equal(vly_websocket_head(head, false, 256), 4);
    assert_memory_equal(head, "\x82\x7e\x01\x00", 4);
    assert_int_equal(vly_websocket_head(head, false, 65536), 10);
    assert_memory_equal(head, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
    assert_int_equal(vly_websocket_head(head, false, 125), 2);
    assert_int_equal(vly_websocket_head(head, false, 126), 4);
    assert_int_equal(vly_websocket_head(head, false, 65535), 4);

    for (size_t k = 0; k < VLY_COUNT(pieces); k++) {
        restart();
        feed(BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), pieces[k]);
        feed(BYTES("\x01\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo"), pieces[k]);
        assert_string_equal(log_text, "T:Hello;T:Hello;");
        expect_out("", 0);
        feed(BYTES("\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), pieces[k]);
        expect_out(BYTES("\x8a\x05Hello"));
        feed(BYTES("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), pieces[k]);
        expect_out("", 0);
    }
}

static void messages_of_every_length(void **state)
{
    static const size_t sizes[] = {0,    1,    125,  126,   127,   4095,  4096,
                                   4097, 8185, 8195, 12345, 65535, 65536, MAX};
    static char payload[MAX], frame[MAX + 16];
    char expected[64];

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (char)(i * 7 + i / 251);
    checks_pattern = true;
    for (size_t i = 0; i < VLY_COUNT(sizes); i++) {
        for (size_t k = 0; k < VLY_COUNT(pieces); k++) {
            restart();
            takes = k == 1;
            for (int n = 0; n < 2; n++)
                feed(frame, put_frame(frame, 0x82, payload, sizes[i]), pieces[k]);
            snprintf(expected, sizeof(expected), "B:%zu;B:%zu;", sizes[i], sizes[i]);
            assert_string_equal(log_text, expected);
            assert_int_equal(vly_websocket_get_state(ws), VLY_WEBSOCKET_OPEN);
        }
    }
}

/* Control frames may stand between the fragments of a message; each is answered at once. */
static void fragments_with_a_ping_between(void **state)
{
    char bytes[256];
    size_t n = 0;

    (void)state;
    n += put_frame(bytes + n, 0x01, "\xe2\x82", 2); /* the euro sign, cut */
    n += put_frame(bytes + n, 0x89, "p", 1);
    n += put_frame(bytes + n, 0x00, "", 0);
    n += put_frame(bytes + n, 0x80, "\xac", 1);
    n += put_frame(bytes + n, 0x82, "12", 2);
    for (size_t k = 0; k < VLY_COUNT(pieces); k++) {
        restart();
        feed(bytes, n, pieces[k]);
        assert_string_equal(log_text, "T:\xe2\x82\xac;B:2;");
        expect_out(BYTES("\x8a\x01p"));
    }
}

/* Each ends the session with this code, and nothing behind it is read. */
static void broken_rules(void **state)
{
#define M "\0\0\0\0" /* the key of zeros */
    static const struct {
        const char *bytes;
        size_t n;
        unsigned code;
        const char *before; /* messages */
    } cases[] = {
        {BYTES("\x81\x05Hello"), 1002, ""},                    /* not masked */
        {BYTES("\xc1\x81" M "x"), 1002, ""},                   /* RSV1 */
        {BYTES("\x91\x81" M "x"), 1002, ""},                   /* RSV3 */
        {BYTES("\x83\x80" M), 1002, ""},                       /* opcode 3 */
        {BYTES("\x87\x81" M "x"), 1002, ""},                   /* opcode 7 */
        {BYTES("\x8b\x80" M), 1002, ""},                       /* opcode 11 */
        {BYTES("\x80\x81" M "x"), 1002, ""},                   /* continues nothing */
        {BYTES("\x01\x81" M "x\x81\x81" M "y"), 1002, ""},     /* begins again */
        {BYTES("\x81\x81" M "x\x00\x81" M "y"), 1002, "T:x;"}, /* was whole */
        {BYTES("\x09\x80" M), 1002, ""},                       /* a ping in parts */
        {BYTES("\x89\xfe\x00\x7e" M), 1002, ""},               /* a long ping */
        {BYTES("\x82\xfe\x00\x7d" M), 1002, ""},               /* 125 in 16 bits */
        {BYTES("\x82\xff\0\0\0\0\0\0\xff\xff" M), 1002, ""},   /* 65535 in 64 bits */
        {BYTES("\x82\xff\x80\0\0\0\0\0\0\0" M "x"), 1002, ""}, /* over 63 bits */
        {BYTES("\x81\x81" M "\xff"), 1007, ""},
        {BYTES("\x81\x83" M "\xed\xa0\x80"), 1007, ""},
        {BYTES("\x01\x82" M "\xe2\x82\x80\x81" M "z"), 1007, ""},
        {BYTES("\x82\xff\0\0\0\0\0\x01\x86\xa1" M "x"), 1009, ""}, /* MAX + 1 */
        {BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M "x"), 1009, ""},
        {BYTES("\x02\x81" M "x\x80\xff\0\0\0\0\0\x01\x86\xa0" M "x"), 1009, ""}, /* 1 + MAX */
        {BYTES("\x88\x81" M "x"), 1002, ""},                                     /* half a code */
        {BYTES("\x88\x82" M "\x03\xe7"), 1002, ""},                              /* 999 */
        {BYTES("\x88\x82" M "\x03\xec"), 1002, ""},                              /* 1004 */
        {BYTES("\x88\x82" M "\x03\xed"), 1002, ""},                              /* 1005 */
        {BYTES("\x88\x82" M "\x03\xee"), 1002, ""},                              /* 1006 */
        {BYTES("\x88\x82" M "\x03\xf7"), 1002, ""},                              /* 1015 */
        {BYTES("\x88\x82" M "\x0b\xb7"), 1002, ""},                              /* 2999 */
        {BYTES("\x88\x82" M "\x13\x88"), 1002, ""},                              /* 5000 */
        {BYTES("\x88\x83" M "\x03\xe8\xff"), 1007, ""},
    };

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        for (size_t k = 0; k < VLY_COUNT(pieces); k++) {
            restart();
            feed(cases[i].bytes, cases[i].n, pieces[k]);
            feed(BYTES("\x81\x81" M "z"), pieces[k]);
            const vly_buf *out = vly_websocket_out(ws);
            if (vly_websocket_get_state(ws) != VLY_WEBSOCKET_CLOSED || out->len < 4)
                fail_msg("case %zu: still open", i);
            unsigned code = (unsigned)(unsigned char)out->ptr[2] << 8 | (unsigned char)out->ptr[3];
            assert_int_equal((unsigned char)out->ptr[0], 0x88);
            assert_int_equal((size_t)out->ptr[1], out->len - 2);
            if (code != cases[i].code)
                fail_msg("case %zu: %u", i, code);
            assert_string_equal(log_text, cases[i].before);
            assert_int_equal(vly_websocket_peer_code(ws), VLY_WEBSOCKET_NO_CLOSE);
        }
    }
}

static void the_client_closes(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *answer;
        size_t n_answer;
        unsigned code;
    } cases[] = {
        {BYTES("\x88\x80" M), BYTES("\x88\x00"), VLY_WEBSOCKET_NO_CODE},
        {BYTES("\x88\x82" M "\x03\xe8"), BYTES("\x88\x02\x03\xe8"), 1000},
        {BYTES("\x88\x85" M "\x0b\xb8"
               "bye"),
         BYTES("\x88\x02\x0b\xb8"), 3000},
        {BYTES("\x88\x82" M "\x03\xf6"), BYTES("\x88\x02\x03\xf6"), 1014},
        {BYTES("\x88\x82" M "\x13\x87"), BYTES("\x88\x02\x13\x87"), 4999},
    };

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        for (size_t k = 0; k < VLY_COUNT(pieces); k++) {
            restart();
            feed(cases[i].bytes, cases[i].n, pieces[k]);
            assert_int_equal(vly_websocket_get_state(ws), VLY_WEBSOCKET_CLOSED);
            assert_int_equal(vly_websocket_peer_code(ws), cases[i].code);
            expect_out(cases[i].answer, cases[i].n_answer);
            vly_websocket_close(ws, 1000, NULL);
            vly_websocket_ping(ws);
            expect_out("", 0);
        }
    }
}

static void we_close(void **state)
{
    char long_reason[200];

    (void)state;
    vly_websocket_close(ws, VLY_WEBSOCKET_GOING_AWAY, "bye");
    assert_int_equal(vly_websocket_get_state(ws), VLY_WEBSOCKET_CLOSING);
    expect_out(BYTES("\x88\x05\x03\xe9"
                     "bye"));
    feed(BYTES("\x81\x81" M "x\x89\x80" M), SIZE_MAX); /* was on its way */
    assert_string_equal(log_text, "");
    expect_out("", 0);
    feed(BYTES("\x88\x82" M "\x03\xe9"), SIZE_MAX);
    assert_int_equal(vly_websocket_get_state(ws), VLY_WEBSOCKET_CLOSED);
    assert_int_equal(vly_websocket_peer_code(ws), 1001);
    expect_out("", 0);

    restart();
    vly_websocket_close(ws, 1000, NULL);
    expect_out(BYTES("\x88\x02\x03\xe8"));

    restart(); /* 61 characters of two bytes are 122 of 123 bytes */
    for (size_t i = 0; i < 198; i += 2)
        memcpy(long_reason + i, "\xc3\xa4", 2);
    long_reason[198] = '\0';
    vly_websocket_close(ws, 1000, long_reason);
    assert_int_equal(vly_websocket_out(ws)->len, 2 + 2 + 122);
}

static void pings(void **state)
{
    char bytes[256];
    size_t n = put_frame(bytes, 0x89, "0123456789", 10);

    (void)state;
    vly_websocket_ping(ws);
    expect_out(BYTES("\x89\x00"));
    for (int i = 0; i < 100000; i++) /* and nobody sends the answers */
        feed(bytes, n, SIZE_MAX);
    assert_in_range(vly_websocket_out(ws)->len, 1000, 65536);
    assert_int_equal(vly_websocket_out(ws)->len % 12, 0); /* whole frames */
    vly_buf_clear(vly_websocket_out(ws));
    feed(bytes, n, SIZE_MAX);
    expect_out(BYTES("\x8a\x0a"
                     "0123456789"));
}

static void out_of_memory(void **state)
{
    const vly_websocket_opts opts = {.max_message_bytes = MAX, .on_message = on_message};
    vly_websocket *made = NULL;

    (void)state;
    vly_mem_fail_after(0);
    assert_int_equal(vly_websocket_new(&opts, &made, NULL), VLY_ENOMEM);
    assert_null(made);
    feed(BYTES("\x81\x81" M "x"), SIZE_MAX);
    vly_mem_fail_after(-1);
    assert_int_equal(vly_websocket_get_state(ws), VLY_WEBSOCKET_CLOSED);
    assert_string_equal(log_text, "");
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    feed(BYTES("\x81\x85" M "Hello\x89\x80" M), 1);
    vly_buf_clear(vly_websocket_out(ws));
    uint64_t before = vly_mem_count_all();
    for (int i = 0; i < 100; i++) {
        feed(BYTES("\x81\x85" M "Hello\x89\x80" M), 1);
        vly_buf_clear(vly_websocket_out(ws));
    }
    assert_int_equal(vly_mem_count_all(), before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(accepts_the_handshake), TEST(refuses_other_requests),
           TEST(examples_of_the_standard), TEST(messages_of_every_length),
           TEST(fragments_with_a_ping_between), TEST(broken_rules), TEST(the_client_closes),
           TEST(we_close), TEST(pings), TEST(out_of_memory), TEST(steady_state_allocates_nothing))
