/* SPDX-License-Identifier: MIT */
/*
 * Probabilities of start and end, reading by reading, to events: a peak above its threshold that
 * no reading within confirm beats, then the order start, end, start ... kept.
 *
 * Deterministic, causal, plain data. The decoder learns of reading i at the time of the frame whose
 * outputs speak of it, and says what it knows confirm readings later.
 */
#ifndef VLY_TASKS_STEP_DECODER_H
#define VLY_TASKS_STEP_DECODER_H

#include "tasks/steps/step_event.h"

#include <stdbool.h>

#define VLY_STEP_CONFIRM_MAX 8

typedef struct vly_step_decoder_rule {
    float threshold_start, threshold_end;
    uint16_t confirm;  /* readings on each side that a peak must beat, 1 .. the limit above */
    uint16_t min_gap;  /* readings between starts */
    uint16_t max_step; /* readings after which a step without an end is given up */
} vly_step_decoder_rule;

typedef struct vly_step_decoder {
    float start[2 * VLY_STEP_CONFIRM_MAX + 1]; /* the last probabilities, a ring */
    float end[2 * VLY_STEP_CONFIRM_MAX + 1];
    uint64_t n;       /* readings seen in this segment */
    uint64_t begun;   /* the reading at which the step at hand began; valid while is_in_step */
    uint64_t n_steps; /* completed, over all segments */
    bool is_in_step;
} vly_step_decoder;

/* An event, in readings of the segment. */
typedef struct vly_step_peak {
    vly_step_event_type type;
    uint64_t reading;
    uint64_t step;
    float confidence;
} vly_step_peak;

#define VLY_STEP_PEAKS_MAX 4 /* that one reading can complete */

void vly_step_decoder_init(vly_step_decoder *d);
/* A new segment begins: a step at hand is given up, the count goes on. */
void vly_step_decoder_break(vly_step_decoder *d);
/* The next reading's probabilities; events in order of time, returns how many. */
size_t vly_step_decoder_next(vly_step_decoder *d, const vly_step_decoder_rule *rule, float p_start,
                             float p_end, vly_step_peak ret[VLY_STEP_PEAKS_MAX]);

#endif
