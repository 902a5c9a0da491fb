/* SPDX-License-Identifier: MIT */
/* How long one encoded picture takes from bytes to observations, stage by stage. */
#ifndef VLY_CLI_PICTURE_BENCH_H
#define VLY_CLI_PICTURE_BENCH_H

#include "base/buf.h"
#include "base/status.h"
#include "cli/session.h"
#include "cli/spread.h"

typedef enum vly_stage {
    VLY_STAGE_DECODE,
    VLY_STAGE_PREP,
    VLY_STAGE_NET,
    VLY_STAGE_POST,
    VLY_STAGE_TOTAL,
    VLY_STAGE_N,
} vly_stage;

typedef struct vly_picture_bench {
    const char *path;
    uint32_t width, height;
    size_t file_bytes, n_found, n_runs;
    vly_spread ms[VLY_STAGE_N];
} vly_picture_bench;

/* Runs for about `seconds`, or n_runs times when that is not 0. EUNSUPPORTED: the model has no task
 * for pictures. */
vly_status vly_picture_bench_run(const char *path, const vly_session_options *opts, double seconds,
                                 size_t n_runs, vly_picture_bench *ret,
                                 vly_err *err) VLY_MUST_CHECK;
void vly_picture_bench_text(vly_buf *out, const vly_picture_bench *b);
void vly_picture_bench_json(vly_buf *out, const vly_picture_bench *b);

#endif
