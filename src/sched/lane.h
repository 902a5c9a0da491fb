/* SPDX-License-Identifier: MIT */
/*
 * Lane: the queue of one served model and its instances. Private to the scheduler.
 *
 * Invariant: while jobs wait, either every instance is active (in the pool's line or running), or
 * as many are as there are jobs. An instance goes idle only under the lock, seeing an empty queue.
 */
#ifndef VLY_SCHED_LANE_H
#define VLY_SCHED_LANE_H

#include "sched/scheduler.h"

typedef struct vly_lane vly_lane;

/* opts and served outlive the lane; instances are made by the workers that first need them. */
vly_status vly_lane_new(vly_served *served, const vly_scheduler_opts *opts, vly_worker_pool *pool,
                        vly_lane **ret, vly_err *err) VLY_MUST_CHECK;
/* No job may be queued or running. Accepts NULL. */
void vly_lane_free(vly_lane *lane);
/* As vly_scheduler_submit. */
vly_status vly_lane_submit(vly_lane *lane, vly_job *const *jobs, size_t n,
                           vly_err *err) VLY_MUST_CHECK;

#endif
