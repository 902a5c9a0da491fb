/* SPDX-License-Identifier: MIT */
/*
 * Result cache: bytes by key, in memory and, when there is one, in Redis behind it.
 *
 *     lookup -> HIT    the bytes, at once, from memory
 *            -> LEAD   nobody has them: the caller computes them, then completes or abandons
 *            -> WAIT   somebody computes the same, or Redis is asked: ready is called later, with
 *                      the bytes, or with the lead
 *
 * So of any number of equal requests one runs (single flight). A leader that abandons passes the
 * lead to the next who waits; errors are never cached.
 *
 * Memory tier: shards with a byte budget each, LRU behind an admission filter of frequencies, so
 * that a scan of keys seen once does not flush what is asked for often (TinyLFU, Einziger et al.
 * 2017). Values past a size are kept compressed. Every entry has a time to live by its class.
 *
 * Thread: any. Nothing here blocks, but new and free.
 */
#ifndef VLY_CACHE_RESULT_CACHE_H
#define VLY_CACHE_RESULT_CACHE_H

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "cache/cache_key.h"

#include <stdatomic.h>

/* class, setting in seconds, default: those of the guides */
#define VLY_CACHE_CLASS_MAP(X)                                                                     \
    X(PREDICTION, 300) /* tensors and observations */                                              \
    X(VIDEO, 900)      /* what is known of a video */                                              \
    X(SESSION, 3600)                                                                               \
    X(RESPONSE, 120) /* what was drawn or rendered from a prediction */

typedef enum vly_cache_class {
#define VLY_CACHE_CLASS_ENUM(name, seconds) VLY_CACHE_##name,
    VLY_CACHE_CLASS_MAP(VLY_CACHE_CLASS_ENUM)
#undef VLY_CACHE_CLASS_ENUM
        VLY_CACHE_CLASS_N
} vly_cache_class;

typedef struct vly_cache vly_cache;

/* Immutable, refcounted. */
typedef struct vly_cache_value {
    _Atomic uint32_t n_refs;
    size_t len;
    char bytes[];
} vly_cache_value;

void vly_cache_value_unref(vly_cache_value *v); /* accepts NULL */

/* Of one model; embedded in what lives as long as its lookups. */
typedef struct vly_cache_stats {
    vly_counter memory_hits, redis_hits, shared; /* shared: got a leader's bytes */
    vly_counter misses;
    vly_counter insertions, refused; /* by the admission filter, or larger than a value may be */
    vly_histogram hit_ns, miss_ns;   /* of the lookup alone */
} vly_cache_stats;

typedef enum vly_cache_found { VLY_CACHE_HIT, VLY_CACHE_LEAD, VLY_CACHE_WAIT } vly_cache_found;

#define VLY_CACHE_TAGS_MAX 4

/* One lookup, embedded in the request; the cache's until it is HIT, complete or abandoned. */
typedef struct vly_cache_get vly_cache_get;
struct vly_cache_get {
    vly_cache_key key;
    vly_cache_stats *stats;
    /* What invalidates it, as "model:yolov8n"; the bytes are borrowed until it is over. Known before
     * it is computed, so that Redis can tell what was invalidated meanwhile (redis_tier.h). */
    vly_str tags[VLY_CACHE_TAGS_MAX];
    size_t n_tags;
    void *ctx; /* the caller's */
    /* After WAIT, once, on any thread, under no lock: value is set (HIT, as a reference for the
     * caller), or NULL: the lead is yours. */
    void (*ready)(vly_cache_get *g);
    vly_cache_value *value;
    vly_cache_get *next; /* private, as all below */
    vly_nsec begun_ns;
};

vly_cache_found vly_cache_lookup(vly_cache *c, vly_cache_get *g);
/* By the leader: keeps a copy of the bytes, hands it to who waits. */
void vly_cache_complete(vly_cache *c, vly_cache_get *g, vly_cache_class class, vly_str bytes);
void vly_cache_abandon(vly_cache *c, vly_cache_get *g);

/* Nothing that has this tag, in any tier, is found any more; also not what is computed now from
 * before. */
void vly_cache_invalidate(vly_cache *c, vly_str tag);
void vly_cache_clear(vly_cache *c);

#endif
