/* SPDX-License-Identifier: MIT */
/*
 * What the step model sees of a reading: numbers that do not depend on how the hand holds the
 * sensor, or where it walks to. The direction of gravity is followed by a low-pass; acceleration
 * and rotation are split into the part along it and the part across it.
 *
 * The list, scales and constants are part of a trained model: changing them needs training anew and
 * another VLY_IMU_FEATURES_VERSION, which the model's metadata names.
 *
 * Plain data; one state for each source. At 80 Hz.
 */
#ifndef VLY_PREP_IMU_FEATURES_H
#define VLY_PREP_IMU_FEATURES_H

#include "codec/imu.h"

#define VLY_IMU_FEATURES_VERSION 1
#define VLY_IMU_FEATURES         9
#define VLY_IMU_FEATURES_RATE_HZ 80

typedef struct vly_imu_features {
    float gravity[3]; /* m/s^2, in the sensor's axes */
    float before[3];  /* what single features need of the reading before */
    bool has_gravity;
} vly_imu_features;

void vly_imu_features_init(vly_imu_features *f);
/* ret [VLY_IMU_FEATURES]: scaled and clipped to about -4 .. 4. */
void vly_imu_features_next(vly_imu_features *f, const vly_imu_reading *reading, bool has_gyro,
                           float *ret);

#endif
