/* SPDX-License-Identifier: MIT */
#include "sys/file.h"

#include "base/assert.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory of its own for each test; tests leave it empty. */
static int make_dir(void **state)
{
    static char dir[64];
    snprintf(dir, sizeof(dir), "/tmp/volley-file-XXXXXX");
    *state = mkdtemp(dir);
    return *state == NULL;
}

static int remove_dir(void **state)
{
    return rmdir(*state);
}

static const char *path_in(void **state, const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", (const char *)*state, name);
    return path;
}

static void write_then_read(void **state)
{
    const char *path = path_in(state, "a.bin");
    vly_err err = VLY_ERR_INIT;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_BASE, 100);
    assert_int_equal(vly_file_write(path, "one\0two", 7, &err), VLY_OK);
    assert_int_equal(vly_file_write(path, "three", 5, &err), VLY_OK); /* replaces */
    vly_buf_puts(&b, "> ");
    assert_int_equal(vly_file_read(path, 5, &b, &err), VLY_OK);
    assert_string_equal(b.ptr, "> three");
    assert_true(vly_file_exists(path));
    assert_false(vly_dir_exists(path));
    vly_buf_release(&b);
    unlink(path);
    assert_false(vly_file_exists(path));
}

static void write_leaves_no_temporary(void **state)
{
    char sub[256];
    vly_dir d;

    snprintf(sub, sizeof(sub), "%s", path_in(state, "target"));
    assert_int_equal(mkdir(sub, 0700), 0);
    assert_int_equal(vly_file_write(sub, "x", 1, NULL), VLY_EIO); /* a directory is in the way */
    assert_int_equal(vly_dir_list(*state, 10, &d, NULL), VLY_OK);
    assert_int_equal(d.n_entries, 1);
    vly_dir_release(&d);
    rmdir(sub);
}

static void read_limits(void **state)
{
    const char *path = path_in(state, "b");
    vly_err err = VLY_ERR_INIT;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_BASE, 8);
    assert_int_equal(vly_file_write(path, "123456789", 9, &err), VLY_OK);
    assert_int_equal(vly_file_read(path, 8, &b, &err), VLY_ELIMIT);
    assert_non_null(strstr(err.msg, path));
    assert_non_null(strstr(err.msg, "8 bytes"));
    assert_int_equal(b.len, 0);
    assert_int_equal(vly_file_read(path, 9, &b, &err), VLY_ENOMEM); /* the buffer's own maximum */
    vly_buf_release(&b);
    unlink(path);
}

/* Files of /proc tell a size of 0 and are read all the same. */
static void read_of_unknown_size(void **state)
{
    vly_buf b;
    (void)state;
    vly_buf_init(&b, VLY_MEM_BASE, 1 << 16);
    assert_int_equal(vly_file_read("/proc/self/status", 1 << 16, &b, NULL), VLY_OK);
    assert_non_null(strstr(b.ptr, "VmSize"));
    vly_buf_clear(&b);
    assert_int_equal(vly_file_read("/proc/self/status", 10, &b, NULL), VLY_ELIMIT);
    vly_buf_release(&b);
}

static void refuses_what_is_no_file(void **state)
{
    vly_err err = VLY_ERR_INIT;
    vly_mmap m;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_BASE, 100);
    assert_int_equal(vly_file_read(path_in(state, "none"), 100, &b, &err), VLY_ENOTFOUND);
    assert_non_null(strstr(err.msg, "No such file"));
    assert_int_equal(vly_file_read(*state, 100, &b, &err), VLY_EINVAL);
    assert_int_equal(vly_mmap_open(*state, 100, &m, &err), VLY_EINVAL);
    const char *fifo = path_in(state, "fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(vly_file_read(fifo, 100, &b, &err), VLY_EINVAL); /* and does not hang */
    unlink(fifo);
    vly_buf_release(&b);
}

static void maps(void **state)
{
    const char *path = path_in(state, "c");
    vly_mmap m = {0};

    assert_int_equal(vly_file_write(path, "mapped", 6, NULL), VLY_OK);
    assert_int_equal(vly_mmap_open(path, 5, &m, NULL), VLY_ELIMIT);
    assert_int_equal(vly_mmap_open(path, 6, &m, NULL), VLY_OK);
    unlink(path);
    assert_int_equal(m.len, 6);
    assert_memory_equal(m.ptr, "mapped", 6); /* outlives the name */
    vly_mmap_close(&m);
    assert_null(m.ptr);
    vly_mmap_close(&m);

    assert_int_equal(vly_file_write(path, "", 0, NULL), VLY_OK);
    assert_int_equal(vly_mmap_open(path, 6, &m, NULL), VLY_OK);
    assert_null(m.ptr);
    assert_int_equal(m.len, 0);
    vly_mmap_close(&m);
    unlink(path);
}

static void lists_sorted(void **state)
{
    vly_dir d = {0};
    vly_err err = VLY_ERR_INIT;

    assert_int_equal(vly_file_write(path_in(state, "b"), "", 0, NULL), VLY_OK);
    assert_int_equal(vly_file_write(path_in(state, ".hidden"), "", 0, NULL), VLY_OK);
    assert_int_equal(mkdir(path_in(state, "a"), 0700), 0);
    assert_int_equal(symlink("a", path_in(state, "c")), 0);
    assert_int_equal(vly_dir_list(*state, 2, &d, &err), VLY_ELIMIT);
    assert_int_equal(vly_dir_list(*state, 3, &d, &err), VLY_OK);
    assert_int_equal(d.n_entries, 3);
    assert_string_equal(d.entries[0].name, "a");
    assert_true(d.entries[0].is_dir);
    assert_string_equal(d.entries[1].name, "b");
    assert_false(d.entries[1].is_dir);
    assert_string_equal(d.entries[2].name, "c");
    assert_true(d.entries[2].is_dir); /* a link counts as what it points to */
    vly_dir_release(&d);
    unlink(path_in(state, "c"));
    rmdir(path_in(state, "a"));
    unlink(path_in(state, "b"));
    unlink(path_in(state, ".hidden"));
    assert_int_equal(vly_dir_list(path_in(state, "none"), 2, &d, &err), VLY_ENOTFOUND);
    assert_int_equal(vly_dir_list(*state, 0, &d, &err), VLY_OK); /* empty */
    assert_int_equal(d.n_entries, 0);
    vly_dir_release(&d);
}

static void joins_only_downwards(void **state)
{
    static const vly_str refused[] = {
        {"", 0},    {"/etc/passwd", 11}, {"..", 2}, {"a/../b", 6}, {"a/..", 4},
        {"./a", 3}, {"a//b", 4},         {"a/", 2}, {"a\0b", 3},   {"../../x", 7},
    };
    vly_err err = VLY_ERR_INIT;
    char *path = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_int_equal(vly_path_join("/d", refused[i], &path, &err), VLY_EINVAL);
    assert_null(path);
    assert_int_equal(vly_path_join("/d", VLY_STR("a/..b.onnx"), &path, &err), VLY_OK);
    assert_string_equal(path, "/d/a/..b.onnx");
    vly_free(path);
    assert_int_equal(vly_path_join("/d/", VLY_STR("a"), &path, &err), VLY_OK);
    assert_string_equal(path, "/d/a");
    vly_free(path);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

/* What was read stays, whatever becomes of the file; a map would raise SIGBUS here. */
static void copies_outlive_their_file(void **state)
{
    const char *path = path_in(state, "model");
    char *bytes = malloc(100000);
    vly_mmap m = {0};
    vly_err err;

    memset(bytes, 'x', 100000);
    assert_int_equal(vly_file_write(path, bytes, 100000, &err), VLY_OK);
    assert_int_equal(vly_mmap_read(path, 99999, &m, &err), VLY_ELIMIT);
    assert_null(m.ptr);
    assert_int_equal(vly_mmap_read(path, 100000, &m, &err), VLY_OK);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(m.len, 100000);
    assert_memory_equal(m.ptr, bytes, m.len);
    vly_mmap_close(&m);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(vly_mmap_read(path, 10, &m, &err), VLY_OK);
    assert_true(m.ptr == NULL && m.len == 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(vly_mmap_read(path, 10, &m, &err), VLY_ENOTFOUND);
    free(bytes);
}

static void tells_files_apart(void **state)
{
    char path[256];
    vly_file_info a, b;
    vly_err err;

    snprintf(path, sizeof(path), "%s", path_in(state, "x"));
    assert_int_equal(vly_file_stat(path, &a, &err), VLY_ENOTFOUND);
    assert_int_equal(vly_file_write(path, "12345", 5, &err), VLY_OK);
    assert_int_equal(vly_file_stat(path, &a, &err), VLY_OK);
    assert_true(a.bytes == 5 && !a.is_dir && a.mtime_ns > INT64_C(1600000000) * 1000000000);
    assert_int_equal(vly_file_write(path, "54321", 5, &err), VLY_OK); /* another inode */
    assert_int_equal(vly_file_stat(path, &b, &err), VLY_OK);
    assert_true(a.inode != b.inode || a.mtime_ns != b.mtime_ns);
    assert_int_equal(vly_file_stat(*state, &a, &err), VLY_OK);
    assert_true(a.is_dir);
    assert_int_equal(unlink(path), 0);
}

static void locks(void **state)
{
    static const struct {
        mode_t dir, lock;
    } rows[] = {{0700, 0600}, {0770, 0660}, {0777, 0666}, {01777, 0600}};
    char path[256], name[256];
    struct stat sb;
    vly_err err;

    snprintf(path, sizeof(path), "%s", path_in(state, "locked"));
    snprintf(name, sizeof(name), "%s", path_in(state, "locked.lock"));
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        int first = -1, second = -1;
        assert_int_equal(chmod(*state, rows[i].dir), 0);
        assert_int_equal(vly_file_lock(path, 0, &first, &err), VLY_OK);
        assert_int_equal(vly_file_lock(path, 0, &second, &err), VLY_EUNAVAILABLE);
        assert_int_equal(second, -1);
        assert_int_equal(stat(name, &sb), 0);
        assert_int_equal(sb.st_mode & 07777, rows[i].lock);
        close(first);
        assert_int_equal(vly_file_lock(path, -1, &second, &err), VLY_OK);
        close(second);
        assert_int_equal(unlink(name), 0);
    }
    assert_int_equal(chmod(*state, 0700), 0);
    assert_int_equal(vly_file_lock("/nowhere/x", 0, &(int){-1}, &err), VLY_EIO);
}

UNIT_TESTS(IN_DIR(locks), IN_DIR(copies_outlive_their_file), IN_DIR(tells_files_apart),
           IN_DIR(write_then_read), IN_DIR(write_leaves_no_temporary), IN_DIR(read_limits),
           cmocka_unit_test(read_of_unknown_size), IN_DIR(refuses_what_is_no_file), IN_DIR(maps),
           IN_DIR(lists_sorted), cmocka_unit_test(joins_only_downwards))
