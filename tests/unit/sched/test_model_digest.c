/* SPDX-License-Identifier: MIT */
/* Copies of a model have one digest wherever they lie; any other byte is another one. */
#include "sched/model_digest.h"

#include "base/assert.h"
#include "support/onnx_builder.h"
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

static void put(const char *path, vly_str bytes)
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
    assert_int_equal(vly_file_write(full, bytes.ptr, bytes.len, NULL), VLY_OK);
}

/* dir/m.onnx, which multiplies by k, adds what is in dir/w/a.bin, and in dir/w/b.bin; and its
 * configuration. */
static void put_model(const char *dir, float k, const char *a, const char *b, const char *config)
{
    const int64_t dims[] = {4};
    char path[128];
    onnx_builder o;

    ob_init(&o);
    ob_input(&o, "x", OB_UINT8, 1, dims);
    ob_output(&o, "y", OB_UINT8, 1, dims);
    ob_output(&o, "scaled", OB_FLOAT, 0, NULL);
    ob_floats(&o, "k", 0, NULL, &k);
    ob_external(&o, "a", OB_UINT8, 1, dims, "w/a.bin");
    ob_external(&o, "b", OB_UINT8, 1, dims, "w/b.bin");
    ob_node(&o, "Add", "x,a", "xa");
    ob_node(&o, "Add", "xa,b", "y");
    ob_node(&o, "Identity", "k", "scaled");
    snprintf(path, sizeof(path), "%s/m.onnx", dir);
    put(path, ob_finish(&o, 17));
    ob_release(&o);
    snprintf(path, sizeof(path), "%s/w/a.bin", dir);
    put(path, vly_str_from(a));
    snprintf(path, sizeof(path), "%s/w/b.bin", dir);
    put(path, vly_str_from(b));
    snprintf(path, sizeof(path), "%s/config.pbtxt", dir);
    put(path, vly_str_from(config));
}

#define CONFIG "max_batch_size: 0"

static uint64_t digest_as(const char *dir, const char *name, const char *version)
{
    char path[256], config[256];
    vly_servable_spec spec = {.path = path,
                              .name = name,
                              .version = version,
                              .config_path = config,
                              .options = VLY_MODEL_OPTIONS_DEFAULT};
    vly_servable *s;
    vly_err err = VLY_ERR_INIT;

    snprintf(path, sizeof(path), "%s/%s/m.onnx", root, dir);
    snprintf(config, sizeof(config), "%s/%s/config.pbtxt", root, dir);
    if (vly_servable_open(&spec, &s, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    uint64_t digest = vly_model_digest(s);
    vly_servable_unref(s);
    assert_int_not_equal(digest, 0);
    return digest;
}

static uint64_t digest_in(const char *dir)
{
    return digest_as(dir, "m", "1");
}

static void copies_agree(void **state)
{
    (void)state;
    put_model("a", 1, "aaaa", "bbbb", CONFIG);
    put_model("b/deep", 1, "aaaa", "bbbb", CONFIG);
    put("a/other.bin", VLY_STR("of another model"));
    assert_int_equal(digest_in("a"), digest_in("b/deep"));
}

static void changes_show(void **state)
{
    (void)state;
    put_model("a", 1, "aaaa", "bbbb", CONFIG);
    uint64_t digest = digest_in("a");
    put_model("b", 2, "aaaa", "bbbb", CONFIG);
    assert_int_not_equal(digest_in("b"), digest);
    put_model("b", 1, "aaac", "bbbb", CONFIG);
    assert_int_not_equal(digest_in("b"), digest);
    put_model("b", 1, "aaaa", "bbb,", CONFIG);
    assert_int_not_equal(digest_in("b"), digest);
    put_model("b", 1, "bbbb", "aaaa", CONFIG);
    assert_int_not_equal(digest_in("b"), digest);
    put_model("b", 1, "aaaa", "bbbbb", CONFIG);
    assert_int_not_equal(digest_in("b"), digest);
    put_model("b", 1, "aaaa", "bbbb", CONFIG " ");
    assert_int_not_equal(digest_in("b"), digest);
    put_model("b", 1, "aaaa", "bbbb", CONFIG);
    assert_int_equal(digest_in("b"), digest);
    assert_int_not_equal(digest_as("b", "n", "1"), digest);
    assert_int_not_equal(digest_as("b", "m", "2"), digest);
}

/* What a request brings counts as what a file says. */
static void texts_of_requests_count(void **state)
{
    (void)state;
    put_model("a", 1, "aaaa", "bbbb", CONFIG);
    static const char *const texts[] = {"{}", "{}", "{ }"};
    uint64_t digests[3];

    for (size_t i = 0; i < 3; i++) {
        char path[256];
        vly_servable_spec spec = {
            .path = path, .config_json = texts[i], .options = VLY_MODEL_OPTIONS_DEFAULT};
        vly_servable *s;
        snprintf(path, sizeof(path), "%s/a/m.onnx", root);
        assert_int_equal(vly_servable_open(&spec, &s, NULL), VLY_OK);
        digests[i] = vly_model_digest(s);
        vly_servable_unref(s);
    }
    assert_int_equal(digests[0], digests[1]);
    assert_int_not_equal(digests[0], digests[2]);
}

#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

UNIT_TESTS(IN_ROOT(copies_agree), IN_ROOT(changes_show), IN_ROOT(texts_of_requests_count))
