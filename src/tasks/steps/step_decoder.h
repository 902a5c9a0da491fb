/* SPDX-License-Identifier: MIT */
/*
 * Probabilities of start and end, reading by reading, to events.
 *
 * While somebody walks the end of a step and the start of the next are one instant, one reading
 * apart by the labels. So there are two curves, start[n] and end[n - 1], smoothed by the mean of
 * 2 * smooth + 1 readings (a net that speaks in frames leaves steps between them), and above both
 * one more, b[n] = max(start, end). Each of its peaks that is high enough is a boundary: of what
 * kind, the two curves and the order start, end, start ... tell. How high is enough depends on the
 * time since the last boundary: soon after it high, when the next is due low; and where the net
 * says that the person stands no walk begins. A parabola through the peak gives its time between
 * readings.
 *
 * An end without a start: the first step of a walk was missed. Its start is put missed_step before
 * the boundary, and told late.
 *
 * Deterministic, causal, plain data: a peak is known smooth + confirm readings after it.
 */
#ifndef VLY_TASKS_STEP_DECODER_H
#define VLY_TASKS_STEP_DECODER_H

#include "tasks/steps/step_event.h"

#include <stdbool.h>

#define VLY_STEP_SMOOTH_MAX  2
#define VLY_STEP_CONFIRM_MAX 3
#define VLY_STEP_PAST        8 /* readings that are remembered */
#define VLY_STEP_LEAST       5 /* readings of a segment for there to be an event */

/* Durations in readings. */
typedef struct vly_step_decoder_rule {
    float threshold_first;                /* of a boundary that begins a walk */
    float threshold_early, threshold_due; /* within a walk, before fall_from and after fall_to */
    float threshold_missed; /* of an end whose start was missed; 0: such ends are left out */
    float share;            /* of b that the curve of an event must have, 0 .. 1 */
    float standing_max; /* above this probability of standing no walk begins; 0: it always may */
    uint16_t fall_from, fall_to;
    uint16_t smooth;      /* on each side of a reading */
    uint16_t confirm;     /* readings after a peak that must not be above it */
    uint16_t min_gap;     /* between boundaries */
    uint16_t max_step;    /* after which a step without an end is given up */
    uint16_t missed_step; /* length of a step whose start was missed */
    uint16_t missed_gap;  /* since the last boundary, more than missed_step, for there to be one */
} vly_step_decoder_rule;

/* Rings: reading n is at n % VLY_STEP_PAST. */
typedef struct vly_step_decoder {
    float p_start[VLY_STEP_PAST], p_end[VLY_STEP_PAST]; /* as they came */
    float start[VLY_STEP_PAST], end[VLY_STEP_PAST];     /* the curves */
    uint64_t n;                                         /* readings seen in this segment */
    uint64_t boundary;                                  /* the last one; valid with has_boundary */
    uint64_t n_steps;                                   /* completed, over all segments */
    uint8_t has_boundary, is_in_step;
} vly_step_decoder;

/* An event, in readings of the segment. */
typedef struct vly_step_peak {
    vly_step_event_type type;
    uint64_t reading;
    float after; /* of the reading: -0.5 .. 0.5 */
    uint64_t step;
    float confidence;
} vly_step_peak;

#define VLY_STEP_PEAKS_MAX 3 /* that one reading can complete */

void vly_step_decoder_init(vly_step_decoder *d);
/* A new segment begins: a step at hand is given up, the count goes on. */
void vly_step_decoder_break(vly_step_decoder *d);
/* The next reading's probabilities, and that of standing, as the net sees it now. Events in order
 * of time; returns how many. */
size_t vly_step_decoder_next(vly_step_decoder *d, const vly_step_decoder_rule *rule, float p_start,
                             float p_end, float p_standing, vly_step_peak ret[VLY_STEP_PEAKS_MAX]);
/* The probabilities of the last reading of the segment; zeroes before the first. */
void vly_step_decoder_last(const vly_step_decoder *d, float *ret_start, float *ret_end);

#endif
