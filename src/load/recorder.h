/* SPDX-License-Identifier: MIT */
/*
 * What became of the requests: counts, times, bytes; in all, and since the last look.
 *
 * The latency of a request counts from when it was due, not from when it could be sent: a server
 * that stalls makes all those wait that would have come meanwhile (coordinated omission, Tene
 * 2013). The service time, from the first byte sent, stands beside it. A request that timed out
 * counts with the time that was waited; one that failed, or was refused, is no latency of a success
 * and is told apart.
 *
 * Threads: each generator thread adds to a recorder of its own; another thread takes from it, which
 * moves the figures into its sums. guarded by lock: all.
 */
#ifndef VLY_LOAD_RECORDER_H
#define VLY_LOAD_RECORDER_H

#include "load/load_histogram.h"
#include "load/transport.h"

#include <pthread.h>

#define VLY_LOAD_STATUSES_MAX 16
#define VLY_LOAD_REASONS_MAX  8
#define VLY_LOAD_REASON_BYTES 160

typedef struct vly_load_outcomes {
    uint64_t n_ok;
    uint64_t n_hits;    /* of those that are ok: from the server's cache */
    uint64_t n_refused; /* answered, but with an error */
    uint64_t n_failed;  /* no connection, a broken one, or a wrong answer */
    uint64_t n_timeout;
    uint64_t n_unsent; /* too many were under way already */
    uint64_t bytes_in, bytes_out;
} vly_load_outcomes;

typedef struct vly_load_status_count {
    int status;
    uint64_t n;
} vly_load_status_count;

/* What was said of requests that came to nothing: a failure, a refusal or a time-out. */
typedef struct vly_load_reason {
    vly_load_outcome outcome;
    int status;
    uint64_t n;
    char text[VLY_LOAD_REASON_BYTES]; /* its begin, in printable ASCII; NUL-terminated */
} vly_load_reason;

/* Zeroed: nothing yet. 240 kB: not for the stack. */
typedef struct vly_load_tally {
    vly_load_outcomes counts;
    vly_load_histogram latency;  /* of successes and time-outs, from when they were due */
    vly_load_histogram service;  /* of successes, from when they were sent */
    vly_load_histogram hits;     /* latency of successes from the server's cache */
    vly_load_histogram computed; /* latency of the other successes */
    vly_load_histogram refused;  /* latency of answers that are errors */
    vly_load_histogram lateness; /* from due to handed to the transport: what the generator adds */
    vly_load_histogram waits;    /* of successes, from handed to sent: for a free connection */
    vly_load_status_count statuses[VLY_LOAD_STATUSES_MAX]; /* of answers that are errors */
    size_t n_statuses;
    vly_load_reason reasons[VLY_LOAD_REASONS_MAX]; /* the first that differ */
    size_t n_reasons;
    vly_nsec last_ok_ns; /* when the last success was there */
} vly_load_tally;

typedef struct vly_load_recent {
    vly_load_outcomes counts;
    vly_load_histogram latency;
} vly_load_recent;

typedef struct vly_load_recorder {
    pthread_mutex_t lock;
    vly_load_tally total;
    vly_load_recent recent;
} vly_load_recorder;

void vly_load_recorder_init(vly_load_recorder *r); /* r is zeroed */
void vly_load_recorder_release(vly_load_recorder *r);
/* A call that is done; handed_ns: when it was given to its transport. */
void vly_load_recorder_add(vly_load_recorder *r, const vly_load_call *call, vly_nsec handed_ns);
void vly_load_recorder_add_unsent(vly_load_recorder *r);
/* Adds what came since the last take to *to, which nobody else looks at. */
void vly_load_recorder_take(vly_load_recorder *r, vly_load_tally *to);
void vly_load_recorder_take_recent(vly_load_recorder *r, vly_load_recent *to);

void vly_load_tally_merge(vly_load_tally *to, const vly_load_tally *from);
void vly_load_recent_merge(vly_load_recent *to, const vly_load_recent *from);

static inline uint64_t vly_load_n_errors(const vly_load_outcomes *c)
{
    return c->n_refused + c->n_failed + c->n_timeout + c->n_unsent;
}

static inline uint64_t vly_load_n_all(const vly_load_outcomes *c)
{
    return c->n_ok + vly_load_n_errors(c);
}

/* Share of all requests that were not answered well; 0 when there were none. */
double vly_load_error_share(const vly_load_outcomes *c);

#endif
