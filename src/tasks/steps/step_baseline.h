/* SPDX-License-Identifier: MIT */
/*
 * Step detectors to compare with: what chance gives, and what a few lines without learning give.
 * They take a whole recording of equal steps in time, but each event from earlier readings only.
 *
 * Thread: any. Errors: the list is marked failed without memory.
 */
#ifndef VLY_TASKS_STEP_BASELINE_H
#define VLY_TASKS_STEP_BASELINE_H

#include "codec/imu.h"
#include "tasks/steps/step_event_list.h"

/* Chance: while the sensor moves (|acc| spread over the last second), a step every 525 ms, which is
 * the median of the recordings; it knows nothing of when. */
void vly_step_metronome(const vly_imu_reading *readings, size_t n, double rate_hz,
                        vly_step_event_list *to);

/* Peaks of |acc| behind a causal low-pass (second-order Butterworth). A step begins offset_s before
 * its peak and ends where the next begins, or after max_step_s. */
typedef struct vly_step_peak_rule {
    double cutoff_hz;
    double least; /* m/s^2: a peak is this much above 9.81 */
    double min_gap_s, max_step_s;
    double offset_s; /* of the filter, and of peaks behind foot events */
} vly_step_peak_rule;

/* Chosen on the six persons of data/steps. */
extern const vly_step_peak_rule vly_step_peak_rule_default;

void vly_step_peaks(const vly_step_peak_rule *rule, const vly_imu_reading *readings, size_t n,
                    double rate_hz, vly_step_event_list *to);

#endif
