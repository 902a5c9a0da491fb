/* SPDX-License-Identifier: MIT */
#include "sched/model_digest.h"

#include "cache/cache_key.h"
#include "sys/file.h"

#include <stdio.h>

#define PATH_BYTES 4096

typedef struct digest {
    vly_cache_hash hash;
    size_t max_file_bytes;
    bool failed;
} digest;

static void add_file(digest *d, const char *path, const char *name)
{
    vly_mmap file = {NULL, 0};

    if (vly_mmap_read(path, d->max_file_bytes, &file, NULL) != VLY_OK) {
        d->failed = true;
        return;
    }
    vly_cache_hash_str(&d->hash, vly_str_from(name));
    vly_cache_hash_str(&d->hash, (vly_str){(const char *)file.ptr, file.len});
    vly_mmap_close(&file);
}

static void add_dir(digest *d, vly_str dir)
{
    char path[PATH_BYTES];
    vly_dir list;

    snprintf(path, sizeof(path), "%.*s", VLY_STR_ARG(dir));
    if (dir.len >= sizeof(path) ||
        vly_dir_list(path, VLY_REPOSITORY_ENTRIES_MAX, &list, NULL) != VLY_OK) {
        d->failed = true;
        return;
    }
    for (size_t i = 0; i < list.n_entries; i++) {
        int n = snprintf(path, sizeof(path), "%.*s/%s", VLY_STR_ARG(dir), list.entries[i].name);
        d->failed = d->failed || n < 0 || (size_t)n >= sizeof(path);
        if (!d->failed && !list.entries[i].is_dir)
            add_file(d, path, list.entries[i].name);
    }
    vly_dir_release(&list);
}

/* The directory that a path lies in; *ret_name: its last part. */
static vly_str parent_of(vly_str path, vly_str *ret_name)
{
    size_t at = path.len;

    while (at > 0 && path.ptr[at - 1] != '/')
        at--;
    *ret_name = (vly_str){path.ptr + at, path.len - at};
    return (vly_str){path.ptr, at > 0 ? at - 1 : 0};
}

/* NAME/VERSION/file, NAME/file, or a file by itself. */
static void add_model(digest *d, const vly_repository_entry *e)
{
    vly_str file, last, first;
    vly_str dir = parent_of(vly_str_from(e->path), &file);
    vly_str above = parent_of(dir, &last);

    (void)parent_of(above, &first);
    if (vly_str_is(last, e->version) && vly_str_is(first, e->name)) {
        add_dir(d, above);
        add_dir(d, dir);
    } else if (vly_str_is(last, e->name)) {
        add_dir(d, dir);
    } else {
        add_file(d, e->path, "");
    }
}

uint64_t vly_model_digest(const vly_repository_entry *e, size_t max_file_bytes)
{
    digest d = {.max_file_bytes = max_file_bytes};
    vly_str file;

    if (e->config != NULL && e->config_path == NULL)
        return 0; /* a request has brought it */
    vly_cache_hash_begin(&d.hash, 0, "model", e->name, e->version, 0);
    if (e->path != NULL)
        add_model(&d, e);
    else if (e->config_path != NULL)
        add_dir(&d, parent_of(vly_str_from(e->config_path), &file));
    uint64_t sum = vly_cache_hash_end(&d.hash).lo;
    return d.failed || (e->path == NULL && e->config_path == NULL) ? 0 : sum;
}
