/* SPDX-License-Identifier: MIT */
/*
 * float16 and bfloat16 for ops whose kernels know float only: inputs of these types are widened
 * into scratch memory, the op runs on floats, and its float results are rounded back. One line each
 * in the op's infer and run; a context without half-precision inputs goes straight through.
 *
 * infer: after the op has set its outputs and its own scratch_bytes.
 */
#ifndef VLY_ENGINE_NATIVE_OPS_HALF_H
#define VLY_ENGINE_NATIVE_OPS_HALF_H

#include "engine/op.h"

#define VLY_HALF_IN_MAX  8
#define VLY_HALF_OUT_MAX 4

/* Adds what vly_half_run needs to ctx->scratch_bytes. ELIMIT on overflow. */
vly_status vly_half_infer(vly_op_ctx *ctx, vly_err *err) VLY_MUST_CHECK;
/* Calls run on a context without half-precision tensors. At most VLY_HALF_IN_MAX inputs. */
vly_status vly_half_run(vly_op_ctx *ctx, vly_status (*run)(vly_op_ctx *ctx, vly_err *err),
                        vly_err *err) VLY_MUST_CHECK;

#endif
