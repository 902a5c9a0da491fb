/* SPDX-License-Identifier: MIT */
/*
 * A synchronous HTTP client (libcurl), for commands that talk to a server and threads that report
 * to one; never for a loop thread. It keeps its connection for the next request to the same host.
 *
 * http and https; certificates are checked. Redirects are not followed: they come back as what they
 * are. Proxies of the environment are not used.
 *
 * Owner: one thread at a time. Where the build lacks libcurl, new fails with EUNSUPPORTED.
 */
#ifndef VLY_NET_HTTP_CLIENT_H
#define VLY_NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "net/http_msg.h"

#include <stddef.h>

#define VLY_HTTP_CLIENT_URL_MAX 8192

typedef struct vly_http_client vly_http_client;

/* Everything is borrowed for the call. */
typedef struct vly_http_client_request {
    const char *method; /* "GET" */
    const char *url;
    const vly_http_header *headers; /* besides Host and Content-Length */
    size_t n_headers;
    vly_str body;        /* empty: none */
    const char *ca;      /* PEM file, https: who the server is vouched for by; NULL: the system's */
    unsigned timeout_ms; /* of all of it, connecting included; 0: none */
    /* Asked from time to time, at least once a second: true ends it with ECANCELLED. NULL: no. */
    bool (*is_cancelled)(void *ctx);
    void *ctx;
} vly_http_client_request;

/* EUNSUPPORTED: the build has none; ENOMEM. */
vly_status vly_http_client_new(vly_http_client **ret, vly_err *err) VLY_MUST_CHECK;
void vly_http_client_free(vly_http_client *c); /* accepts NULL */

/* Sends the request; the body of the answer is appended to *answer. OK: there was an answer,
 * whatever its status. EINVAL: no such URL, or a header with a control byte; EUNAVAILABLE: no
 * connection; EDEADLINE: the time is over; ECANCELLED; ELIMIT: the answer is larger than the
 * maximum of the buffer; EIO: what came is no answer; ENOMEM. After a failure the buffer has its
 * old length. The message has no user and no password of the URL. */
vly_status vly_http_client_send(vly_http_client *c, const vly_http_client_request *r,
                                int *ret_status, vly_buf *answer, vly_err *err) VLY_MUST_CHECK;

/* What the last answer said in Retry-After, from now; 0: nothing. */
unsigned vly_http_client_retry_after_ms(const vly_http_client *c);

#endif
