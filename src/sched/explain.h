/* SPDX-License-Identifier: MIT */
/*
 * Explain: how a model's jobs are run, why so, and what happened last. A snapshot for people.
 */
#ifndef VLY_SCHED_EXPLAIN_H
#define VLY_SCHED_EXPLAIN_H

#include "sched/batch_queue.h"
#include "sched/calibrate.h"

#define VLY_BATCH_HISTORY 32

typedef struct vly_batch_record {
    vly_nsec at_ns; /* when it was closed */
    size_t n_jobs, n_inferences;
    vly_batch_reason reason;
    vly_nsec waited_ns; /* its oldest job, in the queue */
    vly_nsec run_ns;    /* inputs, run and outputs */
} vly_batch_record;

typedef struct vly_explanation {
    vly_calibration calibration;
    size_t n_instances, n_running;
    size_t n_waiting;
    size_t max_batch; /* in force; 1: jobs do not share runs */
    bool keeps_order;
    bool is_unbatchable;          /* its outputs turned out not to have a row for each input row */
    const vly_batch_rules *rules; /* as long as the model */
    vly_arrivals arrivals;
    size_t n_batches; /* the last of them, the newest first */
    vly_batch_record batches[VLY_BATCH_HISTORY];
} vly_explanation;

#endif
