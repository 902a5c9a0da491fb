/* SPDX-License-Identifier: MIT */
/* What the interface says of sessions of steps, as JSON; events: tasks/steps/step_json.h. */
#ifndef VLY_API_IMU_JSON_H
#define VLY_API_IMU_JSON_H

#include "base/buf.h"
#include "sched/imu_sessions.h"

/* Members of an object, without its braces: "session" to "counts". Thread: any. */
void vly_imu_put_info(vly_buf *b, const vly_imu_session_info *info);
/* The same with braces. */
void vly_imu_put_session(vly_buf *b, const vly_imu_session_info *info);

#endif
