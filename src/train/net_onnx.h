/* SPDX-License-Identifier: MIT */
/*
 * A trained net as an ONNX file.
 *
 *     in   <input>       [t, n, in], t and n free
 *          state         [GRUs, n, hidden], when the trunk has GRUs; all of one size
 *     out  <head name>   [t, n, out] of each head, behind its sigmoid or softmax
 *          state_out     [GRUs, n, hidden]
 *
 * Layers write themselves through the writer: tensors and nodes are named "trunk.0.weight" after
 * where they stand; w.value is the value at hand, from layer to layer.
 */
#ifndef VLY_TRAIN_NET_ONNX_H
#define VLY_TRAIN_NET_ONNX_H

#include "base/arena.h"
#include "base/buf.h"
#include "codec/onnx.h"
#include "train/train_net.h"

typedef struct vly_train_onnx_opts {
    const char *name;  /* of the graph */
    const char *input; /* of the input */
    const vly_onnx_prop *props;
    size_t n_props;
} vly_train_onnx_opts;

/* Appends the file to out. EINVAL: GRUs of several sizes, ELIMIT, ENOMEM. */
vly_status vly_train_net_write(const vly_train_net *net, const float *params, const float *running,
                               const vly_train_onnx_opts *opts, vly_buf *out,
                               vly_err *err) VLY_MUST_CHECK;

/* Takes the parameters out of such a file, or of a copy that keeps names and shapes: pruned.
 * params [n_params] hold anything on failure. EFORMAT: of another net; EUNSUPPORTED: a layer with
 * parameters that is neither dense nor a GRU. */
vly_status vly_train_net_read(const vly_train_net *net, const void *bytes, size_t len,
                              float *params, vly_err *err) VLY_MUST_CHECK;

/* ---- for layers ---------------------------------------------------------------------------- */

typedef struct vly_train_net_writer {
    vly_arena arena; /* of everything below */
    vly_str value;   /* what the next node reads */
    const char *chain;
    size_t layer; /* in the chain */
    vly_onnx_node *nodes;
    vly_onnx_tensor *tensors;
    size_t n_nodes, nodes_cap, n_tensors, tensors_cap;
    vly_str states[VLY_TRAIN_LAYERS_MAX], states_out[VLY_TRAIN_LAYERS_MAX]; /* of the GRUs */
    size_t n_states, n_states_used;
} vly_train_net_writer;

/* An initialiser "<chain>.<layer>.<suffix>"; data are borrowed, but for those of turned: [rows,
 * cols] is written as [cols, rows]. *ret: its name. */
vly_status vly_train_write_tensor(vly_train_net_writer *w, const char *suffix, size_t n_dims,
                                  const int64_t *dims, const float *data, vly_str *ret,
                                  vly_err *err) VLY_MUST_CHECK;
vly_status vly_train_write_turned(vly_train_net_writer *w, const char *suffix, int64_t rows,
                                  int64_t cols, const float *data, vly_str *ret,
                                  vly_err *err) VLY_MUST_CHECK;
vly_status vly_train_write_ints(vly_train_net_writer *w, const char *suffix, size_t n,
                                const int64_t *values, vly_str *ret, vly_err *err) VLY_MUST_CHECK;
/* A node with one output, named after it; inputs and attributes are copied. *ret: the output. */
vly_status vly_train_write_node(vly_train_net_writer *w, const char *op, const vly_str *inputs,
                                size_t n_inputs, const vly_onnx_attr *attrs, size_t n_attrs,
                                vly_str *ret, vly_err *err) VLY_MUST_CHECK;
/* A GRU: inputs [6], of which the last becomes its part of the state. *ret: Y. */
vly_status vly_train_write_gru(vly_train_net_writer *w, vly_str inputs[6],
                               const vly_onnx_attr *attrs, size_t n_attrs, vly_str *ret,
                               vly_err *err) VLY_MUST_CHECK;

#endif
