/* SPDX-License-Identifier: MIT */
/*
 * One lock guards everything but the index counter of a parallel loop, which its helpers advance
 * with an atomic add. Work items take milliseconds and a loop piece at least tens of microseconds,
 * so the lock is taken some thousand times a second: finer locking has nothing to win.
 *
 * Workers prefer loops to items: a loop is part of an item that has already begun. A loop that
 * begins while every worker is busy is not offered: its caller would do most pieces itself, and a
 * worker that came late would leave its own item waiting. (YOLOv8n in fp32 on two workers that
 * always have a picture each: 7 % more pictures.)
 */
#include "sys/worker_pool.h"

#include "base/assert.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* One vly_parallel_for call; lives on its caller's stack, which stays until n_helpers is 0. */
typedef struct loop_job {
    struct loop_job *next; /* guarded by pool.lock */
    vly_parallel_fn fn;    /* immutable, as are ctx, n and grain */
    void *ctx;
    size_t n, grain, n_pieces;
    _Atomic size_t next_piece;
    unsigned n_helpers;     /* guarded by pool.lock */
    pthread_cond_t is_left; /* n_helpers became 0 */
} loop_job;

struct vly_worker_pool {
    pthread_mutex_t lock;
    pthread_cond_t has_work; /* an item, a loop, or is_stopping */
    pthread_cond_t is_idle;  /* no item queued or running */
    vly_work *head, **tail;  /* guarded by lock, as are all below down to is_stopping */
    size_t n_queued;
    size_t n_running; /* items, not loops */
    loop_job *jobs;   /* loops that may still have an unbegun piece */
    bool is_stopping;
    _Atomic unsigned n_busy; /* workers in an item or a loop; set under the lock */
    size_t queue_cap;        /* immutable, as are the rest */
    const char *name;        /* of the threads; static */
    unsigned n_threads;      /* started */
    pthread_t threads[];
};

/* Runs pieces until none is left to begin. */
static void job_run_pieces(loop_job *job)
{
    for (;;) {
        /* relaxed: the counter only deals out indices; the data of a piece is published to helpers
         * and back by pool.lock, taken before the first piece and after the last */
        size_t piece = atomic_fetch_add_explicit(&job->next_piece, 1, memory_order_relaxed);
        if (piece >= job->n_pieces)
            return;
        size_t begin = piece * job->grain;
        size_t left = job->n - begin;
        job->fn(job->ctx, begin, begin + (left < job->grain ? left : job->grain));
    }
}

static bool job_has_piece(const loop_job *job)
{
    return atomic_load_explicit(&job->next_piece, memory_order_relaxed) < job->n_pieces;
}

/* The newest loop with a piece to begin: inner loops end first. Called with the lock held. */
static loop_job *find_job(const vly_worker_pool *pool)
{
    loop_job *job = pool->jobs;
    while (job != NULL && !job_has_piece(job))
        job = job->next;
    return job;
}

static void help(vly_worker_pool *pool, loop_job *job)
{
    job->n_helpers++;
    pthread_mutex_unlock(&pool->lock);
    job_run_pieces(job);
    pthread_mutex_lock(&pool->lock);
    job->n_helpers--;
    if (job->n_helpers == 0)
        pthread_cond_signal(&job->is_left); /* under the lock: the caller may end job after it */
}

static void run_item(vly_worker_pool *pool)
{
    vly_work *work = pool->head;

    pool->head = work->next;
    if (pool->head == NULL)
        pool->tail = &pool->head;
    pool->n_queued--;
    pool->n_running++;
    pthread_mutex_unlock(&pool->lock);
    work->run(work);
    pthread_mutex_lock(&pool->lock);
    pool->n_running--;
    if (pool->n_running == 0 && pool->head == NULL)
        pthread_cond_broadcast(&pool->is_idle);
}

static void *worker_main(void *arg)
{
    vly_worker_pool *pool = arg;

    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        loop_job *job = find_job(pool);
        if (job == NULL && pool->head == NULL) {
            if (pool->is_stopping)
                break;
            pthread_cond_wait(&pool->has_work, &pool->lock);
            continue;
        }
        atomic_fetch_add_explicit(&pool->n_busy, 1, memory_order_relaxed); /* a hint only */
        if (job != NULL)
            help(pool, job);
        else
            run_item(pool);
        atomic_fetch_sub_explicit(&pool->n_busy, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

vly_status vly_worker_pool_new_named(const char *name, unsigned n_threads, size_t queue_cap,
                                     vly_worker_pool **ret, vly_err *err)
{
    VLY_ASSERT(n_threads >= 1 && queue_cap >= 1 && strlen(name) <= VLY_THREAD_NAME_MAX);
    vly_worker_pool *pool =
        vly_calloc(VLY_MEM_SCHED, 1, sizeof(*pool) + n_threads * sizeof(pool->threads[0]));

    if (pool == NULL)
        return vly_fail(err, VLY_ENOMEM, "worker pool: no memory for %u threads", n_threads);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_work, NULL);
    pthread_cond_init(&pool->is_idle, NULL);
    pool->tail = &pool->head;
    pool->queue_cap = queue_cap;
    pool->name = name;
    for (unsigned i = 0; i < n_threads; i++) {
        int rc = pthread_create(&pool->threads[i], NULL, worker_main, pool);
        if (rc != 0) {
            vly_worker_pool_free(pool);
            return vly_fail(err, VLY_EUNAVAILABLE, "worker pool: thread %u of %u: %s", i + 1,
                            n_threads, strerror(rc));
        }
        pool->n_threads = i + 1;
    }
    *ret = pool;
    return VLY_OK;
}

vly_status vly_worker_pool_new(unsigned n_threads, size_t queue_cap, vly_worker_pool **ret,
                               vly_err *err)
{
    return vly_worker_pool_new_named("volley-worker", n_threads, queue_cap, ret, err);
}

void vly_worker_pool_free(vly_worker_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->has_work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    VLY_ASSERT(pool->jobs == NULL && pool->head == NULL);
    pthread_cond_destroy(&pool->is_idle);
    pthread_cond_destroy(&pool->has_work);
    pthread_mutex_destroy(&pool->lock);
    vly_free(pool);
}

vly_status vly_worker_pool_submit(vly_worker_pool *pool, vly_work *work)
{
    vly_status st = VLY_EBUSY;

    pthread_mutex_lock(&pool->lock);
    if (pool->n_queued < pool->queue_cap) {
        work->next = NULL;
        *pool->tail = work;
        pool->tail = &work->next;
        pool->n_queued++;
        pthread_cond_signal(&pool->has_work);
        st = VLY_OK;
    }
    pthread_mutex_unlock(&pool->lock);
    return st;
}

void vly_worker_pool_drain(vly_worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->head != NULL || pool->n_running != 0)
        pthread_cond_wait(&pool->is_idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

unsigned vly_worker_pool_threads(const vly_worker_pool *pool)
{
    return pool->n_threads;
}

size_t vly_worker_pool_queued(vly_worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->n_queued;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

static void job_open(vly_worker_pool *pool, loop_job *job)
{
    pthread_cond_init(&job->is_left, NULL);
    pthread_mutex_lock(&pool->lock);
    job->next = pool->jobs;
    pool->jobs = job;
    for (size_t i = 1; i < job->n_pieces && i <= pool->n_threads; i++)
        pthread_cond_signal(&pool->has_work);
    pthread_mutex_unlock(&pool->lock);
}

static void job_close(vly_worker_pool *pool, loop_job *job)
{
    pthread_mutex_lock(&pool->lock);
    loop_job **link = &pool->jobs;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    while (job->n_helpers != 0)
        pthread_cond_wait(&job->is_left, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&job->is_left);
}

static bool has_idle_worker(const vly_worker_pool *pool)
{
    return atomic_load_explicit(&pool->n_busy, memory_order_relaxed) < pool->n_threads;
}

void vly_parallel_for(vly_worker_pool *pool, size_t n, size_t grain, vly_parallel_fn fn, void *ctx)
{
    VLY_ASSERT(grain >= 1);
    if (n == 0)
        return;
    if (pool == NULL || n <= grain || !has_idle_worker(pool)) {
        fn(ctx, 0, n);
        return;
    }
    loop_job job = {.fn = fn, .ctx = ctx, .n = n, .grain = grain};
    job.n_pieces = (n - 1) / grain + 1;
    job_open(pool, &job);
    job_run_pieces(&job);
    job_close(pool, &job);
}
