/* SPDX-License-Identifier: MIT */
/*
 * Best class of every column on vectors, compiled once per instruction set. GROUP rows at a time
 * pass by the running maxima: as many streams as prefetchers follow, and few enough loads and
 * stores of the maxima. Row numbers are floats until the last group, exact below 2^24.
 */
#include "dsp/vec/vec.h"
#include "dsp/vec/vec_isa.h"

#include <math.h>
#include <stdbool.h>

enum { GROUP = 8 };

typedef struct group {
    const float *x; /* of the first row */
    size_t first, rows, n_cols, stride;
    bool is_last;
    float *max;
    int32_t *row; /* floats until the last group */
} group;

/* m columns from c on */
VF_INLINE void add_columns(const group *g, size_t rows, size_t c, ptrdiff_t m)
{
    const float *row_at = (const float *)(const void *)g->row;
    vf max = vf_set(-INFINITY), row = vf_set(0.0f);

    if (g->first > 0) {
        max = m == VF_LANES ? vf_load(g->max + c) : vf_load_n(g->max + c, m);
        row = m == VF_LANES ? vf_load(row_at + c) : vf_load_n(row_at + c, m);
    }
    for (size_t r = 0; r < rows; r++) {
        const float *at = g->x + r * g->stride + c;
        vf v = m == VF_LANES ? vf_load(at) : vf_load_n(at, m);
        row = vf_if_less(max, v, vf_set((float)(g->first + r)), row);
        max = vf_max(v, max);
    }
    vf_store_n(g->max + c, max, m);
    if (g->is_last)
        vf_store_i32_n(g->row + c, row, m);
    else
        vf_store_n((float *)(void *)g->row + c, row, m);
}

VF_INLINE void add_group(const group *g, size_t rows)
{
    size_t c = 0;

    for (; c + VF_LANES <= g->n_cols; c += VF_LANES)
        add_columns(g, rows, c, VF_LANES);
    if (c < g->n_cols)
        add_columns(g, rows, c, (ptrdiff_t)(g->n_cols - c));
}

void VF_NAME(vly_rowmax)(const float *x, size_t n_rows, size_t n_cols, size_t stride,
                         float *ret_max, int32_t *ret_row)
{
    for (size_t r = 0; r < n_rows; r += GROUP) {
        group g = {.x = x + r * stride,
                   .first = r,
                   .rows = n_rows - r < GROUP ? n_rows - r : GROUP,
                   .n_cols = n_cols,
                   .stride = stride,
                   .is_last = n_rows - r <= GROUP,
                   .max = ret_max,
                   .row = ret_row};
        if (g.rows == GROUP)
            add_group(&g, GROUP); /* a constant: unrolled */
        else
            add_group(&g, g.rows);
    }
}
