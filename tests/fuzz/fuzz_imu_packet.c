/* SPDX-License-Identifier: MIT */
/* Packets, one behind the other: whatever opens is within the bytes, and written again in the same
 * form it reads the same. */
#include "base/assert.h"
#include "codec/imu_packet.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check_round_trip(const vly_imu_packet *p, const vly_imu_reading *readings)
{
    const vly_imu_packet_opts opts = {
        .has_gyro = p->has_gyro, .has_times = true, .has_first = p->has_first, .first = p->first};
    vly_imu_reading again[VLY_IMU_PACKET_MAX];
    vly_imu_packet q;
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CODEC, 1 << 20);
    if (vly_imu_packet_write(&opts, readings, p->n, &out, NULL) == VLY_OK) {
        VLY_ASSERT(vly_imu_packet_open(out.ptr, out.len, &q, NULL) == VLY_OK);
        VLY_ASSERT(q.n_bytes == out.len && q.n == p->n && q.first == p->first);
        vly_imu_packet_read(&q, again);
        VLY_ASSERT(memcmp(again, readings, p->n * sizeof(*again)) == 0);
    }
    vly_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_imu_reading readings[VLY_IMU_PACKET_MAX];
    vly_imu_packet p;
    vly_err err;

    while (vly_imu_packet_open(bytes, n, &p, &err) == VLY_OK) {
        VLY_ASSERT(p.n >= 1 && p.n <= VLY_IMU_PACKET_MAX && p.n_bytes <= n);
        vly_imu_packet_read(&p, readings);
        check_round_trip(&p, readings);
        bytes += p.n_bytes;
        n -= p.n_bytes;
    }
    return 0;
}
