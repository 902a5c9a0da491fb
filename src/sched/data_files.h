/* SPDX-License-Identifier: MIT */
/*
 * The files of external data of a model: those that the last load of each version has opened, or
 * tried to. They may lie anywhere below the model file's directory, so only the load tells which
 * they are; each look at the repository then sees whether one has changed since it was opened.
 *
 * Private to the scheduler. Owner: the loader thread.
 */
#ifndef VLY_SCHED_DATA_FILES_H
#define VLY_SCHED_DATA_FILES_H

#include "sched/repository.h"

typedef struct vly_data_file {
    char *version, *path;
    uint64_t stamp; /* before it was opened */
} vly_data_file;

/* Zeroed: none. */
typedef struct vly_data_files {
    vly_data_file *files;
    size_t n, cap;
    const char *version; /* that is being loaded; borrowed */
    bool failed;         /* out of memory: the list of that version is not complete */
} vly_data_files;

/* version is loaded: what its former load has opened is forgotten. */
void vly_data_files_begin(vly_data_files *d, const char *version);
/* One more file of it; ctx: the vly_data_files (vly_model_options.on_external). */
void vly_data_files_add(void *ctx, const char *path);
void vly_data_files_release(vly_data_files *d);

/* The stamp of e and of its files as the last load has found them, or as they are now. */
uint64_t vly_data_files_loaded(const vly_data_files *d, const vly_repository_entry *e);
uint64_t vly_data_files_now(const vly_data_files *d, const vly_repository_entry *e);

#endif
