/* SPDX-License-Identifier: MIT */
/*
 * What the step model sees of a reading: numbers that do not depend on how the hand holds the
 * sensor, or where it walks to. The direction of gravity is followed by a low-pass; acceleration
 * and rotation are split into the part along it (up) and the part across it (level). The level
 * parts have no fixed direction to be told by, so they are compared with each other, and with
 * where the acceleration went of late.
 *
 *     0  acceleration up, less gravity        (a.up - 9.81) / 3
 *     1  acceleration level                   |al| / 2
 *     2  all of it, less gravity              (|a| - 9.81) / 3
 *     3  level, along and across what it      al.late / 2
 *     4  was of late                          (al x late).up / 2
 *     5  rotation about up                    w.up
 *     6  rotation about a level axis          |wl|
 *     7  level acceleration along and across  al.wl / 2
 *     8  that axis                            (al x wl).up / 2
 *
 * all held within -4 .. 4; without a gyroscope 5 to 8 are 0.
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
#define VLY_IMU_AXES             6 /* acc x y z, gyro x y z */

typedef struct vly_imu_features {
    float gravity[4]; /* m/s^2, in the sensor's axes, then 0; low-pass of 1 s */
    float late[4];    /* level acceleration; low-pass of 0.15 s */
    uint8_t has_gravity;
} vly_imu_features;

void vly_imu_features_init(vly_imu_features *f);
/* n readings that follow each other, as acceleration and rotation. ret: [n][VLY_IMU_FEATURES]. The
 * same numbers to the bit, one by one or all at once. */
void vly_imu_features_run(vly_imu_features *f, const float (*motion)[VLY_IMU_AXES], size_t n,
                          bool has_gyro, float *ret);

#endif
