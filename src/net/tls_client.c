/* SPDX-License-Identifier: MIT */
#include "net/tls_client.h"

#include "net/tls_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define ALPN_MAX 32

struct vly_tls_client {
    SSL_CTX *rules; /* immutable, as all */
    BIO_METHOD *bio_method;
    bool is_unverified;
};

/* RFC 7301: names behind their lengths. */
static bool ask_for(SSL_CTX *rules, const char *alpn)
{
    unsigned char list[ALPN_MAX + 1];
    size_t n = strlen(alpn);

    if (n == 0 || n > ALPN_MAX)
        return false;
    list[0] = (unsigned char)n;
    memcpy(list + 1, alpn, n);
    return SSL_CTX_set_alpn_protos(rules, list, (unsigned)n + 1) == 0;
}

static bool set_rules(SSL_CTX *rules, const vly_tls_client_opts *opts)
{
    SSL_CTX_set_options(rules, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(rules,
                                   SSL_SESS_CACHE_OFF); /* each connection a full handshake */
    SSL_CTX_set_verify(rules, opts->is_unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return SSL_CTX_set_min_proto_version(rules, TLS1_2_VERSION) == 1 &&
           (opts->alpn == NULL || ask_for(rules, opts->alpn));
}

static vly_status add_trust(SSL_CTX *rules, const vly_tls_client_opts *opts, vly_err *err)
{
    if (opts->is_unverified)
        return VLY_OK;
    if (opts->ca == NULL)
        return SSL_CTX_set_default_verify_paths(rules) == 1
                   ? VLY_OK
                   : vly_tls__fail(err, VLY_EIO, "TLS: the system's certificates");
    if (SSL_CTX_load_verify_file(rules, opts->ca) == 1)
        return VLY_OK;
    vly_status st = vly_tls__fail(err, VLY_EINVAL, "expected certificates in PEM");
    return vly_fail_in(err, st, "TLS: '%s'", opts->ca);
}

vly_status vly_tls_client_new(const vly_tls_client_opts *opts, vly_tls_client **ret, vly_err *err)
{
    vly_tls_client *t = vly_calloc(VLY_MEM_NET, 1, sizeof(*t));

    if (t == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for TLS");
    ERR_clear_error();
    t->is_unverified = opts->is_unverified;
    t->rules = SSL_CTX_new(TLS_client_method());
    t->bio_method = vly_tls__bio_method_new();
    vly_status st = VLY_OK;
    if (t->rules == NULL || t->bio_method == NULL || !set_rules(t->rules, opts))
        st = vly_tls__fail(err, VLY_EINTERNAL, "TLS");
    if (st == VLY_OK)
        st = add_trust(t->rules, opts, err);
    if (st != VLY_OK) {
        vly_tls_client_free(t);
        return st;
    }
    *ret = t;
    return VLY_OK;
}

void vly_tls_client_free(vly_tls_client *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->rules);
    BIO_meth_free(t->bio_method);
    vly_free(t);
}

/* OpenSSL's macro casts const away, though nothing is written. */
static bool say_host(SSL *ssl, const char *host)
{
    char *text = (char *)(uintptr_t)host;

    return SSL_set_tlsext_host_name(ssl, text) == 1;
}

/* Names go into the hello, addresses do not (RFC 6066 3); both are checked. */
static bool set_host(SSL *ssl, const char *host, bool is_unverified)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;

    if (!is_address && !say_host(ssl, host))
        return false;
    if (is_unverified)
        return true;
    return is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
                      : SSL_set1_host(ssl, host) == 1;
}

vly_status vly_tls_client_session_new(vly_tls_client *t, const char *host, size_t max_out_bytes,
                                      vly_tls_session **ret, vly_err *err)
{
    vly_tls_session *s;
    vly_status st = vly_tls__session_make(t->rules, t->bio_method, max_out_bytes, &s, err);

    if (st != VLY_OK)
        return st;
    SSL *ssl = vly_tls__session_ssl(s);
    if (!set_host(ssl, host, t->is_unverified)) {
        vly_tls_session_free(s);
        return vly_tls__fail(err, VLY_EINVAL, "TLS: the name of the server");
    }
    SSL_set_connect_state(ssl);
    *ret = s;
    return VLY_OK;
}
