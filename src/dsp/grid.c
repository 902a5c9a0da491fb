/* SPDX-License-Identifier: MIT */
#include "dsp/grid.h"

#include <math.h>

#define FAR_OUTSIDE 1e9f /* still fits an int64 index, off every picture */

/* Pixels and weights of one axis. */
typedef struct axis_taps {
    int n;
    int64_t index[4]; /* -1: off the picture, counts as 0 */
    float weight[4];
} axis_taps;

/* Mirrors x at lo and hi until it lies between them. */
static float reflect(float x, float lo, float hi)
{
    float range = hi - lo;

    if (x >= lo && x <= hi)
        return x;
    if (!(range > 0.0f))
        return lo;
    float from = x < lo ? lo - x : x - hi;
    float times = floorf(from / range), rest = from - times * range;
    bool is_back = fmodf(times, 2.0f) == 0.0f; /* ends up on the side where it left */
    return (x < lo) == is_back ? lo + rest : hi - rest;
}

static void borders(const vly_grid *g, int64_t size, float *lo, float *hi)
{
    *lo = g->align_corners ? 0.0f : -0.5f;
    *hi = g->align_corners ? (float)(size - 1) : (float)size - 0.5f;
}

/* -1..1 to pixels, then padding for points off the picture. */
static float pixel_coordinate(const vly_grid *g, int64_t size, float at)
{
    float lo, hi,
        x = g->align_corners ? (at + 1.0f) / 2.0f * (float)(size - 1)
                             : ((at + 1.0f) * (float)size - 1.0f) / 2.0f;

    if (g->mode == VLY_GRID_NEAREST)
        x = rintf(x);
    borders(g, size, &lo, &hi);
    /* a cubic filter's taps are clamped one by one: outside it still sees the slope at the border
     */
    if (g->padding == VLY_GRID_BORDER && g->mode != VLY_GRID_CUBIC && (x < lo || x > hi))
        x = fminf(fmaxf(x, 0.0f), (float)(size - 1));
    else if (g->padding == VLY_GRID_REFLECTION)
        x = reflect(x, lo, hi);
    if (!(x > -FAR_OUTSIDE))
        return -FAR_OUTSIDE;
    return x < FAR_OUTSIDE ? x : FAR_OUTSIDE;
}

/* The pixel that stands for index i. */
static int64_t padded_index(const vly_grid *g, int64_t size, int64_t i)
{
    float lo, hi;

    if (i >= 0 && i < size)
        return i;
    if (g->padding == VLY_GRID_ZEROS)
        return -1;
    if (g->padding == VLY_GRID_BORDER)
        return i < 0 ? 0 : size - 1;
    borders(g, size, &lo, &hi);
    int64_t mirrored = (int64_t)reflect((float)i, lo, hi);
    return mirrored < 0 ? 0 : mirrored < size ? mirrored : size - 1;
}

static float cubic(float d)
{
    const float a = -0.75f;
    d = fabsf(d);
    if (d <= 1.0f)
        return ((a + 2.0f) * d - (a + 3.0f)) * d * d + 1.0f;
    return d < 2.0f ? ((a * d - 5.0f * a) * d + 8.0f * a) * d - 4.0f * a : 0.0f;
}

static axis_taps taps_of(const vly_grid *g, int64_t size, float at)
{
    float x = pixel_coordinate(g, size, at), base = floorf(x);
    int64_t first = (int64_t)base;
    axis_taps t = {.n = 1, .weight = {1.0f}};

    if (g->mode == VLY_GRID_NEAREST) { /* a mirrored coordinate is cut, not rounded again */
        t.index[0] = padded_index(g, size, (int64_t)x);
        return t;
    }
    t.n = g->mode == VLY_GRID_CUBIC ? 4 : 2;
    int n_before = t.n / 2 - 1;
    first -= n_before;
    for (int i = 0; i < t.n; i++) {
        float d = x - base - (float)(i - n_before);
        t.index[i] = padded_index(g, size, first + i);
        t.weight[i] = g->mode == VLY_GRID_CUBIC ? cubic(d) : 1.0f - fabsf(d);
    }
    return t;
}

static float sum_taps(const vly_grid *g, const axis_taps t[3], const float *x)
{
    float sum = 0.0f;

    for (int i = 0; i < t[0].n; i++) {
        for (int k = 0; k < t[1].n; k++) {
            float line = 0.0f;
            if (t[0].index[i] < 0 || t[1].index[k] < 0)
                continue;
            const float *row = x + (t[0].index[i] * g->size[1] + t[1].index[k]) * g->size[2];
            for (int l = 0; l < t[2].n; l++)
                line += t[2].index[l] < 0 ? 0.0f : t[2].weight[l] * row[t[2].index[l]];
            sum += t[0].weight[i] * t[1].weight[k] * line;
        }
    }
    return sum;
}

void vly_grid_sample_f32(const vly_grid *g, const float *x, const float *at, float *y,
                         int64_t y_stride)
{
    static const axis_taps whole = {.n = 1, .index = {0}, .weight = {1.0f}};
    axis_taps t[3] = {whole, whole, whole};
    int64_t plane = g->size[0] * g->size[1] * g->size[2];

    for (int d = 0; d < g->n; d++)
        t[3 - g->n + d] = taps_of(g, g->size[3 - g->n + d], at[g->n - 1 - d]);
    for (int64_t c = 0; c < g->channels; c++)
        y[c * y_stride] = sum_taps(g, t, x + c * plane);
}

/* The four pixels around a point and their weights; all 0 more than a pixel off the picture. */
typedef struct corners {
    int64_t at[4];
    float weight[4];
} corners;

static corners corners_of(float y, float x, int64_t height, int64_t width)
{
    corners c = {{0}, {0}};

    if (!(y >= -1.0f && y <= (float)height && x >= -1.0f && x <= (float)width))
        return c;
    y = fminf(fmaxf(y, 0.0f), (float)(height - 1));
    x = fminf(fmaxf(x, 0.0f), (float)(width - 1));
    int64_t y0 = (int64_t)y, x0 = (int64_t)x;
    int64_t y1 = y0 + 1 < height ? y0 + 1 : y0, x1 = x0 + 1 < width ? x0 + 1 : x0;
    float ly = y - (float)y0, lx = x - (float)x0;
    return (corners){{y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1},
                     {(1.0f - ly) * (1.0f - lx), (1.0f - ly) * lx, ly * (1.0f - lx), ly * lx}};
}

static float bin_value(const vly_roi *roi, const float *x, int64_t height, int64_t width,
                       float bin_y, float bin_x)
{
    float sum = 0.0f, best = -INFINITY;
    int64_t n = roi->samples_y * roi->samples_x;

    for (int64_t i = 0; i < n; i++) {
        int64_t row = i / roi->samples_x, column = i % roi->samples_x;
        float sy = (float)row + 0.5f, sx = (float)column + 0.5f;
        corners c = corners_of(bin_y + sy * roi->bin_height / (float)roi->samples_y,
                               bin_x + sx * roi->bin_width / (float)roi->samples_x, height, width);
        for (int k = 0; k < 4; k++) {
            float v = c.weight[k] * x[c.at[k]];
            sum += v;
            best = v > best ? v : best;
        }
    }
    if (n == 0)
        return 0.0f;
    return roi->is_max ? best : sum / (float)n;
}

void vly_roi_align_f32(const vly_roi *roi, const float *x, int64_t height, int64_t width,
                       int64_t bins_y, int64_t bins_x, float *y)
{
    for (int64_t i = 0; i < bins_y; i++) {
        for (int64_t k = 0; k < bins_x; k++)
            *y++ = bin_value(roi, x, height, width, roi->begin_y + (float)i * roi->bin_height,
                             roi->begin_x + (float)k * roi->bin_width);
    }
}
