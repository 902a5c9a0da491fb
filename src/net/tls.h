/* SPDX-License-Identifier: MIT */
/*
 * TLS as a byte filter: OpenSSL between bytes of the network and bytes of the protocol. No sockets,
 * no blocking, any fragmentation.
 *
 *     vly_tls           certificate, key and rules of a server; replaced while it runs (reload)
 *     vly_tls_session   one connection, with the certificate that was there when it began
 *
 *     network --feed--> plaintext            plaintext --write--> ciphertext --take--> network
 *
 * TLS 1.2 and 1.3, forward secret ciphers with authentication only, no renegotiation, no
 * compression, no early data. Sessions resume by tickets that the client keeps; the server keeps
 * nothing, and a reload makes new ticket keys. ALPN offers h2, if told so, and http/1.1; a client
 * that asks only for something else is refused.
 */
#ifndef VLY_NET_TLS_H
#define VLY_NET_TLS_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct vly_tls vly_tls;
typedef struct vly_tls_session vly_tls_session;

typedef enum vly_tls_version {
    VLY_TLS_1_2,
    VLY_TLS_1_3,
} vly_tls_version;

/* "1.2" or "1.3". */
vly_status vly_tls_version_parse(vly_str text, vly_tls_version *ret, vly_err *err) VLY_MUST_CHECK;

typedef struct vly_tls_opts {
    const char *certificate; /* PEM file: the server's own, then its chain; copied */
    const char *key;         /* PEM file, not encrypted; may be the same file; copied */
    vly_tls_version min_version;
    bool has_http2; /* offer it by ALPN */
} vly_tls_opts;

/* Reads the files. Errors name the file and what OpenSSL said. Blocks on files.
 * Lifetime: process; outlives its sessions. */
vly_status vly_tls_new(const vly_tls_opts *opts, vly_tls **ret, vly_err *err) VLY_MUST_CHECK;
void vly_tls_free(vly_tls *t); /* accepts NULL */

/* Reads the files again; sessions that begin from now on use them, those under way keep theirs. On
 * failure all stays as it was. Blocks on files. Thread: one at a time, never a loop thread. */
vly_status vly_tls_reload(vly_tls *t, vly_err *err) VLY_MUST_CHECK;
/* True when a file is not the one that the last load or reload, failed ones included, has seen.
 * Blocks on files. Thread: that of reload. */
bool vly_tls_is_stale(const vly_tls *t);

typedef enum vly_tls_state {
    VLY_TLS_HANDSHAKE, /* nothing can be written yet */
    VLY_TLS_OPEN,
    VLY_TLS_ENDED,  /* the peer has said that it sends no more; writing goes on */
    VLY_TLS_FAILED, /* take and send what is left (an alert), then close */
} vly_tls_state;

/* A server's side. max_out_bytes: of ciphertext that waits to be taken; at least
 * VLY_TLS_OUT_MIN_BYTES. Thread: any; then the session belongs to one thread at a time. */
vly_status vly_tls_session_new(vly_tls *t, size_t max_out_bytes, vly_tls_session **ret,
                               vly_err *err) VLY_MUST_CHECK;
void vly_tls_session_free(vly_tls_session *s); /* accepts NULL */

#define VLY_TLS_RECORD_BYTES  ((size_t)16 * 1024) /* plaintext in one record */
#define VLY_TLS_OUT_MIN_BYTES ((size_t)64 * 1024) /* a handshake with a long chain */

/* Takes all of in and appends the plaintext to plain: at most in.len + VLY_TLS_RECORD_BYTES, for
 * which plain needs room for one record more. What has to be sent in turn waits in take. Bytes
 * after the peer's end are dropped. On failure, of EFORMAT for what the peer did and ENOMEM for us,
 * the state is FAILED and stays so; plaintext of records before the bad one is in plain. */
vly_status vly_tls_session_feed(vly_tls_session *s, vly_str in, vly_buf *plain,
                                vly_err *err) VLY_MUST_CHECK;

/* Encrypts the beginning of plain, as much as may wait to be taken, and says how much: 0 in the
 * handshake and after a failure. */
vly_status vly_tls_session_write(vly_tls_session *s, vly_str plain, size_t *ret_taken,
                                 vly_err *err) VLY_MUST_CHECK;

/* Says to the peer that nothing more will be written. Nothing is to be said before the handshake is
 * done and after a failure. */
void vly_tls_session_end(vly_tls_session *s);

/* Swaps the ciphertext to send, perhaps none, with *empty, whose memory is used for what comes
 * next. empty: initialised with at least max_out_bytes, and empty. */
void vly_tls_session_take(vly_tls_session *s, vly_buf *empty);
size_t vly_tls_session_out_len(const vly_tls_session *s); /* ciphertext that waits to be taken */

vly_tls_state vly_tls_session_state(const vly_tls_session *s);
/* "h2", "http/1.1", or empty when the client did not ask. Valid as long as the session. */
vly_str vly_tls_session_alpn(const vly_tls_session *s);

#endif
