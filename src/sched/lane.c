/* SPDX-License-Identifier: MIT */
#include "sched/lane.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/lane_internal.h"
#include "sched/sample_input.h"

#include <string.h>

#define CONFIG_BYTES ((size_t)1 << 20)

/* ---- the end of jobs ---- */

/* The home outlives every thread that calls this. */
static void count_down(vly_lane_home *home, size_t n)
{
    if (atomic_fetch_sub(&home->n_jobs, n) != n || !atomic_load(&home->is_ending))
        return;
    pthread_mutex_lock(&home->lock);
    pthread_cond_broadcast(&home->is_empty);
    pthread_mutex_unlock(&home->lock);
}

void vly_lane_home_wait(vly_lane_home *home)
{
    atomic_store(&home->is_ending, true);
    pthread_mutex_lock(&home->lock);
    while (atomic_load(&home->n_jobs) > 0)
        pthread_cond_wait(&home->is_empty, &home->lock);
    pthread_mutex_unlock(&home->lock);
}

static void answer(vly_lane *lane, vly_job *job)
{
    vly_lane_home *home = lane->home;
    vly_served *m = lane->served;

    vly_served_finish(m, job, job->status);
    vly_served_unref(m); /* the job's */
    count_down(home, 1);
}

/* Hands out what may be answered, one thread at a time, so that answers do not overtake each
 * other; it holds the last job's reference until it has let go of the lane. */
static void answer_in_order(vly_lane *lane, vly_job *job)
{
    vly_served *m = vly_served_ref(lane->served);

    pthread_mutex_lock(&lane->lock);
    *lane->answers_tail = vly_answer_order_end(&lane->order, job);
    while (*lane->answers_tail != NULL)
        lane->answers_tail = &(*lane->answers_tail)->next;
    while (!lane->is_answering && lane->answers != NULL) {
        vly_job *jobs = lane->answers;
        lane->answers = NULL;
        lane->answers_tail = &lane->answers;
        lane->is_answering = true;
        pthread_mutex_unlock(&lane->lock);
        while (jobs != NULL) {
            vly_job *next = jobs->next;
            answer(lane, jobs);
            jobs = next;
        }
        pthread_mutex_lock(&lane->lock);
        lane->is_answering = false;
    }
    pthread_mutex_unlock(&lane->lock);
    vly_served_unref(m);
}

static void finish_job(void *ctx, vly_job *job)
{
    vly_lane *lane = ctx;

    if (lane->config.keeps_order)
        answer_in_order(lane, job);
    else
        answer(lane, job);
}

void vly_lane__drop(vly_lane *lane, vly_job *jobs)
{
    while (jobs != NULL) {
        vly_job *job = jobs;
        jobs = job->next;
        job->status = job->err.status;
        job->times = (vly_job_times){.queue = vly_clock_now() - job->queued_ns};
        answer(lane, job);
    }
}

/* ---- runs ---- */

static void note_batch(vly_lane *lane, const vly_batch_record *r)
{
    pthread_mutex_lock(&lane->lock);
    lane->history[lane->n_batches++ % VLY_BATCH_HISTORY] = *r;
    pthread_mutex_unlock(&lane->lock);
}

static void count_run(void *ctx, size_t n_inferences, const vly_job_times *times)
{
    const vly_lane *lane = ctx;
    vly_served_count_run(lane->served, n_inferences, times);
}

static void note_unbatchable(void *ctx)
{
    vly_lane *lane = ctx;

    if (!atomic_exchange(&lane->is_unbatchable, true))
        vly_warn("model '%s' does not keep a row for each row: its requests run one by one",
                 lane->served->name);
}

void vly_lane__run(vly_lane *lane, vly_executor *x, const vly_batch *batch)
{
    const vly_executor_events events = {
        .ran = count_run, .finish = finish_job, .unbatchable = note_unbatchable, .ctx = lane};
    vly_nsec begin = vly_clock_now();

    vly_executor_run(x, batch, &events);
    note_batch(lane, &(vly_batch_record){
                         .at_ns = begin,
                         .n_jobs = batch->n_jobs,
                         .n_inferences = batch->n_inferences,
                         .reason = batch->reason,
                         .waited_ns = begin > batch->oldest_ns ? begin - batch->oldest_ns : 0,
                         .run_ns = vly_clock_now() - begin});
}

/* Without memory for an executor the jobs fail. */
static void fail_batch(vly_lane *lane, vly_job *jobs, const vly_err *err)
{
    while (jobs != NULL) {
        vly_job *job = jobs;
        jobs = job->next;
        job->status = vly_fail(&job->err, err->status, "%s", err->msg);
        job->times = (vly_job_times){.queue = vly_clock_now() - job->queued_ns};
        finish_job(lane, job);
    }
}

/* ---- instances; all with the lock held, but for send and the turn ---- */

static void sync_pending(vly_lane *lane)
{
    size_t n = vly_batch_queue_len(lane->queue);

    vly_gauge_add(&lane->served->stats.pending, (int64_t)n - (int64_t)lane->n_pending);
    lane->n_pending = n;
}

static void set_alarm(vly_lane *lane, vly_nsec at_ns)
{
    if (at_ns == 0 || (lane->alarm_ns != 0 && lane->alarm_ns <= at_ns))
        return; /* one that rings too early asks again */
    lane->alarm_ns = at_ns;
    vly_alarm_set(lane->home->alarms, &lane->alarm, at_ns);
}

/* Are there more jobs than the instances in the line will take? */
static bool needs_instance(const vly_lane *lane)
{
    size_t max = vly_batch_queue_rules(lane->queue)->max_batch;
    return lane->n_lined == 0 || lane->n_lined * max < vly_batch_queue_len(lane->queue);
}

static vly_nsec sooner(vly_nsec a, vly_nsec b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The instances that have a batch to run, no longer idle: for send. */
static vly_lane_instance *wake(vly_lane *lane, vly_nsec now)
{
    vly_lane_instance *woken = NULL;
    vly_nsec when = 0;

    while (lane->idle != NULL && vly_batch_queue_len(lane->queue) > 0 && needs_instance(lane) &&
           vly_batch_queue_is_ready(lane->queue, now, &when)) {
        vly_lane_instance *x = lane->idle;
        lane->idle = x->next;
        x->next = woken;
        woken = x;
        lane->n_lined++;
        vly_served_ref(lane->served);
    }
    set_alarm(lane, sooner(when, vly_batch_queue_next_expiry(lane->queue)));
    sync_pending(lane);
    return woken;
}

static void line_up(vly_rate_claim *c)
{
    vly_lane_instance *x =
        (vly_lane_instance *)(void *)((char *)c - offsetof(vly_lane_instance, claim));
    vly_status st = vly_worker_pool_submit(x->lane->home->pool, &x->work);

    VLY_ASSERT(st == VLY_OK); /* the pool's line has no bound of its own: see scheduler.c */
}

static void send(vly_lane_instance *woken)
{
    while (woken != NULL) {
        vly_lane_instance *next = woken->next; /* read before the pool may run it */
        if (vly_rate_claim_take(woken->lane->home->limiter, &woken->claim))
            line_up(&woken->claim);
        woken = next;
    }
}

static void ring(vly_alarm *a)
{
    vly_lane *lane = (vly_lane *)((char *)a - offsetof(vly_lane, alarm));

    pthread_mutex_lock(&lane->lock);
    vly_nsec now = vly_clock_now();
    lane->alarm_ns = 0;
    vly_batch_queue_expire(lane->queue, now);
    vly_lane_instance *woken = wake(lane, now);
    vly_job *dropped = vly_batch_queue_dropped(lane->queue);
    pthread_mutex_unlock(&lane->lock);
    send(woken); /* first: with the last job dropped the lane may go */
    vly_lane__drop(lane, dropped);
}

/* They begin, sooner or later than was expected. */
static void end_forecast(const vly_batch *b)
{
    for (const vly_job *job = b->first; job != NULL; job = job->next)
        if (job->starts_ns != NULL)
            atomic_store(job->starts_ns, 0);
}

/* What an instance does in one turn on a worker. */
static bool take_batch(vly_lane *lane, vly_batch *ret)
{
    vly_nsec when = 0;

    pthread_mutex_lock(&lane->lock);
    vly_nsec now = vly_clock_now();
    lane->n_lined--;
    lane->n_running++;
    bool has_batch = vly_batch_queue_take(lane->queue, now, ret, &when);
    if (has_batch) {
        vly_queue_wait_taken(&lane->wait, now, ret->n_jobs, vly_batch_queue_len(lane->queue));
        end_forecast(ret);
    }
    if (has_batch && lane->config.keeps_order)
        for (vly_job *job = ret->first; job != NULL; job = job->next)
            vly_answer_order_begin(&lane->order, job);
    vly_lane_instance *woken = wake(lane, now);
    set_alarm(lane, when);
    vly_job *dropped = vly_batch_queue_dropped(lane->queue);
    pthread_mutex_unlock(&lane->lock);
    send(woken);
    vly_lane__drop(lane, dropped);
    return has_batch;
}

static vly_status need_executor(vly_lane_instance *x, vly_err *err)
{
    vly_lane *lane = x->lane;
    bool is_inline = lane->calibration.mode == VLY_EXECUTION_INLINE;

    if (x->executor != NULL)
        return VLY_OK;
    return vly_executor_new(lane->served->servable, &lane->limits,
                            is_inline ? NULL : lane->home->pool, &x->executor, err);
}

void vly_lane__give_back(vly_lane_instance *x)
{
    vly_lane *lane = x->lane;

    vly_rate_claim_release(lane->home->limiter, &x->claim);
    pthread_mutex_lock(&lane->lock);
    lane->n_running--;
    x->next = lane->idle;
    lane->idle = x;
    vly_lane_instance *woken = wake(lane, vly_clock_now());
    vly_job *dropped = vly_batch_queue_dropped(lane->queue);
    pthread_mutex_unlock(&lane->lock);
    send(woken);
    vly_lane__drop(lane, dropped);
}

static void take_turn(vly_work *work)
{
    vly_lane_instance *x = (vly_lane_instance *)work;
    vly_lane *lane = x->lane;
    vly_served *m = lane->served; /* the instance's reference */
    vly_batch batch;
    vly_err err;

    if (take_batch(lane, &batch)) {
        if (need_executor(x, &err) == VLY_OK)
            vly_lane__run(lane, x->executor, &batch);
        else
            fail_batch(lane, batch.first, &err);
    }
    vly_lane__give_back(x);
    vly_served_unref(m);
}

/* ---- submit ---- */

/* Better no now than a late answer: refuses jobs that would wait for too long, or past their own
 * deadline. Not where there are priorities: the wait of one level is not known. The lock is held.
 */
static vly_status check_wait(const vly_lane *lane, const vly_job *job, vly_nsec now, vly_nsec wait,
                             vly_err *err)
{
    vly_nsec max = lane->home->opts->max_wait_ns;

    if (max > 0 && wait > max)
        return vly_fail(err, VLY_EBUSY, "the wait would be %llu ms, expected at most %llu ms",
                        (unsigned long long)(wait / VLY_NSEC_PER_MS),
                        (unsigned long long)(max / VLY_NSEC_PER_MS));
    if (job->deadline_ns > now && wait > job->deadline_ns - now)
        return vly_fail(err, VLY_EBUSY, "the wait would be %llu ms, which is past the deadline",
                        (unsigned long long)(wait / VLY_NSEC_PER_MS));
    return VLY_OK;
}

/* How long a job that comes now waits; 0: it is not known, or not at all. The lock is held. */
static vly_nsec expected_wait(const vly_lane *lane, vly_nsec now)
{
    if (vly_batch_queue_rules(lane->queue)->n_levels > 1)
        return 0;
    return vly_queue_wait_behind(&lane->wait, now, vly_batch_queue_len(lane->queue));
}

/* The same lock is held as when they were queued: they are there still. */
static void tell_start(vly_job *const *jobs, size_t n, vly_nsec now, vly_nsec wait)
{
    for (size_t i = 0; i < n && wait != 0; i++)
        if (jobs[i]->starts_ns != NULL)
            atomic_store(jobs[i]->starts_ns, wait < UINT64_MAX - now ? now + wait : UINT64_MAX);
}

vly_status vly_lane__queue(vly_lane *lane, vly_job *const *jobs, size_t n, vly_err *err)
{
    vly_lane_instance *woken = NULL;

    pthread_mutex_lock(&lane->lock);
    vly_nsec now = vly_clock_now();
    vly_batch_queue_set_max_waiting(lane->queue, lane->home->opts->max_waiting);
    vly_nsec wait = expected_wait(lane, now);
    vly_status st = check_wait(lane, jobs[0], now, wait, err);
    if (st == VLY_OK)
        st = vly_batch_queue_push(lane->queue, jobs, n, now, lane->n_lined + lane->n_running > 0,
                                  err);
    if (st == VLY_OK) {
        tell_start(jobs, n, now, wait);
        woken = wake(lane, now);
    }
    vly_job *dropped = vly_batch_queue_dropped(lane->queue);
    pthread_mutex_unlock(&lane->lock);
    send(woken);
    vly_lane__drop(lane, dropped);
    return st;
}

static vly_status lane_submit(vly_runner *r, vly_job *const *jobs, size_t n, vly_err *err)
{
    vly_lane *lane = (vly_lane *)r;
    vly_served *m = lane->served;

    atomic_fetch_add(&lane->home->n_jobs, n);
    for (size_t i = 0; i < n; i++)
        vly_served_ref(m);
    vly_status st = lane->turns != NULL ? vly_lane__submit_inline(lane, jobs, n, err)
                                        : vly_lane__queue(lane, jobs, n, err);
    if (st == VLY_OK)
        return st;
    if (st == VLY_EBUSY) {
        vly_served_count_rejected(m, jobs[0], n);
        vly_fail_in(err, st, "model '%s'", m->name);
    }
    count_down(lane->home, n);
    for (size_t i = 0; i < n; i++) /* never the last ones: the caller holds one */
        vly_served_unref(m);
    return st;
}

/* ---- life ---- */

static bool fits(const void *ctx, const vly_job *first, const vly_job *job)
{
    const vly_lane *lane = ctx;

    return !atomic_load(&lane->is_unbatchable) &&
           vly_executor_fits(lane->served->servable, first, job);
}

static vly_status warm_up(vly_lane *lane, const vly_triton_warmup *w, vly_err *err)
{
    const vly_servable *s = lane->served->servable;
    vly_tensor *inputs = NULL;
    vly_status st = vly_warmup_inputs(s, w, &inputs, err);

    for (size_t i = 0; st == VLY_OK && i < lane->n_instances; i++) {
        vly_lane_instance *x = &lane->instances[i];
        st = need_executor(x, err);
        for (int64_t k = 0; st == VLY_OK && k < (w->count > 0 ? w->count : 1); k++)
            st = vly_executor_warm(x->executor, inputs, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "model_warmup '%.*s'", VLY_STR_ARG(w->name));
    }
    vly_sample_inputs_free(s, inputs);
    return st;
}

static vly_status warm_up_all(vly_lane *lane, vly_err *err)
{
    const vly_triton_config *c = lane->served->servable->config;
    vly_status st = VLY_OK;

    for (size_t i = 0; st == VLY_OK && c != NULL && i < c->n_warmups; i++)
        st = warm_up(lane, &c->warmups[i], err);
    return st;
}

/* The first instance is the one that was measured, when it is to run on one core anyway. */
static vly_status choose_mode(vly_lane *lane, vly_err *err)
{
    vly_servable *s = lane->served->servable;
    vly_executor *x = NULL;
    vly_execution asked = VLY_EXECUTION_AUTO;
    vly_status st = VLY_OK;

    if (lane->home->opts->execution != NULL)
        st = vly_execution_parse(vly_str_from(lane->home->opts->execution), &asked, err);
    if (st == VLY_OK)
        st = vly_run_config_read(s, asked, &lane->arena, &lane->config, err);
    lane->limits.max_batch = lane->config.max_batch;
    if (lane->config.n_instances != 0 && lane->config.n_instances < lane->n_instances)
        lane->n_instances = lane->config.n_instances;
    if (st == VLY_OK)
        st = vly_executor_new(s, &lane->limits, NULL, &x, err);
    if (st != VLY_OK)
        return st;
    lane->calibration = vly_calibrate(s, &lane->config, x);
    if (lane->calibration.mode == VLY_EXECUTION_INLINE)
        lane->instances[0].executor = x;
    else
        vly_executor_free(x);
    return lane->calibration.mode == VLY_EXECUTION_INLINE ? vly_lane__open_turns(lane, err) : st;
}

static vly_status open_queue(vly_lane *lane, vly_err *err)
{
    vly_batch_rules *r = &lane->config.rules;

    if (lane->calibration.mode == VLY_EXECUTION_PARALLEL) {
        r->max_batch = 1;
        r->n_preferred = 0;
    }
    r->max_waiting = lane->home->opts->max_waiting;
    r->fits = fits;
    r->ctx = lane;
    return vly_batch_queue_new(r, &lane->queue, err);
}

static vly_status make_instances(vly_lane *lane, vly_err *err)
{
    size_t n = vly_worker_pool_threads(lane->home->pool);

    lane->instances = vly_calloc(VLY_MEM_SCHED, n, sizeof(*lane->instances));
    if (lane->instances == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", lane->served->name);
    for (size_t i = 0; i < n; i++)
        lane->instances[i] = (vly_lane_instance){
            .work = {.run = take_turn}, .lane = lane, .claim = {.granted = line_up}};
    lane->n_instances = n; /* each worker runs at most one at a time */
    return VLY_OK;
}

/* The instances of the groups, one group after the other. */
static vly_status claim_resources(vly_lane *lane, vly_err *err)
{
    const vly_triton_config *c = lane->served->servable->config;
    vly_status st = VLY_OK;
    size_t at = 0;

    for (size_t g = 0; st == VLY_OK && c != NULL && g < c->n_instance_groups; g++) {
        const vly_triton_instance_group *group = &c->instance_groups[g];
        size_t n = group->is_passive ? 0 : (size_t)group->count;
        for (; st == VLY_OK && n > 0 && at < lane->n_instances; n--, at++)
            st = vly_rate_claim_init(lane->home->limiter, group->rate_limiter,
                                     &lane->instances[at].claim, err);
    }
    return st;
}

static void idle_instances(vly_lane *lane)
{
    for (size_t i = lane->n_instances; i-- > 0;) {
        lane->instances[i].next = lane->idle;
        lane->idle = &lane->instances[i];
    }
}

static void lane_free(vly_runner *r)
{
    vly_lane *lane = (vly_lane *)r;
    vly_lane_home *home = lane->home;

    vly_alarm_end(home->alarms, &lane->alarm);
    vly_lane__close_turns(lane);
    for (size_t i = 0; lane->instances != NULL && i < lane->n_instances; i++)
        vly_executor_free(lane->instances[i].executor);
    vly_batch_queue_free(lane->queue);
    pthread_mutex_destroy(&lane->lock);
    vly_free(lane->instances);
    vly_arena_release(&lane->arena);
    vly_free(lane);
}

static void lane_explain(vly_runner *r, vly_explanation *ret)
{
    vly_lane *lane = (vly_lane *)r;

    pthread_mutex_lock(&lane->lock);
    const vly_batch_rules *rules = vly_batch_queue_rules(lane->queue);
    size_t n = lane->n_batches < VLY_BATCH_HISTORY ? lane->n_batches : VLY_BATCH_HISTORY;
    *ret = (vly_explanation){.calibration = lane->calibration,
                             .n_instances = lane->n_instances,
                             .n_running = lane->n_running,
                             .n_waiting = vly_batch_queue_len(lane->queue),
                             .keeps_order = lane->config.keeps_order,
                             .is_unbatchable = atomic_load(&lane->is_unbatchable),
                             .rules = rules,
                             .arrivals = vly_batch_queue_arrivals(lane->queue),
                             .n_batches = n};
    ret->max_batch = ret->is_unbatchable ? 1 : rules->max_batch;
    for (size_t i = 0; i < n; i++)
        ret->batches[i] = lane->history[(lane->n_batches - 1 - i) % VLY_BATCH_HISTORY];
    pthread_mutex_unlock(&lane->lock);
}

static const vly_runner_ops ops = {
    .submit = lane_submit, .free = lane_free, .explain = lane_explain};

vly_status vly_lane_new(vly_served *served, vly_lane_home *home, vly_runner **ret, vly_err *err)
{
    vly_lane *lane = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*lane));

    if (lane == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", served->name);
    *lane = (vly_lane){.runner = {&ops},
                       .served = served,
                       .home = home,
                       .limits = {.picture = home->opts->picture_limits,
                                  .max_scratch_bytes = home->opts->max_scratch_bytes},
                       .alarm = {.ring = ring}};
    lane->answers_tail = &lane->answers;
    pthread_mutex_init(&lane->lock, NULL);
    vly_arena_init(&lane->arena, VLY_MEM_SCHED, 1 << 10, CONFIG_BYTES);
    vly_status st = make_instances(lane, err);
    if (st == VLY_OK)
        st = choose_mode(lane, err);
    if (st == VLY_OK)
        st = claim_resources(lane, err);
    if (st == VLY_OK)
        st = open_queue(lane, err);
    if (st == VLY_OK)
        st = warm_up_all(lane, err);
    if (st != VLY_OK) {
        lane_free(&lane->runner);
        return st;
    }
    idle_instances(lane);
    *ret = &lane->runner;
    return VLY_OK;
}
