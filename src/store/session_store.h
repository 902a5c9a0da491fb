/* SPDX-License-Identifier: MIT */
/*
 * Sessions on disk: states of streams under their keys, in an SQLite database (write-ahead log), so
 * that they outlive the process.
 *
 * What put has returned for survives the end of the process, kill -9 included. With
 * VLY_STORE_POWER_SAFE it also survives a loss of power: each transaction is synced to the disk,
 * which costs some milliseconds on a hard one. Without it a loss of power may take the last
 * transactions, never half of one.
 *
 * One process at a time: the file is locked from open to close, and the lock goes with the process,
 * however it ends. What is in the database stays readable by the sqlite3 tool while no process has
 * it open. A new file is made readable for its owner only, for keys may give access to something;
 * one that exists keeps its mode.
 *
 * Thread: any, but open and close; every call may block on the disk, and waits for another one.
 */
#ifndef VLY_STORE_SESSION_STORE_H
#define VLY_STORE_SESSION_STORE_H

#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_SESSION_STORE_SCHEMA 1

typedef struct vly_session_store vly_session_store;

/* One row. Strings and state are borrowed for the call, or for the callback. */
typedef struct vly_session_row {
    vly_str kind; /* "steps" */
    vly_str key;  /* unique within the kind */
    vly_str state;
    int64_t changed_ms; /* Unix time */
} vly_session_row;

typedef enum vly_store_safety {
    VLY_STORE_PROCESS_SAFE,
    VLY_STORE_POWER_SAFE,
} vly_store_safety;

/* path: the database, made when there is none, in a directory that exists; ":memory:" for tests.
 * EIO: it cannot be made, read or written; EBUSY: another process has it; EFORMAT: it is no such
 * database, damaged, or of a newer schema. Messages name the file. A file that is refused is left
 * as it was. */
vly_status vly_session_store_open(const char *path, vly_store_safety safety,
                                  vly_session_store **ret, vly_err *err) VLY_MUST_CHECK;
void vly_session_store_close(vly_session_store *s); /* accepts NULL */

/* All or none, in one transaction: rows are added or replaced. EIO: nothing has changed. */
vly_status vly_session_store_put(vly_session_store *s, const vly_session_row *rows, size_t n,
                                 vly_err *err) VLY_MUST_CHECK;
/* The same; kind and key of each row count, and one that is not there is gone already. */
vly_status vly_session_store_remove(vly_session_store *s, const vly_session_row *rows, size_t n,
                                    vly_err *err) VLY_MUST_CHECK;
/* Each row of a kind, in the order in which they were first put. A status other than VLY_OK of the
 * callback ends it and is returned. The callback does not use the store. */
vly_status vly_session_store_each(vly_session_store *s, vly_str kind,
                                  vly_status (*visit)(void *arg, const vly_session_row *row,
                                                      vly_err *err),
                                  void *arg, vly_err *err) VLY_MUST_CHECK;

/* Copies the database to path, which it replaces when the copy is whole and on the disk: at any
 * time there is the old file or the new one. Until then it is path.part, of which one that was left
 * is removed. What others put meanwhile waits for one part of the copy at most, and is in it. Calls
 * progress after each; false ends it: ECANCELLED. EIO: path cannot be written. */
vly_status vly_session_store_copy(vly_session_store *s, const char *path,
                                  bool (*progress)(void *arg, size_t n_pages, size_t n_done),
                                  void *arg, vly_err *err) VLY_MUST_CHECK;

#endif
