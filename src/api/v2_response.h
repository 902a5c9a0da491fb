/* SPDX-License-Identifier: MIT */
/*
 * Output tensors -> body of a v2 inference response: JSON, then the binary data. Thread: any.
 *
 * Numbers: integers in full; a float is the shortest text that reads back as the same float (double
 * for FP64); what JSON cannot say, an infinity or a NaN, is null.
 */
#ifndef VLY_API_V2_RESPONSE_H
#define VLY_API_V2_RESPONSE_H

#include "api/v2_request.h"
#include "base/buf.h"

/* outputs: [n_outputs] of the model. Appends to both buffers, whose bounds the caller set; arena is
 * for scratch. EINVAL: an output that JSON cannot carry (Triton's wording); ELIMIT: the arena is
 * full; ENOMEM: a buffer is. */
vly_status vly_v2_response_write(const vly_v2_request *r, const vly_servable *s,
                                 const vly_tensor *outputs, vly_arena *arena, vly_buf *json,
                                 vly_buf *binary, vly_err *err) VLY_MUST_CHECK;

#endif
