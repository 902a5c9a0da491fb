/* SPDX-License-Identifier: MIT */
/*
 * The one worker pool of the process: n threads and a bounded queue of intrusive work items.
 *
 * Two kinds of work: items (vly_work), run in the order submitted, one thread each; and parallel
 * loops, whose caller takes part and whom idle workers join. A loop waits only for helpers that
 * have already begun a piece, and pieces never wait for unbegun work, so nesting cannot deadlock,
 * not even when every worker is inside a loop. Nobody spins. No allocation after creation.
 *
 * Thread: submit, drain and parallel_for from any thread, workers included (drain: not from a
 * worker). Creation and free belong to the owner.
 */
#ifndef VLY_SYS_WORKER_POOL_H
#define VLY_SYS_WORKER_POOL_H

#include "base/status.h"

#include <stddef.h>

typedef struct vly_worker_pool vly_worker_pool;

/* Embedded in the submitter's object; borrowed from submit until run begins. run may free or
 * resubmit the item. */
typedef struct vly_work {
    struct vly_work *next; /* owner: the pool while queued */
    void (*run)(struct vly_work *work);
} vly_work;

/* n_threads >= 1; queue_cap >= 1 is the most items that may wait. */
vly_status vly_worker_pool_new(unsigned n_threads, size_t queue_cap, vly_worker_pool **ret,
                               vly_err *err) VLY_MUST_CHECK;
/* The same with a name for the threads (static, at most VLY_THREAD_NAME_MAX bytes), which top
 * shows; else they are called "volley-worker". */
#define VLY_THREAD_NAME_MAX 15
vly_status vly_worker_pool_new_named(const char *name, unsigned n_threads, size_t queue_cap,
                                     vly_worker_pool **ret, vly_err *err) VLY_MUST_CHECK;
/* Runs what is queued, then stops and joins the threads. Accepts NULL. */
void vly_worker_pool_free(vly_worker_pool *pool);

/* EBUSY: the queue is full, run will not be called. Never blocks. */
vly_status vly_worker_pool_submit(vly_worker_pool *pool, vly_work *work) VLY_MUST_CHECK;
/* Waits until no item is queued or running. */
void vly_worker_pool_drain(vly_worker_pool *pool);

unsigned vly_worker_pool_threads(const vly_worker_pool *pool);
size_t vly_worker_pool_queued(vly_worker_pool *pool); /* a snapshot, for metrics */

/* Handles the indices [begin, end). */
typedef void (*vly_parallel_fn)(void *ctx, size_t begin, size_t end);

/* Calls fn over pieces of at most grain (>= 1) indices that cover [0, n) exactly once, on the
 * calling thread and on idle workers; returns when all are done. Every piece begins at a multiple
 * of grain. pool NULL, no worker idle, or a single piece: one plain call on the calling thread. */
void vly_parallel_for(vly_worker_pool *pool, size_t n, size_t grain, vly_parallel_fn fn, void *ctx);

#endif
