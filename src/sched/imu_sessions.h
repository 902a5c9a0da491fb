/* SPDX-License-Identifier: MIT */
/*
 * Sessions of IMU sources: one for each user and device, whatever connection it comes by. What is
 * pushed in one turn of a loop runs at its end as one batch, on that loop's thread.
 *
 *     open -> push ... push -> close           the session stays, detached, until it is idle
 *     open again: the state goes on            while attached: the new one replaces the old one
 *     open -> push ... push -> end -> close    the look-ahead is told, the session is forgotten
 *
 * Readings are numbered from 0 in each session. A client that numbers them may send some again:
 * what is known already is skipped. A hole in the numbers is an error that names the next one. With
 * a store, states are saved every snapshot_ms; on_durable tells up to where, and after a crash the
 * session goes on from there: a client that keeps what is not durable yet, and sends it again,
 * loses nothing and doubles nothing (events carry the number of their step).
 *
 * When a session is replaced, what the old one had pushed and was not run yet is dropped; `next`
 * tells the new one where to go on. After close it runs all the same, unless another opens first.
 *
 * A session belongs to who began it: others do not find it, neither by its id nor by a name, and
 * names of different owners do not meet.
 *
 * Threads: one of a session's loop, or one thread in its place, calls push and end, always the
 * same; close, too, or any thread when that one does not push at the time. The rest: any thread.
 * Callbacks come on the thread of the loop that pushes, on_replaced on the one that opens or
 * removes, on_durable on the one that saves. None is called under a lock of the registry, and none
 * after close has returned: close waits for one that runs on another thread, so callbacks are short
 * and wait for nothing. A callback may push and close its own session.
 */
#ifndef VLY_SCHED_IMU_SESSIONS_H
#define VLY_SCHED_IMU_SESSIONS_H

#include "base/clock.h"
#include "base/metrics.h"
#include "store/session_store.h"
#include "tasks/steps/step_stream.h"

#define VLY_IMU_NAME_MAX 64 /* bytes of a user or a device */
#define VLY_IMU_ID_LEN   32 /* hexadecimal digits: 128 random bits, for an id gives access */
#define VLY_IMU_NEXT     UINT64_MAX /* "number of the first reading": the client does not count */

typedef struct vly_imu_sessions vly_imu_sessions;
typedef struct vly_imu_session vly_imu_session; /* one attachment to a session */

typedef struct vly_imu_sessions_opts {
    vly_step_model *model;    /* referenced */
    unsigned n_loops;         /* threads that push: numbers 0 .. n_loops - 1 */
    size_t max_sessions;      /* attached and detached */
    size_t max_waiting;       /* readings of one session; EBUSY past it */
    size_t max_waiting_all;   /* of all sessions, shared out among the loops */
    vly_nsec idle_ns;         /* detached this long: forgotten */
    vly_session_store *store; /* borrowed, owned by who saves; NULL: nothing outlives the process */
    unsigned snapshot_ms;     /* 0: no thread of its own, the caller calls tick */
    vly_nsec (*now)(void);    /* NULL: vly_clock_now */
} vly_imu_sessions_opts;

/* Who asks. */
typedef struct vly_imu_who {
    vly_str owner; /* what begins is its; empty: nobody's. At most VLY_IMU_NAME_MAX bytes */
    bool sees_all; /* by id, also what is not its own */
} vly_imu_who;

#define VLY_IMU_ALL (&(const vly_imu_who){.sees_all = true})

/* Of one session, at a moment. */
typedef struct vly_imu_session_info {
    char id[VLY_IMU_ID_LEN + 1];
    char user[VLY_IMU_NAME_MAX + 1], device[VLY_IMU_NAME_MAX + 1];
    bool is_attached;
    bool is_resumed;   /* goes on from an earlier attachment, or an earlier process */
    bool has_replaced; /* of open: somebody else was attached */
    bool has_gyro;
    uint64_t next;    /* number of the next reading */
    uint64_t durable; /* all before this reading is on disk */
    vly_step_totals totals;
    vly_imu_grid_counts counts;
    vly_activity activity;
    bool is_in_step;
    float p_start, p_end;       /* of the newest reading that the net has spoken of */
    int64_t begun_ms, heard_ms; /* Unix time */
} vly_imu_session_info;

typedef struct vly_imu_session_events {
    void (*on_events)(void *ctx, const vly_step_event *events, size_t n);
    /* The last one: somebody else has the session now, or it was removed. */
    void (*on_replaced)(void *ctx);
    void (*on_durable)(void *ctx, uint64_t next); /* all before reading next is on disk */
    /* The last one: what was pushed before end is told, and the session gone. */
    void (*on_ended)(void *ctx, const vly_imu_session_info *info);
} vly_imu_session_events;

/* EINVAL: an option makes no sense. With a store: restores what it has. States of another model or
 * version, and damaged ones, are left out, with a line in the log and a count. Starts the thread
 * that saves, unless snapshot_ms is 0. */
vly_status vly_imu_sessions_new(const vly_imu_sessions_opts *opts, vly_imu_sessions **ret,
                                vly_err *err) VLY_MUST_CHECK;
/* Saves all. Everything is closed before, and no loop is in a turn. Accepts NULL. */
void vly_imu_sessions_free(vly_imu_sessions *s);

/* id empty: the session of user and device, begun when there is none. user empty, too: a session of
 * its own, which only its id leads back to. Names are printable UTF-8 of at most VLY_IMU_NAME_MAX
 * bytes. */
typedef struct vly_imu_open {
    vly_str user, device, id;
    vly_imu_who who;
    bool has_gyro;
    bool is_unstored; /* one that begins is never saved: nobody comes back to it */
    const vly_imu_session_events *events; /* borrowed until close; each may be NULL */
    void *ctx;
} vly_imu_open;

/* EBUSY (429): too many sessions; ENOTFOUND: no session of that id that it may have; EINVAL: a
 * name. ret_info may be NULL. Waits for the batch that the session is in, so that `next` is not of
 * before it: not to be called by a callback. */
vly_status vly_imu_session_open(vly_imu_sessions *s, const vly_imu_open *open,
                                vly_imu_session **ret, vly_imu_session_info *ret_info,
                                vly_err *err) VLY_MUST_CHECK;
void vly_imu_session_close(vly_imu_session *session); /* accepts NULL */
/* The same, and forgets the session, unless it is somebody else's by now. */
void vly_imu_session_close_forget(vly_imu_session *session);

/* Copies the readings, which are finite; they run at the end of a turn of this loop: this one, when
 * it has the time. first: the number of the first of them, or VLY_IMU_NEXT. EINVAL: a hole in the
 * numbers; EBUSY: too many wait; ECANCELLED: replaced, removed, or ended. On failure none is taken.
 */
vly_status vly_imu_session_push(vly_imu_session *session, unsigned loop, uint64_t first,
                                const vly_imu_reading *readings, size_t n,
                                vly_err *err) VLY_MUST_CHECK;
/* Runs what was pushed before all that waits in this loop, for 50 ms at most. False: some waits
 * still, or was dropped, for the session is somebody else's. Not to be called by a callback. */
bool vly_imu_session_run(vly_imu_session *session, unsigned loop);
/* Drops what waits. */
void vly_imu_session_take_back(vly_imu_session *session, unsigned loop);
/* No more readings come. At the end of the turn leads to on_ended, unless it is replaced before. */
void vly_imu_session_end(vly_imu_session *session, unsigned loop);
/* Of its session; of the last moment when it has lost it. */
void vly_imu_session_info_get(vly_imu_session *session, vly_imu_session_info *ret);

/* Runs what was pushed, for a time of about VLY_INLINE_TURN_NS; longer when the loop itself takes
 * longer between turns that leave something (see imu_turn.c). True: there is more, another
 * turn is to follow soon; also when a callback calls it, which does nothing. Thread: that loop.
 * Waits, for one batch of another loop at most, when a session changes loops in the very moment in
 * which that loop runs it. */
bool vly_imu_sessions_turn(vly_imu_sessions *s, unsigned loop);

/* Saves what has changed and forgets what is idle, now, as the thread does every snapshot_ms.
 * Blocks on the disk. Thread: any, one at a time. */
void vly_imu_sessions_tick(vly_imu_sessions *s);

/* Sessions that who may see in order of their ids, after the id `after` (empty: from the first; it
 * need not exist), at most cap. EINVAL: after is no id. */
vly_status vly_imu_sessions_list(vly_imu_sessions *s, const vly_imu_who *who, vly_str after,
                                 vly_imu_session_info *ret, size_t cap, size_t *ret_n,
                                 vly_err *err) VLY_MUST_CHECK;
/* How many these are; looks at each, unless it may see all. */
void vly_imu_sessions_count(vly_imu_sessions *s, const vly_imu_who *who, size_t *ret_n,
                            size_t *ret_attached);
/* ENOTFOUND: there is none, or it is somebody else's. Reset: counts and state begin anew, numbers
 * of readings go on. Remove: forgets it, who is attached is told on_replaced. ret_info, of after
 * the reset or before the removal, may be NULL.
 */
vly_status vly_imu_sessions_find(vly_imu_sessions *s, const vly_imu_who *who, vly_str id,
                                 vly_imu_session_info *ret_info, vly_err *err) VLY_MUST_CHECK;
/* The same of a user, not empty, and a device: its own alone. EINVAL: a name. */
vly_status vly_imu_sessions_find_name(vly_imu_sessions *s, const vly_imu_who *who, vly_str user,
                                      vly_str device, vly_imu_session_info *ret_info,
                                      vly_err *err) VLY_MUST_CHECK;
vly_status vly_imu_sessions_reset(vly_imu_sessions *s, const vly_imu_who *who, vly_str id,
                                  vly_imu_session_info *ret_info, vly_err *err) VLY_MUST_CHECK;
vly_status vly_imu_sessions_remove(vly_imu_sessions *s, const vly_imu_who *who, vly_str id,
                                   vly_imu_session_info *ret_info, vly_err *err) VLY_MUST_CHECK;

typedef struct vly_imu_sessions_stats {
    vly_gauge sessions, attached, waiting; /* waiting: readings pushed and not run */
    vly_counter opened, replaced, expired, restored;
    vly_counter refused;                 /* stored states that could not be resumed */
    vly_counter readings, steps, events; /* that were run, and what came of them */
    vly_counter turns, batches,
        batch_streams;      /* streams in batches: their mean is the last two's */
    vly_counter run_errors; /* batches that the engine failed */
    vly_counter snapshots, snapshot_rows, snapshot_errors; /* transactions */
    vly_histogram snapshot_duration;                       /* ns, of one transaction */
} vly_imu_sessions_stats;

const vly_imu_sessions_stats *vly_imu_sessions_get_stats(const vly_imu_sessions *s);

#endif
