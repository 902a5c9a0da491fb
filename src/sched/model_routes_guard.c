/* SPDX-License-Identifier: MIT */
#include "sched/model_routes_guard.h"

#include "base/assert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LINEAR     16 /* buckets of one unit each, below the first that is an eighth of an octave */
#define UNIT_BITS  10 /* the unit of latency: 1.024 us */
#define BISECTIONS 60
#define SLOTS_MIN  3 /* with requests, for a verdict */

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

static vly_route_slot *slot_at(vly_route_window *w, vly_nsec now)
{
    uint64_t number = now / w->slot_ns;
    vly_route_slot *slot = &w->slots[number % VLY_ROUTE_SLOTS];

    if (slot->number != number) {
        memset(slot, 0, sizeof(*slot));
        slot->number = number;
    }
    return slot;
}

void vly_route_window_add(vly_route_window *w, vly_nsec now, bool is_error, vly_nsec latency_ns)
{
    vly_route_slot *slot = slot_at(w, now);

    slot->n++;
    if (is_error)
        slot->errors++;
    else
        slot->latency[bucket_of(latency_ns)]++;
}

void vly_route_window_add_refused(vly_route_window *w, vly_nsec now)
{
    slot_at(w, now)->n_refused++;
}

void vly_route_window_sum(const vly_route_window *w, vly_nsec now, vly_route_tally *ret)
{
    uint64_t number = now / w->slot_ns;

    *ret = (vly_route_tally){.n = 0};
    for (size_t i = 0; i < VLY_ROUTE_SLOTS; i++) {
        const vly_route_slot *slot = &w->slots[i];
        if (slot->number > number || number - slot->number >= VLY_ROUTE_SLOTS)
            continue;
        ret->slots[i] = *slot;
        ret->n += slot->n;
        ret->errors += slot->errors;
        ret->n_refused += slot->n_refused;
        for (size_t k = 0; k < VLY_ROUTE_LATENCY_BUCKETS; k++)
            ret->latency[k] += slot->latency[k];
    }
}

static uint64_t n_good(const vly_route_tally *t)
{
    return t->n - t->errors;
}

/* The first bucket that begins at the bound or later. */
static size_t first_above(vly_nsec bound)
{
    size_t i = 0;

    while (i < VLY_ROUTE_LATENCY_BUCKETS && edge(i) < bound)
        i++;
    return i;
}

static uint64_t n_from(const uint32_t *latency, size_t bucket)
{
    uint64_t n = 0;

    for (size_t i = bucket; i < VLY_ROUTE_LATENCY_BUCKETS; i++)
        n += latency[i];
    return n;
}

/* Those that certainly took longer: in buckets that begin at the bound or later. */
static uint64_t n_slower(const vly_route_tally *t, vly_nsec bound)
{
    return n_from(t->latency, first_above(bound));
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

/* ---- bursts ---- */

/* x of n in each slot. */
typedef struct slot_counts {
    double x[VLY_ROUTE_SLOTS], n[VLY_ROUTE_SLOTS];
} slot_counts;

static slot_counts errors_by_slot(const vly_route_tally *t, bool with_refused)
{
    slot_counts c;

    for (size_t i = 0; i < VLY_ROUTE_SLOTS; i++) {
        const vly_route_slot *s = &t->slots[i];
        c.x[i] = s->errors + (with_refused ? (double)s->n_refused : 0);
        c.n[i] = s->n + (with_refused ? (double)s->n_refused : 0);
    }
    return c;
}

static slot_counts slow_by_slot(const vly_route_tally *t, size_t bucket)
{
    slot_counts c;

    for (size_t i = 0; i < VLY_ROUTE_SLOTS; i++) {
        c.x[i] = (double)n_from(t->slots[i].latency, bucket);
        c.n[i] = (double)n_from(t->slots[i].latency, 0);
    }
    return c;
}

/* How many times as much the counts differ from slot to slot as independent ones would, at least 1;
 * 0: too few slots to say. */
static double design_effect(const slot_counts *c)
{
    double x = 0, n = 0, sum = 0;
    int slots = 0;

    for (size_t i = 0; i < VLY_ROUTE_SLOTS; i++) {
        x += c->x[i];
        n += c->n[i];
        slots += c->n[i] > 0;
    }
    if (slots < SLOTS_MIN)
        return 0;
    double p = x / n;
    for (size_t i = 0; i < VLY_ROUTE_SLOTS; i++)
        sum += (c->x[i] - p * c->n[i]) * (c->x[i] - p * c->n[i]);
    double expected = n * p * (1 - p);
    double effect = expected > 0 ? sum * slots / (slots - 1) / expected : 1;
    return effect > 1 ? effect : 1;
}

/* As many as independent ones would be, rounded so that the arm looks better. */
static uint64_t shrink(uint64_t n, double effect)
{
    return (uint64_t)((double)n / effect);
}

static uint64_t shrink_up(uint64_t n, double effect)
{
    return (uint64_t)ceil((double)n / effect);
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
    const slot_counts counts = errors_by_slot(arm, false);
    double effect = design_effect(&counts);

    if (g->max_error_rate < 0 || arm->n < g->min_requests || arm->errors == 0 || !(effect > 0))
        return false;
    if (g->max_error_rate > 0 &&
        vly_binomial_upper_tail(shrink(arm->errors, effect), shrink_up(arm->n, effect),
                                g->max_error_rate) > alpha)
        return false;
    snprintf(why, VLY_ROUTE_WHY_MAX, "%llu of %llu requests failed (%.2f %%), allowed are %.2f %%",
             (unsigned long long)arm->errors, (unsigned long long)arm->n,
             100 * rate(arm->errors, arm->n), 100 * g->max_error_rate);
    return true;
}

static bool has_more_errors(const vly_route_guard *g, const vly_route_tally *arm,
                            const vly_route_tally *base, double alpha, char *why)
{
    const slot_counts own = errors_by_slot(arm, true), other = errors_by_slot(base, true);
    double effect = design_effect(&own), base_effect = design_effect(&other);
    uint64_t x = arm->errors + arm->n_refused, n = arm->n + arm->n_refused;
    uint64_t base_x = base->errors + base->n_refused, base_n = base->n + base->n_refused;

    if (g->max_error_increase < 0 || n < g->min_requests || base_n < g->min_requests ||
        !(effect > 0) || !(base_effect > 0) ||
        rate(x, n) <= rate(base_x, base_n) + g->max_error_increase ||
        vly_binomial_lower(shrink(x, effect), shrink_up(n, effect), alpha / 2) <=
            vly_binomial_upper(shrink_up(base_x, base_effect), shrink_up(base_n, base_effect),
                               alpha / 2) +
                g->max_error_increase)
        return false;
    snprintf(why, VLY_ROUTE_WHY_MAX,
             "%llu of %llu requests failed (%.2f %%), of the baseline %llu of %llu (%.2f %%), "
             "allowed are %.2f points more; %llu and %llu of them were refused",
             (unsigned long long)x, (unsigned long long)n, 100 * rate(x, n),
             (unsigned long long)base_x, (unsigned long long)base_n, 100 * rate(base_x, base_n),
             100 * g->max_error_increase, (unsigned long long)arm->n_refused,
             (unsigned long long)base->n_refused);
    return true;
}

static bool is_slower(const vly_route_guard *g, const vly_route_tally *arm, vly_nsec bound,
                      double alpha)
{
    const slot_counts counts = slow_by_slot(arm, first_above(bound));
    double effect = design_effect(&counts);

    return effect > 0 &&
           vly_binomial_upper_tail(shrink(n_slower(arm, bound), effect),
                                   shrink_up(n_good(arm), effect), 1 - g->quantile) <= alpha;
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
    const slot_counts counts = slow_by_slot(t, first_above(vly_route_tally_quantile(t, quantile)));
    double effect = design_effect(&counts);
    uint64_t n = n_good(t), n_above = n;

    if (!(effect > 0))
        return 0;
    for (size_t i = 0; n > 0 && i + 1 < VLY_ROUTE_LATENCY_BUCKETS; i++) {
        n_above -= t->latency[i];
        if (vly_binomial_lower_tail(shrink_up(n_above, effect), shrink_up(n, effect),
                                    1 - quantile) <= alpha)
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
    bool has_base = base != NULL;
    double alpha = alpha_of(g, has_base);

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
