/* SPDX-License-Identifier: MIT */
/*
 * The stop-watch of the comparison: calls one C function again and again, so that what is measured
 * is the engine and not the language that drives it.
 */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Any C function of up to eight integer or pointer arguments. It returns an int status, or a
 * pointer to an error: zero in the low 32 bits is success either way. */
typedef uintptr_t (*timer_call)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                                uintptr_t, uintptr_t);

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* n samples of `group` calls each; ns: [n], nanoseconds of one call. a: [8]. Returns what a failed
 * call returned, 0 when none failed. */
__attribute__((visibility("default"))) uintptr_t timer_run(timer_call fn, const uintptr_t *a,
                                                           size_t n, size_t group, double *ns);

uintptr_t timer_run(timer_call fn, const uintptr_t *a, size_t n, size_t group, double *ns)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t start = now();
        for (size_t k = 0; k < group; k++) {
            uintptr_t st = fn(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
            if ((uint32_t)st != 0)
                return st;
        }
        ns[i] = (double)(now() - start) / (double)group;
    }
    return 0;
}
