/* SPDX-License-Identifier: MIT */
/* The cache of results that a server has, by its settings. */
#ifndef VLY_CLI_SERVE_CACHE_H
#define VLY_CLI_SERVE_CACHE_H

#include "api/api.h"
#include "api/cache_warmer.h"
#include "cache/result_cache.h"
#include "sys/config.h"

/* Zeroed before open; owner: main. */
typedef struct vly_serve_cache {
    vly_cache *cache; /* NULL: there is none */
    uint64_t seed;
    vly_cache_warmer *warmer; /* NULL: there is no list */
    vly_buf list;             /* that it works through */
} vly_serve_cache;

/* EINVAL names the setting; ENOMEM. redis: borrowed until detach, NULL: none. alarms outlive its
 * lookups. random: of this process. Close it in any case. */
vly_status vly_serve_cache_open(const vly_config *c, vly_redis *redis, vly_alarms *alarms,
                                uint64_t random, vly_serve_cache *s, vly_err *err) VLY_MUST_CHECK;
/* Sets the times of o, as the settings say. */
void vly_serve_cache_times(const vly_config *c, vly_cache_opts *o);
/* Redis may end: it is not asked any more. */
void vly_serve_cache_detach(vly_serve_cache *s);
/* Nobody waits for Redis; the scheduler ends after this. */
void vly_serve_cache_end_warm_up(vly_serve_cache *s);
/* Nothing uses it any more. */
void vly_serve_cache_close(vly_serve_cache *s);

/* Reads the list of cache.warmup, for n_threads at most; before the server listens. c outlives s.
 * ENOTFOUND, EIO, ELIMIT, EINVAL: the list itself; ENOMEM. */
vly_status vly_serve_cache_prepare(vly_config *c, vly_api *api, unsigned n_threads,
                                   vly_serve_cache *s, vly_err *err) VLY_MUST_CHECK;
/* Begins with it. ENOMEM. */
vly_status vly_serve_cache_warm(vly_serve_cache *s, vly_err *err) VLY_MUST_CHECK;

#endif
