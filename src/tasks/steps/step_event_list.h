/* SPDX-License-Identifier: MIT */
/*
 * Events, kept: what a detector tells by its callback, as a list. Owner: one thread at a time.
 */
#ifndef VLY_TASKS_STEP_EVENT_LIST_H
#define VLY_TASKS_STEP_EVENT_LIST_H

#include "tasks/steps/step_event.h"

#include <stdbool.h>

typedef struct vly_step_event_list {
    vly_step_event *events; /* owned */
    size_t n, cap;
    bool failed; /* out of memory: some are missing */
} vly_step_event_list;

/* A vly_step_event_fn; arg: a vly_step_event_list, zeroed to begin with. */
void vly_step_event_list_add(void *arg, const vly_step_event *events, size_t n);
void vly_step_event_list_release(vly_step_event_list *list);

/* ENOMEM when events are missing. */
vly_status vly_step_event_list_check(const vly_step_event_list *list, vly_err *err) VLY_MUST_CHECK;

#endif
