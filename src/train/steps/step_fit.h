/* SPDX-License-Identifier: MIT */
/*
 * One training of the step net on some persons of a data set. Between epochs the caller looks at it
 * and may stop; checkpoints are its business (train/checkpoint.h).
 */
#ifndef VLY_TRAIN_STEP_FIT_H
#define VLY_TRAIN_STEP_FIT_H

#include "train/steps/step_judge.h"
#include "train/trainer.h"

/* Everything that decides what comes out, but for the data. */
typedef struct vly_step_fit_opts {
    uint64_t seed;
    uint32_t n_epochs;
    vly_step_net_opts net;
    vly_step_shape shape;
    vly_step_changes changes;
    vly_step_weights weights;
    vly_step_decoder_rule rule; /* before one is chosen */
    size_t n_parts;             /* of a batch */
    int64_t n;                  /* windows of a part */
    float rate, decay, average;
    double clip_norm, activity_weight;
    uint64_t n_warmup;
    bool keep_zeros;
} vly_step_fit_opts;

extern const vly_step_fit_opts vly_step_fit_defaults;

typedef struct vly_step_fit {
    vly_step_fit_opts opts;
    const vly_step_tracks *tracks;
    uint64_t persons;
    vly_train_net *net;
    vly_step_windows *windows;
    vly_trainer *trainer;
    vly_step_judge *judge;
    uint32_t epoch; /* how many were made */
} vly_step_fit;

/* What an epoch tells: means over its batches. */
typedef struct vly_step_epoch {
    double loss, loss_events, loss_activity, rate;
} vly_step_epoch;

/* persons: bit i for the person i. tracks and pool (NULL: this thread only) outlive it. */
vly_status vly_step_fit_open(vly_step_fit *f, const vly_step_tracks *tracks,
                             const vly_step_fit_opts *opts, uint64_t persons,
                             struct vly_worker_pool *pool, vly_err *err) VLY_MUST_CHECK;
void vly_step_fit_close(vly_step_fit *f); /* accepts a zeroed one */
/* EINVAL: the training ran away, a loss or parameter is no number any more. */
vly_status vly_step_fit_epoch(vly_step_fit *f, vly_step_epoch *ret, vly_err *err) VLY_MUST_CHECK;
/* A number that two trainings share when the same comes out of them: of the readings and their
 * truth, who takes part, options, net and features. For checkpoints. */
uint64_t vly_step_fit_fingerprint(const vly_step_fit *f);
/* The recordings of these persons through the net as it is now. guesses: [n_recordings], of which
 * the first *ret_n are filled; the caller releases them. */
vly_status vly_step_fit_guess(vly_step_fit *f, uint64_t persons, vly_step_guess *guesses,
                              size_t *ret_n, vly_err *err) VLY_MUST_CHECK;

#endif
