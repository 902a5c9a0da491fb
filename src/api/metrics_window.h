/* SPDX-License-Identifier: MIT */
/*
 * Rates as plain gauges, for the names of Triton and of the guides that want them: what happened in
 * the last VLY_METRICS_WINDOW_NS or more, as seen by whoever asks; with nobody asking in between,
 * since the last time. Prometheus itself does better with rate() of a counter.
 *
 * Thread: any; a lock for the copy of a few words.
 */
#ifndef VLY_API_METRICS_WINDOW_H
#define VLY_API_METRICS_WINDOW_H

#include "base/clock.h"
#include "base/status.h"
#include "sys/usage.h"

#define VLY_METRICS_WINDOW_NS (5 * VLY_NSEC_PER_SEC)

typedef struct vly_metrics_window vly_metrics_window;

typedef struct vly_metrics_sample {
    vly_nsec at;
    vly_usage usage;
    uint64_t responses, server_errors; /* server_errors: 5xx */
} vly_metrics_sample;

vly_status vly_metrics_window_new(vly_nsec now, vly_metrics_window **ret,
                                  vly_err *err) VLY_MUST_CHECK;
void vly_metrics_window_free(vly_metrics_window *w); /* accepts NULL */
/* The sample that now is to be compared with: at least a window older, or the first. */
vly_metrics_sample vly_metrics_window_take(vly_metrics_window *w, const vly_metrics_sample *now);

#endif
