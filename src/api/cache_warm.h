/* SPDX-License-Identifier: MIT */
/*
 * Warm-up list of the cache: pictures whose answers are computed before the first request.
 *
 *     # comment
 *     MODEL PICTURE       path, relative to the list; as /v1/images:detect answers without options
 */
#ifndef VLY_API_CACHE_WARM_H
#define VLY_API_CACHE_WARM_H

#include "api/api.h"

#define VLY_CACHE_WARM_BYTES_MAX ((size_t)1 << 20) /* of the list */

/* Takes the next line of the list that says something. ptr NULL: there is none. The picture's name
 * may hold blanks. EFORMAT: a model without a picture. Accepts any bytes. */
typedef struct vly_cache_warm_line {
    vly_str model, picture;
    size_t number; /* of the line, from 1 */
} vly_cache_warm_line;

vly_status vly_cache_warm_next(vly_str *rest, vly_cache_warm_line *line,
                               vly_err *err) VLY_MUST_CHECK;

/* Computes what the cache is to know of a picture, and waits for it. *ret_is_kept: it has room for
 * that, or knew it. is_stopped: it is not needed any more. EUNSUPPORTED: the model is not for the
 * cache; the errors of who computes it. Not on a worker or loop. */
vly_status vly_cache_warm(vly_api *api, vly_str model, vly_str picture,
                          const _Atomic bool *is_stopped, bool *ret_is_kept,
                          vly_err *err) VLY_MUST_CHECK;

#endif
