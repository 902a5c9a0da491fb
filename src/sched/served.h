/* SPDX-License-Identifier: MIT */
/*
 * Served: one version of one model as the scheduler offers it, or the reason why it cannot.
 *
 * Immutable once published, but for its state and statistics. Refcounted: whoever finds one holds a
 * reference; a model that was replaced or withdrawn ends with its last reference, that is when the
 * jobs it had accepted are done. Thread: any.
 */
#ifndef VLY_SCHED_SERVED_H
#define VLY_SCHED_SERVED_H

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "base/str.h"
#include "cache/result_cache.h"
#include "sched/runner.h"
#include "sched/servable.h"

#include <stdatomic.h>

/* Why a job failed, as Triton's metrics tell it apart. */
#define VLY_JOB_FAILURE_MAP(X)                                                                     \
    X(REJECTED) /* the queue was full */                                                           \
    X(CANCELED) /* cancelled, or past its deadline */                                              \
    X(BACKEND)  /* the model could not run it */                                                   \
    X(OTHER)    /* its input was bad, or its answer could not be made */

typedef enum vly_job_failure {
#define VLY_JOB_FAILURE_ENUM(name) VLY_JOB_FAILURE_##name,
    VLY_JOB_FAILURE_MAP(VLY_JOB_FAILURE_ENUM)
#undef VLY_JOB_FAILURE_ENUM
        VLY_JOB_FAILURE_N
} vly_job_failure;

const char *vly_job_failure_name(vly_job_failure f); /* "REJECTED" */

/* Runs of one batch size, and what all of them took, in nanoseconds. */
typedef struct vly_batch_stat {
    _Atomic size_t size; /* inferences; 0: the row is free */
    vly_counter count;
    vly_counter compute_input, compute_infer, compute_output;
} vly_batch_stat;

#define VLY_BATCH_STATS_MAX 64 /* sizes told apart; those met later are not counted */

/* Durations in nanoseconds, of successful jobs. Copies of requests (vly_job.is_copy) count where
 * work is counted: inferences, executions, batches, what waits; nowhere else. */
typedef struct vly_served_stats {
    vly_counter success;
    vly_counter failures[VLY_JOB_FAILURE_N];
    vly_counter failed_ns;              /* received to failed, of all of them */
    vly_counter inferences;             /* each item of a batch counts */
    vly_counter executions;             /* runs of the model, of a batch or of one job */
    _Atomic uint64_t last_inference_ms; /* wall clock; 0: none yet */
    vly_gauge pending;                  /* waiting in the queue */
    vly_gauge sequences;                /* that have begun and not ended */
    vly_histogram request;              /* received to ready to be sent */
    vly_histogram known;                /* of these, what the cache answered */
    vly_histogram queue;
    vly_histogram compute_input;
    vly_histogram compute_infer;
    vly_histogram compute_output;
    vly_cache_stats cache;
    vly_batch_stat batches[VLY_BATCH_STATS_MAX]; /* in no order */
} vly_served_stats;

/* States of Triton's model repository extension. */
#define VLY_SERVED_STATE_MAP(X)                                                                    \
    X(LOADING)                                                                                     \
    X(READY)                                                                                       \
    X(UNLOADING) /* withdrawn; jobs it had accepted still run */                                   \
    X(UNAVAILABLE)

typedef enum vly_served_state {
#define VLY_SERVED_STATE_ENUM(name) VLY_SERVED_##name,
    VLY_SERVED_STATE_MAP(VLY_SERVED_STATE_ENUM)
#undef VLY_SERVED_STATE_ENUM
} vly_served_state;

const char *vly_served_state_name(vly_served_state state); /* "READY" */

typedef struct vly_served {
    const char *name;
    const char *version;
    const char *path;       /* of the .onnx file; NULL: none was found */
    vly_servable *servable; /* NULL: it could not be loaded, or is not yet */
    const char *error;      /* why it does not serve; NULL: it does, or is LOADING */
    uint64_t stamp;         /* of the files it was loaded from (sched/data_files.h); 0: none */
    uint64_t digest;        /* of their bytes (vly_control_opts.has_digests); 0: not known */
    vly_nsec load_ns;
    vly_runner *runner; /* NULL together with servable */
    _Atomic vly_served_state state;
    vly_served_stats stats;
    struct vly_served *heir; /* UNLOADING in its place, UNAVAILABLE when this one ends; a reference,
                                set while it is still published; NULL: none */
    _Atomic uint32_t n_refs; /* private */
} vly_served;

/* A row without a model; reason: why it does not serve, NULL for READY, whose creator adds servable
 * and runner before anyone else sees it. */
vly_status vly_served_new(const char *name, const char *version, const char *path,
                          vly_served_state state, const char *reason, vly_served **ret,
                          vly_err *err) VLY_MUST_CHECK;
vly_served *vly_served_ref(vly_served *m);
void vly_served_unref(vly_served *m); /* accepts NULL */

/* Changes with anything that its answers depend on, but for models of an ensemble: the digest, or
 * else the stamp, by which servers do not agree. */
static inline uint64_t vly_served_identity(const vly_served *m)
{
    return m->digest != 0 ? m->digest : m->stamp;
}

/* Counts a run of the model. */
void vly_served_count_run(vly_served *m, size_t n_inferences, const vly_job_times *times);
/* Counts a request that needed no run: its answer was known. */
void vly_served_count_known(vly_served *m, vly_nsec received_ns);
/* Counts n jobs that the queue had no room for; first: one of them. */
void vly_served_count_rejected(vly_served *m, const vly_job *first, size_t n);
/* Counts a job that has ended with st, and gives it back to its caller by done. */
void vly_served_finish(vly_served *m, vly_job *job, vly_status st);

#endif
