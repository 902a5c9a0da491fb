/* SPDX-License-Identifier: MIT */
/*
 * The JSON of an Open Inference Protocol v2 request, with the members that Triton adds.
 *
 * Reads the whole text into a document and hands out views on it; tensor data stay in the document
 * until they are read into memory of their final type. Unknown members are ignored, as Triton does.
 * What is refused carries Triton's wording where its clients look for it.
 *
 * Outside data: nesting, memory and counts are bounded, nothing recurses. Thread: any; one request
 * is used by one thread at a time.
 */
#ifndef VLY_CODEC_INFER_JSON_H
#define VLY_CODEC_INFER_JSON_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_INFER_JSON_RANK_MAX    8
#define VLY_INFER_JSON_TENSORS_MAX 1024 /* inputs, and outputs, of one request */

typedef struct vly_infer_json_limits {
    size_t max_depth;        /* of nested arrays and objects */
    size_t max_memory_bytes; /* of the document */
} vly_infer_json_limits;

struct yyjson_val;

/* A part of a shared memory region, in the parameters of an input or output. */
typedef struct vly_infer_json_region {
    vly_str name; /* ptr NULL: not in shared memory */
    uint64_t offset;
    uint64_t bytes;
} vly_infer_json_region;

/* Where the data are: in data, in has_binary, or in region.name; in at most one of them. */
typedef struct vly_infer_json_input {
    vly_str name;
    vly_str datatype; /* as sent: "FP32" */
    size_t rank;
    int64_t shape[VLY_INFER_JSON_RANK_MAX]; /* each >= 0 */
    struct yyjson_val *data;
    bool has_binary;
    uint64_t binary_bytes;
    vly_infer_json_region region;
} vly_infer_json_input;

typedef struct vly_infer_json_output {
    vly_str name;
    bool is_binary;
    uint64_t n_classes; /* of the classification extension; 0: the tensor itself */
    vly_infer_json_region region;
} vly_infer_json_output;

typedef struct vly_infer_json {
    vly_str id;            /* ptr NULL: none */
    bool is_binary_output; /* outputs that the request does not list */
    uint64_t priority;     /* 0: none, as the next */
    uint64_t timeout_us;
    uint64_t sequence_id;  /* 0: none */
    vly_str sequence_name; /* sequence_id as a string; ptr NULL: none */
    bool is_sequence_start;
    bool is_sequence_end;
    vly_str session; /* session_id; ptr NULL: none */
    vly_infer_json_input *inputs;
    size_t n_inputs;
    vly_infer_json_output *outputs;
    size_t n_outputs; /* 0: all */
    struct yyjson_doc *doc;
} vly_infer_json;

/* The arrays of *ret live in arena, strings and data in the document, which release frees; json
 * need not outlive the call. EINVAL: not JSON, or not a request; ELIMIT: past a limit; ENOMEM.
 * Whether an input without data is one is for the caller to say: vly_infer_json_no_content. */
vly_status vly_infer_json_parse(vly_str json, const vly_infer_json_limits *limits, vly_arena *arena,
                                vly_infer_json *ret, vly_err *err) VLY_MUST_CHECK;
void vly_infer_json_release(vly_infer_json *r); /* accepts a zeroed one */
/* EINVAL: an input that says nothing of where its data are. */
vly_status vly_infer_json_no_content(vly_err *err);

/* The JSON of sensor samples: an array, or {"id": "...", "samples": [...]}. Fills id and doc of
 * *ret, and data of *ret_samples, which is to be read as that of an input. Errors as above. */
vly_status vly_infer_json_parse_samples(vly_str json, const vly_infer_json_limits *limits,
                                        vly_arena *arena, vly_infer_json *ret,
                                        vly_infer_json_input *ret_samples,
                                        vly_err *err) VLY_MUST_CHECK;
/* Elements of the data of an input, however nested. */
size_t vly_infer_json_count(const vly_infer_json_input *input);

/* How the elements of a tensor are stored. */
typedef enum vly_infer_json_class {
    VLY_INFER_JSON_BOOL,  /* one byte, 0 or 1 */
    VLY_INFER_JSON_INT,   /* two's complement of 1, 2, 4 or 8 bytes */
    VLY_INFER_JSON_UINT,  /* of 1, 2, 4 or 8 bytes */
    VLY_INFER_JSON_FLOAT, /* of 4 or 8 bytes */
    VLY_INFER_JSON_TEXT,  /* a vly_str that borrows from the document */
} vly_infer_json_class;

/* Reads the data of an input, nested or flat, into dst: n elements of elem_bytes each. EINVAL:
 * there are not n, or one is not of this class or out of range (the message says which). */
vly_status vly_infer_json_read(const vly_infer_json_input *input, vly_infer_json_class class,
                               size_t elem_bytes, size_t n, void *dst, vly_err *err) VLY_MUST_CHECK;

#endif
