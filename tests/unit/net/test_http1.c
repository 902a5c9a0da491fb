/* SPDX-License-Identifier: MIT */
/* The parser layer: each case is fed whole, and byte by byte. */
#include "base/assert.h"
#include "net/http1.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static vly_http_budget budget;
static vly_http_limits limits;
static vly_http1 parser;
static vly_http_msg msg;

static int setup(void **state)
{
    (void)state;
    budget = (vly_http_budget){.max_bytes = 64};
    limits = (vly_http_limits){.max_header_bytes = 256,
                               .max_headers = 6,
                               .max_body_bytes = 32,
                               .max_scratch_bytes = 8192,
                               .body_budget = &budget};
    vly_http1_init(&parser);
    return vly_http_msg_init(&msg, &limits, NULL) != VLY_OK;
}

static int teardown(void **state)
{
    (void)state;
    vly_http_msg_release(&msg);
    return 0;
}

static void restart(void)
{
    vly_http_msg_clear(&msg);
    vly_http1_init(&parser);
    vly_http1_begin(&parser, &msg);
}

/* Feeds in pieces until something happens or the input ends; *ret_left is what was not used. */
static vly_http1_event feed(vly_str in, size_t piece, vly_str *ret_left)
{
    vly_http1_event event = VLY_HTTP1_MORE;

    while (in.len > 0 && event == VLY_HTTP1_MORE) {
        size_t used;
        event = vly_http1_feed(&parser, (vly_str){in.ptr, in.len < piece ? in.len : piece}, &used);
        in = (vly_str){in.ptr + used, in.len - used};
    }
    if (ret_left != NULL)
        *ret_left = in;
    return event;
}

static const size_t pieces[] = {SIZE_MAX, 1, 2, 7};

/* One whole message, however cut. */
static void parse(const char *text, size_t piece)
{
    vly_str left;

    restart();
    vly_http1_event event = feed(vly_str_from(text), piece, &left);
    if (event != VLY_HTTP1_MESSAGE)
        fail_msg("%s: '%s' in pieces of %zu", event == VLY_HTTP1_ERROR ? parser.reason : "no end",
                 text, piece);
    assert_int_equal(left.len, 0);
}

static void reads_every_part(void **state)
{
    (void)state;
    for (size_t p = 0; p < VLY_COUNT(pieces); p++) {
        parse("POST /v2/a%20b?x=1&y HTTP/1.1\r\nHost: h\r\nX-Pad:  \t v w \t \r\nempty:\r\n"
              "Content-Length: 5\r\n\r\nhello",
              pieces[p]);
        assert_int_equal(msg.method, VLY_HTTP_POST);
        assert_true(vly_str_is(msg.method_name, "POST"));
        assert_true(vly_str_is(msg.target, "/v2/a%20b?x=1&y"));
        assert_true(vly_str_is(msg.path, "/v2/a b"));
        assert_true(vly_str_is(msg.query, "x=1&y"));
        assert_int_equal(msg.n_headers, 4);
        assert_true(vly_str_is(msg.headers[1].name, "X-Pad"));
        assert_true(vly_str_is(vly_http_msg_header(&msg, "x-pad"), "v w"));
        assert_true(vly_str_is(vly_http_msg_header(&msg, "EMPTY"), ""));
        assert_non_null(vly_http_msg_header(&msg, "EMPTY").ptr);
        assert_true(vly_str_is(vly_buf_str(&msg.body), "hello"));
        assert_int_equal(msg.minor_version, 1);
        assert_true(msg.keep_alive);
    }
}

static void joins_chunks(void **state)
{
    (void)state;
    for (size_t p = 0; p < VLY_COUNT(pieces); p++) {
        parse("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
              "3\r\nabc\r\n0A;ext=\"v\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
              pieces[p]);
        assert_true(vly_str_is(vly_buf_str(&msg.body), "abc0123456789"));
        assert_int_equal(msg.n_headers, 2); /* the trailer is not kept */
    }
}

static void targets(void **state)
{
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/", "/", ""},
        {"/a?", "/a", ""},
        {"/a?b?c", "/a", "b?c"},
        {"http://host:80/p?q", "/p", "q"},
        {"HTTPS://host/", "/", ""},
        {"http://host", "/", ""},
        {"/a%2fb%3Fc", "/a/b?c", ""},
    };
    char text[128];

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].target);
        for (size_t p = 0; p < VLY_COUNT(pieces); p++) {
            parse(text, pieces[p]);
            assert_true(vly_str_is(msg.path, cases[i].path));
            assert_true(vly_str_is(msg.query, cases[i].query));
        }
    }
    parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 1);
    assert_true(vly_str_is(msg.path, "*"));
}

static void persistence(void **state)
{
    static const struct {
        const char *text;
        bool keep_alive;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", true},
    };
    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        for (size_t p = 0; p < VLY_COUNT(pieces); p++) {
            parse(cases[i].text, pieces[p]);
            assert_int_equal(msg.keep_alive, cases[i].keep_alive);
        }
    }
}

/* An upgrade is ignored: what follows is the body and the next request. */
static void upgrade_with_a_body(void **state)
{
    (void)state;
    parse("POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
          "Content-Length: 2\r\n\r\nhi",
          SIZE_MAX);
    assert_true(vly_str_is(vly_buf_str(&msg.body), "hi"));
}

static void one_after_the_other(void **state)
{
    vly_str in =
        VLY_STR("GET /1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n\r\n"
                "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
                "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)state;
    for (size_t p = 0; p < VLY_COUNT(pieces); p++) {
        vly_str rest = in;
        restart();
        for (int c = '1'; c <= '3'; c++) {
            if (c > '1') {
                vly_http_msg_clear(&msg);
                vly_http1_begin(&parser, &msg);
            }
            assert_int_equal(feed(rest, pieces[p], &rest), VLY_HTTP1_MESSAGE);
            assert_int_equal(msg.path.ptr[1], c);
        }
        assert_int_equal(rest.len, 0);
    }
}

static void expect_continue(void **state)
{
    (void)state;
    restart();
    assert_int_equal(feed(VLY_STR("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n"
                                  "Content-Length: 2\r\n\r\n"),
                          1, NULL),
                     VLY_HTTP1_MORE);
    assert_true(parser.wants_continue);
    assert_int_equal(feed(VLY_STR("a"), 1, NULL), VLY_HTTP1_MORE);
    assert_false(parser.wants_continue);
    assert_int_equal(feed(VLY_STR("b"), 1, NULL), VLY_HTTP1_MESSAGE);

    parse("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", 1); /* no body to ask for */
    assert_false(parser.wants_continue);
    restart();
    assert_int_equal(feed(VLY_STR("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n"
                                  "Content-Length: 2\r\n\r\n"),
                          1, NULL),
                     VLY_HTTP1_MORE);
    assert_false(parser.wants_continue); /* HTTP/1.0 does not know it */
}

#define HEAD    "POST / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define X32     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256    X32 X32 X32 X32 X32 X32 X32 X32

/* What must never get through, and with which status. */
static void refuses(void **state)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        /* framing that two parsers could read differently */
        {HEAD "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {HEAD "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400},
        {HEAD "Content-Length: 4\r\nContent-Length: 5\r\n\r\n01234", 400},
        {HEAD "Content-Length: 4\r\nContent-Length: 4\r\n\r\n0123", 400},
        {HEAD "Content-Length: 4, 4\r\n\r\n0123", 400},
        {HEAD "Content-Length: +4\r\n\r\n0123", 400},
        {HEAD "Content-Length: -1\r\n\r\n", 400},
        {HEAD "Content-Length: 0x4\r\n\r\n0123", 400},
        {HEAD "Content-Length: 4 4\r\n\r\n0123", 400},
        {HEAD "Content-Length: \r\n\r\n", 400},
        {HEAD "Content-Length: 99999999999999999999\r\n\r\n", 400},
        {HEAD "Content-Length : 4\r\n\r\n0123", 400},
        {HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
        {HEAD "Transfer-Encoding: gzip\r\n\r\n", 501},
        {HEAD "Transfer-Encoding: chunked, identity\r\n\r\n", 400},
        {HEAD "Transfer-Encoding: xchunked\r\n\r\n", 501},
        {HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {HEAD "Transfer-Encoding:\x0b"
              "chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {HEAD "X: a\r\n folded\r\n\r\n", 400},
        {HEAD " X: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: h\n\n", 505},
        {"GET / HTTP/1.1\r\nHost: h\n\r\n", 400},
        {"GET / HTTP/1.1\rHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
        {HEAD "X: a\rb\r\n\r\n", 400},
        {HEAD "X: a\x01"
              "b\r\n\r\n",
         400},
        {HEAD "X(: a\r\n\r\n", 400},
        {HEAD "No colon\r\n\r\n", 400},
        {HEAD ": no name\r\n\r\n", 400},
        /* chunk sizes */
        {CHUNKED "g\r\n", 400},
        {CHUNKED "\r\n", 400},
        {CHUNKED "-1\r\n", 400},
        {CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", 400},
        {CHUNKED "1 \r\na\r\n0\r\n\r\n", 400},
        {CHUNKED "1\na\r\n0\r\n\r\n", 400},
        {CHUNKED "1\r\nab\r\n0\r\n\r\n", 400},
        {CHUNKED "fffffffffffffffff\r\n", 400},
        /* request line */
        {"GET / HTTP/1.1\r\n\r\n", 400},                       /* no Host */
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400}, /* two */
        {"get / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
        {"FETCH / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
        {"\x16\x03\x01\x02", 501}, /* TLS on a plain port */
        {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
        {"GET / HTTP/11\r\nHost: h\r\n\r\n", 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"GET /\r\n\r\n", 505},
        {"GET relative HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a#f HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501},
        {HEAD "Expect: 200-ok\r\n\r\n", 417},
        /* limits: 256 bytes of head, 6 headers, 32 of body */
        {"GET /" X256 " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
        {HEAD "X: " X256 "\r\n\r\n", 431},
        {HEAD X256 ": x\r\n\r\n", 431},
        {HEAD "X: " X32 X32 X32 X32 X32 X32 X32 "0123456789012345678\r\n\r\n", 431}, /* by ": " */
        {HEAD "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\n\r\n", 431},
        {HEAD "Content-Length: 33\r\n\r\n", 413}, /* before any byte of the body */
        {CHUNKED "10\r\n0123456789abcdef\r\n11\r\n0123456789abcdefX\r\n", 413},
        {CHUNKED "1;" X256 "\r\na\r\n0\r\n\r\n", 431},
        {CHUNKED "1;n=" X256 "\r\na\r\n0\r\n\r\n", 431},
        {CHUNKED "0\r\nT: " X256 "\r\n\r\n", 431},
    };
    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        for (size_t p = 0; p < VLY_COUNT(pieces); p++) {
            restart();
            vly_http1_event event = feed(vly_str_from(cases[i].text), pieces[p], NULL);
            if (event != VLY_HTTP1_ERROR || parser.status != cases[i].status)
                fail_msg("event %d status %d (%s), expected %d, in pieces of %zu:\n%s", event,
                         parser.status, parser.reason, cases[i].status, pieces[p], cases[i].text);
            assert_true(parser.reason[0] != '\0');
        }
    }
}

static void at_the_limits(void **state)
{
    (void)state;
    parse(HEAD "Content-Length: 32\r\n\r\n" X32, 1);
    parse(CHUNKED "20\r\n" X32 "\r\n0\r\n\r\n", 1);
    parse(HEAD "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\n\r\n", 1); /* the sixth header */
    assert_int_equal(msg.n_headers, 6);
    parse("GET /" X32 X32 X32 X32 X32 X32 " HTTP/1.1\r\nHost: h\r\n\r\n", 1);
}

static void the_budget_spans_messages(void **state)
{
    vly_http_msg other;

    (void)state;
    assert_int_equal(vly_http_msg_init(&other, &limits, NULL), VLY_OK);
    atomic_store(&budget.used_bytes, 40); /* others hold this much of 64 */
    restart();
    assert_int_equal(feed(VLY_STR(HEAD "Content-Length: 25\r\n\r\n" X32), SIZE_MAX, NULL),
                     VLY_HTTP1_ERROR);
    assert_int_equal(parser.status, 503);
    assert_int_equal(atomic_load(&budget.used_bytes), 40);
    parse(HEAD "Content-Length: 24\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxx", 5);
    assert_int_equal(atomic_load(&budget.used_bytes), 64);
    vly_http_msg_clear(&msg);
    assert_int_equal(atomic_load(&budget.used_bytes), 40);
    vly_http_msg_release(&other);
}

static void reuse_allocates_nothing(void **state)
{
    (void)state;
    parse(HEAD "Content-Length: 3\r\n\r\nabc", SIZE_MAX);
    uint64_t before = vly_mem_count_all();
    for (int i = 0; i < 100; i++)
        parse(HEAD "Content-Length: 3\r\n\r\nabc", SIZE_MAX);
    assert_int_equal(vly_mem_count_all(), before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(reads_every_part), TEST(joins_chunks), TEST(targets), TEST(persistence),
           TEST(upgrade_with_a_body), TEST(one_after_the_other), TEST(expect_continue),
           TEST(refuses), TEST(at_the_limits), TEST(the_budget_spans_messages),
           TEST(reuse_allocates_nothing))
