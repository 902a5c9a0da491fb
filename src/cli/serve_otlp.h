/* SPDX-License-Identifier: MIT */
/* What `volley serve` needs to send traces, by the settings otlp.*. */
#ifndef VLY_CLI_SERVE_OTLP_H
#define VLY_CLI_SERVE_OTLP_H

#include "api/trace.h"
#include "sys/config.h"

#define VLY_SERVE_OTLP_HEADERS 16

typedef struct vly_serve_otlp {
    vly_tracer tracer; /* exporter NULL: nothing is traced */
    vly_buf resource;
    vly_buf header_text;
    vly_http_header headers[VLY_SERVE_OTLP_HEADERS];
    size_t n_headers;
} vly_serve_otlp;

/* o is zeroed, stays where it is, and is to be closed whatever comes back. settings are told. */
vly_status vly_serve_otlp_open(const vly_config *c, struct vly_settings *settings, uint64_t seed,
                               vly_serve_otlp *o, vly_err *err) VLY_MUST_CHECK;
/* What is still to be sent is, or is given up after two seconds. */
void vly_serve_otlp_close(vly_serve_otlp *o);
/* For vly_api.tracer. */
vly_tracer *vly_serve_otlp_tracer(vly_serve_otlp *o);

#endif
