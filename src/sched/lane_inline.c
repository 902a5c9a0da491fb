/* SPDX-License-Identifier: MIT */
/*
 * The end of a loop's turn: each lane that has jobs runs them there in batches, until the turn has
 * taken as long as it may. The rest goes on the lane's queue.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "sched/lane_internal.h"

vly_status vly_lane__open_turns(vly_lane *lane, vly_err *err)
{
    unsigned n = lane->home->opts->n_loops;
    vly_status st = VLY_OK;

    lane->turns = vly_calloc(VLY_MEM_SCHED, n + 1, sizeof(*lane->turns));
    if (lane->turns == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", lane->served->name);
    for (unsigned i = 0; st == VLY_OK && i < n; i++) {
        lane->turns[i].tail = &lane->turns[i].head;
        st = vly_executor_new(lane->served->servable, &lane->limits, NULL, &lane->turns[i].executor,
                              err);
    }
    return st;
}

void vly_lane__close_turns(vly_lane *lane)
{
    for (unsigned i = 0; lane->turns != NULL && i < lane->home->opts->n_loops; i++) {
        VLY_ASSERT(lane->turns[i].head == NULL);
        vly_executor_free(lane->turns[i].executor);
    }
    vly_free(lane->turns);
}

/* What one inference costs here, for all that is known. */
static vly_nsec cost_of(const vly_lane *lane)
{
    const vly_calibration *c = &lane->calibration;
    vly_nsec one = c->batch_ns != 0 ? c->batch_ns / c->batch : c->one_ns;
    return one != 0 ? one : 1;
}

static size_t inferences_of(const vly_job *job)
{
    return job->n_inferences != 0 ? job->n_inferences : 1;
}

/* Nothing that could hold up a loop. */
static bool is_short(const vly_lane *lane, const vly_job *job)
{
    return job->kind == VLY_JOB_TENSORS && job->prepare == NULL &&
           inferences_of(job) <= VLY_INLINE_TURN_NS / cost_of(lane);
}

static bool are_short(const vly_lane *lane, vly_job *const *jobs, size_t n)
{
    size_t i = 0;

    while (i < n && is_short(lane, jobs[i]))
        i++;
    return i == n;
}

/* The first jobs of the list that run together, out of it. */
static vly_batch cut_batch(const vly_lane *lane, vly_job **list)
{
    const vly_batch_rules *r = &lane->config.rules;
    size_t most = VLY_INLINE_TURN_NS / cost_of(lane);
    vly_job *last = *list;
    vly_batch b = {.first = last,
                   .n_jobs = 1,
                   .n_inferences = inferences_of(last),
                   .oldest_ns = last->queued_ns,
                   .reason = VLY_BATCH_TURN};

    most = most < r->max_batch ? most : r->max_batch;
    while (last->next != NULL && b.n_inferences + inferences_of(last->next) <= most &&
           r->fits(r->ctx, b.first, last->next)) {
        last = last->next;
        b.n_jobs++;
        b.n_inferences += inferences_of(last);
    }
    *list = last->next;
    last->next = NULL;
    return b;
}

/* Takes the jobs that are not wanted any more out of the list. */
static vly_job *take_dead(vly_job **list, vly_nsec now)
{
    vly_job *dead = NULL, **tail = &dead;

    while (*list != NULL) {
        vly_job *job = *list;
        bool is_cancelled = vly_job_is_cancelled(job);
        bool is_late = job->deadline_ns != 0 && job->deadline_ns <= now;
        if (is_cancelled)
            vly_fail(&job->err, VLY_ECANCELLED, "the client has gone");
        else if (is_late)
            vly_fail(&job->err, VLY_EDEADLINE, "Request timeout expired");
        if (!is_cancelled && !is_late) {
            list = &job->next;
            continue;
        }
        *list = job->next;
        job->next = NULL;
        *tail = job;
        tail = &job->next;
    }
    return dead;
}

static vly_job *link_jobs(vly_job *const *jobs, size_t n, vly_nsec now)
{
    for (size_t i = 0; i < n; i++) {
        jobs[i]->queued_ns = now;
        jobs[i]->next = i + 1 < n ? jobs[i + 1] : NULL;
    }
    return n > 0 ? jobs[0] : NULL;
}

/* ---- a thread that is no loop ---- */

/* An instance that the workers do not need at the moment; NULL: none. */
static vly_lane_instance *borrow(vly_lane *lane)
{
    vly_lane_instance *x = NULL;

    pthread_mutex_lock(&lane->lock);
    if (vly_batch_queue_len(lane->queue) == 0 && lane->idle != NULL &&
        lane->idle->executor != NULL) {
        x = lane->idle;
        lane->idle = x->next;
        lane->n_running++;
    }
    pthread_mutex_unlock(&lane->lock);
    return x;
}

static vly_status run_here(vly_lane *lane, vly_job *const *jobs, size_t n, vly_err *err)
{
    vly_lane_instance *x = are_short(lane, jobs, n) ? borrow(lane) : NULL;

    if (x == NULL)
        return vly_lane__queue(lane, jobs, n, err);
    vly_served *m = vly_served_ref(lane->served);
    vly_job *list = link_jobs(jobs, n, vly_clock_now());
    vly_lane__drop(lane, take_dead(&list, vly_clock_now()));
    while (list != NULL) {
        const vly_batch batch = cut_batch(lane, &list);
        vly_lane__run(lane, x->executor, &batch);
    }
    vly_lane__give_back(x);
    vly_served_unref(m);
    return VLY_OK;
}

/* ---- loops ---- */

/* The turn of the loop that this is, when jobs may wait for its end; NULL: this is another thread,
 * or a loop that has not yet been seen to end a turn. */
static vly_lane_line *line_of(const vly_lane *lane, unsigned loop)
{
    if (loop == 0 || loop > lane->home->opts->n_loops)
        return NULL;
    vly_lane_line *line = &lane->home->lines[loop - 1];
    bool is_it = atomic_load(&line->has_thread) && pthread_equal(line->thread, pthread_self()) != 0;
    return is_it ? line : NULL;
}

static vly_status wait_for_turn(vly_lane *lane, vly_lane_line *line, vly_job *const *jobs, size_t n,
                                vly_err *err)
{
    vly_lane_turn *t = &lane->turns[line - lane->home->lines];
    size_t max = lane->home->opts->max_waiting;

    if (n > max)
        return vly_fail(err, VLY_ELIMIT, "expected at most %zu in one request, got %zu", max, n);
    if (t->n_jobs > max - n)
        return vly_fail(err, VLY_EBUSY, "Exceeds maximum queue size of %zu", max);
    if (n == 0)
        return VLY_OK;
    if (t->n_jobs == 0) {
        t->next = line->first;
        line->first = lane;
    }
    *t->tail = link_jobs(jobs, n, vly_clock_now());
    t->tail = &jobs[n - 1]->next;
    t->n_jobs += n;
    return VLY_OK;
}

vly_status vly_lane__submit_inline(vly_lane *lane, vly_job *const *jobs, size_t n, vly_err *err)
{
    vly_lane_line *line = n > 0 ? line_of(lane, jobs[0]->loop) : NULL;

    if (line == NULL)
        return run_here(lane, jobs, n, err);
    return are_short(lane, jobs, n) ? wait_for_turn(lane, line, jobs, n, err)
                                    : vly_lane__queue(lane, jobs, n, err);
}

/* The jobs for which the turn had no time. */
static void leave_to_workers(vly_lane *lane, vly_job *list)
{
    while (list != NULL) {
        vly_job *job = list;
        list = job->next;
        if (vly_lane__queue(lane, &job, 1, &job->err) == VLY_OK)
            continue;
        job->next = NULL;
        vly_lane__drop(lane, job);
    }
}

static void run_lane(vly_lane *lane, unsigned loop, vly_nsec begin)
{
    vly_lane_turn *t = &lane->turns[loop];
    vly_served *m = vly_served_ref(lane->served);
    vly_job *list = t->head;
    vly_nsec now = vly_clock_now();

    t->head = NULL;
    t->tail = &t->head;
    t->n_jobs = 0;
    vly_lane__drop(lane, take_dead(&list, now));
    for (; list != NULL && now - begin < VLY_INLINE_TURN_NS; now = vly_clock_now()) {
        const vly_batch batch = cut_batch(lane, &list);
        vly_lane__run(lane, t->executor, &batch);
    }
    leave_to_workers(lane, list);
    vly_served_unref(m);
}

void vly_lane_home_turn(vly_lane_home *home, unsigned loop)
{
    vly_lane_line *line = &home->lines[loop];
    vly_nsec begin = vly_clock_now();

    VLY_ASSERT(loop < home->opts->n_loops);
    if (!atomic_load(&line->has_thread)) {
        line->thread = pthread_self();
        atomic_store(&line->has_thread, true);
    }
    while (line->first != NULL) {
        vly_lane *lane = line->first;
        line->first = lane->turns[loop].next;
        run_lane(lane, loop, begin);
    }
}
