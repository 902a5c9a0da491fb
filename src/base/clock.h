/* SPDX-License-Identifier: MIT */
/* Monotonic time in nanoseconds: the only clock for durations, deadlines and timeouts. */
#ifndef VLY_BASE_CLOCK_H
#define VLY_BASE_CLOCK_H

#include <stdint.h>

typedef uint64_t vly_nsec;

#define VLY_NSEC_PER_SEC UINT64_C(1000000000)
#define VLY_NSEC_PER_MS  UINT64_C(1000000)
#define VLY_NSEC_PER_US  UINT64_C(1000)

vly_nsec vly_clock_now(void);     /* CLOCK_MONOTONIC */
uint64_t vly_clock_unix_ms(void); /* wall clock, for log lines, answers and traces only */
uint64_t vly_clock_unix_ns(void);

static inline double vly_clock_ms(vly_nsec d)
{
    return (double)d / 1e6;
}

#endif
