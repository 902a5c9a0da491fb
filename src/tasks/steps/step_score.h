/* SPDX-License-Identifier: MIT */
/*
 * How good a step detector is: events against the truth, recording by recording, pooled by adding.
 *
 * Events are matched to true ones one to one within the tolerance, starts and ends apart, so that
 * the sum of distances is least among the matchings with most pairs (for points on a line: in
 * order). F1 = 2 TP / (2 TP + FP + FN). Count error: |steps - true steps|. False steps: events of
 * type step.end whose time lies in a stretch labelled standing, farther than 0.5 s from any
 * labelled step.
 *
 * Why not the accuracy of samples: never saying "step" scores 96 % there.
 */
#ifndef VLY_TASKS_STEP_SCORE_H
#define VLY_TASKS_STEP_SCORE_H

#include "tasks/steps/step_event.h"

#include <stddef.h>

#define VLY_STEP_TOLERANCES 2 /* 50 and 100 ms */
extern const int64_t vly_step_tolerance_us[VLY_STEP_TOLERANCES];

/* One true step: [start, end] in us of the recording. */
typedef struct vly_step_interval {
    int64_t start_us, end_us;
} vly_step_interval;

typedef struct vly_step_truth {
    const vly_step_interval *steps; /* in order by start and by end */
    size_t n_steps;
    const uint8_t *activity; /* [n_samples], vly_activity; NULL: not known */
    size_t n_samples;
    double rate_hz;
} vly_step_truth;

typedef struct vly_match_counts {
    uint64_t n_hit, n_false, n_missed;
} vly_match_counts;

/* Sums: those of two recordings add up. */
typedef struct vly_step_score {
    uint64_t n_recordings, n_true, n_found;
    vly_match_counts match[2][VLY_STEP_TOLERANCES]; /* [start, end] */
    double abs_count_error;                         /* sum of |found - true| */
    double signed_count_error;                      /* sum of found - true */
    double standing_s;
    uint64_t n_false_standing;
    double offset_ms_sum[2]; /* of hits within the widest tolerance: found - true */
    uint64_t n_delays;
    double delay_ms_max;
    uint32_t delay_ms[512]; /* histogram of known_us - t_us of the events, in ms rounded up; the
                             * last: more */
} vly_step_score;

/* Adds one recording; events in order of time. ENOMEM. */
vly_status vly_step_score_add(vly_step_score *score, const vly_step_truth *truth,
                              const vly_step_event *events, size_t n_events,
                              vly_err *err) VLY_MUST_CHECK;
void vly_step_score_merge(vly_step_score *to, const vly_step_score *from);

double vly_match_f1(const vly_match_counts *c); /* 0 when there is nothing at all */
/* Of the events, in ms: at least this share of them was known within it. 0 without events. */
double vly_step_score_delay(const vly_step_score *s, double quantile);

#endif
