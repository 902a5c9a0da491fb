/* SPDX-License-Identifier: MIT */
/*
 * The state of one source on its way from readings to steps, and the batcher that takes many of
 * them through the net at once.
 *
 *     readings -> grid (80 Hz) -> features -> frames -> net, in batches -> decoder -> events
 *
 * The same readings give the same events to the bit, one by one or all at once, alone or beside
 * others: whatever kernel the engine chooses for a batch, a row's result does not depend on it.
 *
 * A gap in the times ends a segment: what the look-ahead holds back is told as if the last reading
 * stayed, and the net begins anew. A segment of fewer than VLY_STEP_LEAST readings of the grid has
 * no events, and is not gone on with so: readings with a gap behind each would cost far more than
 * others.
 *
 * A stream is plain data of some hundred bytes: it may be copied, stored and restored by the same
 * version (vly_step_stream_valid tells).
 */
#ifndef VLY_TASKS_STEP_STREAM_H
#define VLY_TASKS_STEP_STREAM_H

#include "prep/imu/imu_features.h"
#include "prep/imu/imu_grid.h"
#include "tasks/steps/step_model.h"

#define VLY_STEP_STREAM_VERSION 2

/* What a stream has seen so far. */
typedef struct vly_step_totals {
    uint64_t n_readings;                 /* pushed, whatever became of them */
    uint64_t n_steps;                    /* completed */
    int64_t first_us, last_us;           /* times of the readings */
    uint64_t n_activity[VLY_ACTIVITIES]; /* readings of the grid, but of segments without events */
    uint64_t n_net;                      /* readings that the net saw, with what was filled in */
} vly_step_totals;

typedef struct vly_step_stream {
    uint32_t version;
    bool has_gyro;
    uint8_t n_frame;    /* readings in motion */
    uint8_t activity;   /* vly_activity, of the last frame */
    uint64_t model;     /* its tag */
    int64_t t_first_us; /* of the segment's first reading of the grid */
    uint64_t n_segment; /* readings of the grid in the segment */
    uint64_t n_run;     /* of them went through the net, with what finish adds */
    vly_imu_grid grid;
    vly_imu_features features;
    vly_step_decoder decoder;
    vly_step_totals totals;
    float motion[VLY_STEP_HOP_MAX][VLY_IMU_AXES]; /* of the frame that is not complete */
    float state[VLY_STEP_HIDDEN_MAX];
} vly_step_stream;

void vly_step_stream_init(vly_step_stream *s, const vly_step_model *m, bool has_gyro);
/* Bytes from a store are a stream of this version that this model can go on with. */
bool vly_step_stream_valid(const vly_step_stream *s, size_t n_bytes, const vly_step_model *m);

/* Readings of one stream that wait to be run. Owner: the caller; borrowed until run has returned.
 */
typedef struct vly_step_work {
    vly_step_stream *stream;
    const vly_imu_reading *readings; /* finite */
    size_t n;
    vly_step_event_fn on_events; /* called within run; may be NULL */
    void *arg;
} vly_step_work;

/* Runs work through the net. One for each thread. */
typedef struct vly_step_batcher vly_step_batcher;

/* Holds a reference to the model. ENOMEM; EFORMAT: the net is not as it said; what the engine says.
 */
vly_status vly_step_batcher_new(vly_step_model *m, vly_step_batcher **ret,
                                vly_err *err) VLY_MUST_CHECK;
void vly_step_batcher_free(vly_step_batcher *b); /* accepts NULL */

/* Takes all readings of all work as far as they go. A stream is in work[] once. Allocates nothing:
 * batcher_new has compiled the net for every batch. On failure, which only the engine can cause,
 * the streams of work[] are of no use any more. */
vly_status vly_step_batcher_run(vly_step_batcher *b, const vly_step_work *work, size_t n,
                                vly_err *err) VLY_MUST_CHECK;
/* No more readings come: what the look-ahead holds back is told, as if the last reading stayed. */
vly_status vly_step_batcher_finish(vly_step_batcher *b, const vly_step_work *work,
                                   vly_err *err) VLY_MUST_CHECK;

#endif
