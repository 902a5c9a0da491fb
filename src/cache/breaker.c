/* SPDX-License-Identifier: MIT */
#include "cache/breaker.h"

#include "base/assert.h"

void vly_breaker_init(vly_breaker *b, unsigned max_failures, vly_nsec min_ns, vly_nsec max_ns,
                      uint64_t seed)
{
    VLY_ASSERT(max_failures >= 1 && min_ns > 0 && min_ns <= max_ns);
    *b = (vly_breaker){
        .max_failures = max_failures, .min_ns = min_ns, .max_ns = max_ns, .wait_ns = min_ns};
    vly_rng_init(&b->rng, seed, 0);
}

bool vly_breaker_try(vly_breaker *b, vly_nsec now)
{
    if (b->state == VLY_BREAKER_CLOSED)
        return true;
    if (b->state == VLY_BREAKER_PROBING || now < b->retry_ns)
        return false;
    b->state = VLY_BREAKER_PROBING;
    return true;
}

void vly_breaker_ok(vly_breaker *b)
{
    if (b->state == VLY_BREAKER_OPEN)
        return;
    if (b->state == VLY_BREAKER_CLOSED)
        b->wait_ns = b->min_ns;
    b->state = VLY_BREAKER_CLOSED;
    b->n_failures = 0;
}

void vly_breaker_trip(vly_breaker *b, vly_nsec now)
{
    vly_nsec half = b->wait_ns / 2;
    vly_nsec spread = b->wait_ns - half;

    b->retry_ns = now + half + (vly_nsec)((double)vly_rng_uniform(&b->rng) * (double)spread);
    b->wait_ns = b->wait_ns < b->max_ns - b->wait_ns ? b->wait_ns * 2 : b->max_ns;
    b->state = VLY_BREAKER_OPEN;
    b->n_failures = 0;
}

bool vly_breaker_fail(vly_breaker *b, vly_nsec now)
{
    if (b->state == VLY_BREAKER_OPEN)
        return false;
    if (b->state == VLY_BREAKER_CLOSED && ++b->n_failures < b->max_failures)
        return false;
    vly_breaker_trip(b, now);
    return true;
}
