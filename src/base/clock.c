/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <time.h>

vly_nsec vly_clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * VLY_NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t vly_clock_unix_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * VLY_NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t vly_clock_unix_ms(void)
{
    return vly_clock_unix_ns() / VLY_NSEC_PER_MS;
}
