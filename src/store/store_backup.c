/* SPDX-License-Identifier: MIT */
#include "store/store_backup.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

struct vly_store_backup {
    vly_session_store *store; /* immutable, as the next */
    char *path;
    pthread_mutex_t lock; /* guards the rest */
    vly_store_backup_info info;
    bool is_stopping;
    bool has_thread; /* that is to be joined */
    pthread_t thread;
    void (*done)(void *ctx, vly_status st, const vly_err *why);
    void *ctx;
};

static bool note(void *arg, size_t n_pages, size_t n_done)
{
    vly_store_backup *b = arg;

    pthread_mutex_lock(&b->lock);
    b->info.n_pages = n_pages;
    b->info.n_done = n_done;
    bool goes_on = !b->is_stopping;
    pthread_mutex_unlock(&b->lock);
    return goes_on;
}

static void *run(void *arg)
{
    vly_store_backup *b = arg;
    vly_err why = VLY_ERR_INIT;
    vly_status st = vly_session_store_copy(b->store, b->path, note, b, &why);

    pthread_mutex_lock(&b->lock);
    b->info.is_running = false;
    b->info.n_made += st == VLY_OK;
    b->info.n_failed += st != VLY_OK;
    if (st == VLY_OK)
        b->info.made_ms = (int64_t)vly_clock_unix_ms();
    void (*done)(void *, vly_status, const vly_err *) = b->done;
    void *ctx = b->ctx;
    pthread_mutex_unlock(&b->lock);
    done(ctx, st, &why);
    return NULL;
}

vly_status vly_store_backup_new(vly_session_store *store, const char *path, vly_store_backup **ret,
                                vly_err *err)
{
    vly_store_backup *b = vly_calloc(VLY_MEM_STORE, 1, sizeof(*b));
    char *copy = vly_strndup(VLY_MEM_STORE, path, strlen(path));

    if (b == NULL || copy == NULL) {
        vly_free(b);
        vly_free(copy);
        return vly_fail(err, VLY_ENOMEM, "out of memory for backups");
    }
    b->store = store;
    b->path = copy;
    b->info.path = copy;
    pthread_mutex_init(&b->lock, NULL);
    *ret = b;
    return VLY_OK;
}

/* The lock is held. */
static vly_status start_thread(vly_store_backup *b, vly_err *err)
{
    if (b->is_stopping)
        return vly_fail(err, VLY_EUNAVAILABLE, "the server is shutting down");
    if (pthread_create(&b->thread, NULL, run, b) != 0)
        return vly_fail(err, VLY_ENOMEM, "cannot start the thread of a backup");
    b->has_thread = true;
    return VLY_OK;
}

/* The thread of the last one has nothing left to do but its call of done, for which it may need the
 * lock: so it is joined without. */
vly_status vly_store_backup_start(vly_store_backup *b,
                                  void (*done)(void *ctx, vly_status st, const vly_err *why),
                                  void *ctx, vly_err *err)
{
    pthread_mutex_lock(&b->lock);
    if (b->info.is_running) {
        pthread_mutex_unlock(&b->lock);
        return vly_fail(err, VLY_EBUSY, "a backup is being made already");
    }
    pthread_t last = b->thread;
    bool has_last = b->has_thread;
    b->info.is_running = true;
    b->info.n_pages = b->info.n_done = 0;
    b->has_thread = false;
    pthread_mutex_unlock(&b->lock);
    if (has_last)
        pthread_join(last, NULL);
    pthread_mutex_lock(&b->lock);
    b->done = done;
    b->ctx = ctx;
    vly_status st = start_thread(b, err);
    b->info.is_running = st == VLY_OK;
    pthread_mutex_unlock(&b->lock);
    return st;
}

void vly_store_backup_get(vly_store_backup *b, vly_store_backup_info *ret)
{
    pthread_mutex_lock(&b->lock);
    *ret = b->info;
    pthread_mutex_unlock(&b->lock);
}

void vly_store_backup_stop(vly_store_backup *b)
{
    if (b == NULL)
        return;
    pthread_mutex_lock(&b->lock);
    b->is_stopping = true;
    bool has_thread = b->has_thread;
    b->has_thread = false;
    pthread_mutex_unlock(&b->lock);
    if (has_thread)
        pthread_join(b->thread, NULL);
}

void vly_store_backup_free(vly_store_backup *b)
{
    if (b == NULL)
        return;
    vly_store_backup_stop(b);
    pthread_mutex_destroy(&b->lock);
    vly_free(b->path);
    vly_free(b);
}
