/* SPDX-License-Identifier: MIT */
/*
 * How long a job that comes now would wait: the jobs before it, times what one takes to leave the
 * queue. That is measured where it counts, at the queue while jobs are left behind, so that slow
 * inputs, other models on the same workers and a machine that is busy with something else are all
 * in it. While none are left behind, because what comes is refused, jobs that leave sooner than was
 * thought still correct it: otherwise one stall would be believed for ever.
 *
 * Pure: the clock is given. Owner: whoever holds the queue.
 */
#ifndef VLY_SCHED_QUEUE_WAIT_H
#define VLY_SCHED_QUEUE_WAIT_H

#include "base/clock.h"

#include <stddef.h>

/* Zeroed: nothing is known, and no wait is expected; gap_ns may be set to a guess. */
typedef struct vly_queue_wait {
    vly_nsec gap_ns;   /* moving average of the time between two jobs that leave */
    vly_nsec taken_ns; /* when the last ones left; 0: none has */
    vly_nsec since_ns; /* the same, if others were still waiting; 0: none was */
    size_t n_taken;    /* then */
} vly_queue_wait;

/* n_taken jobs have left the queue together, n_left wait on. */
void vly_queue_wait_taken(vly_queue_wait *w, vly_nsec now, size_t n_taken, size_t n_left);
/* The wait of a job behind n_ahead others. They leave in batches as the last one; while none leaves
 * for longer than usual, each batch is taken to need that long. */
vly_nsec vly_queue_wait_behind(const vly_queue_wait *w, vly_nsec now, size_t n_ahead);

#endif
