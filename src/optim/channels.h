/* SPDX-License-Identifier: MIT */
/*
 * Which channels of a net are one and the same: a channel of a layer's output, followed through
 * everything that only passes channels on (activations, pools, Resize, Concat, Split, depthwise
 * Conv), and tied to another where both are added up. Taking one out means taking it out wherever
 * it appears.
 *
 *   value      -> the channel at each place of its channel dimension
 *   channel    -> its root (union-find); fixed: it must stay (graph outputs, Reshape, ...)
 *   unit       -> the layers whose outputs share channels; they shrink together
 */
#ifndef VLY_OPTIM_CHANNELS_H
#define VLY_OPTIM_CHANNELS_H

#include "optim/edit.h"
#include "optim/prune_common.h"

#define VLY_CHANNELS_PARTS_MAX 256 /* of a Split */

typedef struct vly_channel_list {
    size_t *at; /* [n] channels; NULL: unknown */
    size_t n;
} vly_channel_list;

typedef struct vly_channel {
    size_t parent;
    size_t unit;   /* layer that made it: ask vly_channels__unit */
    bool is_fixed; /* at the root, as all below */
    bool is_gone;
    double score;
} vly_channel;

typedef struct vly_channel_map {
    vly_edit *e;
    const vly_prune_layers *l;
    vly_channel_list *of;  /* [e->n_values] */
    vly_channel *channels; /* [n] */
    size_t *units;         /* [l->n] union-find */
    size_t n, cap;
} vly_channel_map;

/* Everything in the edit's arena; valid until its next index. */
vly_status vly_channels__trace(vly_edit *e, const vly_prune_layers *l, vly_channel_map *ret,
                               vly_err *err) VLY_MUST_CHECK;
size_t vly_channels__root(vly_channel_map *m, size_t channel);
size_t vly_channels__unit(vly_channel_map *m, size_t layer);
/* The list of the value of that name; at NULL: unknown. */
vly_channel_list vly_channels__list(const vly_channel_map *m, vly_str name);
/* A Conv each of whose outputs reads one input, the same place of both. */
bool vly_channels__is_depthwise(const vly_layer *l);
/* The parts of a Split along the channels, [n_outputs] of at most VLY_CHANNELS_PARTS_MAX; false:
 * they are not known. */
bool vly_channels__parts(const vly_edit *e, const vly_onnx_node *node, size_t n_in,
                         int64_t ret[VLY_CHANNELS_PARTS_MAX]);

#endif
