/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_decoder.h"

#include <string.h>

#define BEFORE 3 /* readings before a peak that must be below it */

void vly_step_decoder_init(vly_step_decoder *d)
{
    memset(d, 0, sizeof(*d));
}

void vly_step_decoder_break(vly_step_decoder *d)
{
    uint64_t n_steps = d->n_steps;

    memset(d, 0, sizeof(*d));
    d->n_steps = n_steps;
}

static float start_at(const vly_step_decoder *d, uint64_t i)
{
    return d->start[i % VLY_STEP_PAST];
}

/* As the label of an end is one reading before the start of the next step. */
static float end_at(const vly_step_decoder *d, uint64_t i)
{
    return d->end[(i - 1) % VLY_STEP_PAST];
}

static float boundary_at(const vly_step_decoder *d, uint64_t i)
{
    float start = start_at(d, i), end = end_at(d, i);
    return start > end ? start : end;
}

/* Of equal ones the first is the peak. */
static bool is_peak(const vly_step_decoder *d, uint64_t at, unsigned confirm)
{
    float b = boundary_at(d, at);

    for (uint64_t i = 1; i <= BEFORE; i++)
        if (!(boundary_at(d, at - i) < b))
            return false;
    for (uint64_t i = 1; i <= confirm; i++)
        if (!(boundary_at(d, at + i) <= b))
            return false;
    return true;
}

/* Where a parabola through the peak and its neighbours is highest. */
static float vertex(const vly_step_decoder *d, uint64_t at)
{
    float before = boundary_at(d, at - 1), b = boundary_at(d, at), after = boundary_at(d, at + 1);
    float bend = 2 * b - before - after;
    float x = 0.5F * (after - before) / (bend > 1e-6F ? bend : 1e-6F);

    x = x < 0.5F ? x : 0.5F;
    return x > -0.5F ? x : -0.5F;
}

static float threshold(const vly_step_decoder *d, const vly_step_decoder_rule *r, uint64_t gap)
{
    if (d->is_in_step == 0)
        return r->threshold_first;
    if (gap <= r->fall_from)
        return r->threshold_early;
    if (gap >= r->fall_to)
        return r->threshold_due;
    float share = (float)(gap - r->fall_from) / (float)(r->fall_to - r->fall_from);
    return r->threshold_early + share * (r->threshold_due - r->threshold_early);
}

static size_t decide(vly_step_decoder *d, const vly_step_decoder_rule *rule, uint64_t at,
                     vly_step_peak *ret)
{
    uint64_t gap = at - d->boundary;
    size_t n = 0;

    if (d->has_boundary != 0 && gap < rule->min_gap)
        return 0;
    float enough = threshold(d, rule, gap), own = rule->share * enough;
    if (boundary_at(d, at) < enough || !is_peak(d, at, rule->confirm))
        return 0;
    float start = start_at(d, at), end = end_at(d, at), after = vertex(d, at);
    if (gap > rule->max_step)
        d->is_in_step = 0;
    if (d->is_in_step != 0 && end >= own) {
        d->is_in_step = 0;
        d->n_steps++;
        ret[n++] = (vly_step_peak){VLY_STEP_END, at - 1, after, d->n_steps, end};
    }
    if (d->is_in_step == 0 && start >= own) {
        d->is_in_step = 1;
        ret[n++] = (vly_step_peak){VLY_STEP_START, at, after, d->n_steps + 1, start};
    }
    if (n > 0) {
        d->boundary = at;
        d->has_boundary = 1;
    }
    return n;
}

size_t vly_step_decoder_next(vly_step_decoder *d, const vly_step_decoder_rule *rule, float p_start,
                             float p_end, vly_step_peak ret[VLY_STEP_PEAKS_MAX])
{
    d->start[d->n % VLY_STEP_PAST] = p_start;
    d->end[d->n % VLY_STEP_PAST] = p_end;
    uint64_t at = d->n++ - rule->confirm;
    return d->n > BEFORE + 1U + rule->confirm ? decide(d, rule, at, ret) : 0;
}

void vly_step_decoder_last(const vly_step_decoder *d, float *ret_start, float *ret_end)
{
    bool is_some = d->n > 0;

    *ret_start = is_some ? d->start[(d->n - 1) % VLY_STEP_PAST] : 0;
    *ret_end = is_some ? d->end[(d->n - 1) % VLY_STEP_PAST] : 0;
}
