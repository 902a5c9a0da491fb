/* SPDX-License-Identifier: MIT */
/*
 * The runner of built-in steps: each job is a work item of the pool. Private to the scheduler.
 * A step has no state and takes little time, so that there is nothing to batch and no instance.
 */
#ifndef VLY_SCHED_STEP_RUNNER_H
#define VLY_SCHED_STEP_RUNNER_H

#include "sched/scheduler.h"

/* opts and pool outlive the runner, served owns it and has the step. ENOMEM. */
vly_status vly_step_runner_new(vly_served *served, const vly_scheduler_opts *opts,
                               vly_worker_pool *pool, vly_runner **ret,
                               vly_err *err) VLY_MUST_CHECK;

#endif
