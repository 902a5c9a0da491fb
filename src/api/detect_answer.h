/* SPDX-License-Identifier: MIT */
/*
 * The answer of /v1/images:detect to one picture, and its key in the cache: the same for requests
 * and for the warm-up list.
 */
#ifndef VLY_API_DETECT_ANSWER_H
#define VLY_API_DETECT_ANSWER_H

#include "api/cached.h"

/* Observations as JSON, or the picture with them drawn, from the results of job: for its encode.
 * ret is initialised; ENOMEM, EUNSUPPORTED as vly_picture_encode_jpeg. */
vly_status vly_detect_answer(vly_job *job, const vly_served *m, bool is_drawn, vly_buf *ret,
                             vly_err *err) VLY_MUST_CHECK;

/* False: it cannot be told on what the answer depends. */
bool vly_detect_key(const vly_api *api, const vly_served *m, const vly_cache_wish *wish,
                    const vly_detector_options *options, bool is_drawn, vly_str picture,
                    vly_cached_key *ret);

#endif
