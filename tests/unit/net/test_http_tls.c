/* SPDX-License-Identifier: MIT */
/* The server behind TLS, spoken to by OpenSSL's client over a socket. */
#include "base/assert.h"
#include "support/certificate.h"
#include "support/temp_dir.h"
#include "wire.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define H          "Host: h\r\n"
#define CLOSE      H "Connection: close\r\n\r\n"
#define TEXT       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
#define WHAT       TEXT "Content-Length: 10\r\n"
#define WHAT_CLOSE WHAT "Connection: close\r\n\r\nGET /what?"

static char dir[TEMP_DIR_PATH_MAX];
static certificate cert;
static vly_tls *tls;
static SSL_CTX *client_rules;
static wire w;

static int setup(void **state)
{
    (void)state;
    client_rules = SSL_CTX_new(TLS_client_method());
    if (client_rules == NULL || !temp_dir_make(dir) || !certificate_make(dir, "server", &cert))
        return 1;
    const vly_tls_opts opts = {.certificate = cert.certificate, .key = cert.key};
    return vly_tls_new(&opts, &tls, NULL) != VLY_OK;
}

static int teardown(void **state)
{
    (void)state;
    vly_tls_free(tls);
    SSL_CTX_free(client_rules);
    ERR_clear_error();
    return !temp_dir_remove(dir);
}

static vly_http_opts tls_opts(void)
{
    vly_http_opts o = wire_opts();
    o.tls = tls;
    return o;
}

/* A client on a socket of its own, before its handshake. */
static SSL *client_new(void)
{
    SSL *ssl = SSL_new(client_rules);

    assert_non_null(ssl);
    assert_int_equal(SSL_set_fd(ssl, wire_connect(&w)), 1);
    SSL_set_connect_state(ssl);
    return ssl;
}

static void client_free(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void client_puts(SSL *ssl, const char *text)
{
    assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), (int)strlen(text));
}

/* Until the server says that it ends, which it must, or n_bytes have come (0: no limit). Without
 * the line of Date. */
static const char *client_read(SSL *ssl, size_t n_bytes)
{
    static char text[8 << 20];
    size_t len = 0;
    int n;

    while ((n_bytes == 0 || len < n_bytes) &&
           (n = SSL_read(ssl, text + len, (int)(sizeof(text) - 1 - len))) > 0) {
        len += (size_t)n;
        text[len] = '\0';
        char *date = strstr(text, "Date: ");
        char *end = date != NULL ? strchr(date, '\n') : NULL;
        if (end != NULL) {
            memmove(date, end + 1, strlen(end + 1) + 1);
            len = strlen(text);
        }
    }
    text[len] = '\0';
    if (n_bytes == 0 || len < n_bytes)
        assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
    return text;
}

static void answers_and_says_the_end(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    wire_start(&w, &o);
    SSL *ssl = client_new();
    client_puts(ssl, "GET /what HTTP/1.1\r\n" H "\r\n");
    assert_string_equal(client_read(ssl, strlen(WHAT "\r\nGET /what?")), WHAT "\r\nGET /what?");
    client_puts(ssl, "GET /later HTTP/1.1\r\n" H "\r\nGET /what HTTP/1.1\r\n" CLOSE);
    assert_string_equal(client_read(ssl, 0),
                        TEXT "Content-Length: 11\r\n\r\nGET /later?" WHAT_CLOSE);
    client_free(ssl);
    wire_stop(&w);
}

/* More than a session may hold, to a client that takes its time: many turns of one batch. */
static void carries_large_bodies(void **state)
{
    static char body[1 << 20];
    char head[128];

    (void)state;
    vly_http_opts o = tls_opts();
    wire_start(&w, &o);
    SSL *ssl = client_new();
    client_puts(ssl, "GET /large/5000000 HTTP/1.1\r\n" H "\r\n");
    snprintf(head, sizeof(head), TEXT "Content-Length: 5000000\r\n\r\n");
    const char *text = client_read(ssl, strlen(head) + 5000000);
    assert_memory_equal(text, head, strlen(head));
    assert_int_equal(strspn(text + strlen(head), "x"), 5000000);

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)('a' + i % 23);
    snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n",
             sizeof(body));
    client_puts(ssl, head);
    assert_int_equal(SSL_write(ssl, body, sizeof(body)), sizeof(body));
    snprintf(head, sizeof(head), TEXT "Content-Length: %zu\r\n\r\n", sizeof(body));
    text = client_read(ssl, strlen(head) + sizeof(body));
    assert_memory_equal(text, head, strlen(head));
    assert_memory_equal(text + strlen(head), body, sizeof(body));
    client_free(ssl);
    wire_stop(&w);
}

static void a_client_that_never_reads_is_dropped(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    o.write_timeout_ms = 100;
    wire_start(&w, &o);
    SSL *ssl = client_new();
    client_puts(ssl, "GET /large/50000000 HTTP/1.1\r\n" H "\r\n");
    const vly_gauge *n_open = &vly_http_server_stats(w.server)->connections_open;
    wire_wait_until(vly_gauge_get(n_open) == 0);
    client_free(ssl);
    wire_stop(&w);
}

static void plain_http_is_told(void **state)
{
    static const char text[] = "{\"error\":\"this port speaks HTTPS, and the request came as plain "
                               "HTTP\"}";
    char expected[512];

    (void)state;
    vly_http_opts o = tls_opts();
    wire_start(&w, &o);
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s",
             sizeof(text) - 1, text);
    wire_expect(&w, "GET /what HTTP/1.1\r\n" H "\r\n", SIZE_MAX, expected);
    wire_stop(&w);
}

static void garbage_ends_the_connection(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    wire_start(&w, &o);
    int fd = wire_connect(&w);
    wire_puts(fd, "\x16\x03\x01\xff\xff\x01\x01\x01\x01\x01");
    wire_read(fd, 0, NULL); /* perhaps an alert, then the end */
    close(fd);
    assert_int_equal(vly_counter_get(&vly_http_server_stats(w.server)->parse_errors), 1);
    wire_stop(&w);
}

static void a_slow_handshake_is_given_up(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    o.header_timeout_ms = 50;
    wire_start(&w, &o);
    int fd = wire_connect(&w);
    wire_puts(fd, "\x16\x03\x01");
    assert_true(wire_is_closed(fd));
    close(fd);
    wire_stop(&w);
}

static void one_too_many_is_refused(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    o.max_connections = 1;
    wire_start(&w, &o);
    SSL *first = client_new();
    assert_int_equal(SSL_do_handshake(first), 1);
    SSL *second = client_new();
    client_puts(second, "GET /what HTTP/1.1\r\n" CLOSE);
    assert_non_null(strstr(client_read(second, 0), "HTTP/1.1 503 "));
    client_puts(first, "GET /what HTTP/1.1\r\n" CLOSE);
    assert_string_equal(client_read(first, 0), WHAT_CLOSE);
    client_free(first);
    client_free(second);
    wire_stop(&w);
}

/* The client says its end and keeps the socket: what it has asked for still comes. */
static void half_closed_clients_get_their_answer(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    o.abort_on_close = false;
    wire_start(&w, &o);
    SSL *ssl = client_new();
    client_puts(ssl, "GET /hold HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(SSL_shutdown(ssl), 0);
    wire_wait_held(&w, 1);
    wire_let_go(&w);
    assert_string_equal(client_read(ssl, 0), WHAT "\r\nGET /hold?");
    client_free(ssl);
    wire_stop(&w);
}

static void a_client_that_leaves_is_noticed(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    wire_start(&w, &o);
    SSL *ssl = client_new();
    client_puts(ssl, "GET /hold HTTP/1.1\r\n" H "\r\n");
    vly_http_request *req = wire_wait_held(&w, 1);
    client_free(ssl); /* without a word */
    wire_wait_until(atomic_load(&req->is_cancelled));
    wire_stop(&w);
}

static void idle_connections_are_told_the_end(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    o.idle_timeout_ms = 50;
    wire_start(&w, &o);
    SSL *ssl = client_new();
    assert_int_equal(SSL_do_handshake(ssl), 1);
    assert_string_equal(client_read(ssl, 0), "");
    client_free(ssl);
    wire_stop(&w);
}

static void drains(void **state)
{
    (void)state;
    vly_http_opts o = tls_opts();
    wire_start(&w, &o);
    SSL *ssl = client_new();
    client_puts(ssl, "GET /what HTTP/1.1\r\n" H "\r\n");
    client_read(ssl, strlen(WHAT "\r\nGET /what?"));
    assert_true(vly_http_server_drain(w.server, 10000));
    assert_string_equal(client_read(ssl, 0), "");
    client_free(ssl);
    wire_stop(&w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(answers_and_says_the_end), TEST(carries_large_bodies),
           TEST(a_client_that_never_reads_is_dropped), TEST(plain_http_is_told),
           TEST(garbage_ends_the_connection), TEST(a_slow_handshake_is_given_up),
           TEST(one_too_many_is_refused), TEST(half_closed_clients_get_their_answer),
           TEST(a_client_that_leaves_is_noticed), TEST(idle_connections_are_told_the_end),
           TEST(drains))
