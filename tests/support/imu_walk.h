/* SPDX-License-Identifier: MIT */
/* A walk to feed to the step detector: it has to have steps, not to be true to life. */
#ifndef VLY_TESTS_IMU_WALK_H
#define VLY_TESTS_IMU_WALK_H

#include "codec/imu.h"

/* n readings at 80 Hz: still for 3 s, then 1.8 steps a second, each seed in a way of its own. */
void imu_walk(vly_imu_reading *out, size_t n, unsigned seed);

#endif
