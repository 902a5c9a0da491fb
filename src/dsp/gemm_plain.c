/* SPDX-License-Identifier: MIT */
#include "dsp/gemm_plain.h"

#include <string.h>

/* Row by row of C, adding multiples of rows of B. */
#define GEMM_PLAIN(suffix, type)                                                                   \
    void vly_gemm_plain_##suffix(const vly_gemm_shape *s, const type *a, const type *b, type *c)   \
    {                                                                                              \
        for (int64_t i = 0; i < s->m; i++) {                                                       \
            type *row = c + i * s->ldc;                                                            \
            memset(row, 0, (size_t)s->n * sizeof(*row));                                           \
            for (int64_t k = 0; k < s->k; k++) {                                                   \
                type factor = a[i * s->a_row + k * s->a_col];                                      \
                const type *from = b + k * s->b_row;                                               \
                for (int64_t j = 0; j < s->n; j++)                                                 \
                    row[j] += factor * from[j * s->b_col];                                         \
            }                                                                                      \
        }                                                                                          \
    }

GEMM_PLAIN(f64, double)
GEMM_PLAIN(u32, uint32_t)
GEMM_PLAIN(u64, uint64_t)

#define THIN_MAX 3

/* Rows of A and columns of B are contiguous: C is a table of dot products. */
static bool is_dot(const vly_gemm_shape *s)
{
    return (s->a_col == 1 || s->k == 1) && (s->b_row == 1 || s->k == 1);
}

bool vly_gemm_is_thin(const vly_gemm_shape *s)
{
    if (s->m <= THIN_MAX && s->b_col == 1)
        return true;
    return (s->m <= THIN_MAX || s->n <= THIN_MAX) && is_dot(s);
}

static void add_scaled(float *y, const float *x, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

void vly_gemm_thin_f32(const vly_gemm_dsp *dsp, const vly_gemm_shape *s, const float *a,
                       const float *b, int64_t begin, int64_t end, float *c)
{
    for (int64_t i = 0; i < s->m; i++, a += s->a_row, c += s->ldc) {
        if (is_dot(s)) {
            for (int64_t j = begin; j < end; j++)
                c[j] = dsp->dot_f32(a, b + j * s->b_col, (size_t)s->k);
            continue;
        }
        memset(c + begin, 0, (size_t)(end - begin) * sizeof(*c));
        for (int64_t k = 0; k < s->k; k++)
            add_scaled(c + begin, b + k * s->b_row + begin, a[k * s->a_col], end - begin);
    }
}
