/* SPDX-License-Identifier: MIT */
/*
 * ONNX model reader: bytes of a ModelProto or TensorProto -> plain structs.
 *
 * Accepts IR versions 1..VLY_ONNX_IR_MAX and default-domain opsets VLY_ONNX_OPSET_MIN..MAX. Unknown
 * fields are skipped, as protobuf wants. Nothing in the file is trusted: wire types, lengths,
 * element counts, dimensions, nesting and external file names are checked, and the error names the
 * tensor, node or attribute. What needs knowledge of operators (are the inputs known, does the op
 * exist) is left to the engine.
 *
 * Owns nothing: structs live in the caller's arena; names and most tensor data are views into the
 * caller's bytes. Both must outlive the model. Data are not aligned: copy before use as float[].
 * Memory: the arena's budget is the limit (ELIMIT beyond); VLY_ONNX_ARENA_BUDGET fits every real
 * file. Time: linear in the file size.
 * Thread: any; a parsed model is immutable.
 *
 * Errors: EFORMAT malformed, EUNSUPPORTED well-formed but outside of what is read here, ELIMIT,
 * ENOMEM. *ret stays untouched on failure.
 */
#ifndef VLY_CODEC_ONNX_H
#define VLY_CODEC_ONNX_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_ONNX_IR_MAX                   14
#define VLY_ONNX_OPSET_MIN                1
#define VLY_ONNX_OPSET_MAX                28
#define VLY_ONNX_DEPTH_MAX                16       /* subgraphs inside subgraphs */
#define VLY_ONNX_NODES_MAX                1000000u /* nodes of all graphs and functions together */
#define VLY_ONNX_ARENA_BUDGET(file_bytes) ((size_t)(file_bytes)*16 + ((size_t)1 << 20))

typedef struct vly_onnx_graph vly_onnx_graph;

/* A slice of a file next to the model. The engine maps it and checks offset and length against its
 * size; location is checked here: relative, no "..", no backslash, no NUL. Ranges may overlap
 * (shared weights): they are only read. */
typedef struct vly_onnx_external {
    vly_str location;
    uint64_t offset;
    vly_str checksum; /* hex SHA-1 of the file, or empty */
} vly_onnx_external;

typedef struct vly_onnx_tensor {
    vly_str name;
    int32_t data_type; /* ONNX TensorProto.DataType, 1..26 */
    size_t n_dims;
    const int64_t *dims; /* each >= 0 */
    uint64_t n_elems;    /* product of dims; 1 for a scalar */
    /* n_bytes little-endian bytes in the element's own width (4-bit types two to a byte, low nibble
     * first); exactly what dims and data_type need. NULL for strings and external data, and perhaps
     * when n_bytes is 0. */
    const void *data;
    size_t n_bytes;                    /* for external data: how much to map */
    const vly_str *strings;            /* data_type STRING: [n_elems] */
    const vly_onnx_external *external; /* NULL: the data are in this file */
} vly_onnx_tensor;

typedef enum vly_onnx_attr_type {
    VLY_ONNX_ATTR_UNDEFINED = 0, /* only together with ref_attr_name */
    VLY_ONNX_ATTR_FLOAT = 1,
    VLY_ONNX_ATTR_INT = 2,
    VLY_ONNX_ATTR_STRING = 3,
    VLY_ONNX_ATTR_TENSOR = 4,
    VLY_ONNX_ATTR_GRAPH = 5,
    VLY_ONNX_ATTR_FLOATS = 6,
    VLY_ONNX_ATTR_INTS = 7,
    VLY_ONNX_ATTR_STRINGS = 8,
    VLY_ONNX_ATTR_TENSORS = 9,
    VLY_ONNX_ATTR_GRAPHS = 10,
    VLY_ONNX_ATTR_SPARSE_TENSOR = 11, /* type noted, value not read */
    VLY_ONNX_ATTR_SPARSE_TENSORS = 12,
    VLY_ONNX_ATTR_TYPE_PROTO = 13,
    VLY_ONNX_ATTR_TYPE_PROTOS = 14,
} vly_onnx_attr_type;

typedef struct vly_onnx_attr {
    vly_str name;
    vly_onnx_attr_type type;
    size_t n;              /* elements of the list types */
    vly_str ref_attr_name; /* in a function: the value comes from the caller's attribute */
    union {                /* the member that type says; a type that holds a pointer never has NULL,
                              but for lists with n == 0 */
        float f;
        int64_t i;
        vly_str s;
        const vly_onnx_tensor *t;
        const vly_onnx_graph *g;
        const float *floats;
        const int64_t *ints;
        const vly_str *strings;
        const vly_onnx_tensor *tensors;
        const vly_onnx_graph *graphs;
    };
} vly_onnx_attr;

typedef struct vly_onnx_node {
    vly_str name; /* may be empty */
    vly_str op_type;
    vly_str domain; /* "" is the default domain; "ai.onnx" is read as "" */
    vly_str overload;
    size_t n_inputs, n_outputs, n_attrs;
    const vly_str *inputs; /* an empty name is an omitted optional input */
    const vly_str *outputs;
    const vly_onnx_attr *attrs;
} vly_onnx_node;

typedef enum vly_onnx_kind {
    VLY_ONNX_KIND_NONE, /* the file gives no type */
    VLY_ONNX_KIND_TENSOR,
    VLY_ONNX_KIND_SPARSE_TENSOR,
    VLY_ONNX_KIND_SEQUENCE,
    VLY_ONNX_KIND_MAP,
    VLY_ONNX_KIND_OPTIONAL,
    VLY_ONNX_KIND_OPAQUE,
} vly_onnx_kind;

typedef struct vly_onnx_dim {
    int64_t value; /* -1: symbolic or unknown */
    vly_str param; /* "batch"; empty when the file gives no name */
} vly_onnx_dim;

typedef struct vly_onnx_value_info {
    vly_str name;
    vly_onnx_kind kind;
    int32_t elem_type; /* of TENSOR and SPARSE_TENSOR: ONNX DataType, 0 unknown */
    bool has_shape;    /* false: not even the rank is known */
    size_t n_dims;
    const vly_onnx_dim *dims;
} vly_onnx_value_info;

struct vly_onnx_graph {
    vly_str name;
    size_t n_nodes, n_initialisers, n_inputs, n_outputs, n_value_infos;
    size_t n_sparse_initialisers; /* counted, not read */
    const vly_onnx_node *nodes;
    const vly_onnx_tensor *initialisers;
    const vly_onnx_value_info *inputs;
    const vly_onnx_value_info *outputs;
    const vly_onnx_value_info *value_infos;
};

typedef struct vly_onnx_opset {
    vly_str domain; /* "ai.onnx" is read as "" */
    int64_t version;
} vly_onnx_opset;

typedef struct vly_onnx_prop {
    vly_str key, value;
} vly_onnx_prop;

/* A function local to the model: an op made of ops. */
typedef struct vly_onnx_function {
    vly_str name, domain, overload;
    size_t n_inputs, n_outputs, n_attr_names, n_attr_defaults, n_nodes, n_opsets;
    const vly_str *inputs;
    const vly_str *outputs;
    const vly_str *attr_names;          /* attributes without default */
    const vly_onnx_attr *attr_defaults; /* attributes with their defaults */
    const vly_onnx_node *nodes;
    const vly_onnx_opset *opsets;
} vly_onnx_function;

typedef struct vly_onnx_model {
    int64_t ir_version;
    vly_str producer_name, producer_version, domain;
    int64_t model_version;
    int64_t opset; /* of the default domain; 0 when the model imports only other domains */
    size_t n_opsets, n_props, n_functions;
    const vly_onnx_opset *opsets;
    const vly_onnx_prop *props; /* metadata_props */
    const vly_onnx_function *functions;
    const vly_onnx_graph *graph; /* never NULL */
} vly_onnx_model;

vly_status vly_onnx_model_parse(const void *bytes, size_t len, vly_arena *arena,
                                const vly_onnx_model **ret, vly_err *err) VLY_MUST_CHECK;

/* A file holding one TensorProto (input_0.pb of a test_data_set). A SequenceProto or OptionalProto
 * uses the same field numbers for other things: it fails as EUNSUPPORTED or EFORMAT. Which of the
 * three a file holds, the value_info of the model it belongs to says. */
vly_status vly_onnx_tensor_parse(const void *bytes, size_t len, vly_arena *arena,
                                 const vly_onnx_tensor **ret, vly_err *err) VLY_MUST_CHECK;

/* Value of the first metadata property with that key; false when there is none. */
bool vly_onnx_model_prop(const vly_onnx_model *model, const char *key, vly_str *ret);

/* "FLOAT", "INTS", ... for messages; "?" for a value outside the enum. */
const char *vly_onnx_attr_type_name(vly_onnx_attr_type type);

#endif
