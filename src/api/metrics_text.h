/* SPDX-License-Identifier: MIT */
/*
 * Pieces of the Prometheus text format 0.0.4 and of OpenMetrics 1.0.0, for the families of
 * /metrics. Each subject writes its own in a file metrics_SUBJECT.c, and metrics.c calls them in
 * order (api/metrics_families.h).
 *
 * What OpenMetrics has otherwise is decided here: a counter's family is named without _total, and
 * is of type unknown where its name does not end so (Triton's, for names are the same in both);
 * le="1.0" for le="1"; exemplars. _created is left out, as by most: a series more for each.
 *
 * labels: pairs as vly_metrics_label writes them, with commas between; "": none.
 */
#ifndef VLY_API_METRICS_TEXT_H
#define VLY_API_METRICS_TEXT_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "codec/traceparent.h"

/* Where a page goes. */
typedef struct vly_metrics_out {
    vly_buf *b;
    bool is_open; /* as OpenMetrics */
} vly_metrics_out;

/* The two lines that begin a family. */
void vly_metrics_head(const vly_metrics_out *o, const char *name, const char *type,
                      const char *help);
/* A family of one series without labels. */
void vly_metrics_value(const vly_metrics_out *o, const char *name, const char *type,
                       const char *help, double v);
/* key="value"; in the value backslash, quote and line feed are escaped, and what is no
 * UTF-8 is U+FFFD; for else the whole page would be invalid. */
void vly_metrics_label(vly_buf *b, const char *key, const char *value);

/* name{labels} v */
void vly_metrics_u64(const vly_metrics_out *o, const char *name, const char *labels, uint64_t v);
void vly_metrics_double(const vly_metrics_out *o, const char *name, const char *labels, double v);

/* Families of one counter without labels each. */
typedef struct vly_metrics_row {
    const char *name, *help;
    const vly_counter *value;
} vly_metrics_row;

void vly_metrics_counters(const vly_metrics_out *o, const vly_metrics_row *rows, size_t n);

/* Upper edge of a bucket, and the same as text for le. */
typedef struct vly_metrics_bound {
    uint64_t limit;
    const char *le;
} vly_metrics_bound;

/* Of durations in nanoseconds, shown in seconds, from VLY_HIST_LIMITS, so that they are exact;
 * between 5 ms and 1 s, where limits are set, each is at most 1.5 times the one before. */
#define VLY_METRICS_SECONDS_N 25
extern const vly_metrics_bound vly_metrics_seconds_bounds[VLY_METRICS_SECONDS_N];

/* A request of a bucket that was traced, told in OpenMetrics alone. */
typedef struct vly_exemplar {
    unsigned char trace[VLY_TRACE_BYTES];
    vly_nsec took_ns;
    uint64_t unix_ms; /* 0: there was none */
} vly_exemplar;

/* below[i]: events at or below bounds[i]. exemplars: n + 1, the last above all bounds; NULL: none.
 */
typedef struct vly_metrics_counts {
    const vly_metrics_bound *bounds;
    const uint64_t *below;
    size_t n;
    uint64_t count;
    double sum;
    const vly_exemplar *exemplars;
} vly_metrics_counts;

/* The series of one histogram, whose family has begun. */
void vly_metrics_buckets(const vly_metrics_out *o, const char *name, const char *labels,
                         const vly_metrics_counts *c);
/* The same of a histogram of nanoseconds, in seconds. */
void vly_metrics_seconds(const vly_metrics_out *o, const char *name, const char *labels,
                         const vly_histogram *h);

#endif
