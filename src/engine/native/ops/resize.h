/* SPDX-License-Identifier: MIT */
/* What fusion asks of Resize. */
#ifndef VLY_ENGINE_NATIVE_OPS_RESIZE_H
#define VLY_ENGINE_NATIVE_OPS_RESIZE_H

#include "engine/op.h"

/* ctx: a Resize or Upsample node of a tensor [n, c, h, w] whose input values are known. When it
 * repeats rows and columns (mode nearest, nothing extrapolated, n and c as they are), fills rows
 * [h out] and cols [w out] with the input row and column of each; else false. weights: scratch,
 * [the greater of h out and w out]. */
bool vly_resize_nearest_maps(const vly_op_ctx *ctx, int32_t *rows, int32_t *cols, float *weights);

#endif
