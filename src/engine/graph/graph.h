/* SPDX-License-Identifier: MIT */
/*
 * Graph IR: nodes in topological order, connected by values.
 *
 * A value is one tensor name of the ONNX graph (static single assignment). Its type is what the
 * file declares until a plan infers it for concrete input shapes; `constant` holds it when it is an
 * initialiser, or after vly_graph_fold().
 *
 * Everything lives in the caller's arena (lifetime: the model), except the constants' storage,
 * which vly_graph_release() drops. Constants may borrow the mapped file: it outlives the graph.
 * Immutable after vly_graph_fold(); then any thread may read it.
 */
#ifndef VLY_ENGINE_GRAPH_GRAPH_H
#define VLY_ENGINE_GRAPH_GRAPH_H

#include "base/arena.h"
#include "base/status.h"
#include "codec/onnx.h"
#include "engine/graph/external.h"
#include "engine/op.h"
#include "tensor/tensor.h"

#include <stdbool.h>
#include <stddef.h>

#define VLY_VALUE_NONE (-1) /* an omitted input, or an output nobody asked for */

typedef struct vly_value {
    const char *name;
    const vly_onnx_value_info *declared; /* of inputs and outputs; NULL for values in between */
    vly_tensor constant;                 /* dtype UNDEFINED: not a constant */
    bool is_input;
} vly_value;

typedef struct vly_node {
    const vly_op *op;
    const vly_onnx_node *proto;
    const char *label; /* the node's name, or "#<index>" */
    bool is_fp32;      /* the user wants it in fp32, whatever the plan's precision */
    void *params;      /* what op->prepare made; NULL when it has none */
    int opset;
    int n_in, n_out;
    const int *in;  /* [n_in] value indices or VLY_VALUE_NONE */
    const int *out; /* [n_out] */
} vly_node;

typedef struct vly_graph {
    vly_value *values;
    vly_node *nodes; /* topological order */
    int *inputs;     /* values the caller gives, in the file's order */
    int *outputs;
    int n_values, n_nodes, n_inputs, n_outputs;
    uint64_t n_parameters; /* elements of the initialisers */
    size_t constant_bytes; /* of all constants */
    vly_external external; /* mapped files that constants borrow */
} vly_graph;

/* Resolves names, checks the order, finds every op and runs its prepare. external:
 * where external data are, and how they are read; nothing opened yet. max_memory_bytes: of
 * constants. EUNSUPPORTED names all missing ops at once. */
vly_status vly_graph_build(const vly_onnx_model *onnx, const vly_external *external,
                           size_t max_memory_bytes, vly_arena *arena, vly_graph *ret,
                           vly_err *err) VLY_MUST_CHECK;

static inline bool vly_value_is_constant(const vly_value *v)
{
    return v->constant.dtype != VLY_DTYPE_UNDEFINED;
}

/* Constant folding: runs each pure node whose inputs are all constants and drops it; then drops
 * nodes and constants that no output depends on. */
vly_status vly_graph_fold(vly_graph *g, size_t max_memory_bytes, vly_arena *scratch,
                          vly_err *err) VLY_MUST_CHECK;

/* Weights that the file holds quantised (DequantizeLinear of a constant matrix or more): not
 * folded, because a plan may use them as they are, and takes their floats only where it must. */
bool vly_node_is_lazy(const vly_graph *g, const vly_node *node);

void vly_graph_release(vly_graph *g);

#endif
