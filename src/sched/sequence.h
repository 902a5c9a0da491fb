/* SPDX-License-Identifier: MIT */
/*
 * Sequence batcher: the runner of models that keep state for each client (Triton's
 * sequence_batching). It stands in front of the model's lane.
 *
 *   jobs of sequence 7:  [ 3 2 1 ] -> one at a time, with the state of 7 -> lane: batched with what
 *   jobs of sequence 9:  [ 1 ]     -> one at a time, with the state of 9 -> other sequences have
 * there
 *
 * A sequence begins with a job that has the START flag and ends with one that has END, or when it
 * was idle for max_sequence_idle_microseconds. Its jobs run in the order in which they came. START
 * on a live sequence begins it anew, when the jobs before it are done.
 *
 * The state moves on with each job that succeeds. One that is refused for what it holds leaves the
 * state alone. One that was accepted but not run to its end (cancelled, too late, failed in the
 * model) breaks the sequence, for what comes behind it would be computed without it: those that
 * wait already end with ECANCELLED, and the next must START.
 *
 * Beyond the candidates of strategy `oldest` new sequences wait in the order in which they began.
 * With `direct` all are candidates: the state is kept here, not in a slot of the model's batch.
 *
 * Thread: submit any; state and tensors of a sequence belong to its running job.
 */
#ifndef VLY_SCHED_SEQUENCE_H
#define VLY_SCHED_SEQUENCE_H

#include "sched/scheduler.h"
#include "sched/sequence_plan.h"
#include "sys/alarm.h"

#define VLY_SEQUENCE_NAME_MAX 128 /* bytes of a correlation id, as in Triton */

/* served owns the runner and has the plan; lane: taken, runs the model. opts and alarms outlive it.
 * ENOMEM; lane is the caller's then. */
vly_status vly_sequence_new(vly_served *served, const vly_scheduler_opts *opts, vly_alarms *alarms,
                            vly_runner *lane, vly_runner **ret, vly_err *err) VLY_MUST_CHECK;

/* What the alarm does: forgets the sequences that are idle for too long at this time. */
void vly_sequence_expire(vly_runner *r, vly_nsec now);

#endif
