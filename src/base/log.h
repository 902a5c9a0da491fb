/* SPDX-License-Identifier: MIT */
/*
 * Log lines on stderr: "2026-11-21T00:00:00.000Z LEVEL message". One write() per line, so lines of
 * several threads never mix. Rooms 0-5 log at debug level only; what went wrong travels in vly_err
 * and is reported once, where it is handled. Thread: any.
 */
#ifndef VLY_BASE_LOG_H
#define VLY_BASE_LOG_H

#include "base/status.h"

#include <stdbool.h>

typedef enum vly_log_level {
    VLY_LOG_DEBUG,
    VLY_LOG_INFO,
    VLY_LOG_WARN,
    VLY_LOG_ERROR
} vly_log_level;

void vly_log_set_level(vly_log_level min); /* lines below min are dropped; default INFO */
/* One level alone, on or off. */
void vly_log_enable(vly_log_level level, bool is_on);
bool vly_log_is_on(vly_log_level level);
bool vly_log_level_parse(const char *name, vly_log_level *ret); /* debug, info, warn, error */
const char *vly_log_level_name(vly_log_level level);
void vly_log(vly_log_level level, const char *fmt, ...) VLY_PRINTF(2, 3);

#define vly_debug(...) vly_log(VLY_LOG_DEBUG, __VA_ARGS__)
#define vly_info(...)  vly_log(VLY_LOG_INFO, __VA_ARGS__)
#define vly_warn(...)  vly_log(VLY_LOG_WARN, __VA_ARGS__)
#define vly_error(...) vly_log(VLY_LOG_ERROR, __VA_ARGS__)

#endif
