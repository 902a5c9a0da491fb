/* SPDX-License-Identifier: MIT */
/*
 * Pieces of the Prometheus text format 0.0.4, for the families of /metrics. Each subject writes its
 * own in a file metrics_SUBJECT.c, and metrics.c calls them in order.
 */
#ifndef VLY_API_METRICS_TEXT_H
#define VLY_API_METRICS_TEXT_H

#include "base/buf.h"

/* The two lines that begin a family. */
void vly_metrics_head(vly_buf *b, const char *name, const char *type, const char *help);
/* A family of one series without labels. */
void vly_metrics_value(vly_buf *b, const char *name, const char *type, const char *help, double v);
/* key="value"; in the value backslash, quote and line feed are escaped, nothing else. */
void vly_metrics_label(vly_buf *b, const char *key, const char *value);

#endif
