/* SPDX-License-Identifier: MIT */
/*
 * Every file of Debian's libonnx-testdata and of the shared models, against Python's onnx package:
 * onnx_truth.py --digest DIR printed the numbers here.
 */
#include "codec/onnx.h"
#include "codec/onnx_dump.h"
#include "codec/onnx_writer.h"
#include "support/file_bytes.h"
#include "unit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATHS_MAX 8192

static char *paths[PATHS_MAX]; /* of the running test */
static size_t n_paths;
static size_t n_written; /* models that went out and in again */

static int add_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    vly_str p = vly_str_from(path);
    bool is_wanted = vly_str_ends(p, VLY_STR(".onnx")) || vly_str_ends(p, VLY_STR(".pb"));

    (void)st;
    (void)ftw;
    if (type == FTW_F && is_wanted) {
        assert_true(n_paths < PATHS_MAX);
        paths[n_paths++] = strdup(path);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A model that is written and read again is the same; false: it holds what cannot be written. */
static bool check_round_trip(const vly_onnx_model *m, const char *path)
{
    const vly_onnx_model *again;
    vly_buf file, before, after;
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;

    vly_buf_init(&file, VLY_MEM_CODEC, SIZE_MAX / 2);
    vly_buf_init(&before, VLY_MEM_CODEC, 1 << 28);
    vly_buf_init(&after, VLY_MEM_CODEC, 1 << 28);
    vly_status st = vly_onnx_model_write(m, &file, &err);
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, VLY_ONNX_ARENA_BUDGET(file.len));
    if (st == VLY_OK) {
        if (vly_onnx_model_parse(file.ptr, file.len, &arena, &again, &err) != VLY_OK)
            fail_msg("%s, written again: %s", path, err.msg);
        dump_model(&before, m);
        dump_model(&after, again);
        if (!vly_str_eq(vly_buf_str(&before), vly_buf_str(&after)))
            fail_msg("%s: another model after writing and reading it", path);
    } else if (st != VLY_EUNSUPPORTED) {
        fail_msg("%s: %s", path, err.msg);
    }
    vly_arena_release(&arena);
    vly_buf_release(&after);
    vly_buf_release(&before);
    vly_buf_release(&file);
    return st == VLY_OK;
}

/* The dump of one file; false when it is a .pb that holds no tensor. */
static bool dump_file(const char *path, vly_buf *out)
{
    size_t len;
    unsigned char *bytes = file_bytes(path, &len);
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;
    const vly_onnx_model *m;
    const vly_onnx_tensor *t;
    vly_status st;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, VLY_ONNX_ARENA_BUDGET(len));
    if (vly_str_ends(vly_str_from(path), VLY_STR(".onnx"))) {
        st = vly_onnx_model_parse(bytes, len, &arena, &m, &err);
        if (st != VLY_OK)
            fail_msg("%s: %s", path, err.msg);
        dump_model(out, m);
        n_written += check_round_trip(m, path);
    } else {
        st = vly_onnx_tensor_parse(bytes, len, &arena, &t, &err);
        if (st == VLY_OK)
            dump_tensor(out, t);
    }
    vly_arena_release(&arena);
    free(bytes);
    return st == VLY_OK;
}

static void find_files(const char *folder)
{
    n_paths = 0;
    assert_int_equal(nftw(folder, add_path, 16, FTW_PHYS), 0);
    qsort(paths, n_paths, sizeof(paths[0]), by_name);
}

/* least_written: of the models in the folder; the others hold sequences and the like. */
static void check_found(size_t want_files, uint64_t want_digest, size_t least_written)
{
    size_t n_files = 0;
    uint64_t digest = FNV_INIT;
    vly_buf out;

    n_written = 0;
    vly_buf_init(&out, VLY_MEM_CODEC, 1 << 28);
    for (size_t i = 0; i < n_paths; i++) {
        vly_buf_clear(&out);
        if (dump_file(paths[i], &out)) {
            n_files++;
            digest = fnv1a(digest, out.ptr, out.len);
        }
        free(paths[i]);
    }
    vly_buf_release(&out);
    assert_int_equal(n_files, want_files);
    assert_true(digest == want_digest);
    assert_true(n_written >= least_written);
}

static void debian_test_data(void **state)
{
    (void)state;
    const char *folder = "/usr/share/libonnx-testdata/data";

    if (access(folder, R_OK) != 0) {
        printf("# skipped: no %s (apt install libonnx-testdata)\n", folder);
        skip();
    }
    find_files(folder);
    if (n_paths == 4277) /* 1.12, Debian 12 */
        check_found(4226, UINT64_C(0xe189109b6746567b), 1048);
    else if (n_paths == 5795) /* 1.17, Debian 13 */
        check_found(5738, UINT64_C(0xee832325ee612750), 1048);
    else
        fail_msg("%zu files: onnx_truth.py has not seen this release", n_paths);
}

static void shared_models(void **state)
{
    (void)state;
    find_files(unit_shared("models"));
    check_found(30, UINT64_C(0xd5a5f5c98f02964e), 18);
}

UNIT_TESTS(cmocka_unit_test(debian_test_data), cmocka_unit_test(shared_models))
