/* SPDX-License-Identifier: MIT */
/*
 * Ensemble plan: the steps of an ensemble as a graph without rings, from its configuration alone;
 * the models of the steps are looked at in sched/ensemble.h. Private to the scheduler.
 *
 * A tensor of the ensemble is written once, by the client or by one step, and read by any number of
 * steps and by the client.
 *
 * Lives in the servable's arena; immutable, thread: any.
 */
#ifndef VLY_SCHED_ENSEMBLE_PLAN_H
#define VLY_SCHED_ENSEMBLE_PLAN_H

#include "base/arena.h"
#include "codec/triton_config.h"
#include "engine/model.h"

#define VLY_ENSEMBLE_STEPS_MAX 256

/* A tensor of a step's model, and of the ensemble. */
typedef struct vly_ensemble_link {
    const char *name; /* in the model */
    size_t tensor;
} vly_ensemble_link;

typedef struct vly_ensemble_step {
    const char *model;
    const char *version; /* "": the latest */
    size_t n_inputs, n_outputs;
    const vly_ensemble_link *inputs, *outputs;
    size_t n_sources; /* links of inputs that come from steps: it starts when all are there */
} vly_ensemble_step;

typedef struct vly_ensemble_tensor {
    const char *name;
    size_t step; /* that writes it; SIZE_MAX: the client */
    bool is_output;
} vly_ensemble_tensor;

typedef struct vly_ensemble_plan {
    vly_model_info info; /* inputs and outputs of the configuration, batch dimension included */
    size_t n_tensors, n_steps;
    const vly_ensemble_tensor *tensors; /* first the inputs of info, in its order */
    const vly_ensemble_step *steps;
    const size_t *outputs; /* [info.n_outputs]: tensor */
} vly_ensemble_plan;

/* EINVAL, in Triton's words where it has some, names the step; ENOMEM. */
vly_status vly_ensemble_plan_make(const char *name, const vly_triton_config *config,
                                  vly_arena *arena, const vly_ensemble_plan **ret,
                                  vly_err *err) VLY_MUST_CHECK;

#endif
