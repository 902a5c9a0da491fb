/* SPDX-License-Identifier: MIT */
/*
 * Inputs to run a model with when nobody has sent any: for measuring and for warming up.
 */
#ifndef VLY_SCHED_SAMPLE_INPUT_H
#define VLY_SCHED_SAMPLE_INPUT_H

#include "sched/servable.h"

/* Inputs of zeros, or of ones for whole numbers, in new storage: [n_inputs of run_info]. batch
 * stands for a first dimension that is open; others that are must be in the configuration.
 * EUNSUPPORTED: they are not, or an input holds texts; ENOMEM. Release each, and free the array. */
vly_status vly_sample_inputs(const vly_servable *s, size_t batch, vly_tensor **ret,
                             vly_err *err) VLY_MUST_CHECK;
/* Those of an entry of model_warmup: what it does not list is as above. Files of input_data_file
 * are those of the directory "warmup" beside the versions. EINVAL names the input. Blocks. */
vly_status vly_warmup_inputs(const vly_servable *s, const vly_triton_warmup *w, vly_tensor **ret,
                             vly_err *err) VLY_MUST_CHECK;
void vly_sample_inputs_free(const vly_servable *s, vly_tensor *inputs); /* accepts NULL */

#endif
