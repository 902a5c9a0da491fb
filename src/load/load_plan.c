/* SPDX-License-Identifier: MIT */
#include "load/load_plan.h"

#include <math.h>

/* ---- text ---------------------------------------------------------------------------------- */

static bool parse_duration(vly_str text, vly_nsec *ret)
{
    static const struct {
        const char *suffix;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"", 1e9}};
    double value;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        vly_str suffix = vly_str_from(units[i].suffix);
        if (!vly_str_ends(text, suffix))
            continue;
        if (!vly_str_to_f64((vly_str){text.ptr, text.len - suffix.len}, &value) ||
            !(value >= 0 && value * units[i].ns <= (double)VLY_LOAD_DURATION_MAX))
            return false;
        *ret = (vly_nsec)(value * units[i].ns + 0.5);
        return true;
    }
    return false;
}

vly_status vly_load_duration_parse(vly_str text, vly_nsec *ret, vly_err *err)
{
    if (parse_duration(text, ret))
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "'%.*s': expected a time such as 500ms, 30s, 5m or 1h",
                    VLY_STR_ARG(text));
}

/* Cuts *s behind the first `sep`: what stands before it is a rate. */
static bool take_rate(vly_str *s, vly_str sep, double *ret)
{
    for (size_t i = 0; i + sep.len <= s->len; i++) {
        if (memcmp(s->ptr + i, sep.ptr, sep.len) != 0)
            continue;
        vly_str head = {s->ptr, i};
        *s = (vly_str){s->ptr + i + sep.len, s->len - i - sep.len};
        return vly_str_to_f64(head, ret);
    }
    return false;
}

vly_status vly_load_plan_ramp(vly_load_plan *p, vly_str text, vly_nsec duration_ns, vly_err *err)
{
    vly_str rest = text;
    double from, to;

    if (!take_rate(&rest, VLY_STR(".."), &from) || !vly_str_to_f64(rest, &to))
        return vly_fail(err, VLY_EINVAL, "'%.*s': expected FROM..TO, as 10..1000",
                        VLY_STR_ARG(text));
    return vly_load_plan_add(p, from, to, duration_ns, err);
}

vly_status vly_load_plan_spike(vly_load_plan *p, vly_str text, double base, vly_nsec duration_ns,
                               vly_err *err)
{
    vly_str rest = text;
    vly_nsec at, lasts;
    double top;

    bool is_read = take_rate(&rest, VLY_STR("@"), &top);
    vly_str begin = vly_str_split(&rest, '+');
    if (!is_read || !parse_duration(begin, &at) || !parse_duration(rest, &lasts))
        return vly_fail(err, VLY_EINVAL, "'%.*s': expected RATE@BEGIN+DURATION, as 2000@10s+5s",
                        VLY_STR_ARG(text));
    if (at == 0 || at + lasts >= duration_ns)
        return vly_fail(err, VLY_EINVAL, "'%.*s': expected a spike within the duration of %.3g s",
                        VLY_STR_ARG(text), (double)duration_ns * 1e-9);
    vly_status st = vly_load_plan_add(p, base, base, at, err);
    if (st == VLY_OK)
        st = vly_load_plan_add(p, top, top, lasts, err);
    if (st == VLY_OK)
        st = vly_load_plan_add(p, base, base, duration_ns - at - lasts, err);
    return st;
}

vly_status vly_load_plan_steps(vly_load_plan *p, vly_str text, vly_err *err)
{
    vly_str rest = text;
    double from, to, step;
    vly_nsec each;
    vly_status st = VLY_OK;

    if (!take_rate(&rest, VLY_STR(".."), &from) || !take_rate(&rest, VLY_STR("+"), &to) ||
        !take_rate(&rest, VLY_STR("/"), &step) || !parse_duration(rest, &each) || !(from > 0) ||
        !(to >= from) || !(step > 0))
        return vly_fail(err, VLY_EINVAL,
                        "'%.*s': expected FROM..TO+STEP/DURATION, as 100..5000+100/5s",
                        VLY_STR_ARG(text));
    if ((to - from) / step >= VLY_LOAD_PHASES_MAX)
        return vly_fail(err, VLY_ELIMIT, "'%.*s': expected at most %d steps", VLY_STR_ARG(text),
                        VLY_LOAD_PHASES_MAX);
    const size_t n = (size_t)((to - from) / step * (1 + 1e-12)) + 1;
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        const double rate = from + (double)i * step;
        st = vly_load_plan_add(p, rate, rate, each, err);
    }
    return st;
}

/* ---- the plan ------------------------------------------------------------------------------ */

static bool is_rate(double rate)
{
    return rate >= 0 && rate <= VLY_LOAD_RATE_MAX;
}

vly_status vly_load_plan_add(vly_load_plan *p, double from, double to, vly_nsec duration_ns,
                             vly_err *err)
{
    if (!is_rate(from) || !is_rate(to) || !(from + to > 0))
        return vly_fail(err, VLY_EINVAL,
                        "rate '%g..%g': expected requests a second, above 0, at most %g", from, to,
                        VLY_LOAD_RATE_MAX);
    if (duration_ns == 0 || duration_ns > VLY_LOAD_DURATION_MAX)
        return vly_fail(err, VLY_EINVAL, "duration: expected more than 0, at most 30 days");
    if (p->n_phases == VLY_LOAD_PHASES_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d phases", VLY_LOAD_PHASES_MAX);
    p->phases[p->n_phases++] = (vly_load_phase){from, to, duration_ns};
    return VLY_OK;
}

vly_nsec vly_load_plan_duration(const vly_load_plan *p)
{
    vly_nsec sum = 0;

    for (size_t i = 0; i < p->n_phases; i++)
        sum += p->phases[i].duration_ns;
    return sum;
}

static double count_of(const vly_load_phase *p)
{
    return (p->from + p->to) / 2 * (double)p->duration_ns / 1e9;
}

double vly_load_plan_count(const vly_load_plan *p)
{
    double sum = 0;

    for (size_t i = 0; i < p->n_phases; i++)
        sum += count_of(&p->phases[i]);
    return sum;
}

double vly_load_plan_rate(const vly_load_plan *p, vly_nsec at_ns)
{
    for (size_t i = 0; i < p->n_phases; i++) {
        const vly_load_phase *f = &p->phases[i];
        if (at_ns < f->duration_ns)
            return f->from + (f->to - f->from) * (double)at_ns / (double)f->duration_ns;
        at_ns -= f->duration_ns;
    }
    return 0;
}

/* ---- arrivals ------------------------------------------------------------------------------ */

/* Exponential, mean 1, out of 53 random bits: none is infinite. */
static double gap(vly_load_arrivals *a)
{
    if (!a->plan->is_poisson)
        return 1;
    const uint64_t high = vly_rng_next(&a->rng), low = vly_rng_next(&a->rng);
    return -log((double)(((high << 32 | low) >> 11) + 1) * 0x1p-53);
}

void vly_load_arrivals_init(vly_load_arrivals *a, const vly_load_plan *plan, size_t first, size_t n)
{
    *a = (vly_load_arrivals){.plan = plan, .phase = first, .end = first + n};
    vly_rng_init(&a->rng, plan->seed, first);
    a->due = plan->is_poisson ? gap(a) : 0;
}

/* When the integral of the phase's rate is y: the root of from t + (to - from) t^2 / 2d = y, in the
 * form that loses no digits when the two rates are about the same. */
static double time_of(const vly_load_phase *p, double y)
{
    const double d = (double)p->duration_ns / 1e9;
    const double square = p->from * p->from + 2 * y * (p->to - p->from) / d;

    return y > 0 ? 2 * y / (p->from + sqrt(square > 0 ? square : 0)) : 0;
}

bool vly_load_arrivals_next(vly_load_arrivals *a, vly_nsec *ret_at_ns)
{
    for (; a->phase < a->end; a->phase++) {
        const vly_load_phase *p = &a->plan->phases[a->phase];
        const double count = count_of(p);
        /* a sum of ones that is within rounding of the phase's end belongs to the next */
        if (a->due < count * (1 - 1e-14)) {
            vly_nsec at = (vly_nsec)(time_of(p, a->due) * 1e9);
            *ret_at_ns = a->phase_begin_ns + (at < p->duration_ns ? at : p->duration_ns - 1);
            a->due += gap(a);
            return true;
        }
        a->due = a->due > count ? a->due - count : 0;
        a->phase_begin_ns += p->duration_ns;
    }
    return false;
}
