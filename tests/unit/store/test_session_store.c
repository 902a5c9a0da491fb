/* SPDX-License-Identifier: MIT */
/*
 * What is on the disk is looked at by opening it again, or by SQLite itself. What must not happen
 * to this process (kill -9, a limit of file sizes, other rights) happens to a child.
 */
#include "store/session_store.h"

#include "support/temp_dir.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 1000, STATE_BYTES = 1200, NOBODY = 65534 };

static char dir[TEMP_DIR_PATH_MAX];
static char path[TEMP_DIR_PATH_MAX + 16];
static vly_err err;

static int begin(void **state)
{
    (void)state;
    if (!temp_dir_make(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/store.db", dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return temp_dir_remove(dir) ? 0 : -1;
}

static vly_session_store *open_store(void)
{
    vly_session_store *s = NULL;

    if (vly_session_store_open(path, VLY_STORE_POWER_SAFE, &s, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return s;
}

/* Opening fails so, and says the text; the file is as it was, if it was. */
static void assert_refused(vly_status st, const char *text)
{
    vly_session_store *s = NULL;

    assert_int_equal(vly_session_store_open(path, VLY_STORE_POWER_SAFE, &s, &err), st);
    assert_null(s);
    if (strstr(err.msg, text) == NULL || strstr(err.msg, path) == NULL)
        fail_msg("expected '%s' of '%s', got '%s'", text, path, err.msg);
}

static vly_session_row row(const char *key, const char *state, int64_t changed_ms)
{
    return (vly_session_row){VLY_STR("steps"), vly_str_from(key), vly_str_from(state), changed_ms};
}

static void put(vly_session_store *s, const vly_session_row *rows, size_t n)
{
    if (vly_session_store_put(s, rows, n, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

/* "key=state@ms " of each row. */
typedef struct listing {
    char text[512];
    size_t n;
} listing;

static vly_status list_row(void *arg, const vly_session_row *r, vly_err *e)
{
    listing *l = arg;
    size_t at = strlen(l->text);

    (void)e;
    l->n++;
    if (l->n <= 8)
        snprintf(l->text + at, sizeof(l->text) - at, "%.*s=%.*s@%lld ", VLY_STR_ARG(r->key),
                 VLY_STR_ARG(r->state), (long long)r->changed_ms);
    return VLY_OK;
}

static listing list(vly_session_store *s, const char *kind)
{
    listing l = {.n = 0};

    if (vly_session_store_each(s, vly_str_from(kind), list_row, &l, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return l;
}

static void assert_rows(vly_session_store *s, const char *text)
{
    assert_string_equal(list(s, "steps").text, text);
}

/* n rows, each of STATE_BYTES of the same letter. */
static vly_status put_many(vly_session_store *s, size_t n, char letter, vly_err *e)
{
    static char keys[MANY][16], bytes[STATE_BYTES];
    static vly_session_row rows[MANY];

    memset(bytes, letter, sizeof(bytes));
    for (size_t i = 0; i < n; i++) {
        snprintf(keys[i], sizeof(keys[i]), "key %zu", i);
        rows[i] = row(keys[i], "", 1);
        rows[i].state = (vly_str){bytes, sizeof(bytes)};
    }
    return vly_session_store_put(s, rows, n, e);
}

/* ---- rows ---- */

static void rows_are_added_replaced_and_removed(void **state)
{
    (void)state;
    vly_session_store *s = open_store();

    put(s, (vly_session_row[]){row("b", "one", 10), row("a", "two", 20)}, 2);
    assert_rows(s, "b=one@10 a=two@20 ");
    put(s, (vly_session_row[]){row("b", "three", 30), row("c", "", 40)}, 2);
    assert_rows(s, "b=three@30 a=two@20 c=@40 ");
    assert_int_equal(vly_session_store_remove(
                         s, (vly_session_row[]){row("a", "", 0), row("unknown", "", 0)}, 2, &err),
                     VLY_OK);
    assert_rows(s, "b=three@30 c=@40 ");
    put(s, NULL, 0);
    assert_int_equal(list(s, "other").n, 0);
    vly_session_store_close(s);
}

static vly_status check_row(void *arg, const vly_session_row *r, vly_err *e)
{
    const vly_session_row *want = arg;

    (void)e;
    assert_true(vly_str_eq(r->kind, want->kind));
    assert_true(vly_str_eq(r->key, want->key));
    assert_true(vly_str_eq(r->state, want->state));
    assert_int_equal(r->changed_ms, want->changed_ms);
    return VLY_OK;
}

static void kinds_are_apart_and_bytes_are_bytes(void **state)
{
    (void)state;
    vly_session_store *s = open_store();
    const char bytes[] = {'a', '\0', (char)0xff, '\'', '"'};
    vly_session_row r = {VLY_STR("tracks"), {bytes, 3}, {bytes, sizeof(bytes)}, -1};

    put(s, &r, 1);
    put(s, (vly_session_row[]){row("b", "one", 10)}, 1);
    assert_rows(s, "b=one@10 ");
    assert_int_equal(list(s, "tracks").n, 1);
    assert_int_equal(vly_session_store_each(s, VLY_STR("tracks"), check_row, &r, &err), VLY_OK);
    vly_session_store_close(s);
}

static vly_status stop_at_once(void *arg, const vly_session_row *r, vly_err *e)
{
    (void)r;
    ++*(int *)arg;
    return vly_fail(e, VLY_ECANCELLED, "enough");
}

static void a_visit_may_end_it(void **state)
{
    (void)state;
    vly_session_store *s = open_store();
    int n = 0;

    put(s, (vly_session_row[]){row("a", "one", 10), row("b", "two", 20)}, 2);
    assert_int_equal(vly_session_store_each(s, VLY_STR("steps"), stop_at_once, &n, &err),
                     VLY_ECANCELLED);
    assert_int_equal(n, 1);
    assert_rows(s, "a=one@10 b=two@20 ");
    vly_session_store_close(s);
}

static void it_is_there_again(void **state)
{
    (void)state;
    struct stat sb;
    vly_session_store *s = open_store();

    put(s, (vly_session_row[]){row("a", "one", 10)}, 1);
    vly_session_store_close(s);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    s = open_store();
    assert_rows(s, "a=one@10 ");
    vly_session_store_close(s);
    vly_session_store_close(NULL);
}

/* ---- other processes ---- */

/* A child that has put a row and waits to be killed. */
static pid_t start_child(void)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        vly_session_store *s;
        vly_session_row r = row("a", "of the child", 5);
        bool ok = vly_session_store_open(path, VLY_STORE_PROCESS_SAFE, &s, NULL) == VLY_OK &&
                  vly_session_store_put(s, &r, 1, NULL) == VLY_OK;
        if (!ok || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void one_process_at_a_time_and_kill_9_loses_nothing(void **state)
{
    (void)state;
    int status;
    pid_t pid = start_child();

    assert_refused(VLY_EBUSY, "another process uses it");
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    vly_session_store *s = open_store();
    assert_rows(s, "a=of the child@5 ");
    vly_session_store_close(s);
}

static void assert_child_is_fine(int (*run)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool limit_files(rlim_t bytes)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return false;
    limit.rlim_cur = bytes;
    return setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

/* The number of the step that went wrong. */
static int fill_the_disk(void)
{
    vly_session_store *s;
    vly_session_row r = row("key 0", "before", 5);
    vly_err e;

    signal(SIGXFSZ, SIG_IGN);
    if (vly_session_store_open(path, VLY_STORE_POWER_SAFE, &s, &e) != VLY_OK ||
        vly_session_store_put(s, &r, 1, &e) != VLY_OK)
        return 1;
    if (!limit_files(256 << 10))
        return 2;
    if (put_many(s, MANY, 'x', &e) != VLY_EIO || strstr(e.msg, path) == NULL)
        return 3;
    listing l = list(s, "steps");
    if (strcmp(l.text, "key 0=before@5 ") != 0)
        return 4;
    if (!limit_files(RLIM_INFINITY) || put_many(s, MANY, 'x', &e) != VLY_OK)
        return 5;
    if (list(s, "steps").n != MANY)
        return 6;
    vly_session_store_close(s);
    return 0;
}

static void a_full_disk_changes_nothing_and_may_pass(void **state)
{
    (void)state;
    assert_child_is_fine(fill_the_disk);
    vly_session_store *s = open_store();
    assert_int_equal(list(s, "steps").n, MANY);
    vly_session_store_close(s);
}

/* As somebody who may read the directory and the file, not write. */
static int open_without_rights(void)
{
    vly_session_store *s;
    vly_err e;

    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return 1;
    if (vly_session_store_open(path, VLY_STORE_POWER_SAFE, &s, &e) != VLY_EIO)
        return 2;
    return strstr(e.msg, path) != NULL ? 0 : 3;
}

static void what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(dir, 0555), 0);
    assert_child_is_fine(open_without_rights); /* nor made */
    assert_int_equal(chmod(dir, 0755), 0);
    vly_session_store_close(open_store());
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(dir, 0555), 0);
    assert_child_is_fine(open_without_rights);
    assert_int_equal(chmod(dir, 0700), 0);
}

/* ---- other files ---- */

static void write_at(long offset, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, offset), n);
    close(fd);
}

static void run_sqlite(const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void what_is_no_database_is_refused(void **state)
{
    (void)state;
    char text[5000], after[sizeof(text)];

    memset(text, 'x', sizeof(text));
    write_at(0, text, sizeof(text));
    assert_refused(VLY_EFORMAT, "not a database");
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, after, sizeof(after)), sizeof(after));
    close(fd);
    assert_memory_equal(after, text, sizeof(text));
}

static void a_path_to_nowhere_is_refused(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/a/b", dir);
    assert_refused(VLY_EIO, "No such file or directory");
    snprintf(path, sizeof(path), "%s", dir);
    assert_refused(VLY_EIO, "cannot");
}

static void another_database_is_refused_unchanged(void **state)
{
    (void)state;
    run_sqlite("CREATE TABLE mine (x)");
    assert_refused(VLY_EFORMAT, "another program");
    run_sqlite("INSERT INTO mine VALUES (1)"); /* it is theirs still: no lock, no other mode */
}

static void a_newer_schema_is_refused(void **state)
{
    (void)state;
    vly_session_store_close(open_store());
    run_sqlite("PRAGMA user_version = 2");
    assert_refused(VLY_EFORMAT, "expected schema 1, got 2");
}

static void a_damaged_file_is_refused(void **state)
{
    (void)state;
    char junk[8192];
    vly_session_store *s = open_store();

    assert_int_equal(put_many(s, MANY, 'x', &err), VLY_OK);
    vly_session_store_close(s);
    memset(junk, 0x5a, sizeof(junk));
    write_at(40960, junk, sizeof(junk));
    assert_refused(VLY_EFORMAT, "damaged");
    assert_int_equal(truncate(path, 6000), 0);
    assert_refused(VLY_EFORMAT, "");
}

static void an_empty_file_is_a_new_store(void **state)
{
    (void)state;
    write_at(0, "", 0);
    vly_session_store *s = open_store();
    put(s, (vly_session_row[]){row("a", "one", 10)}, 1);
    vly_session_store_close(s);
}

/* ---- copies ---- */

typedef struct copying {
    vly_session_store *s;
    size_t n_calls, n_until;
    bool writes;
} copying;

/* What is put while the copy is made, between two parts of it, is in it. */
static bool on_progress(void *arg, size_t n_pages, size_t n_done)
{
    copying *c = arg;

    assert_true(n_done <= n_pages);
    if (c->writes && c->n_calls == 0)
        assert_int_equal(put_many(c->s, MANY, 'y', &err), VLY_OK);
    return ++c->n_calls < c->n_until;
}

/* Of dir/copy; opening it checks its pages. */
static void assert_copy(size_t n_rows, const char *begin_of_rows)
{
    snprintf(path, sizeof(path), "%s/copy", dir);
    vly_session_store *s = open_store();
    listing l = list(s, "steps");
    assert_int_equal(l.n, n_rows);
    assert_memory_equal(l.text, begin_of_rows, strlen(begin_of_rows));
    vly_session_store_close(s);
}

static void a_copy_is_whole(void **state)
{
    (void)state;
    char copy[sizeof(path)];
    struct stat sb;
    vly_session_store *s = open_store();
    copying c = {.s = s, .n_until = SIZE_MAX, .writes = true};

    put(s, (vly_session_row[]){row("a", "one", 10)}, 1);
    assert_int_equal(put_many(s, MANY, 'x', &err), VLY_OK);
    snprintf(copy, sizeof(copy), "%s/copy", dir);
    assert_int_equal(vly_session_store_copy(s, copy, on_progress, &c, &err), VLY_OK);
    assert_true(c.n_calls > 1);
    assert_int_equal(stat(copy, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    put(s, (vly_session_row[]){row("a", "later", 20)}, 1);
    vly_session_store_close(s);
    assert_copy(1 + MANY, "a=one@10 key 0=yyy");
}

/* The last copy stays until the next one is whole. */
static void a_copy_that_ends_early_leaves_the_last_one(void **state)
{
    (void)state;
    char copy[sizeof(path)], part[sizeof(path) + 8];
    vly_session_store *s = open_store();
    copying c = {.s = s, .n_until = SIZE_MAX};

    put(s, (vly_session_row[]){row("a", "one", 10)}, 1);
    snprintf(copy, sizeof(copy), "%s/copy", dir);
    snprintf(part, sizeof(part), "%s.part", copy);
    assert_int_equal(vly_session_store_copy(s, copy, on_progress, &c, &err), VLY_OK);
    put(s, (vly_session_row[]){row("a", "two", 20)}, 1);
    assert_int_equal(put_many(s, MANY, 'x', &err), VLY_OK);
    c = (copying){.s = s, .n_until = 1};
    assert_int_equal(vly_session_store_copy(s, copy, on_progress, &c, &err), VLY_ECANCELLED);
    assert_int_equal(access(part, F_OK), -1);
    snprintf(copy, sizeof(copy), "%s/nowhere/copy", dir);
    assert_int_equal(vly_session_store_copy(s, copy, on_progress, &c, &err), VLY_EIO);
    vly_session_store_close(s);
    assert_copy(1, "a=one@10 ");
}

/* A child copies over and over, and is killed in the middle. */
static void kill_9_leaves_the_last_copy(void **state)
{
    (void)state;
    char copy[sizeof(path)], byte;
    int ready[2], status;

    snprintf(copy, sizeof(copy), "%s/copy", dir);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        vly_session_store *s;
        vly_session_row r = row("a", "one", 10);
        copying c = {.n_until = SIZE_MAX};
        bool ok = vly_session_store_open(path, VLY_STORE_PROCESS_SAFE, &s, NULL) == VLY_OK &&
                  vly_session_store_put(s, &r, 1, NULL) == VLY_OK &&
                  put_many(s, MANY, 'x', NULL) == VLY_OK;
        while (ok) {
            ok = vly_session_store_copy(s, copy, on_progress, &c, NULL) == VLY_OK &&
                 write(ready[1], "x", 1) == 1;
        }
        _exit(1);
    }
    close(ready[1]);
    for (int i = 0; i < 5; i++)
        assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(ready[0]);
    assert_true(WIFSIGNALED(status));
    assert_copy(1 + MANY, "a=one@10 key 0=xxx");
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, begin, end)

UNIT_TESTS(IN_DIR(rows_are_added_replaced_and_removed), IN_DIR(kinds_are_apart_and_bytes_are_bytes),
           IN_DIR(a_visit_may_end_it), IN_DIR(it_is_there_again),
           IN_DIR(one_process_at_a_time_and_kill_9_loses_nothing),
           IN_DIR(a_full_disk_changes_nothing_and_may_pass),
           IN_DIR(what_cannot_be_written_is_refused), IN_DIR(what_is_no_database_is_refused),
           IN_DIR(a_path_to_nowhere_is_refused), IN_DIR(another_database_is_refused_unchanged),
           IN_DIR(a_newer_schema_is_refused), IN_DIR(a_damaged_file_is_refused),
           IN_DIR(an_empty_file_is_a_new_store), IN_DIR(a_copy_is_whole),
           IN_DIR(a_copy_that_ends_early_leaves_the_last_one), IN_DIR(kill_9_leaves_the_last_copy))
