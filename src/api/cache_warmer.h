/* SPDX-License-Identifier: MIT */
/*
 * Works through the warm-up list of the cache while the server listens, on threads of its own: each
 * takes the next line, and waits for the workers as a request would. The server is not ready until
 * the last line is done (vly_api_is_ready).
 *
 * What cannot be computed is told, line by line, and left out; each tenth of the list and its end
 * are told, too.
 *
 * Owner: who made it. Thread: as told.
 */
#ifndef VLY_API_CACHE_WARMER_H
#define VLY_API_CACHE_WARMER_H

#include "api/api.h"

typedef struct vly_cache_warmer vly_cache_warmer;

typedef struct vly_cache_warmer_opts {
    vly_api *api;       /* has a cache; outlives the warmer */
    const char *name;   /* of the list, for what is told. Borrowed, as the next */
    vly_str list;       /* see api/cache_warm.h */
    unsigned n_threads; /* at most, 1 at least; never more than there are lines */
    size_t max_bytes;   /* of a picture */
    /* Appends the picture of a line to ret. Thread: any of these, side by side. */
    vly_status (*read)(void *ctx, vly_str picture, vly_buf *ret, vly_err *err);
    void *ctx;
} vly_cache_warmer_opts;

/* Sets n_warm_lines of the api: before the server listens. ENOMEM. */
vly_status vly_cache_warmer_new(const vly_cache_warmer_opts *opts, vly_cache_warmer **ret,
                                vly_err *err) VLY_MUST_CHECK;
/* Begins; once. ENOMEM: no thread could be started. */
vly_status vly_cache_warmer_start(vly_cache_warmer *w, vly_err *err) VLY_MUST_CHECK;
/* No more lines are taken, and what waits for a worker is not run. Accepts NULL. Thread: any. */
void vly_cache_warmer_stop(vly_cache_warmer *w);
/* Stops, and waits for the threads: before the scheduler ends. Accepts NULL. */
void vly_cache_warmer_free(vly_cache_warmer *w);

#endif
