/* SPDX-License-Identifier: MIT */
/*
 * One connection. OpenSSL reads straight from the bytes being fed and writes straight into the
 * buffer that will be sent, through a BIO of ours (OpenSSL's own memory BIO copies twice and grows
 * without bound). Between two calls the input is empty: what is not yet a whole record lies inside
 * OpenSSL.
 */
#include "net/tls_internal.h"

#include "base/assert.h"

#include <openssl/err.h>

#define RECORD_OVERHEAD ((size_t)512) /* header, nonce, tag, padding: less, in any version */

struct vly_tls_session {
    SSL *ssl;
    vly_str in; /* not yet read by OpenSSL; empty between calls */
    vly_buf out;
    vly_tls_state state;
};

static int bio_read(BIO *bio, char *bytes, size_t n, size_t *ret_n)
{
    vly_tls_session *s = BIO_get_data(bio);
    size_t take = n < s->in.len ? n : s->in.len;

    BIO_clear_retry_flags(bio);
    *ret_n = take;
    if (take == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(bytes, s->in.ptr, take);
    s->in = (vly_str){s->in.ptr + take, s->in.len - take};
    return 1;
}

/* All or nothing; nothing is an error for good: the peer makes us talk without listening. */
static int bio_write(BIO *bio, const char *bytes, size_t n, size_t *ret_n)
{
    vly_tls_session *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    vly_buf_add(&s->out, bytes, n);
    *ret_n = s->out.failed ? 0 : n;
    return !s->out.failed;
}

/* OpenSSL flushes after each flight; all else that it may ask does not apply here. */
static long bio_ctrl(BIO *bio, int cmd, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

BIO_METHOD *vly_tls__bio_method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_MEM, "vly_tls_session");

    if (m == NULL || BIO_meth_set_read_ex(m, bio_read) != 1 ||
        BIO_meth_set_write_ex(m, bio_write) != 1 || BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    return m;
}

static bool attach_bio(vly_tls_session *s, const BIO_METHOD *method)
{
    BIO *bio = BIO_new(method);

    if (bio == NULL)
        return false;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio); /* takes the one reference, for both directions */
    return true;
}

vly_status vly_tls__session_make(SSL_CTX *rules, const BIO_METHOD *method, size_t max_out_bytes,
                                 vly_tls_session **ret, vly_err *err)
{
    VLY_ASSERT(max_out_bytes >= VLY_TLS_OUT_MIN_BYTES);
    vly_tls_session *s = vly_calloc(VLY_MEM_NET, 1, sizeof(*s));
    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a TLS session");
    s->ssl = SSL_new(rules); /* holds a reference of its own */
    vly_buf_init(&s->out, VLY_MEM_NET, max_out_bytes);
    if (s->ssl == NULL || !attach_bio(s, method)) {
        vly_tls_session_free(s);
        ERR_clear_error();
        return vly_fail(err, VLY_ENOMEM, "out of memory for a TLS session");
    }
    *ret = s;
    return VLY_OK;
}

SSL *vly_tls__session_ssl(vly_tls_session *s)
{
    return s->ssl;
}

void vly_tls_session_free(vly_tls_session *s)
{
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    vly_buf_release(&s->out);
    vly_free(s);
}

static vly_status fail(vly_tls_session *s, vly_err *err)
{
    s->state = VLY_TLS_FAILED;
    s->in = (vly_str){NULL, 0};
    if (s->out.failed) {
        ERR_clear_error();
        return vly_fail(err, VLY_ENOMEM, "TLS: no room for what the peer makes us send");
    }
    long refused = SSL_get_verify_result(s->ssl);
    if (refused == X509_V_OK || SSL_get_verify_mode(s->ssl) == SSL_VERIFY_NONE)
        return vly_tls__fail(err, VLY_EFORMAT, "TLS");
    ERR_clear_error();
    return vly_fail(err, VLY_EFORMAT, "TLS: the certificate is not trusted: %s",
                    X509_verify_cert_error_string(refused));
}

/* Reads one record's worth into plain; false when there is none now. */
static bool read_record(vly_tls_session *s, vly_buf *plain)
{
    size_t n = 0;

    if (!vly_buf_reserve(plain, VLY_TLS_RECORD_BYTES))
        return false;
    if (SSL_read_ex(s->ssl, plain->ptr + plain->len, VLY_TLS_RECORD_BYTES, &n) != 1)
        return false;
    plain->len += n;
    plain->ptr[plain->len] = '\0';
    return true;
}

vly_status vly_tls_session_feed(vly_tls_session *s, vly_str in, vly_buf *plain, vly_err *err)
{
    if (s->state == VLY_TLS_FAILED)
        return vly_fail(err, VLY_EFORMAT, "TLS: the session has failed before");
    if (s->state == VLY_TLS_ENDED)
        return VLY_OK;
    ERR_clear_error();
    s->in = in;
    while (read_record(s, plain)) {
    }
    if (plain->failed) {
        s->state = VLY_TLS_FAILED;
        s->in = (vly_str){NULL, 0};
        return vly_fail(err, VLY_ENOMEM, "TLS: out of memory for plaintext");
    }
    int reason = SSL_get_error(s->ssl, 0);
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_ZERO_RETURN)
        return fail(s, err);
    s->in = (vly_str){NULL, 0};
    if (reason == SSL_ERROR_ZERO_RETURN)
        s->state = VLY_TLS_ENDED;
    else if (SSL_is_init_finished(s->ssl))
        s->state = VLY_TLS_OPEN;
    return VLY_OK;
}

static bool can_write(const vly_tls_session *s)
{
    return s->state != VLY_TLS_FAILED && SSL_is_init_finished(s->ssl);
}

static bool has_room(const vly_tls_session *s)
{
    return s->out.len + VLY_TLS_RECORD_BYTES + RECORD_OVERHEAD <= s->out.max_bytes;
}

vly_status vly_tls_session_write(vly_tls_session *s, vly_str plain, size_t *ret_taken, vly_err *err)
{
    size_t taken = 0;

    ERR_clear_error();
    while (can_write(s) && taken < plain.len && has_room(s)) {
        size_t left = plain.len - taken, n = 0;
        if (left > VLY_TLS_RECORD_BYTES)
            left = VLY_TLS_RECORD_BYTES;
        if (SSL_write_ex(s->ssl, plain.ptr + taken, left, &n) != 1)
            return fail(s, err);
        taken += n;
    }
    *ret_taken = taken;
    return VLY_OK;
}

void vly_tls_session_end(vly_tls_session *s)
{
    if (!can_write(s))
        return;
    (void)SSL_shutdown(s->ssl); /* below 0 only without room, and then nobody is listening */
    ERR_clear_error();
}

void vly_tls_session_take(vly_tls_session *s, vly_buf *empty)
{
    VLY_ASSERT(empty->len == 0 && !empty->failed && empty->max_bytes >= s->out.max_bytes);
    vly_buf out = s->out;
    size_t max_bytes = out.max_bytes;

    s->out = *empty;
    s->out.max_bytes = max_bytes;
    *empty = out;
}

size_t vly_tls_session_out_len(const vly_tls_session *s)
{
    return s->out.len;
}

vly_tls_state vly_tls_session_state(const vly_tls_session *s)
{
    return s->state;
}

vly_str vly_tls_session_alpn(const vly_tls_session *s)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(s->ssl, &name, &len);
    return (vly_str){(const char *)name, len};
}
