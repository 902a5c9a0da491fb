/* SPDX-License-Identifier: MIT */
/*
 * Sessions of IMU sources: one for each user and device, whatever connection it comes by. What is
 * pushed in one turn of a loop runs at its end as one batch, on that loop's thread.
 *
 *     open -> push ... push -> close           the session stays, detached, until it is idle
 *     open again: the state goes on            while attached: the new one replaces the old one
 *
 * Readings are numbered from 0 in each session. A client that numbers them may send some again:
 * what is known already is skipped. A hole in the numbers is an error that names the next one. With
 * a store, states are saved every snapshot_ms; on_durable tells up to where, and after a crash the
 * session goes on from there: a client that keeps what is not durable yet, and sends it again,
 * loses nothing and doubles nothing (events carry the number of their step).
 *
 * Threads: open, close, list, reset and remove: any. push: a loop thread. Callbacks come on the
 * thread of the loop that pushes, on_replaced on the one that opens, on_durable on the store's;
 * none is called under a lock of the registry, and none after close has returned.
 */
#ifndef VLY_SCHED_IMU_SESSIONS_H
#define VLY_SCHED_IMU_SESSIONS_H

#include "base/clock.h"
#include "base/metrics.h"
#include "store/session_store.h"
#include "tasks/steps/step_stream.h"

#define VLY_IMU_NAME_MAX 64 /* bytes of a user or a device */
#define VLY_IMU_ID_MAX   40
#define VLY_IMU_NEXT     UINT64_MAX /* "number of the first reading": the client does not count */

typedef struct vly_imu_sessions vly_imu_sessions;
typedef struct vly_imu_session vly_imu_session; /* a reference of one attachment */

typedef struct vly_imu_sessions_opts {
    vly_step_model *model;
    unsigned n_loops;
    size_t max_sessions;      /* attached and detached */
    size_t max_waiting;       /* readings of one session in one turn; EBUSY past it */
    vly_nsec idle_ns;         /* detached and silent this long: forgotten */
    vly_session_store *store; /* borrowed; NULL: nothing outlives the process */
    unsigned snapshot_ms;
} vly_imu_sessions_opts;

typedef struct vly_imu_session_events {
    void (*on_events)(void *ctx, const vly_step_event *events, size_t n);
    void (*on_replaced)(void *ctx);               /* somebody else has the session now */
    void (*on_durable)(void *ctx, uint64_t next); /* all before reading next is on disk */
} vly_imu_session_events;

/* Of one session, at a moment. */
typedef struct vly_imu_session_info {
    char id[VLY_IMU_ID_MAX];
    char user[VLY_IMU_NAME_MAX + 1], device[VLY_IMU_NAME_MAX + 1];
    bool is_attached, is_resumed;
    uint64_t next; /* number of the next reading */
    vly_step_totals totals;
    vly_imu_grid_counts counts;
    vly_activity activity;
    int64_t begun_ms, heard_ms; /* Unix time */
} vly_imu_session_info;

/* Restores what the store has. Starts the thread that saves. */
vly_status vly_imu_sessions_new(const vly_imu_sessions_opts *opts, vly_imu_sessions **ret,
                                vly_err *err) VLY_MUST_CHECK;
/* Saves all. Everything is closed before. Accepts NULL. */
void vly_imu_sessions_free(vly_imu_sessions *s);

/* user or device empty: a session of its own, that nobody can come back to but by its id. id empty:
 * by user and device. ELIMIT (429): too many sessions; ENOTFOUND: no session of that id; EINVAL. */
typedef struct vly_imu_open {
    vly_str user, device, id;
    bool has_gyro;
    const vly_imu_session_events *events;
    void *ctx;
} vly_imu_open;

vly_status vly_imu_session_open(vly_imu_sessions *s, const vly_imu_open *open,
                                vly_imu_session **ret, vly_imu_session_info *ret_info,
                                vly_err *err) VLY_MUST_CHECK;
void vly_imu_session_close(vly_imu_session *session);

/* Copies the readings; they run at the end of the turn of this loop. first: the number of the first
 * of them, or VLY_IMU_NEXT. EINVAL: a hole in the numbers; EBUSY; ECANCELLED: replaced. */
vly_status vly_imu_session_push(vly_imu_session *session, unsigned loop, uint64_t first,
                                const vly_imu_reading *readings, size_t n,
                                vly_err *err) VLY_MUST_CHECK;
void vly_imu_session_info_get(vly_imu_session *session, vly_imu_session_info *ret);

/* Runs what was pushed in this turn. Thread: that loop. */
void vly_imu_sessions_turn(vly_imu_sessions *s, unsigned loop);

/* Sessions in order of their ids, after the id `after` (empty: from the first), at most cap. */
size_t vly_imu_sessions_list(vly_imu_sessions *s, vly_str after, vly_imu_session_info *ret,
                             size_t cap);
/* ENOTFOUND. Reset: counts and state begin anew, numbers of readings go on. Remove: forgets it, who
 * is attached is told on_replaced. */
vly_status vly_imu_sessions_find(vly_imu_sessions *s, vly_str id, vly_imu_session_info *ret,
                                 vly_err *err) VLY_MUST_CHECK;
vly_status vly_imu_sessions_reset(vly_imu_sessions *s, vly_str id, vly_err *err) VLY_MUST_CHECK;
vly_status vly_imu_sessions_remove(vly_imu_sessions *s, vly_str id, vly_err *err) VLY_MUST_CHECK;

typedef struct vly_imu_sessions_stats {
    vly_gauge sessions, attached;
    vly_counter opened, replaced, expired, restored;
    vly_counter readings, steps, events, turns, rows; /* rows: frames that went through the net */
    vly_counter snapshots, snapshot_errors;
} vly_imu_sessions_stats;

const vly_imu_sessions_stats *vly_imu_sessions_get_stats(const vly_imu_sessions *s);

#endif
