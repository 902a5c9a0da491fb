/* SPDX-License-Identifier: MIT */
/*
 * Alarms: one thread that calls back at times to come, for the whole process.
 *
 * An alarm is a member of the setter's object, so that setting one allocates nothing, cannot fail
 * and needs no bound of its own. The thread sleeps until the
 * earliest is due and then rings all that are; setting one wakes it only when the new one is the
 * earliest.
 *
 *     idle --set--> waiting --due--> ringing --> idle; set again while ringing: waiting
 *
 * ring is called without a lock held, may set, clear and free its own alarm and others, and must be
 * short: who has more to do hands it to the worker pool.
 *
 * Thread: any, but for new and free, which belong to the owner.
 */
#ifndef VLY_SYS_ALARM_H
#define VLY_SYS_ALARM_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/status.h"

typedef struct vly_alarms vly_alarms; /* the thread */

/* Zeroed but for ring: an alarm that is not set. */
typedef struct vly_alarm {
    vly_heap_node node; /* private; guarded by the lock of vly_alarms */
    void (*ring)(struct vly_alarm *a);
} vly_alarm;

vly_status vly_alarms_new(vly_alarms **ret, vly_err *err) VLY_MUST_CHECK;
/* Stops the thread; no alarm may be set or ringing. Accepts NULL. */
void vly_alarms_free(vly_alarms *s);

/* a->ring is called once, at at_ns (vly_clock_now) or soon after. One that waits is moved. */
void vly_alarm_set(vly_alarms *s, vly_alarm *a, vly_nsec at_ns);
/* The alarm waits no longer. It may be ringing at this moment. Never blocks. */
void vly_alarm_clear(vly_alarms *s, vly_alarm *a);
/* As clear, and waits for a ring under way, unless it is called from a ring: then a may be freed.
 * Not under a lock that ring takes. */
void vly_alarm_end(vly_alarms *s, vly_alarm *a);

#endif
