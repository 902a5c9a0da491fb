/* SPDX-License-Identifier: MIT */
/*
 * Writes small ONNX models for tests, so that no test needs a downloaded file:
 *
 *     onnx_builder b;
 *     ob_init(&b);
 *     ob_input(&b, "x", OB_FLOAT, 2, (int64_t[]){-1, 3});
 *     ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, 2});
 *     ob_floats(&b, "w", 2, (int64_t[]){3, 2}, (float[]){1, 2, 3, 4, 5, 6});
 *     ob_node(&b, "MatMul", "x,w", "xw");
 *     ob_node(&b, "LeakyRelu", "xw", "y");
 *     ob_attr_float(&b, "alpha", 0.5f);          (attributes go to the last node)
 *     vly_str file = ob_finish(&b, 17);
 *     ...
 *     ob_release(&b);
 *
 * No function fails: running out of memory aborts, as a test should. A subgraph is built in a
 * second builder and given to ob_attr_graph. Owner: one thread.
 */
#ifndef VLY_TESTS_ONNX_BUILDER_H
#define VLY_TESTS_ONNX_BUILDER_H

#include "base/buf.h"
#include "base/str.h"

#include <stdint.h>

/* TensorProto.DataType */
enum {
    OB_FLOAT = 1,
    OB_UINT8 = 2,
    OB_INT8 = 3,
    OB_UINT16 = 4,
    OB_INT16 = 5,
    OB_INT32 = 6,
    OB_INT64 = 7,
    OB_STRING = 8,
    OB_BOOL = 9,
    OB_FLOAT16 = 10,
    OB_DOUBLE = 11,
    OB_UINT32 = 12,
    OB_UINT64 = 13,
    OB_BFLOAT16 = 16,
    OB_INT4 = 22,
};

typedef struct onnx_builder {
    vly_buf model; /* fields of ModelProto but for the graph; after finish: the file */
    vly_buf graph; /* fields of GraphProto */
    vly_buf node;  /* fields of the last NodeProto, not yet in graph */
} onnx_builder;

void ob_init(onnx_builder *b);
void ob_release(onnx_builder *b);

/* A dimension of -1 becomes the symbolic dimension "N"; n_dims -1: no shape. */
void ob_input(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims);
void ob_output(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims);

/* Initialisers. */
void ob_tensor(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims,
               const void *raw, size_t n_bytes);
void ob_floats(onnx_builder *b, const char *name, int n_dims, const int64_t *dims,
               const float *values);
void ob_ints(onnx_builder *b, const char *name, int n_dims, const int64_t *dims,
             const int64_t *values); /* INT64 */
/* Its bytes are those of the file at location. */
void ob_external(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims,
                 const char *location);

/* inputs and outputs: names separated by commas, "x,,b" omits the second. The node is named after
 * its first output. */
void ob_node(onnx_builder *b, const char *op_type, const char *inputs, const char *outputs);
void ob_node_domain(onnx_builder *b, const char *domain);
void ob_attr_int(onnx_builder *b, const char *name, int64_t value);
void ob_attr_ints(onnx_builder *b, const char *name, size_t n, const int64_t *values);
void ob_attr_float(onnx_builder *b, const char *name, float value);
void ob_attr_floats(onnx_builder *b, const char *name, size_t n, const float *values);
void ob_attr_string(onnx_builder *b, const char *name, const char *value);
void ob_attr_strings(onnx_builder *b, const char *name, size_t n, const char *const *values);
void ob_attr_tensor(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims,
                    const void *raw, size_t n_bytes);
void ob_attr_graph(onnx_builder *b, const char *name, onnx_builder *subgraph);

/* metadata_props */
void ob_prop(onnx_builder *b, const char *key, const char *value);
/* A second opset_import next to the default one. */
void ob_opset(onnx_builder *b, const char *domain, int64_t version);

/* The whole file with IR version 8; opset 0: no default opset. Borrowed until release. Once. */
vly_str ob_finish(onnx_builder *b, int64_t opset);

#endif
