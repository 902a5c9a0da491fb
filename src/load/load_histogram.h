/* SPDX-License-Identifier: MIT */
/*
 * Histogram of times in nanoseconds, 0 .. 2^41 (36 min), fine enough to report from: 128 linear
 * buckets in each power of two, so a quantile is at most 1/128 = 0.8 % above the true value
 * (HdrHistogram's idea with 7 significant bits; base/metrics.h is the coarser one that threads
 * share). 35 kB. Owner: one thread at a time.
 */
#ifndef VLY_LOAD_LOAD_HISTOGRAM_H
#define VLY_LOAD_LOAD_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define VLY_LOAD_HIST_SUB_BITS 7
#define VLY_LOAD_HIST_MAX_BITS 41
#define VLY_LOAD_HIST_BUCKETS                                                                      \
    ((VLY_LOAD_HIST_MAX_BITS - VLY_LOAD_HIST_SUB_BITS + 1) << VLY_LOAD_HIST_SUB_BITS)

/* Zeroed: empty. */
typedef struct vly_load_histogram {
    uint64_t counts[VLY_LOAD_HIST_BUCKETS];
    uint64_t n, min, max; /* exact */
    double sum;
} vly_load_histogram;

void vly_load_histogram_add(vly_load_histogram *h, uint64_t value);
void vly_load_histogram_merge(vly_load_histogram *to, const vly_load_histogram *from);
/* The least value that a share of q is not above: upper edge of its bucket, never above the
 * maximum; the minimum at q = 0. 0 when empty. */
uint64_t vly_load_histogram_quantile(const vly_load_histogram *h, double q);
double vly_load_histogram_mean(const vly_load_histogram *h); /* 0 when empty */
/* First and last value of bucket i. */
void vly_load_histogram_edges(size_t i, uint64_t *ret_low, uint64_t *ret_high);
/* Which of n in order, from 1, the quantile q is; 0 at q = 0. */
uint64_t vly_load_histogram_rank(double q, uint64_t n);
/* The one of that rank, 1 .. a->n + b->n, among the values of both: upper edge of its bucket, never
 * above the maximum. */
uint64_t vly_load_histogram_at(const vly_load_histogram *a, const vly_load_histogram *b,
                               uint64_t rank);

#endif
