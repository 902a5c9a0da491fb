/* SPDX-License-Identifier: MIT */
/*
 * Which arm of a route a request goes to. Pure: what comes out depends on what goes in alone, here,
 * after a restart, and on another server.
 *
 * With a session: weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after
 * Schindelhauer and Schomaker 2005). For each arm the session and the arm give a number u in (0,
 * 1); the arm with the largest -weight / ln u has it. So arm i gets weight[i] / sum of the
 * sessions, and when one weight changes sessions move only from or to that arm, no more than they
 * must.
 *
 *     session = FNV-1a-64(id)
 *     arm     = FNV-1a-64(route 0 salt 0 model 0 version 0)
 *     u       = (mix(arm, session) >> 11) + 1/2 in units of 2^-53      mix: vly_rng_mix
 *
 * Without a session: the n-th request goes where the fractional part of n times the golden ratio
 * falls, so that any run of requests is split as the weights say to within a few.
 */
#ifndef VLY_SCHED_MODEL_ROUTES_CHOICE_H
#define VLY_SCHED_MODEL_ROUTES_CHOICE_H

#include "base/str.h"

typedef struct vly_route_choice {
    uint64_t arm;  /* vly_route_arm_hash */
    double weight; /* 0: never chosen */
} vly_route_choice;

uint64_t vly_route_session_hash(vly_str id); /* never 0, which stands for no session: then 1 */
uint64_t vly_route_arm_hash(vly_str route, vly_str salt, vly_str model, vly_str version);

/* The index of the chosen one of n; n when no weight is above 0. */
size_t vly_route_choose_sticky(const vly_route_choice *arms, size_t n, uint64_t session);
size_t vly_route_choose_spread(const vly_route_choice *arms, size_t n, uint64_t number);
/* Is request `number` one of the share (0..1) that is picked out evenly? */
bool vly_route_is_sampled(double share, uint64_t number);

#endif
