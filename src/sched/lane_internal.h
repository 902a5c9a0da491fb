/* SPDX-License-Identifier: MIT */
/* What lane.c and lane_inline.c share. */
#ifndef VLY_SCHED_LANE_INTERNAL_H
#define VLY_SCHED_LANE_INTERNAL_H

#include "base/arena.h"
#include "sched/explain.h"
#include "sched/lane.h"
#include "sched/queue_wait.h"
#include "sched/rate_limit.h"

/* A work item of the pool. Owner: the worker that runs it; next: the lane. */
typedef struct vly_lane_instance {
    vly_work work; /* first: the pool hands out a pointer to it */
    vly_lane *lane;
    struct vly_lane_instance *next; /* idle, or about to be lined */
    vly_executor *executor;         /* made by the first turn */
    vly_rate_claim claim;           /* held from the line to the end of the turn */
} vly_lane_instance;

/* What a loop thread has for the end of its turn. Owner: the loop. */
typedef struct vly_lane_turn {
    vly_job *head, **tail;
    size_t n_jobs;
    vly_lane *next; /* of this loop, with jobs */
    vly_executor *executor;
} vly_lane_turn;

struct vly_lane {
    vly_runner runner;  /* first: a pointer to it is a pointer to the lane */
    vly_served *served; /* immutable, as all down to instances */
    vly_lane_home *home;
    vly_arena arena; /* of the configuration */
    vly_executor_limits limits;
    vly_run_config config;
    vly_calibration calibration;
    vly_lane_turn *turns; /* [n_loops]; NULL: not INLINE */
    size_t n_instances;
    vly_lane_instance *instances;
    vly_alarm alarm;
    _Atomic bool is_unbatchable;

    pthread_mutex_t lock;
    vly_batch_queue *queue; /* guarded by lock, as all below */
    vly_queue_wait wait;
    vly_lane_instance *idle;
    size_t n_lined, n_running;
    size_t n_pending;  /* as the gauge says */
    vly_nsec alarm_ns; /* what the alarm is set to; 0: it is not */
    vly_answer_order order;
    vly_job *answers, **answers_tail; /* that have ended in their turn */
    bool is_answering;                /* a thread hands them out */
    vly_batch_record history[VLY_BATCH_HISTORY];
    size_t n_batches; /* ever */
};

/* Runs a batch on x and counts it. The caller holds a reference to the served model. */
void vly_lane__run(vly_lane *lane, vly_executor *x, const vly_batch *batch);
/* Jobs linked by next that will not run: answers them by their err. */
void vly_lane__drop(vly_lane *lane, vly_job *jobs);
/* Queues for the workers; the jobs hold their references to the model already. */
vly_status vly_lane__queue(vly_lane *lane, vly_job *const *jobs, size_t n, vly_err *err);

/* An instance has ended its run: it goes idle, or back to the line. */
void vly_lane__give_back(vly_lane_instance *x);

/* submit of an INLINE lane. */
vly_status vly_lane__submit_inline(vly_lane *lane, vly_job *const *jobs, size_t n, vly_err *err);
vly_status vly_lane__open_turns(vly_lane *lane, vly_err *err);
void vly_lane__close_turns(vly_lane *lane);

#endif
