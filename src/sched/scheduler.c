/* SPDX-License-Identifier: MIT */
#include "sched/scheduler.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sched/lane.h"
#include "sys/core_count.h"

#include <string.h>

#define TEXT_MAX_BYTES ((size_t)64 << 20)

struct vly_scheduler {
    vly_scheduler_opts opts;
    vly_worker_pool *pool;
    vly_arena arena;     /* names, paths and reasons */
    vly_served **models; /* sorted by name, then version */
    size_t n_models;
    size_t cap;
};

const char *vly_job_failure_name(vly_job_failure f)
{
#define NAME(name) #name,
    static const char *const names[] = {VLY_JOB_FAILURE_MAP(NAME)};
#undef NAME
    VLY_ASSERT(f < VLY_JOB_FAILURE_N);
    return names[f];
}

/* The pool's line has no bound of its own: what may wait in it is one item for each instance, and
 * what else is submitted to it is bounded by the requests that a server holds. */
vly_status vly_scheduler_new(const vly_scheduler_opts *opts, vly_scheduler **ret, vly_err *err)
{
    unsigned n_threads = opts->n_threads != 0 ? opts->n_threads : vly_core_count();
    vly_scheduler *s = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*s));

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the scheduler");
    s->opts = *opts;
    vly_arena_init(&s->arena, VLY_MEM_SCHED, 4096, TEXT_MAX_BYTES);
    vly_status st = vly_worker_pool_new(n_threads, SIZE_MAX, &s->pool, err);
    if (st != VLY_OK) {
        vly_free(s);
        return st;
    }
    *ret = s;
    return VLY_OK;
}

static void served_free(vly_served *m)
{
    if (m == NULL)
        return;
    vly_lane_free(m->lane);
    vly_servable_unref(m->servable);
    vly_free(m);
}

void vly_scheduler_free(vly_scheduler *s)
{
    if (s == NULL)
        return;
    vly_worker_pool_drain(s->pool);
    for (size_t i = 0; i < s->n_models; i++)
        served_free(s->models[i]);
    vly_worker_pool_free(s->pool);
    vly_arena_release(&s->arena);
    vly_free(s->models);
    vly_free(s);
}

vly_worker_pool *vly_scheduler_pool(vly_scheduler *s)
{
    return s->pool;
}

size_t vly_scheduler_count(const vly_scheduler *s)
{
    return s->n_models;
}

vly_served *vly_scheduler_at(const vly_scheduler *s, size_t idx)
{
    VLY_ASSERT(idx < s->n_models);
    return s->models[idx];
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
static size_t lower_bound(const vly_scheduler *s, vly_str name, vly_str version)
{
    size_t low = 0, high = s->n_models;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = compare_text(vly_str_from(s->models[mid]->name), name);
        if (order == 0)
            order = compare_version(vly_str_from(s->models[mid]->version), version);
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

vly_served *vly_scheduler_find(const vly_scheduler *s, vly_str name, vly_str version)
{
    vly_served *best = NULL;

    name.ptr = name.ptr != NULL ? name.ptr : "";
    version.ptr = version.ptr != NULL ? version.ptr : "";
    for (size_t i = lower_bound(s, name, version);
         i < s->n_models && vly_str_is(name, s->models[i]->name); i++) {
        vly_served *m = s->models[i];
        if (version.len > 0)
            return vly_str_is(version, m->version) ? m : NULL;
        if (best == NULL || m->servable != NULL || best->servable == NULL)
            best = m;
    }
    return best;
}

/* A new row with its name; path may be NULL. */
static vly_status served_new(vly_scheduler *s, const char *name, const char *version,
                             const char *path, vly_served **ret, vly_err *err)
{
    vly_served *m = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*m));

    if (m != NULL) {
        m->name = vly_arena_strdup(&s->arena, vly_str_from(name));
        m->version = vly_arena_strdup(&s->arena, vly_str_from(version));
        m->path = path != NULL ? vly_arena_strdup(&s->arena, vly_str_from(path)) : NULL;
    }
    if (m == NULL || m->name == NULL || m->version == NULL || (path != NULL && m->path == NULL)) {
        vly_free(m);
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", name);
    }
    *ret = m;
    return VLY_OK;
}

static vly_status set_error(vly_scheduler *s, vly_served *m, const char *reason, vly_err *err)
{
    m->error = vly_arena_strdup(&s->arena, vly_str_from(reason));
    if (m->error == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", m->name);
    return VLY_OK;
}

/* The model serves, or says why it does not. */
static vly_status load(vly_scheduler *s, vly_served *m, const vly_servable_spec *spec, vly_err *err)
{
    vly_err why = VLY_ERR_INIT;
    vly_nsec begin = vly_clock_now();
    vly_status st = vly_servable_open(spec, &m->servable, &why);

    m->load_ns = vly_clock_now() - begin;
    if (st != VLY_OK)
        return set_error(s, m, why.msg, err);
    return vly_lane_new(m, &s->opts, s->pool, &m->lane, err);
}

static bool grow(vly_scheduler *s)
{
    size_t cap = s->cap == 0 ? 16 : s->cap * 2;

    if (s->n_models < s->cap)
        return true;
    vly_served **models = vly_realloc(VLY_MEM_SCHED, s->models, cap * sizeof(*models));
    if (models == NULL)
        return false;
    s->models = models;
    s->cap = cap;
    return true;
}

static vly_status check_new(const vly_scheduler *s, const char *name, const char *version,
                            vly_err *err)
{
    if (vly_scheduler_find(s, vly_str_from(name), vly_str_from(version)) == NULL)
        return VLY_OK;
    return vly_fail(err, VLY_EEXIST, "there is a model '%s' of version %s already", name, version);
}

/* Puts m in its place and takes it; frees it when there is no room. */
static vly_status insert(vly_scheduler *s, vly_served *m, const vly_served **ret, vly_err *err)
{
    if (!grow(s)) {
        vly_status st = vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", m->name);
        served_free(m);
        return st;
    }
    size_t at = lower_bound(s, vly_str_from(m->name), vly_str_from(m->version));
    memmove(s->models + at + 1, s->models + at, (s->n_models - at) * sizeof(*s->models));
    s->models[at] = m;
    s->n_models++;
    *ret = m;
    return VLY_OK;
}

vly_status vly_scheduler_add(vly_scheduler *s, const vly_servable_spec *spec,
                             const vly_served **ret, vly_err *err)
{
    vly_served *m = NULL;

    VLY_ASSERT(spec->name != NULL && spec->version != NULL);
    vly_status st = check_new(s, spec->name, spec->version, err);
    if (st == VLY_OK)
        st = served_new(s, spec->name, spec->version, spec->path, &m, err);
    if (st == VLY_OK)
        st = load(s, m, spec, err);
    if (st != VLY_OK) {
        served_free(m);
        return st;
    }
    return insert(s, m, ret, err);
}

vly_status vly_scheduler_add_unavailable(vly_scheduler *s, const char *name, const char *version,
                                         const char *reason, const vly_served **ret, vly_err *err)
{
    vly_served *m = NULL;
    vly_status st = check_new(s, name, version, err);

    if (st == VLY_OK)
        st = served_new(s, name, version, NULL, &m, err);
    if (st == VLY_OK)
        st = set_error(s, m, reason, err);
    if (st != VLY_OK) {
        served_free(m);
        return st;
    }
    return insert(s, m, ret, err);
}

vly_status vly_scheduler_submit(vly_served *m, vly_job *const *jobs, size_t n, vly_err *err)
{
    VLY_ASSERT(m->lane != NULL);
    return vly_lane_submit(m->lane, jobs, n, err);
}
