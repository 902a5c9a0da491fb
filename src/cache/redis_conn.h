/* SPDX-License-Identifier: MIT */
/*
 * One connection to Redis that never waits: commands go out in order, each reply comes back with
 * what was sent along, in the same order. Nothing is known here of what they mean.
 *
 * Input is bounded: when more than max_reply_bytes have come that make no whole reply, and when a
 * reply comes that nobody waits for, the connection is at its end.
 *
 * Owner: one thread, which blocks SIGPIPE.
 */
#ifndef VLY_CACHE_REDIS_CONN_H
#define VLY_CACHE_REDIS_CONN_H

#include "base/status.h"
#include "cache/redis_reply.h"
#include "sys/redis_url.h"

#include <stdbool.h>
#include <stdint.h>

/* Who waits for a reply. */
typedef struct vly_redis_waiter {
    /* NULL: the connection has ended without it. May send, must not close. */
    void (*on_reply)(void *ctx, const struct vly_redis_waiter *w, const vly_redis_reply *reply);
    void *obj;
    uint64_t number;
} vly_redis_waiter;

typedef struct vly_redis_conn {
    redisContext *redis; /* NULL: none */
    redisReplyObjectFunctions functions;
    bool is_connected;
    bool wants_write;
    size_t max_reply_bytes;
    vly_redis_waiter *ring; /* of waiters, oldest first */
    size_t n_ring, head, n_waiting;
    void *ctx; /* of on_reply */
} vly_redis_conn;

/* max_waiting: replies outstanding at a time. False: no memory. */
bool vly_redis_conn_init(vly_redis_conn *c, size_t max_waiting, size_t max_reply_bytes, void *ctx);
void vly_redis_conn_release(vly_redis_conn *c); /* closed; accepts a zeroed one */

/* Begins to connect. Looking up a name waits for the system's resolver. EIO, ENOMEM. */
vly_status vly_redis_conn_open(vly_redis_conn *c, const vly_redis_url *url,
                               vly_err *err) VLY_MUST_CHECK;
/* Ends it; everybody who waits is told. Nothing happens where none is open. */
void vly_redis_conn_close(vly_redis_conn *c);

/* One command, kept until the socket takes it; true even if the connection has failed meanwhile.
 * False: too many are outstanding, or no memory; on_reply is not called. */
bool vly_redis_conn_send(vly_redis_conn *c, vly_redis_waiter w, const vly_str *args, size_t n_args);

int vly_redis_conn_fd(const vly_redis_conn *c); /* -1: none */
/* What to poll for. */
short vly_redis_conn_events(const vly_redis_conn *c);
/* Does what the socket is ready for. EIO: it has ended; EFORMAT: what came is no Redis. The caller
 * then closes. */
vly_status vly_redis_conn_serve(vly_redis_conn *c, short events, vly_err *err) VLY_MUST_CHECK;
/* Sends what it can at once. */
vly_status vly_redis_conn_flush(vly_redis_conn *c, vly_err *err) VLY_MUST_CHECK;

#endif
