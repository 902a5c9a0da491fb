/* SPDX-License-Identifier: MIT */
#include "dsp/norm.h"

#include "base/cpu.h"
#if defined(__x86_64__)
#include "dsp/x86/norm_x86.h"
#elif defined(__aarch64__)
#include "dsp/arm/vec_arm.h"
#endif

#include <math.h>
#include <string.h>

#define COLUMNS 64 /* handled side by side when the normalised axis is not the last */

/* Columns 0..w of a slice whose rows are `inner` apart: maximum and sum of each in one array, the
 * inner loop over neighbours in memory. */
#define SOFTMAX(suffix, type, exp_fn, log_fn)                                                      \
    static void column_max_##suffix(const type *x, int64_t n, int64_t inner, int64_t w, type *max) \
    {                                                                                              \
        memcpy(max, x, (size_t)w * sizeof(*max));                                                  \
        for (int64_t i = 1; i < n; i++) {                                                          \
            for (int64_t j = 0; j < w; j++)                                                        \
                max[j] = x[i * inner + j] > max[j] ? x[i * inner + j] : max[j];                    \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void soft_columns_##suffix(const type *x, int64_t n, int64_t inner, int64_t w, type *y) \
    {                                                                                              \
        type max[COLUMNS], sum[COLUMNS] = {0};                                                     \
        column_max_##suffix(x, n, inner, w, max);                                                  \
        for (int64_t i = 0; i < n; i++) {                                                          \
            for (int64_t j = 0; j < w; j++) {                                                      \
                y[i * inner + j] = exp_fn(x[i * inner + j] - max[j]);                              \
                sum[j] += y[i * inner + j];                                                        \
            }                                                                                      \
        }                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            for (int64_t j = 0; j < w; j++)                                                        \
                y[i * inner + j] /= sum[j];                                                        \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void log_columns_##suffix(const type *x, int64_t n, int64_t inner, int64_t w, type *y)  \
    {                                                                                              \
        type max[COLUMNS], sum[COLUMNS] = {0};                                                     \
        column_max_##suffix(x, n, inner, w, max);                                                  \
        for (int64_t i = 0; i < n; i++) {                                                          \
            for (int64_t j = 0; j < w; j++)                                                        \
                sum[j] += exp_fn(x[i * inner + j] - max[j]);                                       \
        }                                                                                          \
        for (int64_t j = 0; j < w; j++)                                                            \
            sum[j] = log_fn(sum[j]);                                                               \
        for (int64_t i = 0; i < n; i++) {                                                          \
            for (int64_t j = 0; j < w; j++)                                                        \
                y[i * inner + j] = (x[i * inner + j] - max[j]) - sum[j];                           \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void hard_columns_##suffix(const type *x, int64_t n, int64_t inner, int64_t w, type *y) \
    {                                                                                              \
        for (int64_t j = 0; j < w; j++) {                                                          \
            int64_t best = 0;                                                                      \
            for (int64_t i = 1; i < n; i++)                                                        \
                best = x[i * inner + j] > x[best * inner + j] ? i : best;                          \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i * inner + j] = i == best ? 1 : 0;                                              \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void softmax_##suffix(vly_softmax_kind kind, const type *x, int64_t n, int64_t inner,   \
                                 type *y)                                                          \
    {                                                                                              \
        for (int64_t j = 0; j < inner; j += COLUMNS) {                                             \
            int64_t w = inner - j < COLUMNS ? inner - j : COLUMNS;                                 \
            if (kind == VLY_SOFTMAX)                                                               \
                soft_columns_##suffix(x + j, n, inner, w, y + j);                                  \
            else if (kind == VLY_LOG_SOFTMAX)                                                      \
                log_columns_##suffix(x + j, n, inner, w, y + j);                                   \
            else                                                                                   \
                hard_columns_##suffix(x + j, n, inner, w, y + j);                                  \
        }                                                                                          \
    }

SOFTMAX(f32, float, expf, logf)
SOFTMAX(f64, double, exp, log)

static void softmax_rows_c(const float *x, int64_t outer, int64_t n, float *y)
{
    for (int64_t i = 0; i < outer; i++)
        soft_columns_f32(x + i * n, n, 1, 1, y + i * n);
}

static void softmax_columns_c(const float *x, int64_t n, int64_t inner, float *y)
{
    softmax_f32(VLY_SOFTMAX, x, n, inner, y);
}

void vly_softmax_dsp_init(vly_softmax_dsp *dsp, unsigned cpu_flags)
{
    *dsp = (vly_softmax_dsp){softmax_rows_c, softmax_columns_c};
#if defined(__x86_64__)
    vly_softmax_dsp_init_x86(dsp, cpu_flags);
#elif defined(__aarch64__)
    vly_softmax_dsp_init_arm(dsp, cpu_flags);
#else
    (void)cpu_flags;
#endif
}

void vly_softmax_f32(vly_softmax_kind kind, const float *x, int64_t outer, int64_t n, int64_t inner,
                     float *y)
{
    vly_softmax_dsp dsp;

    vly_softmax_dsp_init(&dsp, vly_cpu_flags());
    if (kind == VLY_SOFTMAX && inner == 1) {
        dsp.rows(x, outer, n, y);
        return;
    }
    for (int64_t at = 0; at < outer * n * inner; at += n * inner)
        if (kind == VLY_SOFTMAX)
            dsp.columns(x + at, n, inner, y + at);
        else
            softmax_f32(kind, x + at, n, inner, y + at);
}

void vly_softmax_f64(vly_softmax_kind kind, const double *x, int64_t outer, int64_t n,
                     int64_t inner, double *y)
{
    for (int64_t at = 0; at < outer * n * inner; at += n * inner)
        softmax_f64(kind, x + at, n, inner, y + at);
}

vly_moments vly_moments_f32(const float *x, int64_t n)
{
    double sum = 0.0, square = 0.0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    return (vly_moments){mean, square / (double)n};
}

double vly_mean_square_f32(const float *x, int64_t n)
{
    double square = 0.0;
    for (int64_t i = 0; i < n; i++)
        square += (double)x[i] * (double)x[i];
    return square / (double)n;
}

void vly_affine_f32(const float *x, int64_t n, float mean, float inv_std, float scale, float bias,
                    float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * inv_std * scale + bias;
}

void vly_affine_rows_f32(const float *x, int64_t n, float mean, float inv_std, const float *scale,
                         const float *bias, float *y)
{
    for (int64_t i = 0; i < n; i++) {
        float v = (x[i] - mean) * inv_std * scale[i];
        y[i] = bias != NULL ? v + bias[i] : v;
    }
}

void vly_lrn_f32(const vly_lrn *p, const float *x, int64_t begin, int64_t end, float *y)
{
    float factor = p->alpha / (float)p->size;

    for (int64_t c = begin; c < end; c++) {
        int64_t lo = c - (p->size - 1) / 2, hi = c + p->size / 2 + 1;
        float *out = y + c * p->plane;
        lo = lo > 0 ? lo : 0;
        hi = hi < p->channels ? hi : p->channels;
        memset(out, 0, (size_t)p->plane * sizeof(*out));
        for (int64_t other = lo; other < hi; other++) {
            const float *row = x + other * p->plane;
            for (int64_t i = 0; i < p->plane; i++)
                out[i] += row[i] * row[i];
        }
        for (int64_t i = 0; i < p->plane; i++)
            out[i] = x[c * p->plane + i] / powf(p->k + factor * out[i], p->beta);
    }
}
