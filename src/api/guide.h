/* SPDX-License-Identifier: MIT */
/*
 * The dialect of the step detection guide: its paths and messages, over the same sessions as
 * everything else. What its files share; private.
 *
 *     guide_steps.c         /detect_step, /step_count, /model_info ..., one reading at a time
 *     guide_steps_stream.c  /ws/realtime
 *     guide_sessions.c      /sessions
 *     guide_config.c        /config
 *
 * What differs from the guide's own program: a step counts once, when it has ended (there each of
 * start and end counted one); what is said of a reading is what has become known with it, which is
 * of a time look_ahead_ms before; and thresholds belong to the model.
 */
#ifndef VLY_API_GUIDE_H
#define VLY_API_GUIDE_H

#include "api/api.h"

#define VLY_GUIDE_FIELDS "[\"accel_x\",\"accel_y\",\"accel_z\",\"gyro_x\",\"gyro_y\",\"gyro_z\"]"

/* What one reading made known. */
typedef struct vly_guide_known {
    bool has_start, has_end;
    float confidence; /* of the last event */
} vly_guide_known;

/* For on_events: arg is a vly_guide_known. */
void vly_guide_note(vly_guide_known *known, const vly_step_event *events, size_t n);

/* "1732187000.123": seconds of Unix time, as Python's str(time.time()). */
void vly_guide_put_time(vly_buf *b);
/* {"detail": "..."}. Gives req up. */
void vly_guide_fail(vly_http_request *req, int status, const char *detail);
/* As vly_answer_json, or the error with the guide's member; b is released. */
void vly_guide_answer(vly_http_request *req, const vly_err *err, vly_buf *b);

#endif
