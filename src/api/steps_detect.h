/* SPDX-License-Identifier: MIT */
/* The steps of one recording that lies in memory: what REST and gRPC share. */
#ifndef VLY_API_STEPS_DETECT_H
#define VLY_API_STEPS_DETECT_H

#include "api/api.h"
#include "api/steps_pool.h"
#include "codec/imu.h"

typedef enum vly_steps_answer {
    VLY_STEPS_JSON,
    VLY_STEPS_CSV, /* events, as `volley steps --csv` prints them */
    VLY_STEPS_SVG, /* a picture */
} vly_steps_answer;

const char *vly_steps_answer_type(vly_steps_answer answer); /* "text/csv; ..." */

typedef struct vly_steps_detect {
    vly_api *api;
    vly_imu_reader_opts reader; /* what the client says of the bytes */
    int look_ahead_ms;          /* < 0: the model's own */
    bool is_without_events;
    _Atomic bool *is_cancelled; /* borrowed */
} vly_steps_detect;

/* Appends the answer to out. Errors: of tasks/steps/step_scan.h; EINVAL: a look-ahead that the
 * model cannot keep; ECANCELLED. Thread: a worker. */
vly_status vly_steps_detect_run(const vly_steps_detect *d, vly_str bytes, vly_steps_answer answer,
                                vly_buf *out, vly_err *err) VLY_MUST_CHECK;

#endif
