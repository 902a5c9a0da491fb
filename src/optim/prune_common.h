/* SPDX-License-Identifier: MIT */
/* What both ways of pruning share: the layers, and what their inputs look like on samples. */
#ifndef VLY_OPTIM_PRUNE_COMMON_H
#define VLY_OPTIM_PRUNE_COMMON_H

#include "optim/layers.h"
#include "optim/prune.h"

typedef struct vly_prune_layers {
    vly_layer *layers;        /* [n] in the edit's arena */
    vly_channel_stats *stats; /* [n] of each layer's input; NULL: not looked at */
    size_t n;
} vly_prune_layers;

/* Prepares the edit (norms, opset) and lists its layers. */
vly_status vly_prune__begin(vly_edit *e, const vly_prune_opts *opts, vly_prune_layers *ret,
                            vly_err *err) VLY_MUST_CHECK;
/* Fills l->stats; does nothing without samples. */
vly_status vly_prune__look(vly_edit *e, const vly_samples *samples, vly_prune_layers *l,
                           vly_err *err) VLY_MUST_CHECK;
/* The layer's bias becomes `bias` ([n], the layer's channels after pruning), under a new name. */
vly_status vly_prune__set_bias(vly_edit *e, const vly_layer *l, const float *bias, size_t n,
                               vly_err *err) VLY_MUST_CHECK;

#endif
