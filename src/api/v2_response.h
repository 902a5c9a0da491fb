/* SPDX-License-Identifier: MIT */
/*
 * Results -> body of a v2 inference response: JSON, then the binary data. Thread: any.
 *
 * Numbers: integers in full; a float is the shortest text that reads back as the same float (double
 * for FP64); what JSON cannot say, an infinity or a NaN, is null.
 */
#ifndef VLY_API_V2_RESPONSE_H
#define VLY_API_V2_RESPONSE_H

#include "api/infer_parts.h"

/* The body of an answer; parts begins with the JSON. */
typedef struct vly_v2_answer {
    vly_infer_parts parts;
    size_t json_len;
    bool has_binary;
} vly_v2_answer;

/* Fills a zeroed answer, whose parts the caller releases, also when this fails. EINVAL: an output
 * that JSON cannot carry (Triton's wording); ENOMEM: it becomes larger than api.max_answer_bytes,
 * or memory is out. */
vly_status vly_v2_response_write(const vly_infer *call, vly_v2_answer *ret,
                                 vly_err *err) VLY_MUST_CHECK;

#endif
