/* SPDX-License-Identifier: MIT */
/*
 * What a net says of a recording, and how good that is under a rule of the decoder. The net runs
 * once; then rules are tried on what it said, by the code that decodes streams (tasks/steps).
 */
#ifndef VLY_TRAIN_STEP_JUDGE_H
#define VLY_TRAIN_STEP_JUDGE_H

#include "train/steps/step_net.h"

/* Outputs of the net for a whole recording. */
typedef struct vly_step_guess {
    const vly_step_track *track;
    size_t n_frames;
    float *events;   /* [n_frames, hop * 2] probabilities */
    float *activity; /* [n_frames, VLY_ACTIVITIES] */
} vly_step_guess;

/* One for each thread. */
typedef struct vly_step_judge vly_step_judge;

/* net outlives it. */
vly_status vly_step_judge_new(const vly_train_net *net, const vly_step_shape *shape,
                              vly_step_judge **ret, vly_err *err) VLY_MUST_CHECK;
void vly_step_judge_free(vly_step_judge *j); /* accepts NULL */
vly_status vly_step_judge_run(vly_step_judge *j, const float *params, const float *running,
                              const vly_step_track *track, vly_step_guess *ret,
                              vly_err *err) VLY_MUST_CHECK;
void vly_step_guess_release(vly_step_guess *g);

/* Adds the recording to the score. */
vly_status vly_step_guess_score(const vly_step_guess *g, const vly_step_shape *shape,
                                const vly_step_decoder_rule *rule, vly_step_score *score,
                                vly_err *err) VLY_MUST_CHECK;

/* The one figure that rules and epochs are chosen by: mean of the four F1 (start and end, 50 and
 * 100 ms), less the count error, less false steps while standing. */
double vly_step_figure(const vly_step_score *s);
/* Changes rule to what is best on these recordings: one value after the other, twice. */
vly_status vly_step_rule_choose(const vly_step_guess *guesses, size_t n,
                                const vly_step_shape *shape, vly_step_decoder_rule *rule,
                                vly_err *err) VLY_MUST_CHECK;

#endif
