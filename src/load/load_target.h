/* SPDX-License-Identifier: MIT */
/* Where the load goes: a URL, taken apart. Pure. */
#ifndef VLY_LOAD_LOAD_TARGET_H
#define VLY_LOAD_LOAD_TARGET_H

#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define VLY_LOAD_URL_MAX 4096

typedef struct vly_load_target {
    const char *transport; /* that the scheme asks for: "http1", "grpc" or "websocket" */
    vly_str host;          /* without the brackets of an IPv6 address */
    vly_str authority;     /* "host:port" as it stands in the URL, for the Host header */
    uint16_t port;         /* 80, or 443 with TLS, when the URL says none */
    vly_str path;          /* with the query; "/" at least; of gRPC the method */
    bool is_tls;
    /* Not of the URL: */
    vly_str method;         /* empty: POST */
    const vly_str *headers; /* "Name: value" */
    size_t n_headers;
} vly_load_target;

/* Whether headers has one of that name, in any case. */
bool vly_load_target_has(const vly_load_target *t, vly_str name);

/* http://, https://, grpc://, grpcs://, ws:// or wss://, then HOST[:PORT][/PATH]. The result is
 * views into url, and no method or headers. EINVAL says what is wrong with which part. */
vly_status vly_load_target_parse(vly_str url, vly_load_target *ret, vly_err *err) VLY_MUST_CHECK;

#endif
