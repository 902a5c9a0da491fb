/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.x requests out of bytes: llhttp, strict, with our limits and the checks it leaves to us.
 * No sockets: bytes may come in any pieces.
 *
 *     vly_http1_begin(p, msg)  ->  feed ... MORE, feed ... MESSAGE  ->  begin with the next msg
 *                                         \-> ERROR: status and reason are set, the connection ends
 *
 * Owner: the loop thread of the connection. Private to net.
 */
#ifndef VLY_NET_HTTP1_H
#define VLY_NET_HTTP1_H

#include "net/http_msg.h"

#include <llhttp.h>

typedef enum vly_http1_event {
    VLY_HTTP1_MORE,    /* all bytes used; the message goes on */
    VLY_HTTP1_HEAD,    /* stops_at_head, and a body follows; feed what is not used, or no more */
    VLY_HTTP1_MESSAGE, /* the message is complete; bytes behind it are not used */
    VLY_HTTP1_ERROR,   /* the bytes break a rule or a limit; feed no more */
} vly_http1_event;

typedef struct vly_http1 {
    llhttp_t parser;
    vly_http_msg *msg;   /* being filled; NULL between messages */
    size_t head_bytes;   /* counted against max_header_bytes */
    bool is_in_body;     /* the headers are complete, the message is not */
    bool is_complete;    /* of MESSAGE */
    bool stops_at_head;  /* for HEAD; set before begin */
    bool is_chunked;     /* once is_in_body: the length of the body is not known */
    bool wants_continue; /* the client waits for "100 Continue"; cleared by its first body byte */
    int status;          /* of ERROR: the HTTP status to answer with */
    const char *reason;  /* of ERROR: static text */
} vly_http1;

void vly_http1_init(vly_http1 *p);
/* The next byte begins msg, which is clear. */
void vly_http1_begin(vly_http1 *p, vly_http_msg *msg);
vly_http1_event vly_http1_feed(vly_http1 *p, vly_str bytes, size_t *ret_used);

#endif
