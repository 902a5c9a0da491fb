/* SPDX-License-Identifier: MIT */
/*
 * The requests of volley.v1.Steps (src/api/proto/volley/v1/steps.proto).
 *
 * Owns nothing: views into the message, arrays in the caller's arena. EFORMAT: not such a message;
 * ELIMIT: past a bound, or the arena is full. Thread: any.
 */
#ifndef VLY_CODEC_GRPC_STEPS_H
#define VLY_CODEC_GRPC_STEPS_H

#include "codec/imu_message.h"

/* DetectRequest */
typedef struct vly_grpc_detect_request {
    vly_str recording, columns, acc_unit, gyro_unit, time_unit;
    double rate_hz;
    int64_t look_ahead_ms; /* -1: not there */
    bool is_without_events;
} vly_grpc_detect_request;

vly_status vly_grpc_detect_request_parse(vly_str message, vly_grpc_detect_request *ret,
                                         vly_err *err) VLY_MUST_CHECK;

/* StreamRequest */
typedef enum vly_grpc_steps_what {
    VLY_GRPC_STEPS_NOTHING, /* or what is not known here */
    VLY_GRPC_STEPS_OPEN,
    VLY_GRPC_STEPS_MESSAGE, /* readings or an action */
    VLY_GRPC_STEPS_PACKETS,
} vly_grpc_steps_what;

typedef struct vly_grpc_steps_request {
    vly_grpc_steps_what what;
    struct {
        vly_str user, device, session;
        double rate_hz;
        bool is_without_gyro;
    } open;
    vly_imu_message message;
    vly_str packets;
} vly_grpc_steps_request;

/* EINVAL: readings that do not fit together, or that no sensor gives. */
vly_status vly_grpc_steps_request_parse(vly_str message, bool has_gyro, vly_arena *arena,
                                        vly_grpc_steps_request *ret, vly_err *err) VLY_MUST_CHECK;

/* ListSessionsRequest */
typedef struct vly_grpc_sessions_request {
    vly_str after;
    uint64_t limit;
} vly_grpc_sessions_request;

vly_status vly_grpc_sessions_request_parse(vly_str message, vly_grpc_sessions_request *ret,
                                           vly_err *err) VLY_MUST_CHECK;

#endif
