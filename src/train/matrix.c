/* SPDX-License-Identifier: MIT */
#include "train/matrix.h"

#include "base/assert.h"
#include "base/bits.h"

#include <stdalign.h>
#include <string.h>

#define KC 256 /* rows of B at a time: a panel of A and one of B stay in the first-level cache */

static int64_t panels(int64_t n, int nr)
{
    return (n + nr - 1) / nr;
}

size_t vly_matmul_scratch(const vly_gemm_kernel *kernel, int64_t n)
{
    return vly_matmul_packed(kernel, n, KC);
}

size_t vly_matmul_packed(const vly_gemm_kernel *kernel, int64_t n, int64_t k)
{
    return vly_align_up((size_t)(panels(n, kernel->nr) * kernel->nr * k), 16);
}

/* Rows k0 .. k0 + kn of B as panels [kn][nr], the last one filled up with zeros. */
static void pack_rows(int nr, int64_t n, int64_t k0, int64_t kn, vly_matrix b, float *out)
{
    for (int64_t j = 0; j < n; j += nr, out += kn * nr) {
        const float *from = b.data + k0 * b.row + j * b.col;
        int cols = n - j < nr ? (int)(n - j) : nr;
        if (cols < nr)
            memset(out, 0, (size_t)(kn * nr) * sizeof(*out));
        if (b.col == 1)
            for (int64_t i = 0; i < kn; i++)
                memcpy(out + i * nr, from + i * b.row, (size_t)cols * sizeof(*out));
        else
            for (int c = 0; c < cols; c++)
                for (int64_t i = 0; i < kn; i++)
                    out[i * nr + c] = from[i * b.row + c * b.col];
    }
}

/* Rows of A as one panel [kn][mr], missing rows zero. */
static void pack_panel(int mr, int rows, int64_t kn, const float *from, vly_matrix a, float *out)
{
    if (rows < mr)
        memset(out, 0, (size_t)(kn * mr) * sizeof(*out));
    if (a.row == 1) {
        for (int64_t i = 0; i < kn; i++)
            memcpy(out + i * mr, from + i * a.col, (size_t)rows * sizeof(*out));
        return;
    }
    for (int r = 0; r < rows; r++)
        for (int64_t i = 0; i < kn; i++)
            out[i * mr + r] = from[r * a.row + i * a.col];
}

/* A tile that sticks out of C. */
static void tile_edge(const vly_gemm_kernel *kernel, float *c, int64_t ldc, int rows, int cols,
                      const float *a, const float *b, int64_t kn, bool is_added)
{
    alignas(64) float tile[VLY_GEMM_MR_MAX * VLY_GEMM_NR_MAX];
    size_t nr = (size_t)kernel->nr, bytes = (size_t)cols * sizeof(*c);

    memset(tile, 0, sizeof(tile));
    for (int i = 0; i < rows && is_added; i++)
        memcpy(tile + (size_t)i * nr, c + i * ldc, bytes);
    kernel->tile(tile, nr, a, b, (size_t)kn, NULL, is_added);
    for (int i = 0; i < rows; i++)
        memcpy(c + i * ldc, tile + (size_t)i * nr, bytes);
}

/* k0 .. k0 + kn of the sums, with these rows of B packed. */
static void run_rows(const vly_gemm_kernel *kernel, const vly_matmul *p, vly_matrix a, int64_t k0,
                     int64_t kn, const float *b, bool is_added)
{
    alignas(64) float panel[VLY_GEMM_MR_MAX * KC];
    int mr = kernel->mr, nr = kernel->nr;

    for (int64_t i = 0; i < p->m; i += mr) {
        int rows = p->m - i < mr ? (int)(p->m - i) : mr;
        pack_panel(mr, rows, kn, a.data + i * a.row + k0 * a.col, a, panel);
        for (int64_t j = 0; j < p->n; j += nr) {
            int cols = p->n - j < nr ? (int)(p->n - j) : nr;
            float *c = p->c + i * p->ldc + j;
            if (rows == mr && cols == nr)
                kernel->tile(c, (size_t)p->ldc, panel, b + j * kn, (size_t)kn, NULL, is_added);
            else
                tile_edge(kernel, c, p->ldc, rows, cols, panel, b + j * kn, kn, is_added);
        }
    }
}

void vly_matmul_run(const vly_gemm_kernel *kernel, const vly_matmul *p, vly_matrix a, vly_matrix b,
                    float *scratch)
{
    VLY_ASSERT(p->k > 0);
    for (int64_t k0 = 0; k0 < p->k; k0 += KC) {
        int64_t kn = p->k - k0 < KC ? p->k - k0 : KC;
        pack_rows(kernel->nr, p->n, k0, kn, b, scratch);
        run_rows(kernel, p, a, k0, kn, scratch, p->is_added || k0 > 0);
    }
}

void vly_matmul_pack(const vly_gemm_kernel *kernel, int64_t n, int64_t k, vly_matrix b,
                     float *packed)
{
    for (int64_t k0 = 0; k0 < k; k0 += KC) {
        int64_t kn = k - k0 < KC ? k - k0 : KC;
        pack_rows(kernel->nr, n, k0, kn, b, packed);
        packed += panels(n, kernel->nr) * kernel->nr * kn;
    }
}

void vly_matmul_run_packed(const vly_gemm_kernel *kernel, const vly_matmul *p, vly_matrix a,
                           const float *packed)
{
    VLY_ASSERT(p->k > 0);
    for (int64_t k0 = 0; k0 < p->k; k0 += KC) {
        int64_t kn = p->k - k0 < KC ? p->k - k0 : KC;
        run_rows(kernel, p, a, k0, kn, packed, p->is_added || k0 > 0);
        packed += panels(p->n, kernel->nr) * kernel->nr * kn;
    }
}
