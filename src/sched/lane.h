/* SPDX-License-Identifier: MIT */
/*
 * Lane: the queue of one served model and its instances. Private to the scheduler.
 *
 * A job goes on the queue (sched/batch_queue.h); when that has a batch for a free instance, one is
 * put in the pool's line. When its turn comes it takes what the queue has by then, runs it, and
 * goes to the back of the line while there is more. What must happen at a time, a delay that ends
 * or a job that expires, is the lane's one alarm.
 *
 *     idle --batch ready--> lined --turn--> running --done--> idle or lined
 *
 * An instance that needs resources of the rate limiter enters the pool's line when it has them.
 *
 * Each job that waits or runs, and each instance that is not idle, holds a reference to the served
 * model, so that the lane outlives them.
 *
 * In INLINE mode a job of a loop thread waits for the end of the loop's turn and runs there, with
 * the others of that turn; a job of another thread runs within submit. A turn that has taken
 * VLY_INLINE_TURN_NS leaves the rest to the workers.
 */
#ifndef VLY_SCHED_LANE_H
#define VLY_SCHED_LANE_H

#include "sched/scheduler.h"

#include <pthread.h>

#define VLY_INLINE_TURN_NS VLY_NSEC_PER_MS

typedef struct vly_lane vly_lane;

/* The lanes with jobs for the end of a loop's turn. Owner: the loop. */
typedef struct vly_lane_line {
    vly_lane *first;
    pthread_t thread;        /* of the loop; written once, before has_thread */
    _Atomic bool has_thread; /* the loop has ended a turn, so it will end others */
} vly_lane_line;

/* What the lanes of a scheduler share. */
typedef struct vly_lane_home {
    const vly_scheduler_opts *opts; /* immutable, as the next four */
    vly_worker_pool *pool;
    vly_alarms *alarms;
    struct vly_rate_limiter *limiter;
    vly_lane_line *lines;    /* [opts->n_loops] */
    _Atomic size_t n_jobs;   /* accepted and not done */
    _Atomic bool is_ending;  /* somebody waits for n_jobs to be 0 */
    pthread_mutex_t lock;    /* of is_empty */
    pthread_cond_t is_empty; /* n_jobs became 0 while is_ending */
} vly_lane_home;

/* Waits until no lane has a job. Nobody may submit any more but jobs themselves. */
void vly_lane_home_wait(vly_lane_home *home);

/* home outlives the lane, served owns it. Measures the model, warms it up, and so takes a while.
 * EINVAL: the configuration is wrong, ENOMEM. */
vly_status vly_lane_new(vly_served *served, vly_lane_home *home, vly_runner **ret,
                        vly_err *err) VLY_MUST_CHECK;

/* Runs what waits for the end of this turn. Thread: that loop. */
void vly_lane_home_turn(vly_lane_home *home, unsigned loop);

#endif
