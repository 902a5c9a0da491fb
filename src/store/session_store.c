/* SPDX-License-Identifier: MIT */
/*
 * One table. Rows keep their place when they are replaced (the rowid stays), so rows that are
 * written in the order in which they came touch each page once.
 */
#include "store/session_store.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#define APPLICATION_ID 0x564c5953 /* "VLYS" */
#define COPY_PAGES     256        /* of 4 KiB, in one part of a copy */

struct vly_session_store {
    pthread_mutex_t line; /* who waits for lock holds it, so that a copy does not pass others */
    pthread_mutex_t lock; /* guards the rest */
    sqlite3 *db;
    sqlite3_stmt *put, *remove, *each;
    char *path;
};

static void enter(vly_session_store *s)
{
    pthread_mutex_lock(&s->line);
    pthread_mutex_lock(&s->lock);
    pthread_mutex_unlock(&s->line);
}

static void leave(vly_session_store *s)
{
    pthread_mutex_unlock(&s->lock);
}

/* ---- errors ---- */

static vly_status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return VLY_EFORMAT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return VLY_EBUSY;
    case SQLITE_NOMEM:
        return VLY_ENOMEM;
    default:
        return VLY_EIO;
    }
}

/* What the last call on the database said of why it failed. */
static vly_status fail_db(const vly_session_store *s, const char *what, vly_err *err)
{
    int code = sqlite3_extended_errcode(s->db);
    int os = sqlite3_system_errno(s->db);
    vly_status st = status_of(code);

    if (st == VLY_EBUSY)
        return vly_fail(err, st, "store '%s': another process uses it", s->path);
    if (st == VLY_EIO && os != 0)
        return vly_fail(err, st, "store '%s': cannot %s: %s (%s)", s->path, what,
                        sqlite3_errmsg(s->db), strerror(os));
    return vly_fail(err, st, "store '%s': cannot %s: %s", s->path, what, sqlite3_errmsg(s->db));
}

/* ---- statements ---- */

static vly_status run_sql(vly_session_store *s, const char *sql, const char *what, vly_err *err)
{
    int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? VLY_OK : fail_db(s, what, err);
}

static vly_status prepare(vly_session_store *s, const char *sql, sqlite3_stmt **ret, vly_err *err)
{
    int code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    return code == SQLITE_OK ? VLY_OK : fail_db(s, "prepare", err);
}

/* The one number that sql gives; "PRAGMA ..." or "SELECT count(*) ...". */
static vly_status query_number(vly_session_store *s, const char *sql, int64_t *ret, vly_err *err)
{
    sqlite3_stmt *stmt = NULL;
    vly_status st = prepare(s, sql, &stmt, err);

    if (st == VLY_OK && sqlite3_step(stmt) != SQLITE_ROW)
        st = fail_db(s, "read", err);
    if (st == VLY_OK)
        *ret = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return st;
}

/* ---- open ---- */

/* Made by ourselves, so that nobody else can read it. One that exists is not opened here: closing
 * it would drop the locks that this process may hold on it. */
static vly_status make_file(const char *path, vly_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd < 0 && errno != EEXIST)
        return vly_fail(err, VLY_EIO, "store '%s': cannot make it: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return VLY_OK;
}

static vly_status check_pages(vly_session_store *s, vly_err *err)
{
    sqlite3_stmt *stmt = NULL;
    vly_status st = prepare(s, "PRAGMA quick_check(1)", &stmt, err);

    if (st == VLY_OK && sqlite3_step(stmt) != SQLITE_ROW)
        st = fail_db(s, "check", err);
    if (st == VLY_OK) {
        const char *said = (const char *)sqlite3_column_text(stmt, 0);
        if (said == NULL || strcmp(said, "ok") != 0)
            st = vly_fail(err, VLY_EFORMAT, "store '%s': the file is damaged: %s", s->path,
                          said != NULL ? said : "no memory to check it");
    }
    sqlite3_finalize(stmt);
    return st;
}

/* Is it ours, of a schema that we know? *ret_is_new: there is nothing in it yet. Changes nothing.
 */
static vly_status check_schema(vly_session_store *s, bool *ret_is_new, vly_err *err)
{
    int64_t application = 0, version = 0, n_tables = 0;
    vly_status st = query_number(s, "PRAGMA application_id", &application, err);

    if (st == VLY_OK)
        st = query_number(s, "PRAGMA user_version", &version, err);
    if (st == VLY_OK)
        st = query_number(s, "SELECT count(*) FROM sqlite_schema", &n_tables, err);
    if (st != VLY_OK)
        return st;
    *ret_is_new = n_tables == 0 && application == 0 && version == 0;
    if (*ret_is_new)
        return VLY_OK;
    if (application != APPLICATION_ID)
        return vly_fail(err, VLY_EFORMAT, "store '%s': a database of another program", s->path);
    if (version != VLY_SESSION_STORE_SCHEMA)
        return vly_fail(err, VLY_EFORMAT, "store '%s': expected schema %d, got %lld", s->path,
                        VLY_SESSION_STORE_SCHEMA, (long long)version);
    return check_pages(s, err);
}

static vly_status make_schema(vly_session_store *s, vly_err *err)
{
    char sql[512];

    snprintf(sql, sizeof(sql),
             "BEGIN IMMEDIATE;"
             "CREATE TABLE session (kind TEXT NOT NULL, key TEXT NOT NULL, state BLOB NOT NULL,"
             " changed_ms INTEGER NOT NULL, UNIQUE (kind, key)) STRICT;"
             "PRAGMA application_id = %d;"
             "PRAGMA user_version = %d;"
             "COMMIT",
             APPLICATION_ID, VLY_SESSION_STORE_SCHEMA);
    return run_sql(s, sql, "make its table", err);
}

/* A file system without shared memory keeps the journal that it has, and says so. */
static vly_status set_wal(vly_session_store *s, vly_err *err)
{
    sqlite3_stmt *stmt = NULL;
    vly_status st = prepare(s, "PRAGMA journal_mode = WAL", &stmt, err);

    if (st == VLY_OK && sqlite3_step(stmt) != SQLITE_ROW)
        st = fail_db(s, "write", err);
    if (st == VLY_OK) {
        const char *mode = (const char *)sqlite3_column_text(stmt, 0);
        bool is_memory = strcmp(s->path, ":memory:") == 0;
        if (mode == NULL || strcmp(mode, is_memory ? "memory" : "wal") != 0)
            st = vly_fail(err, VLY_EIO, "store '%s': cannot have a write-ahead log there", s->path);
    }
    sqlite3_finalize(stmt);
    return st;
}

/* Takes the lock for good, by the first transaction that writes. */
static vly_status take_file(vly_session_store *s, vly_store_safety safety, vly_err *err)
{
    bool is_new = false;
    vly_status st = run_sql(s, "PRAGMA locking_mode = EXCLUSIVE", "lock", err);

    if (st == VLY_OK)
        st = check_schema(s, &is_new, err);
    if (st == VLY_OK && sqlite3_db_readonly(s->db, "main") != 0)
        st = vly_fail(err, VLY_EIO, "store '%s': the file cannot be written", s->path);
    if (st == VLY_OK)
        st = set_wal(s, err);
    if (st == VLY_OK)
        st = run_sql(s,
                     safety == VLY_STORE_POWER_SAFE ? "PRAGMA synchronous = FULL"
                                                    : "PRAGMA synchronous = NORMAL",
                     "write", err);
    if (st == VLY_OK)
        st = is_new ? make_schema(s, err) : run_sql(s, "BEGIN IMMEDIATE; COMMIT", "write", err);
    return st;
}

static vly_status prepare_all(vly_session_store *s, vly_err *err)
{
    vly_status st = prepare(s,
                            "INSERT INTO session (kind, key, state, changed_ms) VALUES (?, ?, ?, ?)"
                            " ON CONFLICT (kind, key) DO UPDATE SET state = excluded.state,"
                            " changed_ms = excluded.changed_ms",
                            &s->put, err);

    if (st == VLY_OK)
        st = prepare(s, "DELETE FROM session WHERE kind = ? AND key = ?", &s->remove, err);
    if (st == VLY_OK)
        st = prepare(s, "SELECT key, state, changed_ms FROM session WHERE kind = ? ORDER BY rowid",
                     &s->each, err);
    return st;
}

static vly_status open_db(vly_session_store *s, vly_err *err)
{
    bool is_memory = strcmp(s->path, ":memory:") == 0;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    vly_status st = is_memory ? VLY_OK : make_file(s->path, err);

    if (st != VLY_OK)
        return st;
    int code = sqlite3_open_v2(s->path, &s->db, flags | (is_memory ? SQLITE_OPEN_CREATE : 0), NULL);
    if (s->db == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for store '%s'", s->path);
    return code == SQLITE_OK ? VLY_OK : fail_db(s, "open", err);
}

vly_status vly_session_store_open(const char *path, vly_store_safety safety,
                                  vly_session_store **ret, vly_err *err)
{
    vly_session_store *s = vly_calloc(VLY_MEM_STORE, 1, sizeof(*s));
    vly_status st = VLY_OK;

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for store '%s'", path);
    pthread_mutex_init(&s->line, NULL);
    pthread_mutex_init(&s->lock, NULL);
    s->path = vly_strndup(VLY_MEM_STORE, path, strlen(path));
    if (s->path == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for store '%s'", path);
    if (st == VLY_OK)
        st = open_db(s, err);
    if (st == VLY_OK)
        st = take_file(s, safety, err);
    if (st == VLY_OK)
        st = prepare_all(s, err);
    if (st == VLY_OK) {
        *ret = s;
        return VLY_OK;
    }
    vly_session_store_close(s);
    return st;
}

void vly_session_store_close(vly_session_store *s)
{
    if (s == NULL)
        return;
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->remove);
    sqlite3_finalize(s->each);
    int code = sqlite3_close(s->db);
    VLY_ASSERT(code == SQLITE_OK); /* no statement is left */
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->line);
    vly_free(s->path);
    vly_free(s);
}

/* ---- rows ---- */

static bool bind_text(sqlite3_stmt *stmt, int at, vly_str text)
{
    VLY_ASSERT(text.len <= INT_MAX);
    return sqlite3_bind_text(stmt, at, text.len > 0 ? text.ptr : "", (int)text.len,
                             SQLITE_STATIC) == SQLITE_OK;
}

static bool bind_put(sqlite3_stmt *stmt, const vly_session_row *row)
{
    VLY_ASSERT(row->state.len <= INT_MAX);
    return bind_text(stmt, 1, row->kind) && bind_text(stmt, 2, row->key) &&
           sqlite3_bind_blob(stmt, 3, row->state.len > 0 ? row->state.ptr : "", (int)row->state.len,
                             SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_int64(stmt, 4, row->changed_ms) == SQLITE_OK;
}

static bool bind_remove(sqlite3_stmt *stmt, const vly_session_row *row)
{
    return bind_text(stmt, 1, row->kind) && bind_text(stmt, 2, row->key);
}

/* The statement with each row, in one transaction. */
static vly_status run_rows(vly_session_store *s, sqlite3_stmt *stmt,
                           bool (*bind)(sqlite3_stmt *, const vly_session_row *),
                           const vly_session_row *rows, size_t n, vly_err *err)
{
    vly_status st = run_sql(s, "BEGIN IMMEDIATE", "write", err);

    if (st != VLY_OK)
        return st;
    for (size_t i = 0; st == VLY_OK && i < n; i++) {
        if (!bind(stmt, &rows[i]) || sqlite3_step(stmt) != SQLITE_DONE)
            st = fail_db(s, "write", err);
        sqlite3_reset(stmt);
        sqlite3_clear_bindings(stmt);
    }
    if (st == VLY_OK)
        st = run_sql(s, "COMMIT", "write", err);
    if (st != VLY_OK && sqlite3_get_autocommit(s->db) == 0)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

vly_status vly_session_store_put(vly_session_store *s, const vly_session_row *rows, size_t n,
                                 vly_err *err)
{
    enter(s);
    vly_status st = run_rows(s, s->put, bind_put, rows, n, err);
    leave(s);
    return st;
}

vly_status vly_session_store_remove(vly_session_store *s, const vly_session_row *rows, size_t n,
                                    vly_err *err)
{
    enter(s);
    vly_status st = run_rows(s, s->remove, bind_remove, rows, n, err);
    leave(s);
    return st;
}

/* Column i as bytes; empty when it holds none. */
static vly_str column(sqlite3_stmt *stmt, int i)
{
    const void *bytes = sqlite3_column_blob(stmt, i);
    return (vly_str){bytes, bytes != NULL ? (size_t)sqlite3_column_bytes(stmt, i) : 0};
}

static vly_status visit_each(vly_session_store *s, vly_str kind,
                             vly_status (*visit)(void *arg, const vly_session_row *row,
                                                 vly_err *err),
                             void *arg, vly_err *err)
{
    vly_status st = VLY_OK;
    int code = SQLITE_ROW;

    if (!bind_text(s->each, 1, kind))
        return fail_db(s, "read", err);
    while (st == VLY_OK && (code = sqlite3_step(s->each)) == SQLITE_ROW) {
        const vly_session_row row = {.kind = kind,
                                     .key = column(s->each, 0),
                                     .state = column(s->each, 1),
                                     .changed_ms = sqlite3_column_int64(s->each, 2)};
        st = visit(arg, &row, err);
    }
    if (st == VLY_OK && code != SQLITE_DONE)
        st = fail_db(s, "read", err);
    sqlite3_reset(s->each);
    sqlite3_clear_bindings(s->each);
    return st;
}

vly_status vly_session_store_each(vly_session_store *s, vly_str kind,
                                  vly_status (*visit)(void *arg, const vly_session_row *row,
                                                      vly_err *err),
                                  void *arg, vly_err *err)
{
    enter(s);
    vly_status st = visit_each(s, kind, visit, arg, err);
    leave(s);
    return st;
}

/* ---- a copy ---- */

typedef struct copy {
    vly_session_store *s;
    char *part; /* path.part */
    sqlite3 *db;
    sqlite3_backup *backup;
} copy;

static vly_status fail_copy(const copy *c, vly_err *err)
{
    return vly_fail(err, status_of(sqlite3_errcode(c->db)), "copy '%s': %s", c->part,
                    sqlite3_errmsg(c->db));
}

/* Without a journal: nobody opens the part, and a copy that is not whole is made anew. */
static vly_status begin_copy(copy *c, vly_err *err)
{
    if (unlink(c->part) != 0 && errno != ENOENT)
        return vly_fail(err, VLY_EIO, "copy '%s': %s", c->part, strerror(errno));
    vly_status st = make_file(c->part, err);
    if (st != VLY_OK)
        return st;
    int code = sqlite3_open_v2(c->part, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(c->db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL,
                            NULL, NULL);
    if (code != SQLITE_OK)
        return fail_copy(c, err);
    enter(c->s);
    c->backup = sqlite3_backup_init(c->db, "main", c->s->db, "main");
    leave(c->s);
    return c->backup != NULL ? VLY_OK : fail_copy(c, err);
}

static vly_status copy_pages(copy *c, bool (*progress)(void *arg, size_t n_pages, size_t n_done),
                             void *arg, vly_err *err)
{
    int code = SQLITE_OK;

    while (code == SQLITE_OK) {
        enter(c->s);
        code = sqlite3_backup_step(c->backup, COPY_PAGES);
        size_t n = (size_t)sqlite3_backup_pagecount(c->backup);
        size_t n_left = (size_t)sqlite3_backup_remaining(c->backup);
        leave(c->s);
        if (code == SQLITE_OK && !progress(arg, n, n - n_left))
            return vly_fail(err, VLY_ECANCELLED, "copy '%s': cancelled", c->part);
        if (code == SQLITE_DONE)
            (void)progress(arg, n, n);
    }
    return code == SQLITE_DONE
               ? VLY_OK
               : vly_fail(err, status_of(code), "copy '%s': %s", c->part, sqlite3_errstr(code));
}

/* Ends what begin_copy has begun; the part stays. */
static void end_copy(copy *c)
{
    enter(c->s);
    sqlite3_backup_finish(c->backup);
    leave(c->s);
    sqlite3_close(c->db);
}

vly_status vly_session_store_copy(vly_session_store *s, const char *path,
                                  bool (*progress)(void *arg, size_t n_pages, size_t n_done),
                                  void *arg, vly_err *err)
{
    size_t len = strlen(path);
    copy c = {.s = s, .part = vly_alloc(VLY_MEM_STORE, len + sizeof(".part"))};

    if (c.part == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a copy of store '%s'", s->path);
    memcpy(c.part, path, len);
    memcpy(c.part + len, ".part", sizeof(".part"));
    vly_status st = begin_copy(&c, err);
    if (st == VLY_OK)
        st = copy_pages(&c, progress, arg, err);
    end_copy(&c);
    if (st == VLY_OK)
        st = vly_file_replace(c.part, path, err);
    if (st != VLY_OK)
        unlink(c.part);
    vly_free(c.part);
    return st;
}
