/* SPDX-License-Identifier: MIT */
/*
 * Counters and log-linear histograms. Both are plain structs embedded where the event happens;
 * updates are relaxed atomics (statistics publish nothing), readers may see a sum mid-update.
 *
 * Histogram: values in any unit (by custom nanoseconds), 0 .. 2^40. Values below 16 have a bucket
 * each; above, every power of two is cut into 16 linear buckets, so a quantile is at most 1/16 =
 * 6.25 % above the true value (HdrHistogram's idea with 4 significant bits). 608 buckets, 5.1 kB.
 * What is at or below one of VLY_HIST_LIMITS is known exactly.
 */
#ifndef VLY_BASE_METRICS_H
#define VLY_BASE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_counter {
    _Atomic uint64_t value;
} vly_counter;

static inline void vly_counter_add(vly_counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

static inline uint64_t vly_counter_get(const vly_counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

/* A level that goes up and down: queue length, open connections. */
typedef struct vly_gauge {
    _Atomic int64_t value;
} vly_gauge;

static inline void vly_gauge_add(vly_gauge *g, int64_t n)
{
    atomic_fetch_add_explicit(&g->value, n, memory_order_relaxed);
}

static inline int64_t vly_gauge_get(const vly_gauge *g)
{
    return atomic_load_explicit(&g->value, memory_order_relaxed);
}

#define VLY_HIST_SUB_BITS 4
#define VLY_HIST_MAX_BITS 41
#define VLY_HIST_BUCKETS  ((VLY_HIST_MAX_BITS - VLY_HIST_SUB_BITS + 1) << VLY_HIST_SUB_BITS)

/* Durations in nanoseconds, ascending, each in a bucket of its own: 0.1 ms .. 10 s, closest where
 * answers of models lie and where limits are set. */
#define VLY_HIST_LIMITS(X)                                                                         \
    X(100000)                                                                                      \
    X(250000)                                                                                      \
    X(500000)                                                                                      \
    X(1000000)                                                                                     \
    X(2500000)                                                                                     \
    X(5000000)                                                                                     \
    X(7500000)                                                                                     \
    X(10000000)                                                                                    \
    X(15000000)                                                                                    \
    X(20000000)                                                                                    \
    X(30000000)                                                                                    \
    X(40000000)                                                                                    \
    X(50000000)                                                                                    \
    X(75000000)                                                                                    \
    X(100000000)                                                                                   \
    X(150000000)                                                                                   \
    X(200000000)                                                                                   \
    X(300000000)                                                                                   \
    X(400000000)                                                                                   \
    X(500000000)                                                                                   \
    X(750000000)                                                                                   \
    X(1000000000)                                                                                  \
    X(2000000000)                                                                                  \
    X(2500000000)                                                                                  \
    X(5000000000)                                                                                  \
    X(10000000000)

typedef enum vly_histogram_limit {
#define VLY_HIST_LIMIT_ENUM(ns) VLY_HIST_LIMIT_##ns,
    VLY_HIST_LIMITS(VLY_HIST_LIMIT_ENUM)
#undef VLY_HIST_LIMIT_ENUM
        VLY_HIST_LIMIT_N
} vly_histogram_limit;

typedef struct vly_histogram {
    _Atomic uint64_t counts[VLY_HIST_BUCKETS];
    _Atomic uint64_t
        at_most[VLY_HIST_LIMIT_N]; /* of the bucket around the limit, what is not above */
    _Atomic uint64_t sum;
    _Atomic uint64_t max;
} vly_histogram;

void vly_histogram_record(vly_histogram *h, uint64_t value);
uint64_t vly_histogram_count(const vly_histogram *h);
uint64_t vly_histogram_sum(const vly_histogram *h);
uint64_t vly_histogram_max(const vly_histogram *h);
/* Upper edge of the bucket that holds the q-quantile (0 <= q <= 1), never above the maximum seen;
 * 0 when empty. */
uint64_t vly_histogram_quantile(const vly_histogram *h, double q);
/* For cumulative exposition: ret_below[i] is how many recorded values are at or below limits[i],
 * which ascend; exact for VLY_HIST_LIMITS and edges of buckets, else of the buckets that lie wholly
 * there. Returns the count of all, never less than any of them, whatever is
 * recorded meanwhile. One pass. */
uint64_t vly_histogram_cumulate(const vly_histogram *h, const uint64_t *limits, size_t n,
                                uint64_t *ret_below);

/* What histograms held, or were given, as plain numbers. Owner: one thread. */
typedef struct vly_histogram_counts {
    uint64_t counts[VLY_HIST_BUCKETS];
    uint64_t n, sum;
    size_t end; /* the buckets from here on are 0 */
} vly_histogram_counts;

/* What h was given since *mark, which becomes what it holds now. A zeroed mark: since the start,
 * and so is one of another histogram that had been given more. */
void vly_histogram_since(const vly_histogram *h, vly_histogram_counts *mark,
                         vly_histogram_counts *ret);
void vly_histogram_counts_add(vly_histogram_counts *c, const vly_histogram_counts *more);
/* Takes what is in `part` out of c, as far as it is there. */
void vly_histogram_counts_remove(vly_histogram_counts *c, const vly_histogram_counts *part);
/* As vly_histogram_quantile, but for the maximum, which is not known. */
uint64_t vly_histogram_counts_quantile(const vly_histogram_counts *c, double q);

#endif
