/* SPDX-License-Identifier: MIT */
/*
 * One HTTP request, parsed: what the layers above read.
 *
 * Lifetime: request. Everything it points to lives until vly_http_msg_clear; the objects are
 * reused, so that a small request allocates nothing once its connection is warm. Owner: one thread
 * at a time: the loop thread, then whoever works on the request.
 */
#ifndef VLY_NET_HTTP_MSG_H
#define VLY_NET_HTTP_MSG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Methods are compared by what they are, not spelled out each time. */
typedef enum vly_http_method {
    VLY_HTTP_GET,
    VLY_HTTP_HEAD,
    VLY_HTTP_POST,
    VLY_HTTP_PUT,
    VLY_HTTP_DELETE,
    VLY_HTTP_OPTIONS,
    VLY_HTTP_PATCH,
    VLY_HTTP_OTHER, /* known to HTTP, of no use here: the router answers 405 */
} vly_http_method;

typedef struct vly_http_header {
    vly_str name;  /* as sent; compare without case */
    vly_str value; /* without blanks around it */
} vly_http_header;

/* Bytes of bodies held by all messages of a server, with their bound. Thread: any. */
typedef struct vly_http_budget {
    _Atomic size_t used_bytes;
    size_t max_bytes; /* immutable */
} vly_http_budget;

typedef struct vly_http_msg vly_http_msg;

typedef struct vly_http_limits {
    size_t max_header_bytes; /* request line and headers, trailers included */
    size_t max_headers;
    size_t max_body_bytes;
    size_t max_scratch_bytes; /* of the arena */
    vly_http_budget *body_budget;
    /* Headers have come, and perhaps the begin of the body: the offset into it that should lie on a
     * boundary of 64 bytes, so that what begins there can be read where it lies. Asked for large
     * bodies, again when they are moved. NULL: 0. */
    size_t (*body_aligned_at)(const vly_http_msg *m);
} vly_http_limits;

struct vly_http_msg {
    vly_http_method method;
    vly_str method_name; /* "GET" */
    vly_str target;      /* as sent */
    vly_str path;        /* percent-decoded: "/v2/models/a b/infer"; begins with '/' or is "*" */
    vly_str query;       /* behind '?', not decoded; empty when there is none */
    vly_http_header *headers;
    size_t n_headers;
    vly_buf body;      /* whole and contiguous; chunks joined */
    vly_arena arena;   /* for whoever works on the request */
    int major_version; /* HTTP/1.0, 1.1, 2.0 */
    int minor_version;
    bool is_tls;
    bool keep_alive; /* what the request asked for */

    /* Private to net. */
    vly_buf head; /* bytes of request line and headers; never moves once reserved */
    const vly_http_limits *limits;
    size_t budget_taken;
    size_t body_bytes; /* as announced; 0 when nothing was */
};

/* limits are borrowed for the lifetime of the message. */
vly_status vly_http_msg_init(vly_http_msg *m, const vly_http_limits *limits,
                             vly_err *err) VLY_MUST_CHECK;
void vly_http_msg_release(vly_http_msg *m);
void vly_http_msg_clear(vly_http_msg *m); /* ready for the next request */

/* n more bytes that the request holds, such as what came out of a compressed body, count as its
 * body's until it is cleared. EUNAVAILABLE: all messages together hold too much. Thread: the owner.
 */
vly_status vly_http_msg_hold(vly_http_msg *m, size_t n, vly_err *err) VLY_MUST_CHECK;

/* Value of the first header of this name (any case); ptr NULL when absent. */
vly_str vly_http_msg_header(const vly_http_msg *m, const char *name);

/* First value of name in the query, decoded into the arena ("a=1&b=x%20y", '+' is a blank).
 * ENOTFOUND: absent; EFORMAT: a bad escape; ELIMIT: the arena is full. */
vly_status vly_http_msg_query(vly_http_msg *m, const char *name, vly_str *ret) VLY_MUST_CHECK;

/* Decodes %XX from s into the arena. EFORMAT: a bad escape, or %00. plus_is_blank: as in forms. */
vly_status vly_http_unescape(vly_arena *arena, vly_str s, bool plus_is_blank,
                             vly_str *ret) VLY_MUST_CHECK;

/* Private to net. Each returns 0, or the status to refuse the request with, and why in *ret_reason,
 * static text. */
/* From the origin form, "/path?query", or "*": method is set. */
int vly_http__msg_set_path(vly_http_msg *m, vly_str target, const char **ret_reason);
/* len: as announced; 0 when nothing was. */
int vly_http__msg_expect_body(vly_http_msg *m, uint64_t len, const char **ret_reason);
/* at: anywhere, or where body_room said. */
int vly_http__msg_add_body(vly_http_msg *m, const char *at, size_t n, const char **ret_reason);
/* Bytes of a large body that may be read from the socket straight to *ret; 0: none. */
size_t vly_http__msg_body_room(vly_http_msg *m, char **ret);

#endif
