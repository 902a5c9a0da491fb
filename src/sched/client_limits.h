/* SPDX-License-Identifier: MIT */
/*
 * What one client may ask for: a token bucket and a number of requests in work for each key and for
 * each address (of IPv6 its /64). Pure: the clock is given. The table is bounded; a client that is
 * not in it when it is full takes the place of the one that has been silent for longest.
 *
 * Thread: any; one lock for each shard.
 */
#ifndef VLY_SCHED_CLIENT_LIMITS_H
#define VLY_SCHED_CLIENT_LIMITS_H

#include "base/clock.h"
#include "base/status.h"

typedef struct vly_client_limits vly_client_limits;

/* rate 0: without bound; so are the others. */
typedef struct vly_client_rule {
    double rate; /* requests a second */
    double burst;
    unsigned concurrency;
} vly_client_rule;

/* Takes one request of this client. EBUSY: too many; *ret_wait_ns then tells when to come again.
 * client: a hash of the key or the address. */
vly_status vly_client_limits_take(vly_client_limits *l, uint64_t client,
                                  const vly_client_rule *rule, vly_nsec now, vly_nsec *ret_wait_ns,
                                  vly_err *err) VLY_MUST_CHECK;
/* The request has been answered. */
void vly_client_limits_give(vly_client_limits *l, uint64_t client);

#endif
