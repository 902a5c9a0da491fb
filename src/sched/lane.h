/* SPDX-License-Identifier: MIT */
/*
 * Lane: the queue of one served model and its instances. Private to the scheduler.
 *
 * Invariant: while jobs wait, either every instance is active (in the pool's line or running), or
 * as many are as there are jobs. An instance goes idle only under the lock, seeing an empty queue.
 * Each active instance holds a reference to the served model, so that the lane outlives its jobs.
 */
#ifndef VLY_SCHED_LANE_H
#define VLY_SCHED_LANE_H

#include "sched/scheduler.h"

/* opts and pool outlive the lane, served owns it; instances are made by the workers that first need
 * them. */
vly_status vly_lane_new(vly_served *served, const vly_scheduler_opts *opts, vly_worker_pool *pool,
                        vly_runner **ret, vly_err *err) VLY_MUST_CHECK;

#endif
