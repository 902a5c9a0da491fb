/* SPDX-License-Identifier: MIT */
/*
 * Writing ONNX nodes of our own: a pass over a file's graph that replaces some of its nodes by
 * others puts out the new list here, in order.
 *
 * Node lists and constants live in the arena; at most VLY_ONNX_NODES_MAX nodes. Errors: ELIMIT,
 * ENOMEM. Owner: one thread.
 */
#ifndef VLY_ENGINE_GRAPH_EMIT_H
#define VLY_ENGINE_GRAPH_EMIT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "codec/onnx.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_emitter {
    vly_arena *arena;
    int64_t opset;  /* of the default domain: says where a list goes */
    vly_buf nodes;  /* vly_onnx_node[] */
    vly_str label;  /* name of the nodes to come */
    vly_str prefix; /* of the value names to come */
    size_t n_names;
} vly_emitter;

void vly_emit_init(vly_emitter *e, int64_t opset, vly_arena *arena);
void vly_emit_release(vly_emitter *e);
/* What was emitted becomes g's list of nodes. */
vly_status vly_emit_finish(vly_emitter *e, vly_onnx_graph *g, vly_err *err) VLY_MUST_CHECK;

/* The node under the current label; its lists are borrowed. */
vly_status vly_emit_as_is(vly_emitter *e, vly_onnx_node node, vly_err *err) VLY_MUST_CHECK;
/* The same with copies of the lists. */
vly_status vly_emit(vly_emitter *e, vly_onnx_node node, vly_err *err) VLY_MUST_CHECK;
/* out = op(in...), without attributes and with `axis` alone. */
vly_status vly_emit_op(vly_emitter *e, const char *op, const vly_str *in, size_t n_in, vly_str out,
                       vly_err *err) VLY_MUST_CHECK;
vly_status vly_emit_at_axis(vly_emitter *e, const char *op, const vly_str *in, size_t n_in,
                            int64_t axis, vly_str out, vly_err *err) VLY_MUST_CHECK;
/* Split, Squeeze, Unsqueeze: their list was an attribute before opset 13 and is input 1 since.
 * axis: of Split, otherwise NULL. */
vly_status vly_emit_with_list(vly_emitter *e, const char *op, vly_str in, const int64_t *list,
                              size_t n_list, const int64_t *axis, const vly_str *out, size_t n_out,
                              vly_err *err) VLY_MUST_CHECK;

/* A Constant of type INT64, with a copy of the values: a scalar, or a list of n. */
vly_status vly_emit_ints(vly_emitter *e, const int64_t *values, size_t n, bool is_scalar,
                         vly_str out, vly_err *err) VLY_MUST_CHECK;
vly_status vly_emit_new_ints(vly_emitter *e, const int64_t *values, size_t n, bool is_scalar,
                             vly_str *ret, vly_err *err) VLY_MUST_CHECK; /* under a new name */
/* A name no other call gives. Should the file have it too, the graph says that it is defined
 * twice. */
vly_status vly_emit_name(vly_emitter *e, vly_str *ret, vly_err *err) VLY_MUST_CHECK;
/* Copy in the arena; NULL: the arena says why. */
void *vly_emit_copy(vly_emitter *e, const void *from, size_t n, size_t size);

#endif
