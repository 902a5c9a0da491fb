/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BIT(level) (1u << (unsigned)(level))
#define ALL_LEVELS (BIT(VLY_LOG_ERROR + 1) - 1)

/* Bits of the levels that are on. */
static _Atomic unsigned levels_on = ALL_LEVELS & ~BIT(VLY_LOG_DEBUG);
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void vly_log_set_level(vly_log_level min)
{
    atomic_store(&levels_on, ALL_LEVELS & ~(BIT(min) - 1));
}

void vly_log_enable(vly_log_level level, bool is_on)
{
    if (is_on)
        atomic_fetch_or(&levels_on, BIT(level));
    else
        atomic_fetch_and(&levels_on, ~BIT(level));
}

bool vly_log_is_on(vly_log_level level)
{
    return (atomic_load_explicit(&levels_on, memory_order_relaxed) & BIT(level)) != 0;
}

bool vly_log_level_parse(const char *name, vly_log_level *ret)
{
    for (size_t i = 0; i < VLY_COUNT(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (vly_log_level)i;
            return true;
        }
    }
    return false;
}

const char *vly_log_level_name(vly_log_level level)
{
    return level_names[level];
}

void vly_log(vly_log_level level, const char *fmt, ...)
{
    char line[1024];
    struct timespec ts;
    struct tm tm;
    va_list ap;

    if (!vly_log_is_on(level))
        return;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %s ", ts.tv_nsec / 1000000,
                          level_names[level]);
    size_t begin = n;
    va_start(ap, fmt);
    int written = vsnprintf(line + n, sizeof(line) - n, fmt, ap);
    va_end(ap);
    if (written > 0)
        n += (size_t)written;
    if (n > sizeof(line) - 1)
        n = sizeof(line) - 1;
    for (size_t i = begin; i < n; i++) /* names come from clients: one record stays one line */
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    line[n++] = '\n'; /* takes the place of the NUL */
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* a log that cannot be written has nowhere to complain */
}
