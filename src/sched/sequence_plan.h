/* SPDX-License-Identifier: MIT */
/*
 * Sequence plan: how the tensors of one run of a model with sequence_batching come about: which the
 * client sends, which say START, END, READY or the correlation id, which carry state from one run
 * to the next. Made once at load; private to the scheduler.
 *
 * Lives in the servable's arena; immutable, thread: any.
 */
#ifndef VLY_SCHED_SEQUENCE_PLAN_H
#define VLY_SCHED_SEQUENCE_PLAN_H

#include "base/arena.h"
#include "base/clock.h"
#include "codec/triton_config.h"
#include "engine/model.h"

typedef enum vly_sequence_source {
    VLY_SEQUENCE_CLIENT, /* idx: of the client's inputs */
    VLY_SEQUENCE_STATE,  /* idx: of states */
    VLY_SEQUENCE_START,
    VLY_SEQUENCE_READY,
    VLY_SEQUENCE_END,
    VLY_SEQUENCE_CORRID,
} vly_sequence_source;

typedef struct vly_sequence_input {
    vly_sequence_source source;
    size_t idx;
    vly_tensor values[2]; /* START, READY, END: that of false and of true; CORRID: [0], not set */
} vly_sequence_input;

typedef struct vly_sequence_state {
    size_t output;      /* of the run's outputs: what the next run gets */
    vly_tensor initial; /* what the first run gets */
} vly_sequence_state;

typedef struct vly_sequence_plan {
    const vly_model_info *info; /* inputs and outputs that are left for clients */
    vly_sequence_input *inputs; /* [n_inputs] of the run */
    size_t *outputs;            /* [n_outputs] of info: place in the run's outputs */
    vly_sequence_state *states;
    size_t n_states;
    vly_dtype corrid_dtype; /* of the input that gets the correlation id; UNDEFINED: none does */
    size_t max_candidates;  /* sequences that may run; the others wait for one of them to end */
    vly_nsec max_idle_ns;   /* without a request for so long a sequence is forgotten */
} vly_sequence_plan;

/* model_dir: directory with initial_state/, for messages too when it is NULL: there are no files.
 * EINVAL: the configuration contradicts itself or the model, in Triton's words where it has some;
 * EUNSUPPORTED, EIO, ENOTFOUND, ELIMIT, ENOMEM. */
vly_status vly_sequence_plan_make(const char *name, const vly_triton_config *config,
                                  const vly_model_info *run_info, const char *model_dir,
                                  vly_arena *arena, const vly_sequence_plan **ret,
                                  vly_err *err) VLY_MUST_CHECK;

#endif
