/* SPDX-License-Identifier: MIT */
/* Where `volley serve` and `volley config` take settings from, in the order in which they rank. */
#ifndef VLY_CLI_READ_SETTINGS_H
#define VLY_CLI_READ_SETTINGS_H

#include "cli/command.h"
#include "sys/config.h"

/* The file, if there is one, then the environment. c is fresh. */
vly_status vly_read_settings_begin(vly_config *c, const char *file, vly_err *err) VLY_MUST_CHECK;
/* The option for the setting of this name; value NULL: it was not given. */
vly_status vly_read_settings_option(vly_config *c, const char *name, const char *value,
                                    vly_err *err) VLY_MUST_CHECK;
/* --profile, which may be NULL, and --set; then the profile, and what settings have in common. */
vly_status vly_read_settings_end(vly_config *c, const char *profile, const vly_opt_list *set,
                                 vly_err *err) VLY_MUST_CHECK;

#endif
