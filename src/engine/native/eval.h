/* SPDX-License-Identifier: MIT */
/*
 * One node, by itself: the calls of infer and run with the checks around them. Used by constant
 * folding, by the plan compiler, and by the executor for nodes whose shapes only a run tells.
 * Every error names the node and its op.
 */
#ifndef VLY_ENGINE_NATIVE_EVAL_H
#define VLY_ENGINE_NATIVE_EVAL_H

#include "base/arena.h"
#include "engine/graph/graph.h"

/* A context for node: its input i is *values[node->in[i]]; its outputs are new tensors, to which
 * values[node->out[i]] is set, so that later nodes find them. values: [n_values of the graph].
 * Memory from arena; NULL when it is out. */
vly_op_ctx *vly_eval_ctx(const vly_node *node, vly_tensor **values, vly_arena *arena);

/* Checks the inputs against the op's row and calls infer: out[] get dtype and shape, no data. */
vly_status vly_eval_infer(const vly_node *node, vly_op_ctx *ctx, vly_err *err) VLY_MUST_CHECK;

/* Is the shape of every wanted output known, after infer? */
bool vly_eval_is_static(const vly_op_ctx *ctx);

/* infer, storage for outputs and scratch, run: for a ctx whose inputs all have values (or, for
 * VLY_OP_SHAPE_ONLY, shapes). On success ctx->out[] own storage; on failure they are empty.
 * ELIMIT when outputs and scratch take more than max_bytes. */
vly_status vly_eval_node(const vly_node *node, vly_op_ctx *ctx, size_t max_bytes,
                         vly_err *err) VLY_MUST_CHECK;

/* "node 'x' (Conv): " in front of err. */
vly_status vly_eval_fail(const vly_node *node, vly_status st, vly_err *err);

#endif
