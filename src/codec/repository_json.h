/* SPDX-License-Identifier: MIT */
/*
 * The JSON bodies of Triton's model repository extension: index, load and unload. Unknown members
 * are ignored, unknown parameters of a load are not, as with Triton.
 *
 * Outside data: what it takes is a multiple of the text, nothing recurses. Thread: any.
 */
#ifndef VLY_CODEC_REPOSITORY_JSON_H
#define VLY_CODEC_REPOSITORY_JSON_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define VLY_REPOSITORY_FILES_MAX 256

typedef struct vly_repository_file {
    vly_str name; /* "1/model.onnx" */
    vly_str bytes;
} vly_repository_file;

typedef struct vly_repository_json {
    bool is_ready;          /* index: only what is READY */
    bool unload_dependents; /* unload */
    vly_str config;         /* load; ptr NULL: not given */
    size_t n_files;         /* load: "file:..." */
    const vly_repository_file *files;
    void *memory; /* private: config and files lie there */
} vly_repository_json;

/* An empty body gives nothing. The list lies in arena; release gives the rest back. EINVAL: not
 * JSON, or not of these kinds; EINTERNAL: a parameter that is neither config nor file, in Triton's
 * words; ELIMIT, ENOMEM. */
vly_status vly_repository_json_parse(vly_str body, vly_arena *arena, vly_repository_json *ret,
                                     vly_err *err) VLY_MUST_CHECK;
void vly_repository_json_release(vly_repository_json *r); /* accepts a zeroed one */

#endif
