/* SPDX-License-Identifier: MIT */
/*
 * Router: one table of method, scope, path pattern and handler.
 *
 * A pattern is a path whose segments may be "{}", which matches any one non-empty segment, "{n}",
 * which matches a decimal number, or "{}:verb", which matches a segment that ends so; what they
 * matched goes to the handler in order.
 */
#ifndef VLY_API_ROUTER_H
#define VLY_API_ROUTER_H

#include "api/api.h"
#include "store/key_file.h"

#define VLY_ROUTE_CAPTURES 2

/* Thread: loop. Sees to it that req is answered; captures live as long as req. */
typedef void (*vly_route_fn)(vly_api *api, vly_http_request *req, const vly_str *captures);

typedef struct vly_route {
    vly_http_method method; /* GET answers HEAD too */
    vly_key_scope scope;    /* that a key needs for it */
    const char *pattern;
    vly_route_fn fn;
} vly_route;

/* Calls the handler, or answers 404, or 405 with Allow. */
void vly_router_dispatch(const vly_route *routes, size_t n, vly_api *api, vly_http_request *req);

#endif
