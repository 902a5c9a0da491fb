/* SPDX-License-Identifier: MIT */
/*
 * Runner: what carries out the jobs of one served model. The lane runs a model's own plan; other
 * kinds stand in front of lanes. Each kind is one file with one vly_runner_ops.
 */
#ifndef VLY_SCHED_RUNNER_H
#define VLY_SCHED_RUNNER_H

#include "base/status.h"
#include "sched/job.h"

#include <stddef.h>

typedef struct vly_runner vly_runner;
struct vly_explanation; /* sched/explain.h */

typedef struct vly_runner_ops {
    /* Queues n jobs, all or none; never blocks. EBUSY: there is no room now; ELIMIT: there never is
     * for so many. In both cases done is not called. Thread: any. */
    vly_status (*submit)(vly_runner *r, vly_job *const *jobs, size_t n, vly_err *err);
    /* The model was withdrawn: what waits only for other jobs to come waits no longer. May be NULL.
     * Thread: any. */
    void (*stop)(vly_runner *r);
    /* No job is queued or running. Thread: any, also that of the job that was the last. */
    void (*free)(vly_runner *r);
    /* How jobs are queued and run, in *ret. NULL: there is no queue. Thread: any. */
    void (*explain)(vly_runner *r, struct vly_explanation *ret);
} vly_runner_ops;

/* The first member of each kind. */
struct vly_runner {
    const vly_runner_ops *ops;
};

#endif
