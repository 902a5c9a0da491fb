/* SPDX-License-Identifier: MIT */
/*
 * What the step detector says: beginnings and ends of steps, and what the person does.
 *
 * A step begins when a foot leaves its place and ends when it is still again; left and right feet
 * are not told apart. In steady walking one step ends where the next begins. A step counts when it
 * has ended: one for each start..end pair.
 */
#ifndef VLY_TASKS_STEP_EVENT_H
#define VLY_TASKS_STEP_EVENT_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum vly_activity {
    VLY_ACTIVITY_STANDING,
    VLY_ACTIVITY_WALKING,
    VLY_ACTIVITY_STAIRS_UP,
    VLY_ACTIVITY_STAIRS_DOWN,
    VLY_ACTIVITIES,
} vly_activity;

const char *vly_activity_name(vly_activity a); /* "stairs_up" */

typedef enum vly_step_event_type { VLY_STEP_START, VLY_STEP_END } vly_step_event_type;

const char *vly_step_event_name(vly_step_event_type type); /* "step.start" */

typedef struct vly_step_event {
    vly_step_event_type type;
    vly_activity activity; /* at that time */
    uint64_t step;         /* from 1: the step that begins or ends, counted over the session */
    int64_t t_us;          /* by the source's clock */
    int64_t known_us;      /* time of the grid point at which it was known: t_us + the delay */
    float confidence;      /* 0 .. 1 */
} vly_step_event;

/* Events of one source, in order of time, while its clock is not set back. Thread: the one that
 * runs the detector. */
typedef void (*vly_step_event_fn)(void *arg, const vly_step_event *events, size_t n);

#endif
