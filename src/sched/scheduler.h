/* SPDX-License-Identifier: MIT */
/*
 * Scheduler: the models that a process serves, and who runs what when.
 *
 * One worker pool for the whole process, a thread for each core. Each model has a runner
 * (sched/runner.h) with a bounded queue of jobs and up to one instance for each worker, made when
 * first needed. An instance is a work item of the pool: it takes from its model's queue, runs, and
 * goes to the back of the pool's line while jobs wait. So the pool is shared fairly by models, and
 * N models never mean N x cores threads.
 *
 *     submit -> [queue of the model] -> instance on a worker: prepare, run, encode -> done
 *
 * A job that is cancelled or past its deadline when its turn comes is dropped before it costs
 * anything.
 *
 * The models are an immutable set that is replaced as a whole: a lookup takes a reference under a
 * lock and goes on without it, and a change never waits for requests.
 *
 * Thread: any, but for new and free. Loading blocks, everything else does not.
 */
#ifndef VLY_SCHED_SCHEDULER_H
#define VLY_SCHED_SCHEDULER_H

#include "sched/served.h"
#include "sys/alarm.h"
#include "sys/worker_pool.h"

typedef struct vly_scheduler vly_scheduler;

typedef struct vly_scheduler_opts {
    unsigned n_threads;         /* 0: one for each core the process may use */
    _Atomic size_t max_waiting; /* jobs in the queue of one model */
    vly_nsec max_wait_ns;       /* a job that would wait longer there is refused; 0: none is */
    size_t max_sequences;       /* live ones of one model; 0: 10000 */
    unsigned n_loops;           /* threads that call vly_scheduler_turn */
    const char *resources;      /* "R1=4,R2=2": of the rate limiter; NULL: as many as are needed */
    const char *execution;    /* of models that do not say: auto, inline, parallel, batched; NULL */
    size_t max_scratch_bytes; /* observations of one picture, and what making them takes */
    vly_picture_limits picture_limits;
} vly_scheduler_opts;

vly_status vly_scheduler_new(const vly_scheduler_opts *opts, vly_scheduler **ret,
                             vly_err *err) VLY_MUST_CHECK;
/* From now on; what waits already stays. Thread: any. */
void vly_scheduler_set_max_waiting(vly_scheduler *s, size_t n);
/* Waits for the jobs that were accepted, and for whoever holds a reference to a model. Accepts
 * NULL. */
void vly_scheduler_free(vly_scheduler *s);
vly_worker_pool *vly_scheduler_pool(vly_scheduler *s);
vly_alarms *vly_scheduler_alarms(vly_scheduler *s); /* the process's; ends with the scheduler */

/* Loads a model, ready to run; the specification has a name and a version. One that cannot be
 * loaded comes back as UNAVAILABLE, with the reason. *ret: a new reference. ENOMEM. */
vly_status vly_scheduler_load(vly_scheduler *s, const vly_servable_spec *spec, vly_served **ret,
                              vly_err *err) VLY_MUST_CHECK;
/* Offers m from now on, in place of what had its name and version; takes a reference of its own.
 * What it replaces gets UNLOADING. ENOMEM. */
vly_status vly_scheduler_publish(vly_scheduler *s, vly_served *m, vly_err *err) VLY_MUST_CHECK;
/* One step from what is offered to what shall be: each of `in` takes the place of what has its name
 * and version, each of `out`, members of the present set, goes. What goes gets UNLOADING. ENOMEM.
 */
vly_status vly_scheduler_exchange(vly_scheduler *s, vly_served *const *in, size_t n_in,
                                  vly_served *const *out, size_t n_out,
                                  vly_err *err) VLY_MUST_CHECK;
/* Offers this version no longer. ENOTFOUND, ENOMEM. */
vly_status vly_scheduler_withdraw(vly_scheduler *s, vly_str name, vly_str version,
                                  vly_err *err) VLY_MUST_CHECK;

/* A new reference. version empty: the highest one that serves, else the highest. NULL: none. */
vly_served *vly_scheduler_find(vly_scheduler *s, vly_str name, vly_str version);

/* What is offered at one moment, in order of name, then version. */
typedef struct vly_model_set {
    _Atomic uint32_t n_refs;
    size_t n;
    vly_served *models[]; /* a reference each */
} vly_model_set;

vly_model_set *vly_scheduler_models(vly_scheduler *s); /* new reference, never NULL */
void vly_model_set_unref(vly_model_set *set);

/* The end of a turn of loop thread `loop`, 0 .. n_loops - 1: runs what waits for it. Thread: that
 * loop. */
void vly_scheduler_turn(vly_scheduler *s, unsigned loop);

/* As vly_runner_ops.submit, of a model that is READY. */
vly_status vly_scheduler_submit(vly_served *m, vly_job *const *jobs, size_t n,
                                vly_err *err) VLY_MUST_CHECK;

#endif
