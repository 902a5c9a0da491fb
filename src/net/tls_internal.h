/* SPDX-License-Identifier: MIT */
/* What the files of TLS share. Private to net. */
#ifndef VLY_NET_TLS_INTERNAL_H
#define VLY_NET_TLS_INTERNAL_H

#include "net/tls.h"

#include <openssl/ssl.h>

/* "subject: what OpenSSL says", and empties its queue of errors. */
vly_status vly_tls__fail(vly_err *err, vly_status st, const char *subject);

/* Of the BIO between a session and OpenSSL. NULL: out of memory. */
BIO_METHOD *vly_tls__bio_method_new(void);

/* A session that has still to be told which side it is; takes a reference on rules. */
vly_status vly_tls__session_make(SSL_CTX *rules, const BIO_METHOD *method, size_t max_out_bytes,
                                 vly_tls_session **ret, vly_err *err);
SSL *vly_tls__session_ssl(vly_tls_session *s);

#endif
