/* SPDX-License-Identifier: MIT */
/*
 * Certificate, key and rules. The rules in force are one SSL_CTX, which OpenSSL counts references
 * of: a reload makes another and changes the pointer under the lock, and the old one goes with its
 * last session.
 */
#include "net/tls.h"

#include "net/tls_internal.h"
#include "sys/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <sys/stat.h>

#define PEM_MAX_BYTES ((size_t)1 << 20)
#define CIPHERS_1_2   "ECDHE+AESGCM:ECDHE+CHACHA20" /* those of 1.3 are all of this kind */

/* What tells that a file was written or replaced. */
typedef struct stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
} stamp;

struct vly_tls {
    char *certificate; /* paths; immutable, as the next four */
    char *key;
    vly_tls_version min_version;
    bool has_http2;
    BIO_METHOD *bio_method;
    stamp seen[2]; /* certificate and key; owner: the thread that reloads */
    pthread_mutex_t lock;
    SSL_CTX *rules; /* guarded by lock */
};

vly_status vly_tls__fail(vly_err *err, vly_status st, const char *subject)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror((int)ERR_GET_REASON(code))
                                                : ERR_reason_error_string(code);

    vly_fail(err, st, "%s: %s", subject, reason != NULL ? reason : "OpenSSL gives no reason");
    ERR_clear_error();
    return st;
}

vly_status vly_tls_version_parse(vly_str text, vly_tls_version *ret, vly_err *err)
{
    if (vly_str_is(text, "1.2"))
        *ret = VLY_TLS_1_2;
    else if (vly_str_is(text, "1.3"))
        *ret = VLY_TLS_1_3;
    else
        return vly_fail(err, VLY_EINVAL, "TLS version: expected 1.2 or 1.3, got '%.*s'",
                        VLY_STR_ARG(text));
    return VLY_OK;
}

/* ---- files ---- */

static stamp stamp_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return (stamp){.size = -1};
    return (stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool is_same(stamp a, stamp b)
{
    return a.device == b.device && a.inode == b.inode && a.size == b.size &&
           a.modified.tv_sec == b.modified.tv_sec && a.modified.tv_nsec == b.modified.tv_nsec;
}

bool vly_tls_is_stale(const vly_tls *t)
{
    return !is_same(t->seen[0], stamp_of(t->certificate)) || !is_same(t->seen[1], stamp_of(t->key));
}

/* For an encrypted key: OpenSSL's own would ask on the terminal. */
static int no_password(char *text, int size, int is_writing, void *ctx)
{
    (void)text;
    (void)size;
    (void)is_writing;
    (void)ctx;
    return -1;
}

/* The first certificate is the server's, the rest its chain. */
static vly_status add_chain(SSL_CTX *rules, BIO *pem, vly_err *err)
{
    X509 *cert = PEM_read_bio_X509(pem, NULL, no_password, NULL);
    bool is_used = cert != NULL && SSL_CTX_use_certificate(rules, cert) == 1;

    X509_free(cert);
    while (is_used) {
        cert = PEM_read_bio_X509(pem, NULL, no_password, NULL);
        if (cert == NULL)
            break;
        is_used = SSL_CTX_add0_chain_cert(rules, cert) == 1;
        if (!is_used)
            X509_free(cert);
    }
    if (!is_used || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return vly_tls__fail(err, VLY_EINVAL, "expected PEM");
    ERR_clear_error(); /* the file has no further certificate */
    return VLY_OK;
}

static vly_status add_key(SSL_CTX *rules, BIO *pem, vly_err *err)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
    vly_status st = VLY_OK;

    if (key == NULL)
        st = vly_tls__fail(err, VLY_EINVAL, "expected PEM without a password");
    else if (SSL_CTX_use_PrivateKey(rules, key) != 1 || SSL_CTX_check_private_key(rules) != 1)
        st = vly_tls__fail(err, VLY_EINVAL, "expected the key of the certificate");
    EVP_PKEY_free(key);
    return st;
}

typedef vly_status (*add_pem)(SSL_CTX *rules, BIO *pem, vly_err *err);

static vly_status load(SSL_CTX *rules, const char *what, const char *path, add_pem add,
                       vly_err *err)
{
    vly_buf bytes;

    vly_buf_init(&bytes, VLY_MEM_NET, PEM_MAX_BYTES);
    vly_status st = vly_file_read(path, PEM_MAX_BYTES, &bytes, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "TLS %s", what);
    BIO *pem = BIO_new_mem_buf(bytes.len > 0 ? bytes.ptr : "", (int)bytes.len);
    if (pem == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory");
    else
        st = add(rules, pem, err);
    BIO_free(pem);
    if (bytes.ptr != NULL)
        OPENSSL_cleanse(bytes.ptr, bytes.cap); /* a key stays in OpenSSL's hands only */
    vly_buf_release(&bytes);
    return st == VLY_OK ? st : vly_fail_in(err, st, "TLS %s '%s'", what, path);
}

/* ---- rules ---- */

/* Our order of preference decides; a client that offers none of them is told so (RFC 7301 3.2). */
static int select_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                       const unsigned char *offer, unsigned offer_len, void *ctx)
{
    static const unsigned char all[] = "\x02h2\x08http/1.1";
    const vly_tls *t = ctx;
    size_t skip = t->has_http2 ? 0 : 3;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, ret_len, all + skip, (unsigned)(sizeof(all) - 1 - skip),
                              offer, offer_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_rules(SSL_CTX *rules, vly_tls *t)
{
    int version = t->min_version == VLY_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

    SSL_CTX_set_options(rules, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(rules, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(rules, SSL_MODE_RELEASE_BUFFERS); /* an idle connection holds no records */
    SSL_CTX_set_alpn_select_cb(rules, select_alpn, t);
    return SSL_CTX_set_min_proto_version(rules, version) == 1 &&
           SSL_CTX_set_cipher_list(rules, CIPHERS_1_2) == 1;
}

static vly_status make_rules(vly_tls *t, SSL_CTX **ret, vly_err *err)
{
    SSL_CTX *rules = SSL_CTX_new(TLS_server_method());
    vly_status st = VLY_OK;

    ERR_clear_error();
    if (rules == NULL || !set_rules(rules, t))
        st = vly_tls__fail(err, VLY_EINTERNAL, "TLS");
    if (st == VLY_OK)
        st = load(rules, "certificate", t->certificate, add_chain, err);
    if (st == VLY_OK)
        st = load(rules, "key", t->key, add_key, err);
    if (st != VLY_OK) {
        SSL_CTX_free(rules);
        return st;
    }
    *ret = rules;
    return VLY_OK;
}

vly_status vly_tls_reload(vly_tls *t, vly_err *err)
{
    SSL_CTX *rules;

    t->seen[0] = stamp_of(t->certificate); /* before reading: a later change shows as one */
    t->seen[1] = stamp_of(t->key);
    vly_status st = make_rules(t, &rules, err);
    if (st != VLY_OK)
        return st;
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->rules;
    t->rules = rules;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old);
    return VLY_OK;
}

vly_status vly_tls_session_new(vly_tls *t, size_t max_out_bytes, vly_tls_session **ret,
                               vly_err *err)
{
    vly_tls_session *s;

    pthread_mutex_lock(&t->lock);
    SSL_CTX *rules = t->rules;
    SSL_CTX_up_ref(rules);
    pthread_mutex_unlock(&t->lock);
    vly_status st = vly_tls__session_make(rules, t->bio_method, max_out_bytes, &s, err);
    SSL_CTX_free(rules);
    if (st != VLY_OK)
        return st;
    SSL_set_accept_state(vly_tls__session_ssl(s));
    *ret = s;
    return VLY_OK;
}

/* ---- life ---- */

vly_status vly_tls_new(const vly_tls_opts *opts, vly_tls **ret, vly_err *err)
{
    vly_tls *t = vly_calloc(VLY_MEM_NET, 1, sizeof(*t));

    if (t == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for TLS");
    pthread_mutex_init(&t->lock, NULL);
    t->min_version = opts->min_version;
    t->has_http2 = opts->has_http2;
    t->certificate = vly_strndup(VLY_MEM_NET, opts->certificate, strlen(opts->certificate));
    t->key = vly_strndup(VLY_MEM_NET, opts->key, strlen(opts->key));
    t->bio_method = vly_tls__bio_method_new();
    vly_status st = VLY_OK;
    if (t->certificate == NULL || t->key == NULL || t->bio_method == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for TLS");
    if (st == VLY_OK)
        st = vly_tls_reload(t, err);
    if (st != VLY_OK) {
        vly_tls_free(t);
        return st;
    }
    *ret = t;
    return VLY_OK;
}

void vly_tls_free(vly_tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->rules);
    BIO_meth_free(t->bio_method);
    pthread_mutex_destroy(&t->lock);
    vly_free(t->certificate);
    vly_free(t->key);
    vly_free(t);
}
