/* SPDX-License-Identifier: MIT */
/*
 * When the token of a tag is to live on: once in a quarter of its life, however often it is used,
 * so that it lives three quarters of VLY_REDIS_TOKEN_NS at least after its last use.
 *
 * A table of what this process has renewed, of a fixed size: tags that share a place renew more
 * often than they must, never less. Pure: the clock is given. Owner: one thread at a time.
 */
#ifndef VLY_CACHE_REDIS_RENEWAL_H
#define VLY_CACHE_REDIS_RENEWAL_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

#define VLY_REDIS_TOKEN_NS     (86400 * VLY_NSEC_PER_SEC) /* a day */
#define VLY_REDIS_RENEWALS_MAX 256

/* Zeroed: none was renewed. */
typedef struct vly_redis_renewals {
    struct {
        uint64_t tag;
        vly_nsec at_ns; /* 0: never */
    } last[VLY_REDIS_RENEWALS_MAX];
} vly_redis_renewals;

/* The token of this tag is used; true: it is due, and counts as renewed now. now > 0. */
bool vly_redis_renewal_is_due(vly_redis_renewals *r, uint64_t tag, vly_nsec now);

#endif
