/* SPDX-License-Identifier: MIT */
/* Lists of sessions of motion sensors, taken a page at a time. Thread: any but a loop's. */
#ifndef VLY_API_IMU_LIST_H
#define VLY_API_IMU_LIST_H

#include "base/buf.h"
#include "sched/imu_sessions.h"

typedef void (*vly_imu_list_fn)(void *ctx, const vly_imu_session_info *info, size_t idx);

/* Calls fn for the sessions that who may see behind the one of that id (empty: from the first), n
 * at most. last: the id of the last one, when the list may go on behind it; else "". */
vly_status vly_imu_list(vly_imu_sessions *sessions, const vly_imu_who *who, vly_str after, size_t n,
                        vly_imu_list_fn fn, void *ctx, char last[VLY_IMU_ID_LEN + 1],
                        vly_err *err) VLY_MUST_CHECK;

/* The same as objects of JSON, with commas between. */
vly_status vly_imu_list_json(vly_imu_sessions *sessions, const vly_imu_who *who, vly_str after,
                             size_t n, vly_buf *b, char last[VLY_IMU_ID_LEN + 1],
                             vly_err *err) VLY_MUST_CHECK;

#endif
