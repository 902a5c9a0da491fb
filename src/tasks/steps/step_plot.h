/* SPDX-License-Identifier: MIT */
/*
 * A recording and its steps as a picture: cadence and activities over all of it, then |acc| with
 * the steps, whole when it is short, else in excerpts: where the walking begins, where most is
 * wrong (with a truth; else the middle), and where it ends.
 */
#ifndef VLY_TASKS_STEP_PLOT_H
#define VLY_TASKS_STEP_PLOT_H

#include "base/buf.h"
#include "codec/imu.h"
#include "tasks/steps/step_score.h"

#define VLY_STEP_PLOT_BYTES_MAX ((size_t)16 << 20)

typedef struct vly_step_plot {
    const char *title, *subtitle; /* subtitle NULL: how many steps */
    const vly_imu_reading *readings;
    size_t n_readings;
    const vly_step_event *events;
    size_t n_events;
    const vly_step_truth *truth; /* NULL: not known */
} vly_step_plot;

/* Appends the SVG. EINVAL: no readings; ENOMEM, ELIMIT. */
vly_status vly_step_plot_svg(const vly_step_plot *plot, vly_buf *to, vly_err *err) VLY_MUST_CHECK;

#endif
