/* SPDX-License-Identifier: MIT */
/*
 * How a model's jobs are to be queued and batched: its configuration, with what this server makes
 * of the parts that it leaves open.
 */
#ifndef VLY_SCHED_BATCH_RULES_H
#define VLY_SCHED_BATCH_RULES_H

#include "sched/batch_queue.h"
#include "sched/servable.h"

/* How a model's jobs are run. */
#define VLY_EXECUTION_MAP(X)                                                                       \
    X(AUTO, "auto")         /* chosen by measurement when the model is loaded */                   \
    X(INLINE, "inline")     /* on the thread that submits, at the end of the loop's turn */        \
    X(PARALLEL, "parallel") /* one job for each core */                                            \
    X(BATCHED, "batched")   /* joined into batches, which run on as many cores */

typedef enum vly_execution {
#define VLY_EXECUTION_ENUM(name, text) VLY_EXECUTION_##name,
    VLY_EXECUTION_MAP(VLY_EXECUTION_ENUM)
#undef VLY_EXECUTION_ENUM
} vly_execution;

const char *vly_execution_name(vly_execution e); /* "batched" */
vly_status vly_execution_parse(vly_str text, vly_execution *ret, vly_err *err) VLY_MUST_CHECK;

/* What the configuration says about runs. */
typedef struct vly_run_config {
    vly_execution execution;
    bool asks_for_batches; /* dynamic_batching with preferred sizes or a delay */
    bool keeps_order;      /* answers leave in the order in which jobs began */
    bool needs_resources;  /* of the rate limiter */
    size_t max_batch;      /* rows that can be joined; 1: the model does not batch */
    size_t n_instances;    /* at once; 0: one for each worker */
    vly_batch_rules rules; /* but for max_waiting, fits and ctx; arrays in the arena */
} vly_run_config;

/* Reads the configuration of s; execution: the server's word, where the model has none. The arrays
 * live in arena. EINVAL names the field. */
vly_status vly_run_config_read(const vly_servable *s, vly_execution execution, vly_arena *arena,
                               vly_run_config *ret, vly_err *err) VLY_MUST_CHECK;

#endif
