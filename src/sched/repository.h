/* SPDX-License-Identifier: MIT */
/*
 * Model repository: which models a directory holds.
 *
 *   DIR/NAME/config.pbtxt            Triton's layout; config.pbtxt is optional
 *   DIR/NAME/<version>/model.onnx    version: a positive integer; the file name may be set by
 *                                    default_model_filename; which versions are served by
 *                                    version_policy (by custom the latest)
 *   DIR/NAME/model.onnx              without versions: version 1
 *   DIR/NAME.onnx                    a plain file: version 1
 *   DIR/NAME/config.pbtxt            of an ensemble or a built-in step (sched/step.h): its versions
 *                                    are directories without a file, or else it has version 1
 *
 * DIR may also be the path of one .onnx file. Other files and directories are passed over; what
 * looks like a model but cannot be served becomes an entry with `error`, so that it is told and not
 * lost. Blocking; thread: any.
 */
#ifndef VLY_SCHED_REPOSITORY_H
#define VLY_SCHED_REPOSITORY_H

#include "base/arena.h"
#include "base/status.h"
#include "codec/triton_config.h"

#include <stddef.h>

#define VLY_REPOSITORY_ENTRIES_MAX 10000
#define VLY_CONFIG_BYTES_MAX       ((size_t)1 << 20)

typedef struct vly_repository_entry {
    const char *name;
    const char *version;
    const char *path;                /* of the .onnx file; NULL with error, and without a file */
    const char *config_path;         /* of config.pbtxt; NULL: none, or an override */
    const vly_triton_config *config; /* NULL: none */
    const char *error;               /* why it cannot be served; NULL: it can be tried */
    bool is_model_error;             /* error is of the model, not of this version */
    uint64_t stamp; /* changes with the size, time or identity of any file in the directories of
                       this version and of the model, or of the plain file */
} vly_repository_entry;

typedef struct vly_repository {
    vly_repository_entry *entries; /* sorted by name, then version */
    size_t n_entries;
} vly_repository;

/* Everything lives in arena. ENOTFOUND: no such directory or file. */
vly_status vly_repository_scan(const char *dir, vly_arena *arena, vly_repository *ret,
                               vly_err *err) VLY_MUST_CHECK;
/* Only the model of that name; config_json, when it is not NULL, stands in for its config.pbtxt.
 * ENOTFOUND: there is none. */
vly_status vly_repository_scan_model(const char *dir, const char *name, const char *config_json,
                                     vly_arena *arena, vly_repository *ret,
                                     vly_err *err) VLY_MUST_CHECK;
/* The names of what could be models, in order: directories and .onnx files. */
vly_status vly_repository_names(const char *dir, vly_arena *arena, const char *const **ret,
                                size_t *ret_n, vly_err *err) VLY_MUST_CHECK;

/* stamp, and what tells a file that has changed: path, size, time, identity. */
uint64_t vly_repository_stamp(uint64_t stamp, const char *path);

#endif
