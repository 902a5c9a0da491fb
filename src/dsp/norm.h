/* SPDX-License-Identifier: MIT */
/*
 * Normalisation of rows: softmax and its kin, layer / instance / group norms, LRN.
 *
 * Means and variances are summed in double, so that a long row costs no accuracy.
 */
#ifndef VLY_DSP_NORM_H
#define VLY_DSP_NORM_H

#include <stdint.h>

typedef enum vly_softmax_kind {
    VLY_SOFTMAX,     /* exp(x) / sum exp(x) */
    VLY_LOG_SOFTMAX, /* x - log sum exp(x) */
    VLY_HARDMAX,     /* 1 at the first maximum, else 0 */
} vly_softmax_kind;

/* [outer, n, inner], normalised along n. y may be x. n >= 1. */
void vly_softmax_f32(vly_softmax_kind kind, const float *x, int64_t outer, int64_t n, int64_t inner,
                     float *y);
void vly_softmax_f64(vly_softmax_kind kind, const double *x, int64_t outer, int64_t n,
                     int64_t inner, double *y);

/* The kernels behind VLY_SOFTMAX: of `outer` rows of n neighbours, each computed alike wherever it
 * stands among them, and of all `inner` columns of an [n, inner] slice. y may be x. */
typedef struct vly_softmax_dsp {
    void (*rows)(const float *x, int64_t outer, int64_t n, float *y);
    void (*columns)(const float *x, int64_t n, int64_t inner, float *y);
} vly_softmax_dsp;

void vly_softmax_dsp_init(vly_softmax_dsp *dsp, unsigned cpu_flags);

typedef struct vly_moments {
    double mean, variance; /* of the population */
} vly_moments;

vly_moments vly_moments_f32(const float *x, int64_t n); /* n >= 1 */
double vly_mean_square_f32(const float *x, int64_t n);  /* n >= 1 */

/* y[i] = (x[i] - mean) * inv_std * scale + bias. y may be x. */
void vly_affine_f32(const float *x, int64_t n, float mean, float inv_std, float scale, float bias,
                    float *y);
/* y[i] = (x[i] - mean) * inv_std * scale[i] + bias[i]; bias NULL: 0. */
void vly_affine_rows_f32(const float *x, int64_t n, float mean, float inv_std, const float *scale,
                         const float *bias, float *y);

/* Local response: y[c][i] = x / (k + alpha / size * sum of squares over `size` channels around c) ^
 * beta, on [channels, plane]. */
typedef struct vly_lrn {
    int64_t channels, plane, size;
    float alpha, beta, k;
} vly_lrn;

/* Channels begin..end of one picture. */
void vly_lrn_f32(const vly_lrn *p, const float *x, int64_t begin, int64_t end, float *y);

#endif
