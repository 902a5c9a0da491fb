/* SPDX-License-Identifier: MIT */
/* Text messages of IMU streams: what is read is finite, in range, and bounded. */
#include "base/assert.h"
#include "codec/imu_message.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check(vly_str json, bool has_gyro)
{
    vly_imu_message m = {.n = 0};
    vly_err err = VLY_ERR_INIT;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, (size_t)16 << 20);
    vly_status st = vly_imu_message_read(json, has_gyro, &arena, &m, &err);
    VLY_ASSERT(st == err.status);
    VLY_ASSERT(st != VLY_OK || (m.action == VLY_IMU_READINGS) == (m.n > 0));
    VLY_ASSERT(m.n <= VLY_IMU_PACKET_MAX);
    for (size_t i = 0; i < m.n; i++) {
        const vly_imu_reading *r = &m.readings[i];
        VLY_ASSERT(vly_imu_reading_check(r, i, &err) == VLY_OK);
        VLY_ASSERT(m.has_times || r->t_us == 0);
        VLY_ASSERT(has_gyro || r->gyro[2] == 0.0F);
    }
    vly_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str json = {(const char *)bytes, n};

    check(json, true);
    check(json, false);
    return 0;
}
