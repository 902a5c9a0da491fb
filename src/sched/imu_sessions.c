/* SPDX-License-Identifier: MIT */
#include "sched/imu_sessions.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sched/imu_internal.h"

#include <sys/random.h>

#define LIST_STRIDE 1024 /* buckets looked at in one go */

/* ---- references ---- */

/* Copies name to *at, which is moved behind it. */
static vly_str put_name(char **at, vly_str name)
{
    vly_str copy = {*at, name.len};

    if (name.len > 0)
        memcpy(*at, name.ptr, name.len);
    *at += name.len;
    return copy;
}

vly_imu_entry *vly_imu__entry_new(const vly_imu_id *id, vly_str owner, vly_str user, vly_str device)
{
    vly_imu_entry *e = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*e) + owner.len + user.len + device.len);

    if (e == NULL)
        return NULL;
    char *names = (char *)(e + 1);
    e->id = *id;
    e->n_refs = 1;
    e->owner = put_name(&names, owner);
    e->user = put_name(&names, user);
    e->device = put_name(&names, device);
    return e;
}

static bool may_see(const vly_imu_who *who, const vly_imu_entry *e)
{
    return who->sees_all || vly_str_eq(who->owner, e->owner);
}

void vly_imu__entry_unref_locked(vly_imu_entry *e)
{
    if (--e->n_refs == 0)
        vly_free(e);
}

void vly_imu__session_unref_locked(vly_imu_session *a)
{
    if (--a->n_refs > 0)
        return;
    vly_imu__entry_unref_locked(a->entry);
    pthread_cond_destroy(&a->called);
    vly_free(a->readings);
    vly_free(a);
}

/* ---- calls ---- */

bool vly_imu__call_begin_locked(vly_imu_session *a, vly_imu_call call)
{
    if (atomic_load(&a->is_closed))
        return false;
    VLY_ASSERT(!a->is_calling[call]);
    a->is_calling[call] = true;
    a->callers[call] = pthread_self();
    a->n_refs++;
    return true;
}

void vly_imu__call_end_locked(vly_imu_session *a, vly_imu_call call)
{
    a->is_calling[call] = false;
    pthread_cond_broadcast(&a->called);
    vly_imu__session_unref_locked(a);
}

static bool is_called_elsewhere(const vly_imu_session *a)
{
    size_t i = 0;

    while (i < VLY_IMU_CALLS && (!a->is_calling[i] || pthread_equal(a->callers[i], pthread_self())))
        i++;
    return i < VLY_IMU_CALLS;
}

void vly_imu__tell_lost(vly_imu_session *a)
{
    if (a == NULL)
        return;
    vly_imu_sessions *s = a->owner;
    pthread_mutex_lock(&s->lock);
    bool is_wanted = vly_imu__call_begin_locked(a, VLY_IMU_CALL_REPLACED);
    pthread_mutex_unlock(&s->lock);
    if (is_wanted && a->events.on_replaced != NULL)
        a->events.on_replaced(a->ctx);
    pthread_mutex_lock(&s->lock);
    if (is_wanted)
        vly_imu__call_end_locked(a, VLY_IMU_CALL_REPLACED);
    vly_imu__session_unref_locked(a);
    pthread_mutex_unlock(&s->lock);
}

/* ---- states; the caller holds the lock ---- */

void vly_imu__changed_locked(vly_imu_sessions *s, vly_imu_entry *e)
{
    if (s->opts.store == NULL || e->is_unstored || e->is_changed)
        return;
    e->is_changed = true;
    e->n_refs++;
    e->next_changed = NULL;
    *s->changed_tail = e;
    s->changed_tail = &e->next_changed;
    s->n_changed++;
}

/* In order of idle_since_ns, which is that of coming here but for restored ones. */
void vly_imu__idle_locked(vly_imu_sessions *s, vly_imu_entry *e, vly_nsec since_ns)
{
    vly_imu_entry *older = s->newest;

    VLY_ASSERT(!e->is_idle && e->is_listed);
    e->idle_since_ns = since_ns;
    while (older != NULL && older->idle_since_ns > since_ns)
        older = older->older;
    e->is_idle = true;
    e->older = older;
    e->newer = older != NULL ? older->newer : s->oldest;
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e;
    *(e->newer != NULL ? &e->newer->older : &s->newest) = e;
}

void vly_imu__busy_locked(vly_imu_sessions *s, vly_imu_entry *e)
{
    if (!e->is_idle)
        return;
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &s->newest) = e->older;
    e->older = e->newer = NULL;
    e->is_idle = false;
}

/* Takes the session from who is attached, who comes back referenced. */
static vly_imu_session *detach(vly_imu_sessions *s, vly_imu_entry *e)
{
    vly_imu_session *a = e->attached;

    if (a == NULL)
        return NULL;
    e->attached = NULL;
    atomic_store(&a->is_lost, true);
    a->n_refs++;
    vly_gauge_add(&s->stats.attached, -1);
    return a;
}

vly_imu_session *vly_imu__forget_locked(vly_imu_sessions *s, vly_imu_entry *e)
{
    vly_imu_session *a = detach(s, e);

    vly_imu__busy_locked(s, e);
    vly_imu__index_remove(&s->index, e);
    vly_gauge_add(&s->stats.sessions, -1);
    if (e->may_be_stored)
        vly_imu__changed_locked(s, e);
    vly_imu__entry_unref_locked(e);
    return a;
}

void vly_imu__publish_locked(vly_imu_entry *e)
{
    e->totals = e->stream.totals;
    e->counts = e->stream.grid.counts;
    e->activity = (vly_activity)e->stream.activity;
    e->is_in_step = e->stream.decoder.is_in_step;
    vly_step_decoder_last(&e->stream.decoder, &e->p_start, &e->p_end);
}

static void copy_name(char *to, vly_str name)
{
    memcpy(to, name.ptr, name.len);
    to[name.len] = '\0';
}

void vly_imu__info_locked(const vly_imu_entry *e, vly_imu_session_info *ret)
{
    vly_imu__id_format(&e->id, ret->id);
    copy_name(ret->user, e->user);
    copy_name(ret->device, e->device);
    ret->is_attached = e->attached != NULL;
    ret->is_resumed = e->is_resumed;
    ret->has_replaced = false;
    ret->has_gyro = e->has_gyro;
    ret->next = e->next;
    ret->durable = e->durable;
    ret->totals = e->totals;
    ret->counts = e->counts;
    ret->activity = e->activity;
    ret->is_in_step = e->is_in_step;
    ret->p_start = e->p_start;
    ret->p_end = e->p_end;
    ret->begun_ms = e->begun_ms;
    ret->heard_ms = e->heard_ms;
}

/* ---- open ---- */

static vly_status make_id(vly_imu_id *ret, vly_err *err)
{
    if (getrandom(ret->bytes, sizeof(ret->bytes), GRND_NONBLOCK) == sizeof(ret->bytes))
        return VLY_OK;
    return vly_fail(err, VLY_EUNAVAILABLE, "the system has no random bytes for a session's id yet");
}

static vly_imu_session *new_session(vly_imu_sessions *s, const vly_imu_open *o)
{
    vly_imu_session *a = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*a));

    if (a == NULL)
        return NULL;
    a->owner = s;
    if (o->events != NULL)
        a->events = *o->events;
    a->ctx = o->ctx;
    a->has_gyro = o->has_gyro;
    a->n_refs = 1;
    pthread_cond_init(&a->called, NULL);
    return a;
}

static vly_imu_entry *new_entry(vly_imu_sessions *s, const vly_imu_open *o, vly_err *err)
{
    vly_imu_entry *e = NULL;
    vly_imu_id id;

    if (make_id(&id, err) != VLY_OK)
        return NULL;
    e = vly_imu__entry_new(&id, o->who.owner, o->user, o->device);
    if (e == NULL) {
        vly_fail(err, VLY_ENOMEM, "out of memory for a session");
        return NULL;
    }
    vly_step_stream_init(&e->stream, s->opts.model, o->has_gyro);
    e->is_unstored = o->is_unstored;
    e->begun_ms = e->heard_ms = (int64_t)vly_clock_unix_ms();
    return e;
}

/* The session that is asked for, in the tables; *fresh is put there, and taken, when it is none
 * that exists. */
static vly_status find_or_add(vly_imu_sessions *s, const vly_imu_open *o, const vly_imu_id *id,
                              vly_imu_entry **fresh, vly_imu_entry **ret, vly_err *err)
{
    vly_imu_entry *e = NULL;

    if (id != NULL)
        e = vly_imu__index_find(&s->index, id);
    else if (o->user.len > 0)
        e = vly_imu__index_find_name(&s->index, o->who.owner, o->user, o->device);
    if (e != NULL && may_see(&o->who, e)) {
        e->is_resumed = true;
        *ret = e;
        return VLY_OK;
    }
    if (id != NULL)
        return vly_fail(err, VLY_ENOTFOUND, "no session '%.*s'", VLY_STR_ARG(o->id));
    if (s->index.n >= s->opts.max_sessions)
        return vly_fail(err, VLY_EBUSY, "expected at most %zu sessions", s->opts.max_sessions);
    VLY_ASSERT(*fresh != NULL);
    vly_imu__index_add(&s->index, *fresh);
    vly_gauge_add(&s->stats.sessions, 1);
    *ret = *fresh;
    *fresh = NULL;
    return VLY_OK;
}

/* Who had it before, referenced, or NULL. */
static vly_imu_session *attach(vly_imu_sessions *s, vly_imu_entry *e, vly_imu_session *a)
{
    vly_imu_session *old = detach(s, e);

    vly_imu__busy_locked(s, e);
    e->attached = a;
    e->has_gyro = a->has_gyro;
    e->n_refs++;
    a->entry = e;
    vly_gauge_add(&s->stats.attached, 1);
    vly_counter_add(&s->stats.opened, 1);
    if (old != NULL)
        vly_counter_add(&s->stats.replaced, 1);
    return old;
}

static vly_status check_open(const vly_imu_open *o, vly_imu_id *ret_id, vly_err *err)
{
    vly_status st = VLY_OK;

    if (o->id.len > 0)
        return vly_imu__id_parse(o->id, ret_id)
                   ? VLY_OK
                   : vly_fail(err, VLY_ENOTFOUND,
                              "no session of that id: expected %d digits 0-9a-f", VLY_IMU_ID_LEN);
    st = vly_imu__check_name("user", o->user, err);
    return st == VLY_OK ? vly_imu__check_name("device", o->device, err) : st;
}

vly_status vly_imu_session_open(vly_imu_sessions *s, const vly_imu_open *open,
                                vly_imu_session **ret, vly_imu_session_info *ret_info, vly_err *err)
{
    vly_imu_session *a = NULL, *old = NULL;
    vly_imu_entry *fresh = NULL, *e = NULL;
    vly_imu_id id;
    vly_err why;
    bool has_id = open->id.len > 0;
    vly_status st = check_open(open, &id, err);

    if (st != VLY_OK)
        return st;
    a = new_session(s, open);
    if (a == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a session");
    if (!has_id)
        fresh = new_entry(s, open, &why);
    if (!has_id && fresh == NULL)
        st = vly_fail(err, why.status, "%s", why.msg);
    pthread_mutex_lock(&s->lock);
    if (st == VLY_OK)
        st = find_or_add(s, open, has_id ? &id : NULL, &fresh, &e, err);
    if (st == VLY_OK)
        old = attach(s, e, a);
    while (st == VLY_OK && e->is_running)
        pthread_cond_wait(&s->ran, &s->lock);
    if (st == VLY_OK)
        a->first_waiting = e->next;
    if (st == VLY_OK && ret_info != NULL) {
        vly_imu__info_locked(e, ret_info);
        ret_info->has_replaced = old != NULL;
    }
    pthread_mutex_unlock(&s->lock);
    vly_free(fresh);
    vly_imu__tell_lost(old);
    if (st == VLY_OK) {
        *ret = a;
        return VLY_OK;
    }
    pthread_cond_destroy(&a->called);
    vly_free(a);
    return st;
}

static void close_session(vly_imu_session *a, bool is_forgotten)
{
    if (a == NULL)
        return;
    vly_imu_sessions *s = a->owner;
    vly_imu_entry *e = a->entry;

    pthread_mutex_lock(&s->lock);
    VLY_ASSERT(!atomic_load(&a->is_closed));
    atomic_store(&a->is_closed, true);
    while (is_called_elsewhere(a))
        pthread_cond_wait(&a->called, &s->lock);
    /* What it has pushed runs first. */
    bool is_at_rest = !atomic_load(&a->is_waiting) && !a->is_calling[VLY_IMU_CALL_RUN];
    if (e->attached == a && (is_forgotten || is_at_rest)) {
        vly_imu_session *held = is_forgotten ? vly_imu__forget_locked(s, e) : detach(s, e);
        VLY_ASSERT(held == a);
        vly_imu__session_unref_locked(held);
        if (!is_forgotten)
            vly_imu__idle_locked(s, e, s->opts.now());
    }
    vly_imu__session_unref_locked(a);
    pthread_mutex_unlock(&s->lock);
}

void vly_imu_session_close(vly_imu_session *session)
{
    close_session(session, false);
}

void vly_imu_session_close_forget(vly_imu_session *session)
{
    close_session(session, true);
}

void vly_imu_session_info_get(vly_imu_session *session, vly_imu_session_info *ret)
{
    pthread_mutex_lock(&session->owner->lock);
    vly_imu__info_locked(session->entry, ret);
    pthread_mutex_unlock(&session->owner->lock);
}

/* ---- by id ---- */

static vly_status find_locked(vly_imu_sessions *s, const vly_imu_who *who, vly_str id_text,
                              vly_imu_entry **ret, vly_err *err)
{
    vly_imu_id id;
    vly_imu_entry *e = vly_imu__id_parse(id_text, &id) ? vly_imu__index_find(&s->index, &id) : NULL;

    if (e == NULL || !may_see(who, e))
        return vly_fail(err, VLY_ENOTFOUND, "no session '%.*s'",
                        (int)(id_text.len < VLY_IMU_ID_LEN ? id_text.len : VLY_IMU_ID_LEN),
                        id_text.len > 0 ? id_text.ptr : "");
    *ret = e;
    return VLY_OK;
}

vly_status vly_imu_sessions_find(vly_imu_sessions *s, const vly_imu_who *who, vly_str id,
                                 vly_imu_session_info *ret_info, vly_err *err)
{
    vly_imu_entry *e = NULL;

    pthread_mutex_lock(&s->lock);
    vly_status st = find_locked(s, who, id, &e, err);
    if (st == VLY_OK && ret_info != NULL)
        vly_imu__info_locked(e, ret_info);
    pthread_mutex_unlock(&s->lock);
    return st;
}

vly_status vly_imu_sessions_find_name(vly_imu_sessions *s, const vly_imu_who *who, vly_str user,
                                      vly_str device, vly_imu_session_info *ret_info, vly_err *err)
{
    vly_status st = vly_imu__check_name("user", user, err);

    if (st == VLY_OK)
        st = vly_imu__check_name("device", device, err);
    if (st != VLY_OK)
        return st;
    VLY_ASSERT(user.len > 0);
    pthread_mutex_lock(&s->lock);
    const vly_imu_entry *e = vly_imu__index_find_name(&s->index, who->owner, user, device);
    if (e != NULL && ret_info != NULL)
        vly_imu__info_locked(e, ret_info);
    pthread_mutex_unlock(&s->lock);
    return e != NULL ? VLY_OK : vly_fail(err, VLY_ENOTFOUND, "no session of that user and device");
}

/* What is seen of it is so at once; the stream follows when its batch has run. */
static void reset(vly_imu_sessions *s, vly_imu_entry *e)
{
    e->is_reset = e->is_running;
    if (!e->is_running)
        vly_step_stream_init(&e->stream, s->opts.model, e->has_gyro);
    e->totals = (vly_step_totals){.n_readings = 0};
    e->counts = (vly_imu_grid_counts){.n_gaps = 0};
    e->activity = VLY_ACTIVITY_STANDING;
    e->is_in_step = false;
    e->p_start = e->p_end = 0;
    vly_imu__changed_locked(s, e);
}

vly_status vly_imu_sessions_reset(vly_imu_sessions *s, const vly_imu_who *who, vly_str id,
                                  vly_imu_session_info *ret_info, vly_err *err)
{
    vly_imu_entry *e = NULL;

    pthread_mutex_lock(&s->lock);
    vly_status st = find_locked(s, who, id, &e, err);
    if (st == VLY_OK)
        reset(s, e);
    if (st == VLY_OK && ret_info != NULL)
        vly_imu__info_locked(e, ret_info);
    pthread_mutex_unlock(&s->lock);
    return st;
}

vly_status vly_imu_sessions_remove(vly_imu_sessions *s, const vly_imu_who *who, vly_str id,
                                   vly_imu_session_info *ret_info, vly_err *err)
{
    vly_imu_session *lost = NULL;
    vly_imu_entry *e = NULL;

    pthread_mutex_lock(&s->lock);
    vly_status st = find_locked(s, who, id, &e, err);
    if (st == VLY_OK && ret_info != NULL)
        vly_imu__info_locked(e, ret_info);
    if (st == VLY_OK)
        lost = vly_imu__forget_locked(s, e);
    pthread_mutex_unlock(&s->lock);
    vly_imu__tell_lost(lost);
    return st;
}

/* A page is not one moment: the lock is given back between buckets, so that loops do not wait for
 * a look at many of them. */
vly_status vly_imu_sessions_list(vly_imu_sessions *s, const vly_imu_who *who, vly_str after,
                                 vly_imu_session_info *ret, size_t cap, size_t *ret_n, vly_err *err)
{
    size_t n = 0, end = (size_t)1 << s->index.n_bits;
    vly_imu_id id;
    bool has_id = after.len > 0;

    if (has_id && !vly_imu__id_parse(after, &id))
        return vly_fail(err, VLY_EINVAL, "after: expected the id of a session, %d digits 0-9a-f",
                        VLY_IMU_ID_LEN);
    size_t bucket = has_id ? vly_imu__index_bucket(&s->index, &id) : 0;
    while (n < cap && bucket < end) {
        size_t stop = end - bucket > LIST_STRIDE ? bucket + LIST_STRIDE : end;
        bool is_seen = false;
        pthread_mutex_lock(&s->lock);
        while (!is_seen && bucket < stop) {
            const vly_imu_entry *e =
                vly_imu__index_next(&s->index, has_id ? &id : NULL, &bucket, stop - bucket);
            if (e == NULL)
                break;
            id = e->id;
            has_id = true;
            is_seen = may_see(who, e);
            if (is_seen)
                vly_imu__info_locked(e, &ret[n++]);
        }
        pthread_mutex_unlock(&s->lock);
    }
    *ret_n = n;
    return VLY_OK;
}

void vly_imu_sessions_count(vly_imu_sessions *s, const vly_imu_who *who, size_t *ret_n,
                            size_t *ret_attached)
{
    size_t end = who->sees_all ? 0 : (size_t)1 << s->index.n_bits;

    *ret_n = who->sees_all ? (size_t)vly_gauge_get(&s->stats.sessions) : 0;
    *ret_attached = who->sees_all ? (size_t)vly_gauge_get(&s->stats.attached) : 0;
    for (size_t bucket = 0; bucket < end;) {
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < LIST_STRIDE && bucket < end; i++, bucket++) {
            for (const vly_imu_entry *e = s->index.by_id[bucket]; e != NULL; e = e->next_by_id) {
                *ret_n += may_see(who, e);
                *ret_attached += may_see(who, e) && e->attached != NULL;
            }
        }
        pthread_mutex_unlock(&s->lock);
    }
}

const vly_imu_sessions_stats *vly_imu_sessions_get_stats(const vly_imu_sessions *s)
{
    return &s->stats;
}

/* ---- life ---- */

static vly_status check_opts(const vly_imu_sessions_opts *o, vly_err *err)
{
    if (o->n_loops == 0 || o->max_sessions == 0 || o->max_waiting == 0 ||
        o->max_waiting_all < o->n_loops)
        return vly_fail(err, VLY_EINVAL,
                        "imu sessions: expected loops, sessions and readings that may wait, got 0");
    return VLY_OK;
}

static void init_locks(vly_imu_sessions *s)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->ran, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

vly_status vly_imu_sessions_new(const vly_imu_sessions_opts *opts, vly_imu_sessions **ret,
                                vly_err *err)
{
    vly_status st = check_opts(opts, err);

    if (st != VLY_OK)
        return st;
    vly_imu_sessions *s = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*s));
    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for imu sessions");
    s->opts = *opts;
    s->opts.model = vly_step_model_ref(opts->model);
    if (opts->now == NULL)
        s->opts.now = vly_clock_now;
    s->changed_tail = &s->first_changed;
    init_locks(s);
    if (!vly_imu__index_init(&s->index, opts->max_sessions))
        st = vly_fail(err, VLY_ENOMEM, "out of memory for %zu imu sessions", opts->max_sessions);
    if (st == VLY_OK)
        st = vly_imu__loops_new(s, err);
    if (st == VLY_OK)
        st = vly_imu__save_open(s, err);
    if (st == VLY_OK) {
        *ret = s;
        return VLY_OK;
    }
    vly_imu_sessions_free(s);
    return st;
}

static void forget_all(vly_imu_sessions *s)
{
    for (size_t i = 0; s->index.by_id != NULL && i < (size_t)1 << s->index.n_bits; i++) {
        while (s->index.by_id[i] != NULL) {
            vly_imu_entry *e = s->index.by_id[i];
            VLY_ASSERT(e->attached == NULL);
            vly_imu__index_remove(&s->index, e);
            vly_imu__entry_unref_locked(e);
        }
    }
}

void vly_imu_sessions_free(vly_imu_sessions *s)
{
    if (s == NULL)
        return;
    vly_imu__loops_free(s); /* runs what closed ones had pushed */
    vly_imu__save_close(s);
    forget_all(s);
    vly_imu__index_release(&s->index);
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->ran);
    pthread_mutex_destroy(&s->lock);
    vly_step_model_unref(s->opts.model);
    vly_free(s);
}
