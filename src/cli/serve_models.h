/* SPDX-License-Identifier: MIT */
/* The models of `volley serve`: settings to control (sched/control.h), and what is printed. */
#ifndef VLY_CLI_SERVE_MODELS_H
#define VLY_CLI_SERVE_MODELS_H

#include "cli/command.h"
#include "sched/control.h"
#include "sys/config.h"

/* Sets models.load from the names of --load-model; an empty list changes nothing. */
vly_status vly_serve_set_load(vly_config *c, const vly_opt_list *names,
                              vly_err *err) VLY_MUST_CHECK;

/* Loads the models and prints them. c outlives the control. EINVAL names the setting; ENOTFOUND:
 * there is no such directory. */
vly_status vly_serve_models(const vly_config *c, vly_scheduler *s, vly_control **ret,
                            vly_err *err) VLY_MUST_CHECK;

#endif
