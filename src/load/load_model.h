/* SPDX-License-Identifier: MIT */
/*
 * Requests of the Open Inference Protocol v2 for a model of which the server tells the inputs:
 * JSON, JSON with binary tensors, or gRPC; with random data, or those of .npy files.
 *
 * What the server says is outside data: counts and sizes are bounded, nothing recurses. Pure.
 */
#ifndef VLY_LOAD_LOAD_MODEL_H
#define VLY_LOAD_LOAD_MODEL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/rng.h"
#include "load/load_body.h"
#include "tensor/dtype.h"

#define VLY_LOAD_INPUTS_MAX 32
#define VLY_LOAD_RANK_MAX   8
#define VLY_LOAD_TENSOR_MAX ((size_t)1 << 30) /* bytes */

typedef struct vly_load_input {
    vly_str name;
    vly_dtype dtype; /* of numbers or booleans */
    size_t rank;
    int64_t dims[VLY_LOAD_RANK_MAX]; /* -1: any, until it is filled */
    const void *data;                /* NULL: not filled */
    size_t n_elems, n_bytes;
} vly_load_input;

typedef struct vly_load_model {
    vly_str name;
    vly_load_input inputs[VLY_LOAD_INPUTS_MAX];
    size_t n_inputs;
} vly_load_model;

/* From ModelMetadata, as JSON of GET /v2/models/NAME or as the message of gRPC. All lies in arena.
 * EFORMAT: it is none; EUNSUPPORTED: an input of text, or past the limits. */
vly_status vly_load_model_from_json(vly_str json, vly_arena *arena, vly_load_model *ret,
                                    vly_err *err) VLY_MUST_CHECK;
vly_status vly_load_model_from_grpc(vly_str message, vly_arena *arena, vly_load_model *ret,
                                    vly_err *err) VLY_MUST_CHECK;

/* Gives inputs without data random ones: floats of 0 .. 1, integers of 0 .. 99. An open first
 * dimension becomes n_rows. EINVAL: another dimension is open; ELIMIT: too large. */
vly_status vly_load_model_fill(vly_load_model *m, int64_t n_rows, uint64_t seed, vly_arena *arena,
                               vly_err *err) VLY_MUST_CHECK;
/* Gives an input the array of a .npy file, whose bytes are borrowed when they are in C order.
 * EINVAL: another type or shape. */
vly_status vly_load_model_set(vly_load_model *m, size_t input, vly_str npy, vly_arena *arena,
                              vly_err *err) VLY_MUST_CHECK;

typedef enum vly_load_form {
    VLY_LOAD_FORM_JSON,
    VLY_LOAD_FORM_BINARY,
    VLY_LOAD_FORM_GRPC
} vly_load_form;

/* Appends the request; inputs are filled. ret: its bytes are buf's (which must not grow after), its
 * mark is in the first input that can take one. *ret_head_len: of BINARY, for the header
 * Inference-Header-Content-Length. EUNSUPPORTED: a type that JSON has no form for. */
vly_status vly_load_model_request(const vly_load_model *m, vly_load_form form, vly_buf *buf,
                                  vly_load_body *ret, size_t *ret_head_len,
                                  vly_err *err) VLY_MUST_CHECK;

#endif
