/* SPDX-License-Identifier: MIT */
/*
 * Traces of requests: which are sampled, and their spans.
 *
 * A sampled request becomes a span of kind SERVER with the attributes of OpenTelemetry's HTTP (or
 * RPC) conventions, below the parent that traceparent names, and spans queue, compute_input,
 * compute_infer and compute_output within it where a model ran: one behind the other, up to when
 * the run was over. Streams are not traced.
 *
 * Sampled is what the parent has sampled, when the request was admitted; without a parent, a share
 * of the trace ids (as OpenTelemetry's TraceIdRatioBased under ParentBased); and what Triton's
 * trace settings ask for. Of requests that were refused, or for what is not there, and where
 * parents are not trusted, the same share whatever the client says: nobody fills the queue of spans
 * by asking.
 *
 * Without a tracer nothing of this costs anything.
 */
#ifndef VLY_API_TRACE_H
#define VLY_API_TRACE_H

#include "codec/traceparent.h"
#include "net/http_server.h"
#include "net/otlp_export.h"

struct vly_call;
struct vly_settings;

/* Immutable but for its atomics. */
typedef struct vly_tracer {
    vly_otlp_export *exporter;     /* borrowed, as the next */
    struct vly_settings *settings; /* Triton's */
    _Atomic uint64_t bound;        /* of the low 63 bits of a trace id: sampled below it */
    _Atomic bool trusts_parents;
    vly_counter sampled, not_sampled;
} vly_tracer;

/* 0: none, 1: all. Thread: any. */
void vly_tracer_set_share(vly_tracer *t, double share);

/* What a call keeps. Owner: as the call. */
typedef struct vly_trace {
    vly_traceparent from; /* has_parent: what the client said */
    unsigned char trace[VLY_TRACE_BYTES];
    uint64_t span; /* its id, not 0 */
    bool has_parent, is_sampled, is_decided;
    vly_nsec ran_ns; /* when the model's run was over; 0: none */
} vly_trace;

/* made_id: the request's id, made here and so fit for a trace id; empty: it came with one.
 * random: for ids. */
void vly_trace_begin(const vly_tracer *t, const vly_http_msg *msg, vly_str made_id,
                     const uint64_t random[3], vly_trace *ret);

/* Whether the request is sampled; to be asked when its model is known. True: text is what belongs
 * into the header traceresponse. Thread: who answers. */
bool vly_trace_decide(vly_tracer *t, struct vly_call *call, char text[VLY_TRACEPARENT_BYTES + 1]);

/* The answer has left: sends the spans. Thread: loop. */
void vly_trace_finished(vly_tracer *t, const vly_http_request *req, const vly_http_finished *f);

#endif
