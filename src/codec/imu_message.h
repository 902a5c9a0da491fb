/* SPDX-License-Identifier: MIT */
/*
 * Text messages of a stream of IMU readings, in m/s^2 and rad/s:
 *
 *     {"readings": [[t_ms, ax, ay, az, gx, gy, gz], ...], "first": 1200}
 *     {"t_ms": 12.5, "accel_x": 0.1, ..., "gyro_z": 0}      one reading
 *     {"action": "stop"}
 *
 * Every t_ms, or none: then the receiver knows the rate. Without a gyroscope the last three are
 * left out. "first" is the number of the first reading in its session; unknown members are ignored.
 *
 * Outside data: bytes and readings are bounded, nothing recurses. Thread: any.
 */
#ifndef VLY_CODEC_IMU_MESSAGE_H
#define VLY_CODEC_IMU_MESSAGE_H

#include "base/arena.h"
#include "codec/imu.h"
#include "codec/imu_packet.h"

#define VLY_IMU_MESSAGE_BYTES_MAX ((size_t)1 << 19)

typedef enum vly_imu_action {
    VLY_IMU_READINGS, /* none: there are readings */
    VLY_IMU_STOP,
    VLY_IMU_RESET,
    VLY_IMU_STATS,
} vly_imu_action;

typedef struct vly_imu_message {
    vly_imu_action action;
    bool has_times; /* else each t_us is 0 */
    bool has_first;
    uint64_t first;
    vly_imu_reading *readings; /* in the arena */
    size_t n;                  /* at most VLY_IMU_PACKET_MAX */
} vly_imu_message;

/* EFORMAT: not JSON; EINVAL: not such a message, or a value that no sensor gives, with the reading
 * (from 0) and the place; ENOTFOUND: one reading, of which a member is missing; ELIMIT: past a
 * limit, or the arena is full. */
vly_status vly_imu_message_read(vly_str json, bool has_gyro, vly_arena *arena, vly_imu_message *ret,
                                vly_err *err) VLY_MUST_CHECK;

/* Finite and within the limits of codec/imu.h. EINVAL names the value of reading i. */
vly_status vly_imu_reading_check(const vly_imu_reading *r, size_t i, vly_err *err) VLY_MUST_CHECK;

#endif
