/* SPDX-License-Identifier: MIT */
/*
 * Sends spans to a collector by OTLP/HTTP (protobuf), from a thread of its own.
 *
 * Spans come encoded (codec/otlp.h) and wait in a queue of bounded size; what does not fit is
 * dropped and counted, so that nobody ever waits for a collector. A batch leaves every interval, or
 * when the queue is half full. A collector that cannot take it now (no connection, 429, 502, 503,
 * 504) is asked again: after what it says in Retry-After, else after a time that doubles, with
 * jitter; after VLY_OTLP_TRIES the batch is dropped. Any other answer drops it at once.
 *
 * Thread: push and stats from any; it holds a lock for a copy. new and free belong to the owner.
 */
#ifndef VLY_NET_OTLP_EXPORT_H
#define VLY_NET_OTLP_EXPORT_H

#include "base/metrics.h"
#include "base/status.h"
#include "net/http_msg.h"

#define VLY_OTLP_TRIES 5

typedef struct vly_otlp_export vly_otlp_export;

/* All borrowed; they outlive the exporter. */
typedef struct vly_otlp_export_opts {
    const char *url; /* "http://127.0.0.1:4318/v1/traces" */
    const char *ca;  /* PEM file, https: who vouches for the collector; NULL: the system's */
    const vly_http_header *headers;
    size_t n_headers;
    vly_str resource; /* attributes */
    size_t max_queue_bytes;
    unsigned interval_ms;
    unsigned timeout_ms; /* of one request */
    unsigned retry_ms;   /* before the second try */
    uint64_t seed;       /* of the jitter */
} vly_otlp_export_opts;

typedef struct vly_otlp_export_stats {
    vly_counter exported; /* spans that a collector has taken, as the others */
    vly_counter dropped;  /* the queue was full */
    vly_counter lost;     /* no try went well, or the collector refused them */
    vly_counter requests, failures;
    vly_gauge queue_bytes;
} vly_otlp_export_stats;

/* EUNSUPPORTED: the build has no HTTP client. */
vly_status vly_otlp_export_new(const vly_otlp_export_opts *opts, vly_otlp_export **ret,
                               vly_err *err) VLY_MUST_CHECK;
/* Sends what waits, if that takes no longer than a second or two, and ends. Accepts NULL. */
void vly_otlp_export_free(vly_otlp_export *e);

/* n_spans encoded spans. Never blocks. */
void vly_otlp_export_push(vly_otlp_export *e, vly_str spans, unsigned n_spans);
const vly_otlp_export_stats *vly_otlp_export_stats_of(const vly_otlp_export *e);

#endif
