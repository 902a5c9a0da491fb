/* SPDX-License-Identifier: MIT */
/* Which models a directory holds: Triton's layout, plain files, and what is wrong with the rest. */
#include "sched/repository.h"

#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[TEMP_DIR_PATH_MAX];

static int make_root(void **state)
{
    (void)state;
    return temp_dir_make(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return temp_dir_remove(root) ? 0 : -1;
}

/* Writes root/path, making the directories on the way. */
static void put(const char *path, const char *text)
{
    char full[256];
    vly_err err;

    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    assert_int_equal(vly_file_write(full, text, strlen(text), &err), VLY_OK);
}

static void expect(const vly_repository *r, size_t i, const char *name, const char *version,
                   const char *path)
{
    assert_true(i < r->n_entries);
    if (r->entries[i].error != NULL)
        fail_msg("%s: %s", name, r->entries[i].error);
    assert_string_equal(r->entries[i].name, name);
    assert_string_equal(r->entries[i].version, version);
    assert_string_equal(r->entries[i].path + strlen(root) + 1, path);
}

static void scan(vly_arena *arena, vly_repository *r)
{
    vly_err err = VLY_ERR_INIT;
    vly_arena_init(arena, VLY_MEM_SCHED, 4096, 1 << 20);
    if (vly_repository_scan(root, arena, r, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static void test_layouts(void **state)
{
    (void)state;
    vly_arena arena;
    vly_repository r;

    put("plain.onnx", "");
    put("unversioned/model.onnx", "");
    put("latest/1/model.onnx", "");
    put("latest/10/model.onnx", "");
    put("latest/9/model.onnx", "");
    put("latest/11/readme", ""); /* no model in it */
    put("two/config.pbtxt", "version_policy { latest { num_versions: 2 } }");
    put("two/1/model.onnx", "");
    put("two/2/model.onnx", "");
    put("two/3/model.onnx", "");
    put("chosen/config.pbtxt", "name: \"chosen\" default_model_filename: \"net.onnx\"\n"
                               "version_policy: { specific: { versions: [1, 3] } }");
    put("chosen/1/net.onnx", "");
    put("chosen/2/net.onnx", "");
    put("chosen/3/net.onnx", "");
    put("notes/readme.txt", "");
    put("readme.txt", "");
    scan(&arena, &r);
    assert_int_equal(r.n_entries, 7);
    expect(&r, 0, "chosen", "1", "chosen/1/net.onnx");
    expect(&r, 1, "chosen", "3", "chosen/3/net.onnx");
    expect(&r, 2, "latest", "10", "latest/10/model.onnx");
    assert_null(r.entries[2].config_path);
    expect(&r, 3, "plain", "1", "plain.onnx");
    expect(&r, 4, "two", "2", "two/2/model.onnx");
    expect(&r, 5, "two", "3", "two/3/model.onnx");
    assert_non_null(r.entries[5].config_path);
    expect(&r, 6, "unversioned", "1", "unversioned/model.onnx");
    vly_arena_release(&arena);
}

static void expect_error(const vly_repository *r, size_t i, const char *name, const char *text)
{
    assert_string_equal(r->entries[i].name, name);
    assert_non_null(r->entries[i].error);
    if (strstr(r->entries[i].error, text) == NULL)
        fail_msg("%s: expected '%s' in '%s'", name, text, r->entries[i].error);
}

static void test_errors(void **state)
{
    (void)state;
    vly_arena arena;
    vly_repository r;

    put("empty/config.pbtxt", "name: \"empty\"");
    put("broken/config.pbtxt", "max_batch_size: {");
    put("broken/1/model.onnx", "");
    put("renamed/config.pbtxt", "name: \"other\"");
    put("renamed/1/model.onnx", "");
    put("twice.onnx", "");
    put("twice/1/model.onnx", "");
    scan(&arena, &r);
    assert_int_equal(r.n_entries, 5);
    expect_error(&r, 0, "broken", "1:");
    expect_error(&r, 1, "empty", "expected a version directory with 'model.onnx'");
    expect_error(&r, 2, "renamed", "directory name must equal model name");
    assert_null(r.entries[3].error);
    expect_error(&r, 4, "twice", "another model has the same name");
    vly_arena_release(&arena);
}

static void test_single_file_and_missing(void **state)
{
    (void)state;
    char path[128];
    vly_arena arena;
    vly_repository r;
    vly_err err;

    put("net.onnx", "");
    snprintf(path, sizeof(path), "%s/net.onnx", root);
    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, 1 << 20);
    assert_int_equal(vly_repository_scan(path, &arena, &r, &err), VLY_OK);
    assert_int_equal(r.n_entries, 1);
    expect(&r, 0, "net", "1", "net.onnx");
    assert_int_equal(vly_repository_scan("/nonexistent/models", &arena, &r, &err), VLY_ENOTFOUND);
    vly_arena_release(&arena);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(test_layouts, make_root, remove_root),
           cmocka_unit_test_setup_teardown(test_errors, make_root, remove_root),
           cmocka_unit_test_setup_teardown(test_single_file_and_missing, make_root, remove_root))
