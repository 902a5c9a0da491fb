/* SPDX-License-Identifier: MIT */
/*
 * Rate limiter: named resources that instances hold while they run (Triton's
 * instance_group.rate_limiter). An instance begins a turn when it gets all it needs at once.
 *
 * There are as many of a resource as the setting says, else as many as the instance that needs most
 * of them. Those that wait get them in the order of their shares: an instance of priority 2 half
 * as often as one of priority 1. Nobody overtakes another who waits for the same resource, so that
 * large needs are met as well.
 *
 * Thread: any. The limiter outlives the claims.
 */
#ifndef VLY_SCHED_RATE_LIMIT_H
#define VLY_SCHED_RATE_LIMIT_H

#include "base/status.h"
#include "codec/triton_config.h"

#include <stdbool.h>

#define VLY_RATE_NEEDS_MAX     16  /* of one instance */
#define VLY_RATE_RESOURCES_MAX 256 /* of the process */

typedef struct vly_rate_limiter vly_rate_limiter;

typedef struct vly_rate_need {
    size_t resource;
    uint64_t count;
} vly_rate_need;

/* What one instance needs. Zeroed but for granted: nothing. */
typedef struct vly_rate_claim {
    /* What was not to be had at once is there now. On the thread that released it, no lock held. */
    void (*granted)(struct vly_rate_claim *c);
    size_t n_needs; /* private, as all below */
    vly_rate_need needs[VLY_RATE_NEEDS_MAX];
    uint64_t priority, pass;
    struct vly_rate_claim *next;
} vly_rate_claim;

/* capacities: "R1=4,R2=2", or "". EINVAL names the part, ENOMEM. */
vly_status vly_rate_limiter_new(const char *capacities, vly_rate_limiter **ret,
                                vly_err *err) VLY_MUST_CHECK;
void vly_rate_limiter_free(vly_rate_limiter *l); /* nobody may hold or wait; accepts NULL */

/* Fills in the needs of c. config NULL: none. EINVAL: it needs more than there ever will be;
 * ELIMIT: too many resources. */
vly_status vly_rate_claim_init(vly_rate_limiter *l, const vly_triton_rate_limiter *config,
                               vly_rate_claim *c, vly_err *err) VLY_MUST_CHECK;
/* True: c holds what it needs. False: it waits, granted will be called. */
bool vly_rate_claim_take(vly_rate_limiter *l, vly_rate_claim *c);
void vly_rate_claim_release(vly_rate_limiter *l, vly_rate_claim *c);

#endif
