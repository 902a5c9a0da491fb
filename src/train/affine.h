/* SPDX-License-Identifier: MIT */
/*
 * y = W x + b over rows, and its gradients: the part that dense, convolutional and recurrent layers
 * have in common. Rows of x and y may be parts of longer ones (ldx, ldy); W is dense [out, in].
 */
#ifndef VLY_TRAIN_AFFINE_H
#define VLY_TRAIN_AFFINE_H

#include "train/layer.h"
#include "train/matrix.h"

typedef struct vly_affine_map {
    const vly_gemm_kernel *kernel;
    int64_t rows, in, out;
    int64_t ldx, ldy;
    const float *w;
    float *scratch; /* [vly_affine_map_scratch] */
} vly_affine_map;

size_t vly_affine_map_scratch(const vly_gemm_kernel *kernel, int64_t in, int64_t out);

/* y = or += W x */
void vly_affine_map_forward(const vly_affine_map *f, const float *x, float *y, bool is_added);
/* dx = or += W' dy */
void vly_affine_map_back(const vly_affine_map *f, const float *dy, float *dx, bool is_added);
/* dw += dy' x */
void vly_affine_map_grads(const vly_affine_map *f, const float *x, const float *dy, float *dw);

/* Every row of y [rows, c] = b; b [c] += the sum of the rows of dy. */
void vly_rows_fill(float *y, int64_t rows, int64_t c, const float *b);
void vly_rows_sum(const float *dy, int64_t rows, int64_t c, float *b);

/* Uniform in +-limit: keeps the variance of signals (Glorot and Bengio 2010, He et al. 2015). */
void vly_init_uniform(float *w, size_t n, double limit, vly_rng *rng);

#endif
