/* SPDX-License-Identifier: MIT */
/*
 * One allocation holds all of a job's run. Steps end on any thread: what they wrote is seen by the
 * steps behind them, which count their sources down, and by the end of the run, which counts the
 * steps under way.
 */
#include "sched/ensemble.h"

#include "base/assert.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

typedef struct ensemble ensemble;
typedef struct run run;

/* A step of a run. Owner: whoever counted n_open down to 0, then its job. */
typedef struct step_run {
    vly_job job;
    run *owner;
    vly_served *model;     /* a reference */
    vly_tensor *inputs;    /* [n_inputs] of the model */
    _Atomic size_t n_open; /* sources that are not there yet */
    bool is_picture;
} step_run;

/* Holds a reference to the served ensemble. */
struct run {
    vly_work work; /* first: the pool hands out a pointer to it */
    run *next;     /* of one submit */
    ensemble *owner;
    vly_job *job; /* the client's */
    vly_nsec began_ns;
    vly_str picture;
    vly_tensor *tensors, *outputs; /* [n_tensors] of the plan, [n_outputs] */
    step_run *steps;
    _Atomic size_t n_active; /* steps under way, and 1 while the first are started */
    _Atomic bool has_failed;
    vly_status status; /* owner: who set has_failed; then the end of the run */
    vly_err err;
    size_t picture_input;       /* the tensor that picture steps read; SIZE_MAX: none does */
    const vly_picture *decoded; /* what it holds: pixels, or the client's */
    vly_picture pixels;
};

struct ensemble {
    vly_runner runner; /* first: a pointer to it is a pointer to the ensemble */
    vly_served *served;
    const vly_ensemble_plan *plan;
    vly_scheduler *scheduler;
    const vly_scheduler_opts *opts;
    pthread_mutex_t lock;
    size_t n_jobs; /* guarded by lock */
};

static void step_done(vly_job *job);
static vly_status step_encode(vly_job *job, vly_err *err);

/* ---- the end of a run ---- */

static vly_status fail_step(const run *r, const step_run *x, vly_status st, vly_err *err)
{
    size_t idx = (size_t)(x - r->steps);

    return vly_fail_in(err, st, "ensemble '%s' step %zu (model '%s')", r->owner->served->name, idx,
                       r->owner->plan->steps[idx].model);
}

/* The first failure is the run's: true. */
static bool fail_run(run *r, const step_run *x, vly_status st, const vly_err *err)
{
    if (atomic_exchange(&r->has_failed, true))
        return false;
    r->status = st;
    r->err = *err;
    fail_step(r, x, st, &r->err);
    return true;
}

static vly_status encode_picture(run *r, vly_arena *arena, vly_err *err)
{
    const vly_ensemble_plan *plan = r->owner->plan;
    const vly_tensor *parts[VLY_ENSEMBLE_N_PARTS] = {NULL};
    vly_job *job = r->job;

    for (size_t i = 0; i < plan->info.n_outputs; i++) {
        vly_ensemble_part part = vly_ensemble__part(plan->info.outputs[i].name);
        if (part != VLY_ENSEMBLE_N_PARTS)
            parts[part] = &r->tensors[plan->outputs[i]];
    }
    vly_status st = vly_ensemble__observe(parts, &job->options, arena, &job->observations, err);
    job->observations.width = r->decoded->width;
    job->observations.height = r->decoded->height;
    if (job->wants_pixels) {
        job->pixels = r->pixels;
        r->pixels = (vly_picture){0};
    }
    return st;
}

static vly_status encode(run *r, vly_err *err)
{
    const vly_ensemble_plan *plan = r->owner->plan;
    vly_job *job = r->job;
    vly_status st = VLY_OK;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_SCHED, 1 << 16, r->owner->opts->max_scratch_bytes);
    for (size_t i = 0; i < plan->info.n_outputs; i++)
        r->outputs[i] = r->tensors[plan->outputs[i]];
    if (job->kind == VLY_JOB_PICTURE)
        st = encode_picture(r, &arena, err);
    else
        job->outputs = r->outputs;
    if (st == VLY_OK && job->encode != NULL)
        st = job->encode(job, err);
    job->outputs = NULL;
    job->observations = (vly_observations){.detections = NULL};
    vly_picture_release(&job->pixels);
    vly_arena_release(&arena);
    return st;
}

static void free_run(run *r)
{
    const vly_ensemble_plan *plan = r->owner->plan;

    for (size_t i = 0; i < plan->n_tensors; i++)
        if (plan->tensors[i].step != SIZE_MAX)
            vly_tensor_release(&r->tensors[i]);
    for (size_t i = 0; i < plan->n_steps; i++)
        vly_served_unref(r->steps[i].model);
    vly_picture_release(&r->pixels);
    vly_free(r);
}

static void give_places_back(ensemble *e, size_t n)
{
    pthread_mutex_lock(&e->lock);
    e->n_jobs -= n;
    pthread_mutex_unlock(&e->lock);
}

static void finish(run *r)
{
    ensemble *e = r->owner;
    vly_served *m = e->served;
    vly_job *job = r->job;
    vly_nsec now = vly_clock_now();
    vly_status st = r->status;

    job->times.infer = now - r->began_ns - job->times.input;
    if (atomic_load(&r->has_failed))
        job->err = r->err;
    else
        st = encode(r, &job->err);
    job->times.output = vly_clock_now() - now;
    free_run(r);
    give_places_back(e, 1);
    if (st == VLY_OK)
        vly_served_count_run(m, job->n_inferences != 0 ? job->n_inferences : 1, &job->times);
    vly_served_finish(m, job, st);
    vly_served_unref(m);
}

/* Whoever ends what was under way last ends the run; r may be gone then. */
static void end_active(run *r)
{
    if (atomic_fetch_sub_explicit(&r->n_active, 1, memory_order_acq_rel) == 1)
        finish(r);
}

/* ---- steps ---- */

static size_t find_io(const vly_model_io *ios, size_t n, const char *name)
{
    size_t i = 0;

    while (i < n && strcmp(ios[i].name, name) != 0)
        i++;
    return i;
}

/* The model may be another than the one that was there when the ensemble was loaded. */
static vly_status fill_inputs(run *r, step_run *x, vly_err *err)
{
    const vly_ensemble_step *s = &r->owner->plan->steps[x - r->steps];
    const vly_model_info *info = x->model->servable->info;

    for (size_t i = 0; i < s->n_inputs; i++) {
        size_t at = find_io(info->inputs, info->n_inputs, s->inputs[i].name);
        if (at == info->n_inputs)
            return vly_fail(err, VLY_EINVAL, "there is no input '%s'", s->inputs[i].name);
        x->inputs[at] = r->tensors[s->inputs[i].tensor];
    }
    for (size_t i = 0; i < info->n_inputs; i++)
        if (x->inputs[i].data == NULL)
            return vly_fail(err, VLY_EINVAL, "input '%s' is not mapped", info->inputs[i].name);
    return VLY_OK;
}

static vly_status read_picture(const vly_tensor *t, vly_str *ret, vly_err *err)
{
    if (t->dtype != VLY_DTYPE_STRING || vly_tensor_count(t) != 1)
        return vly_fail(err, VLY_EINVAL, "picture: expected one element of BYTES");
    *ret = *(const vly_str *)t->data;
    return VLY_OK;
}

static vly_status fill_picture(run *r, step_run *x, vly_err *err)
{
    size_t tensor = r->owner->plan->steps[x - r->steps].inputs[0].tensor;

    if (tensor == r->picture_input)
        x->job.decoded = r->decoded;
    return read_picture(&r->tensors[tensor], &x->job.picture, err);
}

/* loop: as in vly_job. */
static vly_status start_step(run *r, step_run *x, unsigned loop, vly_err *err)
{
    vly_job *outer = r->job, *job = &x->job;

    *job = (vly_job){.kind = x->is_picture ? VLY_JOB_PICTURE : VLY_JOB_TENSORS,
                     .ctx = x,
                     .loop = loop,
                     .is_cancelled = outer->is_cancelled,
                     .is_wanted = outer->is_wanted,
                     .deadline_ns = outer->deadline_ns,
                     .received_ns = r->began_ns,
                     .priority = outer->priority,
                     .timeout_us = outer->timeout_us,
                     .sequence = outer->sequence,
                     .is_copy = outer->is_copy,
                     .encode = step_encode,
                     .done = step_done,
                     .options = VLY_DETECTOR_OPTIONS_INIT,
                     .inputs = x->inputs,
                     .n_inferences = outer->n_inferences};
    if (outer->kind == VLY_JOB_PICTURE)
        job->options = outer->options;
    vly_status st = x->is_picture ? fill_picture(r, x, err) : fill_inputs(r, x, err);
    return st == VLY_OK ? vly_scheduler_submit(x->model, &job, 1, err) : st;
}

/* The caller has something under way itself. */
static void launch(run *r, step_run *x, unsigned loop)
{
    vly_err err;

    if (atomic_load(&r->has_failed))
        return;
    atomic_fetch_add_explicit(&r->n_active, 1, memory_order_relaxed);
    vly_status st = start_step(r, x, loop, &err);
    if (st == VLY_OK)
        return;
    fail_run(r, x, st, &err);
    end_active(r); /* not the last: the caller's is there */
}

/* What the model lent out without an owner has to be copied. */
static vly_status keep(const vly_tensor *t, vly_tensor *ret, vly_err *err)
{
    if (t->store == NULL)
        return vly_tensor_copy(t, ret, err);
    *ret = vly_tensor_ref(t);
    return VLY_OK;
}

static vly_status keep_output(const step_run *x, const char *name, vly_tensor *ret, vly_err *err)
{
    const vly_model_info *info = x->model->servable->info;
    size_t at = find_io(info->outputs, info->n_outputs, name);

    if (at == info->n_outputs)
        return vly_fail(err, VLY_EINVAL, "there is no output '%s'", name);
    return keep(&x->job.outputs[at], ret, err);
}

static vly_status keep_part(const step_run *x, const char *name, vly_tensor *ret, vly_err *err)
{
    vly_ensemble_part part = vly_ensemble__part(name);

    if (part == VLY_ENSEMBLE_N_PARTS)
        return vly_fail(err, VLY_EINVAL, "there is no output '%s'", name);
    return vly_ensemble__tensor_of(&x->job.observations, part, ret, err);
}

static vly_status step_encode(vly_job *job, vly_err *err)
{
    step_run *x = job->ctx;
    run *r = x->owner;
    const vly_ensemble_step *s = &r->owner->plan->steps[x - r->steps];
    vly_status st = VLY_OK;

    for (size_t i = 0; i < s->n_outputs && st == VLY_OK; i++) {
        vly_tensor *t = &r->tensors[s->outputs[i].tensor];
        st = x->is_picture ? keep_part(x, s->outputs[i].name, t, err)
                           : keep_output(x, s->outputs[i].name, t, err);
    }
    return st;
}

/* Starts the steps for which this was the last source. */
static void launch_next(run *r, size_t done)
{
    const vly_ensemble_plan *plan = r->owner->plan;

    for (size_t s = 0; s < plan->n_steps; s++) {
        size_t n = 0;
        for (size_t i = 0; i < plan->steps[s].n_inputs; i++)
            n += plan->tensors[plan->steps[s].inputs[i].tensor].step == done;
        if (n > 0 && atomic_fetch_sub_explicit(&r->steps[s].n_open, n, memory_order_acq_rel) == n)
            launch(r, &r->steps[s], 0);
    }
}

static void step_done(vly_job *job)
{
    step_run *x = job->ctx;
    run *r = x->owner;

    if (job->status == VLY_OK)
        launch_next(r, (size_t)(x - r->steps));
    else if (fail_run(r, x, job->status, &job->err))
        r->job->is_model_failure = job->is_model_failure;
    end_active(r);
}

/* ---- the beginning of a run ---- */

/* Once for all steps that look at it. */
static vly_status decode(run *r, vly_err *err)
{
    vly_str bytes;

    if (r->picture_input == SIZE_MAX)
        return VLY_OK;
    r->decoded = r->job->decoded;
    if (r->decoded != NULL)
        return VLY_OK;
    vly_status st = read_picture(&r->tensors[r->picture_input], &bytes, err);
    if (st == VLY_OK)
        st = vly_picture_decode(bytes.ptr, bytes.len, &r->owner->opts->picture_limits, &r->pixels,
                                err);
    r->decoded = &r->pixels;
    return st;
}

static vly_status prepare(run *r, vly_err *err)
{
    const vly_ensemble_plan *plan = r->owner->plan;
    const vly_shape one = VLY_SHAPE(1);
    vly_job *job = r->job;
    vly_status st = job->prepare != NULL ? job->prepare(job, err) : VLY_OK;

    if (st != VLY_OK)
        return st;
    if (job->kind == VLY_JOB_PICTURE) {
        r->picture = job->picture;
        r->tensors[0] = vly_tensor_borrow(VLY_DTYPE_STRING, &one, &r->picture);
    } else {
        for (size_t i = 0; i < plan->info.n_inputs; i++)
            r->tensors[i] = job->inputs[i];
    }
    st = decode(r, err);
    job->times.input = vly_clock_now() - r->began_ns;
    return st;
}

static void begin(run *r, unsigned loop)
{
    const vly_ensemble_plan *plan = r->owner->plan;
    vly_status st = prepare(r, &r->err);

    if (st == VLY_OK) {
        for (size_t i = 0; i < plan->n_steps; i++)
            if (plan->steps[i].n_sources == 0)
                launch(r, &r->steps[i], loop);
    } else {
        r->status = st;
        atomic_store(&r->has_failed, true);
    }
    end_active(r);
}

static void begin_on_worker(vly_work *work)
{
    run *r = (run *)work;

    r->job->times.queue = vly_clock_now() - r->job->queued_ns;
    r->began_ns = vly_clock_now();
    begin(r, 0);
}

/* The models of all steps as they are now. Their inputs decide how large the run is. */
static vly_status find_models(ensemble *e, vly_served **models, size_t *ret_n_inputs, vly_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < e->plan->n_steps; i++) {
        const vly_ensemble_step *s = &e->plan->steps[i];
        models[i] =
            vly_scheduler_find(e->scheduler, vly_str_from(s->model), vly_str_from(s->version));
        if (models[i] == NULL || models[i]->servable == NULL) {
            for (size_t k = 0; k <= i; k++)
                vly_served_unref(models[k]);
            return vly_fail(err, VLY_EUNAVAILABLE,
                            "ensemble '%s' step %zu: requested model '%s' is not available",
                            e->served->name, i, s->model);
        }
        n += models[i]->servable->info->n_inputs;
    }
    *ret_n_inputs = n;
    return VLY_OK;
}

static run *new_run(ensemble *e, vly_job *job, vly_served *const *models, size_t n_inputs)
{
    const vly_ensemble_plan *plan = e->plan;
    size_t n_tensors = plan->n_tensors + plan->info.n_outputs + n_inputs;
    run *r =
        vly_calloc(VLY_MEM_SCHED, 1,
                   sizeof(*r) + plan->n_steps * sizeof(step_run) + n_tensors * sizeof(vly_tensor));

    if (r == NULL)
        return NULL;
    r->work.run = begin_on_worker;
    r->owner = e;
    r->job = job;
    r->began_ns = vly_clock_now();
    r->steps = (step_run *)(r + 1);
    r->tensors = (vly_tensor *)(r->steps + plan->n_steps);
    r->outputs = r->tensors + plan->n_tensors;
    atomic_init(&r->n_active, 1);
    r->picture_input = SIZE_MAX;
    vly_tensor *inputs = r->outputs + plan->info.n_outputs;
    for (size_t i = 0; i < plan->n_steps; i++) {
        step_run *x = &r->steps[i];
        x->owner = r;
        x->model = models[i];
        x->inputs = inputs;
        x->is_picture = vly_ensemble__is_picture_step(&plan->steps[i], models[i]->servable);
        atomic_init(&x->n_open, plan->steps[i].n_sources);
        inputs += models[i]->servable->info->n_inputs;
        if (x->is_picture && plan->steps[i].inputs[0].tensor < r->picture_input &&
            plan->steps[i].inputs[0].tensor < plan->info.n_inputs)
            r->picture_input = plan->steps[i].inputs[0].tensor;
    }
    return r;
}

static vly_status open_run(ensemble *e, vly_job *job, run **ret, vly_err *err)
{
    vly_served *models[VLY_ENSEMBLE_STEPS_MAX];
    size_t n_inputs = 0;

    if (job->kind == VLY_JOB_PICTURE && e->served->servable->decoder.kind != VLY_TASK_DETECT)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "ensemble '%s' has no picture step with outputs boxes, scores and labels",
                        e->served->name);
    vly_status st = find_models(e, models, &n_inputs, err);
    if (st != VLY_OK)
        return st;
    *ret = new_run(e, job, models, n_inputs);
    if (*ret != NULL)
        return VLY_OK;
    for (size_t i = 0; i < e->plan->n_steps; i++)
        vly_served_unref(models[i]);
    return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", e->served->name);
}

static vly_status take_places(ensemble *e, const vly_job *first, size_t n, vly_err *err)
{
    size_t max = e->opts->max_waiting;
    bool is_full = false;

    if (n > max)
        return vly_fail(err, VLY_ELIMIT, "expected at most %zu in one request, got %zu", max, n);
    pthread_mutex_lock(&e->lock);
    is_full = e->n_jobs > max - n;
    if (!is_full)
        e->n_jobs += n;
    pthread_mutex_unlock(&e->lock);
    if (!is_full)
        return VLY_OK;
    vly_served_count_rejected(e->served, first, n);
    return vly_fail(err, VLY_EBUSY, "model '%s': Exceeds maximum queue size of %zu",
                    e->served->name, max);
}

static void free_runs(run *list)
{
    while (list != NULL) {
        run *next = list->next;
        free_run(list);
        list = next;
    }
}

/* One for each job, linked; all or none. */
static vly_status open_runs(ensemble *e, vly_job *const *jobs, size_t n, run **ret, vly_err *err)
{
    run *list = NULL, **tail = &list;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        st = open_run(e, jobs[i], tail, err);
        if (st == VLY_OK)
            tail = &(*tail)->next;
    }
    if (st == VLY_OK)
        *ret = list;
    else
        free_runs(list);
    return st;
}

static vly_status ensemble_submit(vly_runner *base, vly_job *const *jobs, size_t n, vly_err *err)
{
    ensemble *e = (ensemble *)base;
    run *list = NULL;
    vly_status st = take_places(e, jobs[0], n, err);

    if (st != VLY_OK)
        return st;
    st = open_runs(e, jobs, n, &list, err);
    if (st != VLY_OK) {
        give_places_back(e, n);
        return st;
    }
    for (size_t i = 0; i < n; i++)
        vly_served_ref(e->served); /* before the first may end */
    while (list != NULL) {
        run *r = list;
        list = r->next;
        r->job->queued_ns = r->began_ns;
        r->job->times = (vly_job_times){0};
        if (r->job->prepare == NULL && r->picture_input == SIZE_MAX) {
            begin(r, r->job->loop);
            continue;
        }
        st = vly_worker_pool_submit(vly_scheduler_pool(e->scheduler), &r->work);
        VLY_ASSERT(st == VLY_OK); /* the pool's line has no bound of its own: see scheduler.c */
    }
    return VLY_OK;
}

static void ensemble_free(vly_runner *base)
{
    ensemble *e = (ensemble *)base;

    VLY_ASSERT(e->n_jobs == 0);
    pthread_mutex_destroy(&e->lock);
    vly_free(e);
}

static const vly_runner_ops ops = {.submit = ensemble_submit, .free = ensemble_free};

vly_status vly_ensemble_new(vly_served *served, vly_scheduler *scheduler,
                            const vly_scheduler_opts *opts, vly_runner **ret, vly_err *err)
{
    ensemble *e = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*e));

    if (e == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", served->name);
    *e = (ensemble){.runner = {&ops},
                    .served = served,
                    .plan = served->servable->ensemble,
                    .scheduler = scheduler,
                    .opts = opts};
    pthread_mutex_init(&e->lock, NULL);
    *ret = &e->runner;
    return VLY_OK;
}
