/* SPDX-License-Identifier: MIT */
/*
 * Redis (or Valkey) behind the memory of the cache, through hiredis, for servers that share what
 * they have computed. Where the build lacks hiredis, new fails with EUNSUPPORTED.
 *
 * One thread of its own holds the connection and pipelines; whoever asks only queues, and a queue
 * that is full answers at once. Redis that is away, slow or talking nonsense is a miss: when an
 * answer is later than opts.timeout_ms, when the connection is lost, and after opts.max_failures
 * errors in a row, the circuit opens (breaker.h): all that is asked becomes a miss, and every get
 * is refused at once until a probe has been answered in time. So one window of timeout_ms at most
 * is slow. Redis that is full refuses what is stored; stores then pause in the same way, and gets
 * go on.
 *
 * What is found is checked (redis_value.h); anything else under our keys is a miss, and counted. An
 * answer that would be longer than the longest value ends the connection: what a hostile server
 * can make us allocate is bounded.
 *
 * Tags. Each tag has a token, a random number, in Redis. A value is kept with the tokens of its
 * tags, as they were before it was computed, and counts only while they are the same. To invalidate
 * a tag is to delete its token: one command, whatever the number of values, which also a full Redis
 * takes; values without it are left to expire. A token that is used lives on (redis_renewal.h). A
 * get fetches the tokens and the value in one round trip. Rejected: a set of keys for each tag,
 * which grows with every request. What cannot be invalidated because Redis is away is kept (past
 * VLY_REDIS_OWED_MAX tags: as "all of them") and done before the circuit closes; it is lost with
 * the process.
 */
#ifndef VLY_CACHE_REDIS_TIER_H
#define VLY_CACHE_REDIS_TIER_H

#include "base/metrics.h"
#include "base/status.h"
#include "base/str.h"
#include "cache/cache_key.h"

#include <stdbool.h>

#define VLY_REDIS_TAGS_MAX 4
#define VLY_REDIS_OWED_MAX 256

typedef struct vly_redis vly_redis;

typedef struct vly_redis_opts {
    const char *url;           /* sys/redis_url.h */
    const char *password_file; /* its first line goes before the URL's password; NULL, "": none */
    const char *prefix;        /* of every key: "volley:" */
    unsigned connect_ms, timeout_ms;
    unsigned max_failures;
    unsigned retry_min_ms, retry_max_ms;
    size_t max_waiting;     /* gets queued or under way, and as many stores */
    size_t max_value_bytes; /* longer ones are not stored, and never read */
    size_t max_out_bytes;   /* of values on their way to Redis; more are not stored */
    /* On the thread of Redis: gets are answered, or are not any more and why; of attempts that fail
     * in a row the first. NULL: nobody wants to know. */
    void (*on_state)(void *ctx, bool is_on, const char *why);
    void *ctx;
} vly_redis_opts;

typedef struct vly_redis_stats {
    vly_counter gets, hits, misses, refused; /* refused: circuit open, or queue full */
    vly_counter sets, sets_dropped, sets_failed;
    vly_counter invalidations;
    vly_counter failures, timeouts, malformed, connects, openings;
    vly_gauge is_open;         /* 1: gets are refused; also before the first connection */
    vly_gauge is_store_paused; /* 1: Redis takes no values */
    vly_histogram get_ns;      /* of gets that were answered */
} vly_redis_stats;

/* What a value depends on, as it was when it was asked for; private. Zeroed: not known, and then
 * nothing is stored under it. */
typedef struct vly_redis_tags {
    uint64_t ids[VLY_REDIS_TAGS_MAX + 1];
    uint64_t tokens[VLY_REDIS_TAGS_MAX + 1]; /* 0: not known */
    size_t n;
} vly_redis_tags;

/* Embedded in the request; the tier's from ask to done. */
typedef struct vly_redis_get vly_redis_get;
struct vly_redis_get {
    vly_cache_key key;
    void *ctx; /* the caller's */
    /* Once, on the thread of Redis, timeout_ms later at the latest; must not block. value.ptr NULL:
     * a miss; else bytes borrowed for the call. */
    void (*done)(vly_redis_get *g, vly_str value);
    vly_redis_tags tags; /* for vly_redis_store, after done */
    uint64_t ttl_ms;     /* of a hit: what is left of it */
    uint32_t meta;       /* of a hit: as it was stored */
    uint64_t begun_ns;   /* private, as all below */
    vly_redis_get *next;
};

/* Does not wait for Redis. EINVAL: url; ENOTFOUND, EIO: the password file, no thread; ENOMEM. */
vly_status vly_redis_new(const vly_redis_opts *opts, vly_redis **ret, vly_err *err) VLY_MUST_CHECK;
/* Every get still gets its done. Waits for a lookup of the host's name. Accepts NULL. */
void vly_redis_free(vly_redis *r);

/* False: refused, done is not called. n_tags <= VLY_REDIS_TAGS_MAX, read within the call only.
 * Thread: any. */
bool vly_redis_ask(vly_redis *r, vly_redis_get *g, const vly_str *tags, size_t n_tags);
/* Keeps a copy of the bytes, and meta, for ttl_ms; best effort. tags: of the get that missed.
 * False: it is not even tried. Thread: any. */
bool vly_redis_store(vly_redis *r, vly_cache_key key, const vly_redis_tags *tags, vly_str bytes,
                     uint32_t meta, uint64_t ttl_ms);
/* Nothing stored under this tag is found by a get that is asked for later, here at once, on other
 * servers as soon as Redis has heard of it; VLY_STR(""): nothing at all. Thread: any. */
void vly_redis_invalidate(vly_redis *r, vly_str tag);
const vly_redis_stats *vly_redis_get_stats(const vly_redis *r);

#endif
