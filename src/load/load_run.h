/* SPDX-License-Identifier: MIT */
/*
 * Runs a load: generator threads, each with a loop, connections and a recorder of its own, and the
 * caller's thread, which looks at them once a second.
 *
 * Open loop: requests go out when the plan says, whatever became of those before. Of the n threads
 * the k-th takes every n-th arrival, so the arrivals do not depend on how many threads there are.
 * Closed loop: each connection has as many requests under way as it may; that measures what a
 * server can do, not what users would wait for, and the result says so.
 *
 * A run is a list of segments: the warm-up, whose figures are thrown away, and the plan; of a
 * stepped run one segment for each phase, until an objective is missed. A segment ends when all its
 * requests are done.
 */
#ifndef VLY_LOAD_LOAD_RUN_H
#define VLY_LOAD_LOAD_RUN_H

#include "load/load_body.h"
#include "load/load_plan.h"
#include "load/recorder.h"
#include "load/slo.h"
#include "load/transport.h"

#define VLY_LOAD_THREADS_MAX 64

/* What happened within a stretch of time, which ends at_s after the begin of the plan. */
typedef struct vly_load_moment {
    double at_s, seconds;
    vly_load_outcomes counts;
    vly_nsec p50_ns, p99_ns, max_ns; /* 0: nothing was answered */
    double planned;                  /* requests a second; closed loop: 0 */
    size_t in_flight;                /* the most at once, about */
    bool is_warmup;
} vly_load_moment;

typedef struct vly_load_step {
    double rate, ok_per_s, error_share;
    vly_nsec p50_ns, p99_ns;
    bool is_held; /* all objectives */
} vly_load_step;

typedef struct vly_load_run_opts {
    const vly_load_kind *kind;
    /* loop, n_connections, ctx and the callbacks are the run's */
    vly_load_transport_opts transport;
    const vly_load_body *bodies; /* sent in turn; borrowed */
    size_t n_bodies;             /* 0: none have one */
    bool is_unique;              /* each is stamped with its number, from first_mark on */
    uint64_t first_mark;
    const vly_load_plan *plan; /* borrowed; of a closed loop its duration alone counts */
    bool is_closed, is_stepped;
    vly_nsec warmup_ns;
    unsigned n_threads, n_connections; /* connections of all threads: at least one for each */
    size_t max_outstanding;            /* of each thread; past it a request counts as unsent */
    vly_nsec spin_ns;                  /* see load_loop.h */
    const vly_load_slo *slos;          /* of a stepped run */
    size_t n_slos;
    int stop_fd; /* ends the run early when it is readable; -1: none */
    void *ctx;
    /* About once a second, on the caller's thread. */
    void (*on_moment)(void *ctx, const vly_load_moment *moment);
} vly_load_run_opts;

typedef struct vly_load_result {
    vly_load_tally *tally;    /* of a stepped run: of the last step that held, else of the first */
    double seconds, ok_per_s; /* of the same */
    vly_load_moment *moments; /* without the warm-up; at most VLY_LOAD_MOMENTS_MAX */
    size_t n_moments;
    vly_load_step *steps;
    size_t n_steps;
    vly_load_counts sockets;
    unsigned n_opened;              /* connections when the load began */
    char trouble[VLY_LOAD_WHY_MAX]; /* why others could not be made then; empty: they could */
    bool is_interrupted;
} vly_load_result;

#define VLY_LOAD_MOMENTS_MAX 1024

/* EUNAVAILABLE: no connection can be made; what transport_open and the system say otherwise. */
vly_status vly_load_run(const vly_load_run_opts *opts, vly_load_result *ret,
                        vly_err *err) VLY_MUST_CHECK;
void vly_load_result_release(vly_load_result *r); /* accepts a zeroed one */

/* Whether the generator was late by so much that the latencies are its own, not the server's. */
bool vly_load_is_late(const vly_load_tally *tally);

/* Whether requests waited so long for a free connection that it tells in their latency. */
bool vly_load_is_crowded(const vly_load_tally *tally);

/* One request, by itself, on the caller's thread: for looking before the load begins. Its answer is
 * appended to *answer; *ret_status as of a call; *ret_is_ok (may be NULL): it is a success, which
 * of a stream no status tells. EUNAVAILABLE: there was no answer. */
vly_status vly_load_ask(const vly_load_kind *kind, const vly_load_transport_opts *opts,
                        vly_str body, vly_buf *answer, int *ret_status, bool *ret_is_ok,
                        vly_err *err) VLY_MUST_CHECK;

#endif
