/* SPDX-License-Identifier: MIT */
/*
 * Files: whole reads with a limit, read-only maps, directory lists, paths, atomic writes.
 *
 * Errors name the path and the reason of the operating system. ENOTFOUND: there is no such file;
 * ELIMIT: larger than allowed; EINVAL: not a regular file or not a usable path; EIO: the rest.
 * Blocking: never call these on a loop thread. Thread: any.
 */
#ifndef VLY_SYS_FILE_H
#define VLY_SYS_FILE_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends the whole file to buf, of which it may take at most max_bytes (and buf's own maximum).
 * On failure buf keeps its length; without memory it is marked failed as after any append. */
vly_status vly_file_read(const char *path, size_t max_bytes, vly_buf *buf,
                         vly_err *err) VLY_MUST_CHECK;

/* Writes a temporary file beside path, syncs it and renames it over path: a reader sees the old or
 * the new content, never half of it. */
vly_status vly_file_write(const char *path, const void *bytes, size_t len,
                          vly_err *err) VLY_MUST_CHECK;
/* The same, of a file that only its owner may read. */
vly_status vly_file_write_private(const char *path, const void *bytes, size_t len,
                                  vly_err *err) VLY_MUST_CHECK;

/* Waits until nobody else holds the lock of this file, which is another one, PATH.lock, made when
 * there is none, for all who may write the directory; it is held until *ret_fd is closed. It stays:
 * removed, a process that waits would hold one that nobody else sees. EUNAVAILABLE: it was held for
 * timeout_ms; below 0: that never comes. */
vly_status vly_file_lock(const char *path, int timeout_ms, int *ret_fd,
                         vly_err *err) VLY_MUST_CHECK;
/* Syncs the file `from` and renames it over path, in the same directory, which is synced, too. */
vly_status vly_file_replace(const char *from, const char *path, vly_err *err) VLY_MUST_CHECK;

bool vly_file_exists(const char *path); /* a regular file, or a link to one */
bool vly_dir_exists(const char *path);

/* What tells whether a file is still the same. */
typedef struct vly_file_info {
    uint64_t bytes;
    int64_t mtime_ns; /* since 1970 */
    uint64_t inode;
    bool is_dir;
} vly_file_info;

vly_status vly_file_stat(const char *path, vly_file_info *ret, vly_err *err) VLY_MUST_CHECK;

/* Content of a regular file, read-only. ptr is page-aligned; NULL when the file is empty. A file
 * that another process shortens while it is mapped raises SIGBUS on access: only files that are
 * replaced by rename, never rewritten in place, may be opened like this. */
typedef struct vly_mmap {
    const unsigned char *ptr;
    size_t len;
} vly_mmap;

vly_status vly_mmap_open(const char *path, size_t max_bytes, vly_mmap *ret,
                         vly_err *err) VLY_MUST_CHECK;
/* The same bytes in memory of our own, which nobody changes afterwards. EIO: the file became longer
 * or shorter meanwhile. */
vly_status vly_mmap_read(const char *path, size_t max_bytes, vly_mmap *ret,
                         vly_err *err) VLY_MUST_CHECK;
void vly_mmap_close(vly_mmap *m); /* accepts a zeroed one; leaves it zeroed */

typedef struct vly_dir_entry {
    char *name; /* without the directory; never "." or ".." */
    bool is_dir;
} vly_dir_entry;

/* Entries of a directory, sorted by name (bytes); hidden ones (".x") left out. */
typedef struct vly_dir {
    vly_dir_entry *entries;
    size_t n_entries;
} vly_dir;

vly_status vly_dir_list(const char *path, size_t max_entries, vly_dir *ret,
                        vly_err *err) VLY_MUST_CHECK;
void vly_dir_release(vly_dir *d);

/* "dir/name" on the heap (kind BASE, vly_free). name comes from outside: EINVAL when it is empty,
 * absolute, holds a NUL, or has a ".." or "." part, so the result never leaves dir by its text.
 * (Links inside dir are followed by the system as usual.) */
vly_status vly_path_join(const char *dir, vly_str name, char **ret, vly_err *err) VLY_MUST_CHECK;

#endif
