/* SPDX-License-Identifier: MIT */
/*
 * ModelInferRequest -> vly_infer -> ModelInferResponse, for the unary call and for the stream.
 * Errors have Triton's wording. Thread: any.
 */
#ifndef VLY_API_GRPC_INFER_H
#define VLY_API_GRPC_INFER_H

#include "api/infer_parts.h"

/* Is the message, tensors aside, small enough to be read on a loop thread? */
bool vly_grpc_infer_is_light(vly_str message);

/* Where the first raw_input_contents of a request begins, of which message is what has come so far;
 * 0: not known. */
size_t vly_grpc_infer_raw_at(vly_str message);

/* The version of a model is a positive number, or empty for the one served by default. EINVAL. */
vly_status vly_grpc_check_version(vly_str version, vly_err *err) VLY_MUST_CHECK;

/* Describes the request. message must live until done, tail_bytes behind it can be read; arrays
 * live in arena. EFORMAT: not a ModelInferRequest; EINVAL; ELIMIT; ENOMEM. */
vly_status vly_grpc_infer_read(vly_str message, size_t tail_bytes, vly_arena *arena,
                               vly_infer_request *ret, vly_err *err) VLY_MUST_CHECK;

/* Appends the response: to zeroed parts behind the head of a frame, or as ModelStreamInferResponse
 * to out. EINVAL: larger than gRPC can carry; ELIMIT, ENOMEM. */
vly_status vly_grpc_infer_write(const vly_infer *call, vly_infer_parts *parts,
                                vly_err *err) VLY_MUST_CHECK;
vly_status vly_grpc_infer_write_stream(const vly_infer *call, vly_buf *out,
                                       vly_err *err) VLY_MUST_CHECK;

/* The error of a call that is done, as Triton has it: late by the timeout in the request is
 * unavailable, only late by grpc-timeout is past its deadline. */
vly_err vly_grpc_infer_err(const vly_infer *call);

#endif
