/* SPDX-License-Identifier: MIT */
/*
 * The recordings of a data set as training and judging need them: readings on the grid of the model
 * (prep/imu), the places of starts and ends between them, the activity of each.
 *
 * Held whole, 25 bytes a reading: 7 MB for an hour. Windows, features and frames are made from it
 * when a batch wants them, and never kept. While a file is read, its text and its readings as the
 * file has them are in memory too, one file at a time. A data set past VLY_STEP_READINGS_MAX (a
 * month) is refused.
 *
 * Immutable after load; shared by threads.
 */
#ifndef VLY_TRAIN_STEP_RECORDINGS_H
#define VLY_TRAIN_STEP_RECORDINGS_H

#include "base/arena.h"
#include "prep/imu/imu_features.h"
#include "tasks/steps/step_dataset.h"

#define VLY_STEP_READINGS_MAX ((size_t)80 * 3600 * 24 * 31)

typedef struct vly_step_track {
    size_t person; /* in the data set's list */
    const char *name;
    size_t n;
    float (*axes)[VLY_IMU_AXES]; /* [n] */
    uint8_t *activity;           /* [n] */
    size_t n_steps;
    float *starts, *ends; /* [n_steps] in readings */
    vly_step_truth truth; /* the same for step_score.h; its rate is that of the grid */
} vly_step_track;

typedef struct vly_step_tracks {
    vly_step_dataset set;
    vly_step_track *tracks; /* [set.n_recordings] */
    size_t n_readings;
    vly_arena arena;
} vly_step_tracks;

/* EFORMAT: a recording without activity, or with a hole in time; else as step_dataset.h. */
vly_status vly_step_tracks_load(vly_step_tracks *t, const char *dir, vly_err *err) VLY_MUST_CHECK;
void vly_step_tracks_release(vly_step_tracks *t);

#endif
