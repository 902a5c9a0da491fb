/* SPDX-License-Identifier: MIT */
/*
 * Body of a v2 inference request -> description of the request. Owner: one thread at a time. Errors
 * have Triton's wording.
 */
#ifndef VLY_API_V2_REQUEST_H
#define VLY_API_V2_REQUEST_H

#include "api/infer.h"

/* The body of a request; bytes live as long as the description. */
typedef struct vly_v2_body {
    vly_str bytes;
    size_t tail_bytes; /* so many may be read behind them */
    size_t json_len;   /* the JSON; behind it the binary data of the inputs */
} vly_v2_body;

/* Fills r, of which model is set, from a body with JSON. Strings and data live in doc, which the
 * caller releases after use, also when this fails; arrays in arena. EINVAL and the errors of
 * vly_infer_json_parse. */
vly_status vly_v2_request_read(const vly_v2_body *body, const vly_infer_json_limits *limits,
                               vly_arena *arena, vly_infer_json *doc, vly_infer_request *r,
                               vly_err *err) VLY_MUST_CHECK;
/* The same from a body that is the data of the model's only input. Every output goes out as binary.
 */
vly_status vly_v2_request_read_raw(const vly_v2_body *body, vly_arena *arena, vly_infer_request *r,
                                   vly_err *err) VLY_MUST_CHECK;

#endif
