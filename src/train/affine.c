/* SPDX-License-Identifier: MIT */
#include "train/affine.h"

#include <string.h>

size_t vly_affine_map_scratch(const vly_gemm_kernel *kernel, int64_t in, int64_t out)
{
    return vly_matmul_scratch(kernel, in > out ? in : out);
}

void vly_affine_map_forward(const vly_affine_map *f, const float *x, float *y, bool is_added)
{
    vly_matmul p = {f->rows, f->out, f->in, y, f->ldy, is_added};

    vly_matmul_run(f->kernel, &p, (vly_matrix){x, f->ldx, 1}, (vly_matrix){f->w, 1, f->in},
                   f->scratch);
}

void vly_affine_map_back(const vly_affine_map *f, const float *dy, float *dx, bool is_added)
{
    vly_matmul p = {f->rows, f->in, f->out, dx, f->ldx, is_added};

    vly_matmul_run(f->kernel, &p, (vly_matrix){dy, f->ldy, 1}, (vly_matrix){f->w, f->in, 1},
                   f->scratch);
}

void vly_affine_map_grads(const vly_affine_map *f, const float *x, const float *dy, float *dw)
{
    vly_matmul p = {f->out, f->in, f->rows, dw, f->in, true};

    vly_matmul_run(f->kernel, &p, (vly_matrix){dy, 1, f->ldy}, (vly_matrix){x, f->ldx, 1},
                   f->scratch);
}

void vly_rows_fill(float *y, int64_t rows, int64_t c, const float *b)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(y + i * c, b, (size_t)c * sizeof(*y));
}

void vly_rows_sum(const float *dy, int64_t rows, int64_t c, float *b)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < c; j++)
            b[j] += dy[i * c + j];
}

void vly_init_uniform(float *w, size_t n, double limit, vly_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (float)limit * (2 * vly_rng_uniform(rng) - 1);
}
