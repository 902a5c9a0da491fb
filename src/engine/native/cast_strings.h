/* SPDX-License-Identifier: MIT */
/* The string halves of Cast and CastLike: run functions of input 0 and output 0. */
#ifndef VLY_ENGINE_NATIVE_CAST_STRINGS_H
#define VLY_ENGINE_NATIVE_CAST_STRINGS_H

#include "engine/op.h"

/* Allocates output 0, a STRING tensor: infer leaves its shape unknown. */
vly_status vly_numbers_to_strings(vly_op_ctx *ctx, vly_err *err) VLY_MUST_CHECK;
/* EINVAL when a string is not a number; "inf" and "nan" are. */
vly_status vly_strings_to_numbers(vly_op_ctx *ctx, vly_err *err) VLY_MUST_CHECK;

#endif
