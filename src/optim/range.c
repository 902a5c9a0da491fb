/* SPDX-License-Identifier: MIT */
#include "optim/range.h"

#include <float.h>
#include <math.h>

#define LEVELS 256

static const char *const names[] = {"min-max", "percentile", "entropy", "mse"};

const char *vly_range_method_name(vly_range_method m)
{
    return (unsigned)m < VLY_RANGE_METHODS ? names[m] : NULL;
}

bool vly_range_widen(vly_range *r, const float *x, size_t n)
{
    float lo = r->lo, hi = r->hi;
    bool is_finite = true;

    for (size_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        is_finite = is_finite && fabsf(x[i]) <= FLT_MAX; /* false for NaN too */
    }
    if (is_finite)
        *r = (vly_range){lo, hi};
    return is_finite;
}

void vly_tally_add(vly_tally *s, const float *x, size_t n)
{
    float span = s->hi - s->lo;
    float per_unit = span > 0.0f ? VLY_TALLY_BINS / span : 0.0f;

    for (size_t i = 0; i < n; i++) {
        float at = (x[i] - s->lo) * per_unit;
        int bin = at >= VLY_TALLY_BINS - 1 ? VLY_TALLY_BINS - 1 : (at > 0.0f ? (int)at : 0);
        s->bins[bin]++;
        s->n_zeros += x[i] == 0.0f;
    }
    s->n += n;
}

static double bin_width(const vly_tally *s)
{
    return ((double)s->hi - (double)s->lo) / VLY_TALLY_BINS;
}

static double bin_centre(const vly_tally *s, int i)
{
    return (double)s->lo + (i + 0.5) * bin_width(s);
}

static vly_range percentile_range(const vly_tally *s, double percentile)
{
    double outside = (double)s->n * (1.0 - percentile / 100.0);
    int first = 0, last = VLY_TALLY_BINS - 1;
    double below = 0, above = 0;

    while (first < last && below + (double)s->bins[first] <= outside)
        below += (double)s->bins[first++];
    while (last > first && above + (double)s->bins[last] <= outside)
        above += (double)s->bins[last--];
    double lo = (double)s->lo + first * bin_width(s),
           hi = (double)s->lo + (last + 1) * bin_width(s);
    return (vly_range){(float)fmin(lo, 0), (float)fmax(hi, 0)};
}

/* ---- entropy ------------------------------------------------------------------------------ */

/* Divergence of bins [first, last] told with LEVELS levels from the same bins as they are, what is
 * clipped counted at the ends. */
static double divergence(const vly_tally *s, int first, int last)
{
    int n = last - first + 1;
    double below = 0, above = 0, kl = 0;

    for (int i = 0; i < first; i++)
        below += (double)s->bins[i];
    for (int i = last + 1; i < VLY_TALLY_BINS; i++)
        above += (double)s->bins[i];
    double inside = (double)s->n - below - above;
    if (inside <= 0)
        return DBL_MAX;
    for (int level = 0; level < LEVELS; level++) {
        int begin = first + (int)((int64_t)n * level / LEVELS);
        int end = first + (int)((int64_t)n * (level + 1) / LEVELS);
        double sum = 0;
        int n_filled = 0;
        for (int i = begin; i < end; i++) {
            sum += (double)s->bins[i];
            n_filled += s->bins[i] > 0;
        }
        for (int i = begin; i < end; i++) {
            double p = (double)s->bins[i] + (i == first ? below : 0) + (i == last ? above : 0);
            if (p <= 0)
                continue;
            /* a bin that holds nothing but what was clipped has no share of its level */
            double q = s->bins[i] > 0 ? sum / n_filled : 1e-3;
            p /= (double)s->n;
            q /= inside;
            kl += p * log(p / q);
        }
    }
    return kl;
}

static int bin_of(const vly_tally *s, double x)
{
    int i = (int)((x - (double)s->lo) / bin_width(s));

    return i < 0 ? 0 : (i >= VLY_TALLY_BINS ? VLY_TALLY_BINS - 1 : i);
}

static vly_range entropy_range(const vly_tally *s)
{
    double most = fmax(-(double)s->lo, (double)s->hi), best = DBL_MAX;
    vly_range r = {s->lo, s->hi};

    for (int step = 8; step <= 128; step++) {
        double limit = most * step / 128;
        double lo = fmax((double)s->lo, -limit), hi = fmin((double)s->hi, limit);
        int first = bin_of(s, lo), last = bin_of(s, hi - bin_width(s) / 2);
        if (last - first + 1 < LEVELS)
            continue;
        double kl = divergence(s, first, last);
        if (kl < best) {
            best = kl;
            r = (vly_range){(float)lo, (float)hi};
        }
    }
    return r;
}

/* ---- mean square error -------------------------------------------------------------------- */

/* Sums over the bins below each: count, x, x * x. */
typedef struct moments {
    double n[VLY_TALLY_BINS + 1], x[VLY_TALLY_BINS + 1], xx[VLY_TALLY_BINS + 1];
} moments;

static void moments_of(const vly_tally *s, moments *m)
{
    m->n[0] = m->x[0] = m->xx[0] = 0;
    for (int i = 0; i < VLY_TALLY_BINS; i++) {
        double n = (double)s->bins[i], x = bin_centre(s, i);
        m->n[i + 1] = m->n[i] + n;
        m->x[i + 1] = m->x[i] + n * x;
        m->xx[i + 1] = m->xx[i] + n * x * x;
    }
}

/* Sum of (x - at)^2 over bins [begin, end). */
static double square_sum(const moments *m, int begin, int end, double at)
{
    double n = m->n[end] - m->n[begin], x = m->x[end] - m->x[begin], xx = m->xx[end] - m->xx[begin];

    return xx - 2 * at * x + at * at * n;
}

/* Rounding costs scale^2 / 12 for each value inside (none for the exact 0), clipping the square of
 * the way to the limit. */
static double expected_error(const vly_tally *s, const moments *m, double lo, double hi)
{
    double scale = (hi - lo) / (LEVELS - 1);
    int first = bin_of(s, lo), end = bin_of(s, hi - bin_width(s) / 2) + 1;
    double n_inside = m->n[end] - m->n[first] - (double)s->n_zeros;

    return fmax(n_inside, 0) * scale * scale / 12 + square_sum(m, 0, first, lo) +
           square_sum(m, end, VLY_TALLY_BINS, hi);
}

static vly_range mse_range(const vly_tally *s)
{
    enum { STEPS = 100 };
    static const double lo_shares[] = {1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1};
    double best = DBL_MAX;
    vly_range r = {s->lo, s->hi};
    moments m;

    moments_of(s, &m);
    for (int step = STEPS; step > 0; step--)
        for (size_t k = 0; k < sizeof(lo_shares) / sizeof(lo_shares[0]); k++) {
            double lo = (double)s->lo * lo_shares[k], hi = (double)s->hi * step / STEPS;
            double e = hi > lo ? expected_error(s, &m, lo, hi) : DBL_MAX;
            if (e < best) {
                best = e;
                r = (vly_range){(float)lo, (float)hi};
            }
        }
    return r;
}

vly_range vly_tally_range(const vly_tally *s, vly_range_method method, double percentile)
{
    vly_range all = {s->lo, s->hi};

    if (s->n == 0 || !(s->hi > s->lo))
        return all;
    switch (method) {
    case VLY_RANGE_PERCENTILE:
        return percentile_range(s, percentile);
    case VLY_RANGE_ENTROPY:
        return entropy_range(s);
    case VLY_RANGE_MSE:
        return mse_range(s);
    case VLY_RANGE_MINMAX:
    case VLY_RANGE_METHODS:
        break;
    }
    return all;
}

vly_affine vly_affine_of(vly_range r)
{
    float span = r.hi - r.lo;

    if (!(span > 0.0f))
        return (vly_affine){1.0f, 0};
    float scale = span / (LEVELS - 1);
    if (scale < FLT_MIN) /* a denormal scale has no inverse */
        scale = FLT_MIN;
    float zero = rintf(-r.lo / scale);
    return (vly_affine){scale, (uint8_t)(zero > 255.0f ? 255.0f : zero)};
}
