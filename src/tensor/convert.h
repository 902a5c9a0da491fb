/* SPDX-License-Identifier: MIT */
/*
 * Conversion between element types by the rules of ONNX Cast.
 *
 *   integer -> integer   wraps (keeps the low bits)
 *   real    -> integer   truncates towards zero and saturates; NaN gives 0. The 4-bit types keep
 * the low bits of the truncated value instead, as ONNX's reference does real    -> real      rounds
 * to nearest even, once (double to half does not go through float) integer -> real      rounds to
 * nearest even; 64-bit ones go to the half types through double any     -> bool      false for zero
 * only 8-bit and 4-bit floats: out of range gives the largest value when `saturate`, otherwise
 * infinity or NaN, whichever the format has; float4e2m1 has neither, always saturates, and makes
 * NaN -0
 */
#ifndef VLY_TENSOR_CONVERT_H
#define VLY_TENSOR_CONVERT_H

#include "tensor/dtype.h"

/* Any type but UNDEFINED, STRING and the complex ones. */
bool vly_dtype_is_real(vly_dtype t);

/* n elements of dense arrays, both types real (asserted). dst == src is allowed when the types are
 * equal. 4-bit arrays start at a whole byte; the last byte's spare nibble is written as 0. */
void vly_convert(vly_dtype from, const void *src, vly_dtype to, void *dst, size_t n, bool saturate);

#endif
