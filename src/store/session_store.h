/* SPDX-License-Identifier: MIT */
/*
 * Sessions on disk: states of streams under their keys, in SQLite (write-ahead log), so that they
 * outlive the process. What put has returned for survives kill -9 and, with synchronous on, a loss
 * of power.
 *
 * Thread: one at a time; every call may block on the disk.
 */
#ifndef VLY_STORE_SESSION_STORE_H
#define VLY_STORE_SESSION_STORE_H

#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

typedef struct vly_session_store vly_session_store;

/* One row. Strings and state are borrowed for the call, or for the callback. */
typedef struct vly_session_row {
    vly_str kind; /* "steps" */
    vly_str key;  /* unique within the kind */
    vly_str state;
    int64_t changed_ms; /* Unix time */
} vly_session_row;

/* path: the database, made when there is none; ":memory:". EIO names the file; EFORMAT: a file that
 * is no database, or of a newer schema. */
vly_status vly_session_store_open(const char *path, vly_session_store **ret,
                                  vly_err *err) VLY_MUST_CHECK;
void vly_session_store_close(vly_session_store *s); /* accepts NULL */

/* All or none, in one transaction: rows are added or replaced. EIO: nothing has changed. */
vly_status vly_session_store_put(vly_session_store *s, const vly_session_row *rows, size_t n,
                                 vly_err *err) VLY_MUST_CHECK;
vly_status vly_session_store_remove(vly_session_store *s, const vly_session_row *rows, size_t n,
                                    vly_err *err) VLY_MUST_CHECK;
/* Each row of a kind. A status other than VLY_OK of the callback ends it and is returned. */
vly_status vly_session_store_each(vly_session_store *s, vly_str kind,
                                  vly_status (*visit)(void *arg, const vly_session_row *row,
                                                      vly_err *err),
                                  void *arg, vly_err *err) VLY_MUST_CHECK;

#endif
