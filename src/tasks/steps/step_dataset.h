/* SPDX-License-Identifier: MIT */
/*
 * A folder of labelled recordings, as data/steps of SIMUL: PERSON/NAME.csv, whatever codec/imu.h
 * reads, with a column "activity" if it is known (0 standing, 1 walking, 2 stairs up, 3 stairs
 * down, 4 and 5 in a lift, which is standing), and beside it the truth, one "start,end" per line in
 * readings from 1, in any order: ClippedX.csv goes with X.csv.stepMixed, NAME.csv with
 * NAME.csv.stepMixed or NAME.steps.csv. A folder with recordings right in it is one person.
 *
 * A recording must be whole, so that readings can be counted: without faults, its times even.
 * Lists first, reads later: a recording is held only while it is used.
 */
#ifndef VLY_TASKS_STEP_DATASET_H
#define VLY_TASKS_STEP_DATASET_H

#include "base/arena.h"
#include "codec/imu.h"
#include "tasks/steps/step_score.h"

typedef struct vly_step_recording_ref {
    const char *person;      /* name of the folder */
    const char *csv, *truth; /* paths */
} vly_step_recording_ref;

typedef struct vly_step_dataset {
    const vly_step_recording_ref *recordings; /* by person, then name */
    size_t n_recordings;
    const char *const *persons; /* sorted, each once */
    size_t n_persons;
} vly_step_dataset;

typedef struct vly_step_recording {
    vly_imu_reading *readings; /* times from 0 */
    size_t n;
    double rate_hz;
    bool has_gyro;
    vly_step_truth truth; /* activity [n], or NULL where the file has none */
} vly_step_recording;

/* Finds the recordings below dir (or dir/raw). Memory: the arena's. ENOTFOUND: none there; EFORMAT:
 * one without its truth. */
vly_status vly_step_dataset_open(const char *dir, vly_arena *arena, vly_step_dataset *ret,
                                 vly_err *err) VLY_MUST_CHECK;
/* Memory: the arena's. EFORMAT names the file, and the line or reading. */
vly_status vly_step_recording_read(const vly_step_recording_ref *ref, vly_arena *arena,
                                   vly_step_recording *ret, vly_err *err) VLY_MUST_CHECK;

/* The truth, from memory: steps in order of time. Memory: the arena's. EFORMAT names the line: not
 * two numbers, outside 1 .. n, an end before its start, or a step within another (feet may
 * overlap). */
vly_status vly_step_truth_parse(vly_str text, const vly_imu_reading *readings, size_t n,
                                vly_arena *arena, vly_step_interval **ret, size_t *ret_n,
                                vly_err *err) VLY_MUST_CHECK;

#endif
