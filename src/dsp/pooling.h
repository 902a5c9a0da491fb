/* SPDX-License-Identifier: MIT */
/*
 * Pooling of one channel plane over sliding windows (dsp/im2col.h). Positions off the image take no
 * part; a window wholly off the image gives the lowest value (max) or 0 (sums).
 */
#ifndef VLY_DSP_POOLING_H
#define VLY_DSP_POOLING_H

#include "dsp/im2col.h"

#include <stdint.h>

/* index, when not NULL, gets the input offset of the first maximum in row-major order of the
 * window; -1 for a window wholly off the image. */
void vly_max_pool_f32(const vly_window *w, const float *x, float *y, int64_t *index);
void vly_max_pool_f64(const vly_window *w, const double *x, double *y, int64_t *index);
void vly_max_pool_u8(const vly_window *w, const uint8_t *x, uint8_t *y, int64_t *index);
void vly_max_pool_i8(const vly_window *w, const int8_t *x, int8_t *y, int64_t *index);

/* limit: the mean is taken over the window positions in [-pad, limit[d]) of each dimension d, those
 * off the image counting as 0; limit NULL: over those on the image only. */
void vly_mean_pool_f32(const vly_window *w, const float *x, const int64_t *limit, float *y);

/* (sum |x|^p) ^ (1/p), p >= 1. */
void vly_lp_pool_f32(const vly_window *w, const float *x, int p, float *y);

/* Over a whole plane of n values. */
float vly_sum_f32(const float *x, int64_t n);
float vly_max_f32(const float *x, int64_t n); /* n >= 1 */

#endif
