/* SPDX-License-Identifier: MIT */
/*
 * Result cache: bytes by key, in memory and, when there is one, in Redis behind it.
 *
 *     lookup -> HIT    the bytes, at once, from memory
 *            -> LEAD   nobody has them: the caller computes them, then completes or abandons
 *            -> WAIT   somebody computes the same, or Redis is asked: ready is called later, with
 *                      the bytes, or with the lead, or because the deadline has passed
 *            -> LATE   somebody computes the same, but will not even begin before the deadline
 *
 * So of any number of equal requests one runs (single flight). A leader that abandons passes the
 * lead to who can wait longest of those whose client is there; errors are never cached. Each who
 * waits for a leader has his own deadline, by an alarm.
 *
 * Memory tier: shards with a byte budget each (cache/memory_tier.h). Values past a size are kept
 * compressed. Every entry has a time to live by its class, which may grow and shrink with how often
 * its model's results are found.
 *
 * Invalidation is by epochs: a counter that each invalidation raises. An entry knows the epoch in
 * which its computation began, a table of tags the epoch in which each was invalidated last, so
 * that a result is dead from that moment on, also one still being computed. The table has a fixed
 * size; tags that share a place are invalidated together, which costs a computation, never a wrong
 * answer.
 *
 * Thread: any. Nothing here blocks, but new and free; invalidate and clear take as long as looking
 * at every entry does.
 */
#ifndef VLY_CACHE_RESULT_CACHE_H
#define VLY_CACHE_RESULT_CACHE_H

#include "base/metrics.h"
#include "cache/cache_value.h"
#include "cache/memory_tier.h"
#include "cache/redis_tier.h"
#include "sys/alarm.h"

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

typedef struct vly_cache_opts {
    size_t memory_bytes; /* 0: nothing is kept in memory */
    _Atomic vly_nsec ttl_ns[VLY_CACHE_CLASS_N];
    _Atomic bool is_ttl_dynamic; /* half to double of these, by the hit rate of the model */
    vly_cache_packing packing;   /* of values of pack_min_bytes and more */
    size_t pack_min_bytes;
    size_t max_plain_bytes; /* of a value from Redis, unpacked: what this server would not keep */
    vly_redis *redis;       /* borrowed until detach; NULL: none */
    vly_alarms *alarms;     /* outlive all lookups; NULL: nobody has a deadline */
    vly_nsec (*now)(void);  /* NULL: vly_clock_now */
} vly_cache_opts;

vly_status vly_cache_new(const vly_cache_opts *opts, vly_cache **ret, vly_err *err) VLY_MUST_CHECK;
/* The times of opts, and whether they are dynamic, for what is kept from now on. Thread: any. */
void vly_cache_set_times(vly_cache *c, const vly_cache_opts *opts);
/* Redis is not asked any more; who waits for it still hears, when it is freed. */
void vly_cache_detach(vly_cache *c);
/* Nobody leads or waits any more. Accepts NULL. */
void vly_cache_free(vly_cache *c);

/* Of one model; embedded in what lives as long as its lookups. */
typedef struct vly_cache_stats {
    vly_counter memory_hits, redis_hits, shared; /* shared: got a leader's bytes */
    vly_counter misses;
    vly_counter insertions, refused; /* by the admission filter, or larger than a value may be */
    vly_histogram hit_ns, miss_ns;   /* of lookup, or wait; of lookup and insertion */
} vly_cache_stats;

typedef enum vly_cache_found {
    VLY_CACHE_HIT,
    VLY_CACHE_LEAD,
    VLY_CACHE_WAIT,
    VLY_CACHE_LATE
} vly_cache_found;

/* How the bytes came. */
typedef enum vly_cache_origin {
    VLY_CACHE_FROM_NOBODY, /* the caller computes them */
    VLY_CACHE_FROM_MEMORY,
    VLY_CACHE_FROM_REDIS,
    VLY_CACHE_FROM_LEADER,
} vly_cache_origin;

/* One lookup, embedded in the request; the cache's until it is HIT, LATE, complete or abandoned. */
typedef struct vly_cache_get vly_cache_get;
struct vly_cache_get {
    vly_cache_key key;
    vly_cache_class class;
    const vly_str *tags; /* of what may be stored: "model:yolov8n". Borrowed until the end */
    size_t n_tags;       /* at most VLY_CACHE_TAGS_MAX */
    vly_cache_stats *stats;
    void *ctx;                   /* the caller's */
    const _Atomic bool *is_gone; /* who has asked does not want it any more; NULL: he does */
    vly_nsec deadline_ns;     /* he waits for a leader no longer than this; 0: as long as needed */
    _Atomic bool has_company; /* others wait for what this one leads */
    /* When what this one leads is expected to begin, by who runs it; 0: nobody knows, or it has. */
    _Atomic vly_nsec starts_ns;
    /* After WAIT, once, on any thread, under no lock: value is set (a HIT), or is_late is (LATE),
     * or else the lead is yours. Must not block, and should leave what takes long to others. */
    void (*ready)(vly_cache_get *g);

    vly_cache_value *value; /* of a HIT: the caller's reference, for vly_cache_unpack */
    vly_cache_origin origin;
    bool is_late;
    bool is_kept;      /* of a leader, when it is complete: in memory, or on its way to Redis */
    vly_nsec begun_ns; /* when it was looked up */

    /* Private. */
    vly_nsec looked_ns;
    uint64_t epoch;
    bool is_alone; /* leads without a flight */
    vly_cache_get *next, *before;
    vly_cache_get *first, *last; /* who waits for this leader */
    uint64_t flight;             /* the number of that in which it is; 0: in none */
    vly_alarm alarm;             /* of the deadline */
    vly_cache *cache;
    vly_redis_get remote;
};

/* What became of a lookup, for logs and headers. */
typedef struct vly_cache_outcome {
    bool was_asked;
    vly_cache_origin origin;
    uint64_t made_unix_ms; /* when the bytes were computed; 0: by the caller, now */
} vly_cache_outcome;

/* Of a lookup that has ended, while its value is there. */
static inline vly_cache_outcome vly_cache_outcome_of(const vly_cache_get *g)
{
    return (vly_cache_outcome){true, g->origin, g->value != NULL ? g->value->made_unix_ms : 0};
}

vly_cache_found vly_cache_lookup(vly_cache *c, vly_cache_get *g);
/* The lead whatever is there, at once or after WAIT: what is completed takes the place of what was
 * known. */
vly_cache_found vly_cache_lead(vly_cache *c, vly_cache_get *g);
/* Makes the bytes of a HIT plain, which takes time and memory as value->plain_len is long: not on a
 * loop thread where that is much. False: no memory, or no bytes of ours; then reject it. */
bool vly_cache_unpack(vly_cache_get *g);
/* Of a HIT that the caller cannot use: gives its value back, and he leads; what he completes takes
 * its place. */
void vly_cache_reject(vly_cache *c, vly_cache_get *g);
/* By the leader: keeps a copy of the bytes, hands it to who waits. */
void vly_cache_complete(vly_cache *c, vly_cache_get *g, vly_str bytes);
/* The same, but nothing is kept: the bytes may be no longer what the key says. */
void vly_cache_share(vly_cache *c, vly_cache_get *g, vly_str bytes);
void vly_cache_abandon(vly_cache *c, vly_cache_get *g);

/* Nothing that has one of these tags, in any tier, is found any more; also not what is computed now
 * from before. Returns how many entries of memory went. */
size_t vly_cache_invalidate(vly_cache *c, const vly_str *tags, size_t n_tags);
/* The same of everything. */
size_t vly_cache_clear(vly_cache *c);

/* Of the memory tier and of all lookups, at one moment. */
typedef struct vly_cache_totals {
    uint64_t entries, bytes, max_bytes;
    uint64_t lookups, hits, misses, insertions, evictions, refused, expired, invalidated;
    uint64_t lookup_ns, insertion_ns;
} vly_cache_totals;

void vly_cache_get_totals(vly_cache *c, vly_cache_totals *ret);
const vly_cache_opts *vly_cache_get_opts(const vly_cache *c);

#endif
