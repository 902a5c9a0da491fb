/* SPDX-License-Identifier: MIT */
/*
 * Walking several strided operands over one shape, row by row.
 *
 *     vly_walk w;
 *     for (vly_walk_begin(&w, &shape, 2, strides); w.more; vly_walk_next(&w))
 *         kernel(a + w.off[0], w.step[0], b + w.off[1], w.step[1], w.n);
 *
 * Axes that are adjacent in memory for every operand are merged first, and axes of size 1 dropped,
 * so a row is as long as the operands allow: dense tensors of one shape are a single row. Rows come
 * in row-major order of the shape. Offsets and steps count elements. An operand that repeats along
 * an axis has stride 0 there (vly_shape_broadcast_strides).
 */
#ifndef VLY_TENSOR_WALK_H
#define VLY_TENSOR_WALK_H

#include "tensor/shape.h"

#define VLY_WALK_OPS 4

typedef struct vly_walk {
    bool more;                  /* is there a row? */
    int64_t n;                  /* elements of each row */
    int64_t off[VLY_WALK_OPS];  /* first element of this row, per operand */
    int64_t step[VLY_WALK_OPS]; /* from one element of a row to the next */
    /* the axes outside of the row */
    int n_ops, rank;
    int64_t dim[VLY_RANK_MAX], pos[VLY_RANK_MAX];
    int64_t stride[VLY_WALK_OPS][VLY_RANK_MAX];
} vly_walk;

/* shape: known. strides[op]: [shape->rank], 1 <= n_ops <= VLY_WALK_OPS. No row when shape is empty.
 */
void vly_walk_begin(vly_walk *w, const vly_shape *shape, int n_ops,
                    int64_t strides[][VLY_RANK_MAX]);
void vly_walk_next(vly_walk *w);

/* Copies the box `shape` of elements of elem_bytes (1, 2, 4, 8 or 16) from src to dst, which do not
 * overlap; a source stride may be 0 or negative. Contiguous runs are memcpy'd, transpositions go in
 * tiles. */
void vly_copy_strided(const vly_shape *shape, size_t elem_bytes, void *dst,
                      const int64_t *dst_strides, const void *src, const int64_t *src_strides);

#endif
