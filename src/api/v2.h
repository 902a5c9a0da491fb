/* SPDX-License-Identifier: MIT */
/*
 * Open Inference Protocol v2 with Triton's extensions: what the v2_*.c files share.
 *
 * Clients of Triton are to work unchanged, so members, their order, and the texts of errors are
 * Triton's. A model is announced with the platform of ONNX Runtime, whatever runs it here: clients
 * read from it that the model is an ONNX file.
 */
#ifndef VLY_API_V2_H
#define VLY_API_V2_H

#include "api/api.h"

#define VLY_V2_PLATFORM "onnxruntime_onnx"
#define VLY_V2_BACKEND  "onnxruntime"

/* Bytes of JSON at the begin of a body with binary tensors. */
#define VLY_V2_HEADER_LENGTH "Inference-Header-Content-Length"

/* Most items in one batch, of the configuration, which is completed when the model is loaded. 0:
 * the model does not batch. The shapes of a configuration begin behind the batch dimension, those
 * of requests with it. */
int64_t vly_v2_max_batch(const vly_servable *s);

/* The JSON of what gRPC answers too; appended to b. m has a servable. */
void vly_v2_put_server(vly_buf *b);
void vly_v2_put_model(const vly_api *api, const vly_served *m, vly_buf *b);
void vly_v2_put_config(const vly_api *api, const vly_served *m, vly_buf *b);

/* Statistics of every version that serves, of this name and version when they are not empty. The
 * errors of vly_infer_find. */
vly_status vly_v2_put_stats(const vly_api *api, vly_str name, vly_str version, vly_buf *b,
                            vly_err *err) VLY_MUST_CHECK;

#endif
