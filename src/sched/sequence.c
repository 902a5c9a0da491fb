/* SPDX-License-Identifier: MIT */
/*
 * A sequence has one job in the lane at a time, in a vly_job of its own, so that a request costs no
 * allocation. Every accepted job holds a reference to the served model, and a sequence that has
 * jobs is in the table: whoever hands a job on touches neither runner nor sequence afterwards.
 */
#include "sched/sequence.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define N_BUCKETS         1024
#define DEFAULT_SEQUENCES 10000

typedef struct batcher batcher;
typedef struct sequence sequence;

struct sequence {
    batcher *owner;
    uint64_t id;           /* 0: it has a name */
    vly_str name;          /* behind the struct */
    bool is_open;          /* the last job that came was no END: guarded by lock, as all until */
    bool is_candidate;     /* its jobs may run */
    vly_job *current;      /* given to the lane; NULL: none */
    vly_job *head, **tail; /* those that wait for it */
    vly_nsec used_ns;      /* its last job ended then */
    bool is_idle;          /* without jobs: in the list of idle ones */
    sequence *older, *newer;
    sequence *next;         /* in its bucket */
    sequence *next_waiting; /* to be a candidate */

    vly_job inner; /* owner: the current job, as of all below */
    vly_tensor *inputs, *outputs, *states;
    union {
        uint64_t number;
        vly_str text;
    } corrid; /* what its control tensor holds */
};

struct batcher {
    vly_runner runner; /* first: a pointer to it is a pointer to the batcher */
    vly_alarm alarm;
    vly_served *served;
    const vly_sequence_plan *plan;
    vly_runner *lane;
    vly_alarms *alarms;
    const vly_scheduler_opts *opts; /* its max_waiting bounds n_jobs */
    size_t max_sequences;
    size_t n_inputs; /* of a run */
    pthread_mutex_t lock;
    size_t n_jobs, n_sequences, n_candidates; /* guarded by lock, as all below */
    bool is_stopping;
    sequence *oldest, *newest; /* idle ones */
    sequence *waiting, **waiting_tail;
    sequence *buckets[N_BUCKETS];
};

/* ---- the table; the caller holds the lock ---- */

static sequence **bucket_of(batcher *b, uint64_t id, vly_str name)
{
    vly_str key = id != 0 ? (vly_str){(const char *)&id, sizeof(id)} : name;
    return &b->buckets[vly_map_hash(key) % N_BUCKETS];
}

/* The link to the sequence, or to the end of its bucket. */
static sequence **find(batcher *b, uint64_t id, vly_str name)
{
    sequence **at = bucket_of(b, id, name);

    while (*at != NULL && ((*at)->id != id || !vly_str_eq((*at)->name, name)))
        at = &(*at)->next;
    return at;
}

static sequence *sequence_new(batcher *b, uint64_t id, vly_str name)
{
    size_t n_outputs = b->plan->info->n_outputs, n_states = b->plan->n_states;
    size_t tensors = (b->n_inputs + n_outputs + n_states) * sizeof(vly_tensor);
    sequence *q = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*q) + tensors + name.len);

    if (q == NULL)
        return NULL;
    q->owner = b;
    q->tail = &q->head;
    q->inputs = (vly_tensor *)(q + 1);
    q->outputs = q->inputs + b->n_inputs;
    q->states = q->outputs + n_outputs;
    q->id = id;
    if (name.len > 0) {
        char *copy = (char *)(q->states + n_states);
        memcpy(copy, name.ptr, name.len);
        q->name = (vly_str){copy, name.len};
    }
    return q;
}

/* Of a sequence that is in no table any more. */
static void sequence_free(sequence *q)
{
    for (size_t i = 0; i < q->owner->plan->n_states; i++)
        vly_tensor_release(&q->states[i]);
    vly_free(q);
}

static void make_candidate(batcher *b, sequence *q)
{
    q->is_candidate = true;
    b->n_candidates++;
}

static void let_wait(batcher *b, sequence *q)
{
    q->next_waiting = NULL;
    *b->waiting_tail = q;
    b->waiting_tail = &q->next_waiting;
}

static sequence *add(batcher *b, uint64_t id, vly_str name)
{
    sequence *q = sequence_new(b, id, name);

    if (q == NULL)
        return NULL;
    *find(b, id, name) = q;
    b->n_sequences++;
    vly_gauge_add(&b->served->stats.sequences, 1);
    if (b->n_candidates < b->plan->max_candidates)
        make_candidate(b, q);
    else
        let_wait(b, q);
    return q;
}

/* The caller frees it, without the lock. */
static void take_out(batcher *b, sequence *q)
{
    *find(b, q->id, q->name) = q->next;
    b->n_sequences--;
    vly_gauge_add(&b->served->stats.sequences, -1);
}

/* The next job goes to the lane as soon as the lock is given back. */
static void take_job(batcher *b, sequence *q)
{
    q->current = q->head;
    q->head = q->current->next;
    if (q->head == NULL)
        q->tail = &q->head;
    vly_gauge_add(&b->served->stats.pending, -1);
}

/* Sequences for which there is room now become candidates; those that have to be started come back
 * as a list. */
static sequence *promote(batcher *b)
{
    sequence *first = NULL, **tail = &first;

    while (b->waiting != NULL && b->n_candidates < b->plan->max_candidates) {
        sequence *q = b->waiting;
        b->waiting = q->next_waiting;
        if (b->waiting == NULL)
            b->waiting_tail = &b->waiting;
        make_candidate(b, q);
        take_job(b, q); /* it waits because of a job */
        q->next_waiting = NULL;
        *tail = q;
        tail = &q->next_waiting;
    }
    return first;
}

/* ---- idle ones; the caller holds the lock ---- */

/* In order of used_ns, which is nearly that of coming here. */
static void begin_idling(batcher *b, sequence *q)
{
    sequence *older = b->newest;

    while (older != NULL && older->used_ns > q->used_ns)
        older = older->older;
    q->is_idle = true;
    q->older = older;
    q->newer = older != NULL ? older->newer : b->oldest;
    *(q->older != NULL ? &q->older->newer : &b->oldest) = q;
    *(q->newer != NULL ? &q->newer->older : &b->newest) = q;
    if (b->oldest == q)
        vly_alarm_set(b->alarms, &b->alarm, q->used_ns + b->plan->max_idle_ns);
}

static void end_idling(batcher *b, sequence *q)
{
    *(q->older != NULL ? &q->older->newer : &b->oldest) = q->newer;
    *(q->newer != NULL ? &q->newer->older : &b->newest) = q->older;
    q->older = q->newer = NULL;
    q->is_idle = false;
}

/* ---- the end of a run ---- */

/* Its jobs will never be computed right. */
static void fail_all(batcher *b, vly_job *jobs)
{
    while (jobs != NULL) {
        vly_job *job = jobs;
        jobs = job->next;
        vly_fail(&job->err, VLY_ECANCELLED,
                 "model '%s': the sequence ended with an earlier request that was not run",
                 b->served->name);
        vly_served_finish(b->served, job, VLY_ECANCELLED);
        vly_served_unref(b->served); /* the caller holds another one */
    }
}

/* How a job ended, for its sequence. */
typedef struct ending {
    bool is_broken; /* what comes behind it would be computed without it */
    bool is_end;    /* it was the last */
} ending;

static size_t count(const vly_job *jobs)
{
    size_t n = 0;

    for (; jobs != NULL; jobs = jobs->next)
        n++;
    return n;
}

/* What a sequence leaves behind when its job has ended. */
typedef struct remains {
    vly_job *failed;    /* that waited behind one that was not run */
    sequence *gone;     /* to be freed; NULL: it lives on */
    sequence *to_start; /* list */
} remains;

/* It leaves its place as a candidate to those that wait, itself at the end when it has jobs. */
static void end_sequence(batcher *b, sequence *q, remains *r)
{
    q->is_candidate = false;
    b->n_candidates--;
    if (q->head != NULL) {
        let_wait(b, q);
    } else {
        take_out(b, q);
        r->gone = q;
    }
    r->to_start = promote(b);
}

/* Before the job is given back, so that its place is free when its client knows. */
static remains settle(batcher *b, sequence *q, const ending *e)
{
    remains r = {.failed = NULL};
    size_t n_failed = 0;

    pthread_mutex_lock(&b->lock);
    q->used_ns = vly_clock_now();
    if (e->is_broken) {
        n_failed = count(q->head);
        r.failed = q->head;
        q->head = NULL;
        q->tail = &q->head;
    }
    b->n_jobs -= 1 + n_failed;
    if (e->is_broken || e->is_end) {
        q->current = NULL;
        end_sequence(b, q, &r);
    } else if (q->head == NULL) {
        q->is_open = true; /* also when its END was refused */
    }
    pthread_mutex_unlock(&b->lock);
    vly_gauge_add(&b->served->stats.pending, -(int64_t)n_failed);
    return r;
}

/* After it was given back, so that answers keep their order. */
static void carry_on(batcher *b, sequence *q, remains *r)
{
    pthread_mutex_lock(&b->lock);
    q->current = NULL;
    if (q->head != NULL) {
        take_job(b, q);
        q->next_waiting = NULL;
        r->to_start = q;
    } else if (b->is_stopping) {
        end_sequence(b, q, r);
    } else {
        begin_idling(b, q);
    }
    pthread_mutex_unlock(&b->lock);
}

/* Was the job refused for what it holds, so that nothing is missing without it? */
static bool is_refusal(vly_status st)
{
    return st == VLY_EINVAL || st == VLY_EFORMAT || st == VLY_ELIMIT || st == VLY_EMEDIA;
}

static ending ending_of(const vly_job *job)
{
    vly_status st = job->status;
    return (ending){.is_broken = st != VLY_OK && (!is_refusal(st) || job->sequence.is_start),
                    .is_end = st == VLY_OK && job->sequence.is_end};
}

/* Gives the current job back, which has been counted. Returns the sequences to start; those hold
 * references of their own, and so do their jobs. */
static sequence *end_turn(sequence *q, vly_job *job)
{
    batcher *b = q->owner;
    vly_served *m = b->served;
    const ending e = ending_of(job);
    remains r = settle(b, q, &e);

    job->done(job);
    if (!e.is_broken && !e.is_end)
        carry_on(b, q, &r);
    fail_all(b, r.failed);
    if (r.gone != NULL)
        sequence_free(r.gone);
    vly_served_unref(m);
    return r.to_start;
}

/* ---- a run ---- */

/* The old memory is used when nobody else looks at it: an answer under way may. */
static vly_status keep_state(vly_tensor *state, const vly_tensor *out, vly_err *err)
{
    vly_tensor copy;

    if (state->dtype == out->dtype && state->dtype != VLY_DTYPE_STRING &&
        vly_shape_eq(&state->shape, &out->shape) && vly_tensor_is_unique(state)) {
        if (state->bytes > 0)
            memmove(state->data, out->data, state->bytes); /* they may be the same */
        return VLY_OK;
    }
    vly_status st = vly_tensor_copy(out, &copy, err);
    if (st != VLY_OK)
        return st;
    vly_tensor_release(state);
    *state = copy;
    return VLY_OK;
}

static vly_status inner_encode(vly_job *inner, vly_err *err)
{
    sequence *q = inner->ctx;
    const vly_sequence_plan *plan = q->owner->plan;
    vly_job *job = q->current;
    vly_status st = VLY_OK;

    inner->times.queue += inner->queued_ns - job->queued_ns;
    for (size_t i = 0; i < plan->info->n_outputs; i++)
        q->outputs[i] = inner->outputs[plan->outputs[i]];
    job->outputs = q->outputs;
    if (job->encode != NULL)
        st = job->encode(job, err);
    job->outputs = NULL;
    for (size_t i = 0; i < plan->n_states && st == VLY_OK; i++)
        st = keep_state(&q->states[i], &inner->outputs[plan->states[i].output], err);
    return st;
}

static vly_tensor corrid_tensor(sequence *q, const vly_tensor *of)
{
    if (of->dtype == VLY_DTYPE_STRING)
        q->corrid.text = q->name;
    else
        q->corrid.number = q->id; /* little-endian: the low half comes first */
    return vly_tensor_borrow(of->dtype, &of->shape, &q->corrid);
}

static void fill_inputs(sequence *q)
{
    const vly_job *job = q->current;

    for (size_t i = 0; i < q->owner->n_inputs; i++) {
        const vly_sequence_input *in = &q->owner->plan->inputs[i];
        switch (in->source) {
        case VLY_SEQUENCE_CLIENT:
            q->inputs[i] = job->inputs[in->idx];
            break;
        case VLY_SEQUENCE_STATE:
            q->inputs[i] = q->states[in->idx];
            break;
        case VLY_SEQUENCE_START:
            q->inputs[i] = in->values[job->sequence.is_start];
            break;
        case VLY_SEQUENCE_END:
            q->inputs[i] = in->values[job->sequence.is_end];
            break;
        case VLY_SEQUENCE_READY:
            q->inputs[i] = in->values[true];
            break;
        case VLY_SEQUENCE_CORRID:
            q->inputs[i] = corrid_tensor(q, &in->values[0]);
            break;
        }
    }
}

static vly_status reset_states(sequence *q, vly_err *err)
{
    const vly_sequence_plan *plan = q->owner->plan;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < plan->n_states && st == VLY_OK; i++)
        st = keep_state(&q->states[i], &plan->states[i].initial, err);
    return st;
}

static void start_all(sequence *first, unsigned loop);

static sequence *give_back(sequence *q)
{
    vly_job *job = q->current;

    job->status = q->inner.status;
    job->err = q->inner.err;
    job->is_model_failure = q->inner.is_model_failure;
    job->times = q->inner.times;
    return end_turn(q, job);
}

static void inner_done(vly_job *inner)
{
    start_all(give_back(inner->ctx), 0);
}

static void counted(vly_job *inner)
{
    (void)inner;
}

static vly_status inner_prepare(vly_job *inner, vly_err *err)
{
    sequence *q = inner->ctx;
    vly_job *job = q->current;
    vly_status st = job->prepare(job, err);

    if (st == VLY_OK)
        fill_inputs(q);
    return st;
}

/* Gives the current job to the lane. loop: as in vly_job. */
static vly_status start(sequence *q, unsigned loop, vly_err *err)
{
    batcher *b = q->owner;
    vly_job *job = q->current, *inner = &q->inner;

    *inner = (vly_job){.kind = VLY_JOB_TENSORS,
                       .ctx = q,
                       .loop = loop,
                       .is_cancelled = job->is_cancelled,
                       .deadline_ns = job->deadline_ns,
                       .received_ns = job->received_ns,
                       .priority = job->priority,
                       .timeout_us = job->timeout_us,
                       .prepare = job->prepare != NULL ? inner_prepare : NULL,
                       .encode = inner_encode,
                       .done = inner_done,
                       .inputs = q->inputs,
                       .n_inferences = 1};
    vly_status st = job->sequence.is_start ? reset_states(q, err) : VLY_OK;
    if (st != VLY_OK)
        return st;
    if (job->prepare == NULL)
        fill_inputs(q);
    return b->lane->ops->submit(b->lane, &inner, 1, err);
}

/* The current job could not be started. Returns the sequences to start instead. */
static sequence *give_up(sequence *q, vly_status st, const vly_err *err)
{
    q->inner.err = *err;
    q->inner.done = counted;
    vly_served_finish(q->owner->served, &q->inner, st);
    return give_back(q);
}

/* Starts the sequences of a list, and touches nothing more once the last is started. */
static void start_all(sequence *first, unsigned loop)
{
    vly_err err;

    while (first != NULL) {
        sequence *q = first;
        first = q->next_waiting; /* read before it runs */
        vly_status st = start(q, loop, &err);
        if (st == VLY_OK)
            continue;
        sequence **tail = &first;
        while (*tail != NULL)
            tail = &(*tail)->next_waiting;
        *tail = give_up(q, st, &err);
    }
}

/* ---- submit ---- */

static vly_status check(const batcher *b, const vly_job *job, vly_err *err)
{
    const vly_job_sequence *s = &job->sequence;
    const char *model = b->served->name;

    if (s->id == 0 && s->name.len == 0)
        return vly_fail(err, VLY_EINVAL,
                        "inference request to model '%s' must specify a non-zero or non-empty "
                        "correlation ID",
                        model);
    if (s->name.len > VLY_SEQUENCE_NAME_MAX)
        return vly_fail(err, VLY_EINVAL,
                        "inference request to model '%s': expected a correlation ID of at most %d "
                        "bytes, got %zu",
                        model, VLY_SEQUENCE_NAME_MAX, s->name.len);
    if (b->plan->corrid_dtype != VLY_DTYPE_UNDEFINED &&
        (b->plan->corrid_dtype == VLY_DTYPE_STRING) != (s->name.len > 0))
        return vly_fail(err, VLY_EINVAL,
                        "inference request to model '%s': expected a correlation ID that is a %s",
                        model, b->plan->corrid_dtype == VLY_DTYPE_STRING ? "string" : "number");
    if (job->n_inferences > 1)
        return vly_fail(err, VLY_EINVAL,
                        "inference request to model '%s' must specify batch-size 1 due to "
                        "requirements of sequence batcher",
                        model);
    return VLY_OK;
}

static vly_status fail_not_started(const batcher *b, uint64_t id, vly_str name, vly_err *err)
{
    char number[24];

    snprintf(number, sizeof(number), "%llu", (unsigned long long)id);
    if (id != 0)
        name = vly_str_from(number);
    return vly_fail(err, VLY_EINVAL,
                    "inference request for sequence %.*s to model '%s' must specify the START flag "
                    "on the first request of the sequence",
                    VLY_STR_ARG(name), b->served->name);
}

/* The sequence of the job, which is perhaps its first. The caller holds the lock. */
static vly_status admit(batcher *b, const vly_job *job, sequence **ret, vly_err *err)
{
    vly_str name = job->sequence.name;
    uint64_t id = name.len > 0 ? 0 : job->sequence.id;
    sequence *q = *find(b, id, name);

    if (!job->sequence.is_start && (q == NULL || !q->is_open))
        return fail_not_started(b, id, name, err);
    size_t max = b->opts->max_waiting;
    if (b->n_jobs >= max)
        return vly_fail(err, VLY_EBUSY, "model '%s': Exceeds maximum queue size of %zu",
                        b->served->name, max);
    if (q == NULL && b->n_sequences >= b->max_sequences)
        return vly_fail(err, VLY_EBUSY, "model '%s': expected at most %zu live sequences",
                        b->served->name, b->max_sequences);
    if (q == NULL)
        q = add(b, id, name);
    else if (q->is_idle)
        end_idling(b, q);
    if (q == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", b->served->name);
    *ret = q;
    return VLY_OK;
}

static vly_status batcher_submit(vly_runner *r, vly_job *const *jobs, size_t n, vly_err *err)
{
    batcher *b = (batcher *)r;
    vly_job *job = jobs[0];
    sequence *q = NULL;
    unsigned loop = job->loop;
    bool is_first = false;

    if (n != 1)
        return vly_fail(err, VLY_ELIMIT, "model '%s' keeps state: expected one job, got %zu",
                        b->served->name, n);
    vly_status st = check(b, job, err);
    if (st != VLY_OK)
        return st;
    job->queued_ns = vly_clock_now();
    job->times = (vly_job_times){0};
    job->next = NULL;
    pthread_mutex_lock(&b->lock);
    st = admit(b, job, &q, err);
    if (st == VLY_OK) {
        vly_served_ref(b->served);
        b->n_jobs++;
        q->is_open = !job->sequence.is_end;
        *q->tail = job;
        q->tail = &job->next;
        vly_gauge_add(&b->served->stats.pending, 1);
        is_first = q->is_candidate && q->current == NULL;
        if (is_first) {
            take_job(b, q);
            q->next_waiting = NULL;
        }
    }
    pthread_mutex_unlock(&b->lock);
    if (st == VLY_EBUSY)
        vly_served_count_rejected(b->served, job, 1);
    if (is_first)
        start_all(q, loop);
    return st;
}

/* ---- the end ---- */

void vly_sequence_expire(vly_runner *r, vly_nsec now)
{
    batcher *b = (batcher *)r;
    sequence *gone = NULL;

    pthread_mutex_lock(&b->lock);
    while (b->oldest != NULL &&
           (b->is_stopping || b->oldest->used_ns + b->plan->max_idle_ns <= now)) {
        sequence *q = b->oldest;
        end_idling(b, q);
        take_out(b, q);
        b->n_candidates--;
        q->next_waiting = gone;
        gone = q;
    }
    sequence *to_start = promote(b);
    if (b->oldest != NULL)
        vly_alarm_set(b->alarms, &b->alarm, b->oldest->used_ns + b->plan->max_idle_ns);
    pthread_mutex_unlock(&b->lock);
    while (gone != NULL) {
        sequence *q = gone;
        gone = q->next_waiting;
        sequence_free(q);
    }
    start_all(to_start, 0);
}

/* No sequence goes on, so those that wait for a place get it. */
static void batcher_stop(vly_runner *r)
{
    batcher *b = (batcher *)r;

    pthread_mutex_lock(&b->lock);
    b->is_stopping = true;
    pthread_mutex_unlock(&b->lock);
    vly_sequence_expire(r, vly_clock_now());
}

static void ring(vly_alarm *a)
{
    batcher *b = (batcher *)(void *)((char *)a - offsetof(batcher, alarm));
    vly_sequence_expire(&b->runner, vly_clock_now());
}

/* Only idle sequences can be left. */
static void batcher_free(vly_runner *r)
{
    batcher *b = (batcher *)r;

    vly_alarm_end(b->alarms, &b->alarm);
    VLY_ASSERT(b->n_jobs == 0);
    while (b->oldest != NULL) {
        sequence *q = b->oldest;
        b->oldest = q->newer;
        sequence_free(q);
    }
    b->lane->ops->free(b->lane);
    pthread_mutex_destroy(&b->lock);
    vly_free(b);
}

static void batcher_explain(vly_runner *r, struct vly_explanation *ret)
{
    vly_runner *lane = ((batcher *)r)->lane;
    lane->ops->explain(lane, ret);
}

static const vly_runner_ops ops = {.submit = batcher_submit,
                                   .stop = batcher_stop,
                                   .free = batcher_free,
                                   .explain = batcher_explain};

vly_status vly_sequence_new(vly_served *served, const vly_scheduler_opts *opts, vly_alarms *alarms,
                            vly_runner *lane, vly_runner **ret, vly_err *err)
{
    batcher *b = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*b));

    if (b == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", served->name);
    b->runner.ops = &ops;
    b->alarm.ring = ring;
    b->served = served;
    b->plan = served->servable->sequence;
    b->lane = lane;
    b->alarms = alarms;
    b->opts = opts;
    b->max_sequences = opts->max_sequences != 0 ? opts->max_sequences : DEFAULT_SEQUENCES;
    b->n_inputs = served->servable->run_info->n_inputs;
    b->waiting_tail = &b->waiting;
    pthread_mutex_init(&b->lock, NULL);
    *ret = &b->runner;
    return VLY_OK;
}
