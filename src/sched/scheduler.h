/* SPDX-License-Identifier: MIT */
/*
 * Scheduler: the models that a process serves, and who runs what when.
 *
 * One worker pool for the whole process, a thread for each core. Each model has a bounded queue of
 * jobs and up to one instance for each worker, made when first needed. An instance is a work item
 * of the pool: it takes one job from its model's queue, runs it, and goes to the back of the pool's
 * line while jobs wait. So the pool is shared fairly by models, N models never mean N x cores
 * threads, and a batch can later be formed where a job is taken.
 *
 *     submit -> [queue of the model] -> instance on a worker: prepare, run, encode -> done
 *
 * A job that is cancelled or past its deadline when its turn comes is dropped before it costs
 * anything.
 *
 * Threads: models are added by the owner before the first job; afterwards find, at and submit may
 * be called from any thread, and never block.
 */
#ifndef VLY_SCHED_SCHEDULER_H
#define VLY_SCHED_SCHEDULER_H

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "base/str.h"
#include "codec/picture.h"
#include "sched/servable.h"
#include "sys/worker_pool.h"
#include "tasks/observation.h"
#include "tasks/task.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_scheduler vly_scheduler;
typedef struct vly_job vly_job;

typedef struct vly_scheduler_opts {
    unsigned n_threads;       /* 0: one for each core the process may use */
    size_t max_waiting;       /* jobs in the queue of one model */
    size_t max_scratch_bytes; /* observations of one picture, and what making them takes */
    vly_picture_limits picture_limits;
} vly_scheduler_opts;

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

/* Durations in nanoseconds, of successful jobs. */
typedef struct vly_served_stats {
    vly_counter success;
    vly_counter failures[VLY_JOB_FAILURE_N];
    vly_counter inferences; /* each item of a batch counts */
    vly_counter executions;
    vly_gauge pending;     /* waiting in the queue */
    vly_histogram request; /* received to ready to be sent */
    vly_histogram queue;
    vly_histogram compute_input;
    vly_histogram compute_infer;
    vly_histogram compute_output;
} vly_served_stats;

/* One version of one model. Lifetime: the scheduler's. Immutable but for the statistics. */
typedef struct vly_served {
    const char *name;
    const char *version;
    const char *path;       /* of the .onnx file; NULL: none was found */
    vly_servable *servable; /* NULL: it could not be loaded */
    const char *error;      /* why; NULL: it serves */
    vly_nsec load_ns;
    vly_served_stats stats;
    struct vly_lane *lane; /* private: queue and instances */
} vly_served;

typedef enum vly_job_kind {
    VLY_JOB_PICTURE, /* encoded picture -> observations */
    VLY_JOB_TENSORS, /* input tensors -> output tensors */
} vly_job_kind;

/*
 * One run of a model, embedded in the caller's request. Borrowed from submit until done is called,
 * which happens exactly once for each job that submit accepted.
 */
struct vly_job {
    vly_job_kind kind;
    void *ctx;                        /* the caller's */
    const _Atomic bool *is_cancelled; /* read when the job's turn comes; NULL: never cancelled */
    vly_nsec deadline_ns;             /* the job does not start later; 0: no deadline */
    vly_nsec received_ns;             /* when the request came; 0: when it is submitted */

    /* Both optional, on the worker: prepare may fill in the inputs; encode turns the results, which
     * are gone afterwards, into an answer. Their time counts as compute input and output. */
    vly_status (*prepare)(vly_job *job, vly_err *err);
    vly_status (*encode)(vly_job *job, vly_err *err);
    /* On the worker, when the statistics have been counted: the job is the caller's again. */
    void (*done)(vly_job *job);

    vly_str picture; /* PICTURE: the encoded bytes */
    vly_detector_options options;
    bool wants_pixels;
    const vly_tensor *inputs; /* TENSORS: [n_inputs] of the model */
    size_t n_inferences;      /* items of the batch; 0 counts as 1 */

    /* Results, between run and the return of encode. */
    vly_observations observations;
    vly_picture pixels;        /* when wants_pixels: upright, may be drawn on */
    const vly_tensor *outputs; /* [n_outputs] of the model */

    vly_status status; /* for done */
    vly_err err;

    vly_job *next; /* private */
    vly_nsec queued_ns;
};

vly_status vly_scheduler_new(const vly_scheduler_opts *opts, vly_scheduler **ret,
                             vly_err *err) VLY_MUST_CHECK;
/* Waits for the jobs that were accepted. Accepts NULL. */
void vly_scheduler_free(vly_scheduler *s);
vly_worker_pool *vly_scheduler_pool(vly_scheduler *s);

/* Loads a model; the specification has a name and a version. One that cannot be loaded is kept too,
 * as unavailable and with the reason. EEXIST: there is this version of this name already; ENOMEM.
 */
vly_status vly_scheduler_add(vly_scheduler *s, const vly_servable_spec *spec,
                             const vly_served **ret, vly_err *err) VLY_MUST_CHECK;
/* Keeps a model that cannot even be tried, with the reason. */
vly_status vly_scheduler_add_unavailable(vly_scheduler *s, const char *name, const char *version,
                                         const char *reason, const vly_served **ret,
                                         vly_err *err) VLY_MUST_CHECK;

size_t vly_scheduler_count(const vly_scheduler *s);
/* In order of name, then version. Thread: the statistics' fields are atomic, the rest constant. */
vly_served *vly_scheduler_at(const vly_scheduler *s, size_t idx);
/* version empty: the highest one that serves, else the highest. NULL: there is none. */
vly_served *vly_scheduler_find(const vly_scheduler *s, vly_str name, vly_str version);

/* Queues n jobs of a model that serves, all or none. EBUSY: there is no room now; ELIMIT: there
 * never is for so many. In both cases done is not called. */
vly_status vly_scheduler_submit(vly_served *m, vly_job *const *jobs, size_t n,
                                vly_err *err) VLY_MUST_CHECK;

#endif
