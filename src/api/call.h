/* SPDX-License-Identifier: MIT */
/*
 * What the API keeps of a request besides the request itself: its id, where its time went, and what
 * the access log is to say of it. Lives in the arena of the request, found by req->user; NULL when
 * there was no memory for it, or the request never came to the API.
 *
 * Owner: as the request.
 */
#ifndef VLY_API_CALL_H
#define VLY_API_CALL_H

#include "api/api.h"
#include "api/trace.h"
#include "cache/result_cache.h"
#include "codec/inflate.h"
#include "sched/job.h"

#define VLY_REQUEST_ID_MAX 128

typedef struct vly_call {
    vly_api *api;
    vly_str id; /* X-Request-Id or the trace of traceparent, when they are valid; else made here */
    vly_encoding accepts;    /* of what it accepts, the best */
    size_t route;            /* api/route_stats.h; 0: none */
    int grpc_as_http;        /* what the status of a failed gRPC call is in HTTP; 0: none failed */
    int grpc_code;           /* of it */
    vly_str model;           /* empty: none */
    vly_str version;         /* of the model that ran; kept with a tracer only */
    vly_str arm;             /* "model/version" of the route's arm that had it; empty: none */
    vly_str error;           /* of the answer; empty: none */
    struct vly_grant *grant; /* api/access.h; NULL: none was needed */
    bool is_admin;           /* it came by the admin listener */
    bool is_known;           /* it was admitted: by its key, where keys are needed */
    bool is_late;            /* past the deadline that its client set, or sure to be */
    bool has_times;          /* a model ran, or was to */
    vly_job_times times;
    vly_cache_outcome cache;
    vly_nsec total_ns; /* received to answered */
    vly_trace trace;   /* with a tracer only */
} vly_call;

/* Begins a call: req->user is set, or stays NULL. Thread: loop. */
void vly_call_begin(vly_api *api, vly_http_request *req);
static inline vly_call *vly_call_of(const vly_http_request *req)
{
    return req->user;
}

static inline vly_str vly_call_id(const vly_http_request *req)
{
    const vly_call *call = vly_call_of(req);
    return call != NULL ? call->id : VLY_STR("");
}

/* What it asks for: an index of api/route_stats.h. */
void vly_call_set_route(const vly_http_request *req, size_t route);
/* Which model it was about, and where the time went. */
void vly_call_set_model(vly_http_request *req, vly_str name);
/* arm NULL: it was no route. m: the model that ran; NULL: none. */
void vly_call_set_arm(vly_http_request *req, const vly_route_arm *arm, const vly_served *m);
void vly_call_set_times(vly_http_request *req, const vly_job_times *times);
void vly_call_set_late(const vly_http_request *req, bool is_late);

/* Whether its answer was known: "hit", "shared" (of who asked the same), "miss"; NULL: nobody was
 * asked. */
void vly_call_set_cache(const vly_http_request *req, const vly_cache_outcome *outcome);
const char *vly_call_cache(const vly_call *call);
const char *vly_call_cache_name(const vly_cache_outcome *outcome); /* the same of it */

/* "queue;dur=0.012, input;dur=0.003, compute;dur=1.250, output;dur=0.004, total;dur=1.300": NUL
 * -terminated. Sets total_ns. */
#define VLY_SERVER_TIMING_MAX 160
void vly_call_timing(vly_call *call, const vly_http_request *req, char text[VLY_SERVER_TIMING_MAX]);

#endif
