/* SPDX-License-Identifier: MIT */
/*
 * Results of a request as bytes of the cache, and back: which outputs they are, their types, shapes
 * and data. How they are written, as JSON or binary, is the protocol's business: requests of all
 * protocols share them.
 */
#ifndef VLY_API_CACHED_TENSORS_H
#define VLY_API_CACHED_TENSORS_H

#include "api/infer.h"

/* Appends the results of a call: out fails when there is no memory. */
void vly_cached_tensors_write(const vly_infer *call, vly_buf *out);
/* Makes call->results of them, as far as they fit what the call wants; their data are borrowed from
 * bytes, which must be 16-byte aligned. False: these are not such bytes, and there are no results.
 * Accepts any bytes. */
bool vly_cached_tensors_read(vly_infer *call, vly_str bytes);

#endif
