/* SPDX-License-Identifier: MIT */
/* A model with one instance and the tensors of a run: what the commands on tensors share. */
#ifndef VLY_CLI_MODEL_RUNNER_H
#define VLY_CLI_MODEL_RUNNER_H

#include "base/status.h"
#include "cli/command.h"
#include "engine/model.h"
#include "sys/worker_pool.h"

typedef struct vly_runner {
    vly_model *model;
    const vly_model_info *info;
    vly_worker_pool *pool; /* NULL with one thread */
    vly_instance *instance;
    vly_tensor *inputs, *outputs; /* [n_inputs], [n_outputs]; empty until read or run */
} vly_runner;

/* options NULL: the defaults; threads 0: one for each core. *r need not be initialised; close it on
 * failure too. */
vly_status vly_runner_open(vly_runner *r, const char *path, const vly_model_options *options,
                           int64_t threads, vly_err *err) VLY_MUST_CHECK;
void vly_runner_close(vly_runner *r); /* accepts a zeroed or half-opened one */

/* Inputs that arguments "NAME=FILE" name; the others stay as they are. */
vly_status vly_runner_read_inputs(vly_runner *r, const vly_opt_list *args,
                                  vly_err *err) VLY_MUST_CHECK;
/* Runs once, into r->outputs. */
vly_status vly_runner_run(vly_runner *r, vly_err *err) VLY_MUST_CHECK;
void vly_runner_release_outputs(vly_runner *r);
void vly_runner_release_tensors(vly_runner *r); /* inputs too */

#endif
