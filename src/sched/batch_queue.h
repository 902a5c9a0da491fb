/* SPDX-License-Identifier: MIT */
/*
 * Batch queue: which jobs of one model run together, and when.
 *
 * Pure: no thread, no lock, no clock of its own. Whoever holds it tells the time with each call,
 * which must not go back by more than the jitter between threads. What forms a batch is Triton's
 * documented algorithm:
 *
 *   - jobs come in the order of their priority level, then of their arrival; within a level, those
 *     past their timeout (policy DELAY) come last;
 *   - the batch takes jobs in that order as long as they fit: max_batch, and the shapes of the
 *     first one;
 *   - it closes at the largest preferred size that it meets; when the next job would lead past all
 *     of them; when the next job does not fit; or when its oldest job has waited for delay_ns, and
 *     then with all that is there;
 *   - with delay_ns 0 it closes with what is there.
 *
 * One thing differs: where Triton waits for the delay whatever happens, a batch here closes at once
 * when no company is coming. Company is expected while
 *   - the last arrivals, COMPANY_EVIDENCE of them in a row, found other jobs queued or running: a
 *     client that waits for each answer before it sends the next request is no company for itself;
 *   - the gap between arrivals (their moving average) is shorter than what is left of the delay;
 *   - the last arrival is less than two such gaps ago. When that passes, and nobody came, the
 *     evidence must be gathered anew.
 *
 * Owner: one thread at a time. A job is in at most one queue.
 */
#ifndef VLY_SCHED_BATCH_QUEUE_H
#define VLY_SCHED_BATCH_QUEUE_H

#include "sched/job.h"

#define VLY_PRIORITY_LEVELS_MAX 1024
#define VLY_COMPANY_EVIDENCE    3

typedef struct vly_batch_queue vly_batch_queue;

/* Of one priority level: Triton's ModelQueuePolicy. */
typedef struct vly_queue_policy {
    vly_nsec timeout_ns;  /* of the wait in the queue; 0: none */
    bool is_delay;        /* a job past it runs after the others of its level; else it is dropped */
    bool allows_override; /* a job may bring a shorter timeout of its own */
    size_t max_size;      /* jobs waiting; 0: no bound but that of the whole queue */
} vly_queue_policy;

typedef struct vly_batch_rules {
    size_t max_batch; /* inferences in one batch; 1: every job runs alone */
    vly_nsec delay_ns;
    const size_t *preferred;          /* [n_preferred], ascending, each 1 .. max_batch */
    size_t n_preferred;               /* 0: max_batch alone */
    const vly_queue_policy *policies; /* [n_levels]; level 1 comes first */
    size_t n_levels;                  /* 1 .. VLY_PRIORITY_LEVELS_MAX */
    size_t default_level;             /* 1 .. n_levels: of jobs that name none, or one too high */
    size_t max_waiting;               /* jobs of all levels */
    /* May job run in the batch that first begins? NULL: none may. */
    bool (*fits)(const void *ctx, const vly_job *first, const vly_job *job);
    const void *ctx;
} vly_batch_rules;

/* Why a batch closed. */
#define VLY_BATCH_REASON_MAP(X)                                                                    \
    X(FULL, "full")           /* the next job would lead past max_batch, or all preferred sizes */ \
    X(PREFERRED, "preferred") /* of a preferred size */                                            \
    X(DELAY, "delay")         /* its oldest job has waited for the delay */                        \
    X(IDLE, "idle")           /* an instance was free, and no company to be expected */            \
    X(SHAPE, "shape")         /* the next job does not fit to the first */                         \
    X(TURN, "turn")           /* the end of a turn of the loop that brought the jobs */

typedef enum vly_batch_reason {
#define VLY_BATCH_REASON_ENUM(name, text) VLY_BATCH_##name,
    VLY_BATCH_REASON_MAP(VLY_BATCH_REASON_ENUM)
#undef VLY_BATCH_REASON_ENUM
} vly_batch_reason;

const char *vly_batch_reason_name(vly_batch_reason reason); /* "preferred" */

typedef struct vly_batch {
    vly_job *first; /* list by next */
    size_t n_jobs, n_inferences;
    vly_nsec oldest_ns; /* when the one that has waited longest was queued */
    vly_batch_reason reason;
} vly_batch;

/* rules are copied. ENOMEM. */
vly_status vly_batch_queue_new(const vly_batch_rules *rules, vly_batch_queue **ret,
                               vly_err *err) VLY_MUST_CHECK;
void vly_batch_queue_free(vly_batch_queue *q); /* must be empty; accepts NULL */
const vly_batch_rules *vly_batch_queue_rules(const vly_batch_queue *q);
size_t vly_batch_queue_len(const vly_batch_queue *q); /* jobs */

/* What waits already stays. */
void vly_batch_queue_set_max_waiting(vly_batch_queue *q, size_t n);
/* Queues n jobs that arrived together, all or none. is_busy: other jobs of the model run now.
 * EBUSY: there is no room now; ELIMIT: there never is for so many. */
vly_status vly_batch_queue_push(vly_batch_queue *q, vly_job *const *jobs, size_t n, vly_nsec now,
                                bool is_busy, vly_err *err) VLY_MUST_CHECK;

/* Is there a batch for an instance that is free now? It stays in the queue. When not, *ret_when
 * says when to ask again if nothing arrives; 0: no need to. Jobs found cancelled or expired leave
 * the queue: see dropped. */
bool vly_batch_queue_is_ready(vly_batch_queue *q, vly_nsec now, vly_nsec *ret_when);
/* The same, and takes the batch out. */
bool vly_batch_queue_take(vly_batch_queue *q, vly_nsec now, vly_batch *ret, vly_nsec *ret_when);

/* Moves what has expired out of the queue, or behind the others. */
void vly_batch_queue_expire(vly_batch_queue *q, vly_nsec now);
/* When the next job expires; 0: none does. */
vly_nsec vly_batch_queue_next_expiry(const vly_batch_queue *q);
/* The jobs, linked by next, that the calls before this one found to be cancelled or expired: their
 * err says which. They are the caller's now. NULL: none. */
vly_job *vly_batch_queue_dropped(vly_batch_queue *q);

/* What is known of arrivals, for people. */
typedef struct vly_arrivals {
    vly_nsec gap_ns; /* moving average of the time between two; 0: none seen yet */
    unsigned streak; /* in a row that found other jobs in the model */
} vly_arrivals;

vly_arrivals vly_batch_queue_arrivals(const vly_batch_queue *q);

/* Keeps answers in the order in which their jobs began (preserve_ordering). Zeroed: empty. */
typedef struct vly_answer_order {
    vly_job *head, *last;
} vly_answer_order;

void vly_answer_order_begin(vly_answer_order *o, vly_job *job);
/* The jobs, linked by next, that may be answered now that job has ended; NULL: none yet. */
vly_job *vly_answer_order_end(vly_answer_order *o, vly_job *job);

#endif
