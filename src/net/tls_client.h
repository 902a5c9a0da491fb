/* SPDX-License-Identifier: MIT */
/*
 * The client's side of TLS: whom to trust, and sessions as net/tls.h has them. A session begins
 * when it is fed the first time, of no bytes too: what it has to say is in take.
 */
#ifndef VLY_NET_TLS_CLIENT_H
#define VLY_NET_TLS_CLIENT_H

#include "net/tls.h"

typedef struct vly_tls_client vly_tls_client;

typedef struct vly_tls_client_opts {
    const char *ca;     /* PEM file with certificates of who may have signed; NULL: the system's */
    bool is_unverified; /* any certificate will do, of any name */
    const char *alpn;   /* the one protocol to ask for: "h2"; NULL: none */
} vly_tls_client_opts;

/* Reads the file. TLS 1.2 and 1.3. Errors name the file and what OpenSSL said. Blocks on files.
 * Outlives its sessions. */
vly_status vly_tls_client_new(const vly_tls_client_opts *opts, vly_tls_client **ret,
                              vly_err *err) VLY_MUST_CHECK;
void vly_tls_client_free(vly_tls_client *t); /* accepts NULL */

/* host: a name or an address, which the certificate has to be for; NUL-terminated. max_out_bytes:
 * as of a server's session. Thread: any. */
vly_status vly_tls_client_session_new(vly_tls_client *t, const char *host, size_t max_out_bytes,
                                      vly_tls_session **ret, vly_err *err) VLY_MUST_CHECK;

#endif
