/* SPDX-License-Identifier: MIT */
/* Inputs of a request -> input tensors of a model. What infer.c and infer_*.c share; private. */
#ifndef VLY_API_INFER_INPUTS_H
#define VLY_API_INFER_INPUTS_H

#include "api/infer.h"

/* Checks every input and fills call->inputs, [n_inputs] of the model. EINVAL with Triton's wording;
 * the errors of shared memory; ENOMEM, ELIMIT. Thread: any, whoever has the call. */
vly_status vly_infer__bind(vly_infer *call, vly_err *err) VLY_MUST_CHECK;
void vly_infer__release_inputs(vly_infer *call);

/* The memory of a region, which the call keeps until its end. The errors of vly_shared_memory_view;
 * EUNSUPPORTED: not offered. */
vly_status vly_infer__view(vly_infer *call, const vly_infer_region *region, void **ret,
                           vly_err *err) VLY_MUST_CHECK;
void vly_infer__release_regions(vly_infer *call);

#endif
