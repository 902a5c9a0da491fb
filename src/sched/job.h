/* SPDX-License-Identifier: MIT */
/*
 * Job: one run of a model, embedded in the request of whoever wants it.
 *
 * Borrowed from submit until done is called, which happens exactly once for each job that submit
 * accepted. The model stays loaded until done has returned, so that the caller need not hold a
 * reference of its own.
 */
#ifndef VLY_SCHED_JOB_H
#define VLY_SCHED_JOB_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/status.h"
#include "base/str.h"
#include "codec/picture.h"
#include "tasks/observation.h"
#include "tasks/task.h"
#include "tensor/tensor.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_job vly_job;

typedef enum vly_job_kind {
    VLY_JOB_PICTURE, /* encoded picture -> observations */
    VLY_JOB_TENSORS, /* input tensors -> output tensors */
} vly_job_kind;

/* Where the time of one job went. In a batch, infer is that of the batch. */
typedef struct vly_job_times {
    vly_nsec queue, input, infer, output;
    size_t batch; /* items of the run, those of others included; 0: not known */
} vly_job_times;

/* Which sequence the job belongs to, for models that keep state (extension_sequence.md). */
typedef struct vly_job_sequence {
    uint64_t id;  /* 0 and no name: none */
    vly_str name; /* id as a string; wins when not empty; lives as long as the job */
    bool is_start, is_end;
} vly_job_sequence;

/* Private to sched/batch_queue.h. */
typedef struct vly_job_place {
    vly_job *prev; /* in the list of its level; next is the job's */
    vly_heap_node expiry;
    uint64_t number; /* in the order of arrival */
    size_t level;    /* from 0 */
    bool is_late, is_ended;
} vly_job_place;

struct vly_job {
    vly_job_kind kind;
    void *ctx;                        /* the caller's */
    unsigned loop;                    /* 1 + the index of the loop thread that submits; 0: another,
                                         or one that runs no turns */
    const _Atomic bool *is_cancelled; /* read when the job's turn comes; NULL: never cancelled */
    const _Atomic bool *is_wanted;    /* though cancelled: others wait for what comes out; NULL */
    vly_nsec deadline_ns;             /* the job does not start later; 0: no deadline */
    vly_nsec received_ns;             /* when the request came; 0: when it is submitted */
    vly_nsec waiting_since_ns;        /* its timeout counts from then; 0: from its submit */
    _Atomic vly_nsec *starts_ns; /* when it is expected to start; 0: not known, or it has; NULL */
    uint64_t priority;           /* 1: first; 0: the model's default */
    uint64_t timeout_us;         /* of the wait in the queue, where its policy allows it; 0 */
    vly_job_sequence sequence;
    bool is_copy; /* for a shadow of a route: no client's request, and not counted as one */

    /* Both optional, on whatever thread runs the job: prepare may fill in the inputs, and keeps the
     * job out of batches; encode turns the results, which are gone afterwards, into an answer.
     * Their time counts as compute input and output. */
    vly_status (*prepare)(vly_job *job, vly_err *err);
    vly_status (*encode)(vly_job *job, vly_err *err);
    /* On that thread, when the statistics have been counted: the job is the caller's again. */
    void (*done)(vly_job *job);

    vly_str picture;            /* PICTURE: the encoded bytes */
    const vly_picture *decoded; /* PICTURE: what they hold, for !wants_pixels; NULL: not decoded */
    vly_detector_options options;
    bool wants_pixels;
    const vly_tensor *inputs; /* TENSORS: [n_inputs] of the model */
    size_t n_inferences;      /* items of its batch; 0 counts as 1 */

    /* Results, between run and the return of encode. */
    vly_observations observations;
    vly_picture pixels;        /* when wants_pixels: upright, may be drawn on */
    const vly_tensor *outputs; /* [n_outputs] of the model */

    vly_status status; /* for done, as the next three */
    vly_err err;
    bool is_model_failure; /* the model's run has failed, whatever the status says of the input */
    vly_job_times times;

    vly_job *next; /* private, as all below */
    vly_nsec queued_ns;
    vly_job_place place;
};

static inline bool vly_job_is_cancelled(const vly_job *job)
{
    return job->is_cancelled != NULL && atomic_load(job->is_cancelled) &&
           (job->is_wanted == NULL || !atomic_load(job->is_wanted));
}

#endif
