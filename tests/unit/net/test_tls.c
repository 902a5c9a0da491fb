/* SPDX-License-Identifier: MIT */
/* Sessions against OpenSSL's own client, in memory. */
#include "base/assert.h"
#include "net/tls.h"
#include "support/certificate.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>

#define OUT_MAX   VLY_TLS_OUT_MIN_BYTES
#define PLAIN_MAX ((size_t)4 << 20)

/* A client and a server's session with the bytes between them. */
typedef struct pair {
    SSL_CTX *rules;
    SSL *client; /* its BIOs are OpenSSL's memory BIOs */
    vly_tls_session *server;
    vly_buf plain; /* what the server has read */
    vly_buf wire;  /* ciphertext on its way to the client */
    size_t piece;  /* most bytes fed at once */
    vly_status status;
    vly_err err;
} pair;

static char dir[TEMP_DIR_PATH_MAX];
static certificate first;
static vly_tls *tls;

static vly_tls_opts opts_of(const certificate *c)
{
    return (vly_tls_opts){.certificate = c->certificate, .key = c->key, .has_http2 = true};
}

static int setup(void **state)
{
    (void)state;
    if (!temp_dir_make(dir) || !certificate_make(dir, "first", &first))
        return 1;
    vly_tls_opts opts = opts_of(&first);
    return vly_tls_new(&opts, &tls, NULL) != VLY_OK;
}

static int teardown(void **state)
{
    (void)state;
    vly_tls_free(tls);
    return !temp_dir_remove(dir);
}

static void pair_init(pair *p, size_t piece)
{
    *p = (pair){.piece = piece, .err = VLY_ERR_INIT};
    p->rules = SSL_CTX_new(TLS_client_method());
    p->client = SSL_new(p->rules);
    assert_non_null(p->client);
    SSL_set_bio(p->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(p->client);
    assert_int_equal(vly_tls_session_new(tls, OUT_MAX, &p->server, NULL), VLY_OK);
    vly_buf_init(&p->plain, VLY_MEM_NET, PLAIN_MAX);
    vly_buf_init(&p->wire, VLY_MEM_NET, PLAIN_MAX);
}

static void pair_release(pair *p)
{
    SSL_free(p->client);
    SSL_CTX_free(p->rules);
    vly_tls_session_free(p->server);
    vly_buf_release(&p->plain);
    vly_buf_release(&p->wire);
    ERR_clear_error();
}

static void feed(pair *p, const char *bytes, size_t n)
{
    for (size_t done = 0, piece; done < n && p->status == VLY_OK; done += piece) {
        piece = n - done < p->piece ? n - done : p->piece;
        p->status =
            vly_tls_session_feed(p->server, (vly_str){bytes + done, piece}, &p->plain, &p->err);
    }
}

/* Moves what each side has for the other. */
static void move(pair *p)
{
    char *bytes;
    long n = BIO_get_mem_data(SSL_get_wbio(p->client), &bytes);

    feed(p, bytes, (size_t)n);
    (void)BIO_reset(SSL_get_wbio(p->client));
    vly_buf_clear(&p->wire);
    vly_tls_session_take(p->server, &p->wire);
    if (p->wire.len > 0)
        BIO_write(SSL_get_rbio(p->client), p->wire.ptr, (int)p->wire.len);
}

/* Until both have done their handshake, or the server's has failed. */
static bool shake(pair *p)
{
    for (int i = 0; i < 6 && p->status == VLY_OK; i++) {
        (void)SSL_do_handshake(p->client);
        move(p);
    }
    return SSL_is_init_finished(p->client) && vly_tls_session_state(p->server) == VLY_TLS_OPEN;
}

/* Bytes that are not the same again after a few thousand. */
static char pattern(size_t i)
{
    return (char)(i * 31 + i / 4093);
}

static void client_sends(pair *p, size_t n)
{
    char *bytes = vly_alloc(VLY_MEM_NET, n);

    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(i);
    assert_int_equal(SSL_write(p->client, bytes, (int)n), (int)n);
    vly_free(bytes);
    vly_buf_clear(&p->plain);
    move(p);
    assert_int_equal(p->status, VLY_OK);
    assert_int_equal(p->plain.len, n);
    for (size_t i = 0; i < n; i++)
        if (p->plain.ptr[i] != pattern(i))
            fail_msg("byte %zu of %zu", i, n);
}

/* n bytes; as many turns as the limit on ciphertext asks for. */
static void server_sends(pair *p, size_t n)
{
    char *bytes = vly_alloc(VLY_MEM_NET, n), *got = vly_alloc(VLY_MEM_NET, n);
    size_t sent = 0, received = 0;

    assert_true(bytes != NULL && got != NULL);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(i);
    while (received < n) {
        size_t taken = 0;
        int len;
        assert_int_equal(
            vly_tls_session_write(p->server, (vly_str){bytes + sent, n - sent}, &taken, NULL),
            VLY_OK);
        assert_true(vly_tls_session_out_len(p->server) <= OUT_MAX);
        sent += taken;
        move(p);
        while ((len = SSL_read(p->client, got + received, (int)(n - received))) > 0)
            received += (size_t)len;
        assert_true(taken > 0 || sent == n);
    }
    assert_memory_equal(bytes, got, n);
    vly_free(bytes);
    vly_free(got);
}

static const size_t pieces[] = {SIZE_MAX, 1, 5, 1000};

static void carries_bytes_both_ways(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t sizes[] = {1, 16384, 16385, 200000};

    (void)state;
    for (size_t v = 0; v < VLY_COUNT(versions); v++) {
        for (size_t k = 0; k < VLY_COUNT(pieces); k++) {
            pair p;
            pair_init(&p, pieces[k]);
            SSL_set_max_proto_version(p.client, versions[v]);
            assert_true(shake(&p));
            assert_int_equal(SSL_version(p.client), versions[v]);
            for (size_t i = 0; i < VLY_COUNT(sizes); i++) {
                client_sends(&p, sizes[i]);
                server_sends(&p, sizes[i]);
            }
            pair_release(&p);
        }
    }
}

static void picks_the_protocol(void **state)
{
    static const struct {
        const char *offer, *chosen, *chosen_without; /* offer as on the wire; NULL: refused */
    } cases[] = {
        {"", "", ""},
        {"\x08http/1.1", "http/1.1", "http/1.1"},
        {"\x08http/1.1\x02h2", "h2", "http/1.1"}, /* our preference, not theirs */
        {"\x06spdy/1\x02h2", "h2", NULL},
        {"\x04h2-x", NULL, NULL},
    };
    vly_tls_opts opts = opts_of(&first);
    vly_tls *usual = tls;

    (void)state;
    for (int has_http2 = 0; has_http2 < 2; has_http2++) {
        opts.has_http2 = has_http2 != 0;
        assert_int_equal(vly_tls_new(&opts, &tls, NULL), VLY_OK);
        for (size_t i = 0; i < VLY_COUNT(cases); i++) {
            pair p;
            pair_init(&p, SIZE_MAX);
            const unsigned char *offer = (const unsigned char *)cases[i].offer;
            const char *chosen = has_http2 ? cases[i].chosen : cases[i].chosen_without;
            SSL_set_alpn_protos(p.client, offer, (unsigned)strlen(cases[i].offer));
            assert_int_equal(shake(&p), chosen != NULL);
            if (chosen != NULL)
                assert_true(vly_str_is(vly_tls_session_alpn(p.server), chosen));
            else
                assert_non_null(strstr(p.err.msg, "no application protocol"));
            pair_release(&p);
        }
        vly_tls_free(tls);
    }
    tls = usual;
}

static void refuses_old_versions(void **state)
{
    vly_tls_opts opts = opts_of(&first);
    vly_tls *usual = tls;
    pair p;

    (void)state;
    pair_init(&p, SIZE_MAX);
    SSL_set_security_level(p.client, 0);
    SSL_set_min_proto_version(p.client, TLS1_VERSION);
    SSL_set_max_proto_version(p.client, TLS1_1_VERSION);
    assert_false(shake(&p));
    assert_string_equal(p.err.msg, "TLS: unsupported protocol");
    pair_release(&p);

    opts.min_version = VLY_TLS_1_3;
    assert_int_equal(vly_tls_new(&opts, &tls, NULL), VLY_OK);
    pair_init(&p, SIZE_MAX);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    assert_false(shake(&p));
    pair_release(&p);
    vly_tls_free(tls);
    tls = usual;
}

static void refuses_weak_ciphers(void **state)
{
    pair p;

    (void)state;
    pair_init(&p, SIZE_MAX);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    assert_int_equal(SSL_set_cipher_list(p.client, "ECDHE-ECDSA-AES128-SHA"), 1);
    assert_false(shake(&p));
    assert_string_equal(p.err.msg, "TLS: no shared cipher");
    pair_release(&p);
}

static void parses_versions(void **state)
{
    vly_tls_version v = VLY_TLS_1_2;
    vly_err err;

    (void)state;
    assert_int_equal(vly_tls_version_parse(VLY_STR("1.3"), &v, NULL), VLY_OK);
    assert_int_equal(v, VLY_TLS_1_3);
    assert_int_equal(vly_tls_version_parse(VLY_STR("1.2"), &v, NULL), VLY_OK);
    assert_int_equal(v, VLY_TLS_1_2);
    assert_int_equal(vly_tls_version_parse(VLY_STR("1.1"), &v, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "TLS version: expected 1.2 or 1.3, got '1.1'");
}

/* A session whose peer speaks something else fails with a reason, at once or in pieces, and stays
 * failed. */
static void garbage_fails(void **state)
{
    static const struct {
        const char *bytes, *reason;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "TLS: http request"},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "TLS: "},
        {"\x16\x03\x01\xff\xff\x01\x01\x01\x01\x01", "TLS: "},
        {"\x17\x03\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01", "TLS: "},
    };

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        for (size_t k = 0; k < VLY_COUNT(pieces); k++) {
            pair p;
            char more[300] = {0};
            pair_init(&p, pieces[k]);
            feed(&p, cases[i].bytes, strlen(cases[i].bytes));
            feed(&p, more, sizeof(more));
            assert_int_equal(p.status, VLY_EFORMAT);
            assert_int_equal(vly_tls_session_state(p.server), VLY_TLS_FAILED);
            if (strstr(p.err.msg, cases[i].reason) == NULL)
                fail_msg("case %zu: '%s'", i, p.err.msg);
            size_t taken = 1;
            assert_int_equal(vly_tls_session_write(p.server, VLY_STR("x"), &taken, NULL), VLY_OK);
            assert_int_equal(taken, 0);
            assert_int_equal(vly_tls_session_feed(p.server, VLY_STR("x"), &p.plain, NULL),
                             VLY_EFORMAT);
            vly_tls_session_end(p.server);
            pair_release(&p);
        }
    }
}

/* A record that was changed on its way: what came before it is there, nothing after it. */
static void a_changed_byte_fails(void **state)
{
    pair p;
    char *bytes;

    (void)state;
    pair_init(&p, SIZE_MAX);
    assert_true(shake(&p));
    assert_int_equal(SSL_write(p.client, "good", 4), 4);
    assert_int_equal(SSL_write(p.client, "bad", 3), 3);
    long n = BIO_get_mem_data(SSL_get_wbio(p.client), &bytes);
    bytes[n - 1] = (char)(bytes[n - 1] ^ 1);
    move(&p);
    assert_int_equal(p.status, VLY_EFORMAT);
    assert_true(vly_str_is(vly_buf_str(&p.plain), "good"));
    assert_int_not_equal(p.wire.len, 0); /* the alert */
    char c;
    assert_true(SSL_read(p.client, &c, 1) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    pair_release(&p);
}

static void nothing_is_written_before_the_handshake(void **state)
{
    pair p;
    size_t taken = 1;

    (void)state;
    pair_init(&p, SIZE_MAX);
    assert_int_equal(vly_tls_session_state(p.server), VLY_TLS_HANDSHAKE);
    assert_int_equal(vly_tls_session_write(p.server, VLY_STR("early"), &taken, NULL), VLY_OK);
    assert_int_equal(taken, 0);
    vly_tls_session_end(p.server);
    assert_int_equal(vly_tls_session_out_len(p.server), 0);
    assert_true(shake(&p));
    server_sends(&p, 5);
    pair_release(&p);
}

static void ends_are_told_from_cuts(void **state)
{
    pair p;
    char c;

    (void)state;
    pair_init(&p, 1);
    assert_true(shake(&p));
    assert_int_equal(SSL_write(p.client, "last", 4), 4);
    assert_int_equal(SSL_shutdown(p.client), 0);
    char *bytes;
    long n = BIO_get_mem_data(SSL_get_wbio(p.client), &bytes);
    feed(&p, bytes, (size_t)n - 1);
    assert_int_equal(vly_tls_session_state(p.server), VLY_TLS_OPEN); /* cut: no end was said */
    assert_true(vly_str_is(vly_buf_str(&p.plain), "last"));
    feed(&p, bytes + n - 1, 1);
    assert_int_equal(p.status, VLY_OK);
    assert_int_equal(vly_tls_session_state(p.server), VLY_TLS_ENDED);
    (void)BIO_reset(SSL_get_wbio(p.client));

    feed(&p, "junk", 4); /* behind the end */
    assert_int_equal(p.status, VLY_OK);
    assert_true(vly_str_is(vly_buf_str(&p.plain), "last"));

    size_t taken;
    assert_int_equal(vly_tls_session_write(p.server, VLY_STR("answer"), &taken, NULL), VLY_OK);
    assert_int_equal(taken, 6); /* our side is still open */
    vly_tls_session_end(p.server);
    move(&p);
    char answer[8];
    assert_int_equal(SSL_read(p.client, answer, sizeof(answer)), 6);
    assert_int_equal(SSL_read(p.client, &c, 1), 0);
    assert_int_equal(SSL_get_error(p.client, 0), SSL_ERROR_ZERO_RETURN);
    pair_release(&p);
}

static void renegotiation_is_refused(void **state)
{
    pair p;

    (void)state;
    pair_init(&p, SIZE_MAX);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    assert_true(shake(&p));
    assert_int_equal(SSL_renegotiate(p.client), 1);
    int result = SSL_do_handshake(p.client);
    move(&p);
    if (p.status == VLY_OK)
        result = SSL_do_handshake(p.client);
    assert_int_not_equal(result, 1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    pair_release(&p);
}

/* New keys for every byte, asked for by a client that never reads: the answers are bounded. */
static void a_peer_that_makes_us_talk_is_dropped(void **state)
{
    pair p;
    int n_asked = 0;

    (void)state;
    pair_init(&p, SIZE_MAX);
    assert_true(shake(&p));
    for (; p.status == VLY_OK && n_asked < 100000; n_asked++) {
        char *bytes;
        SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED);
        if (SSL_write(p.client, "x", 1) != 1)
            break;
        long n = BIO_get_mem_data(SSL_get_wbio(p.client), &bytes);
        feed(&p, bytes, (size_t)n);
        (void)BIO_reset(SSL_get_wbio(p.client));
        assert_true(vly_tls_session_out_len(p.server) <= OUT_MAX);
    }
    assert_int_not_equal(p.status, VLY_OK);
    assert_in_range(n_asked, 2, 99999);
    pair_release(&p);
}

static void steady_state_keeps_its_buffers(void **state)
{
    pair p;

    (void)state;
    pair_init(&p, SIZE_MAX);
    assert_true(shake(&p));
    for (int i = 0; i < 3; i++)
        server_sends(&p, 30000);
    uint64_t before = vly_mem_count_all();
    for (int i = 0; i < 20; i++)
        server_sends(&p, 30000);
    assert_int_equal(vly_mem_count_all() - before, 20 * 2); /* the test's own two */
    pair_release(&p);
}

static void resumes_by_ticket(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t v = 0; v < VLY_COUNT(versions); v++) {
        pair p;
        pair_init(&p, SIZE_MAX);
        SSL_set_max_proto_version(p.client, versions[v]);
        assert_true(shake(&p));
        server_sends(&p, 1); /* and with it the tickets of 1.3 */
        SSL_SESSION *session = SSL_get1_session(p.client);
        SSL_set_shutdown(p.client, SSL_SENT_SHUTDOWN); /* or it counts as bad */
        pair_release(&p);

        pair_init(&p, SIZE_MAX);
        SSL_set_max_proto_version(p.client, versions[v]);
        assert_int_equal(SSL_set_session(p.client, session), 1);
        assert_true(shake(&p));
        assert_int_equal(SSL_session_reused(p.client), 1);
        server_sends(&p, 1);
        pair_release(&p);
        SSL_SESSION_free(session);
    }
}

/* ---- files ---- */

/* The name in the certificate that the server shows. */
static void name_shown(const pair *p, char name[64])
{
    X509 *cert = SSL_get1_peer_certificate(p->client);

    assert_non_null(cert);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, 64);
    X509_free(cert);
}

static void write_text(const char *path, const char *text)
{
    assert_int_equal(vly_file_write(path, text, strlen(text), NULL), VLY_OK);
}

static void copy_file(const char *from, const char *to)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
    assert_int_equal(vly_file_read(from, 1 << 20, &b, NULL), VLY_OK);
    assert_int_equal(vly_file_write(to, b.ptr, b.len, NULL), VLY_OK);
    vly_buf_release(&b);
}

static void reload_serves_the_new_certificate(void **state)
{
    certificate second;
    pair before, after;
    char name[64];

    (void)state;
    assert_true(certificate_make(dir, "second", &second));
    pair_init(&before, SIZE_MAX);
    assert_true(shake(&before));
    assert_false(vly_tls_is_stale(tls));
    copy_file(second.certificate, first.certificate);
    assert_true(vly_tls_is_stale(tls));
    copy_file(second.key, first.key);
    assert_int_equal(vly_tls_reload(tls, NULL), VLY_OK);
    assert_false(vly_tls_is_stale(tls));

    pair_init(&after, SIZE_MAX);
    assert_true(shake(&after));
    name_shown(&after, name);
    assert_string_equal(name, "second");
    client_sends(&before, 100); /* goes on */
    server_sends(&before, 100);
    name_shown(&before, name);
    assert_string_equal(name, "first");
    pair_release(&before);
    pair_release(&after);
}

static void a_bad_reload_changes_nothing(void **state)
{
    certificate second;
    vly_err err;
    char name[64];
    pair p;

    (void)state;
    assert_true(certificate_make(dir, "second", &second));
    copy_file(second.certificate, first.certificate); /* and the key is still to come */
    assert_int_equal(vly_tls_reload(tls, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "expected the key of the certificate: key values mismatch"));
    assert_false(vly_tls_is_stale(tls)); /* said once, not at every look */
    pair_init(&p, SIZE_MAX);
    assert_true(shake(&p));
    name_shown(&p, name);
    assert_string_equal(name, "first");
    pair_release(&p);
    copy_file(second.key, first.key);
    assert_true(vly_tls_is_stale(tls));
    assert_int_equal(vly_tls_reload(tls, NULL), VLY_OK);
}

static void a_removed_file_is_a_change(void **state)
{
    vly_err err;

    (void)state;
    assert_int_equal(remove(first.key), 0);
    assert_true(vly_tls_is_stale(tls));
    assert_int_equal(vly_tls_reload(tls, &err), VLY_ENOTFOUND);
    assert_false(vly_tls_is_stale(tls));
}

static void the_chain_is_sent(void **state)
{
    certificate issuer;
    vly_buf chain;
    pair p;

    (void)state;
    assert_true(certificate_make(dir, "issuer", &issuer));
    vly_buf_init(&chain, VLY_MEM_NET, 1 << 20);
    assert_int_equal(vly_file_read(first.certificate, 1 << 20, &chain, NULL), VLY_OK);
    assert_int_equal(vly_file_read(issuer.certificate, 1 << 20, &chain, NULL), VLY_OK);
    write_text(first.certificate, chain.ptr);
    vly_buf_release(&chain);
    assert_int_equal(vly_tls_reload(tls, NULL), VLY_OK);
    pair_init(&p, SIZE_MAX);
    assert_true(shake(&p));
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(p.client)), 2);
    pair_release(&p);
}

static void write_encrypted_key(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(path, "w");

    assert_true(key != NULL && f != NULL);
    assert_int_equal(
        PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), (const unsigned char *)"pw", 2, NULL, NULL),
        1);
    fclose(f);
    EVP_PKEY_free(key);
}

static void write_rsa_key(const char *path)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    FILE *f = fopen(path, "w");

    assert_true(key != NULL && f != NULL);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    EVP_PKEY_free(key);
}

static void errors_name_the_file(void **state)
{
    char text[TEMP_DIR_PATH_MAX + 16], encrypted[TEMP_DIR_PATH_MAX + 16],
        rsa[TEMP_DIR_PATH_MAX + 16], expected[512];
    vly_tls *made = NULL;
    vly_err err;

    (void)state;
    snprintf(text, sizeof(text), "%s/text", dir);
    snprintf(encrypted, sizeof(encrypted), "%s/encrypted", dir);
    snprintf(rsa, sizeof(rsa), "%s/rsa", dir);
    write_text(text, "this is no PEM\n");
    write_encrypted_key(encrypted);
    write_rsa_key(rsa);
    const struct {
        const char *certificate, *key, *subject, *path, *reason;
    } cases[] = {
        {"/nowhere", first.key, "certificate", "/nowhere", "No such file or directory"},
        {text, first.key, "certificate", text, "expected PEM: no start line"},
        {first.key, first.key, "certificate", first.key, "expected PEM: no start line"},
        {first.certificate, "/nowhere", "key", "/nowhere", "No such file or directory"},
        {first.certificate, text, "key", text, "expected PEM without a password: "},
        {first.certificate, encrypted, "key", encrypted, "expected PEM without a password: "},
        {first.certificate, rsa, "key", rsa, "expected the key of the certificate: "},
        {first.certificate, dir, "key", dir, "expected a regular file"},
    };
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        vly_tls_opts opts = {.certificate = cases[i].certificate, .key = cases[i].key};
        assert_int_not_equal(vly_tls_new(&opts, &made, &err), VLY_OK);
        assert_null(made);
        snprintf(expected, sizeof(expected), "TLS %s", cases[i].subject);
        if (strncmp(err.msg, expected, strlen(expected)) != 0 ||
            strstr(err.msg, cases[i].path) == NULL || strstr(err.msg, cases[i].reason) == NULL)
            fail_msg("case %zu: '%s'", i, err.msg);
    }
}

/* ---- memory ---- */

static void survives_failed_allocations(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 12; n++) {
        vly_tls_opts opts = opts_of(&first);
        vly_tls *made = NULL;
        vly_tls_session *session = NULL;
        vly_mem_fail_after(n);
        vly_status st = vly_tls_new(&opts, &made, NULL);
        if (st == VLY_OK)
            st = vly_tls_session_new(made, OUT_MAX, &session, NULL);
        vly_mem_fail_after(-1);
        assert_true(st == VLY_OK || session == NULL);
        vly_tls_session_free(session);
        vly_tls_free(made);
    }
    pair p;
    pair_init(&p, SIZE_MAX);
    (void)SSL_do_handshake(p.client);
    vly_mem_fail_after(0);
    move(&p);
    vly_mem_fail_after(-1);
    assert_int_equal(p.status, VLY_ENOMEM);
    assert_int_equal(vly_tls_session_state(p.server), VLY_TLS_FAILED);
    pair_release(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(carries_bytes_both_ways), TEST(picks_the_protocol), TEST(refuses_old_versions),
           TEST(refuses_weak_ciphers), TEST(parses_versions), TEST(garbage_fails),
           TEST(a_changed_byte_fails), TEST(nothing_is_written_before_the_handshake),
           TEST(ends_are_told_from_cuts), TEST(renegotiation_is_refused),
           TEST(a_peer_that_makes_us_talk_is_dropped), TEST(steady_state_keeps_its_buffers),
           TEST(resumes_by_ticket), TEST(reload_serves_the_new_certificate),
           TEST(a_bad_reload_changes_nothing), TEST(a_removed_file_is_a_change),
           TEST(the_chain_is_sent), TEST(errors_name_the_file), TEST(survives_failed_allocations))
