/* SPDX-License-Identifier: MIT */
/* Parameters of requests about steps. Each leaves *ret as it is when the query does not name it.
 * EINVAL names the parameter and what was expected. */
#ifndef VLY_API_STEPS_QUERY_H
#define VLY_API_STEPS_QUERY_H

#include "api/steps_stream.h"

/* "user", "device", "session". */
vly_status vly_steps_query_source(vly_http_msg *msg, vly_steps_source *ret,
                                  vly_err *err) VLY_MUST_CHECK;
/* "rate", or "fs": 1 .. 10000 Hz. */
vly_status vly_steps_query_rate(vly_http_msg *msg, double *ret, vly_err *err) VLY_MUST_CHECK;
vly_status vly_steps_query_bool(vly_http_msg *msg, const char *name, bool *ret,
                                vly_err *err) VLY_MUST_CHECK;
/* Decoded text. */
vly_status vly_steps_query_text(vly_http_msg *msg, const char *name, vly_str *ret,
                                vly_err *err) VLY_MUST_CHECK;

#endif
