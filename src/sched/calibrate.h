/* SPDX-License-Identifier: MIT */
/*
 * Calibration: how a model is run best, found out by running it when it is loaded.
 *
 * Inputs of zeros, or of ones for integers, of the shapes that the model and its configuration
 * tell; dimensions beyond the first that they leave open cannot be guessed. On one core; some
 * VLY_CALIBRATE_NS in all, unless a single run takes longer. A model that the plan shows to be
 * large is not run at all.
 */
#ifndef VLY_SCHED_CALIBRATE_H
#define VLY_SCHED_CALIBRATE_H

#include "sched/batch_rules.h"
#include "sched/executor.h"

#define VLY_CALIBRATE_NS  (100 * VLY_NSEC_PER_MS)
#define VLY_INLINE_MAX_NS (50 * VLY_NSEC_PER_US) /* a run that a loop thread can afford */
#define VLY_WHY_MAX       256

typedef struct vly_calibration {
    vly_execution mode;    /* not AUTO */
    char why[VLY_WHY_MAX]; /* a sentence for people */
    vly_nsec one_ns;       /* a run of one inference; 0: not measured */
    size_t batch;          /* that was measured too; 0: none */
    vly_nsec batch_ns;     /* a run of it */
} vly_calibration;

/* Never fails: what cannot be measured is said in why. x: an executor that runs on one core. */
vly_calibration vly_calibrate(const vly_servable *s, const vly_run_config *config, vly_executor *x);

/* The rule alone. */
void vly_calibration_choose(vly_calibration *c, const vly_run_config *config);

#endif
