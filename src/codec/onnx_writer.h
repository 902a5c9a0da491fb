/* SPDX-License-Identifier: MIT */
/*
 * ONNX model writer: the structs of onnx.h -> bytes of a ModelProto. What the reader keeps comes
 * back the same: metadata, functions, subgraphs, external references. What it drops (doc strings,
 * training information) is gone; what it notes without reading cannot be written and is refused:
 * sparse initialisers, attributes that hold sparse tensors or types, inputs and outputs that are
 * no tensors. Types of values in between are hints, and are left out when they are no tensors.
 *
 * Numbers go where exporters put them: tensors in raw_data, strings in string_data.
 * Thread: any.
 */
#ifndef VLY_CODEC_ONNX_WRITER_H
#define VLY_CODEC_ONNX_WRITER_H

#include "base/buf.h"
#include "base/status.h"
#include "codec/onnx.h"

/* Protobuf's own limit: no reader takes a longer message. */
#define VLY_ONNX_FILE_MAX ((size_t)INT32_MAX)

/* Appends to out, whose bytes are without meaning on failure. The model is taken as valid: names,
 * order and types are the caller's to get right. EUNSUPPORTED: see above; ELIMIT: longer than
 * VLY_ONNX_FILE_MAX, than out may grow or than there is memory; subgraphs deeper than
 * VLY_ONNX_DEPTH_MAX. */
vly_status vly_onnx_model_write(const vly_onnx_model *m, vly_buf *out, vly_err *err) VLY_MUST_CHECK;

#endif
