/* SPDX-License-Identifier: MIT */
/*
 * Guard of a route: is an arm on probation worse than the route allows? Pure, the clock is given.
 *
 * What is looked at are the requests of a sliding window, in VLY_ROUTE_SLOTS slots. A verdict is a
 * test, and a false alarm has a stated price: with confidence c, an arm that is no worse than
 * allowed is condemned in the length of one window with a probability of at most 1 - c. That holds
 * when requests fail or are slow independently of each other, for any number of them and any
 * distribution of latency, because
 *
 *   - the tests are exact ones of the binomial distribution (Clopper and Pearson 1934), not normal
 *     approximations, which are wrong by a factor of ten in the tails that matter here;
 *   - latency is judged by how many requests are slower than the bound: the 0.95 quantile is above
 *     it when more than 5 % are;
 *   - the window is looked at once in each slot, and 1 - c is shared out equally to the looks of
 *     one window and to the bounds that are set (union bound), of comparisons half to either arm.
 *
 * Requests of a server do not fail independently: they come in bursts, of a stall or of one busy
 * client. So counts are divided by how much more they differ from slot to slot than independent
 * ones would (the design effect of Rao and Scott 1992, never below 1), and what was seen in one or
 * two slots only is no verdict. That estimate is itself uncertain: with bursts no exact confidence
 * is promised. Nor is it over many windows: each has its own chance of a false alarm.
 *
 * A request that is refused for its own fault, or is past the deadline that its client set, is no
 * error of the arm; but an arm that refuses more of them than the baseline is another interface or
 * another speed, so max_error_increase counts them for both.
 *
 * Latencies are told apart by eighths of a power of two; what lies in the bucket of the bound
 * counts as within it.
 */
#ifndef VLY_SCHED_MODEL_ROUTES_GUARD_H
#define VLY_SCHED_MODEL_ROUTES_GUARD_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

#define VLY_ROUTE_SLOTS           12
#define VLY_ROUTE_LATENCY_BUCKETS 200

/* A bound that is 0 is not set; with max_error_rate and max_error_increase, one below 0. */
typedef struct vly_route_guard {
    vly_nsec window_ns;
    uint64_t min_requests; /* in the window, of the arm; and of the baseline for what compares */
    double confidence;     /* 0.5 .. 0.999999 */
    double max_error_rate; /* 0..1 */
    double max_error_increase; /* above that of the baseline */
    double quantile;           /* of latency, 0.5 .. 0.999 */
    vly_nsec max_latency_ns;
    double max_latency_ratio; /* to that of the baseline, 1 .. 1000 */
} vly_route_guard;

#define VLY_ROUTE_GUARD_INIT                                                                       \
    {                                                                                              \
        .window_ns = 60 * VLY_NSEC_PER_SEC, .min_requests = 50, .confidence = 0.99,                \
        .max_error_rate = -1, .max_error_increase = -1, .quantile = 0.95                           \
    }

/* Why an arm lost its traffic. */
#define VLY_ROUTE_REASON_MAP(X)                                                                    \
    X(NONE, "none")                                                                                \
    X(REQUEST, "request") /* somebody asked for it */                                              \
    X(UNAVAILABLE, "unavailable")                                                                  \
    X(ERRORS, "errors")                                                                            \
    X(MORE_ERRORS, "errors_vs_baseline")                                                           \
    X(LATENCY, "latency")                                                                          \
    X(MORE_LATENCY, "latency_vs_baseline")

typedef enum vly_route_reason {
#define VLY_ROUTE_REASON_ENUM(name, text) VLY_ROUTE_##name,
    VLY_ROUTE_REASON_MAP(VLY_ROUTE_REASON_ENUM)
#undef VLY_ROUTE_REASON_ENUM
        VLY_ROUTE_REASONS
} vly_route_reason;

const char *vly_route_reason_name(vly_route_reason r);

/* Requests of a slot and what became of them. */
typedef struct vly_route_slot {
    uint64_t number;    /* of the slot, since time began; else it is empty */
    uint32_t n, errors; /* without the refused ones */
    uint32_t n_refused; /* for their own fault */
    uint32_t latency[VLY_ROUTE_LATENCY_BUCKETS]; /* of those that were no errors */
} vly_route_slot;

/* Those of a window; a slot that is none of it is empty. */
typedef struct vly_route_tally {
    uint64_t n, errors, n_refused;
    uint32_t latency[VLY_ROUTE_LATENCY_BUCKETS];
    vly_route_slot slots[VLY_ROUTE_SLOTS];
} vly_route_tally;

typedef struct vly_route_window {
    vly_nsec slot_ns;
    vly_route_slot slots[VLY_ROUTE_SLOTS];
} vly_route_window;

/* Owner: one thread at a time. */
void vly_route_window_init(vly_route_window *w, vly_nsec window_ns);
void vly_route_window_add(vly_route_window *w, vly_nsec now, bool is_error, vly_nsec latency_ns);
void vly_route_window_add_refused(vly_route_window *w, vly_nsec now);
/* Those of the last VLY_ROUTE_SLOTS slots, the present one included. */
void vly_route_window_sum(const vly_route_window *w, vly_nsec now, vly_route_tally *ret);
/* Upper edge of the bucket of this quantile, of requests without error; 0: there are none. */
vly_nsec vly_route_tally_quantile(const vly_route_tally *t, double quantile);

/* base NULL: nothing to compare with. When it is not NONE, why (NUL-terminated) says it in figures.
 */
#define VLY_ROUTE_WHY_MAX 192
vly_route_reason vly_route_guard_judge(const vly_route_guard *g, const vly_route_tally *arm,
                                       const vly_route_tally *base, char why[VLY_ROUTE_WHY_MAX]);

/* P(X >= x) and P(X <= x), X binomial of n and p. */
double vly_binomial_upper_tail(uint64_t x, uint64_t n, double p);
double vly_binomial_lower_tail(uint64_t x, uint64_t n, double p);
/* One-sided bounds of p, of confidence 1 - alpha, when x of n were seen. */
double vly_binomial_lower(uint64_t x, uint64_t n, double alpha);
double vly_binomial_upper(uint64_t x, uint64_t n, double alpha);

#endif
