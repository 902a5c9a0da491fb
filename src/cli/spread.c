/* SPDX-License-Identifier: MIT */
#include "cli/spread.h"

#include "base/assert.h"

#include <stdlib.h>

static int compare_doubles(const void *a_, const void *b_)
{
    double a = *(const double *)a_, b = *(const double *)b_;
    return (a > b) - (a < b);
}

vly_spread vly_spread_of(double *values, size_t n)
{
    VLY_ASSERT(n >= 1);
    qsort(values, n, sizeof(*values), compare_doubles);
    double last = (double)(n - 1);
    return (vly_spread){values[0], values[(size_t)(0.5 * last + 0.5)],
                        values[(size_t)(0.95 * last + 0.5)]};
}

void vly_spread_json(vly_buf *out, vly_spread s)
{
    vly_buf_printf(out, "{\"min\":%.6f,\"median\":%.6f,\"p95\":%.6f}", s.min, s.median, s.p95);
}
