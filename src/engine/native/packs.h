/* SPDX-License-Identifier: MIT */
/*
 * Weights packed for a kernel, shared by all plans of a model: another batch or picture size is
 * another plan, but the same weights.
 *
 * Owner: the model; used under its lock. Entries last as long as the model.
 */
#ifndef VLY_ENGINE_NATIVE_PACKS_H
#define VLY_ENGINE_NATIVE_PACKS_H

#include "base/arena.h"
#include "base/map.h"
#include "dsp/conv.h"

typedef struct vly_pack vly_pack;

typedef struct vly_packs {
    vly_arena arena; /* keys and entries */
    vly_map map;
    vly_pack *first;
} vly_packs;

void vly_packs_init(vly_packs *p); /* allocates nothing */
void vly_packs_release(vly_packs *p);

/* What `kernel` packed of the constant at `weights` for a convolution like d, whose sizes, padding,
 * stride and epilogue do not matter; NULL: not yet. is_transposed: weights are [c_in][c_out]. */
void *vly_packs_get(const vly_packs *p, const vly_conv_kernel *kernel, const vly_conv_desc *d,
                    const void *weights, bool is_transposed);
/* Memory for the caller to pack into, 64-byte aligned; NULL: out of memory. */
void *vly_packs_add(vly_packs *p, const vly_conv_kernel *kernel, const vly_conv_desc *d,
                    const void *weights, bool is_transposed, size_t bytes);

#endif
