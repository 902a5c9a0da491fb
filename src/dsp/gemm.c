/* SPDX-License-Identifier: MIT */
#include "dsp/gemm.h"

#include "base/assert.h"
#include "base/bits.h"

#include <string.h>

/* A panel of B, KC_MAX * nr, stays in the first-level cache; a block, KC_MAX * VLY_GEMM_NC_MAX, in
 * the second. */
#define KC_MAX 320

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t round_up(int64_t a, int64_t b)
{
    return ceil_div(a, b) * b;
}

/* Cuts total into equal parts of at most `most`, so that no part is a sliver. */
static int64_t even_part(int64_t total, int64_t most)
{
    int64_t parts = total > 0 ? ceil_div(total, most) : 1;
    return ceil_div(total, parts);
}

void vly_gemm_plan_init(vly_gemm_plan *plan, const vly_gemm_kernel *kernel, int64_t m, int64_t n,
                        int64_t k)
{
    VLY_ASSERT(m >= 0 && n >= 0 && k >= 0);
    VLY_ASSERT(kernel->mr <= VLY_GEMM_MR_MAX && VLY_GEMM_NC_MAX % kernel->nr == 0);

    int64_t kc = even_part(k, KC_MAX);
    int64_t nc = round_up(even_part(n, VLY_GEMM_NC_MAX), kernel->nr);
    size_t elem = (size_t)kernel->elem_bytes;

    *plan = (vly_gemm_plan){
        .kernel = kernel,
        .m = m,
        .n = n,
        .k = k,
        .kc = kc,
        .nc = nc,
        .n_blocks = n > 0 ? ceil_div(n, nc) : 0,
        .a_bytes = vly_align_up((size_t)round_up(m, kernel->mr) * (size_t)k * elem, 64),
        .b_bytes = vly_align_up((size_t)nc * (size_t)kc * elem, 64),
    };
}

/* A tile that sticks out of C: computed aside, then the part inside is copied. */
static void tile_edge(const vly_gemm_kernel *kn, uint32_t *c, size_t ldc, int rows, int cols,
                      const void *a, const void *b, size_t k, const uint32_t *bias, bool accumulate)
{
    union {
        float f32[VLY_GEMM_MR_MAX * VLY_GEMM_NR_MAX];
        int32_t s32[VLY_GEMM_MR_MAX * VLY_GEMM_NR_MAX];
        uint32_t word[VLY_GEMM_MR_MAX * VLY_GEMM_NR_MAX];
    } tile = {{0}}, bias_rows = {{0}};
    size_t nr = (size_t)kn->nr, row_bytes = (size_t)cols * sizeof(*c);

    if (bias != NULL)
        memcpy(bias_rows.word, bias, (size_t)rows * sizeof(*bias));
    for (size_t i = 0; accumulate && i < (size_t)rows; i++)
        memcpy(tile.word + i * nr, c + i * ldc, row_bytes);
    kn->tile(&tile, nr, a, b, k, &bias_rows, accumulate);
    for (size_t i = 0; i < (size_t)rows; i++)
        memcpy(c + i * ldc, tile.word + i * nr, row_bytes);
}

/* All rows of A times one panel of B: C columns of width cols. */
static void panel(const vly_gemm_plan *plan, const char *a_packed, int64_t k0, int64_t kn,
                  const void *b, uint32_t *c, size_t ldc, int cols, const uint32_t *bias)
{
    const vly_gemm_kernel *kernel = plan->kernel;
    size_t elem = (size_t)kernel->elem_bytes;
    int mr = kernel->mr;

    for (int64_t i = 0; i < plan->m; i += mr) {
        const char *a = a_packed + (size_t)(i * plan->k + k0 * mr) * elem;
        const uint32_t *bias_i = bias != NULL ? bias + i : NULL;
        int rows = plan->m - i < mr ? (int)(plan->m - i) : mr;
        if (rows == mr && cols == kernel->nr)
            kernel->tile(c + (size_t)i * ldc, ldc, a, b, (size_t)kn, bias_i, k0 > 0);
        else
            tile_edge(kernel, c + (size_t)i * ldc, ldc, rows, cols, a, b, (size_t)kn, bias_i,
                      k0 > 0);
    }
}

void vly_gemm_block(const vly_gemm_plan *plan, int64_t block, const void *a_packed,
                    const vly_gemm_b *b, void *b_scratch, void *c, size_t ldc, const void *bias)
{
    int nr = plan->kernel->nr;
    int64_t n0 = block * plan->nc;
    int64_t nn = plan->n - n0 < plan->nc ? plan->n - n0 : plan->nc;
    int64_t k0 = 0;

    VLY_ASSERT(block >= 0 && block < plan->n_blocks);
    if (plan->m == 0)
        return; /* an empty A may have any k */
    do {        /* once for k == 0, to write the bias */
        int64_t kn = plan->k - k0 < plan->kc ? plan->k - k0 : plan->kc;
        if (kn > 0)
            b->pack(b, b_scratch, k0, kn, n0, nn, nr);
        for (int64_t j = 0; j < nn; j += nr) {
            const char *b_panel =
                (const char *)b_scratch + (size_t)(j * kn) * (size_t)plan->kernel->elem_bytes;
            int cols = nn - j < nr ? (int)(nn - j) : nr;
            panel(plan, a_packed, k0, kn, b_panel, (uint32_t *)c + n0 + j, ldc, cols, bias);
        }
        k0 += plan->kc;
    } while (k0 < plan->k);
}

void vly_gemm_pack_a_f32(const vly_gemm_plan *plan, void *dst, const float *a, int64_t row_stride,
                         int64_t col_stride)
{
    float *out = dst;
    int mr = plan->kernel->mr;

    for (int64_t i = 0; i < plan->m; i += mr, out += plan->k * mr) {
        int rows = plan->m - i < mr ? (int)(plan->m - i) : mr;
        if (rows < mr)
            memset(out, 0, (size_t)(plan->k * mr) * sizeof(*out));
        for (int r = 0; r < rows; r++) {
            const float *row = a + (i + r) * row_stride;
            for (int64_t kk = 0; kk < plan->k; kk++)
                out[kk * mr + r] = row[kk * col_stride];
        }
    }
}

/* A panel of rows that are contiguous in B: copied row by row. */
static void pack_rows_f32(float *out, const float *src, int64_t row_stride, int64_t kn, int cols,
                          int nr)
{
    for (int64_t kk = 0; kk < kn; kk++, out += nr) {
        memcpy(out, src + kk * row_stride, (size_t)cols * sizeof(*out));
        memset(out + cols, 0, (size_t)(nr - cols) * sizeof(*out));
    }
}

static void pack_strided_f32(float *out, const float *src, int64_t row_stride, int64_t col_stride,
                             int64_t kn, int cols, int nr)
{
    if (cols < nr)
        memset(out, 0, (size_t)(kn * nr) * sizeof(*out));
    for (int j = 0; j < cols; j++) {
        const float *col = src + j * col_stride;
        for (int64_t kk = 0; kk < kn; kk++)
            out[kk * nr + j] = col[kk * row_stride];
    }
}

static void b_f32_pack(const vly_gemm_b *b, void *dst, int64_t k0, int64_t kn, int64_t n0,
                       int64_t nn, int nr)
{
    const vly_gemm_b_f32 *src = (const vly_gemm_b_f32 *)b;
    float *out = dst;

    for (int64_t j = 0; j < nn; j += nr, out += kn * nr) {
        const float *from = src->data + k0 * src->row_stride + (n0 + j) * src->col_stride;
        int cols = nn - j < nr ? (int)(nn - j) : nr;
        if (src->col_stride == 1)
            pack_rows_f32(out, from, src->row_stride, kn, cols, nr);
        else
            pack_strided_f32(out, from, src->row_stride, src->col_stride, kn, cols, nr);
    }
}

vly_gemm_b_f32 vly_gemm_b_f32_matrix(const float *data, int64_t row_stride, int64_t col_stride)
{
    return (vly_gemm_b_f32){{b_f32_pack}, data, row_stride, col_stride};
}

/* n elements from `from` on, `step` apart, less their zero points, written `out_step` apart. zeros
 * NULL: all have m->zero. */
static void widen(const vly_gemm_q8 *m, int64_t from, int64_t step, int64_t n, const int32_t *zeros,
                  int32_t zero, int16_t *out, int64_t out_step)
{
    const uint8_t *u = (const uint8_t *)m->data + from;
    const int8_t *s = (const int8_t *)m->data + from;

    for (int64_t i = 0; i < n; i++) {
        int32_t v = m->is_signed ? s[i * step] : u[i * step];
        out[i * out_step] = (int16_t)(v - (zeros != NULL ? zeros[i] : zero));
    }
}

void vly_gemm_pack_a_q8(const vly_gemm_plan *plan, void *dst, const vly_gemm_q8 *a)
{
    int16_t *out = dst;
    int mr = plan->kernel->mr;

    memset(dst, 0, plan->a_bytes);
    for (int64_t i = 0; i < plan->m; i++) {
        int32_t zero = a->zeros != NULL ? a->zeros[i] : a->zero;
        widen(a, i * a->row_stride, a->col_stride, plan->k, NULL, zero,
              out + (i / mr) * plan->k * mr + i % mr, mr);
    }
}

static void b_q8_pack(const vly_gemm_b *b, void *dst, int64_t k0, int64_t kn, int64_t n0,
                      int64_t nn, int nr)
{
    const vly_gemm_q8 *m = &((const vly_gemm_b_q8 *)b)->m;
    int16_t *out = dst;

    for (int64_t j = 0; j < nn; j += nr) {
        int cols = nn - j < nr ? (int)(nn - j) : nr;
        const int32_t *zeros = m->zeros != NULL ? m->zeros + n0 + j : NULL;
        for (int64_t kk = k0; kk < k0 + kn; kk++, out += nr) {
            widen(m, kk * m->row_stride + (n0 + j) * m->col_stride, m->col_stride, cols, zeros,
                  m->zero, out, 1);
            memset(out + cols, 0, (size_t)(nr - cols) * sizeof(*out));
        }
    }
}

vly_gemm_b_q8 vly_gemm_b_q8_matrix(const vly_gemm_q8 *m)
{
    return (vly_gemm_b_q8){{b_q8_pack}, *m};
}
