/* SPDX-License-Identifier: MIT */
/*
 * IMU packets: the compact binary form of readings, on sockets and in files (one after another).
 *
 *     offset  bytes
 *     0       4      "VIMU"
 *     4       1      version, 1
 *     5       1      flags: 1 gyroscope follows, 2 values are int16 (else float32), 4 a time each,
 *                    8 first is given
 *     6       2      n, readings, 1 .. 4096
 *     8       8      first: number of the first reading in its session, from 0 (0 without flag 8)
 *     16      8      t0, us: time of the first reading
 *     24      4      period, us: of the readings without a time each (flag 4 clear)
 *     28      4      float32: value of one step of an int16 acceleration, m/s^2
 *     32      4      float32: the same of the gyroscope, rad/s
 *     36      n * (4 t - t0 in us, when flag 4; 3 acc; 3 gyro when flag 1)
 *
 * All little-endian, no padding. A packet with unknown flags is refused, and so is one with t0
 * further than VLY_IMU_TIME_MAX / 2 from 0, with a step that is not finite and above 0, or, of
 * several readings without a time each, with a period of 0.
 */
#ifndef VLY_CODEC_IMU_PACKET_H
#define VLY_CODEC_IMU_PACKET_H

#include "base/buf.h"
#include "codec/imu.h"

#define VLY_IMU_PACKET_HEAD 36
#define VLY_IMU_PACKET_MAX  4096 /* readings */

typedef struct vly_imu_packet {
    bool has_gyro, has_first;
    uint64_t first;
    size_t n;
    size_t n_bytes; /* of the whole packet */
    const uint8_t *head;
} vly_imu_packet;

/* How many bytes the packet takes whose first VLY_IMU_PACKET_HEAD bytes these are. EFORMAT: not a
 * packet, or a number in it makes no sense. */
vly_status vly_imu_packet_size(const void *head, size_t *ret, vly_err *err) VLY_MUST_CHECK;
/* The packet at the beginning of bytes, borrowed. EFORMAT: as above, or cut short. */
vly_status vly_imu_packet_open(const void *bytes, size_t n, vly_imu_packet *ret,
                               vly_err *err) VLY_MUST_CHECK;
/* Its readings into out [p->n]. Floats are as they were sent: see vly_imu_reading_fault. */
void vly_imu_packet_read(const vly_imu_packet *p, vly_imu_reading *out);

typedef struct vly_imu_packet_opts {
    bool has_gyro, is_int16, has_times, has_first;
    uint64_t first;
    uint32_t period_us;        /* without has_times */
    float acc_step, gyro_step; /* of int16; 0: 200 m/s^2 and 70 rad/s fill the range */
} vly_imu_packet_opts;

/* Appends a packet of n readings, 1 .. VLY_IMU_PACKET_MAX. As int16 what is past the range becomes
 * its end. EINVAL: a time is not within 2^31 us of the first, or vly_imu_packet_open would refuse
 * what these options make; ENOMEM: out has no room. */
vly_status vly_imu_packet_write(const vly_imu_packet_opts *opts, const vly_imu_reading *readings,
                                size_t n, vly_buf *out, vly_err *err) VLY_MUST_CHECK;

#endif
