/* SPDX-License-Identifier: MIT */
/* Output tensors of a run -> results of a request. Private to infer*.c. */
#ifndef VLY_API_INFER_OUTPUTS_H
#define VLY_API_INFER_OUTPUTS_H

#include "api/infer.h"

/* Finds each output that is asked for; before the run, so that nothing runs in vain. EINVAL. */
vly_status vly_infer__choose(vly_infer *call, vly_err *err) VLY_MUST_CHECK;
/* Makes call->results of job.outputs. EINVAL: classification of what has no classes; ENOMEM,
 * ELIMIT. */
vly_status vly_infer__collect(vly_infer *call, vly_err *err) VLY_MUST_CHECK;
void vly_infer__release_results(vly_infer *call);

#endif
