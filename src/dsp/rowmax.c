/* SPDX-License-Identifier: MIT */
#include "dsp/rowmax.h"

#include <math.h>

static void rowmax_c(const float *x, size_t n_rows, size_t n_cols, size_t stride, float *ret_max,
                     int32_t *ret_row)
{
    for (size_t c = 0; c < n_cols; c++) {
        ret_max[c] = -INFINITY;
        ret_row[c] = 0;
    }
    for (size_t r = 0; r < n_rows; r++) {
        const float *row = x + r * stride;
        for (size_t c = 0; c < n_cols; c++) {
            int is_greater = row[c] > ret_max[c]; /* selects, not branches: the loop vectorises */
            ret_max[c] = is_greater ? row[c] : ret_max[c];
            ret_row[c] = is_greater ? (int32_t)r : ret_row[c];
        }
    }
}

void vly_rowmax_dsp_init(vly_rowmax_dsp *dsp, unsigned cpu_flags)
{
    (void)cpu_flags; /* the C reference serves every level */
    dsp->rowmax = rowmax_c;
}
