/* SPDX-License-Identifier: MIT */
/*
 * Line log: lines of many threads into one file, written by a thread of its own, so that nobody who
 * has something to tell waits for a disk.
 *
 * Lines wait in a buffer with a bound. One that does not fit is dropped and counted. The thread
 * takes the whole buffer at once and writes it outside the lock; what it cannot write (a full disk)
 * is dropped and counted too.
 */
#ifndef VLY_SYS_LINE_LOG_H
#define VLY_SYS_LINE_LOG_H

#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

typedef struct vly_line_log vly_line_log;

/* Appends to the file at path, which is made when it is not there; "-" is standard output.
 * max_bytes: of lines that wait. EIO: it cannot be opened; ENOMEM. */
vly_status vly_line_log_open(const char *path, size_t max_bytes, vly_line_log **ret,
                             vly_err *err) VLY_MUST_CHECK;
/* Writes what waits, then ends. Nobody may use it any more. Accepts NULL. */
void vly_line_log_close(vly_line_log *log);

/* Adds line, which ends with a line feed. Never blocks for longer than a copy. Thread: any. */
void vly_line_log_add(vly_line_log *log, vly_str line);
/* Opens the path anew, after the lines before: the file was moved away. When that fails the old
 * file stays. Thread: any. */
void vly_line_log_reopen(vly_line_log *log);
/* Waits until what was asked for before is done. Not on a loop thread. */
void vly_line_log_flush(vly_line_log *log);

uint64_t vly_line_log_lines(const vly_line_log *log);   /* added */
uint64_t vly_line_log_dropped(const vly_line_log *log); /* of these, never written */

#endif
