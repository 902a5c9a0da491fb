/* SPDX-License-Identifier: MIT */
/*
 * Matrix product C = A * B + bias, blocked for the caches, over tile kernels picked per CPU.
 *
 *   A [m, k]  packed once, panels of mr rows:                [ceil(m / mr)][k][mr]
 *   B [k, n]  packed block by block, panels of nr columns:   [ceil(nc / nr)][kc][nr]
 *   C [m, n]  written tile by tile, row stride ldc elements
 *
 * B comes from a packer, so that a convolution can present its input as the matrix that im2col
 * would build, without building it (dsp/im2col.h).
 *
 * The work is cut into blocks of columns. Every element of C is summed over k in the same order
 * whichever block it falls in, so blocks may run on any number of threads with bit-identical
 * results.
 *
 * Owns nothing; all memory is the caller's. Thread: any; two blocks of one plan may run at once,
 * each with its own B scratch.
 */
#ifndef VLY_DSP_GEMM_H
#define VLY_DSP_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_GEMM_MR_MAX 16
#define VLY_GEMM_NR_MAX 64
#define VLY_GEMM_NC_MAX 256 /* columns of a block of B; a multiple of every nr */

typedef struct vly_gemm_kernel {
    int mr, nr;     /* rows and columns of a tile */
    int elem_bytes; /* of A and B; C and bias have 4 */
    /* c[i][j] = start + sum over k of a[k][i] * b[k][j], for all i < mr, j < nr; start is c[i][j]
     * itself (accumulate), else bias[i], else (bias NULL) 0. */
    void (*tile)(void *c, size_t ldc, const void *a, const void *b, size_t k, const void *bias,
                 bool accumulate);
} vly_gemm_kernel;

typedef struct vly_gemm_dsp {
    vly_gemm_kernel f32; /* float * float -> float */
    vly_gemm_kernel s16; /* int16 * int16 -> int32, wrapping */
    float (*dot_f32)(const float *a, const float *b, size_t n);
} vly_gemm_dsp;

/* Fills dsp with the best kernels that cpu_flags (base/cpu.h) allow; 0: the C reference. */
void vly_gemm_dsp_init(vly_gemm_dsp *dsp, unsigned cpu_flags);

/* Source of B. pack writes rows k0..k0+kn of columns n0..n0+nn to dst as panels
 * [ceil(nn/nr)][kn][nr], filling the last panel up with zeros. Called from several threads. */
typedef struct vly_gemm_b vly_gemm_b;
struct vly_gemm_b {
    void (*pack)(const vly_gemm_b *b, void *dst, int64_t k0, int64_t kn, int64_t n0, int64_t nn,
                 int nr);
};

typedef struct vly_gemm_plan {
    const vly_gemm_kernel *kernel; /* borrowed */
    int64_t m, n, k;
    int64_t kc, nc;   /* rows and columns of a block of B */
    int64_t n_blocks; /* ceil(n / nc) */
    size_t a_bytes;   /* packed A, multiple of 64 */
    size_t b_bytes;   /* one block of B, multiple of 64 */
} vly_gemm_plan;

/* m, n, k >= 0, with m * k and k * n below 2^40. k == 0 gives C = bias. */
void vly_gemm_plan_init(vly_gemm_plan *plan, const vly_gemm_kernel *kernel, int64_t m, int64_t n,
                        int64_t k);

/* Packs A, whose element (i, kk) is a[i * row_stride + kk * col_stride]. dst: [a_bytes]. */
void vly_gemm_pack_a_f32(const vly_gemm_plan *plan, void *dst, const float *a, int64_t row_stride,
                         int64_t col_stride);

/* One block of columns, 0 <= block < n_blocks. b_scratch: [b_bytes], 64-byte aligned like a_packed.
 * c: element (0, 0) of C. bias: [m] or NULL. */
void vly_gemm_block(const vly_gemm_plan *plan, int64_t block, const void *a_packed,
                    const vly_gemm_b *b, void *b_scratch, void *c, size_t ldc, const void *bias);

/* B as a plain matrix of floats: element (kk, j) is data[kk * row_stride + j * col_stride]. */
typedef struct vly_gemm_b_f32 {
    vly_gemm_b base; /* first: vly_gemm_b_f32_pack reads the rest through it */
    const float *data;
    int64_t row_stride, col_stride;
} vly_gemm_b_f32;

vly_gemm_b_f32 vly_gemm_b_f32_matrix(const float *data, int64_t row_stride, int64_t col_stride);

/* Integer operands of 8 bits, widened and freed of their zero point while they are packed:
 * element - zero, where zero is zeros[row or column] or, without zeros, zero. */
typedef struct vly_gemm_q8 {
    const void *data; /* uint8_t or int8_t */
    bool is_signed;
    int64_t row_stride, col_stride;
    int32_t zero;
    const int32_t *zeros; /* A: per row; B: per column; NULL: zero */
} vly_gemm_q8;

void vly_gemm_pack_a_q8(const vly_gemm_plan *plan, void *dst, const vly_gemm_q8 *a);

typedef struct vly_gemm_b_q8 {
    vly_gemm_b base;
    vly_gemm_q8 m;
} vly_gemm_b_q8;

vly_gemm_b_q8 vly_gemm_b_q8_matrix(const vly_gemm_q8 *m);

#endif
