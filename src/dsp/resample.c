/* SPDX-License-Identifier: MIT */
#include "dsp/resample.h"

#include <math.h>
#include <string.h>

#define TAPS_MAX (1 << 24)

/* Half the width of the antialiased filter, in input positions: support 1 (linear) or 2 (cubic) is
 * stretched when the output is smaller. */
static double filter_reach(const vly_resample_rule *rule, double scale)
{
    double support = rule->mode == VLY_RESAMPLE_CUBIC ? 2.0 : 1.0;
    return support / (scale < 1.0 ? scale : 1.0);
}

int64_t vly_resample_taps(const vly_resample_rule *rule, double scale)
{
    if (rule->mode == VLY_RESAMPLE_NEAREST)
        return 1;
    if (!rule->antialias)
        return rule->mode == VLY_RESAMPLE_CUBIC ? 4 : 2;
    double reach = filter_reach(rule, scale);
    return reach < TAPS_MAX ? -2 * (int64_t)floor(-reach) : -1;
}

/* Input coordinate of output position o. */
static double coordinate(vly_resample_coord mode, const vly_resample_axis *a, int64_t o)
{
    double x = (double)o, last = (double)(a->n_in - 1);
    double width = a->scale * (double)a->n_in; /* n_out before it was rounded */

    switch (mode) {
    case VLY_COORD_HALF_PIXEL:
        return (x + 0.5) / a->scale - 0.5;
    case VLY_COORD_HALF_PIXEL_SYMMETRIC:
        return (double)a->n_in / 2.0 * (1.0 - (double)a->n_out / width) + (x + 0.5) / a->scale -
               0.5;
    case VLY_COORD_PYTORCH_HALF_PIXEL:
        return a->n_out > 1 ? (x + 0.5) / a->scale - 0.5 : 0.0;
    case VLY_COORD_ALIGN_CORNERS:
        return width == 1.0 ? 0.0 : x * last / (width - 1.0);
    case VLY_COORD_ASYMMETRIC:
        return x / a->scale;
    case VLY_COORD_TF_HALF_PIXEL_FOR_NN:
        return (x + 0.5) / a->scale;
    case VLY_COORD_TF_CROP_AND_RESIZE:
        if (width == 1.0)
            return (a->roi_begin + a->roi_end) * last / 2.0;
        return a->roi_begin * last + x * (a->roi_end - a->roi_begin) * last / (width - 1.0);
    }
    return x;
}

static double nearest(vly_nearest_mode mode, double x)
{
    switch (mode) {
    case VLY_NEAREST_ROUND_PREFER_FLOOR:
        return ceil(x - 0.5);
    case VLY_NEAREST_ROUND_PREFER_CEIL:
        return floor(x + 0.5);
    case VLY_NEAREST_FLOOR:
        return floor(x);
    case VLY_NEAREST_CEIL:
        return ceil(x);
    }
    return x;
}

static double linear_weight(double d)
{
    d = fabs(d);
    return d < 1.0 ? 1.0 - d : 0.0;
}

static double cubic_weight(double d, double a)
{
    d = fabs(d);
    if (d <= 1.0)
        return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
    return d < 2.0 ? ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a : 0.0;
}

static int32_t clamp_index(double i, int64_t n)
{
    if (!(i > 0.0))
        return 0;
    return i < (double)n ? (int32_t)i : (int32_t)(n - 1);
}

/* One row of the table of a linear or cubic filter around x. */
static void filter_row(const vly_resample_rule *rule, const vly_resample_axis *a, double x,
                       int32_t *index, float *weight)
{
    double stretch = rule->antialias && a->scale < 1.0 ? a->scale : 1.0;
    int64_t n_before = a->taps / 2;
    double first = ceil(x) - (double)n_before, sum = 0.0;

    for (int64_t t = 0; t < a->taps; t++) {
        double i = first + (double)t, d = (i - x) * stretch;
        double w = rule->mode == VLY_RESAMPLE_CUBIC ? cubic_weight(d, (double)rule->cubic_a)
                                                    : linear_weight(d);
        if (rule->exclude_outside && (i < 0.0 || i >= (double)a->n_in))
            w = 0.0;
        index[t] = clamp_index(i, a->n_in);
        weight[t] = (float)w;
        sum += w;
    }
    if (!rule->antialias && !rule->exclude_outside)
        return;
    for (int64_t t = 0; t < a->taps; t++)
        weight[t] = sum != 0.0 ? (float)((double)weight[t] / sum) : 0.0f;
}

void vly_resample_table(const vly_resample_rule *rule, const vly_resample_axis *axis)
{
    for (int64_t o = 0; o < axis->n_out; o++) {
        double x = coordinate(rule->coord, axis, o);
        int32_t *index = axis->index + o * axis->taps;
        float *weight = axis->weight + o * axis->taps;
        if (rule->coord == VLY_COORD_TF_CROP_AND_RESIZE &&
            !(x >= 0.0 && x <= (double)(axis->n_in - 1))) {
            index[0] = -1;
        } else if (rule->mode == VLY_RESAMPLE_NEAREST) {
            index[0] = clamp_index(nearest(rule->nearest, x), axis->n_in);
            weight[0] = 1.0f;
        } else {
            filter_row(rule, axis, x, index, weight);
        }
    }
}

/* inner == 1: the taps of one output lie side by side. */
static void resample_line(const vly_resample_axis *a, float extrapolation, const float *x, float *y)
{
    for (int64_t o = 0; o < a->n_out; o++) {
        const int32_t *index = a->index + o * a->taps;
        const float *weight = a->weight + o * a->taps;
        float sum = 0.0f;
        for (int64_t t = 0; t < a->taps && index[0] >= 0; t++)
            sum += weight[t] * x[index[t]];
        y[o] = index[0] >= 0 ? sum : extrapolation;
    }
}

void vly_resample_f32(const vly_resample_axis *axis, int64_t inner, float extrapolation,
                      const float *x, float *y)
{
    if (inner == 1) {
        resample_line(axis, extrapolation, x, y);
        return;
    }
    for (int64_t o = 0; o < axis->n_out; o++, y += inner) {
        const int32_t *index = axis->index + o * axis->taps;
        const float *weight = axis->weight + o * axis->taps;
        for (int64_t i = 0; i < inner; i++)
            y[i] = index[0] >= 0 ? 0.0f : extrapolation;
        for (int64_t t = 0; t < axis->taps && index[0] >= 0; t++) {
            const float *row = x + index[t] * inner;
            for (int64_t i = 0; i < inner; i++)
                y[i] += weight[t] * row[i];
        }
    }
}

void vly_resample_copy(const vly_resample_axis *axis, int64_t inner, size_t elem_bytes,
                       const void *extrapolation, const void *x, void *y)
{
    size_t row = (size_t)inner * elem_bytes;
    char *out = y;

    for (int64_t o = 0; o < axis->n_out; o++, out += row) {
        int32_t i = axis->index[o];
        if (i >= 0 && elem_bytes == 4 &&
            inner == 1) /* the usual case: floats of a picture's line */
            memcpy(out, (const char *)x + (size_t)i * 4, 4);
        else if (i >= 0)
            memcpy(out, (const char *)x + (size_t)i * row, row);
        else
            for (size_t k = 0; k < row; k += elem_bytes)
                memcpy(out + k, extrapolation, elem_bytes);
    }
}
