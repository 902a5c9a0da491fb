/* SPDX-License-Identifier: MIT */
#include "engine/graph/external.h"

#include "base/mem.h"

#include <inttypes.h>

static vly_status open_file(vly_external *x, vly_str location, vly_mmap *ret, vly_err *err)
{
    char *path = NULL;
    vly_status st;

    if (x->n_files == VLY_EXTERNAL_FILES_MAX)
        return vly_fail(err, VLY_ELIMIT, "more than %d external data files",
                        VLY_EXTERNAL_FILES_MAX);
    if (x->n_files == x->cap) {
        size_t cap = x->cap != 0 ? x->cap * 2 : 4;
        vly_external_file *files = vly_realloc(VLY_MEM_MODEL, x->files, cap * sizeof(*files));
        if (files == NULL)
            return vly_fail(err, VLY_ENOMEM, "cannot list external data files");
        x->files = files;
        x->cap = cap;
    }
    st = vly_path_join(x->dir, location, &path, err);
    if (st == VLY_OK && x->on_open != NULL)
        x->on_open(x->ctx, path);
    if (st == VLY_OK)
        st = x->is_copied ? vly_mmap_read(path, x->max_file_bytes, ret, err)
                          : vly_mmap_open(path, x->max_file_bytes, ret, err);
    if (st == VLY_OK)
        x->files[x->n_files++] = (vly_external_file){location, *ret};
    vly_free(path);
    return st;
}

static vly_status find_file(vly_external *x, vly_str location, vly_mmap *ret, vly_err *err)
{
    for (size_t i = 0; i < x->n_files; i++) {
        if (vly_str_eq(x->files[i].location, location)) {
            *ret = x->files[i].map;
            return VLY_OK;
        }
    }
    return open_file(x, location, ret, err);
}

vly_status vly_external_data(vly_external *x, const vly_onnx_tensor *t, const void **ret,
                             vly_err *err)
{
    vly_str location = t->external->location;
    uint64_t offset = t->external->offset;
    vly_mmap map;
    vly_status st;

    if (x->dir == NULL)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "tensor '%.*s': external data '%.*s' cannot be read for a model in memory",
                        VLY_STR_ARG(t->name), VLY_STR_ARG(location));
    st = find_file(x, location, &map, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "tensor '%.*s': external data", VLY_STR_ARG(t->name));
    if (offset > map.len || t->n_bytes > map.len - offset)
        return vly_fail(err, VLY_EFORMAT,
                        "tensor '%.*s': bytes %" PRIu64 "+%zu are outside '%.*s' of %zu bytes",
                        VLY_STR_ARG(t->name), offset, t->n_bytes, VLY_STR_ARG(location), map.len);
    *ret = map.ptr + offset;
    return VLY_OK;
}

void vly_external_release(vly_external *x)
{
    for (size_t i = 0; i < x->n_files; i++)
        vly_mmap_close(&x->files[i].map);
    vly_free(x->files);
    *x = (vly_external){0};
}
