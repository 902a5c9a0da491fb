/* SPDX-License-Identifier: MIT */
#include "sched/model_routes_choice.h"

#include "base/fnv1a.h"
#include "base/rng.h"

#include <math.h>

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15) /* 2^64 over the golden ratio */
#define ROOT2  UINT64_C(0x6a09e667f3bcc909) /* 2^64 (sqrt(2) - 1) */

uint64_t vly_route_session_hash(vly_str id)
{
    uint64_t hash = vly_fnv1a(VLY_FNV1A, id.ptr, id.len);
    return hash != 0 ? hash : 1;
}

/* The NUL keeps "a" + "bc" apart from "ab" + "c". */
static uint64_t add(uint64_t sum, vly_str s)
{
    return vly_fnv1a(vly_fnv1a(sum, s.ptr, s.len), "", 1);
}

uint64_t vly_route_arm_hash(vly_str route, vly_str salt, vly_str model, vly_str version)
{
    return add(add(add(add(VLY_FNV1A, route), salt), model), version);
}

/* The upper 53 bits as a number in [0, 1). */
static double fraction(uint64_t x)
{
    return (double)(x >> 11) * 0x1p-53;
}

size_t vly_route_choose_sticky(const vly_route_choice *arms, size_t n, uint64_t session)
{
    size_t best = n;
    double best_score = 0;

    for (size_t i = 0; i < n; i++) {
        if (!(arms[i].weight > 0))
            continue;
        double u = fraction(vly_rng_mix(arms[i].arm, session)) + 0x1p-54;
        double score = -arms[i].weight / log(u);
        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

size_t vly_route_choose_spread(const vly_route_choice *arms, size_t n, uint64_t number)
{
    double sum = 0;
    size_t last = n;

    for (size_t i = 0; i < n; i++)
        sum += arms[i].weight;
    double at = fraction(number * GOLDEN) * sum;
    for (size_t i = 0; i < n; i++) {
        if (!(arms[i].weight > 0))
            continue;
        if (at < arms[i].weight)
            return i;
        at -= arms[i].weight;
        last = i; /* what rounding leaves at the end is the last one's */
    }
    return last;
}

/* Not by the steps that spread the arms: the sample would be of one arm only. */
bool vly_route_is_sampled(double share, uint64_t number)
{
    return fraction(number * ROOT2) < share;
}
