/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_score.h"

#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define NEAR_STEP_US 500000 /* an event this close to a labelled step is not a false one */

const int64_t vly_step_tolerance_us[VLY_STEP_TOLERANCES] = {50000, 100000};

/* ---- matching ------------------------------------------------------------------------------ */

/* Times of one kind, in order. */
typedef struct points {
    const int64_t *t_us;
    size_t n;
} points;

/* The best matching of the first points of one side with the first of the other. */
typedef struct cell {
    uint64_t n_hit;
    int64_t cost_us;   /* sum of distances */
    int64_t offset_us; /* sum of found - true */
} cell;

static bool is_better(const cell *a, const cell *b)
{
    return a->n_hit != b->n_hit ? a->n_hit > b->n_hit : a->cost_us < b->cost_us;
}

/* Points on a line: some best matching keeps their order, so the sequences are aligned row by row.
 * row: found.n + 1 cells. */
static cell align(points truth, points found, int64_t tolerance_us, cell *row)
{
    for (size_t j = 0; j <= found.n; j++)
        row[j] = (cell){0};
    for (size_t i = 0; i < truth.n; i++) {
        cell diagonal = row[0];
        for (size_t j = 0; j < found.n; j++) {
            int64_t offset = found.t_us[j] - truth.t_us[i];
            cell pair = {diagonal.n_hit + 1, diagonal.cost_us + llabs(offset),
                         diagonal.offset_us + offset};
            diagonal = row[j + 1];
            if (is_better(&row[j], &row[j + 1]))
                row[j + 1] = row[j];
            if (llabs(offset) <= tolerance_us && is_better(&pair, &row[j + 1]))
                row[j + 1] = pair;
        }
    }
    return row[found.n];
}

/* Takes from both sides all points up to the next hole that is wider than the tolerance: no pair
 * reaches over it. */
static void take_cluster(points *truth, points *found, int64_t tolerance_us, points *ret_truth,
                         points *ret_found)
{
    size_t i = 0, j = 0;
    int64_t last = 0;

    for (;;) {
        bool is_true = i < truth->n && (j == found->n || truth->t_us[i] <= found->t_us[j]);
        if (!is_true && j == found->n)
            break;
        int64_t t = is_true ? truth->t_us[i] : found->t_us[j];
        if (i + j > 0 && t - last > tolerance_us)
            break;
        last = t;
        *(is_true ? &i : &j) += 1;
    }
    *ret_truth = (points){truth->t_us, i};
    *ret_found = (points){found->t_us, j};
    *truth = (points){truth->t_us + i, truth->n - i};
    *found = (points){found->t_us + j, found->n - j};
}

static cell match(points truth, points found, int64_t tolerance_us, cell *row)
{
    cell sum = {0};

    while (truth.n + found.n > 0) {
        points some_true, some_found;
        take_cluster(&truth, &found, tolerance_us, &some_true, &some_found);
        cell c = align(some_true, some_found, tolerance_us, row);
        sum.n_hit += c.n_hit;
        sum.cost_us += c.cost_us;
        sum.offset_us += c.offset_us;
    }
    return sum;
}

/* ---- one recording ------------------------------------------------------------------------- */

static void add_matches(vly_step_score *s, int type, points truth, points found, cell *row)
{
    for (int k = 0; k < VLY_STEP_TOLERANCES; k++) {
        cell best = match(truth, found, vly_step_tolerance_us[k], row);
        s->match[type][k].n_hit += best.n_hit;
        s->match[type][k].n_missed += truth.n - best.n_hit;
        s->match[type][k].n_false += found.n - best.n_hit;
        if (k == VLY_STEP_TOLERANCES - 1)
            s->offset_ms_sum[type] += (double)best.offset_us / 1e3;
    }
}

static bool is_standing(const vly_step_truth *truth, int64_t t_us)
{
    double sample = round((double)t_us * truth->rate_hz / 1e6);

    return sample >= 0 && sample < (double)truth->n_samples &&
           truth->activity[(size_t)sample] == VLY_ACTIVITY_STANDING;
}

/* steps: cursor into truth->steps, for times that come in order */
static bool is_near_step(const vly_step_truth *truth, int64_t t_us, size_t *steps)
{
    while (*steps < truth->n_steps && truth->steps[*steps].end_us + NEAR_STEP_US < t_us)
        *steps += 1;
    return *steps < truth->n_steps && truth->steps[*steps].start_us - NEAR_STEP_US <= t_us;
}

static void add_standing(vly_step_score *s, const vly_step_truth *truth, points ends)
{
    uint64_t n_standing = 0;
    size_t step = 0;

    if (truth->activity == NULL)
        return;
    for (size_t i = 0; i < truth->n_samples; i++)
        n_standing += truth->activity[i] == VLY_ACTIVITY_STANDING;
    s->standing_s += (double)n_standing / truth->rate_hz;
    for (size_t i = 0; i < ends.n; i++)
        s->n_false_standing +=
            is_standing(truth, ends.t_us[i]) && !is_near_step(truth, ends.t_us[i], &step);
}

static void add_delay(vly_step_score *s, int64_t delay_us)
{
    const size_t n_bins = sizeof(s->delay_ms) / sizeof(s->delay_ms[0]);
    size_t ms = delay_us <= 0 ? 0 : (size_t)((delay_us + 999) / 1000);

    s->delay_ms[ms < n_bins ? ms : n_bins - 1]++;
    s->delay_ms_max = fmax(s->delay_ms_max, (double)delay_us / 1e3);
    s->n_delays++;
}

static points times_of(const vly_step_event *events, size_t n, vly_step_event_type type,
                       int64_t *to)
{
    size_t n_times = 0;

    for (size_t i = 0; i < n; i++)
        if (events[i].type == type)
            to[n_times++] = events[i].t_us;
    return (points){to, n_times};
}

static points times_true(const vly_step_truth *truth, vly_step_event_type type, int64_t *to)
{
    for (size_t i = 0; i < truth->n_steps; i++)
        to[i] = type == VLY_STEP_START ? truth->steps[i].start_us : truth->steps[i].end_us;
    return (points){to, truth->n_steps};
}

vly_status vly_step_score_add(vly_step_score *score, const vly_step_truth *truth,
                              const vly_step_event *events, size_t n_events, vly_err *err)
{
    int64_t *times = vly_calloc(VLY_MEM_BASE, truth->n_steps + n_events + 1, sizeof(*times));
    cell *row = vly_calloc(VLY_MEM_BASE, n_events + 1, sizeof(*row));
    vly_status st = VLY_OK;
    points found = {0};

    if (times == NULL || row == NULL) {
        st = vly_fail(err, VLY_ENOMEM, "out of memory for a score of %zu events", n_events);
        goto out;
    }
    for (vly_step_event_type type = VLY_STEP_START; type <= VLY_STEP_END; type++) {
        points t = times_true(truth, type, times);
        found = times_of(events, n_events, type, times + truth->n_steps);
        add_matches(score, type, t, found, row);
    }
    add_standing(score, truth, found); /* the ends, as they came last */
    for (size_t i = 0; i < n_events; i++)
        add_delay(score, events[i].known_us - events[i].t_us);
    score->n_recordings++;
    score->n_true += truth->n_steps;
    score->n_found += found.n;
    double count_error = (double)found.n - (double)truth->n_steps;
    score->signed_count_error += count_error;
    score->abs_count_error += fabs(count_error);
out:
    vly_free(row);
    vly_free(times);
    return st;
}

/* ---- sums ---------------------------------------------------------------------------------- */

void vly_step_score_merge(vly_step_score *to, const vly_step_score *from)
{
    to->n_recordings += from->n_recordings;
    to->n_true += from->n_true;
    to->n_found += from->n_found;
    for (int type = 0; type < 2; type++) {
        for (int k = 0; k < VLY_STEP_TOLERANCES; k++) {
            to->match[type][k].n_hit += from->match[type][k].n_hit;
            to->match[type][k].n_false += from->match[type][k].n_false;
            to->match[type][k].n_missed += from->match[type][k].n_missed;
        }
        to->offset_ms_sum[type] += from->offset_ms_sum[type];
    }
    to->abs_count_error += from->abs_count_error;
    to->signed_count_error += from->signed_count_error;
    to->standing_s += from->standing_s;
    to->n_false_standing += from->n_false_standing;
    to->n_delays += from->n_delays;
    to->delay_ms_max = fmax(to->delay_ms_max, from->delay_ms_max);
    for (size_t i = 0; i < sizeof(to->delay_ms) / sizeof(to->delay_ms[0]); i++)
        to->delay_ms[i] += from->delay_ms[i];
}

double vly_match_f1(const vly_match_counts *c)
{
    uint64_t n = 2 * c->n_hit + c->n_false + c->n_missed;

    return n > 0 ? 2.0 * (double)c->n_hit / (double)n : 0;
}

double vly_step_score_delay(const vly_step_score *s, double quantile)
{
    const size_t n_bins = sizeof(s->delay_ms) / sizeof(s->delay_ms[0]);
    double rank = ceil(quantile * (double)s->n_delays);
    uint64_t n = 0;

    for (size_t ms = 0; ms + 1 < n_bins; ms++) {
        n += s->delay_ms[ms];
        if (n > 0 && (double)n >= rank)
            return fmin((double)ms, s->delay_ms_max);
    }
    return s->delay_ms_max;
}
