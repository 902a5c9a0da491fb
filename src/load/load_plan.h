/* SPDX-License-Identifier: MIT */
/*
 * When requests are due: the rate as a function of time, and the arrivals that it makes. Pure: the
 * same seed gives the same arrivals.
 *
 *   constant RATE            every 1/RATE s
 *   poisson RATE             exponential gaps
 *   ramp FROM..TO over TIME  linear; constant or exponential gaps
 *   spike BASE, TOP at/for   a step up and down again
 *   soak                     constant, for hours: drift of latency and memory is told
 *   step FROM+STEP each TIME until an SLO breaks: the last rate that held is the answer
 */
#ifndef VLY_LOAD_LOAD_PLAN_H
#define VLY_LOAD_LOAD_PLAN_H

#include "base/clock.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>

#define VLY_LOAD_PHASES_MAX 256

/* From rate `from` to rate `to`, in requests a second, linearly within duration_ns. */
typedef struct vly_load_phase {
    double from, to;
    vly_nsec duration_ns;
} vly_load_phase;

typedef struct vly_load_plan {
    vly_load_phase phases[VLY_LOAD_PHASES_MAX];
    size_t n_phases;
    bool is_poisson;
    uint64_t seed;
} vly_load_plan;

#endif
