/* SPDX-License-Identifier: MIT */
/*
 * Traces in OTLP, the protocol of OpenTelemetry (opentelemetry-proto 1.x, trace/v1/trace.proto and
 * collector/trace/v1/trace_service.proto), as protobuf.
 *
 * Spans are written one behind the other into a buffer, which then becomes the body of a request:
 *
 *     size_t mark = vly_otlp_open_span(&spans, &span);
 *     vly_otlp_put_text(&spans, VLY_OTLP_OF_SPAN, "http.request.method", VLY_STR("GET"));
 *     vly_otlp_close_span(&spans, mark);
 *     vly_otlp_put_request(&body, resource, vly_buf_str(&spans));
 *
 * Text that is not UTF-8 would make a collector refuse all of a request: such bytes become '?', and
 * text is cut at VLY_OTLP_TEXT_MAX bytes.
 *
 * Owner: one thread at a time.
 */
#ifndef VLY_CODEC_OTLP_H
#define VLY_CODEC_OTLP_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define VLY_OTLP_TEXT_MAX 512
#define VLY_TRACE_BYTES   16
#define VLY_SPAN_BYTES    8

typedef enum vly_otlp_kind {
    VLY_OTLP_INTERNAL = 1,
    VLY_OTLP_SERVER = 2,
} vly_otlp_kind;

/* Whose attribute: the number of the field. */
typedef enum vly_otlp_owner {
    VLY_OTLP_OF_RESOURCE = 1,
    VLY_OTLP_OF_SPAN = 9,
} vly_otlp_owner;

typedef struct vly_otlp_span {
    const unsigned char *trace;  /* [VLY_TRACE_BYTES], not all zero */
    const unsigned char *id;     /* [VLY_SPAN_BYTES], not all zero */
    const unsigned char *parent; /* [VLY_SPAN_BYTES]; NULL: none */
    bool is_parent_remote;
    vly_str name;
    vly_otlp_kind kind;
    uint64_t begin_unix_ns, end_unix_ns;
    bool is_error;
    vly_str message; /* of the error; empty: none */
} vly_otlp_span;

/* A span, but for its attributes; what it returns goes to close. */
size_t vly_otlp_open_span(vly_buf *b, const vly_otlp_span *s);
void vly_otlp_close_span(vly_buf *b, size_t mark);

/* One attribute of the span that is open, or of a resource. */
void vly_otlp_put_text(vly_buf *b, vly_otlp_owner owner, const char *key, vly_str value);
void vly_otlp_put_int(vly_buf *b, vly_otlp_owner owner, const char *key, int64_t value);
void vly_otlp_put_bool(vly_buf *b, vly_otlp_owner owner, const char *key, bool value);

/* An ExportTraceServiceRequest. resource: its attributes, as written; spans likewise. */
void vly_otlp_put_request(vly_buf *b, vly_str resource, vly_str spans);

/* An ExportTraceServiceResponse: how many spans were refused, and why; borrowed. EFORMAT: it is
 * none. */
vly_status vly_otlp_read_response(vly_str body, uint64_t *ret_n_rejected, vly_str *ret_message,
                                  vly_err *err) VLY_MUST_CHECK;

#endif
