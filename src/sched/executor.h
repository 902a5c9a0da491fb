/* SPDX-License-Identifier: MIT */
/*
 * Executor: what one thread needs to run the jobs of a servable: the instance of the model, what
 * decodes pictures, and room for batches. All of it is made when first needed.
 *
 * Jobs that run as a batch have their inputs joined along the first dimension, and get the rows of
 * the outputs that are theirs, which are views. A batch is filled up with rows of zeros to the next
 * power of two: each size of input has a plan of its own, and so few sizes are met. One job runs on
 * its inputs as they are. When a batch fails, or the model does not keep one row for each row, its
 * jobs run one by one, so that none suffers from its company.
 *
 * Owner: one thread at a time.
 */
#ifndef VLY_SCHED_EXECUTOR_H
#define VLY_SCHED_EXECUTOR_H

#include "sched/batch_queue.h"
#include "sched/servable.h"

typedef struct vly_executor vly_executor;
struct vly_worker_pool;

typedef struct vly_executor_limits {
    vly_picture_limits picture;
    size_t max_scratch_bytes; /* observations of one picture, and what making them takes */
    size_t max_batch;         /* rows of one batch */
} vly_executor_limits;

typedef struct vly_executor_events {
    /* A run of the model has succeeded, of one job or of a batch. Before finish of its (last) job.
     * times: the longest wait in the queue, and what the run and its answers took. */
    void (*ran)(void *ctx, size_t n_inferences, const vly_job_times *times);
    /* The job has ended: its status is set, and what its results point to is gone; it may go. */
    void (*finish)(void *ctx, vly_job *job);
    /* The outputs do not have a row for each row of the inputs. */
    void (*unbatchable)(void *ctx);
    void *ctx;
} vly_executor_events;

/* s and limits outlive the executor. pool: cores that one run may be split over; NULL: none. */
vly_status vly_executor_new(vly_servable *s, const vly_executor_limits *limits,
                            struct vly_worker_pool *pool, vly_executor **ret,
                            vly_err *err) VLY_MUST_CHECK;
void vly_executor_free(vly_executor *x); /* accepts NULL */

/* May the two run in one batch? Both have tensors ready, of equal types and shapes but for the
 * first dimension, which counts their inferences. */
bool vly_executor_fits(const vly_servable *s, const vly_job *first, const vly_job *job);

/* Runs the jobs, linked by next: prepares, runs, encodes. */
void vly_executor_run(vly_executor *x, const vly_batch *batch, const vly_executor_events *events);

/* Runs the model on these inputs [n_inputs of run_info] and forgets the outputs. */
vly_status vly_executor_warm(vly_executor *x, const vly_tensor *inputs,
                             vly_err *err) VLY_MUST_CHECK;
/* What such a run costs, by its plan. */
vly_status vly_executor_plan(vly_executor *x, const vly_tensor *inputs, vly_plan_summary *ret,
                             vly_err *err) VLY_MUST_CHECK;

#endif
