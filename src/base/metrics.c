/* SPDX-License-Identifier: MIT */
#include "base/metrics.h"

#include <stdbool.h>

#define SUB       (UINT64_C(1) << VLY_HIST_SUB_BITS)
#define VALUE_MAX ((UINT64_C(1) << VLY_HIST_MAX_BITS) - 1)

/* value = (SUB + sub) << shift, roughly: the top VLY_HIST_SUB_BITS + 1 bits pick the bucket. */
#define SHIFT_OF(value)  (63 - __builtin_clzll(value) - VLY_HIST_SUB_BITS)
#define BUCKET_OF(value) ((SHIFT_OF(value) << VLY_HIST_SUB_BITS) + ((value) >> SHIFT_OF(value)))

#define LIMIT(ns) UINT64_C(ns),
static const uint64_t limits_ns[] = {VLY_HIST_LIMITS(LIMIT)};
/* 1 + the limit that lies in a bucket; 0: none. */
#define LIMIT_IN(ns) [BUCKET_OF(UINT64_C(ns))] = 1 + VLY_HIST_LIMIT_##ns,
static const uint8_t limit_in[VLY_HIST_BUCKETS] = {VLY_HIST_LIMITS(LIMIT_IN)};

static size_t bucket_of(uint64_t value)
{
    if (value < SUB)
        return (size_t)value;
    if (value > VALUE_MAX)
        value = VALUE_MAX;
    unsigned shift = (unsigned)SHIFT_OF(value);
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
    size_t i = bucket_of(value);
    unsigned limit = limit_in[i];

    atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
    if (limit != 0 && value <= limits_ns[limit - 1])
        atomic_fetch_add_explicit(&h->at_most[limit - 1], 1, memory_order_relaxed);
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

/* How many of bucket i are at or below the limit, which lies within it; 0 where that is not known.
 * Never more than counts[i] will be. */
static uint64_t part_below(const vly_histogram *h, size_t i, uint64_t limit)
{
    unsigned known = limit_in[i];

    if (known == 0 || limits_ns[known - 1] != limit)
        return 0;
    uint64_t n = atomic_load_explicit(&h->at_most[known - 1], memory_order_relaxed);
    uint64_t all = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    return n < all ? n : all;
}

uint64_t vly_histogram_cumulate(const vly_histogram *h, const uint64_t *limits, size_t n,
                                uint64_t *ret_below)
{
    uint64_t seen = 0;
    size_t at = 0;

    for (size_t i = 0; i < VLY_HIST_BUCKETS; i++) {
        for (; at < n && bucket_upper(i) > limits[at]; at++)
            ret_below[at] = seen + part_below(h, i, limits[at]);
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
