/* SPDX-License-Identifier: MIT */
/*
 * A model or tensor as canonical text, the same that onnx_truth.py makes of what Python's onnx
 * package reads: what both print alike, both understood alike.
 */
#ifndef VLY_TESTS_UNIT_CODEC_ONNX_DUMP_H
#define VLY_TESTS_UNIT_CODEC_ONNX_DUMP_H

#include "base/buf.h"
#include "codec/onnx.h"

#define FNV_INIT UINT64_C(0xcbf29ce484222325)

uint64_t fnv1a(uint64_t h, const void *bytes, size_t n);
void dump_model(vly_buf *out, const vly_onnx_model *m);
void dump_tensor(vly_buf *out, const vly_onnx_tensor *t);

#endif
