/* SPDX-License-Identifier: MIT */
/*
 * Leave-one-person-out: how good the net is with somebody whom it has not seen.
 *
 * For each person a net learns from all others and is judged on that person. The rule of the
 * decoder that it is judged with is chosen inside the others too: nets that learned from all but
 * two persons are run on one of the two, and the rule for the other is what is best on all such
 * runs. Each of these inner nets serves both of its persons. So n persons cost n trainings, and n
 * (n - 1) / 2 shorter ones.
 *
 * A net that learns from everybody gets the rule that is best over the persons left out.
 *
 * Memory: what every net said of who was left out is kept until the rules are chosen, 12 bytes a
 * reading (3 of probabilities, float32), and a reading is left out by n nets: 12 n bytes of each,
 * 72 for six persons.
 */
#ifndef VLY_TRAIN_STEP_CROSS_H
#define VLY_TRAIN_STEP_CROSS_H

#include "train/steps/step_fit.h"

#define VLY_STEP_CROSS_PERSONS_MIN 3 /* two are left out, one is learned from */
#define VLY_STEP_CROSS_PERSONS_MAX 16

typedef struct vly_step_cross {
    size_t n_persons;
    vly_step_score scores[VLY_STEP_CROSS_PERSONS_MAX]; /* of each person, left out */
    vly_step_decoder_rule rules[VLY_STEP_CROSS_PERSONS_MAX];
    vly_step_score pooled;
    vly_step_decoder_rule rule; /* for a net of all persons */
} vly_step_cross;

/* A training has ended, done of total; loss: of its last epoch. Called on the pool's threads. */
typedef void (*vly_step_cross_fn)(void *arg, size_t done, size_t total, uint64_t left_out,
                                  double loss);

/* Trainings run beside each other, one on each thread of the pool. EINVAL: fewer persons than
 * the least above, or more than the most; a training that ran away. */
vly_status vly_step_cross_run(const vly_step_tracks *tracks, const vly_step_fit_opts *opts,
                              struct vly_worker_pool *pool, vly_step_cross_fn tell, void *arg,
                              vly_step_cross *ret, vly_err *err) VLY_MUST_CHECK;

#endif
