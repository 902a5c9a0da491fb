/* SPDX-License-Identifier: MIT */
/*
 * Matrix products of training, over the tile kernels of dsp/gemm.h: C [m, n] = or += A [m, k] *
 * B [k, n], operands with any strides. What dsp/gemm's blocks do not do, and training needs: adding
 * to C, and many products of few rows with one B that was packed before (recurrent layers).
 *
 * An element of C is summed over k in the same order whatever m and n are. Thread: any, each with
 * its own scratch.
 */
#ifndef VLY_TRAIN_MATRIX_H
#define VLY_TRAIN_MATRIX_H

#include "dsp/gemm.h"

/* Element (i, j) is data[i * row + j * col]. */
typedef struct vly_matrix {
    const float *data;
    int64_t row, col;
} vly_matrix;

typedef struct vly_matmul {
    int64_t m, n, k;
    float *c;
    int64_t ldc;
    bool is_added; /* to what C holds */
} vly_matmul;

/* Floats of scratch that vly_matmul_run needs, and of B packed whole; multiples of 16. */
size_t vly_matmul_scratch(const vly_gemm_kernel *kernel, int64_t n);
size_t vly_matmul_packed(const vly_gemm_kernel *kernel, int64_t n, int64_t k);

/* scratch and packed: 64-byte aligned. */
void vly_matmul_run(const vly_gemm_kernel *kernel, const vly_matmul *p, vly_matrix a, vly_matrix b,
                    float *scratch);
void vly_matmul_pack(const vly_gemm_kernel *kernel, int64_t n, int64_t k, vly_matrix b,
                     float *packed);
void vly_matmul_run_packed(const vly_gemm_kernel *kernel, const vly_matmul *p, vly_matrix a,
                           const float *packed);

#endif
