/* SPDX-License-Identifier: MIT */
#include "api/cache_warm.h"

#include "api/detect_answer.h"
#include "api/infer.h"
#include "api/v1_options.h"

#include <pthread.h>

#define ARENA_BLOCK_BYTES ((size_t)1 << 10)

vly_status vly_cache_warm_next(vly_str *rest, vly_cache_warm_line *line, vly_err *err)
{
    vly_cache_warm_line l = {.number = line->number};

    while (rest->ptr != NULL && l.model.len == 0) {
        l.picture = vly_str_trim(vly_str_split(rest, '\n'));
        l.number++;
        if (l.picture.len > 0 && l.picture.ptr[0] != '#')
            l.model = vly_str_split(&l.picture, ' ');
    }
    l.picture = vly_str_trim(l.picture);
    *line = l.model.len > 0 ? l : (vly_cache_warm_line){.number = l.number};
    if (l.model.len > 0 && l.picture.len == 0)
        return vly_fail(err, VLY_EFORMAT, "expected 'MODEL PICTURE', got '%.*s'",
                        VLY_STR_ARG(l.model));
    return VLY_OK;
}

/* Owner: the caller, until the job is done. */
typedef struct warming {
    vly_job job;
    vly_api *api;
    vly_served *model;
    const _Atomic bool *is_stopped;
    vly_cache_get get;
    uint64_t members; /* of an ensemble, when it was looked up */
    vly_buf body;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool is_done; /* guarded by lock */
} warming;

static vly_status encode(vly_job *job, vly_err *err)
{
    warming *w = job->ctx;

    return vly_detect_answer(job, w->model, false, &w->body, err);
}

static void wake(warming *w)
{
    pthread_mutex_lock(&w->lock);
    w->is_done = true;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
}

static void done(vly_job *job)
{
    wake(job->ctx);
}

static void ready(vly_cache_get *g)
{
    wake(g->ctx);
}

static void wait_for(warming *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->is_done)
        pthread_cond_wait(&w->ended, &w->lock);
    w->is_done = false;
    pthread_mutex_unlock(&w->lock);
}

static vly_status run(warming *w, vly_err *err)
{
    vly_job *job = &w->job;
    vly_status st = vly_scheduler_submit(w->model, &job, 1, err);

    if (st != VLY_OK)
        return st;
    wait_for(w);
    if (job->status != VLY_OK)
        *err = job->err;
    return job->status;
}

/* Redis may know it already, from before. */
static bool is_known(warming *w)
{
    if (vly_cache_lookup(w->api->cache, &w->get) == VLY_CACHE_WAIT)
        wait_for(w);
    bool known = w->get.value != NULL;
    vly_cache_value_unref(w->get.value);
    return known;
}

static vly_status compute(warming *w, vly_str picture, bool *ret_is_kept, vly_err *err)
{
    const vly_detector_options options = VLY_DETECTOR_OPTIONS_INIT;
    vly_cached_key key;

    if (!vly_detect_key(w->api, w->model, NULL, &options, false, picture, &key))
        return vly_fail(err, VLY_EUNSUPPORTED, "the parts of ensemble '%s' cannot be told",
                        w->model->name);
    w->members = key.members;
    w->get.key = key.key;
    w->get.ctx = w;
    w->get.ready = ready;
    w->get.is_gone = w->is_stopped;
    w->job = (vly_job){.kind = VLY_JOB_PICTURE,
                       .ctx = w,
                       .is_cancelled = w->is_stopped,
                       .is_wanted = &w->get.has_company,
                       .starts_ns = &w->get.starts_ns,
                       .received_ns = vly_clock_now(),
                       .encode = encode,
                       .done = done,
                       .picture = picture,
                       .options = options};
    if (is_known(w)) {
        *ret_is_kept = true;
        return VLY_OK;
    }
    vly_status st = run(w, err);
    if (st == VLY_OK)
        vly_cached_complete(w->api, w->model, w->members, &w->get, vly_buf_str(&w->body));
    else
        vly_cache_abandon(w->api->cache, &w->get);
    if (st == VLY_OK)
        *ret_is_kept = w->get.is_kept;
    return st;
}

static vly_status warm(warming *w, vly_str picture, bool *ret_is_kept, vly_err *err)
{
    vly_arena arena;
    vly_status st;

    if (!vly_cached_has(w->api, w->model) || !vly_v1_takes_pictures(w->model))
        return vly_fail(err, VLY_EUNSUPPORTED, "model '%s' takes no pictures, or is not cached",
                        w->model->name);
    vly_arena_init(&arena, VLY_MEM_CACHE, ARENA_BLOCK_BYTES, ARENA_BLOCK_BYTES * 4);
    if (vly_cached_begin_get(w->model, NULL, &arena, &w->get))
        st = compute(w, picture, ret_is_kept, err);
    else
        st = vly_arena_fail(&arena, err);
    vly_arena_release(&arena);
    return st;
}

vly_status vly_cache_warm(vly_api *api, vly_str model, vly_str picture,
                          const _Atomic bool *is_stopped, bool *ret_is_kept, vly_err *err)
{
    warming w = {.api = api, .is_stopped = is_stopped};
    vly_status st = vly_infer_find(api, model, (vly_str){NULL, 0}, &w.model, err);

    if (st != VLY_OK)
        return st;
    vly_buf_init(&w.body, VLY_MEM_CACHE, api->max_answer_bytes);
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.ended, NULL);
    st = warm(&w, picture, ret_is_kept, err);
    pthread_cond_destroy(&w.ended);
    pthread_mutex_destroy(&w.lock);
    vly_buf_release(&w.body);
    vly_served_unref(w.model);
    return st;
}
