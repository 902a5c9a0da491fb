/* SPDX-License-Identifier: MIT */
/*
 * A synthetic walker with a sensor in the hand, whose steps are known: for demonstrations and tests
 * of the whole path. It imitates the look of real recordings, not their variety: how good a
 * detector is must be measured with people.
 *
 *     steps      each has its own length and vigour; a slow drift, a left-right difference, a
 *                longer first one. Feet move one after the other: each step ends where the next
 *                begins.
 *     body       vertical: a cosine of the step's phase, the highest where a step begins, a bump
 *                when the foot lands, and a ripple that differs from step to step; on stairs they
 *                lie elsewhere. Forward and sideways (every other step to the other side): less.
 *     standing   sway, and now and then a gesture of the hand
 *     hand       held anyhow to begin with; swings with the steps, turns with the person, and is
 *                turned in the hand every 10 .. 30 s
 *     sensor     all of it in the axes of the sensor, with gravity; rotation is the derivative of
 *                the attitude; white noise and a constant bias
 *
 * The same options give the same recording. Vigour, bias and the rest of a walker follow the seed.
 */
#ifndef VLY_TASKS_STEP_SYNTH_H
#define VLY_TASKS_STEP_SYNTH_H

#include "tasks/steps/step_dataset.h"

typedef struct vly_step_synth_opts {
    uint64_t seed;
    double seconds;                 /* 1 .. 86400 */
    double rate_hz;                 /* 20 .. 500 */
    double cadence_spm;             /* steps a minute on the level: 60 .. 200; 0: about 112 */
    double jitter;                  /* of times: at most this share of a period, 0 .. 0.45 */
    const vly_activity *activities; /* one after the other, again and again; NULL: all of them */
    size_t n_activities;
    bool has_no_gyro;
} vly_step_synth_opts;

#define VLY_STEP_SYNTH_DEFAULTS                                                                    \
    {                                                                                              \
        .seed = 1, .seconds = 60, .rate_hz = 80                                                    \
    }

/* Memory: the arena's. Steps of the truth begin and end at times of readings. EINVAL: an option
 * outside its range; ELIMIT, ENOMEM. */
vly_status vly_step_synth(const vly_step_synth_opts *opts, vly_arena *arena,
                          vly_step_recording *ret, vly_err *err) VLY_MUST_CHECK;

#endif
