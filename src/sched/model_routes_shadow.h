/* SPDX-License-Identifier: MIT */
/*
 * Shadow of a route: requests run once more on another model, after their answer has gone, and both
 * answers are compared. The client never waits for it, and what it costs is bounded:
 *
 *   - a copy is made only when the line of the pool and the queue of the other model are empty and
 *     few copies are in work; else it is dropped, and counted
 *   - inputs that have a store are kept by a reference, those that lie in the request are copied,
 *     which is the one thing that happens before the answer leaves
 *
 * Each comparison is a line of JSON in the log (setting routes.shadow_log):
 *
 *   {"time_ms":1795270693306,"id":"...","route":"detector","arm":"yolov8n/1","shadow":"yolov8s/1",
 *    "arm_ms":41.2,"shadow_ms":103.7,"agrees":true,"kind":"boxes","n_arm":4,"n_shadow":5,
 *    "matched":4,"missing":0,"extra":1,"mean_iou":0.94,"mean_score_diff":0.03,
 *    "max_score_diff":0.08}
 *   {...,"kind":"class","arm_class":3,"shadow_class":3,"score_diff":0.01}
 *   {...,"kind":"tensors","n":1,"max_abs":1e-05,"mean_abs":1e-06,"cosine":0.999999}
 *   {...,"error":"..."}
 *
 * It agrees when no box is missing or extra; when the first class is the same; when the outputs of
 * one name have one type and a cosine of at least VLY_ROUTE_COSINE_MIN.
 *
 * Thread: any; take within the encode of the arm's job, while its results are there.
 */
#ifndef VLY_SCHED_MODEL_ROUTES_SHADOW_H
#define VLY_SCHED_MODEL_ROUTES_SHADOW_H

#include "sched/model_routes.h"

typedef struct vly_route_shadow vly_route_shadow;

/* Keeps what the comparison needs of a job that has run on m. id: of the request. NULL: dropped. */
vly_route_shadow *vly_route_shadow_take(vly_model_routes *r, vly_model_route *route, vly_served *m,
                                        const vly_job *job, vly_str id);
/* The answer has gone: runs it, unless the server is busy. Accepts NULL, as the next. */
void vly_route_shadow_go(vly_route_shadow *x);
/* There was no answer. */
void vly_route_shadow_drop(vly_route_shadow *x);

#endif
