/* SPDX-License-Identifier: MIT */
#include "train/steps/step_recordings.h"

#include "prep/imu/imu_features.h"
#include "prep/imu/imu_grid.h"

#include <math.h>
#include <string.h>

#define RATE        VLY_IMU_FEATURES_RATE_HZ
#define BLOCK_BYTES ((size_t)1 << 20)
#define BYTES_MAX   (VLY_STEP_READINGS_MAX * 64)

/* Grid points between two readings take the activity of the later one. */
static vly_status put_on_grid(vly_step_track *t, const vly_step_recording *r, size_t cap,
                              vly_err *err)
{
    vly_imu_reading out[VLY_IMU_GRID_OUT_MAX];
    vly_imu_grid grid;
    bool is_break;

    vly_imu_grid_init(&grid, RATE);
    for (size_t i = 0; i < r->n; i++) {
        size_t n = vly_imu_grid_push(&grid, &r->readings[i], out, &is_break);
        if (n > 0 && is_break && t->n > 0)
            return vly_fail(err, VLY_EFORMAT, "a hole in time before reading %zu", i + 1);
        for (size_t k = 0; k < n && t->n < cap; k++, t->n++) {
            memcpy(t->axes[t->n], out[k].acc, sizeof(out[k].acc));
            memcpy(t->axes[t->n] + 3, out[k].gyro, sizeof(out[k].gyro));
            t->activity[t->n] = r->truth.activity[i];
        }
    }
    return VLY_OK;
}

/* Truth has times from the recording's first reading on, as the grid has. */
static void place_steps(vly_step_track *t, const vly_step_truth *truth)
{
    for (size_t i = 0; i < truth->n_steps; i++) {
        t->starts[i] = (float)((double)truth->steps[i].start_us * RATE / 1e6);
        t->ends[i] = (float)((double)truth->steps[i].end_us * RATE / 1e6);
    }
    t->n_steps = truth->n_steps;
    t->truth = *truth;
    t->truth.activity = t->activity;
    t->truth.n_samples = t->n;
    t->truth.rate_hz = RATE;
}

static vly_status make_track(vly_step_track *t, const vly_step_recording *r, vly_arena *arena,
                             vly_err *err)
{
    size_t cap = (size_t)ceil((double)r->n * RATE / r->rate_hz) + VLY_IMU_GRID_OUT_MAX;

    if (r->truth.activity == NULL)
        return vly_fail(err, VLY_EFORMAT, "expected a column Activity");
    t->axes = vly_arena_calloc(arena, cap, sizeof(*t->axes));
    t->activity = vly_arena_calloc(arena, cap, 1);
    t->starts = vly_arena_calloc(arena, r->truth.n_steps, sizeof(*t->starts));
    t->ends = vly_arena_calloc(arena, r->truth.n_steps, sizeof(*t->ends));
    if (t->axes == NULL || t->activity == NULL || t->starts == NULL || t->ends == NULL)
        return vly_arena_fail(arena, err);
    vly_status st = put_on_grid(t, r, cap, err);
    if (st == VLY_OK)
        place_steps(t, &r->truth);
    return st;
}

/* A copy of the intervals: those of the reader go with its arena. */
static vly_status keep_truth(vly_step_track *t, vly_arena *arena, vly_err *err)
{
    size_t n = t->truth.n_steps;
    vly_step_interval *steps = vly_arena_calloc(arena, n, sizeof(*steps));

    if (steps == NULL)
        return vly_arena_fail(arena, err);
    if (n > 0)
        memcpy(steps, t->truth.steps, n * sizeof(*steps));
    t->truth.steps = steps;
    return VLY_OK;
}

static vly_status load_one(vly_step_tracks *all, size_t i, vly_arena *arena, vly_err *err)
{
    const vly_step_recording_ref *ref = &all->set.recordings[i];
    vly_step_track *t = &all->tracks[i];
    const char *slash = strrchr(ref->csv, '/');
    vly_step_recording r;

    t->name = slash != NULL ? slash + 1 : ref->csv;
    while (strcmp(all->set.persons[t->person], ref->person) != 0)
        t->person++;
    vly_status st = vly_step_recording_read(ref, arena, &r, err);
    if (st != VLY_OK)
        return st;
    if (r.n > VLY_STEP_READINGS_MAX - all->n_readings)
        return vly_fail(err, VLY_ELIMIT, "more than %zu readings", VLY_STEP_READINGS_MAX);
    st = make_track(t, &r, &all->arena, err);
    if (st == VLY_OK)
        st = keep_truth(t, &all->arena, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "'%s'", ref->csv);
    all->n_readings += t->n;
    return VLY_OK;
}

vly_status vly_step_tracks_load(vly_step_tracks *t, const char *dir, vly_err *err)
{
    vly_arena reading;

    *t = (vly_step_tracks){0};
    vly_arena_init(&t->arena, VLY_MEM_MODEL, BLOCK_BYTES, BYTES_MAX);
    vly_arena_init(&reading, VLY_MEM_MODEL, BLOCK_BYTES, BYTES_MAX);
    vly_status st = vly_step_dataset_open(dir, &t->arena, &t->set, err);
    if (st == VLY_OK) {
        t->tracks = vly_arena_calloc(&t->arena, t->set.n_recordings, sizeof(*t->tracks));
        if (t->tracks == NULL)
            st = vly_arena_fail(&t->arena, err);
    }
    for (size_t i = 0; i < t->set.n_recordings && st == VLY_OK; i++) {
        st = load_one(t, i, &reading, err);
        vly_arena_reset(&reading);
    }
    vly_arena_release(&reading);
    if (st != VLY_OK)
        vly_step_tracks_release(t);
    return st;
}

void vly_step_tracks_release(vly_step_tracks *t)
{
    vly_arena_release(&t->arena);
    *t = (vly_step_tracks){0};
}
