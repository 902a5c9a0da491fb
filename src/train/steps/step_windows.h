/* SPDX-License-Identifier: MIT */
/*
 * Batches for the step net (a vly_train_source): windows of the recordings of some persons, each
 * changed at random as another hand, another sensor or another gait would change it, then made into
 * features, frames and targets.
 *
 * An epoch cuts every recording into windows that cover it once, at an offset and in an order of
 * its own; what a window becomes is drawn from (seed, its number). Frames before `burn` warm up the
 * net's state and do not count. Where a recording begins there is nothing to warm up with: there
 * the first 4 frames do not count, or as many as speak of readings before the first one.
 *
 * Thread: fill from any, after begin of that epoch.
 */
#ifndef VLY_TRAIN_STEP_WINDOWS_H
#define VLY_TRAIN_STEP_WINDOWS_H

#include "train/steps/step_recordings.h"
#include "train/trainer.h"

/* How windows are changed. Deviations are of normal, spans of uniform distributions; all 0: not. */
typedef struct vly_step_changes {
    float speed;      /* span of log of the gait's speed */
    float size;       /* span of log of the size of motion around gravity, and of rotation */
    float acc_noise;  /* deviation, m/s^2, times a uniform share for each window */
    float gyro_noise; /* rad/s */
    float acc_bias;   /* deviation, constant in a window */
    float gyro_bias;
    float lever;   /* deviation of the sensor's place in the hand, m: what rotation adds there */
    float smooth;  /* widest low-pass, readings; 0: none */
    float mirror;  /* share of windows seen in a mirror: the other hand */
    float no_gyro; /* share of windows without rotation */
} vly_step_changes;

/* The net's view of time, and what windows aim at. In readings, but where it says frames. */
typedef struct vly_step_shape {
    int32_t hop, delay;
    int32_t frames, burn; /* of a window, frames */
    float sigma;          /* of the bells around starts and ends */
} vly_step_shape;

/* Weights in the losses. */
typedef struct vly_step_weights {
    float peak;            /* of a reading at a start or end, 1: like all others */
    float stairs_events;   /* of frames on stairs, for events */
    float stairs_activity; /* and for the activity */
    float balance;         /* windows of persons with few readings are seen more often: their number
                              is raised to (most / theirs)^balance of it */
} vly_step_weights;

typedef struct vly_step_windows_opts {
    uint64_t seed;
    vly_step_shape shape;
    vly_step_changes changes;
    vly_step_weights weights;
    uint64_t persons; /* bit i: the person i of the data set takes part */
    size_t n_parts;   /* of a batch, with n windows each */
    int64_t n;
} vly_step_windows_opts;

#define VLY_STEP_PERSONS_MAX 64

typedef struct vly_step_windows vly_step_windows;

/* tracks outlive it. EINVAL: no reading takes part, ENOMEM. */
vly_status vly_step_windows_new(const vly_step_tracks *tracks, const vly_step_windows_opts *opts,
                                vly_step_windows **ret, vly_err *err) VLY_MUST_CHECK;
void vly_step_windows_free(vly_step_windows *w); /* accepts NULL */
/* Batches in an epoch, always the same number. */
uint64_t vly_step_windows_steps(const vly_step_windows *w);
/* Lists the windows of an epoch; steps [epoch * steps, (epoch + 1) * steps) may be filled then. */
void vly_step_windows_begin(vly_step_windows *w, uint64_t epoch);
vly_train_source vly_step_windows_source(vly_step_windows *w);

#endif
