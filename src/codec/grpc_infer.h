/* SPDX-License-Identifier: MIT */
/*
 * ModelInferRequest from bytes, ModelInferResponse and ModelStreamInferResponse to bytes.
 *
 * A request is views into the message plus arrays in the caller's arena; tensor data are not
 * touched: raw_input_contents are views, and the typed lists of InferTensorContents are read into
 * memory of their final type by vly_grpc_contents_read. A response is written without its
 * raw_output_contents: each of those is a head, to be followed by the tensor's own memory, so that
 * outputs need no copy.
 *
 * Outside data: counts are bounded, nothing recurses. Thread: any.
 */
#ifndef VLY_CODEC_GRPC_INFER_H
#define VLY_CODEC_GRPC_INFER_H

#include "codec/grpc_param.h"
#include "codec/infer_json.h"

/* The bounds on tensors and dimensions are those of JSON requests. */
typedef struct vly_grpc_input {
    vly_str name;
    vly_str datatype; /* as sent: "FP32" */
    size_t rank;
    int64_t shape[VLY_INFER_JSON_RANK_MAX];
    vly_grpc_params params;
    vly_str contents; /* InferTensorContents; ptr NULL: not given */
} vly_grpc_input;

typedef struct vly_grpc_output {
    vly_str name;
    vly_grpc_params params;
} vly_grpc_output;

typedef struct vly_grpc_infer_request {
    vly_str model_name, model_version, id; /* empty: not given */
    vly_grpc_params params;
    vly_grpc_input *inputs;
    vly_grpc_output *outputs;
    vly_str *raw; /* raw_input_contents */
    size_t n_inputs, n_outputs, n_raw;
} vly_grpc_infer_request;

/* EFORMAT: not a ModelInferRequest; ELIMIT: past a bound, or the arena is full; ENOMEM. */
vly_status vly_grpc_infer_request_parse(vly_str message, vly_arena *arena,
                                        vly_grpc_infer_request *ret, vly_err *err) VLY_MUST_CHECK;

/* Reads the typed contents of an input into dst: n elements of elem_bytes each, as
 * vly_infer_json_read does. model: for messages. EINVAL with Triton's wording: data of another
 * type, or not n elements; EFORMAT: not an InferTensorContents. */
vly_status vly_grpc_contents_read(const vly_grpc_input *in, vly_str model,
                                  vly_infer_json_class class, size_t elem_bytes, size_t n,
                                  void *dst, vly_err *err) VLY_MUST_CHECK;

typedef struct vly_grpc_tensor {
    vly_str name, datatype;
    const int64_t *shape;
    size_t rank;
    vly_grpc_params params;
} vly_grpc_tensor;

typedef struct vly_grpc_infer_response {
    vly_str model_name, model_version, id;
    vly_grpc_params params;
    const vly_grpc_tensor *outputs;
    size_t n_outputs;
} vly_grpc_infer_response;

/* Appends all of a ModelInferResponse but raw_output_contents, of which one must follow for each
 * output, in their order. */
void vly_grpc_put_infer_response(vly_buf *b, const vly_grpc_infer_response *r);
/* What stands before the len bytes of one raw_output_contents, and how much both are. */
void vly_grpc_put_raw_head(vly_buf *b, size_t len);
size_t vly_grpc_raw_size(size_t len);

/* A ModelStreamInferResponse: open it, with error_message or an empty text, put its infer_response,
 * close it with what open returned when all but the last n_more bytes are there. */
size_t vly_grpc_open_stream(vly_buf *b, vly_str error);
void vly_grpc_close_stream(vly_buf *b, size_t mark, size_t n_more);

#endif
