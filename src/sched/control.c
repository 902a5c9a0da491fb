/* SPDX-License-Identifier: MIT */
/* The loader thread, its queue of requests, and what the directory holds. */
#include "sched/control.h"

#include "base/log.h"
#include "base/mem.h"
#include "sched/control_state.h"
#include "sched/override.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

bool vly_control_mode_parse(const char *text, vly_control_mode *ret)
{
    static const char *const names[] = {"none", "poll", "explicit"};

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (vly_control_mode)i;
            return true;
        }
    }
    return false;
}

/* ---- looking at the directory ---- */

/* Ends the service of the models that the directory does not hold any more. */
static void unload_gone(vly_control *c, const vly_repository *repo)
{
    for (vly_control_record *r = c->records; r != NULL; r = r->next)
        r->is_present = false;
    for (size_t i = 0; i < repo->n_entries; i++) {
        vly_control_record *r = vly_control__find(c, repo->entries[i].name);
        if (r != NULL)
            r->is_present = true;
    }
    for (const vly_control_record *r = c->records; r != NULL; r = r->next)
        if (!r->is_present && vly_control__is_served(c, r->name))
            vly_control__unload(c, r->name, "unloaded");
}

/* Everything that the directory holds. */
static vly_status look_at_all(vly_control *c, bool is_patient, vly_err *err)
{
    vly_repository repo = {.n_entries = 0};
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_SCHED, 1 << 14, VLY_CONTROL_ARENA_BYTES);
    vly_status st = vly_repository_scan(c->opts.dir, &arena, &repo, err);
    if (st == VLY_OK) {
        unload_gone(c, &repo);
        st = vly_control__bring(c, &repo, &(vly_control_bring){.is_patient = is_patient}, err);
    }
    vly_arena_release(&arena);
    return st;
}

/* Only what is loaded, and not by the files of a request. */
static vly_status look_at_loaded(vly_control *c, vly_err *err)
{
    vly_status st = VLY_OK;

    for (const vly_control_record *r = c->records; r != NULL && st == VLY_OK; r = r->next) {
        vly_repository repo = {.n_entries = 0};
        vly_arena arena;
        if (r->is_overridden || !vly_control__is_served(c, r->name))
            continue;
        vly_arena_init(&arena, VLY_MEM_SCHED, 1 << 14, VLY_CONTROL_ARENA_BYTES);
        st = vly_repository_scan_model(c->opts.dir, r->name, NULL, &arena, &repo, err);
        if (st == VLY_OK)
            st = vly_control__bring(c, &repo, &(vly_control_bring){0}, err);
        else if (st == VLY_ENOTFOUND)
            vly_warn("model '%s': %s; what was loaded serves on", r->name, err->msg);
        st = st == VLY_ENOTFOUND ? VLY_OK : st;
        vly_arena_release(&arena);
    }
    return st;
}

static vly_status look(vly_control *c, bool is_patient, vly_err *err)
{
    vly_status st = c->opts.mode == VLY_CONTROL_EXPLICIT ? look_at_loaded(c, err)
                                                         : look_at_all(c, is_patient, err);
    if (st != VLY_OK)
        vly_warn("models: %s; what was loaded serves on", err->msg);
    return st;
}

/* ---- requests ---- */

/* a and b in one. */
static vly_status join(const vly_repository *a, const vly_repository *b, vly_arena *arena,
                       vly_repository *ret, vly_err *err)
{
    size_t n = a->n_entries + b->n_entries;
    vly_repository_entry *both = vly_arena_calloc(arena, n, sizeof(*both));

    if (both == NULL)
        return vly_arena_fail(arena, err);
    if (a->n_entries > 0)
        memcpy(both, a->entries, a->n_entries * sizeof(*both));
    if (b->n_entries > 0)
        memcpy(both + a->n_entries, b->entries, b->n_entries * sizeof(*both));
    *ret = (vly_repository){.entries = both, .n_entries = n};
    return VLY_OK;
}

typedef struct name_list {
    const char **name;
    size_t n;
} name_list;

/* The models of the steps, those that are not listed yet. */
static vly_status add_steps(const vly_triton_ensemble *e, name_list *list, vly_arena *arena,
                            vly_err *err)
{
    for (size_t k = 0; k < e->n_steps; k++) {
        size_t i = 0;
        while (i < list->n && !vly_str_is(e->steps[k].model_name, list->name[i]))
            i++;
        if (i < list->n)
            continue;
        if (list->n == VLY_REPOSITORY_ENTRIES_MAX)
            return vly_fail(err, VLY_ELIMIT, "more than %d models", VLY_REPOSITORY_ENTRIES_MAX);
        list->name[list->n] = vly_arena_strdup(arena, e->steps[k].model_name);
        if (list->name[list->n++] == NULL)
            return vly_arena_fail(arena, err);
    }
    return VLY_OK;
}

/* The entries of name, and of the models that ensembles among them are made of. */
static vly_status collect(const char *dir, const char *name, const char *config_json,
                          vly_arena *arena, vly_repository *ret, vly_err *err)
{
    vly_repository all = {.n_entries = 0};
    name_list list = {vly_arena_calloc(arena, VLY_REPOSITORY_ENTRIES_MAX, sizeof(char *)), 1};
    vly_status st = VLY_OK;

    if (list.name == NULL)
        return vly_arena_fail(arena, err);
    list.name[0] = name;
    for (size_t i = 0; i < list.n && st == VLY_OK; i++) {
        vly_repository one = {.n_entries = 0};
        st = vly_repository_scan_model(dir, list.name[i], i == 0 ? config_json : NULL, arena, &one,
                                       err);
        if (st == VLY_ENOTFOUND && i > 0)
            st = VLY_OK; /* the ensemble will say that it is missing */
        if (st == VLY_OK)
            st = join(&all, &one, arena, &all, err);
        const vly_triton_config *config = one.n_entries > 0 ? one.entries[0].config : NULL;
        if (st == VLY_OK && config != NULL && config->ensemble_scheduling != NULL)
            st = add_steps(config->ensemble_scheduling, &list, arena, err);
    }
    if (st == VLY_OK)
        *ret = all;
    return st;
}

static vly_status load_from(vly_control *c, const char *dir, const char *name,
                            const char *config_json, vly_err *err)
{
    vly_repository repo = {.n_entries = 0};
    vly_arena arena;
    vly_err why;

    vly_arena_init(&arena, VLY_MEM_SCHED, 1 << 14, VLY_CONTROL_ARENA_BYTES);
    vly_status st = collect(dir, name, config_json, &arena, &repo, &why);
    if (st == VLY_ENOTFOUND)
        st = vly_fail(err, VLY_EINTERNAL,
                      "failed to load '%s', failed to poll from model repository", name);
    else if (st != VLY_OK)
        st = vly_fail(err, st, "%s", why.msg);
    else if (repo.n_entries > 0 && repo.entries[0].is_model_error)
        st = vly_fail(err, VLY_EINTERNAL,
                      "failed to load '%s', failed to poll from model repository: %s", name,
                      repo.entries[0].error);
    else
        st = vly_control__bring(
            c, &repo, &(vly_control_bring){.config_json = config_json, .asked = name}, err);
    vly_arena_release(&arena);
    return st;
}

/* Ensembles that waited for a model which may be there now. */
static void load_waiting(vly_control *c)
{
    vly_err err;

    for (vly_control_record *r = c->records; r != NULL; r = r->next)
        if (r->is_waiting && load_from(c, c->opts.dir, r->name, NULL, &err) != VLY_OK)
            vly_debug("model '%s': %s", r->name, err.msg);
}

static vly_status load(vly_control *c, const vly_control_request *req, const char *name,
                       const char *config, vly_err *err)
{
    char *dir = NULL;
    vly_status st = VLY_OK;

    if (req->n_files > 0)
        st = vly_override_make(name, req->files, req->n_files, &dir, err);
    if (st == VLY_OK)
        st = load_from(c, dir != NULL ? dir : c->opts.dir, name, config, err);
    vly_override_remove(dir); /* what was loaded is in memory */
    vly_control_record *r = vly_control__find(c, name);
    if (r != NULL && r->is_waiting)
        r->is_asked = true; /* load_waiting brings it later */
    if (st == VLY_OK && r != NULL) {
        r->is_asked = true;
        r->is_overridden = req->config.ptr != NULL;
    }
    if (st == VLY_OK)
        load_waiting(c);
    return st;
}

static vly_status serve_load(vly_control *c, const vly_control_request *req, vly_err *err)
{
    char *name = vly_strndup(VLY_MEM_SCHED, req->name.ptr, req->name.len);
    char *config = req->config.ptr != NULL
                       ? vly_strndup(VLY_MEM_SCHED, req->config.ptr, req->config.len)
                       : NULL;
    vly_status st = VLY_OK;

    if (name == NULL || (req->config.ptr != NULL && config == NULL))
        st = vly_fail(err, VLY_ENOMEM, "out of memory for a load");
    else if (req->n_files > 0 && config == NULL)
        st = vly_fail(err, VLY_EINVAL,
                      "Load parameter 'config' must be specified for model file override");
    if (st == VLY_OK && config != NULL)
        st = vly_override_check(config, err);
    if (st == VLY_OK)
        st = load(c, req, name, config, err);
    vly_free(name);
    vly_free(config);
    return st;
}

static vly_status serve_unload(vly_control *c, const vly_control_request *req, vly_err *err)
{
    char *name = vly_strndup(VLY_MEM_SCHED, req->name.ptr, req->name.len);

    if (name == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for an unload");
    vly_control__unload(c, name, "unloaded");
    vly_control_record *r = vly_control__find(c, name);
    if (r != NULL)
        r->is_asked = r->is_waiting = false;
    if (req->unload_dependents)
        vly_control__unload_orphans(c);
    vly_free(name);
    return VLY_OK;
}

static void serve_request(vly_control *c, vly_control_request *req)
{
    switch (req->action) {
    case VLY_CONTROL_LOAD:
        req->status = serve_load(c, req, &req->err);
        break;
    case VLY_CONTROL_UNLOAD:
        req->status = serve_unload(c, req, &req->err);
        break;
    case VLY_CONTROL_LOOK:
        req->status = look(c, c->opts.mode == VLY_CONTROL_POLL, &req->err);
        break;
    }
    malloc_trim(0); /* what a model has given back goes back to the system */
    req->done(req);
}

static vly_status check_name(vly_str name, vly_err *err)
{
    bool is_blank = true;

    if (name.len == 0)
        return vly_fail(err, VLY_EINVAL, "model name must not be empty");
    for (size_t i = 0; i < name.len; i++) {
        is_blank = is_blank && strchr(" \t\n\v\f\r", name.ptr[i]) != NULL && name.ptr[i] != '\0';
        bool is_up = i + 1 < name.len && name.ptr[i] == '.' && name.ptr[i + 1] == '.';
        if (is_up || name.ptr[i] == '/' || name.ptr[i] == '\0')
            return vly_fail(err, VLY_EINVAL,
                            "invalid model name '%.*s', model name must not contain path "
                            "traversal characters",
                            VLY_STR_ARG(name));
    }
    if (is_blank)
        return vly_fail(err, VLY_EINVAL, "model name must not contain only whitespace characters");
    return VLY_OK;
}

vly_status vly_control_submit(vly_control *c, vly_control_request *r, vly_err *err)
{
    vly_status st = VLY_OK;

    if (r->action != VLY_CONTROL_LOOK && c->opts.mode != VLY_CONTROL_EXPLICIT)
        return vly_fail(err, VLY_EUNAVAILABLE,
                        "explicit model load / unload is not allowed if polling is enabled");
    if (r->action == VLY_CONTROL_LOAD)
        st = check_name(r->name, err);
    if (st != VLY_OK)
        return st;
    r->next = NULL;
    pthread_mutex_lock(&c->lock);
    if (c->is_stopping) {
        st = vly_fail(err, VLY_EUNAVAILABLE, "the server is shutting down");
    } else if (c->n_waiting >= c->opts.max_waiting) {
        st = vly_fail(err, VLY_EBUSY, "%zu requests wait for the loader already", c->n_waiting);
    } else {
        if (c->last != NULL)
            c->last->next = r;
        else
            c->first = r;
        c->last = r;
        c->n_waiting++;
        pthread_cond_signal(&c->wake);
    }
    pthread_mutex_unlock(&c->lock);
    return st;
}

void vly_control_rescan(vly_control *c)
{
    pthread_mutex_lock(&c->lock);
    c->wants_rescan = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

/* ---- the loader thread ---- */

static vly_control_request *take(vly_control *c)
{
    vly_control_request *r = c->first;

    if (r == NULL)
        return NULL;
    c->first = r->next;
    if (c->first == NULL)
        c->last = NULL;
    c->n_waiting--;
    return r;
}

static void look_and_trim(vly_control *c, bool is_patient)
{
    vly_err err = VLY_ERR_INIT;

    if (look(c, is_patient, &err) == VLY_OK)
        malloc_trim(0);
}

/* Until the time, or a reason to wake; the lock is held. */
static void wait_until(vly_control *c, vly_nsec at)
{
    struct timespec t = {.tv_sec = (time_t)(at / VLY_NSEC_PER_SEC),
                         .tv_nsec = (long)(at % VLY_NSEC_PER_SEC)};

    if (at == 0)
        pthread_cond_wait(&c->wake, &c->lock);
    else
        pthread_cond_timedwait(&c->wake, &c->lock, &t);
}

static void *run(void *arg)
{
    vly_control *c = arg;
    bool polls = c->opts.mode == VLY_CONTROL_POLL;
    vly_nsec interval = c->opts.poll_interval_ms * VLY_NSEC_PER_MS;
    vly_nsec next = polls ? vly_clock_now() + interval : 0;

    pthread_mutex_lock(&c->lock);
    while (!c->is_stopping) {
        vly_control_request *r = take(c);
        bool is_rescan = r == NULL && c->wants_rescan;
        bool is_tick = r == NULL && !is_rescan && polls && vly_clock_now() >= next;
        if (r == NULL && !is_rescan && !is_tick) {
            wait_until(c, next);
            continue;
        }
        if (is_rescan)
            c->wants_rescan = false;
        pthread_mutex_unlock(&c->lock);
        if (r != NULL)
            serve_request(c, r);
        else
            look_and_trim(c, is_tick);
        if (is_tick)
            next = vly_clock_now() + interval;
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- the whole ---- */

/* What EXPLICIT loads at start. */
static vly_status load_named(vly_control *c, vly_err *err)
{
    vly_str rest = vly_str_from(c->opts.load);

    if (vly_str_is(rest, "*"))
        return look_at_all(c, false, err);
    while (rest.ptr != NULL) {
        vly_str name = vly_str_trim(vly_str_split(&rest, ','));
        vly_control_request r = {.action = VLY_CONTROL_LOAD, .name = name};
        if (name.len == 0)
            continue;
        vly_status st = check_name(name, &r.err);
        if (st == VLY_OK)
            st = serve_load(c, &r, &r.err);
        if (st == VLY_ENOMEM)
            return vly_fail(err, st, "%s", r.err.msg);
        if (st != VLY_OK)
            vly_error("%s", r.err.msg);
    }
    return VLY_OK;
}

static vly_status start(vly_control *c, vly_err *err)
{
    vly_arena arena;
    vly_status st = VLY_OK;

    if (c->opts.mode == VLY_CONTROL_EXPLICIT) {
        const char *const *names;
        size_t n;
        vly_arena_init(&arena, VLY_MEM_SCHED, 1 << 14, VLY_CONTROL_ARENA_BYTES);
        st = vly_repository_names(c->opts.dir, &arena, &names, &n, err);
        vly_arena_release(&arena);
        if (st == VLY_OK && c->opts.load != NULL)
            st = load_named(c, err);
    } else {
        st = look_at_all(c, false, err);
    }
    if (st != VLY_OK)
        return st;
    for (vly_control_record *r = c->records; r != NULL; r = r->next)
        r->is_asked = r->is_asked || c->opts.mode != VLY_CONTROL_EXPLICIT ||
                      (c->opts.load != NULL && strcmp(c->opts.load, "*") == 0);
    if (pthread_create(&c->thread, NULL, run, c) != 0)
        return vly_fail(err, VLY_ENOMEM, "cannot start the loader thread");
    c->has_thread = true;
    return VLY_OK;
}

vly_status vly_control_new(vly_scheduler *s, const vly_control_opts *opts, vly_control **ret,
                           vly_err *err)
{
    vly_control *c = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*c));
    pthread_condattr_t attr;

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the models");
    c->scheduler = s;
    c->opts = *opts;
    c->opts.dir = vly_strndup(VLY_MEM_SCHED, opts->dir, strlen(opts->dir));
    c->opts.load =
        opts->load != NULL ? vly_strndup(VLY_MEM_SCHED, opts->load, strlen(opts->load)) : NULL;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    vly_status st = c->opts.dir != NULL && (opts->load == NULL || c->opts.load != NULL)
                        ? start(c, err)
                        : vly_fail(err, VLY_ENOMEM, "out of memory for the models");
    if (st != VLY_OK) {
        vly_control_free(c);
        return st;
    }
    *ret = c;
    return VLY_OK;
}

static void end_waiting(vly_control *c)
{
    vly_control_request *r;

    while ((r = take(c)) != NULL) {
        r->status = vly_fail(&r->err, VLY_EUNAVAILABLE, "the server is shutting down");
        r->done(r);
    }
}

void vly_control_stop(vly_control *c)
{
    if (c == NULL || !c->has_thread)
        return;
    pthread_mutex_lock(&c->lock);
    c->is_stopping = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    c->has_thread = false;
    end_waiting(c);
}

void vly_control_free(vly_control *c)
{
    if (c == NULL)
        return;
    vly_control_stop(c);
    while (c->records != NULL) {
        vly_control_record *r = c->records;
        c->records = r->next;
        vly_free(r->name);
        vly_free(r->note);
        vly_data_files_release(&r->data);
        vly_free(r);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->wake);
    vly_free((void *)(uintptr_t)c->opts.dir);
    vly_free((void *)(uintptr_t)c->opts.load);
    vly_free(c);
}

vly_control_mode vly_control_get_mode(const vly_control *c)
{
    return c->opts.mode;
}
