/* SPDX-License-Identifier: MIT */
#include "sched/override.h"

#include "base/log.h"
#include "base/mem.h"
#include "codec/triton_config.h"
#include "sys/file.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

vly_status vly_override_check(const char *config_json, vly_err *err)
{
    const vly_triton_config *config;
    vly_arena arena;
    vly_err why;

    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, (size_t)64 << 20);
    vly_status st = vly_triton_config_parse_json(vly_str_from(config_json), &arena, &config, &why);
    if (st != VLY_OK)
        st = vly_fail(err, st == VLY_ENOMEM ? st : VLY_EINVAL, "Invalid config override: %s",
                      why.msg);
    vly_arena_release(&arena);
    return st;
}

/* The directories on the way to the file. */
static vly_status make_dirs(char *path, size_t from, vly_err *err)
{
    for (char *p = path + from; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int rc = mkdir(path, 0700);
        int why = errno;
        *p = '/';
        if (rc != 0 && why != EEXIST)
            return vly_fail(err, VLY_EIO, "'%s': %s", path, strerror(why));
    }
    return VLY_OK;
}

static vly_status write_file(const char *dir, const char *name, const vly_control_file *file,
                             vly_err *err)
{
    vly_buf below;
    char *path = NULL;

    vly_buf_init(&below, VLY_MEM_SCHED, 4096);
    vly_buf_printf(&below, "%s/%.*s", name, VLY_STR_ARG(file->name));
    vly_status st = below.failed || vly_path_join(dir, vly_buf_str(&below), &path, NULL) != VLY_OK
                        ? vly_fail(err, VLY_EINVAL,
                                   "Invalid file parameter 'file:%.*s', it must stay within model "
                                   "directory.",
                                   VLY_STR_ARG(file->name))
                        : VLY_OK;
    if (st == VLY_OK)
        st = make_dirs(path, strlen(dir) + 1, err);
    if (st == VLY_OK)
        st = vly_file_write(path, file->bytes.ptr, file->bytes.len, err);
    vly_buf_release(&below);
    vly_free(path);
    return st;
}

vly_status vly_override_make(const char *name, const vly_control_file *files, size_t n, char **ret,
                             vly_err *err)
{
    const char *tmp = getenv("TMPDIR");
    vly_buf path;
    vly_status st = VLY_OK;

    if (n > VLY_OVERRIDE_FILES_MAX)
        return vly_fail(err, VLY_ELIMIT, "more than %d files of a model", VLY_OVERRIDE_FILES_MAX);
    vly_buf_init(&path, VLY_MEM_SCHED, 4096);
    vly_buf_printf(&path, "%s/volley-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    if (path.failed)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for the files of a model");
    else if (mkdtemp(path.ptr) == NULL)
        st = vly_fail(err, VLY_EIO, "'%s': %s", path.ptr, strerror(errno));
    if (st != VLY_OK) {
        vly_buf_release(&path);
        return st;
    }
    for (size_t i = 0; i < n && st == VLY_OK; i++)
        st = write_file(path.ptr, name, &files[i], err);
    if (st != VLY_OK)
        vly_override_remove(path.ptr);
    else
        *ret = path.ptr;
    return st;
}

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb;
    (void)type;
    (void)ftw;
    return remove(path);
}

void vly_override_remove(char *dir)
{
    if (dir == NULL)
        return;
    if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        vly_warn("'%s' could not be removed: %s", dir, strerror(errno));
    vly_free(dir);
}
