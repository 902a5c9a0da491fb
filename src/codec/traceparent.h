/* SPDX-License-Identifier: MIT */
/* The header traceparent of W3C Trace Context: whose trace a request belongs to. */
#ifndef VLY_CODEC_TRACEPARENT_H
#define VLY_CODEC_TRACEPARENT_H

#include "base/str.h"
#include "codec/otlp.h"

#define VLY_TRACEPARENT_BYTES    55
#define VLY_TRACEPARENT_ID_BEGIN 3 /* where the trace id stands, in 32 digits */
#define VLY_TRACEPARENT_SAMPLED  0x01u

typedef struct vly_traceparent {
    unsigned char trace[VLY_TRACE_BYTES];
    unsigned char parent[VLY_SPAN_BYTES];
    unsigned flags;
} vly_traceparent;

/* False: s is none, and *ret as before. Later versions than 00 may be longer. */
bool vly_traceparent_parse(vly_str s, vly_traceparent *ret);
/* Version 00, with a NUL. */
void vly_traceparent_format(const vly_traceparent *t, char text[VLY_TRACEPARENT_BYTES + 1]);

/* 2 n digits, small, to n bytes; false: other characters. */
bool vly_hex_parse(const char *digits, unsigned char *bytes, size_t n);

#endif
