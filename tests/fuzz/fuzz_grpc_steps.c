/* SPDX-License-Identifier: MIT */
/* Requests of volley.v1.Steps: what is read lies in the message, is in range, and bounded. */
#include "base/assert.h"
#include "codec/grpc_steps.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check_within(vly_str part, vly_str message)
{
    VLY_ASSERT(part.len == 0 ||
               (part.ptr >= message.ptr && part.ptr + part.len <= message.ptr + message.len));
}

static void check_stream(vly_str message, bool has_gyro)
{
    vly_grpc_steps_request r = {.what = VLY_GRPC_STEPS_NOTHING};
    vly_err err = VLY_ERR_INIT;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, (size_t)1 << 20);
    vly_status st = vly_grpc_steps_request_parse(message, has_gyro, &arena, &r, &err);
    VLY_ASSERT(st == err.status);
    check_within(r.packets, message);
    VLY_ASSERT(vly_str_is_utf8(r.open.user) && vly_str_is_utf8(r.open.session));
    VLY_ASSERT(r.message.n <= VLY_IMU_PACKET_MAX);
    VLY_ASSERT(r.message.n == 0 || r.what == VLY_GRPC_STEPS_MESSAGE);
    for (size_t i = 0; i < r.message.n; i++)
        VLY_ASSERT(vly_imu_reading_check(&r.message.readings[i], i, &err) == VLY_OK);
    vly_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    const vly_str message = {(const char *)bytes, n};
    vly_grpc_sessions_request sessions;
    vly_grpc_detect_request detect;

    check_stream(message, true);
    check_stream(message, false);
    if (vly_grpc_detect_request_parse(message, &detect, NULL) == VLY_OK)
        check_within(detect.recording, message);
    if (vly_grpc_sessions_request_parse(message, &sessions, NULL) == VLY_OK)
        VLY_ASSERT(vly_str_is_utf8(sessions.after));
    return 0;
}
