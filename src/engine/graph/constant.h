/* SPDX-License-Identifier: MIT */
/* ONNX TensorProto -> tensor. */
#ifndef VLY_ENGINE_GRAPH_CONSTANT_H
#define VLY_ENGINE_GRAPH_CONSTANT_H

#include "base/status.h"
#include "codec/onnx.h"
#include "tensor/tensor.h"

/* A tensor with t's value: it borrows t's bytes when they are aligned for their type, and is a copy
 * when not. data replaces t->data (external data); NULL: t's own. EUNSUPPORTED for a data type the
 * engine has no dtype for, ELIMIT above VLY_RANK_MAX dimensions. */
vly_status vly_constant_from_onnx(const vly_onnx_tensor *t, const void *data, vly_tensor *ret,
                                  vly_err *err) VLY_MUST_CHECK;
/* The same for weights: 4 KB and more are borrowed from the mapped file even when they are not
 * aligned, because most are only ever packed; who needs them aligned calls vly_constant_align. */
vly_status vly_constant_from_file(const vly_onnx_tensor *t, const void *data, vly_tensor *ret,
                                  vly_err *err) VLY_MUST_CHECK;

/* Makes a copy of a constant that is not aligned for its type; others stay as they are. */
vly_status vly_constant_align(vly_tensor *t, vly_err *err) VLY_MUST_CHECK;
bool vly_constant_is_aligned(const vly_tensor *t);

#endif
