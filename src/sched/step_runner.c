/* SPDX-License-Identifier: MIT */
#include "sched/step_runner.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sched/step.h"

#include <pthread.h>

typedef struct runner {
    vly_runner base; /* first: a pointer to it is a pointer to the runner */
    vly_served *served;
    vly_worker_pool *pool;
    const vly_scheduler_opts *opts;
    pthread_mutex_t lock;
    size_t n_jobs; /* guarded by lock */
} runner;

/* A job in the pool's line. Holds a reference to the served model. */
typedef struct item {
    vly_work work; /* first: the pool hands out a pointer to it */
    runner *owner;
    vly_job *job;
    struct item *next; /* of one submit */
    vly_tensor outputs[];
} item;

static vly_status check(const vly_job *job, vly_err *err)
{
    if (job->kind != VLY_JOB_TENSORS)
        return vly_fail(err, VLY_EUNSUPPORTED, "a built-in step takes tensors, not pictures");
    if (vly_job_is_cancelled(job))
        return vly_fail(err, VLY_ECANCELLED, "the client has gone");
    if (job->deadline_ns != 0 && vly_clock_now() > job->deadline_ns)
        return vly_fail(err, VLY_EDEADLINE, "Request timeout expired");
    return VLY_OK;
}

static vly_status run(item *x, vly_err *err)
{
    const vly_step *step = x->owner->served->servable->step;
    vly_job *job = x->job;
    vly_nsec begin = vly_clock_now();
    vly_status st = check(job, err);

    job->times.queue = begin - job->queued_ns;
    if (st == VLY_OK && job->prepare != NULL)
        st = job->prepare(job, err);
    vly_nsec ready = vly_clock_now();
    job->times.input = ready - begin;
    if (st != VLY_OK)
        return st;
    st = vly_step_run(step, &x->owner->opts->picture_limits, job->inputs, x->outputs, err);
    vly_nsec end = vly_clock_now();
    job->times.infer = end - ready;
    if (st != VLY_OK)
        return st;
    job->outputs = x->outputs;
    if (job->encode != NULL)
        st = job->encode(job, err);
    job->outputs = NULL;
    for (size_t i = 0; i < step->info.n_outputs; i++)
        vly_tensor_release(&x->outputs[i]);
    job->times.output = vly_clock_now() - end;
    return st;
}

static void run_item(vly_work *work)
{
    item *x = (item *)work;
    runner *r = x->owner;
    vly_served *m = r->served;
    vly_status st;

    vly_gauge_add(&m->stats.pending, -1);
    st = run(x, &x->job->err);
    pthread_mutex_lock(&r->lock);
    r->n_jobs--;
    pthread_mutex_unlock(&r->lock);
    if (st == VLY_OK)
        vly_served_count_run(m, x->job->n_inferences != 0 ? x->job->n_inferences : 1,
                             &x->job->times);
    vly_served_finish(m, x->job, st);
    vly_free(x);
    vly_served_unref(m);
}

static void free_items(item *list)
{
    while (list != NULL) {
        item *next = list->next;
        vly_free(list);
        list = next;
    }
}

/* One for each job, linked; NULL: no memory. */
static item *new_items(runner *r, vly_job *const *jobs, size_t n)
{
    size_t n_outputs = r->served->servable->info->n_outputs;
    item *list = NULL;

    for (size_t i = n; i-- > 0;) {
        item *x = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*x) + n_outputs * sizeof(x->outputs[0]));
        if (x == NULL) {
            free_items(list);
            return NULL;
        }
        x->work.run = run_item;
        x->owner = r;
        x->job = jobs[i];
        x->next = list;
        list = x;
    }
    return list;
}

static vly_status take_places(runner *r, const vly_job *first, size_t n, vly_err *err)
{
    size_t max = r->opts->max_waiting;
    vly_status st = VLY_OK;

    if (n > max)
        return vly_fail(err, VLY_ELIMIT, "expected at most %zu in one request, got %zu", max, n);
    pthread_mutex_lock(&r->lock);
    if (r->n_jobs > max - n)
        st = VLY_EBUSY;
    else
        r->n_jobs += n;
    pthread_mutex_unlock(&r->lock);
    if (st == VLY_OK)
        return st;
    vly_served_count_rejected(r->served, first, n);
    return vly_fail(err, st, "model '%s': Exceeds maximum queue size of %zu", r->served->name, max);
}

static vly_status submit(vly_runner *base, vly_job *const *jobs, size_t n, vly_err *err)
{
    runner *r = (runner *)base;
    item *list = new_items(r, jobs, n);
    vly_status st =
        list != NULL ? take_places(r, jobs[0], n, err)
                     : vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", r->served->name);

    if (st != VLY_OK) {
        free_items(list);
        return st;
    }
    vly_gauge_add(&r->served->stats.pending, (int64_t)n);
    while (list != NULL) {
        item *x = list;
        list = x->next;
        x->job->queued_ns = vly_clock_now();
        x->job->times = (vly_job_times){0};
        vly_served_ref(r->served);
        st = vly_worker_pool_submit(r->pool, &x->work);
        VLY_ASSERT(st == VLY_OK); /* the pool's line has no bound of its own: see scheduler.c */
    }
    return VLY_OK;
}

static void free_runner(vly_runner *base)
{
    runner *r = (runner *)base;

    VLY_ASSERT(r->n_jobs == 0);
    pthread_mutex_destroy(&r->lock);
    vly_free(r);
}

static const vly_runner_ops ops = {.submit = submit, .free = free_runner};

vly_status vly_step_runner_new(vly_served *served, const vly_scheduler_opts *opts,
                               vly_worker_pool *pool, vly_runner **ret, vly_err *err)
{
    runner *r = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*r));

    if (r == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", served->name);
    *r = (runner){.base = {&ops}, .served = served, .pool = pool, .opts = opts};
    pthread_mutex_init(&r->lock, NULL);
    *ret = &r->base;
    return VLY_OK;
}
