/* SPDX-License-Identifier: MIT */
/*
 * Readings of any rate to readings of the model's rate: on a grid of equal steps in time.
 *
 * Times decide, not arrival. A grid point is interpolated linearly between the two readings around
 * it; readings denser than 1.5 times the grid are first averaged over one grid step. Readings whose
 * times lie on the grid already come out as they are, bit for bit.
 *
 * A reading at the time of the one before (duplicate) or earlier (out of order) is left out and
 * counted. A hole of more than gap_us ends a segment: what lies in it is not invented, and the next
 * reading begins the grid anew. Shorter holes are bridged, and counted.
 *
 * Plain data: a grid may be copied, stored and restored.
 */
#ifndef VLY_PREP_IMU_GRID_H
#define VLY_PREP_IMU_GRID_H

#include "codec/imu.h"

#define VLY_IMU_GRID_GAP_US 200000

typedef struct vly_imu_grid_counts {
    uint32_t n_duplicates, n_out_of_order, n_bridged, n_gaps;
} vly_imu_grid_counts;

typedef struct vly_imu_grid {
    int64_t t_first_us;   /* of the segment: grid point k is at t_first_us + k * 1e6 / rate */
    uint64_t n_points;    /* made in this segment */
    vly_imu_reading last; /* of the source */
    vly_imu_reading sum;  /* of the readings since the last point, for averaging */
    uint32_t n_sum;
    uint16_t rate_hz; /* of the grid */
    bool has_last;
    vly_imu_grid_counts counts;
} vly_imu_grid;

void vly_imu_grid_init(vly_imu_grid *g, unsigned rate_hz);

/* Takes one reading; writes the grid points that it completes to out, at most cap (>= 1), and
 * returns how many; while the return value is cap, call again with reading NULL for the rest.
 * *ret_is_break: the first of them begins a new segment. Readings are finite. */
size_t vly_imu_grid_push(vly_imu_grid *g, const vly_imu_reading *reading, vly_imu_reading *out,
                         size_t cap, bool *ret_is_break);

#endif
