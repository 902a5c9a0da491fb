/* SPDX-License-Identifier: MIT */
/*
 * An ONNX model under the knife: nodes and initialisers that can be added, changed and removed,
 * and written as a new file.
 *
 *   vly_edit_open     parses; initialisers that the file lists as inputs become constants, and so
 *                     do Constant nodes; external data come inside
 *   vly_edit_index    who makes and who reads each value; again after changes
 *   ...               add_node, add_tensor, set_input, set_output, remove_node, in any order
 *   vly_edit_write    sorts, drops what no output needs, and gives the file's bytes
 *
 * Metadata, opsets, local functions, inputs and outputs stay as they are. EUNSUPPORTED: nodes with
 * subgraphs (If, Loop, Scan), since values may cross their borders unseen; sparse initialisers.
 * Memory: everything lives until close; names given are borrowed. Owner: one thread.
 */
#ifndef VLY_OPTIM_EDIT_H
#define VLY_OPTIM_EDIT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/status.h"
#include "codec/onnx.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_edit_use {
    size_t node;  /* index in nodes */
    size_t input; /* of that node */
} vly_edit_use;

typedef struct vly_edit_value {
    vly_str name;
    int64_t producer;         /* node; -1: input or initialiser */
    int64_t tensor;           /* initialiser; -1: none */
    bool is_input, is_output; /* of the graph */
    const vly_edit_use *uses; /* [n_uses], in the order of the nodes */
    size_t n_uses;
} vly_edit_value;

typedef struct vly_edit {
    vly_arena arena;
    vly_onnx_model model; /* head; its graph is this->graph */
    vly_onnx_graph graph; /* head; lists as they were read but for the two below */
    vly_onnx_node *nodes; /* removed ones have an empty op_type */
    size_t n_nodes, nodes_cap;
    vly_onnx_tensor *tensors; /* initialisers; never external */
    size_t n_tensors, tensors_cap;
    vly_edit_value *values; /* by vly_edit_index */
    size_t n_values;
    vly_map by_name; /* value + 1 */
    size_t n_names;  /* made up so far */
} vly_edit;

/* bytes are borrowed until close. dir: where external data lie; NULL: refused. On failure there is
 * nothing to close. Errors: as vly_onnx_model_parse; EIO. */
vly_status vly_edit_open(vly_edit *e, const void *bytes, size_t len, const char *dir,
                         vly_err *err) VLY_MUST_CHECK;
/* A copy to change while src stays; borrows src's strings and data. It has no index yet. */
vly_status vly_edit_clone(vly_edit *e, const vly_edit *src, vly_err *err) VLY_MUST_CHECK;
void vly_edit_close(vly_edit *e); /* accepts a zeroed one */

vly_status vly_edit_index(vly_edit *e, vly_err *err) VLY_MUST_CHECK;
/* By the last index; NULL: no such value (or an empty name). */
const vly_edit_value *vly_edit_find(const vly_edit *e, vly_str name);
/* The initialiser of that name; NULL: none. */
const vly_onnx_tensor *vly_edit_tensor(const vly_edit *e, vly_str name);
/* Node's input i, or an empty name when it has none. */
vly_str vly_edit_input(const vly_onnx_node *node, size_t i);

/* The node's lists are copied, attributes are borrowed. */
vly_status vly_edit_add_node(vly_edit *e, const vly_onnx_node *node, vly_err *err) VLY_MUST_CHECK;
/* dims and data are copied; data NULL: zeroes. data_type: one of whole bytes. */
vly_status vly_edit_add_tensor(vly_edit *e, vly_str name, int32_t data_type, size_t n_dims,
                               const int64_t *dims, const void *data, vly_err *err) VLY_MUST_CHECK;
vly_status vly_edit_set_input(vly_edit *e, size_t node, size_t input, vly_str name,
                              vly_err *err) VLY_MUST_CHECK; /* appends omitted ones before it */
vly_status vly_edit_set_output(vly_edit *e, size_t node, size_t output, vly_str name,
                               vly_err *err) VLY_MUST_CHECK;
void vly_edit_remove_node(vly_edit *e, size_t node);
/* "base_suffix", made different from every value of the index and every name given before. */
vly_status vly_edit_name(vly_edit *e, vly_str base, const char *suffix, vly_str *ret,
                         vly_err *err) VLY_MUST_CHECK;

/* An initialiser's elements as floats, aligned; EUNSUPPORTED when it holds no float32. The copy,
 * or the tensor's own data when aligned, lives until close. */
vly_status vly_edit_floats(vly_edit *e, const vly_onnx_tensor *t, const float **ret,
                           vly_err *err) VLY_MUST_CHECK;
/* An int64 initialiser (or attribute list) of at most max elements; false: it is no such thing. */
bool vly_edit_ints(const vly_onnx_tensor *t, int64_t *ret, size_t max, size_t *ret_n);

/* Attributes; absent or of another type: the default. */
const vly_onnx_attr *vly_edit_attr(const vly_onnx_node *node, const char *name);
int64_t vly_edit_attr_int(const vly_onnx_node *node, const char *name, int64_t otherwise);
bool vly_edit_is(const vly_onnx_node *node, const char *op); /* of the default domain */

/* The file: nodes in topological order (equal ones in the order they were added), without nodes and
 * initialisers that no output needs. EFORMAT: a value that nothing makes, or a cycle. */
vly_status vly_edit_write(vly_edit *e, vly_buf *out, vly_err *err) VLY_MUST_CHECK;

#endif
