/* SPDX-License-Identifier: MIT */
#include "sched/lane.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sched/vision.h"

#include <pthread.h>
#include <string.h>

#define SCRATCH_BLOCK_BYTES ((size_t)64 << 10)

typedef struct vly_lane vly_lane;

/* What one worker needs to run the model. Owner: the worker that runs it; next_idle: the lane. */
typedef struct instance {
    vly_work work; /* first: the pool hands out a pointer to it */
    vly_lane *lane;
    struct instance *next_idle;
    vly_vision *vision;   /* made by the first picture */
    vly_instance *native; /* made by the first tensors */
    vly_tensor *outputs;  /* [n_outputs] of the job at hand */
    vly_arena arena;      /* observations of the job at hand */
} instance;

struct vly_lane {
    vly_runner runner; /* first: a pointer to it is a pointer to the lane */
    vly_served *served;
    const vly_scheduler_opts *opts;
    vly_worker_pool *pool;
    pthread_mutex_t lock;
    vly_job *head, **tail; /* guarded by lock, as are the next two */
    size_t n_waiting;
    instance *idle;
    size_t n_instances; /* immutable: one for each worker */
    instance *instances;
};

/* The instances get the pool, so a lone job is split over the workers that idle; when none does,
 * each worker runs a job of its own, which is the fastest for many. */
static vly_status run_picture(instance *x, vly_job *job, vly_err *err)
{
    const vly_lane *lane = x->lane;
    vly_vision_times spent;
    vly_status st = VLY_OK;

    if (x->vision == NULL)
        st = vly_vision_new(lane->served->servable, &lane->opts->picture_limits, lane->pool,
                            &x->vision, err);
    if (st == VLY_OK)
        st = vly_vision_run(x->vision, job->picture.ptr, job->picture.len, &job->options, &x->arena,
                            &job->observations, job->wants_pixels ? &job->pixels : NULL, &spent,
                            err);
    if (st != VLY_OK)
        return st;
    job->times.input += spent.decode + spent.prep;
    job->times.infer += spent.infer;
    job->times.output += spent.post;
    return VLY_OK;
}

static vly_status run_tensors(instance *x, vly_job *job, vly_err *err)
{
    vly_servable *s = x->lane->served->servable;
    vly_nsec begin = vly_clock_now();
    vly_status st = VLY_OK;

    if (x->native == NULL)
        st = vly_instance_new(s->model, x->lane->pool, &x->native, err);
    if (st == VLY_OK && x->outputs == NULL) {
        x->outputs = vly_calloc(VLY_MEM_SCHED, s->run_info->n_outputs, sizeof(*x->outputs));
        if (x->outputs == NULL)
            st = vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", s->name);
    }
    if (st == VLY_OK)
        st = vly_instance_run(x->native, job->inputs, x->outputs, err);
    if (st != VLY_OK)
        return st;
    job->outputs = x->outputs;
    job->times.infer += vly_clock_now() - begin;
    return VLY_OK;
}

/* Everything the job points to in the instance ends here. */
static void drop_results(instance *x, vly_job *job)
{
    if (job->outputs != NULL)
        for (size_t i = 0; i < x->lane->served->servable->run_info->n_outputs; i++)
            vly_tensor_release(&x->outputs[i]);
    vly_picture_release(&job->pixels);
    vly_arena_reset(&x->arena);
    job->outputs = NULL;
    job->observations = (vly_observations){.detections = NULL};
}

static vly_status run_job(instance *x, vly_job *job, vly_err *err)
{
    vly_nsec begin = vly_clock_now();
    vly_status st = VLY_OK;

    job->times.queue = begin - job->queued_ns;
    if (job->prepare != NULL)
        st = job->prepare(job, err);
    job->times.input = vly_clock_now() - begin;
    if (st == VLY_OK)
        st = job->kind == VLY_JOB_PICTURE ? run_picture(x, job, err) : run_tensors(x, job, err);
    begin = vly_clock_now();
    if (st == VLY_OK && job->encode != NULL)
        st = job->encode(job, err);
    job->times.output += vly_clock_now() - begin;
    drop_results(x, job);
    return st;
}

/* Is it too late for the job? */
static vly_status check_job(const vly_job *job, vly_err *err)
{
    if (job->is_cancelled != NULL && atomic_load(job->is_cancelled))
        return vly_fail(err, VLY_ECANCELLED, "the client has gone");
    if (job->deadline_ns != 0 && vly_clock_now() > job->deadline_ns)
        return vly_fail(err, VLY_EDEADLINE, "Request timeout expired");
    return VLY_OK;
}

static vly_job *take_job(vly_lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    vly_job *job = lane->head;
    if (job != NULL) {
        lane->head = job->next;
        if (lane->head == NULL)
            lane->tail = &lane->head;
        lane->n_waiting--;
        vly_gauge_add(&lane->served->stats.pending, -1);
    }
    pthread_mutex_unlock(&lane->lock);
    return job;
}

/* Back to the pool's line while jobs wait, else idle; then the lane may be gone. */
static void end_turn(instance *x)
{
    vly_lane *lane = x->lane;
    vly_served *m = lane->served;

    pthread_mutex_lock(&lane->lock);
    bool is_idle = lane->head == NULL;
    if (is_idle) {
        x->next_idle = lane->idle;
        lane->idle = x;
    }
    pthread_mutex_unlock(&lane->lock);
    if (is_idle) {
        vly_served_unref(m);
        return;
    }
    vly_status st = vly_worker_pool_submit(lane->pool, &x->work);
    VLY_ASSERT(st == VLY_OK); /* the pool's line has no bound of its own: see scheduler.c */
}

/* One turn on a worker: one job that is still wanted, if there is one. */
static void take_turn(vly_work *work)
{
    instance *x = (instance *)work;
    vly_lane *lane = x->lane;
    bool did_run = false;
    vly_job *job;

    while (!did_run && (job = take_job(lane)) != NULL) {
        vly_status st = check_job(job, &job->err);
        did_run = st == VLY_OK;
        if (did_run)
            st = run_job(x, job, &job->err);
        vly_served_finish(lane->served, job, st);
    }
    end_turn(x);
}

static vly_status lane_submit(vly_runner *r, vly_job *const *jobs, size_t n, vly_err *err)
{
    vly_lane *lane = (vly_lane *)r;
    vly_served *m = lane->served;
    size_t max = lane->opts->max_waiting;
    vly_nsec now = vly_clock_now();
    instance *active = NULL;

    if (n > max)
        return vly_fail(err, VLY_ELIMIT, "expected at most %zu in one request, got %zu", max, n);
    pthread_mutex_lock(&lane->lock);
    if (lane->n_waiting + n > max) {
        pthread_mutex_unlock(&lane->lock);
        vly_counter_add(&m->stats.failures[VLY_JOB_FAILURE_REJECTED], n);
        return vly_fail(err, VLY_EBUSY, "model '%s': Exceeds maximum queue size of %zu", m->name,
                        max);
    }
    for (size_t i = 0; i < n; i++) {
        jobs[i]->queued_ns = now;
        jobs[i]->times = (vly_job_times){0};
        jobs[i]->next = NULL;
        *lane->tail = jobs[i];
        lane->tail = &jobs[i]->next;
        if (lane->idle != NULL) {
            instance *x = lane->idle;
            lane->idle = x->next_idle;
            x->next_idle = active;
            active = x;
            vly_served_ref(m);
        }
    }
    lane->n_waiting += n;
    vly_gauge_add(&m->stats.pending, (int64_t)n);
    pthread_mutex_unlock(&lane->lock);

    while (active != NULL) {
        instance *next = active->next_idle; /* read before the pool may run it */
        vly_status st = vly_worker_pool_submit(lane->pool, &active->work);
        VLY_ASSERT(st == VLY_OK);
        active = next;
    }
    return VLY_OK;
}

static void lane_free(vly_runner *r)
{
    vly_lane *lane = (vly_lane *)r;

    VLY_ASSERT(lane->head == NULL);
    for (size_t i = 0; i < lane->n_instances; i++) {
        instance *x = &lane->instances[i];
        vly_vision_free(x->vision);
        vly_instance_free(x->native);
        vly_free(x->outputs);
        vly_arena_release(&x->arena);
    }
    pthread_mutex_destroy(&lane->lock);
    vly_free(lane->instances);
    vly_free(lane);
}

static const vly_runner_ops ops = {.submit = lane_submit, .free = lane_free};

vly_status vly_lane_new(vly_served *served, const vly_scheduler_opts *opts, vly_worker_pool *pool,
                        vly_runner **ret, vly_err *err)
{
    size_t n = vly_worker_pool_threads(pool);
    vly_lane *lane = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*lane));
    instance *instances = vly_calloc(VLY_MEM_SCHED, n, sizeof(*instances));

    if (lane == NULL || instances == NULL) {
        vly_free(lane);
        vly_free(instances);
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", served->name);
    }
    *lane = (vly_lane){.runner = {&ops},
                       .served = served,
                       .opts = opts,
                       .pool = pool,
                       .n_instances = n,
                       .instances = instances};
    lane->tail = &lane->head;
    pthread_mutex_init(&lane->lock, NULL);
    for (size_t i = 0; i < n; i++) {
        instances[i] =
            (instance){.work = {.run = take_turn}, .lane = lane, .next_idle = lane->idle};
        vly_arena_init(&instances[i].arena, VLY_MEM_SCHED, SCRATCH_BLOCK_BYTES,
                       opts->max_scratch_bytes);
        lane->idle = &instances[i];
    }
    *ret = &lane->runner;
    return VLY_OK;
}
