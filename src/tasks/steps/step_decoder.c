/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_decoder.h"

#include <string.h>

#define BEFORE 3 /* readings before a peak that must be below it */

_Static_assert(VLY_STEP_PAST >= 2 * VLY_STEP_SMOOTH_MAX + 2, "means need the readings around");
_Static_assert(VLY_STEP_LEAST == BEFORE + 2, "a peak, those before it, and the first");
_Static_assert(VLY_STEP_PAST >= BEFORE + 1 + VLY_STEP_CONFIRM_MAX, "and peaks");

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

/* ---- curves ------------------------------------------------------------------------------- */

/* The means of both curves around `at`. What lies before the first reading is 0. */
static void smoothen(vly_step_decoder *d, uint64_t at, unsigned smooth)
{
    uint64_t first = at - smooth;
    float start = d->p_start[first % VLY_STEP_PAST], end = d->p_end[first % VLY_STEP_PAST];
    float n = (float)(2 * smooth + 1);

    for (uint64_t i = first + 1; i != first + 1 + (uint64_t)smooth * 2; i++) {
        start += d->p_start[i % VLY_STEP_PAST];
        end += d->p_end[i % VLY_STEP_PAST];
    }
    d->start[at % VLY_STEP_PAST] = start / n;
    d->end[at % VLY_STEP_PAST] = end / n;
}

static float boundary_at(const vly_step_decoder *d, uint64_t i)
{
    float start = d->start[i % VLY_STEP_PAST], end = d->end[i % VLY_STEP_PAST];
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

/* ---- boundaries to events ----------------------------------------------------------------- */

static float threshold(const vly_step_decoder_rule *r, bool is_in_step, uint64_t gap)
{
    if (!is_in_step)
        return r->threshold_first;
    if (gap <= r->fall_from)
        return r->threshold_early;
    if (gap >= r->fall_to)
        return r->threshold_due;
    float share = (float)(gap - r->fall_from) / (float)(r->fall_to - r->fall_from);
    return r->threshold_early + share * (r->threshold_due - r->threshold_early);
}

static vly_step_peak begin(vly_step_decoder *d, uint64_t at, float after, float confidence)
{
    d->is_in_step = 1;
    return (vly_step_peak){VLY_STEP_START, at, after, d->n_steps + 1, confidence};
}

static vly_step_peak end(vly_step_decoder *d, uint64_t at, float after, float confidence)
{
    d->is_in_step = 0;
    d->n_steps++;
    return (vly_step_peak){VLY_STEP_END, at - 1, after, d->n_steps, confidence};
}

static bool is_after_missed(const vly_step_decoder *d, const vly_step_decoder_rule *rule,
                            uint64_t at, float p_end)
{
    uint64_t gap = d->has_boundary != 0 ? at - d->boundary : at;
    return rule->threshold_missed > 0 && p_end >= rule->threshold_missed &&
           gap > rule->missed_gap && gap > rule->missed_step;
}

/* The boundary at `at`, which is high enough. */
static size_t tell(vly_step_decoder *d, const vly_step_decoder_rule *rule, uint64_t at,
                   vly_step_peak *ret)
{
    float p_start = d->start[at % VLY_STEP_PAST], p_end = d->end[at % VLY_STEP_PAST];
    float own = rule->share * boundary_at(d, at), after = vertex(d, at);
    size_t n = 0;

    if (d->is_in_step == 0 && p_end >= own && is_after_missed(d, rule, at, p_end))
        ret[n++] = begin(d, at - rule->missed_step, after, p_end);
    if (d->is_in_step != 0 && p_end >= own)
        ret[n++] = end(d, at, after, p_end);
    if (d->is_in_step == 0 && p_start >= own)
        ret[n++] = begin(d, at, after, p_start);
    if (n > 0) {
        d->boundary = at;
        d->has_boundary = 1;
    }
    return n;
}

static size_t decide(vly_step_decoder *d, const vly_step_decoder_rule *rule, uint64_t at,
                     float p_standing, vly_step_peak *ret)
{
    uint64_t gap = at - d->boundary;
    bool is_in_step = d->is_in_step != 0 && gap <= rule->max_step;

    if (d->has_boundary != 0 && gap < rule->min_gap)
        return 0;
    if (!(boundary_at(d, at) >= threshold(rule, is_in_step, gap)) || !is_peak(d, at, rule->confirm))
        return 0;
    if (!is_in_step && rule->standing_max > 0 && p_standing > rule->standing_max)
        return 0;
    d->is_in_step = is_in_step;
    return tell(d, rule, at, ret);
}

size_t vly_step_decoder_next(vly_step_decoder *d, const vly_step_decoder_rule *rule, float p_start,
                             float p_end, float p_standing, vly_step_peak ret[VLY_STEP_PEAKS_MAX])
{
    unsigned ahead = (unsigned)rule->smooth + rule->confirm;
    uint64_t now = d->n++;

    d->p_start[now % VLY_STEP_PAST] = p_start;
    d->p_end[(now + 1) % VLY_STEP_PAST] = p_end; /* the label of an end is one before the start */
    if (now < rule->smooth)
        return 0;
    smoothen(d, now - rule->smooth, rule->smooth);
    return now >= VLY_STEP_LEAST - 1U + ahead ? decide(d, rule, now - ahead, p_standing, ret) : 0;
}

void vly_step_decoder_last(const vly_step_decoder *d, float *ret_start, float *ret_end)
{
    bool is_some = d->n > 0;

    *ret_start = is_some ? d->p_start[(d->n - 1) % VLY_STEP_PAST] : 0;
    *ret_end = is_some ? d->p_end[d->n % VLY_STEP_PAST] : 0;
}
