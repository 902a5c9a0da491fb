/* SPDX-License-Identifier: MIT */
/*
 * What `volley serve` needs to detect steps: the model, the sessions, and the store that they
 * outlive the process in.
 */
#ifndef VLY_CLI_SERVE_STEPS_H
#define VLY_CLI_SERVE_STEPS_H

#include "api/steps_pool.h"
#include "sched/imu_sessions.h"
#include "store/store_backup.h"
#include "sys/config.h"

/* All NULL: no steps are detected. store NULL: sessions end with the process. */
typedef struct vly_serve_steps {
    vly_step_model *model;
    vly_session_store *store;
    vly_store_backup *backup; /* of it */
    vly_imu_sessions *sessions;
    vly_steps_pool *pool;
} vly_serve_steps;

/* As the settings steps.*, imu.* and store.* say; prints what there is. s is zeroed, and to be
 * closed whatever comes back. n_workers: threads that read recordings. */
vly_status vly_serve_steps_open(const vly_config *c, unsigned n_workers, vly_serve_steps *s,
                                vly_err *err) VLY_MUST_CHECK;
/* Saves the sessions. Nothing uses them any more. */
void vly_serve_steps_close(vly_serve_steps *s);

#endif
