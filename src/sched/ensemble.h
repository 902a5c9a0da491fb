/* SPDX-License-Identifier: MIT */
/*
 * Ensembles: the runner of models that are made of models. Private to the scheduler.
 *
 *   job -> [tensors of the ensemble] -> steps whose inputs are all there, side by side, as jobs of
 *          their models -> [their outputs] -> next steps -> ... -> done
 *
 * Tensors go from step to step by reference; what a step wrote lives until the job ends. The models
 * of the steps are looked up for each job, and kept by it, so that one that was reloaded is used
 * from the next job on and one that was unloaded ends with the last job that needs it. Cancelling,
 * deadline, priority and sequence of the job are those of its steps. The first step that fails
 * ends the job, when those under way have ended; the error names it.
 *
 * Pictures: a step of a model that detects may read a tensor as "picture" (BYTES, one encoded
 * picture) instead of the model's own input, and write "boxes" FP32 [n, 4], "scores" FP32 [n],
 * "labels" INT32 [n] in pixels of the picture, instead of the model's own outputs: the model's
 * preparation and decoder do the rest. An ensemble with one BYTES input that is read so, and with
 * outputs boxes, scores and labels, is a detector: it takes picture jobs too.
 */
#ifndef VLY_SCHED_ENSEMBLE_H
#define VLY_SCHED_ENSEMBLE_H

#include "sched/ensemble_plan.h"
#include "sched/scheduler.h"

/* The role of a tensor of a picture step. */
typedef enum vly_ensemble_part {
    VLY_ENSEMBLE_BOXES,
    VLY_ENSEMBLE_SCORES,
    VLY_ENSEMBLE_LABELS,
    VLY_ENSEMBLE_N_PARTS,
} vly_ensemble_part;

/* Compares the plan with the models that the scheduler offers now, in Triton's words, and finds out
 * whether s is a detector (s->decoder). EUNAVAILABLE: a model is missing; EINVAL, ENOMEM. */
vly_status vly_ensemble_check(vly_scheduler *scheduler, vly_servable *s,
                              vly_err *err) VLY_MUST_CHECK;

/* What the models of all steps are at this moment, as one number that changes with any of them.
 * False: no telling, one keeps state, is an ensemble itself, or is missing. */
bool vly_ensemble_identity(vly_scheduler *scheduler, const vly_ensemble_plan *plan, uint64_t *ret);

/* scheduler and opts outlive the runner, served owns it and has the plan. ENOMEM. */
vly_status vly_ensemble_new(vly_served *served, vly_scheduler *scheduler,
                            const vly_scheduler_opts *opts, vly_runner **ret,
                            vly_err *err) VLY_MUST_CHECK;

/* ---- what its files share ---- */

/* Does this step use its model as a detector of pictures? */
bool vly_ensemble__is_picture_step(const vly_ensemble_step *step, const vly_servable *model);
/* "boxes", "scores", "labels"; VLY_ENSEMBLE_N_PARTS: another. */
vly_ensemble_part vly_ensemble__part(const char *name);
/* Observations -> one tensor, new. */
vly_status vly_ensemble__tensor_of(const vly_observations *o, vly_ensemble_part part,
                                   vly_tensor *ret, vly_err *err) VLY_MUST_CHECK;
/* The way back, by falling score, what the options leave. parts: of any type and shape. */
vly_status vly_ensemble__observe(const vly_tensor *parts[VLY_ENSEMBLE_N_PARTS],
                                 const vly_detector_options *options, vly_arena *arena,
                                 vly_observations *ret, vly_err *err) VLY_MUST_CHECK;

#endif
