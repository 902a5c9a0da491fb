/* SPDX-License-Identifier: MIT */
/* What the two files of TLS share. Private to net. */
#ifndef VLY_NET_TLS_INTERNAL_H
#define VLY_NET_TLS_INTERNAL_H

#include "net/tls.h"

#include <openssl/ssl.h>

/* "subject: what OpenSSL says", and empties its queue of errors. */
vly_status vly_tls__fail(vly_err *err, vly_status st, const char *subject);

/* A new reference on the rules of today. */
SSL_CTX *vly_tls__rules(vly_tls *t);
const BIO_METHOD *vly_tls__bio_method(const vly_tls *t);

/* Of the BIO between a session and OpenSSL; its data is the session. */
int vly_tls__bio_read(BIO *bio, char *bytes, size_t n, size_t *ret_n);
int vly_tls__bio_write(BIO *bio, const char *bytes, size_t n, size_t *ret_n);

#endif
