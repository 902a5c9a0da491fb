/* SPDX-License-Identifier: MIT */
#include "api/cache_warmer.h"

#include "api/cache_warm.h"
#include "base/log.h"

#include <pthread.h>

#define TOLD_PARTS 10 /* of the list */

struct vly_cache_warmer {
    vly_cache_warmer_opts opts; /* immutable */
    _Atomic bool is_stopped;
    pthread_mutex_t lock;
    vly_str rest; /* of the list; guarded by lock, as the next */
    vly_cache_warm_line line;
    size_t n_done, n_kept, n_failed;
    size_t n_threads; /* owner: who owns the warmer, as the next */
    pthread_t threads[];
};

static size_t count_lines(vly_str list)
{
    vly_cache_warm_line line = {.number = 0};
    vly_status st;
    size_t n = 0;

    do {
        vly_err ignored;
        st = vly_cache_warm_next(&list, &line, &ignored);
        n += st != VLY_OK || line.model.ptr != NULL;
    } while (list.ptr != NULL);
    return n;
}

vly_status vly_cache_warmer_new(const vly_cache_warmer_opts *opts, vly_cache_warmer **ret,
                                vly_err *err)
{
    vly_cache_warmer *w =
        vly_calloc(VLY_MEM_CACHE, 1, sizeof(*w) + opts->n_threads * sizeof(w->threads[0]));

    if (w == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the warm-up of the cache");
    w->opts = *opts;
    w->rest = opts->list;
    pthread_mutex_init(&w->lock, NULL);
    opts->api->n_warm_lines = count_lines(opts->list);
    *ret = w;
    return VLY_OK;
}

/* ---- a line ---- */

/* False: there is none, or it is not to be done. *st: whether the line can be read. */
static bool take_line(vly_cache_warmer *w, vly_cache_warm_line *ret, vly_status *st, vly_err *err)
{
    pthread_mutex_lock(&w->lock);
    *st = vly_cache_warm_next(&w->rest, &w->line, err);
    *ret = w->line;
    pthread_mutex_unlock(&w->lock);
    return !atomic_load(&w->is_stopped) && (*st != VLY_OK || ret->model.ptr != NULL);
}

static vly_status warm_line(vly_cache_warmer *w, const vly_cache_warm_line *line, bool *ret_is_kept,
                            vly_err *err)
{
    vly_buf picture;

    vly_buf_init(&picture, VLY_MEM_CACHE, w->opts.max_bytes);
    vly_status st = w->opts.read(w->opts.ctx, line->picture, &picture, err);
    if (st == VLY_OK)
        st = vly_cache_warm(w->opts.api, line->model, vly_buf_str(&picture), &w->is_stopped,
                            ret_is_kept, err);
    vly_buf_release(&picture);
    return st;
}

/* Under the lock. */
static void tell(const vly_cache_warmer *w)
{
    size_t n = w->opts.api->n_warm_lines;

    if (w->n_done == n)
        vly_info("cache: '%s' is done: %zu lines, %zu answers kept, %zu failed", w->opts.name, n,
                 w->n_kept, w->n_failed);
    else if (w->n_done * TOLD_PARTS / n != (w->n_done - 1) * TOLD_PARTS / n)
        vly_info("cache: warming up, %zu of %zu lines", w->n_done, n);
}

/* Who asks whether the server is ready hears of the end when all else has. */
static void count_line(vly_cache_warmer *w, vly_status st, bool is_kept)
{
    pthread_mutex_lock(&w->lock);
    w->n_done++;
    w->n_kept += is_kept;
    w->n_failed += st != VLY_OK;
    tell(w);
    atomic_store(&w->opts.api->n_warmed, w->n_done);
    pthread_mutex_unlock(&w->lock);
}

static void *work(void *arg)
{
    vly_cache_warmer *w = arg;
    vly_cache_warm_line line;
    vly_status st;
    vly_err err;

    while (take_line(w, &line, &st, &err)) {
        bool is_kept = false;
        if (st == VLY_OK)
            st = warm_line(w, &line, &is_kept, &err);
        if (atomic_load(&w->is_stopped))
            break;
        if (st != VLY_OK)
            vly_warn("%s:%zu: %s", w->opts.name, line.number, err.msg);
        count_line(w, st, is_kept);
    }
    return NULL;
}

/* ---- life ---- */

vly_status vly_cache_warmer_start(vly_cache_warmer *w, vly_err *err)
{
    size_t n_lines = w->opts.api->n_warm_lines;
    size_t n = w->opts.n_threads < n_lines ? w->opts.n_threads : n_lines;

    while (w->n_threads < n &&
           pthread_create(&w->threads[w->n_threads], NULL, work, w) == 0) /* fewer will do */
        w->n_threads++;
    if (w->n_threads == 0 && n > 0)
        return vly_fail(err, VLY_ENOMEM, "cannot start a thread for the warm-up of the cache");
    return VLY_OK;
}

void vly_cache_warmer_stop(vly_cache_warmer *w)
{
    if (w != NULL)
        atomic_store(&w->is_stopped, true);
}

void vly_cache_warmer_free(vly_cache_warmer *w)
{
    if (w == NULL)
        return;
    vly_cache_warmer_stop(w);
    for (size_t i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    if (w->n_threads > 0 && w->n_done < w->opts.api->n_warm_lines)
        vly_info("cache: warm-up left at %zu of %zu lines", w->n_done, w->opts.api->n_warm_lines);
    pthread_mutex_destroy(&w->lock);
    vly_free(w);
}
