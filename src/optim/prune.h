/* SPDX-License-Identifier: MIT */
/*
 * Pruning: weights set to 0, or whole channels taken out.
 *
 *   weights   the least important weights become 0. The file keeps its size (it packs better), and
 *             a fine-tuning that follows keeps them 0
 *   channels  output channels of layers go, with everything that hangs on them: the matching inputs
 *             of all readers through activations, pools, Concat, Split and Resize, and the channels
 *             that an Add ties to them. The net really becomes smaller
 *
 * Without samples a weight counts by its magnitude. With samples it counts by what it adds to the
 * output on real inputs, and the mean of what goes is added to the biases.
 *
 * Owner: one thread. The opset is raised to 13 and norms go into weights. Errors: EINVAL: sparsity
 * outside 0..1; EUNSUPPORTED: nothing to prune; those of optim/edit.h and optim/opset.h, of
 * observing.
 */
#ifndef VLY_OPTIM_PRUNE_H
#define VLY_OPTIM_PRUNE_H

#include "optim/edit.h"
#include "optim/samples.h"

typedef struct vly_prune_opts {
    double sparsity;   /* share that goes: of the weights, or of the channels that can go */
    bool is_per_layer; /* weights: the same share in each layer, not over the whole net */
    size_t n_steps;    /* weights, with samples: raise the sparsity by vly_prune_schedule in so many
                          steps and look again after each; 0 counts as 1 */
} vly_prune_opts;

typedef struct vly_prune_report {
    uint64_t n_weights, n_zeros; /* of the layers after pruning */
    size_t n_channels;           /* before: output channels of layers that can go */
    size_t n_channels_gone;
} vly_prune_report;

/* Polynomial decay of the guides' training tools: the sparsity after `step` of n_steps, from
 * initial to final by the cube of what is left. */
double vly_prune_schedule(double initial, double final, size_t step, size_t n_steps);

/* samples may be NULL. */
vly_status vly_optim_prune_weights(vly_edit *e, const vly_prune_opts *opts,
                                   const vly_samples *samples, vly_prune_report *ret,
                                   vly_err *err) VLY_MUST_CHECK;
/* Units of 16 channels and more keep a multiple of 8, as kernels like it. */
vly_status vly_optim_prune_channels(vly_edit *e, const vly_prune_opts *opts,
                                    const vly_samples *samples, vly_prune_report *ret,
                                    vly_err *err) VLY_MUST_CHECK;

#endif
