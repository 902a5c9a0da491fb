/* SPDX-License-Identifier: MIT */
/*
 * The model repository extension, whatever protocol asks: see sched/control.h for loading and
 * unloading, which answer on the loader thread.
 */
#ifndef VLY_API_REPOSITORY_OPS_H
#define VLY_API_REPOSITORY_OPS_H

#include "api/api.h"
#include "base/buf.h"

/* Triton's answer to an index, an array of {name, version, state, reason}. Reads the directory:
 * on a worker only. */
vly_status vly_repository_put_index(const vly_api *api, bool is_ready_only, vly_buf *b,
                                    vly_err *err) VLY_MUST_CHECK;

/* As vly_control_submit; EUNAVAILABLE also where models do not come and go at all. */
vly_status vly_repository_submit(const vly_api *api, vly_control_request *r,
                                 vly_err *err) VLY_MUST_CHECK;

#endif
