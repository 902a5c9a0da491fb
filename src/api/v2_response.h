/* SPDX-License-Identifier: MIT */
/*
 * Results -> body of a v2 inference response: JSON, then the binary data. Thread: any.
 *
 * Numbers: integers in full; a float is the shortest text that reads back as the same float (double
 * for FP64); what JSON cannot say, an infinity or a NaN, is null.
 */
#ifndef VLY_API_V2_RESPONSE_H
#define VLY_API_V2_RESPONSE_H

#include "api/infer.h"
#include "base/buf.h"

/* Appends to both buffers, whose bounds the caller set. EINVAL: an output that JSON cannot carry
 * (Triton's wording); ENOMEM: a buffer is full. */
vly_status vly_v2_response_write(const vly_infer *call, vly_buf *json, vly_buf *binary,
                                 vly_err *err) VLY_MUST_CHECK;

#endif
