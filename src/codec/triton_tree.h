/* SPDX-License-Identifier: MIT */
/* Configuration as a tree of fields -> structs. Private to the triton_*.c files. */
#ifndef VLY_CODEC_TRITON_TREE_H
#define VLY_CODEC_TRITON_TREE_H

#include "codec/pbtxt.h"
#include "codec/triton_config.h"

/* The structs borrow the texts of the tree. A field without a line is told by its name alone. */
vly_status vly_triton_tree_read(const vly_pbtxt *root, vly_arena *arena,
                                const vly_triton_config **ret, vly_err *err) VLY_MUST_CHECK;

#endif
