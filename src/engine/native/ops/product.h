/* SPDX-License-Identifier: MIT */
/*
 * Matrix products for ops: dsp/gemm.h with scratch memory and the worker pool around it.
 *
 * infer cannot know how many threads will run the op, so scratch has room for up to
 * VLY_PRODUCT_SLOTS blocks of B at once. Results are the same whatever the number of threads.
 */
#ifndef VLY_ENGINE_NATIVE_OPS_PRODUCT_H
#define VLY_ENGINE_NATIVE_OPS_PRODUCT_H

#include "dsp/gemm_plain.h"
#include "engine/op.h"

#define VLY_PRODUCT_SLOTS 16

/* Tiles for this CPU. */
vly_gemm_dsp vly_product_dsp(void);

/* Scratch of one product: packed A, then the blocks of B. */
size_t vly_product_bytes(const vly_gemm_plan *plan);

/* C = A * B + bias (bias: [m] or NULL). scratch: [vly_product_bytes], A packed at its start. */
void vly_product_run(const vly_op_ctx *ctx, const vly_gemm_plan *plan, void *scratch,
                     const vly_gemm_b *b, void *c, size_t ldc, const void *bias);

/* A product of float matrices, packed or not, whichever is quicker; scratch:
 * [vly_product_f32_bytes], a multiple of 64. */
size_t vly_product_f32_bytes(const vly_gemm_shape *s);
void vly_product_f32(const vly_op_ctx *ctx, const vly_gemm_shape *s, void *scratch, const float *a,
                     const float *b, float *c);

/* Calls fn over the indices [0, n) on the pool, in pieces worth some work each; index_cost is about
 * how many elements one index handles. */
void vly_op_split(const vly_op_ctx *ctx, int64_t n, int64_t index_cost,
                  void (*fn)(void *arg, size_t begin, size_t end), void *arg);

/* Inputs first..last, where given, have the dtype of input 0. */
vly_status vly_op_check_same_dtype(const vly_op_ctx *ctx, int first, int last,
                                   vly_err *err) VLY_MUST_CHECK;
/* Input i, where given, is a vector of n elements; n VLY_DIM_UNKNOWN: of any length. */
vly_status vly_op_check_vector(const vly_op_ctx *ctx, int i, int64_t n,
                               vly_err *err) VLY_MUST_CHECK;

#endif
