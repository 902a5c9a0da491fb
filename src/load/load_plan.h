/* SPDX-License-Identifier: MIT */
/*
 * When requests are due: the rate as a function of time, and the arrivals that it makes. Pure: the
 * same seed gives the same arrivals.
 *
 * A plan is a list of phases, each with a rate that goes linearly from one value to another.
 *
 *   constant RATE            one phase
 *   ramp FROM..TO            one phase
 *   spike TOP@AT+FOR         three phases: the base, the top, the base again
 *   steps FROM..TO+STEP/FOR  one phase for each rate; the caller stops where an SLO breaks
 *
 * Arrivals are those of the rate's integral: the n-th is due when it reaches n (evenly spaced at a
 * constant rate), or, of a Poisson plan, when it reaches the sum of n exponential gaps of mean 1.
 * So a ramp has as many arrivals as the area below it, and independent users are a Poisson plan.
 */
#ifndef VLY_LOAD_LOAD_PLAN_H
#define VLY_LOAD_LOAD_PLAN_H

#include "base/clock.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define VLY_LOAD_PHASES_MAX   256
#define VLY_LOAD_RATE_MAX     1e7                                       /* requests a second */
#define VLY_LOAD_DURATION_MAX (UINT64_C(30) * 86400 * VLY_NSEC_PER_SEC) /* of a phase */

/* From rate `from` to rate `to`, in requests a second, linearly within duration_ns. */
typedef struct vly_load_phase {
    double from, to;
    vly_nsec duration_ns;
} vly_load_phase;

/* Zeroed: an empty plan. */
typedef struct vly_load_plan {
    vly_load_phase phases[VLY_LOAD_PHASES_MAX];
    size_t n_phases;
    bool is_poisson;
    uint64_t seed;
} vly_load_plan;

/* Appends a phase. EINVAL: a rate that is negative or past the maximum, both rates 0, no duration
 * or too long a one; ELIMIT: too many phases. */
vly_status vly_load_plan_add(vly_load_plan *p, double from, double to, vly_nsec duration_ns,
                             vly_err *err) VLY_MUST_CHECK;
/* The forms of the table above, as text. EINVAL, with the form that was expected; as add. */
vly_status vly_load_plan_ramp(vly_load_plan *p, vly_str text, vly_nsec duration_ns,
                              vly_err *err) VLY_MUST_CHECK;
vly_status vly_load_plan_spike(vly_load_plan *p, vly_str text, double base, vly_nsec duration_ns,
                               vly_err *err) VLY_MUST_CHECK;
vly_status vly_load_plan_steps(vly_load_plan *p, vly_str text, vly_err *err) VLY_MUST_CHECK;

/* "250us", "500ms", "1.5s", "2m", "1h"; a bare number is seconds. EINVAL: anything else, negative,
 * or past VLY_LOAD_DURATION_MAX. */
vly_status vly_load_duration_parse(vly_str text, vly_nsec *ret, vly_err *err) VLY_MUST_CHECK;

vly_nsec vly_load_plan_duration(const vly_load_plan *p);
double vly_load_plan_count(const vly_load_plan *p); /* arrivals: of a Poisson plan, their mean */
double vly_load_plan_rate(const vly_load_plan *p, vly_nsec at_ns); /* 0 behind the end */

/* The arrivals of phases first .. first + n - 1, in order; times count from the first's begin. */
typedef struct vly_load_arrivals {
    const vly_load_plan *plan; /* borrowed */
    size_t phase, end;
    vly_nsec phase_begin_ns;
    double due; /* the integral at which the next arrives, from the phase's begin */
    vly_rng rng;
} vly_load_arrivals;

void vly_load_arrivals_init(vly_load_arrivals *a, const vly_load_plan *plan, size_t first,
                            size_t n);
bool vly_load_arrivals_next(vly_load_arrivals *a, vly_nsec *ret_at_ns); /* false: no more */

#endif
