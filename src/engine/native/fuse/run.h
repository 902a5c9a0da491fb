/* SPDX-License-Identifier: MIT */
/*
 * Operators of fused steps: domain "volley", made by emit, never read from a file. Params are a
 * vly_fused; inputs and output are buffers (the tensor's shape tells only their size) in which the
 * images lie at the offsets that params give.
 */
#ifndef VLY_ENGINE_NATIVE_FUSE_RUN_H
#define VLY_ENGINE_NATIVE_FUSE_RUN_H

#include "dsp/image_ops.h"
#include "engine/graph/graph.h"
#include "engine/op.h"

#define VLY_FUSED_PIECES_MAX 8 /* of one step, over threads; each has its own scratch */

/* An image inside an input or the output. */
typedef struct vly_operand {
    vly_image image; /* data: NULL */
    int64_t at;      /* bytes from the buffer's start to element (0, 0, 0, 0) */
} vly_operand;

typedef struct vly_fused {
    const vly_image_dsp *dsp;
    vly_operand x, second, y; /* second: CONV: the residual; COMBINE: b */
    vly_act act;
    float alpha, beta;
    int n_pieces;
    /* Conv */
    vly_conv_desc desc;
    const vly_conv_kernel *kernel;
    const void *packed;
    const float *scale, *bias;
    const uint8_t *table; /* also Lookup */
    float code_scale;     /* with a table: of the codes it takes; y has those it gives */
    int32_t code_zero;
    int units;
    size_t scratch_bytes; /* of one piece */
    /* FromPlanes, ToPlanes */
    vly_planes planes;
    int n_channels;
    /* others */
    vly_pool_desc pool;
    vly_combine combine;
    const int *rows, *cols;
    const float *bin_weights;
    int bins;
} vly_fused;

/* Of a fused step: the picture it computes, [n, h, w, c], and the type of its elements; of a
 * convolution that of its factors. False: not a fused step, or one that writes a plain tensor. */
bool vly_fused_describe(const vly_node *node, vly_shape *ret_shape, vly_dtype *ret_precision);
/* Bytes that a fused step reads and writes: images, or planes, and packed weights. 0: not one. */
uint64_t vly_fused_bytes(const vly_node *node);

extern const vly_op vly_fused_conv, vly_fused_pool, vly_fused_mean, vly_fused_resize,
    vly_fused_combine, vly_fused_map, vly_fused_lookup, vly_fused_expect, vly_fused_frame,
    vly_fused_from_planes, vly_fused_to_planes;
/* Recurrent (recurrent.c): with params of its own, on tensors */
extern const vly_op vly_fused_recurrent;

#endif
