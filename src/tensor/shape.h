/* SPDX-License-Identifier: MIT */
/*
 * Shapes: up to VLY_RANK_MAX dimensions, row-major. A dimension of VLY_DIM_UNKNOWN (-1) is not
 * known (yet); everything that touches memory takes fully known shapes only.
 */
#ifndef VLY_TENSOR_SHAPE_H
#define VLY_TENSOR_SHAPE_H

#include "tensor/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_RANK_MAX    8
#define VLY_DIM_UNKNOWN (-1)

typedef struct vly_shape {
    int rank; /* 0..VLY_RANK_MAX; 0 is a scalar with one element */
    int64_t dim[VLY_RANK_MAX];
} vly_shape;

#define VLY_SHAPE(...)                                                                             \
    ((vly_shape){.rank = sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), .dim = {__VA_ARGS__}})
#define VLY_SHAPE_SCALAR ((vly_shape){.rank = 0})

bool vly_shape_known(const vly_shape *s); /* no unknown dimension */
bool vly_shape_eq(const vly_shape *a, const vly_shape *b);
/* Product of all dimensions; false on an unknown or a negative dimension, and when those that are
 * not 0 have a product beyond int64_t. */
bool vly_shape_count(const vly_shape *s, uint64_t *ret);
/* Product of dim[begin..end), for shapes already checked by vly_shape_count. */
int64_t vly_shape_span(const vly_shape *s, int begin, int end);
/* Bytes of a dense tensor; false as vly_shape_count or when bytes overflow. */
bool vly_shape_bytes(const vly_shape *s, vly_dtype t, size_t *ret);

/* numpy broadcasting (ONNX Broadcasting.md). Unknown against 1 or unknown is unknown, unknown
 * against n > 1 is n. False when two dimensions differ and neither is 1. */
bool vly_shape_broadcast(const vly_shape *a, const vly_shape *b, vly_shape *ret);
/* Element strides of src when read as if broadcast to dst (0 where repeated). src must broadcast to
 * dst. strides: [dst->rank]. */
void vly_shape_broadcast_strides(const vly_shape *src, const vly_shape *dst, int64_t *strides);
/* Dense row-major element strides: [s->rank]. */
void vly_shape_strides(const vly_shape *s, int64_t *strides);

/* axis in -rank..rank-1 to 0..rank-1; false outside. */
bool vly_axis_normalise(int64_t axis, int rank, int *ret);

/* "[1,3,640,640]", unknown as "?"; returns text. */
#define VLY_SHAPE_TEXT_MAX 192
const char *vly_shape_text(const vly_shape *s, char text[VLY_SHAPE_TEXT_MAX]);

#endif
