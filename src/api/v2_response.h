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

/* The body of an answer: parts[0] begins with the JSON. Small outputs are copied behind it, large
 * ones are sent from where the model left them. */
typedef struct vly_v2_answer {
    vly_buf parts[VLY_HTTP_MAX_PARTS];
    size_t n_parts;
    size_t json_len;
    bool has_binary;
} vly_v2_answer;

/* Fills a zeroed answer, for the caller to release, also when this fails. EINVAL: an output that
 * JSON cannot carry (Triton's wording); ENOMEM: it becomes larger than api.max_answer_bytes, or
 * memory is out. */
vly_status vly_v2_response_write(const vly_infer *call, vly_v2_answer *ret,
                                 vly_err *err) VLY_MUST_CHECK;
void vly_v2_answer_release(vly_v2_answer *a);

#endif
