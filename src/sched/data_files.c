/* SPDX-License-Identifier: MIT */
#include "sched/data_files.h"

#include "base/mem.h"

#include <string.h>

static void free_file(vly_data_file *f)
{
    vly_free(f->version);
    vly_free(f->path);
}

void vly_data_files_begin(vly_data_files *d, const char *version)
{
    size_t n_kept = 0;

    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(d->files[i].version, version) == 0)
            free_file(&d->files[i]);
        else
            d->files[n_kept++] = d->files[i];
    }
    d->n = n_kept;
    d->version = version;
    d->failed = false;
}

static bool reserve(vly_data_files *d)
{
    size_t cap = d->cap != 0 ? d->cap * 2 : 4;

    if (d->n < d->cap)
        return true;
    vly_data_file *grown = vly_realloc(VLY_MEM_SCHED, d->files, cap * sizeof(*grown));
    if (grown == NULL)
        return false;
    d->files = grown;
    d->cap = cap;
    return true;
}

void vly_data_files_add(void *ctx, const char *path)
{
    vly_data_files *d = ctx;
    vly_data_file f = {
        .version = vly_strndup(VLY_MEM_SCHED, d->version, strlen(d->version)),
        .path = vly_strndup(VLY_MEM_SCHED, path, strlen(path)),
        .stamp = vly_repository_stamp(0, path),
    };

    if (f.version == NULL || f.path == NULL || !reserve(d)) {
        free_file(&f);
        d->failed = true;
        return;
    }
    d->files[d->n++] = f;
}

void vly_data_files_release(vly_data_files *d)
{
    for (size_t i = 0; i < d->n; i++)
        free_file(&d->files[i]);
    vly_free(d->files);
    *d = (vly_data_files){0};
}

static uint64_t stamp_of(const vly_data_files *d, const vly_repository_entry *e, bool is_now)
{
    uint64_t stamp = e->stamp;

    for (size_t i = 0; i < d->n; i++) {
        const vly_data_file *f = &d->files[i];
        if (strcmp(f->version, e->version) == 0)
            stamp = stamp * UINT64_C(0x9e3779b97f4a7c15) +
                    (is_now ? vly_repository_stamp(0, f->path) : f->stamp);
    }
    return stamp;
}

uint64_t vly_data_files_loaded(const vly_data_files *d, const vly_repository_entry *e)
{
    return stamp_of(d, e, false);
}

uint64_t vly_data_files_now(const vly_data_files *d, const vly_repository_entry *e)
{
    return stamp_of(d, e, true);
}
