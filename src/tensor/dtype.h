/* SPDX-License-Identifier: MIT */
/*
 * Element types: every ONNX TensorProto.DataType, with the KServe v2 name where it has one.
 * 4-bit types are packed two to a byte, low nibble first (onnx.proto).
 */
#ifndef VLY_TENSOR_DTYPE_H
#define VLY_TENSOR_DTYPE_H

#include "base/bf16.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*    name        onnx id  bits  ONNX name      KServe name ("" when none) */
#define VLY_DTYPE_MAP(X)                                                                           \
    X(UNDEFINED, 0, 0, "undefined", "")                                                            \
    X(F32, 1, 32, "float32", "FP32")                                                               \
    X(U8, 2, 8, "uint8", "UINT8")                                                                  \
    X(I8, 3, 8, "int8", "INT8")                                                                    \
    X(U16, 4, 16, "uint16", "UINT16")                                                              \
    X(I16, 5, 16, "int16", "INT16")                                                                \
    X(I32, 6, 32, "int32", "INT32")                                                                \
    X(I64, 7, 64, "int64", "INT64")                                                                \
    X(STRING, 8, 128, "string", "BYTES")                                                           \
    X(BOOL, 9, 8, "bool", "BOOL")                                                                  \
    X(F16, 10, 16, "float16", "FP16")                                                              \
    X(F64, 11, 64, "float64", "FP64")                                                              \
    X(U32, 12, 32, "uint32", "UINT32")                                                             \
    X(U64, 13, 64, "uint64", "UINT64")                                                             \
    X(C64, 14, 64, "complex64", "")                                                                \
    X(C128, 15, 128, "complex128", "")                                                             \
    X(BF16, 16, 16, "bfloat16", "BF16")                                                            \
    X(F8E4M3FN, 17, 8, "float8e4m3fn", "")                                                         \
    X(F8E4M3FNUZ, 18, 8, "float8e4m3fnuz", "")                                                     \
    X(F8E5M2, 19, 8, "float8e5m2", "")                                                             \
    X(F8E5M2FNUZ, 20, 8, "float8e5m2fnuz", "")                                                     \
    X(U4, 21, 4, "uint4", "")                                                                      \
    X(I4, 22, 4, "int4", "")                                                                       \
    X(F4E2M1, 23, 4, "float4e2m1", "")

typedef enum vly_dtype {
#define VLY_DTYPE_ENUM(name, id, bits, onnx, kserve) VLY_DTYPE_##name = (id),
    VLY_DTYPE_MAP(VLY_DTYPE_ENUM)
#undef VLY_DTYPE_ENUM
        VLY_DTYPE_N
} vly_dtype;

/* A STRING element in memory is one vly_str (16 bytes), whose bytes the tensor's storage owns or
 * borrows together with the element array. */

bool vly_dtype_valid(int64_t onnx_id); /* a row above other than UNDEFINED */
unsigned vly_dtype_bits(vly_dtype t);
const char *vly_dtype_name(vly_dtype t);   /* "float32" */
const char *vly_dtype_kserve(vly_dtype t); /* "FP32"; "" when the protocol has no name for it */
bool vly_dtype_from_kserve(vly_str name, vly_dtype *ret);
bool vly_dtype_is_float(vly_dtype t); /* F32, F64, F16, BF16 */
bool vly_dtype_is_int(vly_dtype t);   /* I8..I64, U8..U64: neither BOOL nor the 4-bit types */
bool vly_dtype_is_signed(vly_dtype t);

/* Bytes of n elements; false on overflow. 4-bit types round up to whole bytes. */
bool vly_dtype_size(vly_dtype t, uint64_t n, size_t *ret);

/* IEEE half conversions, round to nearest even; bfloat16: base/bf16.h. */
float vly_f16_to_f32(uint16_t h);
uint16_t vly_f32_to_f16(float f);

#endif
