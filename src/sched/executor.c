/* SPDX-License-Identifier: MIT */
#include "sched/executor.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sched/vision.h"

#include <string.h>

#define SCRATCH_BLOCK_BYTES ((size_t)64 << 10)

/* The inputs of a batch, joined. */
typedef struct joined_input {
    void *data; /* owned */
    size_t cap;
} joined_input;

struct vly_executor {
    vly_servable *servable; /* borrowed */
    const vly_executor_limits *limits;
    struct vly_worker_pool *pool;
    vly_vision *vision;   /* made by the first picture */
    vly_instance *native; /* made by the first tensors */
    vly_tensor *outputs;  /* [n_outputs] of the run at hand, then [n_outputs] of a job's rows */
    vly_tensor *inputs;   /* [n_inputs] of a batch */
    joined_input *joined; /* [n_inputs] */
    vly_arena arena;      /* observations of the job at hand */
};

vly_status vly_executor_new(vly_servable *s, const vly_executor_limits *limits,
                            struct vly_worker_pool *pool, vly_executor **ret, vly_err *err)
{
    const vly_model_info *info = s->run_info;
    vly_executor *x = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*x));

    if (x == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", s->name);
    *x = (vly_executor){.servable = s, .limits = limits, .pool = pool};
    vly_arena_init(&x->arena, VLY_MEM_SCHED, SCRATCH_BLOCK_BYTES, limits->max_scratch_bytes);
    x->outputs = vly_calloc(VLY_MEM_SCHED, 2 * info->n_outputs, sizeof(*x->outputs));
    x->inputs = vly_calloc(VLY_MEM_SCHED, info->n_inputs + 1, sizeof(*x->inputs));
    x->joined = vly_calloc(VLY_MEM_SCHED, info->n_inputs + 1, sizeof(*x->joined));
    if (x->outputs == NULL || x->inputs == NULL || x->joined == NULL) {
        vly_executor_free(x);
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", s->name);
    }
    *ret = x;
    return VLY_OK;
}

void vly_executor_free(vly_executor *x)
{
    if (x == NULL)
        return;
    for (size_t i = 0; x->joined != NULL && i < x->servable->run_info->n_inputs; i++)
        vly_free(x->joined[i].data);
    vly_vision_free(x->vision);
    vly_instance_free(x->native);
    vly_free(x->outputs);
    vly_free(x->inputs);
    vly_free(x->joined);
    vly_arena_release(&x->arena);
    vly_free(x);
}

static vly_status need_instance(vly_executor *x, vly_err *err)
{
    return x->native != NULL ? VLY_OK
                             : vly_instance_new(x->servable->model, x->pool, &x->native, err);
}

static vly_status run_model(vly_executor *x, const vly_tensor *inputs, vly_err *err)
{
    vly_status st = need_instance(x, err);
    return st == VLY_OK ? vly_instance_run(x->native, inputs, x->outputs, err) : st;
}

static void release_outputs(vly_tensor *outputs, const vly_executor *x)
{
    for (size_t i = 0; i < x->servable->run_info->n_outputs; i++)
        vly_tensor_release(&outputs[i]);
}

vly_status vly_executor_warm(vly_executor *x, const vly_tensor *inputs, vly_err *err)
{
    vly_status st = run_model(x, inputs, err);

    if (st == VLY_OK)
        release_outputs(x->outputs, x);
    return st;
}

vly_status vly_executor_plan(vly_executor *x, const vly_tensor *inputs, vly_plan_summary *ret,
                             vly_err *err)
{
    size_t n = x->servable->run_info->n_inputs;
    vly_shape *shapes = vly_calloc(VLY_MEM_SCHED, n + 1, sizeof(*shapes));
    vly_status st = need_instance(x, err);

    if (shapes == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for a plan");
    for (size_t i = 0; st == VLY_OK && i < n; i++)
        shapes[i] = inputs[i].shape;
    if (st == VLY_OK)
        st = vly_instance_plan(x->native, shapes, ret, err);
    vly_free(shapes);
    return st;
}

/* ---- one job ---- */

static size_t rows_of(const vly_job *job)
{
    return job->n_inferences != 0 ? job->n_inferences : 1;
}

/* The instance gets the pool, so a lone job is split over the workers that idle; when none does,
 * each worker runs a job of its own, which is the fastest for many. */
static vly_status run_picture(vly_executor *x, vly_job *job, vly_err *err)
{
    vly_vision_times spent = {0};
    vly_status st = VLY_OK;

    if (x->vision == NULL)
        st = vly_vision_new(x->servable, &x->limits->picture, x->pool, &x->vision, err);
    if (st == VLY_OK && job->decoded != NULL)
        st = vly_vision_see(x->vision, job->decoded, &job->options, &x->arena, &job->observations,
                            &spent, err);
    else if (st == VLY_OK)
        st = vly_vision_run(x->vision, job->picture.ptr, job->picture.len, &job->options, &x->arena,
                            &job->observations, job->wants_pixels ? &job->pixels : NULL, &spent,
                            err);
    job->is_model_failure = st != VLY_OK && spent.infer > 0;
    if (st != VLY_OK)
        return st;
    job->times.input += spent.decode + spent.prep;
    job->times.infer += spent.infer;
    job->times.output += spent.post;
    return VLY_OK;
}

static vly_status run_tensors(vly_executor *x, vly_job *job, vly_err *err)
{
    vly_nsec begin = vly_clock_now();
    vly_status st = run_model(x, job->inputs, err);

    job->is_model_failure = st != VLY_OK;
    if (st != VLY_OK)
        return st;
    job->outputs = x->outputs;
    job->times.infer += vly_clock_now() - begin;
    return VLY_OK;
}

/* Everything the job points to in the executor ends here. */
static void drop_results(vly_executor *x, vly_job *job)
{
    if (job->outputs == x->outputs)
        release_outputs(x->outputs, x);
    vly_picture_release(&job->pixels);
    vly_arena_reset(&x->arena);
    job->outputs = NULL;
    job->observations = (vly_observations){.detections = NULL};
}

static vly_status encode(vly_job *job, vly_err *err)
{
    vly_nsec begin = vly_clock_now();
    vly_status st = job->encode != NULL ? job->encode(job, err) : VLY_OK;

    job->times.output += vly_clock_now() - begin;
    return st;
}

static vly_status run_job(vly_executor *x, vly_job *job, bool *ret_ran, vly_err *err)
{
    vly_nsec begin = vly_clock_now();
    vly_status st = VLY_OK;

    if (job->prepare != NULL) {
        st = job->prepare(job, err);
        job->times.input += vly_clock_now() - begin;
    }
    if (st == VLY_OK)
        st = job->kind == VLY_JOB_PICTURE ? run_picture(x, job, err) : run_tensors(x, job, err);
    *ret_ran = st == VLY_OK;
    if (st == VLY_OK)
        st = encode(job, err);
    drop_results(x, job);
    return st;
}

static void run_each(vly_executor *x, vly_job *jobs, const vly_executor_events *events)
{
    while (jobs != NULL) {
        vly_job *job = jobs;
        bool did_run = false;
        jobs = job->next; /* job may go with finish */
        job->status = run_job(x, job, &did_run, &job->err);
        job->times.batch = did_run ? rows_of(job) : 0;
        if (did_run)
            events->ran(events->ctx, rows_of(job), &job->times);
        events->finish(events->ctx, job);
    }
}

/* ---- batches ---- */

static bool same_but_first(const vly_tensor *a, const vly_tensor *b)
{
    bool is_same = a->dtype == b->dtype && a->shape.rank == b->shape.rank;

    for (int i = 1; is_same && i < a->shape.rank; i++)
        is_same = a->shape.dim[i] == b->shape.dim[i];
    return is_same;
}

static bool can_join(const vly_job *job, size_t i)
{
    const vly_tensor *t = &job->inputs[i];
    return t->data != NULL && t->dtype != VLY_DTYPE_STRING && t->shape.rank > 0 &&
           (uint64_t)t->shape.dim[0] == rows_of(job);
}

static bool has_tensors(const vly_job *job)
{
    return job->kind == VLY_JOB_TENSORS && job->prepare == NULL;
}

bool vly_executor_fits(const vly_servable *s, const vly_job *first, const vly_job *job)
{
    if (!has_tensors(first) || !has_tensors(job))
        return false;
    for (size_t i = 0; i < s->run_info->n_inputs; i++)
        if (!can_join(job, i) || !can_join(first, i) ||
            !same_but_first(&first->inputs[i], &job->inputs[i]))
            return false;
    return s->run_info->n_inputs > 0;
}

/* Room for n rows like those of t, in input i. */
static vly_status reserve(vly_executor *x, size_t i, const vly_tensor *t, size_t n, vly_err *err)
{
    joined_input *in = &x->joined[i];
    vly_shape shape = t->shape;
    size_t bytes;

    shape.dim[0] = (int64_t)n;
    if (!vly_shape_bytes(&shape, t->dtype, &bytes) || bytes > SIZE_MAX - VLY_TENSOR_PADDING)
        return vly_fail(err, VLY_ELIMIT, "a batch of %zu is too large", n);
    if (bytes > in->cap || in->data == NULL) {
        vly_free(in->data);
        in->data = vly_alloc_aligned(VLY_MEM_SCHED, bytes + VLY_TENSOR_PADDING);
        in->cap = in->data != NULL ? bytes : 0;
    }
    if (in->data == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a batch of %zu", n);
    x->inputs[i] = vly_tensor_borrow(t->dtype, &shape, in->data);
    return VLY_OK;
}

static vly_status join_inputs(vly_executor *x, const vly_batch *b, size_t n_rows, vly_err *err)
{
    VLY_ASSERT(b->first != NULL);
    for (size_t i = 0; i < x->servable->run_info->n_inputs; i++) {
        vly_status st = reserve(x, i, &b->first->inputs[i], n_rows, err);
        if (st != VLY_OK)
            return st;
        char *at = x->inputs[i].data;
        const char *end = at + x->inputs[i].bytes;
        for (const vly_job *job = b->first; job != NULL; job = job->next) {
            memcpy(at, job->inputs[i].data, job->inputs[i].bytes);
            at += job->inputs[i].bytes;
        }
        memset(at, 0, (size_t)(end - at));
    }
    return VLY_OK;
}

static bool has_rows(const vly_executor *x, size_t n_rows)
{
    for (size_t i = 0; i < x->servable->run_info->n_outputs; i++) {
        const vly_shape *s = &x->outputs[i].shape;
        if (s->rank == 0 || (uint64_t)s->dim[0] != n_rows)
            return false;
    }
    return true;
}

/* The job's rows of the outputs, which begin at row `at`. */
static void take_rows(vly_executor *x, vly_job *job, size_t at)
{
    size_t n = x->servable->run_info->n_outputs;
    vly_tensor *rows = x->outputs + n;

    for (size_t i = 0; i < n; i++) {
        const vly_tensor *all = &x->outputs[i];
        size_t row_bytes = all->bytes / (size_t)all->shape.dim[0];
        rows[i] = vly_tensor_ref(all);
        rows[i].shape.dim[0] = (int64_t)rows_of(job);
        rows[i].data = (char *)all->data + at * row_bytes;
        rows[i].bytes = rows_of(job) * row_bytes;
    }
    job->outputs = rows;
}

/* times: of the run, to which the answers add theirs. */
static void finish_rows(vly_executor *x, const vly_batch *b, vly_job_times *times,
                        const vly_executor_events *events)
{
    vly_tensor *rows = x->outputs + x->servable->run_info->n_outputs;
    vly_job *jobs = b->first;
    size_t at = 0;

    while (jobs != NULL) {
        vly_job *job = jobs;
        jobs = job->next;
        take_rows(x, job, at);
        at += rows_of(job);
        job->times.input = times->input;
        job->times.infer = times->infer;
        job->times.batch = b->n_inferences;
        job->status = encode(job, &job->err);
        release_outputs(rows, x);
        job->outputs = NULL;
        if (job->times.queue > times->queue)
            times->queue = job->times.queue;
        times->output += job->times.output;
        if (jobs == NULL)
            events->ran(events->ctx, b->n_inferences, times);
        events->finish(events->ctx, job);
    }
    release_outputs(x->outputs, x);
}

static size_t rows_to_run(const vly_executor *x, size_t n)
{
    size_t rows = 1;

    while (rows < n)
        rows *= 2;
    return rows > x->limits->max_batch && n <= x->limits->max_batch ? x->limits->max_batch : rows;
}

/* False: the jobs have yet to run one by one. */
static bool run_batch(vly_executor *x, const vly_batch *b, const vly_executor_events *events)
{
    size_t n_rows = rows_to_run(x, b->n_inferences);
    vly_nsec begin = vly_clock_now();
    vly_err unheard; /* the jobs get errors of their own */

    if (join_inputs(x, b, n_rows, &unheard) != VLY_OK)
        return false;
    vly_nsec joined = vly_clock_now();
    if (run_model(x, x->inputs, &unheard) != VLY_OK)
        return false;
    if (!has_rows(x, n_rows)) {
        release_outputs(x->outputs, x);
        events->unbatchable(events->ctx);
        return false;
    }
    vly_job_times times = {.input = joined - begin, .infer = vly_clock_now() - joined};
    finish_rows(x, b, &times, events);
    return true;
}

void vly_executor_run(vly_executor *x, const vly_batch *batch, const vly_executor_events *events)
{
    vly_nsec now = vly_clock_now();

    for (vly_job *job = batch->first; job != NULL; job = job->next)
        job->times = (vly_job_times){.queue = now - job->queued_ns};
    if (batch->n_jobs == 1 || !run_batch(x, batch, events))
        run_each(x, batch->first, events);
}
