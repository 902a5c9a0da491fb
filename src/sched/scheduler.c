/* SPDX-License-Identifier: MIT */
#include "sched/scheduler.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sched/ensemble.h"
#include "sched/lane.h"
#include "sched/rate_limit.h"
#include "sched/sequence.h"
#include "sched/step_runner.h"
#include "sys/core_count.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct vly_scheduler {
    vly_scheduler_opts opts;   /* immutable but for max_waiting */
    vly_worker_pool *pool;     /* immutable */
    vly_alarms *alarms;        /* immutable */
    vly_rate_limiter *limiter; /* immutable */
    vly_lane_home home;
    pthread_mutex_t change; /* held by whoever makes the next set; before lock */
    pthread_mutex_t lock;
    vly_model_set *models; /* guarded by lock; replaced under change too */
};

/* ---- the set of models ---- */

static vly_model_set *set_new(size_t n)
{
    vly_model_set *set = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*set) + n * sizeof(set->models[0]));

    if (set != NULL)
        atomic_init(&set->n_refs, 1);
    return set;
}

void vly_model_set_unref(vly_model_set *set)
{
    /* acq_rel: the last owner must see what the others did before the memory goes */
    if (set == NULL || atomic_fetch_sub_explicit(&set->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < set->n; i++)
        vly_served_unref(set->models[i]);
    vly_free(set);
}

vly_model_set *vly_scheduler_models(vly_scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    vly_model_set *set = s->models;
    atomic_fetch_add_explicit(&set->n_refs, 1, memory_order_relaxed); /* the scheduler holds one */
    pthread_mutex_unlock(&s->lock);
    return set;
}

static int compare_text(vly_str a, vly_str b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Versions that are numbers compare as numbers: without leading zeros the longer one is higher. */
static int compare_version(vly_str a, vly_str b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return compare_text(a, b);
}

/* The first model at or after this name and version. */
static size_t lower_bound(const vly_model_set *set, vly_str name, vly_str version)
{
    size_t low = 0, high = set->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = compare_text(vly_str_from(set->models[mid]->name), name);
        if (order == 0)
            order = compare_version(vly_str_from(set->models[mid]->version), version);
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static vly_served *find(const vly_model_set *set, vly_str name, vly_str version)
{
    vly_served *best = NULL;

    for (size_t i = lower_bound(set, name, version);
         i < set->n && vly_str_is(name, set->models[i]->name); i++) {
        vly_served *m = set->models[i];
        if (version.len > 0)
            return vly_str_is(version, m->version) ? m : NULL;
        if (best == NULL || m->servable != NULL || best->servable == NULL)
            best = m;
    }
    return best;
}

vly_served *vly_scheduler_find(vly_scheduler *s, vly_str name, vly_str version)
{
    name.ptr = name.ptr != NULL ? name.ptr : "";
    version.ptr = version.ptr != NULL ? version.ptr : "";
    pthread_mutex_lock(&s->lock);
    vly_served *m = find(s->models, name, version);
    if (m != NULL)
        vly_served_ref(m);
    pthread_mutex_unlock(&s->lock);
    return m;
}

static bool is_listed(vly_served *const *list, size_t n, const vly_served *m)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == m)
            return true;
    return false;
}

static bool is_replaced(vly_served *const *in, size_t n_in, const vly_served *m)
{
    for (size_t i = 0; i < n_in; i++)
        if (strcmp(in[i]->name, m->name) == 0 && strcmp(in[i]->version, m->version) == 0)
            return true;
    return false;
}

static int by_name_and_version(const void *a, const void *b)
{
    const vly_served *x = *(vly_served *const *)a, *y = *(vly_served *const *)b;
    int order = compare_text(vly_str_from(x->name), vly_str_from(y->name));

    return order != 0 ? order : compare_version(vly_str_from(x->version), vly_str_from(y->version));
}

/* A copy of the set with the changes of vly_scheduler_exchange, or NULL. */
static vly_model_set *set_with(const vly_model_set *old, vly_served *const *in, size_t n_in,
                               vly_served *const *out, size_t n_out)
{
    vly_model_set *set = set_new(old->n + n_in);

    if (set == NULL)
        return NULL;
    for (size_t i = 0; i < old->n; i++) {
        vly_served *m = old->models[i];
        if (!is_listed(out, n_out, m) && !is_replaced(in, n_in, m))
            set->models[set->n++] = vly_served_ref(m);
    }
    for (size_t i = 0; i < n_in; i++)
        set->models[set->n++] = vly_served_ref(in[i]);
    if (set->n > 0)
        qsort(set->models, set->n, sizeof(set->models[0]), by_name_and_version);
    return set;
}

/* m was offered and is no longer. The caller holds a reference and no lock: jobs may end here. */
static void retire(vly_served *m)
{
    atomic_store(&m->state, VLY_SERVED_UNLOADING);
    if (m->runner != NULL && m->runner->ops->stop != NULL)
        m->runner->ops->stop(m->runner);
}

/* Those of old that set has not. */
static void retire_missing(const vly_model_set *old, const vly_model_set *set)
{
    for (size_t i = 0; i < old->n; i++) {
        vly_served *m = old->models[i];
        size_t at = lower_bound(set, vly_str_from(m->name), vly_str_from(m->version));
        if (at == set->n || set->models[at] != m)
            retire(m);
    }
}

vly_status vly_scheduler_exchange(vly_scheduler *s, vly_served *const *in, size_t n_in,
                                  vly_served *const *out, size_t n_out, vly_err *err)
{
    pthread_mutex_lock(&s->change);
    vly_model_set *old = s->models; /* nobody else replaces it now */
    vly_model_set *set = set_with(old, in, n_in, out, n_out);
    if (set != NULL) {
        atomic_fetch_add_explicit(&set->n_refs, 1, memory_order_relaxed); /* for retire */
        pthread_mutex_lock(&s->lock);
        s->models = set;
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&s->change);
    if (set == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the models");
    retire_missing(old, set);
    vly_model_set_unref(old); /* models may end with it */
    vly_model_set_unref(set);
    return VLY_OK;
}

vly_status vly_scheduler_publish(vly_scheduler *s, vly_served *m, vly_err *err)
{
    return vly_scheduler_exchange(s, &m, 1, NULL, 0, err);
}

vly_status vly_scheduler_withdraw(vly_scheduler *s, vly_str name, vly_str version, vly_err *err)
{
    vly_served *m = version.len > 0 ? vly_scheduler_find(s, name, version) : NULL;

    if (m == NULL)
        return vly_fail(err, VLY_ENOTFOUND, "there is no model '%.*s' of version %.*s",
                        VLY_STR_ARG(name), VLY_STR_ARG(version));
    vly_status st = vly_scheduler_exchange(s, NULL, 0, &m, 1, err);
    vly_served_unref(m);
    return st;
}

/* ---- loading ---- */

static vly_status new_sequence(vly_scheduler *s, vly_served *m, vly_err *err)
{
    vly_runner *lane = NULL;
    vly_status st = vly_lane_new(m, &s->home, &lane, err);

    if (st != VLY_OK)
        return st;
    st = vly_sequence_new(m, &s->opts, s->alarms, lane, &m->runner, err);
    if (st != VLY_OK)
        lane->ops->free(lane);
    return st;
}

/* Each kind of runner is one line here. */
static vly_status new_runner(vly_scheduler *s, vly_served *m, vly_err *err)
{
    const vly_servable *servable = m->servable;

    if (servable->ensemble != NULL)
        return vly_ensemble_new(m, s, &s->opts, &m->runner, err);
    if (servable->step != NULL)
        return vly_step_runner_new(m, &s->opts, s->pool, &m->runner, err);
    if (servable->sequence != NULL)
        return new_sequence(s, m, err);
    return vly_lane_new(m, &s->home, &m->runner, err);
}

static vly_status open_servable(vly_scheduler *s, const vly_servable_spec *spec, vly_servable **ret,
                                vly_err *err)
{
    vly_servable *servable;
    vly_status st = vly_servable_open(spec, &servable, err);

    if (st == VLY_OK && servable->ensemble != NULL) {
        st = vly_ensemble_check(s, servable, err);
        if (st != VLY_OK)
            vly_servable_unref(servable);
    }
    if (st == VLY_OK)
        *ret = servable;
    return st;
}

/* A READY row that runs. On failure its reference to the servable is gone. */
static vly_status new_ready(vly_scheduler *s, vly_servable *servable, const char *path,
                            vly_served **ret, vly_err *err)
{
    vly_served *m = NULL;
    vly_status st =
        vly_served_new(servable->name, servable->version, path, VLY_SERVED_READY, NULL, &m, err);

    if (st != VLY_OK) {
        vly_servable_unref(servable);
        return st;
    }
    m->servable = servable;
    st = new_runner(s, m, err);
    if (st != VLY_OK)
        vly_served_unref(m);
    else
        *ret = m;
    return st;
}

/* The model serves, or says why it does not. */
vly_status vly_scheduler_load(vly_scheduler *s, const vly_servable_spec *spec, vly_served **ret,
                              vly_err *err)
{
    vly_served *m = NULL;
    vly_servable *servable = NULL;
    vly_err why = VLY_ERR_INIT;
    vly_nsec begin = vly_clock_now();

    VLY_ASSERT(spec->name != NULL && spec->version != NULL);
    vly_status st = open_servable(s, spec, &servable, &why);
    if (st == VLY_OK)
        st = new_ready(s, servable, spec->path, &m, &why);
    if (st != VLY_OK)
        st = vly_served_new(spec->name, spec->version, spec->path, VLY_SERVED_UNAVAILABLE, why.msg,
                            &m, err);
    if (st != VLY_OK)
        return st;
    m->load_ns = vly_clock_now() - begin;
    *ret = m;
    return VLY_OK;
}

void vly_scheduler_turn(vly_scheduler *s, unsigned loop)
{
    vly_lane_home_turn(&s->home, loop);
}

vly_status vly_scheduler_submit(vly_served *m, vly_job *const *jobs, size_t n, vly_err *err)
{
    VLY_ASSERT(m->runner != NULL);
    return m->runner->ops->submit(m->runner, jobs, n, err);
}

/* ---- the scheduler ---- */

/* The pool's line has no bound of its own: what may wait in it is one item for each instance, and
 * what else is submitted to it is bounded by the requests that a server holds. */
void vly_scheduler_set_max_waiting(vly_scheduler *s, size_t n)
{
    atomic_store(&s->opts.max_waiting, n);
}

vly_status vly_scheduler_new(const vly_scheduler_opts *opts, vly_scheduler **ret, vly_err *err)
{
    unsigned n_threads = opts->n_threads != 0 ? opts->n_threads : vly_core_count();
    vly_scheduler *s = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*s));
    vly_model_set *models = set_new(0);
    vly_status st = VLY_OK;

    vly_lane_line *lines = vly_calloc(VLY_MEM_SCHED, opts->n_loops + 1, sizeof(*lines));

    if (s == NULL || models == NULL || lines == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for the scheduler");
    if (st == VLY_OK)
        st = vly_rate_limiter_new(opts->resources != NULL ? opts->resources : "", &s->limiter, err);
    if (st == VLY_OK)
        st = vly_alarms_new(&s->alarms, err);
    if (st == VLY_OK)
        st = vly_worker_pool_new(n_threads, SIZE_MAX, &s->pool, err);
    if (st != VLY_OK) {
        vly_alarms_free(s != NULL ? s->alarms : NULL);
        vly_rate_limiter_free(s != NULL ? s->limiter : NULL);
        vly_free(lines);
        vly_model_set_unref(models);
        vly_free(s);
        return st;
    }
    s->opts = *opts;
    s->models = models;
    s->home = (vly_lane_home){.opts = &s->opts,
                              .pool = s->pool,
                              .alarms = s->alarms,
                              .limiter = s->limiter,
                              .lines = lines};
    pthread_mutex_init(&s->home.lock, NULL);
    pthread_cond_init(&s->home.is_empty, NULL);
    pthread_mutex_init(&s->change, NULL);
    pthread_mutex_init(&s->lock, NULL);
    *ret = s;
    return VLY_OK;
}

void vly_scheduler_free(vly_scheduler *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->models->n; i++)
        retire(s->models->models[i]);
    do { /* work of the pool may submit jobs, and jobs work */
        vly_lane_home_wait(&s->home);
        vly_worker_pool_drain(s->pool);
    } while (atomic_load(&s->home.n_jobs) > 0);
    vly_model_set_unref(s->models);
    vly_worker_pool_free(s->pool);
    vly_alarms_free(s->alarms);
    vly_rate_limiter_free(s->limiter);
    pthread_cond_destroy(&s->home.is_empty);
    pthread_mutex_destroy(&s->home.lock);
    vly_free(s->home.lines);
    pthread_mutex_destroy(&s->change);
    pthread_mutex_destroy(&s->lock);
    vly_free(s);
}

vly_worker_pool *vly_scheduler_pool(vly_scheduler *s)
{
    return s->pool;
}

vly_alarms *vly_scheduler_alarms(vly_scheduler *s)
{
    return s->alarms;
}
