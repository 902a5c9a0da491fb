/* SPDX-License-Identifier: MIT */
/*
 * The line of a loop holds the attachments that have readings to run, or an end to come to, in the
 * order in which they came. A batch takes some of them out, as many readings as the time allows;
 * what is left goes to the end of the line, so that one with much to run delays nobody.
 *
 * How long a turn may take: VLY_INLINE_TURN_NS, or, when the line was not empty at the end of the
 * turn before, as long as the loop was busy with other things since then. So a loop whose sockets
 * keep it busy for 20 ms at a time, with all that comes by them, runs for 20 ms, too: readings do
 * not pile up, and nothing else waits longer than twice as long as without them.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/imu_internal.h"
#include "sched/lane.h"

#include <time.h>

#define READINGS_KEPT       64 /* room that a session keeps while nothing waits */
#define BATCH_READINGS_MIN  64 /* whatever they cost */
#define SHARE_MIN           16 /* readings of one session, when many have some */
#define READING_NS_AT_FIRST 500.0
#define TURN_NS_MAX         (50 * VLY_NSEC_PER_MS)

vly_status vly_imu__loops_new(vly_imu_sessions *s, vly_err *err)
{
    vly_status st = VLY_OK;

    s->loops = vly_calloc(VLY_MEM_SCHED, s->opts.n_loops, sizeof(*s->loops));
    if (s->loops == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the loops of imu sessions");
    for (unsigned i = 0; i < s->opts.n_loops; i++) {
        s->loops[i].tail = &s->loops[i].first;
        s->loops[i].reading_ns = READING_NS_AT_FIRST;
    }
    for (unsigned i = 0; st == VLY_OK && i < s->opts.n_loops; i++)
        st = vly_step_batcher_new(s->opts.model, &s->loops[i].batcher, err);
    return st;
}

void vly_imu__loops_free(vly_imu_sessions *s)
{
    for (unsigned i = 0; s->loops != NULL && i < s->opts.n_loops; i++) {
        while (s->loops[i].first != NULL)
            vly_imu_sessions_turn(s, i);
        vly_step_batcher_free(s->loops[i].batcher);
    }
    vly_free(s->loops);
}

/* Of this thread: what others take of the core does not make readings dearer. */
static vly_nsec cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (vly_nsec)t.tv_sec * VLY_NSEC_PER_SEC + (vly_nsec)t.tv_nsec;
}

/* ---- the line; thread: its loop ---- */

/* The caller has a reference for it. */
static void stand_in_line(vly_imu_loop *loop, vly_imu_session *a)
{
    a->next_waiting = NULL;
    *loop->tail = a;
    loop->tail = &a->next_waiting;
    loop->n_line++;
}

static vly_imu_session *take_first(vly_imu_loop *loop)
{
    vly_imu_session *a = loop->first;

    loop->first = a->next_waiting;
    loop->n_line--;
    if (loop->first == NULL)
        loop->tail = &loop->first;
    return a;
}

/* To the front of it, when it stands there. */
static void go_first(vly_imu_loop *loop, vly_imu_session *a)
{
    vly_imu_session **at = &loop->first;

    while (*at != NULL && *at != a)
        at = &(*at)->next_waiting;
    if (*at == NULL || a == loop->first)
        return;
    *at = a->next_waiting;
    if (*at == NULL)
        loop->tail = at;
    a->next_waiting = loop->first;
    loop->first = a;
}

static void join_line(vly_imu_session *a, vly_imu_loop *loop)
{
    if (atomic_load(&a->is_waiting))
        return;
    pthread_mutex_lock(&a->owner->lock);
    atomic_store(&a->is_waiting, true);
    a->n_refs++;
    pthread_mutex_unlock(&a->owner->lock);
    stand_in_line(loop, a);
}

/* ---- push ---- */

/* A batch may be reading what is there: that memory stays until it has run. */
static bool make_room(vly_imu_session *a, size_t n)
{
    size_t len = a->end - a->begin, cap = a->cap > 0 ? a->cap : 8;

    if (a->cap - a->end >= n)
        return true;
    if (a->borrowed == NULL && a->cap - len >= n && a->begin >= len) {
        memcpy(a->readings, a->readings + a->begin, len * sizeof(*a->readings));
        a->begin = 0;
        a->end = len;
        return true;
    }
    while (cap < len + n)
        cap *= 2;
    vly_imu_reading *more = vly_alloc(VLY_MEM_SCHED, cap * sizeof(*more));
    if (more == NULL)
        return false;
    if (len > 0)
        memcpy(more, a->readings + a->begin, len * sizeof(*more));
    if (a->readings != a->borrowed)
        vly_free(a->readings);
    a->readings = more;
    a->cap = cap;
    a->begin = 0;
    a->end = len;
    return true;
}

/* How many of n readings from number first on are known already. */
static vly_status skip_known(const vly_imu_session *a, uint64_t first, size_t n, size_t *ret_skip,
                             vly_err *err)
{
    uint64_t next = a->first_waiting + (a->end - a->begin);

    *ret_skip = 0;
    if (first == VLY_IMU_NEXT || first == next)
        return VLY_OK;
    if (first > next)
        return vly_fail(err, VLY_EINVAL, "expected reading %llu, got %llu: some are missing",
                        (unsigned long long)next, (unsigned long long)first);
    *ret_skip = next - first < n ? (size_t)(next - first) : n;
    return VLY_OK;
}

vly_status vly_imu_session_push(vly_imu_session *a, unsigned loop_idx, uint64_t first,
                                const vly_imu_reading *readings, size_t n, vly_err *err)
{
    const vly_imu_sessions_opts *o = &a->owner->opts;
    vly_imu_loop *loop = &a->owner->loops[loop_idx];
    size_t skip = 0, max_all = o->max_waiting_all / o->n_loops;

    VLY_ASSERT(loop_idx < o->n_loops);
    if (atomic_load(&a->is_lost) || a->is_ending)
        return vly_fail(err, VLY_ECANCELLED, "the session was replaced, removed or ended");
    vly_status st = skip_known(a, first, n, &skip, err);
    if (st != VLY_OK)
        return st;
    a->is_numbered = first != VLY_IMU_NEXT;
    readings += skip;
    n -= skip;
    if (n == 0)
        return VLY_OK;
    if (n > o->max_waiting - (a->end - a->begin))
        return vly_fail(err, VLY_EBUSY, "expected at most %zu readings that wait", o->max_waiting);
    if (n > max_all - loop->n_waiting)
        return vly_fail(err, VLY_EBUSY, "expected at most %zu readings that wait in all", max_all);
    if (!make_room(a, n))
        return vly_fail(err, VLY_ENOMEM, "out of memory for %zu readings", n);
    memcpy(a->readings + a->end, readings, n * sizeof(*readings));
    a->end += n;
    loop->n_waiting += n;
    vly_gauge_add(&a->owner->stats.waiting, (int64_t)n);
    join_line(a, loop);
    return VLY_OK;
}

void vly_imu_session_end(vly_imu_session *a, unsigned loop)
{
    VLY_ASSERT(loop < a->owner->opts.n_loops);
    if (atomic_load(&a->is_lost) || a->is_ending)
        return;
    a->is_ending = true;
    join_line(a, &a->owner->loops[loop]);
}

/* The first n that wait do so no longer. */
static void take_readings(vly_imu_loop *loop, vly_imu_session *a, size_t n)
{
    a->begin += n;
    a->first_waiting += n;
    loop->n_waiting -= n;
    vly_gauge_add(&a->owner->stats.waiting, -(int64_t)n);
    if (a->begin == a->end)
        a->begin = a->end = 0;
    if (a->begin == a->end && a->cap > READINGS_KEPT) {
        vly_free(a->readings);
        a->readings = NULL;
        a->cap = 0;
    }
}

/* ---- a batch; the caller holds the lock unless said otherwise ---- */

static void on_events(void *arg, const vly_step_event *events, size_t n)
{
    vly_imu_session *a = arg;

    vly_counter_add(&a->owner->stats.events, n);
    if (a->events.on_events != NULL && !atomic_load(&a->is_closed))
        a->events.on_events(a->ctx, events, n);
}

static bool has_more(const vly_imu_session *a)
{
    return a->begin < a->end || (a->is_ending && !a->is_finished);
}

void vly_imu_session_take_back(vly_imu_session *a, unsigned loop)
{
    VLY_ASSERT(loop < a->owner->opts.n_loops && !a->owner->loops[loop].is_in_turn);
    uint64_t next = a->first_waiting;
    take_readings(&a->owner->loops[loop], a, a->end - a->begin);
    a->first_waiting = next;
}

/* Out of the line for good, or until it pushes again. */
static void leave(vly_imu_sessions *s, vly_imu_loop *loop, vly_imu_session *a)
{
    vly_imu_entry *e = a->entry;

    a->has_dropped = a->has_dropped || a->begin < a->end;
    take_readings(loop, a, a->end - a->begin);
    atomic_store(&a->is_waiting, false);
    if (e->attached == a && atomic_load(&a->is_closed)) {
        e->attached = NULL;
        atomic_store(&a->is_lost, true);
        vly_gauge_add(&s->stats.attached, -1);
        vly_imu__idle_locked(s, e, s->opts.now());
    }
    vly_imu__session_unref_locked(a);
}

/* While this one was opened, another may have been in a batch: what came of that is known now. */
static void meet_state(vly_imu_loop *loop, vly_imu_session *a)
{
    const vly_imu_entry *e = a->entry;

    VLY_ASSERT(e->next >= a->first_waiting);
    uint64_t known = e->next - a->first_waiting;
    if (known == 0)
        return;
    if (a->is_numbered) {
        size_t n = a->end - a->begin;
        take_readings(loop, a, known < n ? (size_t)known : n);
    }
    a->first_waiting = e->next;
}

static void begin_run(vly_imu_loop *loop, vly_imu_session *a, size_t max_readings)
{
    vly_imu_entry *e = a->entry;
    size_t n = a->end - a->begin;

    e->is_running = true;
    e->stream.has_gyro = a->has_gyro;
    a->borrowed = a->readings;
    if (!vly_imu__call_begin_locked(a, VLY_IMU_CALL_RUN))
        a->n_refs++; /* closed: nobody is called, and who ends the batch still needs it */
    loop->work[loop->n_batch] = (vly_step_work){.stream = &e->stream,
                                                .readings = n > 0 ? &a->readings[a->begin] : NULL,
                                                .n = n < max_readings ? n : max_readings,
                                                .on_events = on_events,
                                                .arg = a};
    loop->batch[loop->n_batch++] = a;
}

/* How many readings of each session run in one batch: so many that all who wait get some, for wide
 * batches cost less than deep ones. */
static size_t share_of(const vly_imu_loop *loop, size_t max)
{
    size_t n = loop->n_line < VLY_IMU_BATCH_MAX ? loop->n_line : VLY_IMU_BATCH_MAX;
    size_t share = n > 0 ? max / n : max;

    return share > SHARE_MIN ? share : SHARE_MIN;
}

/* Takes from the line what runs together. A session that another loop runs at the time is waited
 * for when there is nothing else to do: a loop that waits holds none that others could wait for. */
static size_t fill_batch(vly_imu_sessions *s, vly_imu_loop *loop)
{
    size_t max = (size_t)((double)VLY_INLINE_TURN_NS / (1 + loop->reading_ns));
    size_t n_readings = 0;
    const vly_imu_session *seen = NULL; /* the first that another loop runs */

    max = max > BATCH_READINGS_MIN ? max : BATCH_READINGS_MIN;
    size_t share = share_of(loop, max);
    loop->n_batch = 0;
    while (loop->first != NULL && loop->n_batch < VLY_IMU_BATCH_MAX && n_readings < max) {
        vly_imu_session *a = loop->first;
        bool is_mine = a->entry->attached == a;
        if (is_mine && a->entry->is_running) {
            if (a == seen && loop->n_batch > 0)
                break; /* once around */
            if (a == seen)
                pthread_cond_wait(&s->ran, &s->lock);
            else
                stand_in_line(loop, take_first(loop));
            seen = a == seen ? NULL : seen != NULL ? seen : a;
            continue;
        }
        take_first(loop);
        seen = a == seen ? NULL : seen;
        if (is_mine)
            meet_state(loop, a);
        if (!is_mine || !has_more(a)) {
            leave(s, loop, a);
            continue;
        }
        begin_run(loop, a, share);
        n_readings += loop->work[loop->n_batch - 1].n;
    }
    return n_readings;
}

/* Without the lock. */
static vly_status run_batch(vly_imu_loop *loop, size_t n_readings, vly_err *err)
{
    vly_nsec begin = cpu_now();
    vly_status st = vly_step_batcher_run(loop->batcher, loop->work, loop->n_batch, err);

    for (size_t i = 0; st == VLY_OK && i < loop->n_batch; i++) {
        vly_imu_session *a = loop->batch[i];
        if (!a->is_ending || loop->work[i].n < a->end - a->begin)
            continue;
        a->is_finished = true;
        st = vly_step_batcher_finish(loop->batcher, &loop->work[i], err);
    }
    if (n_readings >= BATCH_READINGS_MIN)
        loop->reading_ns =
            0.75 * loop->reading_ns + 0.25 * (double)(cpu_now() - begin) / (double)n_readings;
    return st;
}

/* The state after the batch is there for everybody. */
static void end_state(vly_imu_sessions *s, vly_imu_entry *e, size_t n, int64_t now_ms)
{
    vly_counter_add(&s->stats.readings, n);
    if (e->stream.totals.n_steps > e->totals.n_steps && !e->is_reset)
        vly_counter_add(&s->stats.steps, e->stream.totals.n_steps - e->totals.n_steps);
    e->next += n;
    e->is_running = false;
    e->heard_ms = now_ms;
    if (e->is_reset)
        vly_step_stream_init(&e->stream, s->opts.model, e->has_gyro);
    e->is_reset = false;
    vly_imu__publish_locked(e);
    if (e->copy_to != NULL) {
        e->copy_to->len = vly_imu__record_write(e, e->copy_to->bytes);
        e->copy_to->next = e->next;
        e->copy_to = NULL;
        s->n_copies--;
    } else if (e->is_listed) {
        vly_imu__changed_locked(s, e);
    }
}

/* on_ended, with what the session came to. Returns with the lock. */
static void tell_end(vly_imu_sessions *s, vly_imu_session *a)
{
    vly_imu_session_info info;

    vly_imu__info_locked(a->entry, &info);
    vly_imu__session_unref_locked(vly_imu__forget_locked(s, a->entry));
    bool is_wanted = !atomic_load(&a->is_closed) && a->events.on_ended != NULL;
    if (!is_wanted)
        return;
    pthread_mutex_unlock(&s->lock);
    a->events.on_ended(a->ctx, &info);
    pthread_mutex_lock(&s->lock);
}

static void end_run(vly_imu_sessions *s, vly_imu_loop *loop, size_t i, int64_t now_ms)
{
    vly_imu_session *a = loop->batch[i];
    size_t n = loop->work[i].n;

    end_state(s, a->entry, n, now_ms);
    if (a->borrowed != a->readings)
        vly_free((void *)(uintptr_t)a->borrowed);
    a->borrowed = NULL;
    take_readings(loop, a, n);
    if (a->is_finished && a->entry->attached == a)
        tell_end(s, a);
    bool is_calling = a->is_calling[VLY_IMU_CALL_RUN];
    if (has_more(a) && a->entry->attached == a)
        stand_in_line(loop, a);
    else
        leave(s, loop, a);
    if (is_calling)
        vly_imu__call_end_locked(a, VLY_IMU_CALL_RUN);
    else
        vly_imu__session_unref_locked(a);
}

/* The engine failed: streams of the batch are of no use. */
static void give_up(vly_imu_sessions *s, vly_imu_loop *loop, const vly_err *why)
{
    vly_imu_session *lost[VLY_IMU_BATCH_MAX];

    vly_error("%zu imu sessions end: %s", loop->n_batch, why->msg);
    vly_counter_add(&s->stats.run_errors, 1);
    for (size_t i = 0; i < loop->n_batch; i++) {
        vly_imu_entry *e = loop->batch[i]->entry;
        e->is_reset = true;
        lost[i] = e->is_listed ? vly_imu__forget_locked(s, e) : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < loop->n_batch; i++)
        vly_imu__tell_lost(lost[i]);
    pthread_mutex_lock(&s->lock);
}

static void run_some(vly_imu_sessions *s, vly_imu_loop *loop)
{
    vly_err err;

    pthread_mutex_lock(&s->lock);
    size_t n_readings = fill_batch(s, loop);
    pthread_mutex_unlock(&s->lock);
    if (loop->n_batch == 0)
        return;
    vly_status st = run_batch(loop, n_readings, &err);
    int64_t now_ms = (int64_t)vly_clock_unix_ms();
    vly_counter_add(&s->stats.batches, 1);
    vly_counter_add(&s->stats.batch_streams, loop->n_batch);
    pthread_mutex_lock(&s->lock);
    if (st != VLY_OK)
        give_up(s, loop, &err);
    for (size_t i = 0; i < loop->n_batch; i++)
        end_run(s, loop, i, now_ms);
    pthread_cond_broadcast(&s->ran);
    pthread_mutex_unlock(&s->lock);
}

static vly_nsec budget_of(const vly_imu_loop *loop, vly_nsec now)
{
    vly_nsec since = loop->left_ns != 0 ? now - loop->left_ns : 0;

    since = since < TURN_NS_MAX ? since : TURN_NS_MAX;
    return since > VLY_INLINE_TURN_NS ? since : VLY_INLINE_TURN_NS;
}

bool vly_imu_sessions_turn(vly_imu_sessions *s, unsigned loop_idx)
{
    vly_imu_loop *loop = &s->loops[loop_idx];

    VLY_ASSERT(loop_idx < s->opts.n_loops);
    if (loop->is_in_turn)
        return true;
    if (loop->first == NULL)
        return false;
    vly_nsec begin = cpu_now();
    vly_nsec budget = budget_of(loop, begin), now = begin;
    vly_counter_add(&s->stats.turns, 1);
    loop->is_in_turn = true;
    for (; loop->first != NULL && now - begin < budget; now = cpu_now())
        run_some(s, loop);
    loop->is_in_turn = false;
    loop->left_ns = loop->first != NULL ? now : 0;
    return loop->first != NULL;
}

bool vly_imu_session_run(vly_imu_session *a, unsigned loop_idx)
{
    vly_imu_sessions *s = a->owner;
    vly_imu_loop *loop = &s->loops[loop_idx];
    vly_nsec begin = cpu_now();

    VLY_ASSERT(loop_idx < s->opts.n_loops && !loop->is_in_turn);
    pthread_mutex_lock(&s->lock);
    a->n_refs++; /* a callback may close it */
    pthread_mutex_unlock(&s->lock);
    while (a->begin < a->end && cpu_now() - begin < TURN_NS_MAX) {
        go_first(loop, a);
        (void)vly_imu_sessions_turn(s, loop_idx);
    }
    bool has_run = a->begin == a->end && !a->has_dropped;
    pthread_mutex_lock(&s->lock);
    vly_imu__session_unref_locked(a);
    pthread_mutex_unlock(&s->lock);
    return has_run;
}
