/* SPDX-License-Identifier: MIT */
#include "base/metrics.h"

#include <stdbool.h>

#define SUB       (UINT64_C(1) << VLY_HIST_SUB_BITS)
#define VALUE_MAX ((UINT64_C(1) << VLY_HIST_MAX_BITS) - 1)

/* value = (SUB + sub) << shift, roughly: the top VLY_HIST_SUB_BITS + 1 bits pick the bucket. */
static size_t bucket_of(uint64_t value)
{
    if (value < SUB)
        return (size_t)value;
    if (value > VALUE_MAX)
        value = VALUE_MAX;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - VLY_HIST_SUB_BITS;
    return (size_t)((shift << VLY_HIST_SUB_BITS) + (value >> shift));
}

static uint64_t bucket_upper(size_t i)
{
    if (i < SUB * 2)
        return i;
    unsigned shift = (unsigned)(i >> VLY_HIST_SUB_BITS) - 1;
    return ((((i & (SUB - 1)) + SUB + 1) << shift) - 1);
}

void vly_histogram_record(vly_histogram *h, uint64_t value)
{
    atomic_fetch_add_explicit(&h->counts[bucket_of(value)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&h->max, memory_order_relaxed);
    while (value > max && !atomic_compare_exchange_weak_explicit(
                              &h->max, &max, value, memory_order_relaxed, memory_order_relaxed))
        ;
}

uint64_t vly_histogram_count(const vly_histogram *h)
{
    uint64_t n = 0;
    for (size_t i = 0; i < VLY_HIST_BUCKETS; i++)
        n += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    return n;
}

uint64_t vly_histogram_sum(const vly_histogram *h)
{
    return atomic_load_explicit(&h->sum, memory_order_relaxed);
}

uint64_t vly_histogram_max(const vly_histogram *h)
{
    return atomic_load_explicit(&h->max, memory_order_relaxed);
}

/* Which of n values, in order and counted from 1, is the q-quantile. */
static uint64_t rank_of(uint64_t n, double q)
{
    uint64_t rank = (uint64_t)(q * (double)n + 0.5);

    if (rank > n)
        rank = n;
    return rank < 1 ? 1 : rank;
}

uint64_t vly_histogram_quantile(const vly_histogram *h, double q)
{
    uint64_t n = vly_histogram_count(h);
    uint64_t max = vly_histogram_max(h);
    uint64_t rank = rank_of(n, q);
    uint64_t seen = 0;

    if (n == 0)
        return 0;
    for (size_t i = 0; i < VLY_HIST_BUCKETS; i++) {
        seen += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        if (seen >= rank)
            return bucket_upper(i) < max ? bucket_upper(i) : max;
    }
    return max;
}

uint64_t vly_histogram_cumulate(const vly_histogram *h, const uint64_t *limits, size_t n,
                                uint64_t *ret_below)
{
    uint64_t seen = 0;
    size_t at = 0;

    for (size_t i = 0; i < VLY_HIST_BUCKETS; i++) {
        while (at < n && bucket_upper(i) > limits[at])
            ret_below[at++] = seen;
        seen += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    }
    while (at < n)
        ret_below[at++] = seen;
    return seen;
}

/* ret: now less the mark, which becomes now. False: now is less somewhere. */
static bool subtract(const vly_histogram *h, vly_histogram_counts *mark, vly_histogram_counts *ret)
{
    uint64_t sum = vly_histogram_sum(h);
    bool is_less = sum < mark->sum;

    ret->n = ret->end = 0;
    for (size_t i = 0; i < VLY_HIST_BUCKETS; i++) {
        uint64_t now = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        is_less = is_less || now < mark->counts[i];
        ret->counts[i] = now - mark->counts[i];
        ret->n += ret->counts[i];
        if (ret->counts[i] != 0)
            ret->end = i + 1;
        mark->counts[i] = now;
    }
    ret->sum = sum - mark->sum;
    mark->sum = sum;
    return !is_less;
}

void vly_histogram_since(const vly_histogram *h, vly_histogram_counts *mark,
                         vly_histogram_counts *ret)
{
    if (subtract(h, mark, ret))
        return;
    *mark = (vly_histogram_counts){.n = 0};
    subtract(h, mark, ret);
}

void vly_histogram_counts_add(vly_histogram_counts *c, const vly_histogram_counts *more)
{
    for (size_t i = 0; i < more->end; i++)
        c->counts[i] += more->counts[i];
    c->n += more->n;
    c->sum += more->sum;
    c->end = c->end > more->end ? c->end : more->end;
}

void vly_histogram_counts_remove(vly_histogram_counts *c, const vly_histogram_counts *part)
{
    for (size_t i = 0; i < c->end && i < part->end; i++) {
        uint64_t n = part->counts[i] < c->counts[i] ? part->counts[i] : c->counts[i];
        c->counts[i] -= n;
        c->n -= n;
    }
    c->sum -= part->sum < c->sum ? part->sum : c->sum;
}

uint64_t vly_histogram_counts_quantile(const vly_histogram_counts *c, double q)
{
    uint64_t rank = rank_of(c->n, q);
    uint64_t seen = 0;

    for (size_t i = 0; i < c->end; i++) {
        seen += c->counts[i];
        if (seen >= rank)
            return bucket_upper(i);
    }
    return 0;
}
