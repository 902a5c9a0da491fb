/* SPDX-License-Identifier: MIT */
/*
 * Requests by route, class of status, and how long they took from their last byte to the last byte
 * of the answer. A route is a row of the tables of paths and of gRPC methods, never a path as it
 * came: what is counted, and so /metrics, is bounded whatever clients ask for. What matches no row
 * counts as "other".
 *
 * Not here: streams, whose time is their client's (they are counted as volley_http_streams_total),
 * and what never was a whole request (volley_http_parse_errors_total).
 *
 * A request past the deadline that its client set counts as 4xx: nothing is wrong here.
 *
 * Thread: any; counters are relaxed atomics. A lock for requests that were traced, and their
 * exemplars.
 */
#ifndef VLY_API_ROUTE_STATS_H
#define VLY_API_ROUTE_STATS_H

#include "api/metrics_text.h"
#include "base/clock.h"
#include "base/status.h"
#include "net/http_server.h"
#include "store/key_file.h"

typedef struct vly_route_stats vly_route_stats;

/* Index of a route: 0 is "other", then the rows of VLY_ROUTES, then those of VLY_GRPC_METHODS. */
#define VLY_ROUTE_IDX_HTTP(row) ((row) + 1)
size_t vly_route_idx_grpc(size_t row);

vly_status vly_route_stats_new(vly_route_stats **ret, vly_err *err) VLY_MUST_CHECK;
void vly_route_stats_free(vly_route_stats *s); /* accepts NULL */

/* For vly_http_opts.on_finished. s NULL: nothing happens. */
void vly_route_stats_count(vly_route_stats *s, const vly_http_request *req,
                           const vly_http_finished *f);

/* Figures of one route and one class of status, 1 .. 5. */
#define VLY_ROUTE_BUCKETS 25
typedef struct vly_route_figures {
    vly_counter in[VLY_ROUTE_BUCKETS + 1]; /* by bound of vly_metrics_seconds_bounds; last: above */
    vly_counter sum_ns;
} vly_route_figures;

size_t vly_route_n(void);
const char *vly_route_pattern(size_t route); /* "other", "/v2/models/{}/infer" */
const char *vly_route_method(size_t route);  /* "GET", also of HEAD; of other: "other" */
vly_key_scope vly_route_scope(size_t route); /* that a key needs; of other: none */
const vly_route_figures *vly_route_stats_at(const vly_route_stats *s, size_t route, int class);
/* The last traced request of each bucket; false: there is none. Takes a lock. */
bool vly_route_stats_exemplars(vly_route_stats *s, size_t route, int class,
                               vly_exemplar ret[VLY_ROUTE_BUCKETS + 1]);

#endif
