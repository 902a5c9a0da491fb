/* SPDX-License-Identifier: MIT */
/*
 * What one client may ask for: a token bucket and a number of requests in work for each key and for
 * each address (of IPv6 its /64). Pure: the clock is given; it may go back by the jitter between
 * threads, which counts as no time.
 *
 * The table is bounded and made at once, with places for max_clients that are hashes of something,
 * and some more. A client that is not in it when its part is full takes the
 * place of the one that has been silent for longest and has nothing in work, and begins with a full
 * bucket: the table should hold as many clients as come within the time that fills a bucket.
 *
 * Thread: any; one lock for each part of the table.
 */
#ifndef VLY_SCHED_CLIENT_LIMITS_H
#define VLY_SCHED_CLIENT_LIMITS_H

#include "base/clock.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_client_limits vly_client_limits;

/* rate 0: without bound, and so are the others. */
typedef struct vly_client_rule {
    double rate;  /* requests a second */
    double burst; /* requests at once, after a silence; at least 1 */
    unsigned concurrency;
} vly_client_rule;

/* How it stands after a request. */
typedef struct vly_client_state {
    double left;      /* requests that may come at once; 0 of a rule without rate */
    vly_nsec full_ns; /* until as many may come as after a silence */
    vly_nsec wait_ns; /* EBUSY: when to come again */
} vly_client_state;

/* ENOMEM. max_clients: at least 1. */
vly_status vly_client_limits_new(size_t max_clients, vly_client_limits **ret,
                                 vly_err *err) VLY_MUST_CHECK;
void vly_client_limits_free(vly_client_limits *l); /* accepts NULL */

/* Whether a request of this client would be taken now; nothing changes. */
bool vly_client_limits_would_take(vly_client_limits *l, uint64_t client,
                                  const vly_client_rule *rule, vly_nsec now);
/* Takes one request of this client into work. EBUSY: too many, which the message tells apart; *ret
 * is set then too. client: a hash of the key or the address. */
vly_status vly_client_limits_take(vly_client_limits *l, uint64_t client,
                                  const vly_client_rule *rule, vly_nsec now, vly_client_state *ret,
                                  vly_err *err) VLY_MUST_CHECK;
/* A request that was taken has been answered. */
void vly_client_limits_give(vly_client_limits *l, uint64_t client);
/* A message on a stream that was taken: of the bucket only. */
vly_status vly_client_limits_spend(vly_client_limits *l, uint64_t client,
                                   const vly_client_rule *rule, vly_nsec now, vly_client_state *ret,
                                   vly_err *err) VLY_MUST_CHECK;

#endif
