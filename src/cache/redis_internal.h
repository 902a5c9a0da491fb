/* SPDX-License-Identifier: MIT */
/*
 * The Redis tier from within: what its two files share. redis_tier.c has the interface, the thread
 * and the connection; redis_ops.c says what a get, a set and an invalidation are to Redis.
 */
#ifndef VLY_CACHE_REDIS_INTERNAL_H
#define VLY_CACHE_REDIS_INTERNAL_H

#include "cache/breaker.h"
#include "cache/redis_conn.h"
#include "cache/redis_renewal.h"
#include "cache/redis_tier.h"

#include <pthread.h>

#define VLY_REDIS_PREFIX_MAX 64
#define VLY_REDIS_NAME_BYTES (VLY_REDIS_PREFIX_MAX + 40) /* prefix, "tag:", 32 digits */
#define VLY_REDIS_WHY_MAX    256
#define VLY_REDIS_ALL_TAGS   UINT64_C(0) /* the tag that everything has */
/* MGET, PTTL, GETRANGE; SET and PEXPIRE of each token */
#define VLY_REDIS_REPLIES_OF_GET (3 + 2 * (VLY_REDIS_TAGS_MAX + 1))

/* A value on its way to Redis. */
typedef struct vly_redis_set_op {
    struct vly_redis_set_op *next;
    vly_cache_key key;
    uint64_t ttl_ms;
    size_t len;
    char raw[]; /* as redis_value.h has it */
} vly_redis_set_op;

typedef struct vly_redis_queue {
    vly_redis_get *gets, **gets_end;
    vly_redis_set_op *sets, **sets_end;
    uint64_t owed[VLY_REDIS_OWED_MAX]; /* tags to invalidate */
    size_t n_owed;
} vly_redis_queue;

typedef enum vly_redis_state { VLY_REDIS_OFF, VLY_REDIS_GREETING, VLY_REDIS_ON } vly_redis_state;

struct vly_redis {
    vly_redis_opts opts;
    vly_redis_url url;
    char prefix[VLY_REDIS_PREFIX_MAX + 1];
    pthread_t thread;
    bool has_thread;
    int wake; /* eventfd; -1: none */
    vly_redis_stats stats;

    pthread_mutex_t lock; /* guards these */
    bool is_open;
    bool is_stopping;
    vly_redis_queue in;
    size_t n_gets, n_sets, out_bytes; /* queued or under way */
    vly_breaker store_breaker;

    /* owner of the rest: the thread */
    vly_redis_conn conn;
    vly_redis_state state;
    vly_breaker breaker;
    vly_nsec deadline_ns;                /* of the greeting */
    vly_redis_get *oldest, **oldest_end; /* gets under way */
    bool get_failed;                     /* a reply to the oldest was an error */
    uint64_t n_tokens;                   /* made; with seed, what the next one is */
    uint64_t seed;
    vly_redis_renewals renewals; /* of tokens, on this connection */
    char why[VLY_REDIS_WHY_MAX]; /* the connection is to end; empty: it is not */
    bool is_quiet;               /* on_state has heard of it */
};

/* Under the lock. Past the bound everything is owed. */
void vly_redis_owe(vly_redis_queue *q, uint64_t id);
uint64_t vly_redis_tag_id(vly_str tag);
vly_str vly_redis_tag_name(const vly_redis *r, uint64_t id, char name[VLY_REDIS_NAME_BYTES]);

/* Thread: that of Redis, as all below. */

/* The connection is to end. why may be the server's own words: for a log they are made printable.
 */
void vly_redis_give_up(vly_redis *r, vly_str why);
/* Sends it, or ends it where there is no connection. */
void vly_redis_start_get(vly_redis *r, vly_redis_get *g);
void vly_redis_start_set(vly_redis *r, vly_redis_set_op *op);
/* All that are under way have a miss. */
void vly_redis_end_gets(vly_redis *r);
void vly_redis_send_owed(vly_redis *r);

#endif
