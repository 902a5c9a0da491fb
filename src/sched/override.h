/* SPDX-License-Identifier: MIT */
/*
 * Model files that come with a request, as a repository of their own in a temporary directory.
 * Blocking. Thread: any.
 */
#ifndef VLY_SCHED_OVERRIDE_H
#define VLY_SCHED_OVERRIDE_H

#include "base/status.h"
#include "sched/control.h"

#define VLY_OVERRIDE_FILES_MAX 256

/* Whether text is a configuration. EINVAL, in Triton's words. */
vly_status vly_override_check(const char *config_json, vly_err *err) VLY_MUST_CHECK;

/* Writes DIR/name/<file> for each; *ret is DIR, for remove. EINVAL: a file name that leaves the
 * directory; ELIMIT: too many; EIO. */
vly_status vly_override_make(const char *name, const vly_control_file *files, size_t n, char **ret,
                             vly_err *err) VLY_MUST_CHECK;
/* Removes the directory and frees its name. Accepts NULL. */
void vly_override_remove(char *dir);

#endif
