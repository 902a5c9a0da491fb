/* SPDX-License-Identifier: MIT */
/*
 * Pieces of the Prometheus text format 0.0.4, for the families of /metrics. Each subject writes its
 * own in a file metrics_SUBJECT.c, and metrics.c calls them in order (api/metrics_families.h).
 *
 * labels: pairs as vly_metrics_label writes them, with commas between; "": none.
 */
#ifndef VLY_API_METRICS_TEXT_H
#define VLY_API_METRICS_TEXT_H

#include "base/buf.h"
#include "base/metrics.h"

/* The two lines that begin a family. */
void vly_metrics_head(vly_buf *b, const char *name, const char *type, const char *help);
/* A family of one series without labels. */
void vly_metrics_value(vly_buf *b, const char *name, const char *type, const char *help, double v);
/* key="value"; in the value backslash, quote and line feed are escaped, and what is no
 * UTF-8 is U+FFFD; for else the whole page would be invalid. */
void vly_metrics_label(vly_buf *b, const char *key, const char *value);

/* name{labels} v */
void vly_metrics_u64(vly_buf *b, const char *name, const char *labels, uint64_t v);
void vly_metrics_double(vly_buf *b, const char *name, const char *labels, double v);

/* Families of one counter without labels each. */
typedef struct vly_metrics_row {
    const char *name, *help;
    const vly_counter *value;
} vly_metrics_row;

void vly_metrics_counters(vly_buf *b, const vly_metrics_row *rows, size_t n);

/* Upper edge of a bucket, and the same as text for le. */
typedef struct vly_metrics_bound {
    uint64_t limit;
    const char *le;
} vly_metrics_bound;

/* Of durations in nanoseconds, shown in seconds, from VLY_HIST_LIMITS, so that they are exact;
 * between 5 ms and 1 s, where limits are set, each is at most 1.5 times the one before. */
#define VLY_METRICS_SECONDS_N 25
extern const vly_metrics_bound vly_metrics_seconds_bounds[VLY_METRICS_SECONDS_N];

/* The series of one histogram, whose family has begun. below[i]: events at or below bounds[i]. */
void vly_metrics_buckets(vly_buf *b, const char *name, const char *labels,
                         const vly_metrics_bound *bounds, const uint64_t *below, size_t n,
                         uint64_t count, double sum);
/* The same of a histogram of nanoseconds, in seconds. */
void vly_metrics_seconds(vly_buf *b, const char *name, const char *labels, const vly_histogram *h);

#endif
