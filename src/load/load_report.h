/* SPDX-License-Identifier: MIT */
/*
 * What a run measured, as text, as JSON, as one picture (SVG) and as a page (HTML) that needs no
 * other file and no script. Pure: each appends to a buffer, whose `failed` the caller looks at.
 */
#ifndef VLY_LOAD_LOAD_REPORT_H
#define VLY_LOAD_LOAD_REPORT_H

#include "base/buf.h"
#include "load/load_run.h"

/* "refused", "failed" or "timed out": of a reason. */
const char *vly_load_outcome_text(vly_load_outcome outcome);

/* All is borrowed. */
typedef struct vly_load_report {
    const vly_load_result *result;
    const vly_load_run_opts *opts;
    const char *url;
    const char *transport; /* "http1" */
    const char *load;      /* of the plan: "500/s, Poisson" */
    const char *bodies;    /* "3 pictures in turn" */
    const char *began;     /* wall clock; NULL: not told */
    /* Resident memory of the server, in bytes, before and after; 0: it does not tell. */
    uint64_t rss_before, rss_after;
} vly_load_report;

void vly_load_report_text(const vly_load_report *r, vly_buf *to);
void vly_load_report_json(const vly_load_report *r, vly_buf *to);
vly_status vly_load_report_svg(const vly_load_report *r, vly_buf *to, vly_err *err) VLY_MUST_CHECK;
vly_status vly_load_report_html(const vly_load_report *r, vly_buf *to, vly_err *err) VLY_MUST_CHECK;

/* Whether all objectives are kept; of a stepped run: whether its first step held. */
bool vly_load_report_is_kept(const vly_load_report *r);

/* Of a run at one rate with at least 20 moments: latency (p99, the median of its moments) in the
 * last fifth over that in the first. 0: too short. What grows with time is a leak or a queue. */
double vly_load_report_drift(const vly_load_report *r);

/* "1.23 ms": three digits, in the unit that suits. text: at least 24 bytes. */
void vly_load_format_time(double ns, char *text, size_t cap);

#endif
