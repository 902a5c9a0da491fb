/* SPDX-License-Identifier: MIT */
/* What the files of the selecting stage share. */
#ifndef VLY_ENGINE_NATIVE_FUSE_SELECT_H
#define VLY_ENGINE_NATIVE_FUSE_SELECT_H

#include "engine/native/fuse/ir.h"

/* The value as a constant, or NULL. */
const vly_tensor *vly_fuse_constant(const vly_fuser *z, int v);
/* The item of this kind that made v, or VLY_NO_ITEM. */
int vly_fuse_maker(const vly_fuser *z, int v, vly_item_kind kind);
/* A context to ask an operator's own functions about the node; NULL: out of memory. */
const vly_op_ctx *vly_fuse_ctx(vly_fuser *z, const vly_node *node);

/* Reshape, Transpose, Softmax, (Transpose,) Conv with the weights 0, 1, 2 ..., Reshape: the
 * expected value of a distribution over bins, as heads of YOLOv8 write it. s: the first step's
 * index; marks the others as taken. */
bool vly_fuse_select_expect(vly_fuser *z, int s);

#endif
