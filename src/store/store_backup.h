/* SPDX-License-Identifier: MIT */
/*
 * Backups of the session store while it is in use: one at a time, each on a thread of its own, into
 * one file that is replaced when the copy is whole (vly_session_store_copy).
 *
 * Thread: any, but for new and free, which belong to the owner.
 */
#ifndef VLY_STORE_STORE_BACKUP_H
#define VLY_STORE_STORE_BACKUP_H

#include "store/session_store.h"

typedef struct vly_store_backup vly_store_backup;

typedef struct vly_store_backup_info {
    const char *path; /* of the copy; lives as long as the backup does */
    bool is_running;
    size_t n_pages, n_done; /* of the one that runs, or of the last one */
    uint64_t n_made, n_failed;
    int64_t made_ms; /* Unix time of the last one that was made; 0: none */
} vly_store_backup_info;

/* store is borrowed; path is copied. */
vly_status vly_store_backup_new(vly_session_store *store, const char *path, vly_store_backup **ret,
                                vly_err *err) VLY_MUST_CHECK;
/* A backup that runs ends as ECANCELLED. Later starts are refused: EUNAVAILABLE. Accepts NULL. */
void vly_store_backup_stop(vly_store_backup *b);
void vly_store_backup_free(vly_store_backup *b); /* stops it; accepts NULL */

/* done comes once, on the backup's thread, unless this fails. EBUSY: one runs already. */
vly_status vly_store_backup_start(vly_store_backup *b,
                                  void (*done)(void *ctx, vly_status st, const vly_err *why),
                                  void *ctx, vly_err *err) VLY_MUST_CHECK;
void vly_store_backup_get(vly_store_backup *b, vly_store_backup_info *ret);

#endif
