/* SPDX-License-Identifier: MIT */
/*
 * Redis (or Valkey) behind the memory of the cache, through hiredis, for servers that share what
 * they have computed.
 *
 * One thread of its own holds the connection; whoever asks only queues, and a queue that is full
 * answers at once. Redis that is away, slow, full or talking nonsense is a miss: after
 * opts.max_failures in a row, or an answer later than opts.timeout_ms, the circuit is open, every
 * get is refused at once, and the connection is tried again after a time that doubles from
 * opts.retry_min_ms to opts.retry_max_ms, with jitter.
 */
#ifndef VLY_CACHE_REDIS_TIER_H
#define VLY_CACHE_REDIS_TIER_H

#include "base/buf.h"
#include "base/metrics.h"
#include "base/status.h"
#include "cache/cache_key.h"

#include <stdbool.h>

typedef struct vly_redis vly_redis;

typedef struct vly_redis_opts {
    const char *url;    /* redis://[USER:PASSWORD@]HOST[:PORT][/DB], unix:PATH */
    const char *prefix; /* of every key: "volley:" */
    unsigned connect_ms, timeout_ms;
    unsigned max_failures;
    unsigned retry_min_ms, retry_max_ms;
    size_t max_waiting;   /* operations queued or under way */
    size_t max_out_bytes; /* of values on their way to Redis; more are not stored */
} vly_redis_opts;

typedef struct vly_redis_stats {
    vly_counter gets, hits, misses, refused; /* refused: circuit open, or queue full */
    vly_counter sets, sets_dropped;
    vly_counter failures, timeouts, malformed, reconnects, openings;
    vly_gauge is_open; /* 1: the circuit is open */
    vly_histogram get_ns;
} vly_redis_stats;

typedef struct vly_redis_get vly_redis_get;
struct vly_redis_get {
    vly_cache_key key;
    void *ctx; /* the caller's */
    /* Once, on the thread of Redis, within timeout_ms, whatever happens; must not block. value
     * empty: a miss; else its bytes, which the callee may take. */
    void (*done)(vly_redis_get *g, vly_buf *value);
    vly_redis_get *next; /* private */
};

/* Does not wait for Redis: EINVAL, ENOMEM only. */
vly_status vly_redis_new(const vly_redis_opts *opts, vly_redis **ret, vly_err *err) VLY_MUST_CHECK;
void vly_redis_free(vly_redis *r); /* every get gets its done; accepts NULL */
/* False: refused, done is not called. Thread: any. */
bool vly_redis_ask(vly_redis *r, vly_redis_get *g);
/* Keeps a copy of the bytes for ttl_ms, and what invalidates it; best effort. Thread: any. */
void vly_redis_store(vly_redis *r, vly_cache_key key, vly_str bytes, uint64_t ttl_ms,
                     const vly_str *tags, size_t n_tags);
void vly_redis_invalidate(vly_redis *r, vly_str tag);
const vly_redis_stats *vly_redis_get_stats(const vly_redis *r);

#endif
