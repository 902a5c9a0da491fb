/* SPDX-License-Identifier: MIT */
/*
 * What the imu_*.c files of this room share; private.
 *
 *     imu_index.c      sessions by id and by name; those that idle
 *     imu_sessions.c   open, close, find, reset, remove
 *     imu_turn.c       push, and the end of a loop's turn
 *     imu_save.c       the store: snapshots, restoring, expiry
 *     imu_record.c     a session as bytes
 *
 * One lock guards the tables and the small state of sessions; it is held for some instructions each
 * time. A stream belongs to the loop that runs it while is_running, else to who holds the lock: so
 * the net runs without the lock, and everybody else finds either the state before the batch or the
 * one after it, never one in between.
 */
#ifndef VLY_SCHED_IMU_INTERNAL_H
#define VLY_SCHED_IMU_INTERNAL_H

#include "sched/imu_sessions.h"

#include <pthread.h>

#define VLY_IMU_ID_BYTES  16
#define VLY_IMU_BATCH_MAX 256 /* streams in one run */
#define VLY_IMU_CHUNK_MAX 256 /* rows in one transaction */

typedef struct vly_imu_entry vly_imu_entry;
typedef struct vly_imu_save_row vly_imu_save_row;

typedef struct vly_imu_id {
    uint8_t bytes[VLY_IMU_ID_BYTES];
} vly_imu_id;

/* A session. Guarded by the lock of the registry, but for what is said otherwise. */
struct vly_imu_entry {
    vly_imu_id id; /* immutable, as the next */
    vly_str owner, user, device;
    vly_imu_entry *next_by_id, *next_by_name; /* in their buckets */
    vly_imu_entry *older, *newer;             /* while is_idle */
    vly_imu_entry *next_changed;              /* while is_changed */
    vly_imu_session *attached;                /* NULL: nobody */
    vly_imu_save_row
        *copy_to; /* where to copy the state when the batch has run; NULL: nobody asks */
    unsigned n_refs;
    bool is_listed;  /* in the tables; false: it is forgotten */
    bool is_idle;    /* in the list of those that expire */
    bool is_changed; /* in the list of those whose rows are not what they are */
    bool is_running; /* in a batch */
    bool is_reset;   /* to be, when the batch has run */
    bool may_be_stored;
    bool is_resumed;
    bool is_unstored;
    bool has_gyro;
    uint64_t next; /* number of the reading that the stream has not seen */
    uint64_t durable;
    vly_nsec idle_since_ns;
    int64_t begun_ms, heard_ms;
    /* Of the stream, when it was last not running. */
    vly_step_totals totals;
    vly_imu_grid_counts counts;
    vly_activity activity;
    bool is_in_step;
    float p_start, p_end;
    vly_step_stream stream;
};

/* What may be called at a time, each on a thread of its own. */
typedef enum vly_imu_call {
    VLY_IMU_CALL_RUN, /* on_events, on_ended */
    VLY_IMU_CALL_REPLACED,
    VLY_IMU_CALL_DURABLE,
    VLY_IMU_CALLS,
} vly_imu_call;

/* An attachment. */
struct vly_imu_session {
    vly_imu_sessions *owner; /* immutable, as the next */
    vly_imu_entry *entry;    /* referenced */
    vly_imu_session_events events;
    void *ctx;
    bool has_gyro;
    pthread_cond_t called; /* signalled when one of the calls has returned */
    /* Guarded by the lock. References: the handle, the line of the loop, each call. */
    unsigned n_refs;
    bool is_calling[VLY_IMU_CALLS];
    pthread_t callers[VLY_IMU_CALLS];
    /* Written under the lock, read without. */
    _Atomic bool is_closed, is_lost; /* lost: replaced, removed or ended */
    _Atomic bool is_waiting;         /* in the line of its loop */
    /* Owner: the thread that pushes. */
    vly_imu_session *next_waiting;
    bool is_numbered;
    bool has_dropped;            /* readings, for the session is somebody else's */
    bool is_ending, is_finished; /* finished: the look-ahead was told */
    uint64_t first_waiting;      /* number of readings[begin] */
    vly_imu_reading *readings;   /* [begin, end) wait, the first of them perhaps in a batch */
    size_t begin, end, cap;
    const vly_imu_reading *borrowed; /* of the batch at hand */
};

/* Owner: its thread, but for batcher, which is immutable. */
typedef struct vly_imu_loop {
    vly_step_batcher *batcher;
    vly_imu_session *first, **tail; /* the line of those that have something to run */
    size_t n_waiting;               /* readings */
    size_t n_line;                  /* how many stand in it */
    vly_nsec left_ns; /* CPU time at the end of a turn that left something; 0: it did not */
    bool is_in_turn;
    double reading_ns; /* CPU time that one costs, from the batches so far */
    vly_step_work work[VLY_IMU_BATCH_MAX];
    vly_imu_session *batch[VLY_IMU_BATCH_MAX];
    size_t n_batch;
} vly_imu_loop;

typedef struct vly_imu_index {
    vly_imu_entry **by_id, **by_name; /* by_id: in the order of ids */
    unsigned n_bits;                  /* 2^n_bits buckets in each */
    size_t n;
} vly_imu_index;

struct vly_imu_sessions {
    vly_imu_sessions_opts opts;
    vly_imu_sessions_stats stats;
    vly_imu_loop *loops;
    pthread_mutex_t lock;
    pthread_cond_t ran;  /* a batch has ended */
    pthread_cond_t wake; /* of the thread that saves */
    vly_imu_index index; /* guarded by lock, as all until the next comment */
    vly_imu_entry *oldest, *newest;
    vly_imu_entry *first_changed, **changed_tail;
    size_t n_changed;
    size_t n_copies; /* that batches are to make */
    bool is_stopping;
    vly_imu_save_row *rows; /* owner: who saves, as all below */
    bool is_failing;        /* the last transaction failed */
    bool has_saver;
    pthread_t saver;
};

/* ---- index ---- */

/* Room for max sessions. */
bool vly_imu__index_init(vly_imu_index *t, size_t max);
void vly_imu__index_release(vly_imu_index *t);
void vly_imu__index_add(vly_imu_index *t, vly_imu_entry *e);
void vly_imu__index_remove(vly_imu_index *t, vly_imu_entry *e);
vly_imu_entry *vly_imu__index_find(const vly_imu_index *t, const vly_imu_id *id);
/* user not empty. */
vly_imu_entry *vly_imu__index_find_name(const vly_imu_index *t, vly_str owner, vly_str user,
                                        vly_str device);
/* The first whose id is after this one (NULL: of all) that lies in buckets from *bucket to
 * *bucket + n_buckets; NULL: none, *bucket is where to go on, 2^n_bits is the end. */
vly_imu_entry *vly_imu__index_next(const vly_imu_index *t, const vly_imu_id *after, size_t *bucket,
                                   size_t n_buckets);
size_t vly_imu__index_bucket(const vly_imu_index *t, const vly_imu_id *id);

bool vly_imu__id_parse(vly_str text, vly_imu_id *ret);
void vly_imu__id_format(const vly_imu_id *id, char text[VLY_IMU_ID_LEN + 1]);
vly_status vly_imu__check_name(const char *what, vly_str name, vly_err *err);

/* ---- sessions; _locked: the caller holds the lock ---- */

/* One reference, in no table. NULL: out of memory. */
vly_imu_entry *vly_imu__entry_new(const vly_imu_id *id, vly_str owner, vly_str user,
                                  vly_str device);
void vly_imu__entry_unref_locked(vly_imu_entry *e);
void vly_imu__session_unref_locked(vly_imu_session *a);
/* Its row is no longer what it is. */
void vly_imu__changed_locked(vly_imu_sessions *s, vly_imu_entry *e);
/* Nobody has it, from now on or from since_ns on. */
void vly_imu__idle_locked(vly_imu_sessions *s, vly_imu_entry *e, vly_nsec since_ns);
void vly_imu__busy_locked(vly_imu_sessions *s, vly_imu_entry *e);
/* Out of the tables, the row is to go, too. Who was attached has lost it: comes back referenced,
 * NULL when there is nobody. */
vly_imu_session *vly_imu__forget_locked(vly_imu_sessions *s, vly_imu_entry *e);
/* What the stream says of itself. It is not running. */
void vly_imu__publish_locked(vly_imu_entry *e);
void vly_imu__info_locked(const vly_imu_entry *e, vly_imu_session_info *ret);

/* A call that may be made now: false when the session is closed. The other ends it, when it has
 * returned. */
bool vly_imu__call_begin_locked(vly_imu_session *a, vly_imu_call call);
void vly_imu__call_end_locked(vly_imu_session *a, vly_imu_call call);
/* on_replaced of one that forget or open gave back; NULL: nobody. Without the lock. */
void vly_imu__tell_lost(vly_imu_session *a);

/* ---- turn ---- */

vly_status vly_imu__loops_new(vly_imu_sessions *s, vly_err *err);
void vly_imu__loops_free(vly_imu_sessions *s);

/* ---- save ---- */

/* A copy of a session's state, on its way to the store. */
struct vly_imu_save_row {
    vly_imu_entry *entry; /* referenced */
    bool is_remove;
    uint64_t next;
    char key[VLY_IMU_ID_LEN + 1];
    size_t len;
    char *bytes; /* VLY_IMU_RECORD_MAX */
};

vly_status vly_imu__save_open(vly_imu_sessions *s, vly_err *err);
void vly_imu__save_close(vly_imu_sessions *s);

/* ---- record ---- */

#define VLY_IMU_RECORD_MAX (128 + 3 * VLY_IMU_NAME_MAX + sizeof(vly_step_stream))

/* Returns the length; seal, which may be later, makes it one that opens again. */
size_t vly_imu__record_write(const vly_imu_entry *e, char *bytes);
void vly_imu__record_seal(char *bytes, size_t len);
/* EFORMAT: damaged, of another version or of another model. ENOMEM. One reference. */
vly_status vly_imu__record_read(vly_str key, vly_str bytes, const vly_step_model *m,
                                vly_imu_entry **ret, vly_err *err) VLY_MUST_CHECK;

#endif
