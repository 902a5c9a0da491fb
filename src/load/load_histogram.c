/* SPDX-License-Identifier: MIT */
#include "load/load_histogram.h"

#include <math.h>

#define SUB       (UINT64_C(1) << VLY_LOAD_HIST_SUB_BITS)
#define VALUE_MAX ((UINT64_C(1) << VLY_LOAD_HIST_MAX_BITS) - 1)

/* The top VLY_LOAD_HIST_SUB_BITS + 1 bits pick the bucket. */
static size_t bucket_of(uint64_t value)
{
    if (value < SUB)
        return (size_t)value;
    if (value > VALUE_MAX)
        value = VALUE_MAX;
    const unsigned shift = 63 - (unsigned)__builtin_clzll(value) - VLY_LOAD_HIST_SUB_BITS;
    return (size_t)(((uint64_t)shift << VLY_LOAD_HIST_SUB_BITS) + (value >> shift));
}

void vly_load_histogram_edges(size_t i, uint64_t *ret_low, uint64_t *ret_high)
{
    const unsigned shift = i < SUB * 2 ? 0 : (unsigned)(i >> VLY_LOAD_HIST_SUB_BITS) - 1;

    *ret_low = shift == 0 ? i : ((i & (SUB - 1)) + SUB) << shift;
    *ret_high = *ret_low + (UINT64_C(1) << shift) - 1;
}

void vly_load_histogram_add(vly_load_histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->min = h->n == 0 || value < h->min ? value : h->min;
    h->max = value > h->max ? value : h->max;
    h->sum += (double)value;
    h->n++;
}

void vly_load_histogram_merge(vly_load_histogram *to, const vly_load_histogram *from)
{
    if (from->n == 0)
        return;
    for (size_t i = 0; i < VLY_LOAD_HIST_BUCKETS; i++)
        to->counts[i] += from->counts[i];
    to->min = to->n == 0 || from->min < to->min ? from->min : to->min;
    to->max = from->max > to->max ? from->max : to->max;
    to->sum += from->sum;
    to->n += from->n;
}

uint64_t vly_load_histogram_rank(double q, uint64_t n)
{
    return (uint64_t)ceil(q * (double)n * (1 - 1e-12));
}

uint64_t vly_load_histogram_at(const vly_load_histogram *a, const vly_load_histogram *b,
                               uint64_t rank)
{
    const uint64_t max = a->max > b->max ? a->max : b->max;
    uint64_t seen = 0, low, high = 0;

    for (size_t i = 0; i < VLY_LOAD_HIST_BUCKETS && seen < rank; i++) {
        seen += a->counts[i] + b->counts[i];
        vly_load_histogram_edges(i, &low, &high);
    }
    return high < max && seen < a->n + b->n ? high : max;
}

uint64_t vly_load_histogram_quantile(const vly_load_histogram *h, double q)
{
    static const vly_load_histogram none;
    const uint64_t rank = vly_load_histogram_rank(q, h->n);

    return h->n == 0 || rank == 0 ? h->min : vly_load_histogram_at(h, &none, rank);
}

double vly_load_histogram_mean(const vly_load_histogram *h)
{
    return h->n > 0 ? h->sum / (double)h->n : 0;
}
