/* SPDX-License-Identifier: MIT */
/*
 * Model routes: one public name over several versions or models (arms).
 *
 *   detector -> yolov8n 1      weight 90
 *               yolov8n 2      weight 10
 *               yolov8s 1      shadow 0.05: a copy of this share of requests, answers compared
 *
 * Sticky: an arm is chosen by a fixed 64-bit hash of the route's name, its salt and the session id,
 * so a session stays where it is over restarts and over servers; a change of weights moves only the
 * sessions that it must. Requests without a session are spread by a counter.
 *
 * Guard: an arm on probation whose error rate or latency, over a window, is worse than the route
 * allows (absolutely, or against the first arm) is rolled back: its weight goes to the others, with
 * the reason in log, metrics and the route itself. Promotion gives an arm all of the traffic.
 *
 * A table is immutable and replaced as a whole; a lookup holds a reference, so a change never waits
 * for requests. Thread: any.
 */
#ifndef VLY_SCHED_MODEL_ROUTES_H
#define VLY_SCHED_MODEL_ROUTES_H

#include "sched/scheduler.h"

#define VLY_ROUTE_ARMS_MAX 16

typedef struct vly_model_routes vly_model_routes;
typedef struct vly_route_arm vly_route_arm; /* refcounted; has counters and histograms of its own */

/* What a request goes to; the references are the caller's. */
typedef struct vly_route_pick {
    vly_served *model;
    vly_route_arm *arm; /* NULL: the name is no route */
    vly_served *shadow; /* NULL: this request has none */
    vly_route_arm *shadow_arm;
} vly_route_pick;

/* The model of that name, or of the arm that this session has in the route of that name. A version
 * that is given asks for the model itself. ENOTFOUND, EUNAVAILABLE as vly_infer_find. */
vly_status vly_model_routes_pick(vly_model_routes *r, vly_scheduler *s, vly_str name,
                                 vly_str version, vly_str session, vly_route_pick *ret,
                                 vly_err *err) VLY_MUST_CHECK;
void vly_route_pick_release(vly_route_pick *p);
/* What became of a request that went to an arm: counted, and judged by the guard. */
void vly_route_arm_count(vly_route_arm *a, vly_status st, vly_nsec latency_ns);

#endif
