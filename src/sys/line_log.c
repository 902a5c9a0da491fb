/* SPDX-License-Identifier: MIT */
#include "sys/line_log.h"

#include "base/buf.h"
#include "base/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

struct vly_line_log {
    char *path; /* immutable; NULL: standard output */
    vly_counter n_lines, n_dropped;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t is_wanted;      /* lines came, or reopen or close was called */
    pthread_cond_t is_done;        /* the thread has done what it found */
    vly_buf waiting;               /* guarded by lock, as are the next five */
    uint64_t n_added;              /* lines in the buffer or taken from it, ever */
    uint64_t n_taken;              /* of these, written or dropped */
    uint64_t n_reopen, n_reopened; /* asked for, done */
    bool is_closing;
    int fd;          /* owner: the thread */
    vly_buf writing; /* owner: the thread */
};

static int open_file(const char *path)
{
    return path == NULL ? STDOUT_FILENO
                        : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

static void close_file(const vly_line_log *log)
{
    if (log->path != NULL)
        close(log->fd);
}

/* Without a new file the old one stays. */
static void reopen_file(vly_line_log *log)
{
    int fd = open_file(log->path);

    if (fd < 0)
        return;
    close_file(log);
    log->fd = fd;
}

static uint64_t count_lines(vly_str s)
{
    uint64_t n = 0;

    for (const char *p = s.ptr; s.len > 0;) {
        const char *end = memchr(p, '\n', s.len);
        if (end == NULL)
            break;
        n++;
        s.len -= (size_t)(end + 1 - p);
        p = end + 1;
    }
    return n;
}

/* What cannot be written is lost; of a line that is cut the rest is lost too. */
static void write_all(vly_line_log *log, vly_str s)
{
    while (s.len > 0) {
        ssize_t n = write(log->fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            vly_counter_add(&log->n_dropped, count_lines(s));
            return;
        }
        s = (vly_str){s.ptr + n, s.len - (size_t)n};
    }
}

/* Works until the end is wanted and nothing waits. */
static void *run(void *ctx)
{
    vly_line_log *log = ctx;

    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (log->waiting.len == 0 && log->n_reopen == log->n_reopened && !log->is_closing)
            pthread_cond_wait(&log->is_wanted, &log->lock);
        if (log->waiting.len == 0 && log->is_closing)
            break;
        vly_buf swap = log->writing;
        log->writing = log->waiting;
        log->waiting = swap;
        uint64_t n_taken = log->n_added;
        uint64_t n_reopen = log->n_reopen;
        bool is_to_reopen = n_reopen != log->n_reopened;
        pthread_mutex_unlock(&log->lock);

        write_all(log, vly_buf_str(&log->writing));
        vly_buf_clear(&log->writing);
        if (is_to_reopen)
            reopen_file(log);

        pthread_mutex_lock(&log->lock);
        log->n_taken = n_taken;
        log->n_reopened = n_reopen;
        pthread_cond_broadcast(&log->is_done);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

static vly_status start(vly_line_log *log, const char *path, size_t max_bytes, vly_err *err)
{
    vly_buf_init(&log->waiting, VLY_MEM_BASE, max_bytes);
    vly_buf_init(&log->writing, VLY_MEM_BASE, max_bytes);
    if (strcmp(path, "-") != 0) {
        log->path = vly_strndup(VLY_MEM_BASE, path, strlen(path));
        if (log->path == NULL)
            return vly_fail(err, VLY_ENOMEM, "log '%s': out of memory", path);
    }
    log->fd = open_file(log->path);
    if (log->fd < 0)
        return vly_fail(err, VLY_EIO, "log '%s': %s", path, strerror(errno));
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->is_wanted, NULL);
    pthread_cond_init(&log->is_done, NULL);
    if (pthread_create(&log->thread, NULL, run, log) == 0)
        return VLY_OK;
    close_file(log);
    return vly_fail(err, VLY_ENOMEM, "log '%s': no thread to write it", path);
}

static void free_log(vly_line_log *log)
{
    vly_buf_release(&log->waiting);
    vly_buf_release(&log->writing);
    vly_free(log->path);
    vly_free(log);
}

vly_status vly_line_log_open(const char *path, size_t max_bytes, vly_line_log **ret, vly_err *err)
{
    vly_line_log *log = vly_calloc(VLY_MEM_BASE, 1, sizeof(*log));

    if (log == NULL)
        return vly_fail(err, VLY_ENOMEM, "log '%s': out of memory", path);
    vly_status st = start(log, path, max_bytes, err);
    if (st != VLY_OK) {
        free_log(log);
        return st;
    }
    *ret = log;
    return VLY_OK;
}

void vly_line_log_close(vly_line_log *log)
{
    if (log == NULL)
        return;
    pthread_mutex_lock(&log->lock);
    log->is_closing = true;
    pthread_cond_signal(&log->is_wanted);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    close_file(log);
    pthread_cond_destroy(&log->is_done);
    pthread_cond_destroy(&log->is_wanted);
    pthread_mutex_destroy(&log->lock);
    free_log(log);
}

void vly_line_log_add(vly_line_log *log, vly_str line)
{
    vly_counter_add(&log->n_lines, 1);
    pthread_mutex_lock(&log->lock);
    bool was_empty = log->waiting.len == 0;
    vly_buf_add_str(&log->waiting, line);
    bool is_dropped = log->waiting.failed;
    log->waiting.failed = false; /* the lines before it are whole */
    log->n_added += !is_dropped;
    if (was_empty && !is_dropped)
        pthread_cond_signal(&log->is_wanted);
    pthread_mutex_unlock(&log->lock);
    if (is_dropped)
        vly_counter_add(&log->n_dropped, 1);
}

void vly_line_log_reopen(vly_line_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->n_reopen++;
    pthread_cond_signal(&log->is_wanted);
    pthread_mutex_unlock(&log->lock);
}

void vly_line_log_flush(vly_line_log *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t n_added = log->n_added, n_reopen = log->n_reopen;
    while (log->n_taken < n_added || log->n_reopened < n_reopen)
        pthread_cond_wait(&log->is_done, &log->lock);
    pthread_mutex_unlock(&log->lock);
}

uint64_t vly_line_log_lines(const vly_line_log *log)
{
    return vly_counter_get(&log->n_lines);
}

uint64_t vly_line_log_dropped(const vly_line_log *log)
{
    return vly_counter_get(&log->n_dropped);
}
