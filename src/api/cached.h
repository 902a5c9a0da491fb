/* SPDX-License-Identifier: MIT */
/*
 * Which requests the cache answers, and what their keys have in common, whatever protocol asks.
 *
 * A model is cached when the setting cache.models names it, or, without one, when its config.pbtxt
 * says response_cache { enable: true }; models that keep state never are. A request may say
 * otherwise:
 *
 *   Cache-Control: no-cache          compute it, and keep what comes out
 *   Cache-Control: no-store          compute it, and keep nothing
 *   Volley-Cache-Tags: source:cam1   tags for POST /v1/cache:invalidate, by commas; results with
 *                                    other tags are other results
 */
#ifndef VLY_API_CACHED_H
#define VLY_API_CACHED_H

#include "api/api.h"
#include "cache/result_cache.h"

#define VLY_CACHED_TAGS_MAX      (VLY_CACHE_TAGS_MAX - 1) /* of a request; one is its model */
#define VLY_CACHED_TAG_BYTES_MAX 64
/* A loop thread unpacks and writes results up to here: as JSON some 500 us. */
#define VLY_CACHED_QUICK_BYTES ((size_t)64 << 10)

/* What a request says about the cache. Tags are borrowed from its headers, and sorted. */
typedef struct vly_cache_wish {
    bool no_cache, no_store;
    size_t n_tags;
    vly_str tags[VLY_CACHED_TAGS_MAX];
} vly_cache_wish;

/* Without a cache: nothing. EINVAL: too many tags, too long, or with bytes that are not printable.
 */
vly_status vly_cached_wish(const vly_api *api, const vly_http_msg *msg, vly_cache_wish *ret,
                           vly_err *err) VLY_MUST_CHECK;

/* What is looked up, and what the models of an ensemble were when that was decided. */
typedef struct vly_cached_key {
    vly_cache_key key;
    uint64_t members;
} vly_cached_key;

/* Is there a cache, and is m a model for it? */
bool vly_cached_has(const vly_api *api, const vly_served *m);
/* A key of m begins: sets members of ret; wish may be NULL. False: its results depend on what
 * cannot be known. */
bool vly_cached_begin_key(const vly_api *api, const vly_served *m, const char *kind,
                          const vly_cache_wish *wish, vly_cache_hash *h, vly_cached_key *ret);
/* Sets what all lookups of m have in common; tags live in arena. False: no memory. */
bool vly_cached_begin_get(vly_served *m, const vly_cache_wish *wish, vly_arena *arena,
                          vly_cache_get *g);
/* Looks it up, as far as the request wants that. */
vly_cache_found vly_cached_ask(const vly_api *api, const vly_cache_wish *wish, vly_cache_get *g);
/* As vly_cache_complete; but what an ensemble of other members may have computed than its key says
 * is for those who wait alone. */
void vly_cached_complete(const vly_api *api, const vly_served *m, uint64_t members,
                         vly_cache_get *g, vly_str bytes);

#endif
