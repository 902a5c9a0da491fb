/* SPDX-License-Identifier: MIT */
/*
 * Matrix products that are not worth packing: element types without a tile kernel, and floats with
 * a row or column count so small that packing would cost more than the product.
 *
 * Element (i, k) of A is a[i * a_row + k * a_col], likewise B; C is dense rows, ldc apart. Integers
 * wrap, so the unsigned forms serve the signed types too.
 */
#ifndef VLY_DSP_GEMM_PLAIN_H
#define VLY_DSP_GEMM_PLAIN_H

#include "dsp/gemm.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct vly_gemm_shape {
    int64_t m, n, k;
    int64_t a_row, a_col, b_row, b_col;
    int64_t ldc;
} vly_gemm_shape;

void vly_gemm_plain_f64(const vly_gemm_shape *s, const double *a, const double *b, double *c);
void vly_gemm_plain_u32(const vly_gemm_shape *s, const uint32_t *a, const uint32_t *b, uint32_t *c);
void vly_gemm_plain_u64(const vly_gemm_shape *s, const uint64_t *a, const uint64_t *b, uint64_t *c);

/* Is vly_gemm_thin_f32 the right choice for this shape? It may be called only if so. */
bool vly_gemm_is_thin(const vly_gemm_shape *s);
/* Columns begin..end of C. */
void vly_gemm_thin_f32(const vly_gemm_dsp *dsp, const vly_gemm_shape *s, const float *a,
                       const float *b, int64_t begin, int64_t end, float *c);

#endif
