/* SPDX-License-Identifier: MIT */
/*
 * Body of a v2 inference request -> input tensors, and what is to become of the outputs.
 * Owner: one thread at a time. Errors have Triton's wording.
 */
#ifndef VLY_API_V2_REQUEST_H
#define VLY_API_V2_REQUEST_H

#include "base/arena.h"
#include "codec/infer_json.h"
#include "sched/scheduler.h"

typedef struct vly_v2_request {
    vly_infer_json json;
    vly_tensor *inputs;             /* [n_inputs] of the model; an optional one may be empty */
    vly_infer_json_output *outputs; /* [n_outputs] of the model; name.ptr NULL: not asked for */
} vly_v2_request;

/* body: json_len bytes of JSON, then the binary data of the inputs. The arrays of *r live in arena;
 * tensors are copies, but the text of BYTES elements is borrowed from body. On failure as after
 * release. EINVAL and the errors of vly_infer_json_parse. */
vly_status vly_v2_request_read(vly_v2_request *r, const vly_servable *s, vly_str body,
                               size_t json_len, const vly_infer_json_limits *limits,
                               vly_arena *arena, vly_err *err) VLY_MUST_CHECK;
/* A body without JSON: the data of the model's only input. Every output goes out as binary. */
vly_status vly_v2_request_read_raw(vly_v2_request *r, const vly_servable *s, vly_str body,
                                   vly_arena *arena, vly_err *err) VLY_MUST_CHECK;
void vly_v2_request_release(vly_v2_request *r, const vly_servable *s); /* accepts a zeroed one */

#endif
