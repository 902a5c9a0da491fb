/* SPDX-License-Identifier: MIT */
#include "dsp/rowmax.h"

#if defined(__x86_64__)
#include "dsp/x86/rowmax_x86.h"
#elif defined(__aarch64__)
#include "dsp/arm/vec_arm.h"
#endif

#include <math.h>

/* One row against the running maxima. The row number is chosen by a mask, which both compilers turn
 * into vectors; gcc 12 leaves a conditional store as a branch. */
static void add_row(const float *restrict row, int32_t idx, size_t n, float *restrict max,
                    int32_t *restrict max_row)
{
    for (size_t c = 0; c < n; c++) {
        float v = row[c];
        float best = max[c];
        int32_t mask = -(int32_t)(v > best);
        max[c] = v > best ? v : best;
        max_row[c] = (max_row[c] & ~mask) | (idx & mask);
    }
}

static void rowmax_c(const float *x, size_t n_rows, size_t n_cols, size_t stride, float *ret_max,
                     int32_t *ret_row)
{
    for (size_t c = 0; c < n_cols; c++) {
        ret_max[c] = -INFINITY;
        ret_row[c] = 0;
    }
    for (size_t r = 0; r < n_rows; r++)
        add_row(x + r * stride, (int32_t)r, n_cols, ret_max, ret_row);
}

void vly_rowmax_dsp_init(vly_rowmax_dsp *dsp, unsigned cpu_flags)
{
    dsp->rowmax = rowmax_c;
#if defined(__x86_64__)
    vly_rowmax_dsp_init_x86(dsp, cpu_flags);
#elif defined(__aarch64__)
    vly_rowmax_dsp_init_arm(dsp, cpu_flags);
#else
    (void)cpu_flags;
#endif
}
