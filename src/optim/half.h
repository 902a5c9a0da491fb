/* SPDX-License-Identifier: MIT */
/*
 * Weights stored in 16 bits: each float32 constant that a Conv, ConvTranspose, Gemm, MatMul, LSTM,
 * GRU or RNN reads as weights becomes FLOAT16 or BFLOAT16 with a Cast to float32 behind it, which
 * loaders fold. The arithmetic stays what it was, the file halves. Tensors of fewer than
 * VLY_HALF_LEAST elements, and for FLOAT16 those with values beyond its range, stay as they are.
 */
#ifndef VLY_OPTIM_HALF_H
#define VLY_OPTIM_HALF_H

#include "optim/edit.h"
#include "tensor/dtype.h"

#define VLY_HALF_LEAST 64

/* type: VLY_DTYPE_F16, or VLY_DTYPE_BF16, for which the opset is raised to 13. ret_n: tensors that
 * were stored so. EUNSUPPORTED: there are none; else as vly_optim_raise_opset. */
vly_status vly_optim_halve(vly_edit *e, vly_dtype type, size_t *ret_n, vly_err *err) VLY_MUST_CHECK;

#endif
