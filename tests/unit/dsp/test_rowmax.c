/* SPDX-License-Identifier: MIT */
/* Best class per column, at every CPU level, on odd widths and hostile values. */
#include "base/cpu.h"
#include "dsp/rowmax.h"
#include "unit.h"

#include <math.h>

enum { ROWS = 7, COLS_MAX = 67, GUARD = 12345 };

static const unsigned levels[] = {0, VLY_CPU_AVX2, VLY_CPU_AVX2 | VLY_CPU_AVX512};

static void check(const vly_rowmax_dsp *dsp, const float *x, size_t cols, size_t stride)
{
    float max[COLS_MAX + 1];
    int32_t row[COLS_MAX + 1];

    max[cols] = GUARD;
    row[cols] = GUARD;
    dsp->rowmax(x, ROWS, cols, stride, max, row);
    for (size_t c = 0; c < cols; c++) {
        float best = -INFINITY;
        int32_t at = 0;
        for (int32_t r = 0; r < ROWS; r++)
            if (x[(size_t)r * stride + c] > best) {
                best = x[(size_t)r * stride + c];
                at = r;
            }
        assert_true(max[c] == best);
        assert_int_equal(row[c], at);
    }
    assert_true(max[cols] == GUARD);
    assert_int_equal(row[cols], GUARD);
}

static void finds_the_lowest_best_row(void **state)
{
    float x[ROWS * COLS_MAX];
    uint32_t seed = 3;

    (void)state;
    for (size_t level = 0; level < sizeof(levels) / sizeof(levels[0]); level++) {
        vly_rowmax_dsp dsp;
        vly_rowmax_dsp_init(&dsp, levels[level] & vly_cpu_flags());
        for (size_t cols = 0; cols < COLS_MAX; cols++) {
            for (size_t i = 0; i < (size_t)ROWS * COLS_MAX; i++) {
                seed = seed * 1664525u + 1013904223u;
                x[i] = (float)(seed >> 29) - 3.5f; /* eight values: ties everywhere */
                x[i] = seed % 13 == 0 ? NAN : seed % 13 == 1 ? INFINITY : x[i];
            }
            check(&dsp, x, cols, COLS_MAX);
        }
    }
}

static void nan_never_wins(void **state)
{
    const float x[] = {NAN, NAN, -INFINITY, -1.0f, NAN, -INFINITY};
    float max[3];
    int32_t row[3];
    vly_rowmax_dsp dsp;

    (void)state;
    vly_rowmax_dsp_init(&dsp, vly_cpu_flags());
    dsp.rowmax(x, 2, 3, 3, max, row);
    assert_true(max[0] == -1.0f && row[0] == 1);
    assert_true(isinf(max[1]) && max[1] < 0 && row[1] == 0);
    assert_true(isinf(max[2]) && max[2] < 0 && row[2] == 0);
}

UNIT_TESTS(cmocka_unit_test(finds_the_lowest_best_row), cmocka_unit_test(nan_never_wins))
