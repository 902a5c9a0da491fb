/* SPDX-License-Identifier: MIT */
/*
 * What a browser is told about pages of other servers (the Fetch standard, 3.2): those that
 * http.origins lists may read answers. Never with credentials of the browser's own, cookies and the
 * like: there are none here, and a key is sent by the page itself.
 */
#ifndef VLY_API_CORS_H
#define VLY_API_CORS_H

#include "net/http_server.h"

#include <stdbool.h>

struct vly_api;

/* Answers req when it is a preflight: OPTIONS with Origin and Access-Control-Request-Method. It
 * needs no key, for browsers send none. Thread: loop. */
bool vly_cors_preflight(const struct vly_api *api, vly_http_request *req);

/* Headers for any answer to req; returns how many. Borrowed from req. Thread: any. */
#define VLY_CORS_HEADERS_MAX 3
size_t vly_cors_put_headers(const vly_http_request *req, vly_http_header to[VLY_CORS_HEADERS_MAX]);

#endif
