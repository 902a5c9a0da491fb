/* SPDX-License-Identifier: MIT */
/*
 * Who saves takes changed sessions from their list, some at a time, copies their states under the
 * lock and writes them without it. A session that is in a batch at the moment is copied by the loop
 * when the batch has run, so that what is written is always a state between batches. Rows leave the
 * list in the order in which they came to it: the row of a forgotten session goes before its
 * successor's comes.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/imu_internal.h"

#include <stdlib.h>

#define KIND        VLY_STR("steps")
#define LOCK_STRIDE 32 /* sessions copied, or forgotten, before others get the lock */

/* ---- a transaction ---- */

/* The first of the list, with its reference. */
static vly_imu_entry *take_changed(vly_imu_sessions *s)
{
    vly_imu_entry *e = s->first_changed;

    s->first_changed = e->next_changed;
    if (s->first_changed == NULL)
        s->changed_tail = &s->first_changed;
    e->is_changed = false;
    s->n_changed--;
    return e;
}

static void put_back(vly_imu_sessions *s, vly_imu_entry *e)
{
    e->may_be_stored = true;
    if (e->is_changed) {
        vly_imu__entry_unref_locked(e);
        return;
    }
    e->is_changed = true;
    e->next_changed = s->first_changed;
    if (s->first_changed == NULL)
        s->changed_tail = &e->next_changed;
    s->first_changed = e;
    s->n_changed++;
}

/* False: there is nothing to write about it. */
static bool fill_row(vly_imu_sessions *s, vly_imu_entry *e, vly_imu_save_row *row)
{
    row->entry = e;
    row->is_remove = !e->is_listed;
    vly_imu__id_format(&e->id, row->key);
    if (row->is_remove && !e->may_be_stored)
        return false;
    e->may_be_stored = !row->is_remove;
    if (row->is_remove)
        return true;
    if (e->is_running) {
        e->copy_to = row;
        s->n_copies++;
    } else {
        row->len = vly_imu__record_write(e, row->bytes);
        row->next = e->next;
    }
    return true;
}

static size_t collect(vly_imu_sessions *s, size_t max)
{
    size_t n = 0, n_held = 0;

    pthread_mutex_lock(&s->lock);
    /* No further than what is there now: one that changes meanwhile may be in the chunk already. */
    for (size_t left = s->n_changed; n < max && left > 0; left--) {
        vly_imu_entry *e = take_changed(s);
        if (fill_row(s, e, &s->rows[n]))
            n++;
        else
            vly_imu__entry_unref_locked(e);
        if (++n_held % LOCK_STRIDE == 0) {
            pthread_mutex_unlock(&s->lock);
            pthread_mutex_lock(&s->lock);
        }
    }
    while (s->n_copies > 0)
        pthread_cond_wait(&s->ran, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return n;
}

static vly_status write_rows(vly_imu_sessions *s, size_t n, vly_err *err)
{
    vly_session_row gone[VLY_IMU_CHUNK_MAX], rows[VLY_IMU_CHUNK_MAX];
    int64_t now_ms = (int64_t)vly_clock_unix_ms();
    size_t n_gone = 0, n_rows = 0;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < n; i++) {
        vly_imu_save_row *r = &s->rows[i];
        vly_session_row row = {.kind = KIND, .key = {r->key, VLY_IMU_ID_LEN}, .changed_ms = now_ms};
        if (r->is_remove) {
            gone[n_gone++] = row;
            continue;
        }
        vly_imu__record_seal(r->bytes, r->len);
        row.state = (vly_str){r->bytes, r->len};
        rows[n_rows++] = row;
    }
    if (n_gone > 0)
        st = vly_session_store_remove(s->opts.store, gone, n_gone, err);
    if (st == VLY_OK && n_rows > 0)
        st = vly_session_store_put(s->opts.store, rows, n_rows, err);
    return st;
}

/* on_durable of the rows that were put. */
static void tell_durable(vly_imu_sessions *s, size_t n)
{
    vly_imu_session *told[VLY_IMU_CHUNK_MAX];

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        vly_imu_save_row *r = &s->rows[i];
        vly_imu_session *a = r->is_remove ? NULL : r->entry->attached;
        if (!r->is_remove)
            r->entry->durable = r->next;
        bool is_wanted = a != NULL && a->events.on_durable != NULL;
        told[i] = is_wanted && vly_imu__call_begin_locked(a, VLY_IMU_CALL_DURABLE) ? a : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++)
        if (told[i] != NULL)
            told[i]->events.on_durable(told[i]->ctx, s->rows[i].next);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        if (told[i] != NULL)
            vly_imu__call_end_locked(told[i], VLY_IMU_CALL_DURABLE);
        vly_imu__entry_unref_locked(s->rows[i].entry);
    }
    pthread_mutex_unlock(&s->lock);
}

static void note_failure(vly_imu_sessions *s, size_t n, const vly_err *why)
{
    vly_counter_add(&s->stats.snapshot_errors, 1);
    if (!s->is_failing)
        vly_error("imu sessions are not saved for now: %s", why->msg);
    s->is_failing = true;
    pthread_mutex_lock(&s->lock);
    while (n-- > 0)
        put_back(s, s->rows[n].entry);
    pthread_mutex_unlock(&s->lock);
}

static void note_success(vly_imu_sessions *s, size_t n, vly_nsec duration)
{
    vly_counter_add(&s->stats.snapshots, 1);
    vly_counter_add(&s->stats.snapshot_rows, n);
    vly_histogram_record(&s->stats.snapshot_duration, duration);
    if (s->is_failing)
        vly_info("imu sessions are saved again");
    s->is_failing = false;
    tell_durable(s, n);
}

/* At most max sessions. Returns how many were written; 0: none were left, or it failed. */
static size_t save_some(vly_imu_sessions *s, size_t max)
{
    size_t n = collect(s, max < VLY_IMU_CHUNK_MAX ? max : VLY_IMU_CHUNK_MAX);
    vly_nsec begin = vly_clock_now();
    vly_err err;

    if (n == 0)
        return 0;
    if (write_rows(s, n, &err) != VLY_OK) {
        note_failure(s, n, &err);
        return 0;
    }
    note_success(s, n, vly_clock_now() - begin);
    return n;
}

/* What had changed when this began. */
static void save(vly_imu_sessions *s)
{
    size_t n = 0, done = 1;

    pthread_mutex_lock(&s->lock);
    n = s->n_changed;
    pthread_mutex_unlock(&s->lock);
    for (; n > 0 && done > 0; n -= done < n ? done : n)
        done = save_some(s, n);
}

static void expire(vly_imu_sessions *s)
{
    vly_nsec now = s->opts.now();
    size_t n = LOCK_STRIDE;

    while (n == LOCK_STRIDE) {
        pthread_mutex_lock(&s->lock);
        for (n = 0; n < LOCK_STRIDE && s->oldest != NULL; n++) {
            vly_imu_entry *e = s->oldest;
            if (now < e->idle_since_ns || now - e->idle_since_ns < s->opts.idle_ns)
                break;
            vly_imu_session *a = vly_imu__forget_locked(s, e);
            VLY_ASSERT(a == NULL);
            vly_counter_add(&s->stats.expired, 1);
        }
        pthread_mutex_unlock(&s->lock);
    }
}

void vly_imu_sessions_tick(vly_imu_sessions *s)
{
    expire(s);
    save(s);
}

/* ---- the thread ---- */

static void *run_saver(void *arg)
{
    vly_imu_sessions *s = arg;
    struct timespec at;

    pthread_mutex_lock(&s->lock);
    while (!s->is_stopping) {
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += s->opts.snapshot_ms / 1000;
        at.tv_nsec += (long)(s->opts.snapshot_ms % 1000) * 1000000;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        while (!s->is_stopping && pthread_cond_timedwait(&s->wake, &s->lock, &at) == 0)
            continue;
        pthread_mutex_unlock(&s->lock);
        vly_imu_sessions_tick(s);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static vly_status start_saver(vly_imu_sessions *s, vly_err *err)
{
    if (pthread_create(&s->saver, NULL, run_saver, s) != 0)
        return vly_fail(err, VLY_ENOMEM, "cannot start the thread that saves imu sessions");
    s->has_saver = true;
    return VLY_OK;
}

static void stop_saver(vly_imu_sessions *s)
{
    if (!s->has_saver)
        return;
    pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->saver, NULL);
}

/* ---- restoring ---- */

typedef struct restoring {
    vly_imu_sessions *s;
    vly_nsec now;
    int64_t now_ms;
    size_t n_other, n_damaged, n_too_many;
} restoring;

static vly_nsec age_of(const restoring *r, int64_t at_ms)
{
    return r->now_ms > at_ms ? (vly_nsec)(r->now_ms - at_ms) * VLY_NSEC_PER_MS : 0;
}

/* Its row is to go; takes the reference. */
static void drop_row(vly_imu_sessions *s, vly_imu_entry *e)
{
    e->may_be_stored = true;
    vly_imu__changed_locked(s, e);
    vly_imu__entry_unref_locked(e);
}

static void list_entry(const restoring *r, vly_imu_entry *e)
{
    vly_nsec age = age_of(r, e->heard_ms);

    e->may_be_stored = true;
    e->is_resumed = true;
    vly_imu__index_add(&r->s->index, e);
    e->idle_since_ns = r->now > age ? r->now - age : 0;
    vly_gauge_add(&r->s->stats.sessions, 1);
    vly_counter_add(&r->s->stats.restored, 1);
}

/* A name leads to one session: the one that was heard of last. */
static void restore_entry(restoring *r, vly_imu_entry *e)
{
    vly_imu_sessions *s = r->s;
    vly_imu_entry *same = NULL;

    if (e->user.len > 0)
        same = vly_imu__index_find_name(&s->index, e->owner, e->user, e->device);
    if (age_of(r, e->heard_ms) >= s->opts.idle_ns || vly_imu__index_find(&s->index, &e->id) ||
        (same != NULL && same->heard_ms > e->heard_ms)) {
        drop_row(s, e);
        return;
    }
    if (same != NULL)
        vly_imu__forget_locked(s, same);
    if (s->index.n < s->opts.max_sessions) {
        list_entry(r, e);
        return;
    }
    r->n_too_many++;
    drop_row(s, e);
}

/* What cannot be resumed stays in the store, for the model may come back, until it would have
 * expired. */
static void refuse_row(restoring *r, const vly_session_row *row)
{
    vly_imu_id id;
    vly_imu_entry *e = NULL;

    if (age_of(r, row->changed_ms) >= r->s->opts.idle_ns && vly_imu__id_parse(row->key, &id))
        e = vly_imu__entry_new(&id, VLY_STR(""), VLY_STR(""), VLY_STR(""));
    if (e != NULL)
        drop_row(r->s, e);
}

static vly_status restore_row(void *arg, const vly_session_row *row, vly_err *err)
{
    restoring *r = arg;
    vly_imu_entry *e = NULL;
    vly_err why;
    vly_status st = vly_imu__record_read(row->key, row->state, r->s->opts.model, &e, &why);

    if (st == VLY_ENOMEM)
        return vly_fail(err, st, "%s", why.msg);
    if (st == VLY_OK) {
        restore_entry(r, e);
        return VLY_OK;
    }
    r->n_other += st == VLY_EUNSUPPORTED;
    r->n_damaged += st != VLY_EUNSUPPORTED;
    refuse_row(r, row);
    return VLY_OK;
}

static void report(const restoring *r)
{
    vly_imu_sessions *s = r->s;

    vly_counter_add(&s->stats.refused, r->n_other + r->n_damaged + r->n_too_many);
    if (r->n_other > 0)
        vly_warn("%zu stored imu sessions are of another step model or version: they begin anew",
                 r->n_other);
    if (r->n_damaged > 0)
        vly_warn("%zu stored imu sessions are damaged: they begin anew", r->n_damaged);
    if (r->n_too_many > 0)
        vly_warn("%zu stored imu sessions are left out: at most %zu are allowed", r->n_too_many,
                 s->opts.max_sessions);
}

static int compare_idle(const void *a, const void *b)
{
    const vly_imu_entry *x = *(vly_imu_entry *const *)a, *y = *(vly_imu_entry *const *)b;
    return (x->idle_since_ns > y->idle_since_ns) - (x->idle_since_ns < y->idle_since_ns);
}

/* Rows come in any order, and a list is slow to sort: all at once. */
static vly_status idle_all(vly_imu_sessions *s, vly_err *err)
{
    size_t n = 0;
    vly_imu_entry **all = vly_calloc(VLY_MEM_SCHED, s->index.n + 1, sizeof(*all));

    if (all == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for %zu imu sessions", s->index.n);
    for (size_t i = 0; i < (size_t)1 << s->index.n_bits; i++)
        for (vly_imu_entry *e = s->index.by_id[i]; e != NULL; e = e->next_by_id)
            all[n++] = e;
    qsort(all, n, sizeof(vly_imu_entry *), compare_idle);
    for (size_t i = 0; i < n; i++)
        vly_imu__idle_locked(s, all[i], all[i]->idle_since_ns);
    vly_free(all);
    return VLY_OK;
}

/* Nobody else is there yet, so the lock is not needed. */
static vly_status restore(vly_imu_sessions *s, vly_err *err)
{
    restoring r = {.s = s, .now = s->opts.now(), .now_ms = (int64_t)vly_clock_unix_ms()};
    vly_status st = vly_session_store_each(s->opts.store, KIND, restore_row, &r, err);

    if (st == VLY_OK)
        st = idle_all(s, err);
    if (st == VLY_OK)
        report(&r);
    return st;
}

/* ---- life ---- */

static vly_status make_rows(vly_imu_sessions *s, vly_err *err)
{
    s->rows = vly_calloc(VLY_MEM_SCHED, VLY_IMU_CHUNK_MAX, sizeof(*s->rows) + VLY_IMU_RECORD_MAX);
    if (s->rows == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory to save imu sessions");
    char *bytes = (char *)(s->rows + VLY_IMU_CHUNK_MAX);
    for (size_t i = 0; i < VLY_IMU_CHUNK_MAX; i++)
        s->rows[i].bytes = bytes + i * VLY_IMU_RECORD_MAX;
    return VLY_OK;
}

vly_status vly_imu__save_open(vly_imu_sessions *s, vly_err *err)
{
    vly_status st = VLY_OK;

    if (s->opts.store != NULL)
        st = make_rows(s, err);
    if (st == VLY_OK && s->opts.store != NULL)
        st = restore(s, err);
    if (st == VLY_OK && s->opts.snapshot_ms > 0)
        st = start_saver(s, err);
    return st;
}

void vly_imu__save_close(vly_imu_sessions *s)
{
    stop_saver(s);
    if (s->rows != NULL)
        save(s);
    while (s->first_changed != NULL)
        vly_imu__entry_unref_locked(take_changed(s));
    vly_free(s->rows);
}
