/* SPDX-License-Identifier: MIT */
/*
 * Best class of every column: the scan over a [classes, anchors] score matrix that opens the
 * decoding of YOLOv8 heads (80 x 8400), without transposing it.
 *
 * Reads the matrix once, rows in order, so that memory streams and the inner loop vectorises; the
 * running maxima (8 bytes per column) stay in cache.
 */
#ifndef VLY_DSP_ROWMAX_H
#define VLY_DSP_ROWMAX_H

#include <stddef.h>
#include <stdint.h>

/* x: [n_rows][stride], columns 0..n_cols-1 used. ret_max[c] = greatest x[r][c], ret_row[c] = the
 * lowest r that has it. NaN never wins: a column of NaN gives -inf and row 0. n_rows: 1..2^24. */
typedef void vly_rowmax_fn(const float *x, size_t n_rows, size_t n_cols, size_t stride,
                           float *ret_max, int32_t *ret_row);

typedef struct vly_rowmax_dsp {
    vly_rowmax_fn *rowmax;
} vly_rowmax_dsp;

void vly_rowmax_dsp_init(vly_rowmax_dsp *dsp, unsigned cpu_flags);

#endif
