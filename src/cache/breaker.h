/* SPDX-License-Identifier: MIT */
/*
 * Circuit breaker: whether to bother somebody who may be out of order.
 *
 *     CLOSED --max_failures in a row, or tripped--> OPEN --the wait is over, asked--> PROBING
 *       ^                                             ^                                  |
 *       +------------------- ok ----------------------+------------ failed --------------+
 *
 * In PROBING one try is under way, the others are refused. The wait doubles each time, from min_ns
 * to max_ns, and is drawn from its upper half, so that many who lost the same server do not come
 * back at once. It begins at min_ns again only when something went well after the probe: who
 * answers probes and nothing else is not hammered.
 *
 * Pure: the clock is given, the seed decides the jitter. Owner: one thread at a time.
 */
#ifndef VLY_CACHE_BREAKER_H
#define VLY_CACHE_BREAKER_H

#include "base/clock.h"
#include "base/rng.h"

#include <stdbool.h>

typedef enum vly_breaker_state {
    VLY_BREAKER_CLOSED,
    VLY_BREAKER_OPEN,
    VLY_BREAKER_PROBING
} vly_breaker_state;

typedef struct vly_breaker {
    unsigned max_failures; /* >= 1 */
    vly_nsec min_ns, max_ns;
    vly_rng rng;
    vly_breaker_state state;
    unsigned n_failures; /* in a row, while CLOSED */
    vly_nsec wait_ns;    /* of the next opening, before jitter */
    vly_nsec retry_ns;   /* OPEN: when to probe */
} vly_breaker;

/* CLOSED. max_failures >= 1, 0 < min_ns <= max_ns. */
void vly_breaker_init(vly_breaker *b, unsigned max_failures, vly_nsec min_ns, vly_nsec max_ns,
                      uint64_t seed);
/* May it be tried now? After true while OPEN the caller owes an ok or a fail. */
bool vly_breaker_try(vly_breaker *b, vly_nsec now);
void vly_breaker_ok(vly_breaker *b);
/* One failure. True: it has opened by this. Ignored while OPEN: an answer that was still due. */
bool vly_breaker_fail(vly_breaker *b, vly_nsec now);
/* Opens whatever the count. */
void vly_breaker_trip(vly_breaker *b, vly_nsec now);

#endif
