/* SPDX-License-Identifier: MIT */
#include "sched/model_routes_guard.h"

#include "base/assert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LINEAR     16 /* buckets of one unit each, below the first that is an eighth of an octave */
#define UNIT_BITS  10 /* the unit of latency: 1.024 us */
#define BISECTIONS 60

const char *vly_route_reason_name(vly_route_reason r)
{
#define NAME(name, text) text,
    static const char *const names[] = {VLY_ROUTE_REASON_MAP(NAME)};
#undef NAME
    VLY_ASSERT(r < VLY_ROUTE_REASONS);
    return names[r];
}

/* ---- the binomial distribution ---- */

/* From the term of x on the ratio of successive terms falls, so the sum ends once they are small
 * and falling. p is within (0, 1). */
static double sum_upwards(uint64_t x, uint64_t n, double p)
{
    int sign;
    double dn = (double)n, dx = (double)x;
    double term = exp(lgamma_r(dn + 1, &sign) - lgamma_r(dx + 1, &sign) -
                      lgamma_r(dn - dx + 1, &sign) + dx * log(p) + (dn - dx) * log1p(-p));
    double sum = 0;

    for (uint64_t k = x; k <= n; k++) {
        sum += term;
        double ratio = (double)(n - k) / (double)(k + 1) * p / (1 - p);
        if (ratio < 1 && term <= sum * 1e-17)
            break;
        term *= ratio;
    }
    return sum < 1 ? sum : 1;
}

double vly_binomial_upper_tail(uint64_t x, uint64_t n, double p)
{
    VLY_ASSERT(x <= n + 1);
    if (x == 0 || p >= 1)
        return x <= n ? 1 : 0;
    if (x > n || p <= 0)
        return 0;
    /* Of two sums that add up to 1 the smaller one is the more exact. */
    return (double)x > p * (double)n ? sum_upwards(x, n, p) : 1 - sum_upwards(n - x + 1, n, 1 - p);
}

double vly_binomial_lower_tail(uint64_t x, uint64_t n, double p)
{
    return vly_binomial_upper_tail(n - x, n, 1 - p);
}

double vly_binomial_lower(uint64_t x, uint64_t n, double alpha)
{
    double low = 0, high = n > 0 ? (double)x / (double)n : 0;

    if (x == 0)
        return 0;
    for (int i = 0; i < BISECTIONS; i++) {
        double mid = (low + high) / 2;
        if (vly_binomial_upper_tail(x, n, mid) < alpha)
            low = mid;
        else
            high = mid;
    }
    return low;
}

double vly_binomial_upper(uint64_t x, uint64_t n, double alpha)
{
    return 1 - vly_binomial_lower(n - x, n, alpha);
}

/* ---- the window ---- */

static size_t bucket_of(vly_nsec latency_ns)
{
    uint64_t v = latency_ns >> UNIT_BITS;

    if (v < LINEAR)
        return (size_t)v;
    unsigned octave = 63 - (unsigned)__builtin_clzll(v);
    size_t i = LINEAR + (size_t)(octave - 4) * 8 + ((v >> (octave - 3)) & 7);
    return i < VLY_ROUTE_LATENCY_BUCKETS ? i : VLY_ROUTE_LATENCY_BUCKETS - 1;
}

/* Where bucket i begins, and the one before it ends. */
static vly_nsec edge(size_t i)
{
    if (i < LINEAR)
        return (vly_nsec)i << UNIT_BITS;
    size_t octave = (i - LINEAR) / 8 + 4;
    return ((8 + (vly_nsec)((i - LINEAR) % 8)) << (octave - 3)) << UNIT_BITS;
}

void vly_route_window_init(vly_route_window *w, vly_nsec window_ns)
{
    *w = (vly_route_window){.slot_ns = window_ns / VLY_ROUTE_SLOTS};
    if (w->slot_ns == 0)
        w->slot_ns = 1;
}

void vly_route_window_add(vly_route_window *w, vly_nsec now, bool is_error, vly_nsec latency_ns)
{
    uint64_t number = now / w->slot_ns;
    size_t i = number % VLY_ROUTE_SLOTS;

    if (w->slots[i].number != number) {
        memset(&w->slots[i], 0, sizeof(w->slots[i]));
        w->slots[i].number = number;
    }
    w->slots[i].n++;
    if (is_error)
        w->slots[i].errors++;
    else
        w->slots[i].latency[bucket_of(latency_ns)]++;
}

void vly_route_window_sum(const vly_route_window *w, vly_nsec now, vly_route_tally *ret)
{
    uint64_t number = now / w->slot_ns;

    *ret = (vly_route_tally){.n = 0};
    for (size_t i = 0; i < VLY_ROUTE_SLOTS; i++) {
        if (w->slots[i].number > number || number - w->slots[i].number >= VLY_ROUTE_SLOTS)
            continue;
        ret->n += w->slots[i].n;
        ret->errors += w->slots[i].errors;
        for (size_t k = 0; k < VLY_ROUTE_LATENCY_BUCKETS; k++)
            ret->latency[k] += w->slots[i].latency[k];
    }
}

static uint64_t n_good(const vly_route_tally *t)
{
    return t->n - t->errors;
}

/* Those that certainly took longer: in buckets that begin at the bound or later. */
static uint64_t n_slower(const vly_route_tally *t, vly_nsec bound)
{
    uint64_t n = 0;

    for (size_t i = VLY_ROUTE_LATENCY_BUCKETS; i-- > 0 && edge(i) >= bound;)
        n += t->latency[i];
    return n;
}

vly_nsec vly_route_tally_quantile(const vly_route_tally *t, double quantile)
{
    uint64_t n = n_good(t), seen = 0;

    for (size_t i = 0; n > 0 && i < VLY_ROUTE_LATENCY_BUCKETS; i++) {
        seen += t->latency[i];
        if ((double)seen >= quantile * (double)n)
            return edge(i + 1);
    }
    return 0;
}

/* ---- the verdict ---- */

/* Share of 1 - confidence for one bound at one look. */
static double alpha_of(const vly_route_guard *g, bool has_base)
{
    int n = (g->max_error_rate >= 0) + (has_base && g->max_error_increase >= 0) +
            (g->max_latency_ns > 0) + (has_base && g->max_latency_ratio > 0);

    return (1 - g->confidence) / VLY_ROUTE_SLOTS / (n > 0 ? n : 1);
}

static double rate(uint64_t x, uint64_t n)
{
    return n > 0 ? (double)x / (double)n : 0;
}

static bool has_errors(const vly_route_guard *g, const vly_route_tally *arm, double alpha,
                       char *why)
{
    if (g->max_error_rate < 0 ||
        vly_binomial_upper_tail(arm->errors, arm->n, g->max_error_rate) > alpha)
        return false;
    snprintf(why, VLY_ROUTE_WHY_MAX, "%llu of %llu requests failed (%.2f %%), allowed are %.2f %%",
             (unsigned long long)arm->errors, (unsigned long long)arm->n,
             100 * rate(arm->errors, arm->n), 100 * g->max_error_rate);
    return true;
}

static bool has_more_errors(const vly_route_guard *g, const vly_route_tally *arm,
                            const vly_route_tally *base, double alpha, char *why)
{
    if (g->max_error_increase < 0 ||
        rate(arm->errors, arm->n) <= rate(base->errors, base->n) + g->max_error_increase ||
        vly_binomial_lower(arm->errors, arm->n, alpha / 2) <=
            vly_binomial_upper(base->errors, base->n, alpha / 2) + g->max_error_increase)
        return false;
    snprintf(why, VLY_ROUTE_WHY_MAX,
             "%llu of %llu requests failed (%.2f %%), of the baseline %llu of %llu (%.2f %%), "
             "allowed are %.2f points more",
             (unsigned long long)arm->errors, (unsigned long long)arm->n,
             100 * rate(arm->errors, arm->n), (unsigned long long)base->errors,
             (unsigned long long)base->n, 100 * rate(base->errors, base->n),
             100 * g->max_error_increase);
    return true;
}

static bool is_slower(const vly_route_guard *g, const vly_route_tally *arm, vly_nsec bound,
                      double alpha)
{
    return vly_binomial_upper_tail(n_slower(arm, bound), n_good(arm), 1 - g->quantile) <= alpha;
}

static bool is_slow(const vly_route_guard *g, const vly_route_tally *arm, double alpha, char *why)
{
    if (g->max_latency_ns == 0 || !is_slower(g, arm, g->max_latency_ns, alpha))
        return false;
    snprintf(why, VLY_ROUTE_WHY_MAX, "p%g of %llu requests is %.3g ms, allowed are %.3g ms",
             100 * g->quantile, (unsigned long long)n_good(arm),
             vly_clock_ms(vly_route_tally_quantile(arm, g->quantile)),
             vly_clock_ms(g->max_latency_ns));
    return true;
}

/* What the quantile does not exceed, of confidence 1 - alpha; 0: too few requests to say. */
static vly_nsec quantile_upper(const vly_route_tally *t, double quantile, double alpha)
{
    uint64_t n = n_good(t), n_above = n;

    for (size_t i = 0; n > 0 && i + 1 < VLY_ROUTE_LATENCY_BUCKETS; i++) {
        n_above -= t->latency[i];
        if (vly_binomial_lower_tail(n_above, n, 1 - quantile) <= alpha)
            return edge(i + 1);
    }
    return 0;
}

static bool is_slower_than_base(const vly_route_guard *g, const vly_route_tally *arm,
                                const vly_route_tally *base, double alpha, char *why)
{
    if (!(g->max_latency_ratio > 0) || n_good(base) < g->min_requests)
        return false;
    vly_nsec upper = quantile_upper(base, g->quantile, alpha / 2);
    if (upper == 0 ||
        !is_slower(g, arm, (vly_nsec)((double)upper * g->max_latency_ratio), alpha / 2))
        return false;
    snprintf(why, VLY_ROUTE_WHY_MAX,
             "p%g of %llu requests is %.3g ms, of the baseline %.3g ms, allowed are %.3g times "
             "as much",
             100 * g->quantile, (unsigned long long)n_good(arm),
             vly_clock_ms(vly_route_tally_quantile(arm, g->quantile)),
             vly_clock_ms(vly_route_tally_quantile(base, g->quantile)), g->max_latency_ratio);
    return true;
}

vly_route_reason vly_route_guard_judge(const vly_route_guard *g, const vly_route_tally *arm,
                                       const vly_route_tally *base, char why[VLY_ROUTE_WHY_MAX])
{
    bool has_base = base != NULL && base->n >= g->min_requests;
    double alpha = alpha_of(g, base != NULL);

    if (arm->n < g->min_requests)
        return VLY_ROUTE_NONE;
    if (has_errors(g, arm, alpha, why))
        return VLY_ROUTE_ERRORS;
    if (has_base && has_more_errors(g, arm, base, alpha, why))
        return VLY_ROUTE_MORE_ERRORS;
    if (n_good(arm) < g->min_requests)
        return VLY_ROUTE_NONE;
    if (is_slow(g, arm, alpha, why))
        return VLY_ROUTE_LATENCY;
    if (has_base && is_slower_than_base(g, arm, base, alpha, why))
        return VLY_ROUTE_MORE_LATENCY;
    return VLY_ROUTE_NONE;
}
