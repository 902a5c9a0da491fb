/* SPDX-License-Identifier: MIT */
/*
 * Traces of requests: which are sampled, and their spans.
 *
 * A sampled request becomes a span of kind SERVER with the attributes of OpenTelemetry's HTTP (or
 * RPC) conventions, below the parent that traceparent names, and spans queue, compute_input,
 * compute_infer and compute_output within it where a model ran: one behind the other, up to when
 * the run was over. A stream is a span from its request to its end. Of a sampled one the first
 * message that runs a model, and then no more than one a second, is a span "message" below it, with
 * the same spans below.
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
struct vly_infer;
struct vly_job;
struct vly_served;
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
    /* Of a stream; owner: its loop thread. */
    uint64_t n_messages;
    vly_nsec next_message_ns; /* the next that is traced came no earlier */
} vly_trace;

/* made_id: the request's id, made here and so fit for a trace id; empty: it came with one.
 * random: for ids. */
void vly_trace_begin(const vly_tracer *t, const vly_http_msg *msg, vly_str made_id,
                     const uint64_t random[3], vly_trace *ret);

/* Whether the request is sampled; to be asked when its model is known. True: text is what belongs
 * into the header traceresponse. Thread: who answers. */
bool vly_trace_decide(vly_tracer *t, struct vly_call *call, char text[VLY_TRACEPARENT_BYTES + 1]);

/* The answer has left, or the stream has ended: sends the spans. Thread: loop. */
void vly_trace_finished(vly_tracer *t, const vly_http_request *req, const vly_http_finished *f);

/* ---- messages of streams ---- */

#define VLY_TRACE_MESSAGE_EVERY_NS VLY_NSEC_PER_SEC

/* What is kept with a message until its answer is ready. Immutable. */
typedef struct vly_trace_message {
    vly_tracer *tracer; /* NULL: it is not traced */
    unsigned char trace[VLY_TRACE_BYTES];
    uint64_t stream, span; /* the ids of the two */
    uint64_t number;       /* of the message, from 1 */
    vly_nsec received_ns;
} vly_trace_message;

/* A message that is to run a model has come on the stream of req. Thread: loop, before on_close. */
void vly_trace_message_begin(const vly_http_request *req, vly_nsec received_ns,
                             vly_trace_message *ret);
/* One of these when its answer is ready: in done of the call; in done of the job; or it was not
 * run. Thread: any. */
void vly_trace_message_infer(const vly_trace_message *m, const struct vly_infer *infer);
void vly_trace_message_job(const vly_trace_message *m, const struct vly_job *job,
                           const struct vly_served *served, bool has_arm);
void vly_trace_message_refused(const vly_trace_message *m, const vly_err *err);

#endif
