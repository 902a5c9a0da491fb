/* SPDX-License-Identifier: MIT */
/*
 * The shape rules of numpy.matmul, shared by MatMul, MatMulInteger and QLinearMatMul: vectors get a
 * dimension that the result loses again, leading dimensions broadcast.
 */
#ifndef VLY_ENGINE_NATIVE_OPS_MATMUL_SHAPE_H
#define VLY_ENGINE_NATIVE_OPS_MATMUL_SHAPE_H

#include "engine/op.h"

typedef struct vly_matmul_shape {
    vly_shape out;
    bool is_known; /* what follows is valid */
    int64_t m, n, k;
    int64_t batch;  /* number of [m, k] * [k, n] products */
    vly_shape lead; /* broadcast leading dimensions; product: batch */
    int64_t a_stride[VLY_RANK_MAX], b_stride[VLY_RANK_MAX]; /* along lead, in matrices */
} vly_matmul_shape;

vly_status vly_matmul_resolve(const vly_op_ctx *ctx, int i_a, int i_b, vly_matmul_shape *ret,
                              vly_err *err) VLY_MUST_CHECK;
/* Elements before the matrices of product `batch`, dense operands. */
int64_t vly_matmul_a_offset(const vly_matmul_shape *m, int64_t batch);
int64_t vly_matmul_b_offset(const vly_matmul_shape *m, int64_t batch);
uint64_t vly_matmul_flops(const vly_matmul_shape *m);
/* "shapes ... cannot be multiplied" */
vly_status vly_matmul_fail(const vly_op_ctx *ctx, int i_a, int i_b, vly_err *err);

#endif
