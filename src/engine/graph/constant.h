/* SPDX-License-Identifier: MIT */
/* ONNX TensorProto -> tensor. */
#ifndef VLY_ENGINE_GRAPH_CONSTANT_H
#define VLY_ENGINE_GRAPH_CONSTANT_H

#include "base/status.h"
#include "codec/onnx.h"
#include "tensor/tensor.h"

/* A tensor with t's value: it borrows t's bytes when they are aligned for their type (weights stay
 * in the mapped file), and is a copy when not. data replaces t->data (external data); NULL: t's
 * own. EUNSUPPORTED for a data type the engine has no dtype for, ELIMIT above VLY_RANK_MAX
 * dimensions. */
vly_status vly_constant_from_onnx(const vly_onnx_tensor *t, const void *data, vly_tensor *ret,
                                  vly_err *err) VLY_MUST_CHECK;

#endif
