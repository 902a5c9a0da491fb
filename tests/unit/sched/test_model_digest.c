/* SPDX-License-Identifier: MIT */
/* Copies of a model have one digest wherever they lie; any other byte is another one. */
#include "sched/model_digest.h"

#include "base/assert.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <stdio.h>
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

static void put(const char *path, const char *text)
{
    char full[256];

    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    assert_int_equal(vly_file_write(full, text, strlen(text), NULL), VLY_OK);
}

/* Of the model m in that directory below root. */
static uint64_t digest_in(const char *dir)
{
    char full[256];
    vly_repository repo;
    vly_arena arena;

    snprintf(full, sizeof(full), "%s/%s", root, dir);
    vly_arena_init(&arena, VLY_MEM_ARENA, 4096, 1 << 20);
    assert_int_equal(vly_repository_scan_model(full, "m", NULL, &arena, &repo, NULL), VLY_OK);
    assert_int_equal(repo.n_entries, 1);
    assert_null(repo.entries[0].error);
    uint64_t digest = vly_model_digest(&repo.entries[0], 1000);
    vly_arena_release(&arena);
    return digest;
}

static void put_model(const char *dir, const char *model, const char *labels)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/m/1/model.onnx", dir);
    put(path, model);
    snprintf(path, sizeof(path), "%s/m/config.pbtxt", dir);
    put(path, "max_batch_size: 0");
    snprintf(path, sizeof(path), "%s/m/labels.txt", dir);
    put(path, labels);
}

static void copies_agree(void **state)
{
    (void)state;
    put_model("a", "net", "cat");
    put_model("b/deep", "net", "cat");
    uint64_t digest = digest_in("a");
    assert_int_not_equal(digest, 0);
    assert_int_equal(digest_in("b/deep"), digest);
    put("a/other/1/model.onnx", "of another model");
    assert_int_equal(digest_in("a"), digest);
}

static void changes_show(void **state)
{
    (void)state;
    put_model("a", "net", "cat");
    uint64_t digest = digest_in("a");
    put_model("b", "ner", "cat");
    assert_int_not_equal(digest_in("b"), digest);
    put_model("b", "net", "dog");
    assert_int_not_equal(digest_in("b"), digest);
    put_model("b", "net", "cat");
    assert_int_equal(digest_in("b"), digest);
    put("b/m/1/model.onnx.data", "weights");
    assert_int_not_equal(digest_in("b"), digest);
    char long_text[2000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    put_model("a", long_text, "cat");
    assert_int_equal(digest_in("a"), 0); /* past the limit */
}

static void plain_files_stand_alone(void **state)
{
    (void)state;
    put("a/m.onnx", "net");
    put("b/m.onnx", "net");
    uint64_t digest = digest_in("a");
    assert_int_not_equal(digest, 0);
    put("b/n.onnx", "another");
    assert_int_equal(digest_in("b"), digest);
    put("b/m.onnx", "ner");
    assert_int_not_equal(digest_in("b"), digest);
}

#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

UNIT_TESTS(IN_ROOT(copies_agree), IN_ROOT(changes_show), IN_ROOT(plain_files_stand_alone))
