/* SPDX-License-Identifier: MIT */
/*
 * External data files of a model: each file is mapped once, read-only, and stays until release.
 * Owner: one thread while loading; the mapped bytes may be read by any thread.
 */
#ifndef VLY_ENGINE_GRAPH_EXTERNAL_H
#define VLY_ENGINE_GRAPH_EXTERNAL_H

#include "base/status.h"
#include "codec/onnx.h"
#include "sys/file.h"

#include <stddef.h>

#define VLY_EXTERNAL_FILES_MAX 256

typedef struct vly_external_file {
    vly_str location; /* borrowed from the model */
    vly_mmap map;
} vly_external_file;

typedef struct vly_external {
    const char *dir;                              /* borrowed; NULL: external data are refused */
    size_t max_file_bytes;                        /* each */
    bool is_copied;                               /* files are read, not mapped */
    void (*on_open)(void *ctx, const char *path); /* before each file is opened; NULL: none */
    void *ctx;                                    /* of on_open */
    size_t n_files, cap;
    vly_external_file *files;
} vly_external;

/* Bytes of t, whose `external` is set: checked against the file's size. Borrowed until release. */
vly_status vly_external_data(vly_external *x, const vly_onnx_tensor *t, const void **ret,
                             vly_err *err) VLY_MUST_CHECK;
void vly_external_release(vly_external *x);

#endif
