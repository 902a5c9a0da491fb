/* SPDX-License-Identifier: MIT */
/*
 * Sequences of tensors, taken out of a graph before it is built: the engine has none at run time.
 *
 * A sequence is a list of tensor names known at load. Its operators (SequenceEmpty, Construct,
 * Insert, Erase, At, Length, SplitToSequence, ConcatFromSequence; Identity too) become ordinary
 * nodes, or none at all: SequenceAt is an Identity of the tensor listed there, ConcatFromSequence a
 * Concat of all, SplitToSequence a Gather, or one Split, when a part is asked for.
 *
 * EUNSUPPORTED, naming node and reason, for what only a run could know: a position or size that is
 * no constant, the parts of a dimension the file does not declare, a sequence as input or output of
 * the graph or of any other operator. EFORMAT for a position out of range, ELIMIT for a list
 * longer than VLY_SEQUENCE_MAX.
 */
#ifndef VLY_ENGINE_GRAPH_SEQUENCE_H
#define VLY_ENGINE_GRAPH_SEQUENCE_H

#include "base/arena.h"
#include "base/status.h"
#include "codec/onnx.h"

#include <stdbool.h>

#define VLY_SEQUENCE_MAX 4096

/* *ret is src when it has no sequences, otherwise a graph in the arena that shares src's structs.
 * opset: of the default domain. New nodes bear the name of the node they stand for. */
vly_status vly_sequence_lower(const vly_onnx_graph *src, int64_t opset, vly_arena *arena,
                              const vly_onnx_graph **ret, vly_err *err) VLY_MUST_CHECK;

/* Is it one of the operators that disappear here (Identity not counted)? */
bool vly_sequence_has_op(vly_str domain, vly_str op);

#endif
