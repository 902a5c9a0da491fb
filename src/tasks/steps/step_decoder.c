/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_decoder.h"

#include <string.h>

#define RING (2 * VLY_STEP_CONFIRM_MAX + 1)

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

/* Reading `at` is confirm readings back. Of equal ones the first is the peak. */
static bool is_peak(const float *ring, const vly_step_decoder_rule *rule, uint64_t at,
                    float threshold)
{
    uint64_t first = at > rule->confirm ? at - rule->confirm : 0;
    float p = ring[at % RING];

    if (!(p >= threshold))
        return false;
    for (uint64_t i = first; i < at; i++)
        if (!(ring[i % RING] < p))
            return false;
    for (uint64_t i = at + 1; i <= at + rule->confirm; i++)
        if (!(ring[i % RING] <= p))
            return false;
    return true;
}

static size_t begin(vly_step_decoder *d, uint64_t at, float p, vly_step_peak *ret)
{
    d->is_in_step = true;
    d->begun = at;
    *ret = (vly_step_peak){VLY_STEP_START, at, d->n_steps + 1, p};
    return 1;
}

static size_t end(vly_step_decoder *d, uint64_t at, float p, vly_step_peak *ret)
{
    d->is_in_step = false;
    d->n_steps++;
    *ret = (vly_step_peak){VLY_STEP_END, at, d->n_steps, p};
    return 1;
}

size_t vly_step_decoder_next(vly_step_decoder *d, const vly_step_decoder_rule *rule, float p_start,
                             float p_end, vly_step_peak ret[VLY_STEP_PEAKS_MAX])
{
    size_t n = 0;

    d->start[d->n % RING] = p_start;
    d->end[d->n % RING] = p_end;
    if (d->n++ < rule->confirm)
        return 0;
    uint64_t at = d->n - 1 - rule->confirm;
    bool is_start = is_peak(d->start, rule, at, rule->threshold_start);
    bool is_end = is_peak(d->end, rule, at, rule->threshold_end);
    if (d->is_in_step && at - d->begun > rule->max_step)
        d->is_in_step = false;
    bool is_long = d->is_in_step && at - d->begun >= rule->min_gap;
    if (is_long && (is_end || is_start)) /* where the next begins, this one has ended */
        n += end(d, at, is_end ? d->end[at % RING] : d->start[at % RING], ret);
    if (!d->is_in_step && is_start)
        n += begin(d, at, d->start[at % RING], ret + n);
    return n;
}
