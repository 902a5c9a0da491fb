/* SPDX-License-Identifier: MIT */
#include "sched/repository.h"

#include "codec/triton_config.h"
#include "sched/step.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scan {
    vly_arena *arena;
    vly_repository repo;
    size_t cap;
    const char *config_json; /* instead of config.pbtxt; NULL: none */
} scan;

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory for the model repository");
}

static vly_status add_entry(scan *s, vly_repository_entry entry, vly_err *err)
{
    if (s->repo.n_entries == VLY_REPOSITORY_ENTRIES_MAX)
        return vly_fail(err, VLY_ELIMIT, "more than %d models", VLY_REPOSITORY_ENTRIES_MAX);
    if (s->repo.n_entries == s->cap) {
        size_t cap = s->cap != 0 ? s->cap * 2 : 16;
        vly_repository_entry *grown = vly_arena_calloc(s->arena, cap, sizeof(*grown));
        if (grown == NULL)
            return out_of_memory(err);
        if (s->cap != 0)
            memcpy(grown, s->repo.entries, s->cap * sizeof(*grown));
        s->repo.entries = grown;
        s->cap = cap;
    }
    s->repo.entries[s->repo.n_entries++] = entry;
    return VLY_OK;
}

/* ---- stamps ------------------------------------------------------------------------------- */

static uint64_t fold(uint64_t stamp, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++) /* FNV-1a */
        stamp = (stamp ^ p[i]) * UINT64_C(0x100000001b3);
    return stamp;
}

#define STAMP_BASE UINT64_C(0xcbf29ce484222325)

/* A file that is gone by now counts as its name alone. */
uint64_t vly_repository_stamp(uint64_t stamp, const char *path)
{
    vly_file_info info = {0};

    stamp = fold(stamp, path, strlen(path) + 1);
    if (vly_file_stat(path, &info, NULL) != VLY_OK)
        return stamp;
    stamp = fold(stamp, &info.bytes, sizeof(info.bytes));
    stamp = fold(stamp, &info.mtime_ns, sizeof(info.mtime_ns));
    return fold(stamp, &info.inode, sizeof(info.inode));
}

static vly_status fold_files(scan *s, const char *dir, const vly_dir *list, uint64_t *stamp,
                             vly_err *err)
{
    for (size_t i = 0; i < list->n_entries; i++) {
        if (list->entries[i].is_dir)
            continue;
        const char *path = vly_arena_printf(s->arena, "%s/%s", dir, list->entries[i].name);
        if (path == NULL)
            return out_of_memory(err);
        *stamp = vly_repository_stamp(*stamp, path);
    }
    return VLY_OK;
}

/* The files of a version's directory, over those of the model's. */
static vly_status stamp_version(scan *s, const char *dir, uint64_t model_stamp, uint64_t *ret,
                                vly_err *err)
{
    vly_dir list;

    *ret = fold(model_stamp, dir, strlen(dir) + 1);
    if (vly_dir_list(dir, VLY_REPOSITORY_ENTRIES_MAX, &list, NULL) != VLY_OK)
        return VLY_OK; /* gone by now */
    vly_status st = fold_files(s, dir, &list, ret, err);
    vly_dir_release(&list);
    return st;
}

/* An entry that tells why the model cannot be served. */
static vly_status add_error(scan *s, const char *name, const char *version, const char *error,
                            uint64_t stamp, vly_err *err)
{
    vly_repository_entry entry = {
        .name = vly_arena_strdup(s->arena, vly_str_from(name)),
        .version = version,
        .error = vly_arena_strdup(s->arena, vly_str_from(error)),
        .is_model_error = true,
        .stamp = stamp,
    };
    if (entry.name == NULL || entry.error == NULL)
        return out_of_memory(err);
    return add_entry(s, entry, err);
}

/* ---- one model directory ------------------------------------------------------------------ */

typedef struct model_dir {
    const char *name, *path, *config_path;
    const vly_triton_config *config; /* NULL: none */
    const char *file_name;           /* "model.onnx" */
    vly_dir list;
    uint64_t stamp;    /* of the files that are not of a version */
    int64_t *versions; /* sorted, those with a model file, if there is one */
    size_t n_versions;
} model_dir;

/* An ensemble or a built-in step, which its configuration describes. */
static bool has_no_file(const model_dir *d)
{
    return d->config != NULL && (d->config->ensemble_scheduling != NULL || vly_step_is(d->config));
}

/* Parses config.pbtxt, or what stands in for it. */
static vly_status parse_config(scan *s, model_dir *d, vly_err *err)
{
    vly_buf text;

    if (s->config_json != NULL)
        return vly_triton_config_parse_json(vly_str_from(s->config_json), s->arena, &d->config,
                                            err);
    vly_buf_init(&text, VLY_MEM_SCHED, VLY_CONFIG_BYTES_MAX);
    vly_status st = vly_file_read(d->config_path, VLY_CONFIG_BYTES_MAX, &text, err);
    char *copy = st == VLY_OK ? vly_arena_strdup(s->arena, vly_buf_str(&text)) : NULL;
    if (st == VLY_OK && copy == NULL)
        st = out_of_memory(err);
    if (st == VLY_OK)
        st = vly_triton_config_parse((vly_str){copy, text.len}, s->arena, &d->config, err);
    vly_buf_release(&text);
    return st;
}

static vly_status read_config(scan *s, model_dir *d, vly_err *err)
{
    vly_status st = parse_config(s, d, err);

    if (st == VLY_OK && d->config->name.len > 0 && !vly_str_is(d->config->name, d->name))
        st = vly_fail(err, VLY_EINVAL,
                      "unexpected directory name '%s' for model '%.*s', directory name must equal "
                      "model name",
                      d->name, VLY_STR_ARG(d->config->name));
    if (st == VLY_OK && d->config->default_model_filename.len > 0) {
        d->file_name = vly_arena_strdup(s->arena, d->config->default_model_filename);
        st = d->file_name != NULL ? VLY_OK : out_of_memory(err);
    }
    return st;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Version directories: positive integers that hold the model file, if there is one. */
static vly_status find_versions(scan *s, model_dir *d, vly_err *err)
{
    d->versions = vly_arena_calloc(s->arena, d->list.n_entries, sizeof(*d->versions));
    if (d->versions == NULL)
        return out_of_memory(err);
    for (size_t i = 0; i < d->list.n_entries; i++) {
        int64_t version;
        if (!d->list.entries[i].is_dir || d->list.entries[i].name[0] == '0' ||
            !vly_str_to_i64(vly_str_from(d->list.entries[i].name), &version) || version <= 0)
            continue;
        char *path =
            vly_arena_printf(s->arena, "%s/%" PRId64 "/%s", d->path, version, d->file_name);
        if (path == NULL)
            return out_of_memory(err);
        if (has_no_file(d) || vly_file_exists(path))
            d->versions[d->n_versions++] = version;
    }
    qsort(d->versions, d->n_versions, sizeof(*d->versions), by_value);
    return VLY_OK;
}

/* version_policy; without one only the latest is served. idx: of the sorted versions. */
static bool is_served(const model_dir *d, size_t idx)
{
    const vly_triton_version_policy *p = d->config != NULL ? d->config->version_policy : NULL;

    if (p != NULL && p->all != NULL)
        return true;
    if (p == NULL || p->specific == NULL) {
        bool is_number_given = p != NULL && p->latest != NULL && p->latest->n_versions > 0;
        return d->n_versions - idx <= (is_number_given ? (size_t)p->latest->n_versions : 1);
    }
    for (size_t i = 0; i < p->specific->n_versions; i++)
        if (p->specific->versions[i] == d->versions[idx])
            return true;
    return false;
}

static vly_status add_version(scan *s, const model_dir *d, int64_t version, vly_err *err)
{
    vly_repository_entry entry = {
        .name = vly_arena_strdup(s->arena, vly_str_from(d->name)),
        .version = vly_arena_printf(s->arena, "%" PRId64, version),
        .config_path = d->config_path,
        .config = d->config,
    };
    const char *dir = vly_arena_printf(s->arena, "%s/%" PRId64, d->path, version);

    if (entry.name == NULL || entry.version == NULL || dir == NULL)
        return out_of_memory(err);
    if (!has_no_file(d)) {
        entry.path = vly_arena_printf(s->arena, "%s/%s", dir, d->file_name);
        if (entry.path == NULL)
            return out_of_memory(err);
    }
    vly_status st = stamp_version(s, dir, d->stamp, &entry.stamp, err);
    return st == VLY_OK ? add_entry(s, entry, err) : st;
}

static vly_status add_versions(scan *s, const model_dir *d, vly_err *err)
{
    vly_status st = VLY_OK;
    size_t n_before = s->repo.n_entries;

    for (size_t i = 0; i < d->n_versions && st == VLY_OK; i++)
        if (is_served(d, i))
            st = add_version(s, d, d->versions[i], err);
    if (st == VLY_OK && s->repo.n_entries == n_before) {
        char text[256];
        snprintf(
            text, sizeof(text),
            "at least one version must be available under the version policy of model '%.180s'",
            d->name);
        st = add_error(s, d->name, "1", text, d->stamp, err);
    }
    return st;
}

/* NAME/model.onnx without version directories, or neither. */
static vly_status add_unversioned(scan *s, const model_dir *d, vly_err *err)
{
    char *path = vly_arena_printf(s->arena, "%s/%s", d->path, d->file_name);
    char *name = vly_arena_strdup(s->arena, vly_str_from(d->name));
    bool is_file = path != NULL && vly_file_exists(path);

    if (path == NULL || name == NULL)
        return out_of_memory(err);
    if (has_no_file(d) || is_file)
        return add_entry(s,
                         (vly_repository_entry){.name = name,
                                                .version = "1",
                                                .path = has_no_file(d) ? NULL : path,
                                                .config_path = d->config_path,
                                                .config = d->config,
                                                .stamp = d->stamp},
                         err);
    if (d->config == NULL)
        return VLY_OK; /* not a model */
    char *error = vly_arena_printf(s->arena, "expected a version directory with '%s' in '%s'",
                                   d->file_name, d->path);
    if (error == NULL)
        return out_of_memory(err);
    return add_error(s, d->name, "1", error, d->stamp, err);
}

static vly_status scan_list(scan *s, model_dir *d, vly_err *err)
{
    char *config_path = vly_arena_printf(s->arena, "%s/config.pbtxt", d->path);
    vly_err config_err;

    if (config_path == NULL)
        return out_of_memory(err);
    vly_status st = fold_files(s, d->path, &d->list, &d->stamp, err);
    if (st != VLY_OK)
        return st;
    if (s->config_json != NULL)
        d->stamp = fold(d->stamp, s->config_json, strlen(s->config_json));
    else if (vly_file_exists(config_path))
        d->config_path = config_path;
    if ((s->config_json != NULL || d->config_path != NULL) &&
        read_config(s, d, &config_err) != VLY_OK)
        return add_error(s, d->name, "1", config_err.msg, d->stamp, err);
    st = find_versions(s, d, err);
    if (st != VLY_OK)
        return st;
    return d->n_versions > 0 ? add_versions(s, d, err) : add_unversioned(s, d, err);
}

static vly_status scan_model_dir(scan *s, const char *dir, const char *name, vly_err *err)
{
    model_dir d = {.name = name, .file_name = "model.onnx", .stamp = STAMP_BASE};
    vly_err list_err;

    d.path = vly_arena_printf(s->arena, "%s/%s", dir, name);
    if (d.path == NULL)
        return out_of_memory(err);
    if (vly_dir_list(d.path, VLY_REPOSITORY_ENTRIES_MAX, &d.list, &list_err) != VLY_OK)
        return add_error(s, name, "1", list_err.msg, STAMP_BASE, err);
    vly_status st = scan_list(s, &d, err);
    vly_dir_release(&d.list);
    return st;
}

/* ---- the directory ------------------------------------------------------------------------ */

/* dir/file.onnx as model "file"; dir NULL: file is the whole path. */
static vly_status add_file(scan *s, const char *dir, const char *file, vly_err *err)
{
    const char *slash = strrchr(file, '/');
    vly_str name = vly_str_from(slash != NULL ? slash + 1 : file);
    name.len -= strlen(".onnx");
    vly_repository_entry entry = {
        .name = vly_arena_strdup(s->arena, name),
        .version = "1",
        .path = dir != NULL ? vly_arena_printf(s->arena, "%s/%s", dir, file)
                            : vly_arena_strdup(s->arena, vly_str_from(file)),
    };

    if (entry.name == NULL || entry.path == NULL)
        return out_of_memory(err);
    entry.stamp = vly_repository_stamp(STAMP_BASE, entry.path);
    if (s->config_json != NULL) {
        entry.stamp = fold(entry.stamp, s->config_json, strlen(s->config_json));
        vly_err config_err;
        if (vly_triton_config_parse_json(vly_str_from(s->config_json), s->arena, &entry.config,
                                         &config_err) != VLY_OK)
            return add_error(s, entry.name, "1", config_err.msg, entry.stamp, err);
    }
    return add_entry(s, entry, err);
}

static bool is_onnx(const char *path)
{
    return vly_str_ends(vly_str_from(path), VLY_STR(".onnx"));
}

static int by_name_and_version(const void *a, const void *b)
{
    const vly_repository_entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order == 0)
        order =
            (strlen(x->version) > strlen(y->version)) - (strlen(x->version) < strlen(y->version));
    return order != 0 ? order : strcmp(x->version, y->version);
}

/* NAME.onnx beside NAME/ would serve two models under one name: the second is told as an error. */
static void mark_duplicates(vly_repository *r)
{
    for (size_t i = 1; i < r->n_entries; i++)
        if (by_name_and_version(&r->entries[i - 1], &r->entries[i]) == 0) {
            r->entries[i].error = "another model has the same name and version";
            r->entries[i].is_model_error = true;
        }
}

vly_status vly_repository_scan(const char *dir, vly_arena *arena, vly_repository *ret, vly_err *err)
{
    scan s = {.arena = arena};
    vly_dir list = {0};
    vly_status st = VLY_OK;

    if (vly_file_exists(dir) && is_onnx(dir)) {
        st = add_file(&s, NULL, dir, err);
    } else {
        st = vly_dir_list(dir, VLY_REPOSITORY_ENTRIES_MAX, &list, err);
        for (size_t i = 0; i < list.n_entries && st == VLY_OK; i++) {
            if (list.entries[i].is_dir)
                st = scan_model_dir(&s, dir, list.entries[i].name, err);
            else if (is_onnx(list.entries[i].name))
                st = add_file(&s, dir, list.entries[i].name, err);
        }
        vly_dir_release(&list);
    }
    if (st != VLY_OK)
        return st;
    if (s.repo.n_entries > 0)
        qsort(s.repo.entries, s.repo.n_entries, sizeof(*s.repo.entries), by_name_and_version);
    mark_duplicates(&s.repo);
    *ret = s.repo;
    return VLY_OK;
}

vly_status vly_repository_scan_model(const char *dir, const char *name, const char *config_json,
                                     vly_arena *arena, vly_repository *ret, vly_err *err)
{
    scan s = {.arena = arena, .config_json = config_json};
    bool is_one_file = vly_file_exists(dir) && is_onnx(dir);
    char *path = vly_arena_printf(arena, "%s/%s", dir, name);
    char *file = vly_arena_printf(arena, "%s.onnx", name);
    vly_status st = VLY_OK;

    if (path == NULL || file == NULL)
        return out_of_memory(err);
    if (is_one_file) {
        const char *slash = strrchr(dir, '/');
        if (strcmp(slash != NULL ? slash + 1 : dir, file) == 0)
            st = add_file(&s, NULL, dir, err);
    } else if (vly_dir_exists(path)) {
        st = scan_model_dir(&s, dir, name, err);
    } else {
        path = vly_arena_printf(arena, "%s/%s", dir, file);
        if (path == NULL)
            return out_of_memory(err);
        if (vly_file_exists(path))
            st = add_file(&s, dir, file, err);
    }
    if (st == VLY_OK && s.repo.n_entries == 0)
        st = vly_fail(err, VLY_ENOTFOUND, "there is no model '%s' in '%s'", name, dir);
    if (st == VLY_OK)
        *ret = s.repo;
    return st;
}

vly_status vly_repository_names(const char *dir, vly_arena *arena, const char *const **ret,
                                size_t *ret_n, vly_err *err)
{
    vly_dir list = {0};
    vly_status st = VLY_OK;
    size_t n = 0;

    if (!(vly_file_exists(dir) && is_onnx(dir)))
        st = vly_dir_list(dir, VLY_REPOSITORY_ENTRIES_MAX, &list, err);
    if (st != VLY_OK)
        return st;
    const char **names = vly_arena_calloc(arena, list.n_entries + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && st == VLY_OK && i < list.n_entries; i++) {
        vly_str name = vly_str_from(list.entries[i].name);
        if (!list.entries[i].is_dir && !is_onnx(name.ptr))
            continue;
        if (!list.entries[i].is_dir)
            name.len -= strlen(".onnx");
        names[n] = vly_arena_strdup(arena, name);
        st = names[n++] != NULL ? VLY_OK : out_of_memory(err);
    }
    vly_dir_release(&list);
    if (names == NULL)
        return out_of_memory(err);
    if (st == VLY_OK) {
        *ret = (const char *const *)names;
        *ret_n = n;
    }
    return st;
}
