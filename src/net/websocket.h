/* SPDX-License-Identifier: MIT */
/*
 * WebSocket (RFC 6455), a server's side or a client's, as a byte filter: wslay cuts frames out of
 * bytes, and here they become messages. No sockets, any fragmentation, no extensions.
 *
 *     OPEN --ours or theirs--> CLOSING/answered --the other's--> CLOSED
 *         \--a broken rule, a limit--------------------------/
 *
 * Owner: one thread at a time.
 */
#ifndef VLY_NET_WEBSOCKET_H
#define VLY_NET_WEBSOCKET_H

#include "base/buf.h"
#include "base/status.h"
#include "net/http_msg.h"

#include <stdbool.h>
#include <stddef.h>

#define VLY_WEBSOCKET_ACCEPT_MAX 29 /* with its NUL */
#define VLY_WEBSOCKET_HEAD_MAX   10 /* of a server's frame */
#define VLY_WEBSOCKET_ASK_MAX    14 /* of a client's, with its mask */

/* Close codes, RFC 6455 7.4.1. */
typedef enum vly_websocket_code {
    VLY_WEBSOCKET_NORMAL = 1000,
    VLY_WEBSOCKET_GOING_AWAY = 1001,
    VLY_WEBSOCKET_PROTOCOL = 1002,
    VLY_WEBSOCKET_NO_CODE = 1005,  /* the peer's close has none; never sent */
    VLY_WEBSOCKET_NO_CLOSE = 1006, /* the peer has sent none; never sent */
    VLY_WEBSOCKET_NOT_UTF8 = 1007,
    VLY_WEBSOCKET_POLICY = 1008,
    VLY_WEBSOCKET_TOO_BIG = 1009,
    VLY_WEBSOCKET_INTERNAL = 1011,
    VLY_WEBSOCKET_TRY_LATER = 1013,
} vly_websocket_code;

/* The client of this upgrade offers the subprotocol (RFC 6455 1.9). */
bool vly_websocket_offers(const vly_http_msg *m, const char *protocol);
/* Whether m asks for a WebSocket, and the value of Sec-WebSocket-Accept to answer with. ENOTFOUND:
 * m is an ordinary request; EUNSUPPORTED: of another version than 13; EINVAL: not by the rules. */
vly_status vly_websocket_check(const vly_http_msg *m, char accept[VLY_WEBSOCKET_ACCEPT_MAX],
                               vly_err *err) VLY_MUST_CHECK;

/* Sec-WebSocket-Accept for a key of 16 bytes in base64; false: it is none. */
bool vly_websocket_make_accept(vly_str key, char accept[VLY_WEBSOCKET_ACCEPT_MAX]);

/* The head of a frame that holds a whole message of len bytes, which are to follow. Returns its
 * length. */
size_t vly_websocket_head(unsigned char head[VLY_WEBSOCKET_HEAD_MAX], bool is_text, size_t len);
/* The same of a client's. Its mask is of zeroes, so that its bytes are sent as they are: a mask
 * keeps scripts in a browser from writing what a proxy takes for requests (10.3), and here is no
 * script.
 */
size_t vly_websocket_ask_head(unsigned char head[VLY_WEBSOCKET_ASK_MAX], bool is_text, size_t len);

typedef enum vly_websocket_state {
    VLY_WEBSOCKET_OPEN,
    VLY_WEBSOCKET_CLOSING, /* we have said our close, and wait for theirs; send nothing more */
    VLY_WEBSOCKET_CLOSED,  /* send what waits, then close the connection; input is dropped */
} vly_websocket_state;

typedef struct vly_websocket vly_websocket;

typedef struct vly_websocket_opts {
    bool is_client;
    size_t max_message_bytes; /* of the peer; a longer one ends the session with TOO_BIG */
    /* A message; its memory may be taken, leaving it empty. May call close, not feed or free. */
    void (*on_message)(void *ctx, vly_buf *message, bool is_text);
    void *ctx;
} vly_websocket_opts;

/* opts is copied. */
vly_status vly_websocket_new(const vly_websocket_opts *opts, vly_websocket **ret,
                             vly_err *err) VLY_MUST_CHECK;
void vly_websocket_free(vly_websocket *w); /* accepts NULL */

/* Takes all of in. Pings are answered and closes too, in `out`; a client that breaks a rule is sent
 * a close with the reason, and the state is CLOSED. */
void vly_websocket_feed(vly_websocket *w, vly_str in);

/* Control frames that wait to be sent, each whole; they may go between any two of our messages. The
 * sender empties it. It stays below 64 KiB: pings past that are not answered. */
vly_buf *vly_websocket_out(vly_websocket *w);

/* In state OPEN only; in the others they do nothing. reason: at most 123 bytes of it are sent, cut
 * between characters; may be NULL. */
void vly_websocket_ping(vly_websocket *w);
void vly_websocket_close(vly_websocket *w, unsigned code, const char *reason);

vly_websocket_state vly_websocket_get_state(const vly_websocket *w);
unsigned vly_websocket_peer_code(const vly_websocket *w); /* of the peer's close, or NO_CLOSE */

#endif
