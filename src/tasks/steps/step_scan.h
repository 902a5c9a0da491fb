/* SPDX-License-Identifier: MIT */
/*
 * One recording, from bytes in any pieces to its steps. Owner: one thread at a time.
 */
#ifndef VLY_TASKS_STEP_SCAN_H
#define VLY_TASKS_STEP_SCAN_H

#include "tasks/steps/step_stream.h"

typedef struct vly_step_scan_opts {
    vly_step_model *model; /* borrowed until free, as the batcher, which is of this model */
    vly_step_batcher *batcher;
    /* Without its callbacks. max_readings is for those of the model's rate, too, with what fills
     * holes and is added at a gap: ELIMIT. */
    vly_imu_reader_opts reader;
    /* Sees the readings as they come; NULL: nobody wants to. */
    vly_status (*on_readings)(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err);
    void *arg;
} vly_step_scan_opts;

typedef struct vly_step_scan vly_step_scan;

/* Why a recording may be unlike those that the model was trained on. */
typedef enum vly_step_warning {
    VLY_STEP_WARN_SLOW, /* fewer than 20 readings a second */
    VLY_STEP_WARN_NO_GYRO,
    VLY_STEP_WARN_LATE_GYRO,
    VLY_STEP_WARN_GRAVITY,  /* the mean acceleration is not that of the earth */
    VLY_STEP_WARN_RATE,     /* nothing tells the rate */
    VLY_STEP_WARN_SHORT,    /* less than 2 s, gaps not counted */
    VLY_STEP_WARN_FAST,     /* more than 500 readings a second, by times whose unit is guessed */
    VLY_STEP_WARN_LEFT_OUT, /* more than 1 % of the rows: faults, duplicates, out of order */
    VLY_STEP_WARNINGS,
} vly_step_warning;

const char *vly_step_warning_text(vly_step_warning w);

/* All is borrowed from the scan. */
typedef struct vly_step_summary {
    const vly_imu_report *input;
    const vly_step_totals *totals;
    const vly_imu_grid_counts *counts;
    const vly_step_event *events; /* in order of time, while the clock was not set back */
    size_t n_events;
    double duration_s; /* from first to last reading, without gaps and what was left out */
    double cadence;    /* steps a minute, where one follows the other within 2 s; 0: none do */
    float mean_acc;    /* m/s^2 */
    bool has_warning[VLY_STEP_WARNINGS];
    const vly_step_model *model;
} vly_step_summary;

/* EINVAL: an option of the reader, ENOMEM. */
vly_status vly_step_scan_new(const vly_step_scan_opts *opts, vly_step_scan **ret,
                             vly_err *err) VLY_MUST_CHECK;
void vly_step_scan_free(vly_step_scan *s); /* accepts NULL */
/* Errors: of vly_imu_reader_feed, of vly_step_batcher_run, of on_readings. After one, only free. */
vly_status vly_step_scan_feed(vly_step_scan *s, const void *bytes, size_t n,
                              vly_err *err) VLY_MUST_CHECK;
vly_status vly_step_scan_end(vly_step_scan *s, vly_step_summary *ret, vly_err *err) VLY_MUST_CHECK;

#endif
