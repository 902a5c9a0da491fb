/* SPDX-License-Identifier: MIT */
#include "net/tls_client.h"
#include "support/certificate.h"
#include "support/temp_dir.h"
#include "unit.h"

#include "base/assert.h"

#include <stdio.h>
#include <unistd.h>

#define OUT_BYTES VLY_TLS_OUT_MIN_BYTES

typedef struct link {
    char dir[TEMP_DIR_PATH_MAX];
    certificate own, other;
    vly_tls *server;
    vly_tls_client *client;
    vly_tls_session *theirs, *ours;
    vly_buf wire, plain;
    vly_err err; /* of the client */
} link_t;

static void begin(link_t *l, const vly_tls_client_opts *opts, bool has_http2, const char *host)
{
    vly_err err = VLY_ERR_INIT;

    *l = (link_t){.err = VLY_ERR_INIT};
    assert_true(temp_dir_make(l->dir));
    assert_true(certificate_make(l->dir, "own", &l->own));
    assert_true(certificate_make(l->dir, "other", &l->other));
    const vly_tls_opts server = {.certificate = l->own.certificate,
                                 .key = l->own.key,
                                 .min_version = VLY_TLS_1_2,
                                 .has_http2 = has_http2};
    vly_tls_client_opts client = *opts;
    if (client.ca != NULL)
        client.ca = client.ca[0] == 'o' ? l->own.certificate : l->other.certificate;
    assert_int_equal(vly_tls_new(&server, &l->server, &err), VLY_OK);
    assert_int_equal(vly_tls_client_new(&client, &l->client, &err), VLY_OK);
    assert_int_equal(vly_tls_session_new(l->server, OUT_BYTES, &l->theirs, &err), VLY_OK);
    assert_int_equal(vly_tls_client_session_new(l->client, host, OUT_BYTES, &l->ours, &err),
                     VLY_OK);
    vly_buf_init(&l->wire, VLY_MEM_NET, OUT_BYTES);
    vly_buf_init(&l->plain, VLY_MEM_NET, 1 << 20);
}

static void end(link_t *l)
{
    vly_tls_session_free(l->ours);
    vly_tls_session_free(l->theirs);
    vly_tls_client_free(l->client);
    vly_tls_free(l->server);
    vly_buf_release(&l->wire);
    vly_buf_release(&l->plain);
    assert_true(temp_dir_remove(l->dir));
}

/* What waits in from, to the other one; false: nothing did. */
static bool carry(link_t *l, vly_tls_session *from, vly_tls_session *to, vly_err *err)
{
    vly_buf_clear(&l->wire);
    vly_tls_session_take(from, &l->wire);
    if (l->wire.len == 0)
        return false;
    (void)!vly_tls_session_feed(to, vly_buf_str(&l->wire), &l->plain, err);
    return true;
}

static void shake_hands(link_t *l)
{
    vly_str nothing = {NULL, 0};
    bool goes_on = true;

    assert_int_equal(vly_tls_session_feed(l->ours, nothing, &l->plain, &l->err), VLY_OK);
    while (goes_on) {
        goes_on = carry(l, l->ours, l->theirs, NULL);
        goes_on = carry(l, l->theirs, l->ours, &l->err) || goes_on;
    }
}

static void assert_says(link_t *l, vly_tls_session *from, vly_tls_session *to, const char *text)
{
    size_t taken;

    vly_buf_clear(&l->plain);
    assert_int_equal(vly_tls_session_write(from, vly_str_from(text), &taken, NULL), VLY_OK);
    assert_int_equal(taken, strlen(text));
    while (carry(l, from, to, NULL))
        continue;
    assert_true(vly_str_is(vly_buf_str(&l->plain), text));
}

static void trusted_server_is_spoken_to(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    for (size_t i = 0; i < VLY_COUNT(hosts); i++) {
        link_t l;
        begin(&l, &(vly_tls_client_opts){.ca = "own", .alpn = "h2"}, true, hosts[i]);
        shake_hands(&l);
        assert_int_equal(vly_tls_session_state(l.ours), VLY_TLS_OPEN);
        assert_true(vly_str_is(vly_tls_session_alpn(l.ours), "h2"));
        assert_says(&l, l.ours, l.theirs, "a question");
        assert_says(&l, l.theirs, l.ours, "an answer");
        end(&l);
    }
}

static void distrust_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *ca, *host, *why;
    } cases[] = {
        {"x", "localhost", "not trusted: self-signed certificate"},
        {NULL, "localhost", "not trusted: self-signed certificate"}, /* the system's */
        {"own", "elsewhere", "not trusted: hostname mismatch"},
        {"own", "127.0.0.2", "not trusted: IP address mismatch"},
    };
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        link_t l;
        begin(&l, &(vly_tls_client_opts){.ca = cases[i].ca}, true, cases[i].host);
        shake_hands(&l);
        assert_int_equal(vly_tls_session_state(l.ours), VLY_TLS_FAILED);
        if (strstr(l.err.msg, cases[i].why) == NULL)
            fail_msg("'%s' lacks '%s'", l.err.msg, cases[i].why);
        end(&l);
    }
}

static void anyone_is_taken_if_told_so(void **state)
{
    (void)state;
    link_t l;

    begin(&l, &(vly_tls_client_opts){.is_unverified = true, .alpn = "http/1.1"}, false,
          "elsewhere");
    shake_hands(&l);
    assert_int_equal(vly_tls_session_state(l.ours), VLY_TLS_OPEN);
    assert_true(vly_str_is(vly_tls_session_alpn(l.ours), "http/1.1"));
    assert_says(&l, l.ours, l.theirs, "a question");
    end(&l);
}

static void server_without_the_protocol_fails(void **state)
{
    (void)state;
    link_t l;

    begin(&l, &(vly_tls_client_opts){.ca = "own", .alpn = "h2"}, false, "localhost");
    shake_hands(&l);
    assert_int_equal(vly_tls_session_state(l.ours), VLY_TLS_FAILED);
    assert_non_null(strstr(l.err.msg, "no application protocol"));
    end(&l);
}

static void other_bytes_fail(void **state)
{
    (void)state;
    vly_str nothing = {NULL, 0};
    link_t l;

    begin(&l, &(vly_tls_client_opts){.ca = "own"}, true, "localhost");
    assert_int_equal(vly_tls_session_feed(l.ours, nothing, &l.plain, &l.err), VLY_OK);
    assert_int_equal(
        vly_tls_session_feed(l.ours, VLY_STR("HTTP/1.1 400 Bad Request\r\n\r\n"), &l.plain, &l.err),
        VLY_EFORMAT);
    assert_non_null(strstr(l.err.msg, "wrong version number"));
    end(&l);
}

static void files_that_are_none_are_named(void **state)
{
    (void)state;
    static const char *const cas[] = {"/nonexistent/ca.pem", "/dev/null"};
    vly_tls_client *client;
    vly_err err;

    for (size_t i = 0; i < VLY_COUNT(cas); i++) {
        const vly_tls_client_opts opts = {.ca = cas[i]};
        assert_int_equal(vly_tls_client_new(&opts, &client, &err), VLY_EINVAL);
        assert_non_null(strstr(err.msg, cas[i]));
    }
}

UNIT_TESTS(cmocka_unit_test(trusted_server_is_spoken_to), cmocka_unit_test(distrust_is_told),
           cmocka_unit_test(anyone_is_taken_if_told_so),
           cmocka_unit_test(server_without_the_protocol_fails), cmocka_unit_test(other_bytes_fail),
           cmocka_unit_test(files_that_are_none_are_named))
