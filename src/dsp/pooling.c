/* SPDX-License-Identifier: MIT */
#include "dsp/pooling.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* One function per element type: a pass over the output per kernel tap, so that the inner loop is a
 * vector maximum of two rows. */
#define MAX_POOL(suffix, type, lowest)                                                             \
    static void max_line_##suffix(type *y, const type *x, int64_t stride, int64_t n)               \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = x[i * stride] > y[i] ? x[i * stride] : y[i];                                    \
    }                                                                                              \
                                                                                                   \
    static void argmax_line_##suffix(type *y, int64_t *index, const type *x, int64_t first,        \
                                     int64_t stride, int64_t n)                                    \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            type v = x[first + i * stride];                                                        \
            if (v > y[i] || index[i] < 0) {                                                        \
                y[i] = v;                                                                          \
                index[i] = first + i * stride;                                                     \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    void vly_max_pool_##suffix(const vly_window *w, const type *x, type *y, int64_t *index)        \
    {                                                                                              \
        int64_t positions = vly_window_out_size(w), taps = vly_window_kernel_size(w);              \
                                                                                                   \
        for (int64_t i = 0; i < positions; i++)                                                    \
            y[i] = (lowest);                                                                       \
        for (int64_t i = 0; index != NULL && i < positions; i++)                                   \
            index[i] = -1;                                                                         \
        for (int64_t k = 0; k < taps; k++) {                                                       \
            vly_tap t = vly_window_tap(w, k);                                                      \
            int64_t n = t.end[2] - t.begin[2], stride = w->stride[2];                              \
            for (int64_t o0 = t.begin[0]; o0 < t.end[0]; o0++) {                                   \
                for (int64_t o1 = t.begin[1]; o1 < t.end[1]; o1++) {                               \
                    int64_t in = vly_tap_in(w, &t, o0, o1), out = vly_tap_out(w, &t, o0, o1);      \
                    if (index != NULL)                                                             \
                        argmax_line_##suffix(y + out, index + out, x, in, stride, n);              \
                    else                                                                           \
                        max_line_##suffix(y + out, x + in, stride, n);                             \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

MAX_POOL(f32, float, -INFINITY)
MAX_POOL(f64, double, -(double)INFINITY)
MAX_POOL(u8, uint8_t, 0)
MAX_POOL(i8, int8_t, INT8_MIN)

/* How many taps of dimension d at output position o lie in [lo, hi). */
static int64_t taps_within(const vly_window *w, int d, int64_t o, int64_t lo, int64_t hi)
{
    int64_t start = o * w->stride[d] - w->pad[d], step = w->dilation[d];
    int64_t first = start >= lo ? 0 : (lo - start + step - 1) / step;
    int64_t end = start >= hi ? 0 : (hi - 1 - start) / step + 1;

    end = end < w->kernel[d] ? end : w->kernel[d];
    return end > first ? end - first : 0;
}

static int64_t taps_counted(const vly_window *w, int d, int64_t o, const int64_t *limit)
{
    return limit != NULL ? taps_within(w, d, o, -w->pad[d], limit[d])
                         : taps_within(w, d, o, 0, w->in[d]);
}

static void divide_by_counts(const vly_window *w, const int64_t *limit, float *y)
{
    for (int64_t o0 = 0; o0 < w->out[0]; o0++) {
        int64_t n0 = taps_counted(w, 0, o0, limit);
        for (int64_t o1 = 0; o1 < w->out[1]; o1++) {
            int64_t n1 = n0 * taps_counted(w, 1, o1, limit);
            for (int64_t o2 = 0; o2 < w->out[2]; o2++, y++) {
                int64_t n = n1 * taps_counted(w, 2, o2, limit);
                *y = n > 0 ? *y / (float)n : 0.0f;
            }
        }
    }
}

void vly_mean_pool_f32(const vly_window *w, const float *x, const int64_t *limit, float *y)
{
    int64_t taps = vly_window_kernel_size(w);

    memset(y, 0, (size_t)vly_window_out_size(w) * sizeof(*y));
    for (int64_t k = 0; k < taps; k++) {
        vly_tap t = vly_window_tap(w, k);
        int64_t n = t.end[2] - t.begin[2], stride = w->stride[2];
        for (int64_t o0 = t.begin[0]; o0 < t.end[0]; o0++) {
            for (int64_t o1 = t.begin[1]; o1 < t.end[1]; o1++) {
                const float *src = x + vly_tap_in(w, &t, o0, o1);
                float *dst = y + vly_tap_out(w, &t, o0, o1);
                for (int64_t i = 0; i < n; i++)
                    dst[i] += src[i * stride];
            }
        }
    }
    divide_by_counts(w, limit, y);
}

static float power(float x, int p)
{
    float a = fabsf(x);
    if (p == 1)
        return a;
    return p == 2 ? a * a : powf(a, (float)p);
}

void vly_lp_pool_f32(const vly_window *w, const float *x, int p, float *y)
{
    int64_t positions = vly_window_out_size(w), taps = vly_window_kernel_size(w);

    memset(y, 0, (size_t)positions * sizeof(*y));
    for (int64_t k = 0; k < taps; k++) {
        vly_tap t = vly_window_tap(w, k);
        int64_t n = t.end[2] - t.begin[2], stride = w->stride[2];
        for (int64_t o0 = t.begin[0]; o0 < t.end[0]; o0++) {
            for (int64_t o1 = t.begin[1]; o1 < t.end[1]; o1++) {
                const float *src = x + vly_tap_in(w, &t, o0, o1);
                float *dst = y + vly_tap_out(w, &t, o0, o1);
                for (int64_t i = 0; i < n; i++)
                    dst[i] += power(src[i * stride], p);
            }
        }
    }
    for (int64_t i = 0; i < positions; i++)
        y[i] = p == 1 ? y[i] : p == 2 ? sqrtf(y[i]) : powf(y[i], 1.0f / (float)p);
}

float vly_sum_f32(const float *x, int64_t n)
{
    float lane[8] = {0}, tail = 0.0f;
    int64_t i = 0;

    for (; i + 8 <= n; i += 8) {
        for (int j = 0; j < 8; j++)
            lane[j] += x[i + j];
    }
    for (; i < n; i++)
        tail += x[i];
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7])) + tail;
}

float vly_max_f32(const float *x, int64_t n)
{
    float m = x[0];
    for (int64_t i = 1; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}
