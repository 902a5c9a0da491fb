/* SPDX-License-Identifier: MIT */
/* The client against the server of this room, which other clients have judged. */
#include "net/http_client.h"

#include "support/certificate.h"
#include "support/temp_dir.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    wire wire;
    vly_http_client *client;
    vly_buf answer;
    int status;
    vly_err err;
} fixture;

static fixture fx;

static int setup_with(const vly_http_opts *o)
{
    fx = (fixture){.status = -1};
    wire_start(&fx.wire, o);
    vly_buf_init(&fx.answer, VLY_MEM_NET, 1000);
    vly_status st = vly_http_client_new(&fx.client, &fx.err);
    if (st == VLY_EUNSUPPORTED)
        return 0;
    assert_int_equal(st, VLY_OK);
    return 0;
}

static int setup(void **state)
{
    vly_http_opts o = wire_opts();

    (void)state;
    return setup_with(&o);
}

static int teardown(void **state)
{
    (void)state;
    vly_http_client_free(fx.client);
    vly_buf_release(&fx.answer);
    wire_stop(&fx.wire);
    return 0;
}

static vly_status send_request(vly_http_client_request r, const char *scheme, const char *path)
{
    char url[256];

    if (fx.client == NULL) {
        print_message("skipped: the build lacks libcurl\n");
        skip();
    }
    snprintf(url, sizeof(url), "%s://127.0.0.1:%u%s", scheme, vly_http_server_port(fx.wire.server),
             path);
    r.url = url;
    if (r.method == NULL)
        r.method = "GET";
    if (r.timeout_ms == 0)
        r.timeout_ms = 10000;
    vly_buf_clear(&fx.answer);
    return vly_http_client_send(fx.client, &r, &fx.status, &fx.answer, &fx.err);
}

static void expect(vly_http_client_request r, const char *path, int status, const char *body)
{
    if (send_request(r, "http", path) != VLY_OK)
        fail_msg("%s", fx.err.msg);
    assert_int_equal(fx.status, status);
    assert_int_equal(fx.answer.len, strlen(body));
    assert_true(vly_str_is(vly_buf_str(&fx.answer), body));
}

static void test_methods(void **state)
{
    (void)state;
    expect((vly_http_client_request){.method = "GET"}, "/what?a=b", 200, "GET /what?a=b");
    expect((vly_http_client_request){.method = "PUT", .body = VLY_STR("{}")}, "/what", 200,
           "PUT /what?");
    expect((vly_http_client_request){.method = "DELETE"}, "/later", 200, "DELETE /later?");
    expect((vly_http_client_request){.method = "HEAD"}, "/what", 200, "");
    expect((vly_http_client_request){.method = "GET"}, "/nothing", 404,
           "{\"error\":\"no \\\"such\\\" path\"}");
    /* One connection served them all. */
    assert_int_equal(vly_counter_get(&vly_http_server_stats(fx.wire.server)->connections), 1);
}

static void test_bodies(void **state)
{
    (void)state;
    expect((vly_http_client_request){.method = "POST", .body = VLY_STR("one\ntwo")}, "/echo", 200,
           "one\ntwo");
    expect((vly_http_client_request){.method = "POST"}, "/echo", 200, "");
    expect((vly_http_client_request){.method = "POST"}, "/empty", 204, "");
}

static void test_answer_too_large(void **state)
{
    (void)state;
    assert_int_equal(send_request((vly_http_client_request){0}, "http", "/large/1001"), VLY_ELIMIT);
    assert_non_null(strstr(fx.err.msg, "too large"));
    assert_int_equal(fx.answer.len, 0);
    assert_int_equal(send_request((vly_http_client_request){0}, "http", "/large/999"), VLY_OK);
    assert_int_equal(fx.answer.len, 999);
}

static void test_too_late(void **state)
{
    (void)state;
    vly_http_client_request r = {.timeout_ms = 50};

    assert_int_equal(send_request(r, "http", "/hold"), VLY_EDEADLINE);
    assert_int_equal(fx.answer.len, 0);
}

static void test_nobody_there(void **state)
{
    (void)state;
    vly_http_client_request r = {.method = "GET", .url = "http://127.0.0.1:1/", .timeout_ms = 5000};

    if (fx.client == NULL)
        skip();
    vly_status st = vly_http_client_send(fx.client, &r, &fx.status, &fx.answer, &fx.err);
    assert_int_equal(st, VLY_EUNAVAILABLE);
    assert_non_null(strstr(fx.err.msg, "http://127.0.0.1:1/"));
    assert_int_equal(fx.status, -1);
}

static void test_bad_requests(void **state)
{
    static const vly_http_header bad[] = {{{"X", 1}, {"a\r\nY: b", 7}}};
    char *long_url = malloc(VLY_HTTP_CLIENT_URL_MAX + 20);
    const char *urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "http://", long_url};

    (void)state;
    assert_non_null(long_url);
    memset(long_url, 'a', VLY_HTTP_CLIENT_URL_MAX + 19);
    long_url[VLY_HTTP_CLIENT_URL_MAX + 19] = '\0';
    memcpy(long_url, "http://h/", 9);
    assert_int_equal(
        send_request((vly_http_client_request){.headers = bad, .n_headers = 1}, "http", "/what"),
        VLY_EINVAL);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        vly_http_client_request r = {.method = "GET", .url = urls[i], .timeout_ms = 5000};
        assert_int_equal(vly_http_client_send(fx.client, &r, &fx.status, &fx.answer, &fx.err),
                         VLY_EINVAL);
    }
    free(long_url);
}

/* ---- headers: a server that sends back what it got ---- */

static void answer_headers(void *ctx, vly_http_request *req)
{
    vly_buf b;

    (void)ctx;
    vly_buf_init(&b, VLY_MEM_NET, 10000);
    for (size_t i = 0; i < req->msg.n_headers; i++)
        if (vly_str_starts(req->msg.headers[i].name, VLY_STR("X-")) ||
            vly_str_eq_nocase(req->msg.headers[i].name, VLY_STR("Expect")))
            vly_buf_printf(&b, "%.*s=%.*s\n", VLY_STR_ARG(req->msg.headers[i].name),
                           VLY_STR_ARG(req->msg.headers[i].value));
    vly_http_respond(req, &(vly_http_answer){.status = 200, .parts = &b, .n_parts = 1});
}

static void test_headers(void **state)
{
    static const vly_http_header headers[] = {
        {{"X-One", 5}, {"a: b;c", 6}}, {{"X-Empty", 7}, {"", 0}}, {{"X-Two", 5}, {"2", 1}}};
    char body[5000]; /* so large that curl would ask by Expect: 100-continue */
    vly_http_opts o = wire_opts();
    vly_http_server *wire_server = fx.wire.server;

    (void)state;
    memset(body, 'x', sizeof(body));
    o.on_request = answer_headers;
    assert_int_equal(vly_http_server_start(&o, &fx.wire.server, NULL), VLY_OK);
    expect(
        (vly_http_client_request){
            .method = "POST", .headers = headers, .n_headers = 3, .body = {body, sizeof(body)}},
        "/", 200, "X-One=a: b;c\nX-Empty=\nX-Two=2\n");
    vly_http_server_free(fx.wire.server);
    fx.wire.server = wire_server;
}

/* ---- TLS ---- */

static void test_certificate(void **state)
{
    certificate files, other;
    char dir[TEMP_DIR_PATH_MAX];
    vly_http_opts o = wire_opts();

    (void)state;
    assert_true(temp_dir_make(dir));
    assert_true(certificate_make(dir, "server", &files));
    assert_true(certificate_make(dir, "other", &other));
    const vly_tls_opts tls = {.certificate = files.certificate, .key = files.key};
    assert_int_equal(vly_tls_new(&tls, &o.tls, &fx.err), VLY_OK);
    vly_tls *keep = o.tls;
    setup_with(&o);
    vly_status st = send_request((vly_http_client_request){0}, "https", "/what");
    assert_int_equal(st, VLY_EUNAVAILABLE); /* nobody vouches for it */
    st = send_request((vly_http_client_request){.ca = other.certificate}, "https", "/what");
    assert_int_equal(st, VLY_EUNAVAILABLE);
    st = send_request((vly_http_client_request){.ca = files.certificate}, "https", "/what");
    assert_int_equal(st, VLY_OK);
    assert_true(vly_str_is(vly_buf_str(&fx.answer), "GET /what?"));
    teardown(NULL);
    vly_tls_free(keep);
    temp_dir_remove(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

UNIT_TESTS(TEST(test_methods), TEST(test_bodies), TEST(test_answer_too_large), TEST(test_too_late),
           TEST(test_nobody_there), TEST(test_bad_requests), TEST(test_headers),
           cmocka_unit_test(test_certificate))
