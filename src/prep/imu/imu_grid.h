/* SPDX-License-Identifier: MIT */
/*
 * Readings of any rate to readings of the model's rate: on a grid of equal steps in time.
 *
 * Times decide, not arrival. The first reading of a segment is its first point; the others are
 * interpolated linearly between the two readings around them. A reading within 1 us of a point, as
 * times rounded to microseconds are, comes out as it is, bit for bit. Readings that come denser
 * than 1.5 times the grid are first averaged, values and times, over the grid step around each
 * point.
 *
 * A reading at the time of the one before (duplicate) or earlier (out of order) is left out and
 * counted. A hole of more than VLY_IMU_GRID_GAP_US ends a segment: what lies in it is not invented,
 * and the next reading begins the grid anew. Shorter holes are bridged, and counted: steps of more
 * than 1.75 times the usual one. Of dense readings, those around the last point before a hole, or
 * before the end, are left out: it is not known whether they were all.
 *
 * A clock that was set back, or a stray time ahead: when VLY_IMU_GRID_BACK_N readings in a row go
 * on, without a gap, from a time that nothing but a new segment explains, the last of them begins
 * one. Such a time is more than VLY_IMU_GRID_BACK_US before the last one, or in the hole before the
 * segment, from which nothing has come. Any other is taken for that of a delayed or repeated
 * reading, and will pass.
 *
 * Plain data: a grid may be copied, stored and restored. Times are integers, so that a session may
 * last for years.
 */
#ifndef VLY_PREP_IMU_GRID_H
#define VLY_PREP_IMU_GRID_H

#include "codec/imu.h"

#define VLY_IMU_GRID_GAP_US   200000
#define VLY_IMU_GRID_BACK_US  2000000
#define VLY_IMU_GRID_BACK_N   8
#define VLY_IMU_GRID_RATE_MAX 200
/* Points that one reading completes: those of a bridged hole, and what was being averaged. */
#define VLY_IMU_GRID_OUT_MAX 96

typedef struct vly_imu_grid_counts {
    uint32_t n_duplicates, n_out_of_order, n_bridged, n_gaps;
} vly_imu_grid_counts;

typedef struct vly_imu_grid {
    int64_t t_first_us;   /* of the segment: grid point k is at t_first_us + k * 1e6 / rate */
    uint64_t n_points;    /* made in this segment */
    int64_t t_last_us;    /* of the last reading */
    int64_t t_hole_us;    /* of the last one before the hole that the segment lies behind */
    int64_t past_us;      /* length of the segments before, together */
    int64_t t_behind_us;  /* of the last one that was left out as earlier */
    vly_imu_reading node; /* points up to its time are made: a reading, or an average */
    vly_imu_reading sum;  /* of the readings of the bin; t_us from the node's on */
    int64_t bin;          /* number of the point around which sum is taken */
    uint32_t n_sum;
    uint32_t usual_us; /* between readings, smoothed; in 1/16 us */
    uint16_t rate_hz;  /* of the grid */
    uint8_t n_behind;
    uint8_t has_last;
    uint8_t has_hole;
    vly_imu_grid_counts counts;
} vly_imu_grid;

void vly_imu_grid_init(vly_imu_grid *g, unsigned rate_hz); /* 1 .. VLY_IMU_GRID_RATE_MAX */

/* Takes one reading, finite and with a time within VLY_IMU_TIME_MAX; writes the points that it
 * completes to out and returns how many. *ret_is_break: the first of them is the first of a
 * segment, be it the very first. */
size_t vly_imu_grid_push(vly_imu_grid *g, const vly_imu_reading *reading,
                         vly_imu_reading out[VLY_IMU_GRID_OUT_MAX], bool *ret_is_break);

/* From the first reading of each segment to its last, together. */
int64_t vly_imu_grid_length_us(const vly_imu_grid *g);

/* What a store gave back as a grid of this rate can be gone on with. */
bool vly_imu_grid_valid(const vly_imu_grid *g, unsigned rate_hz);

#endif
