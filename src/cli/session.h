/* SPDX-License-Identifier: MIT */
/*
 * What the commands that look at pictures share: open the model, read a file, run it.
 *
 * A model that is a directory is one of a repository, the directory around it: an ensemble runs
 * with the models of its steps, through the scheduler that the server has.
 */
#ifndef VLY_CLI_SESSION_H
#define VLY_CLI_SESSION_H

#include "base/arena.h"
#include "base/status.h"
#include "sched/vision.h"
#include "sys/worker_pool.h"

typedef struct vly_session {
    vly_servable *servable;
    vly_worker_pool *pool;
    vly_vision *vision; /* NULL: an ensemble, which has the next three */
    struct vly_scheduler *scheduler;
    struct vly_control *control;
    struct vly_served *served;
    vly_arena names; /* of the repository */
    vly_arena arena; /* observations of the picture at hand */
    vly_buf file;    /* its bytes */
} vly_session;

typedef struct vly_session_options {
    const char *model;     /* path of an .onnx file, or of a model's directory in a repository */
    const char *task;      /* NULL: find out */
    const char *precision; /* as vly_precision_parse; NULL: auto */
    int64_t threads;       /* 0: one for each core */
} vly_session_options;

vly_status vly_session_open(vly_session *s, const vly_session_options *opts,
                            vly_err *err) VLY_MUST_CHECK;
void vly_session_close(vly_session *s); /* accepts a zeroed or half-opened one */

/* Results lie in s->arena until the next call. ret_picture and ret_times may be NULL. The error
 * names the file. */
vly_status vly_session_run(vly_session *s, const char *path, const vly_detector_options *opts,
                           vly_observations *ret, vly_picture *ret_picture,
                           vly_vision_times *ret_times, vly_err *err) VLY_MUST_CHECK;

#endif
