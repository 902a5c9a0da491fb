/* SPDX-License-Identifier: MIT */
/*
 * Matrix products of the level in use against naive sums, on shapes around the tile's and the
 * blocks' edges and on random ones, with guard bytes around C.
 *
 * Integers must be equal. Floats may differ by the rounding of k additions and products: each
 * rounds once more, or, fused, once less, than the naive sum, so |difference| <= 2 * k * epsilon *
 * sum |a b| (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
 */
#include "base/cpu.h"
#include "base/mem.h"
#include "dsp/gemm_plain.h"
#include "unit.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { GUARD = 64 };

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static float random_float(void)
{
    return (float)next_random() * 0x1p-23f - 1.0f;
}

static void *take(size_t bytes)
{
    void *p = vly_alloc_aligned(VLY_MEM_BASE, bytes + 1);
    assert_non_null(p);
    return p;
}

typedef struct shape {
    int64_t m, n, k;
} shape;

/* C with guards before and behind every row: rows are ldc = n + GUARD apart. */
typedef struct guarded {
    uint32_t *rows;
    int64_t m, n;
} guarded;

static guarded guarded_new(int64_t m, int64_t n)
{
    guarded g = {take((size_t)((m + 1) * (n + GUARD)) * sizeof(uint32_t)), m, n};
    memset(g.rows, 0xa5, (size_t)((m + 1) * (n + GUARD)) * sizeof(uint32_t));
    return g;
}

static uint32_t *guarded_at(const guarded *g, int64_t i)
{
    return g->rows + GUARD + i * (g->n + GUARD);
}

static void guarded_free(guarded *g)
{
    for (int64_t i = 0; i <= g->m; i++)
        for (int64_t j = 0; j < GUARD; j++)
            assert_int_equal(g->rows[i * (g->n + GUARD) + j], 0xa5a5a5a5u);
    vly_free(g->rows);
}

static void run_blocks(const vly_gemm_plan *plan, const void *a, const vly_gemm_b *b, guarded *c,
                       const void *bias)
{
    void *scratch = take(plan->b_bytes);

    for (int64_t i = 0; i < plan->n_blocks; i++)
        vly_gemm_block(plan, i, a, b, scratch, guarded_at(c, 0), (size_t)(c->n + GUARD), bias);
    vly_free(scratch);
}

static void check_f32(const vly_gemm_kernel *kernel, shape s, bool transposed, bool has_bias)
{
    float *a = take((size_t)(s.m * s.k) * sizeof(float)), *bias = take((size_t)s.m * sizeof(float));
    float *b = take((size_t)(s.k * s.n) * sizeof(float));
    int64_t a_row = transposed ? 1 : s.k, a_col = transposed ? s.m : 1;
    int64_t b_row = transposed ? 1 : s.n, b_col = transposed ? s.k : 1;
    guarded c = guarded_new(s.m, s.n);
    vly_gemm_plan plan;

    for (int64_t i = 0; i < s.m * s.k; i++)
        a[i] = random_float();
    for (int64_t i = 0; i < s.k * s.n; i++)
        b[i] = random_float();
    for (int64_t i = 0; i < s.m; i++)
        bias[i] = has_bias ? random_float() : 0.0f;
    vly_gemm_plan_init(&plan, kernel, s.m, s.n, s.k);
    void *packed = take(plan.a_bytes);
    vly_gemm_pack_a_f32(&plan, packed, a, a_row, a_col);
    vly_gemm_b_f32 src = vly_gemm_b_f32_matrix(b, b_row, b_col);
    run_blocks(&plan, packed, &src.base, &c, has_bias ? bias : NULL);
    for (int64_t i = 0; i < s.m; i++) {
        const float *row = (const float *)(const void *)guarded_at(&c, i);
        for (int64_t j = 0; j < s.n; j++) {
            double sum = (double)bias[i], magnitude = fabs(sum);
            for (int64_t k = 0; k < s.k; k++) {
                double p = (double)a[i * a_row + k * a_col] * (double)b[k * b_row + j * b_col];
                sum += p;
                magnitude += fabs(p);
            }
            double bound = 2.0 * (double)(s.k + 1) * (double)FLT_EPSILON * magnitude;
            if (!(fabs((double)row[j] - sum) <= bound))
                fail_msg("[%d, %d, %d] at %d, %d: %g, expected %g", (int)s.m, (int)s.n, (int)s.k,
                         (int)i, (int)j, (double)row[j], sum);
        }
    }
    guarded_free(&c);
    vly_free(packed);
    vly_free(a);
    vly_free(b);
    vly_free(bias);
}

static int32_t byte_at(const vly_gemm_q8 *m, int64_t at, int64_t line)
{
    int32_t zero = m->zeros != NULL ? m->zeros[line] : m->zero;
    return (m->is_signed ? ((const int8_t *)m->data)[at] : ((const uint8_t *)m->data)[at]) - zero;
}

static void check_q8(const vly_gemm_kernel *kernel, shape s, bool is_signed, bool per_line)
{
    uint8_t *a = take((size_t)(s.m * s.k)), *b = take((size_t)(s.k * s.n));
    int32_t *zeros_a = take((size_t)s.m * sizeof(int32_t));
    int32_t *zeros_b = take((size_t)s.n * sizeof(int32_t));
    guarded c = guarded_new(s.m, s.n);
    vly_gemm_plan plan;
    vly_gemm_q8 qa = {a, false, s.k, 1, 255, per_line ? zeros_a : NULL};
    vly_gemm_q8 qb = {b, is_signed, s.n, 1, is_signed ? -128 : 0, per_line ? zeros_b : NULL};

    /* extremes half of the time: the largest products must fit */
    for (int64_t i = 0; i < s.m * s.k; i++)
        a[i] = (next_random() & 1) != 0 ? (uint8_t)next_random() : 0;
    for (int64_t i = 0; i < s.k * s.n; i++)
        b[i] = (next_random() & 1) != 0 ? (uint8_t)next_random() : (is_signed ? 127 : 255);
    for (int64_t i = 0; i < s.m; i++)
        zeros_a[i] = (int32_t)(next_random() % 256);
    for (int64_t i = 0; i < s.n; i++)
        zeros_b[i] = (int32_t)(next_random() % 256) - (is_signed ? 128 : 0);
    vly_gemm_plan_init(&plan, kernel, s.m, s.n, s.k);
    void *packed = take(plan.a_bytes);
    vly_gemm_pack_a_q8(&plan, packed, &qa);
    vly_gemm_b_q8 src = vly_gemm_b_q8_matrix(&qb);
    run_blocks(&plan, packed, &src.base, &c, NULL);
    for (int64_t i = 0; i < s.m; i++) {
        for (int64_t j = 0; j < s.n; j++) {
            int64_t sum = 0;
            for (int64_t k = 0; k < s.k; k++)
                sum += (int64_t)byte_at(&qa, i * s.k + k, i) * byte_at(&qb, k * s.n + j, j);
            assert_int_equal(guarded_at(&c, i)[j], (uint32_t)sum);
        }
    }
    guarded_free(&c);
    vly_free(packed);
    vly_free(a);
    vly_free(b);
    vly_free(zeros_a);
    vly_free(zeros_b);
}

/* Sizes 0, 1, one below and above the tile, and beyond a block in n and in k. */
static const shape edges[] = {
    {0, 5, 3},     {5, 0, 3},    {3, 4, 0},    {1, 1, 1},    {1, 33, 2},
    {13, 1, 7},    {5, 7, 1},    {6, 16, 3},   {7, 17, 3},   {11, 31, 4},
    {12, 32, 5},   {13, 33, 6},  {12, 64, 8},  {4, 255, 9},  {4, 257, 9},
    {17, 300, 11}, {5, 40, 319}, {5, 40, 320}, {5, 40, 321}, {24, 520, 700},
};

static vly_gemm_dsp level_in_use(void)
{
    vly_gemm_dsp dsp;
    vly_gemm_dsp_init(&dsp, vly_cpu_flags());
    return dsp;
}

static void float_products(void **state)
{
    vly_gemm_dsp dsp = level_in_use();

    (void)state;
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
        check_f32(&dsp.f32, edges[i], i % 2 == 1, i % 3 != 0);
    for (int i = 0; i < 40; i++)
        check_f32(&dsp.f32, (shape){next_random() % 40, next_random() % 90, next_random() % 400},
                  i % 2 == 0, i % 3 == 0);
}

static void integer_products(void **state)
{
    vly_gemm_dsp dsp = level_in_use();

    (void)state;
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
        check_q8(&dsp.s16, edges[i], i % 2 == 1, i % 3 != 0);
    for (int i = 0; i < 40; i++)
        check_q8(&dsp.s16, (shape){next_random() % 40, next_random() % 90, next_random() % 400},
                 i % 2 == 0, i % 3 == 0);
}

/* Lengths around every vector width, from unaligned addresses. */
static void dot_products(void **state)
{
    vly_gemm_dsp dsp = level_in_use();
    float x[201], y[201];

    (void)state;
    for (size_t i = 0; i < 201; i++) {
        x[i] = random_float();
        y[i] = random_float();
    }
    for (size_t n = 0; n <= 200; n++) {
        double sum = 0.0, magnitude = 0.0;
        for (size_t i = 0; i < n; i++) {
            sum += (double)x[1 + i] * (double)y[i];
            magnitude += fabs((double)x[1 + i] * (double)y[i]);
        }
        double got = (double)dsp.dot_f32(x + 1, y, n);
        assert_true(fabs(got - sum) <= 2.0 * (double)(n + 1) * (double)FLT_EPSILON * magnitude);
    }
}

static void mask_chooses_the_level(void **state)
{
    vly_gemm_dsp c, now = level_in_use();

    (void)state;
    vly_gemm_dsp_init(&c, 0);
    printf("# level in use: %s\n", vly_cpu_level());
    assert_true((now.f32.tile == c.f32.tile) == (vly_cpu_flags() == 0));
}

UNIT_TESTS(cmocka_unit_test(float_products), cmocka_unit_test(integer_products),
           cmocka_unit_test(dot_products), cmocka_unit_test(mask_chooses_the_level))
