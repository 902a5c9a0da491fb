/* SPDX-License-Identifier: MIT */
/*
 * Performance: what each model, each arm of a route and the process have done in every second of
 * the last five minutes, for the page /performance.
 *
 * Once a second, at the desk (api/desk.h; not on the thread of the alarms, which closes batches),
 * the counters and histograms are compared with what they were a second ago. So it costs nothing
 * where requests are counted, and some 20 us a second for each model that is used, whether anybody
 * looks or not; and who opens the page sees what was.
 *
 * Thread: any, but for new and free. A look holds the lock for as long as a copy takes.
 */
#ifndef VLY_API_PERFORMANCE_H
#define VLY_API_PERFORMANCE_H

#include "base/arena.h"
#include "sched/model_routes.h"
#include "sched/scheduler.h"

#define VLY_PERFORMANCE_POINTS 300
#define VLY_PERFORMANCE_NS     VLY_NSEC_PER_SEC /* from point to point */

/* What there is of each second; NAN: nothing to tell. The names are those of the answer. */
#define VLY_PERFORMANCE_FIELDS(X)                                                                  \
    X(computed) /* a second: answers for which a model ran */                                      \
    X(cached)   /* a second: answers from the cache, or shared with one that was computed */       \
    X(failed)   /* a second: requests without an answer, whoever is to blame; what an arm could    \
                   not take and another one answered is not among them */                          \
    X(p50_ms)   /* of what was computed, received to ready to be sent */                           \
    X(p95_ms)                                                                                      \
    X(p99_ms)                                                                                      \
    X(queue_p95_ms) /* of it, waiting for an instance */                                           \
    X(pending)      /* waiting at the end of the second; of an arm, as queue and batch: of the     \
                       requests to its model, by whatever name */                                  \
    X(batch)        /* inferences in one run of the model, on average */                           \
    X(hit_ratio) /* of lookups in the cache, counted when they are made; the answer may come later \
                  */

typedef struct vly_performance_point {
#define VLY_PERFORMANCE_FIELD(name) float name;
    VLY_PERFORMANCE_FIELDS(VLY_PERFORMANCE_FIELD)
#undef VLY_PERFORMANCE_FIELD
} vly_performance_point;

typedef struct vly_performance vly_performance;

typedef struct vly_performance_opts {
    vly_scheduler *scheduler; /* borrowed, ends later */
    vly_model_routes *routes; /* borrowed, ends later; NULL: none */
    vly_alarms *alarms;       /* NULL: sampled by hand */
    vly_worker_pool *desk;    /* where they have the sampling done; NULL when they are */
    unsigned n_cores;         /* that the process may use */
    uint64_t memory_bytes;    /* that it may use; 0: not known */
    size_t max_series;        /* arms, then models; more are not shown */
} vly_performance_opts;

vly_status vly_performance_new(const vly_performance_opts *opts, vly_performance **ret,
                               vly_err *err) VLY_MUST_CHECK;
void vly_performance_free(vly_performance *p); /* accepts NULL */

/* Ends a second now. Called by the alarm, or by a test. */
void vly_performance_sample(vly_performance *p, vly_nsec now, uint64_t unix_ms);

/* Of the process in one second; cpu_percent: 100 is one core. */
typedef struct vly_performance_process {
    uint64_t unix_ms;
    float cpu_percent;
    uint64_t resident_bytes;
} vly_performance_process;

/* Since the start. */
typedef struct vly_performance_report {
    uint64_t n_requests; /* computed, cached and failed */
    double average_ms, p95_ms;
    double memory_percent; /* of what the process may use; NAN: not known */
    double cpu_percent;    /* 100: all cores that it may use */
} vly_performance_report;

typedef struct vly_performance_row {
    const char *route; /* NULL: a model; else model and version are an arm of it */
    const char *model;
    const char *version;
    const vly_performance_point *points;
} vly_performance_row;

/* The seconds behind number `since`, oldest first; all of them where that is too long ago. */
typedef struct vly_performance_view {
    vly_performance_report report;
    uint64_t last; /* number of the newest */
    size_t n_points;
    const vly_performance_process *process;
    size_t n_rows; /* models, then arms */
    const vly_performance_row *rows;
    size_t n_left_out; /* that there was no room for */
} vly_performance_view;

unsigned vly_performance_cores(const vly_performance *p);
/* Copies into the arena. ENOMEM. */
vly_status vly_performance_look(vly_performance *p, uint64_t since, vly_arena *arena,
                                vly_performance_view *ret, vly_err *err) VLY_MUST_CHECK;

#endif
