/* SPDX-License-Identifier: MIT */
#include "sys/line_log.h"

#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static char dir[TEMP_DIR_PATH_MAX];
static char path[TEMP_DIR_PATH_MAX + 16];
static vly_err err;

static int begin(void **state)
{
    (void)state;
    if (!temp_dir_make(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/log", dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return temp_dir_remove(dir) ? 0 : -1;
}

static vly_line_log *open_log(size_t max_bytes)
{
    vly_line_log *log;

    if (vly_line_log_open(path, max_bytes, &log, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return log;
}

static void assert_file(const char *file, const char *text)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_BASE, 1 << 20);
    assert_int_equal(vly_file_read(file, 1 << 20, &b, &err), VLY_OK);
    assert_string_equal(b.len > 0 ? b.ptr : "", text);
    vly_buf_release(&b);
}

static void writes_and_appends(void **state)
{
    (void)state;
    vly_line_log *log = open_log(1000);
    vly_line_log_add(log, VLY_STR("one\n"));
    vly_line_log_add(log, VLY_STR("two\n"));
    vly_line_log_flush(log);
    assert_file(path, "one\ntwo\n");
    vly_line_log_close(log);
    log = open_log(1000);
    vly_line_log_add(log, VLY_STR("three\n"));
    assert_int_equal(vly_line_log_lines(log), 1);
    vly_line_log_close(log); /* writes what waits */
    assert_file(path, "one\ntwo\nthree\n");
}

static void reopens(void **state)
{
    (void)state;
    char old[sizeof(path) + 4];
    vly_line_log *log = open_log(1000);

    snprintf(old, sizeof(old), "%s.1", path);
    vly_line_log_add(log, VLY_STR("old\n"));
    vly_line_log_flush(log);
    assert_int_equal(rename(path, old), 0);
    vly_line_log_add(log, VLY_STR("still old\n"));
    vly_line_log_reopen(log);
    vly_line_log_flush(log);
    vly_line_log_add(log, VLY_STR("new\n"));
    vly_line_log_close(log);
    assert_file(old, "old\nstill old\n");
    assert_file(path, "new\n");
}

/* A line larger than the buffer never fits; the ones around it are not touched by that. */
static void drops_what_does_not_fit(void **state)
{
    (void)state;
    char large[300];
    vly_line_log *log = open_log(256);

    memset(large, 'x', sizeof(large));
    vly_line_log_add(log, VLY_STR("a\n"));
    vly_line_log_add(log, (vly_str){large, sizeof(large)});
    vly_line_log_add(log, VLY_STR("b\n"));
    vly_line_log_flush(log);
    assert_int_equal(vly_line_log_dropped(log), 1);
    assert_int_equal(vly_line_log_lines(log), 3);
    vly_line_log_close(log);
    assert_file(path, "a\nb\n");
}

static void a_full_disk_costs_lines_only(void **state)
{
    (void)state;
    vly_line_log *log;

    if (vly_line_log_open("/dev/full", 1000, &log, &err) != VLY_OK)
        skip();
    vly_line_log_add(log, VLY_STR("a\nb\n"));
    vly_line_log_flush(log);
    assert_int_equal(vly_line_log_dropped(log), 2);
    vly_line_log_close(log);
}

static void names_what_it_cannot_open(void **state)
{
    (void)state;
    vly_line_log *log;

    assert_int_equal(vly_line_log_open(dir, 1000, &log, &err), VLY_EIO);
    assert_non_null(strstr(err.msg, dir));
}

#define N_THREADS 4
#define N_LINES   500

static void *add_lines(void *log)
{
    for (int i = 0; i < N_LINES; i++)
        vly_line_log_add(log, VLY_STR("0123456789\n"));
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    vly_line_log *log = open_log(1 << 20);
    vly_buf b;

    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_lines, log), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(vly_line_log_dropped(log), 0);
    vly_line_log_close(log);
    vly_buf_init(&b, VLY_MEM_BASE, 1 << 20);
    assert_int_equal(vly_file_read(path, 1 << 20, &b, &err), VLY_OK);
    assert_int_equal(b.len, N_THREADS * N_LINES * 11);
    for (size_t i = 0; i < b.len; i += 11)
        assert_memory_equal(b.ptr + i, "0123456789\n", 11);
    vly_buf_release(&b);
}

static void survives_without_memory(void **state)
{
    (void)state;
    vly_line_log *log = NULL;
    vly_status st = VLY_ENOMEM;
    int n = 0;

    for (; st != VLY_OK && n < 10; n++) {
        vly_mem_fail_after(n);
        st = vly_line_log_open(path, 1000, &log, &err);
        vly_mem_fail_after(-1);
    }
    assert_true(n > 1 && st == VLY_OK);
    vly_mem_fail_after(0);
    vly_line_log_add(log, VLY_STR("lost\n"));
    vly_mem_fail_after(-1);
    assert_int_equal(vly_line_log_dropped(log), 1);
    vly_line_log_close(log);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(writes_and_appends, begin, end),
           cmocka_unit_test_setup_teardown(reopens, begin, end),
           cmocka_unit_test_setup_teardown(drops_what_does_not_fit, begin, end),
           cmocka_unit_test(a_full_disk_costs_lines_only),
           cmocka_unit_test_setup_teardown(names_what_it_cannot_open, begin, end),
           cmocka_unit_test_setup_teardown(lines_of_threads_do_not_mix, begin, end),
           cmocka_unit_test_setup_teardown(survives_without_memory, begin, end))
