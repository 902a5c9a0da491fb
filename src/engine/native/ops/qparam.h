/* SPDX-License-Identifier: MIT */
/* Scales and zero points: inputs of the quantised ops, one for all or one per channel. */
#ifndef VLY_ENGINE_NATIVE_OPS_QPARAM_H
#define VLY_ENGINE_NATIVE_OPS_QPARAM_H

#include "dsp/gemm.h"
#include "dsp/quantise.h"
#include "engine/op.h"

#define VLY_T_Q8 (VLY_T(U8) | VLY_T(I8))

/* Element i, or the only one; t NULL (omitted): 0. */
int32_t vly_zero_at(const vly_tensor *t, int64_t i);
float vly_scale_at(const vly_tensor *t, int64_t i);

/* Inputs i_scale and i_zero, where given, are one value, or n values in a vector (n <= 1: one value
 * only; unknown: any number); the scale is a float, the zero point has dtype `zero`. */
vly_status vly_check_qparam(const vly_op_ctx *ctx, int i_scale, int i_zero, int64_t n,
                            vly_dtype zero, vly_err *err) VLY_MUST_CHECK;

/* The dsp name of a dtype; false: not a quantised type that dsp knows. */
bool vly_quant_type_of(vly_dtype t, vly_quant_type *ret);

/* t as the operand of an integer product, with the zero point of tensor zero (NULL: 0). More than
 * one zero point is widened into zeros: [count of zero]. */
vly_gemm_q8 vly_q8_operand(const vly_tensor *t, int64_t row_stride, int64_t col_stride,
                           const vly_tensor *zero, int32_t *zeros);

#endif
