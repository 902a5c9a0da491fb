/* SPDX-License-Identifier: MIT */
/*
 * The detector of the guide that Volley was measured against: its network, which sees one reading
 * at a time, and the rules that it combines with it, as its published settings have them. Kept to
 * be compared with.
 *
 * A step is one instant there, told as beginning and end at once; its clock is the time of the
 * readings, where the original asks the wall clock.
 */
#ifndef VLY_TASKS_STEP_GUIDE_H
#define VLY_TASKS_STEP_GUIDE_H

#include "codec/imu.h"
#include "engine/model.h"
#include "tasks/steps/step_event_list.h"

/* Loads the network: float32 [n, 6] to [n, 3], no step, start, end. EFORMAT: another one. */
vly_status vly_step_guide_load(const char *path, vly_model **ret, vly_err *err) VLY_MUST_CHECK;

/* A whole recording from a fresh state. */
vly_status vly_step_guide_run(vly_model *m, const vly_imu_reading *readings, size_t n,
                              vly_step_event_list *to, vly_err *err) VLY_MUST_CHECK;

/* The rules alone. Plain data, zeroed to begin with. */
#define VLY_STEP_GUIDE_WINDOW 15

typedef struct vly_step_guide {
    double acc[VLY_STEP_GUIDE_WINDOW]; /* magnitudes, the newest last */
    double sum[6];                     /* of acc and gyro, the newest last */
    uint64_t n;
    unsigned n_still;
    int64_t step_us; /* of the last step */
    bool has_step;
} vly_step_guide;

/* The next reading, with what the network says of it; true: a step is counted. */
bool vly_step_guide_next(vly_step_guide *g, const vly_imu_reading *reading, float p_start,
                         float p_end);

#endif
