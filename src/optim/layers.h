/* SPDX-License-Identifier: MIT */
/*
 * Layers with constant float32 weights, the same way for all: Conv (any rank, any group), Gemm with
 * alpha = beta = 1 and an untransposed input, MatMul with a matrix.
 *
 *   weight k of output channel c is at c * channel_step + k * step, k < n_each = in_each * kernel;
 *   it meets input channel c / group_out * in_each + k / kernel
 */
#ifndef VLY_OPTIM_LAYERS_H
#define VLY_OPTIM_LAYERS_H

#include "optim/edit.h"
#include "tensor/tensor.h"

typedef struct vly_layer {
    size_t node;                   /* in the edit */
    const vly_onnx_tensor *weight; /* of the edit, until it is changed */
    const vly_onnx_tensor *bias;   /* float32 [n_channels]; NULL: none */
    bool has_bias_input;           /* the operator has one, used or not */
    bool is_conv;                  /* channels are dimension 1 of input and output; else the last */
    int64_t axis;                  /* of the weights: output channels */
    size_t n_channels, n_each;
    size_t channel_step, step;
    size_t in_each, kernel;
    size_t group_out; /* output channels that read the same in_each inputs */
} vly_layer;

/* false: the node is no such layer. */
bool vly_layer_describe(const vly_edit *e, size_t node, vly_layer *ret);

static inline size_t vly_layer_input_of(const vly_layer *l, size_t c, size_t k)
{
    return c / l->group_out * l->in_each + k / l->kernel;
}

/* Mean and mean square of each channel of a value, over all that was added. */
typedef struct vly_channel_stats {
    size_t n;
    double *mean, *square; /* [n] in the arena of the first add; sums before finish */
    double count;
} vly_channel_stats;

/* A float32 tensor whose channels are dimension 1, or the last. Channels beyond the first tensor's
 * are left out. */
vly_status vly_channel_stats_add(vly_channel_stats *s, const vly_tensor *t, bool is_last,
                                 vly_arena *arena, vly_err *err) VLY_MUST_CHECK;
void vly_channel_stats_finish(vly_channel_stats *s);

/* A tensor as [outer][n][inner] around its channels. */
typedef struct vly_channels {
    size_t outer, n, inner;
} vly_channels;

vly_channels vly_channels_of(const vly_tensor *t, bool is_last);

#endif
