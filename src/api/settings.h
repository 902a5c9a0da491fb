/* SPDX-License-Identifier: MIT */
/*
 * What clients may set while the server runs: Triton's trace and logging extensions.
 *
 * Trace settings are kept and given back, for the server and for single models, which have the
 * server's where they have none of their own. Where traces are sent (otlp.endpoint), the level
 * TIMESTAMPS samples one of trace_rate requests, trace_count of them at most. What has no effect,
 * TENSORS, and any level where traces are not sent, is told by a Warning header, and the log.
 *
 * Log settings take effect at once: log_info, log_warning and log_error turn those lines on and
 * off, log_verbose_level above 0 debug lines. There is one format, ISO8601, and one place, stderr.
 *
 * Thread: any; no call blocks.
 */
#ifndef VLY_API_SETTINGS_H
#define VLY_API_SETTINGS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>

#define VLY_TRACE_MODELS_MAX 1024 /* with settings of their own */

typedef struct vly_settings vly_settings;

vly_status vly_settings_new(vly_settings **ret, vly_err *err) VLY_MUST_CHECK;
void vly_settings_free(vly_settings *s); /* accepts NULL */

/* Applies update, JSON as in the extension (empty: nothing; a value may also be an array of one
 * string, as gRPC has it), then appends all settings as JSON. model empty: the server's.
 * ret_warning: what of it has no effect, NULL: all has; may be NULL. EINVAL: a value that cannot be
 * set, and nothing has changed; EUNSUPPORTED: trace_file; ELIMIT: too many models have settings.
 * arena: scratch. */
vly_status vly_settings_trace(vly_settings *s, vly_str model, vly_str update, vly_arena *arena,
                              vly_buf *out, const char **ret_warning, vly_err *err) VLY_MUST_CHECK;
/* Traces are sent somewhere. Before any other call. */
void vly_settings_set_traced(vly_settings *s);
/* One more request for the model, empty: for none: true when it is to be traced. */
bool vly_settings_take_trace(vly_settings *s, vly_str model);
/* The same of the log. EUNSUPPORTED: log_file, or another format. */
vly_status vly_settings_log(vly_settings *s, vly_str update, vly_arena *arena, vly_buf *out,
                            vly_err *err) VLY_MUST_CHECK;

#endif
