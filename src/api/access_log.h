/* SPDX-License-Identifier: MIT */
/*
 * Access log: a line of JSON for each request that came to its end, also for those that were
 * refused before the API saw them.
 *
 *   {"time":"2026-11-21T08:00:00.123Z","id":"...","peer":"127.0.0.1:40000","method":"POST",
 *    "path":"/v2/models/m/infer","protocol":"HTTP/1.1","status":200,"bytes_in":812,
 *    "bytes_out":530,"total_ms":1.302,"queue_ms":0.012,"compute_ms":1.250,"model":"m",
 *    "arm":"n/2","key":"camera-1","user_agent":"...","error":"..."}
 *
 * total_ms: received to sent. What is not known is left out: id and error, key (the name
 * of it) of requests without one, queue_ms and compute_ms
 * of what ran no model, total_ms of what never was a request; status 499: the client went before
 * its answer. Long paths and names are cut.
 */
#ifndef VLY_API_ACCESS_LOG_H
#define VLY_API_ACCESS_LOG_H

#include "api/api.h"

/* Without a log it does nothing. Thread: loop. */
void vly_access_log_finished(const vly_api *api, const vly_http_request *req,
                             const vly_http_finished *f);

#endif
