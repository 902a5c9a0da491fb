/* SPDX-License-Identifier: MIT */
/*
 * Trace and log settings between the messages of gRPC and the JSON of REST (extension_trace.md,
 * extension_logging.md), which is what the server keeps them as. Thread: any.
 */
#ifndef VLY_CODEC_GRPC_SETTINGS_H
#define VLY_CODEC_GRPC_SETTINGS_H

#include "codec/grpc_admin.h"

/* Appends the update that a request asks for, a JSON object: of a trace setting an array of its
 * values, null when there are none; of a log setting its value. */
void vly_grpc_put_trace_update(const vly_grpc_trace_request *r, vly_buf *json);
void vly_grpc_put_log_update(const vly_grpc_params *p, vly_buf *json);

/* Appends the TraceSettingResponse, or LogSettingsResponse, that json says: an object of texts,
 * arrays of texts, booleans and numbers. EINVAL: it is none; ELIMIT: the arena is full. */
vly_status vly_grpc_put_trace_settings(vly_str json, vly_arena *arena, vly_buf *out,
                                       vly_err *err) VLY_MUST_CHECK;
vly_status vly_grpc_put_log_settings(vly_str json, vly_arena *arena, vly_buf *out,
                                     vly_err *err) VLY_MUST_CHECK;

#endif
