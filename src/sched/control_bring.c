/* SPDX-License-Identifier: MIT */
/* From what the directory holds to what is served: the part of control that loads and unloads. */
#include "sched/control_state.h"
#include "sched/model_digest.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* The entries of one model: neighbours in the repository. */
typedef struct group {
    const vly_repository_entry *entries;
    size_t n;
    bool is_done;
} group;

/* One model on its way from what is served to what shall be. */
typedef struct change {
    vly_control *c;
    const vly_control_bring *how;
    const group *g;
    vly_control_record *r;
    vly_model_set *before;
    vly_served **in; /* room for one of each entry, and for one of each that goes */
    size_t n_in;
    vly_err why; /* the first failure */
} change;

/* ---- records ---- */

vly_control_record *vly_control__find(vly_control *c, const char *name)
{
    for (vly_control_record *r = c->records; r != NULL; r = r->next)
        if (strcmp(r->name, name) == 0)
            return r;
    return NULL;
}

vly_control_record *vly_control__record(vly_control *c, const char *name)
{
    vly_control_record *r = vly_control__find(c, name);

    if (r != NULL)
        return r;
    r = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*r));
    char *copy = vly_strndup(VLY_MEM_SCHED, name, strlen(name));
    if (r == NULL || copy == NULL) {
        vly_free(r);
        vly_free(copy);
        return NULL;
    }
    r->name = copy;
    pthread_mutex_lock(&c->lock);
    r->next = c->records;
    c->records = r;
    pthread_mutex_unlock(&c->lock);
    return r;
}

void vly_control__set_note(vly_control *c, vly_control_record *r, const char *note)
{
    char *copy = note != NULL ? vly_strndup(VLY_MEM_SCHED, note, strlen(note)) : NULL;

    pthread_mutex_lock(&c->lock);
    char *old = r->note;
    r->note = copy;
    pthread_mutex_unlock(&c->lock);
    vly_free(old);
}

/* ---- one version ---- */

static vly_served *find_version(const vly_model_set *set, const char *name, const char *version)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->models[i]->name, name) == 0 &&
            strcmp(set->models[i]->version, version) == 0)
            return set->models[i];
    return NULL;
}

/* Shows that it is being loaded; without memory it is not shown. */
static void announce(vly_control *c, const vly_repository_entry *e)
{
    vly_served *m;

    if (vly_served_new(e->name, e->version, e->path, VLY_SERVED_LOADING, NULL, &m, NULL) != VLY_OK)
        return;
    if (vly_scheduler_publish(c->scheduler, m, NULL) != VLY_OK)
        vly_debug("model '%s' is loaded unannounced", e->name);
    vly_served_unref(m);
}

/* Ready to run and warmed up, or UNAVAILABLE with the reason. */
static vly_status load(change *ch, const vly_repository_entry *e, vly_served **ret, vly_err *err)
{
    const char *asked = ch->how->asked;
    bool is_asked = asked != NULL && strcmp(e->name, asked) == 0;
    vly_servable_spec spec = {.path = e->path,
                              .name = e->name,
                              .version = e->version,
                              .config_path = e->config_path,
                              .config_json = is_asked ? ch->how->config_json : NULL,
                              .options = ch->c->opts.model};

    if (e->error != NULL)
        return vly_served_new(e->name, e->version, e->path, VLY_SERVED_UNAVAILABLE, e->error, ret,
                              err);
    vly_data_files_begin(&ch->r->data, e->version);
    spec.options.on_external = vly_data_files_add;
    spec.options.ctx = &ch->r->data;
    vly_status st = vly_scheduler_load(ch->c->scheduler, &spec, ret, err);
    if (st == VLY_OK && ch->r->data.failed) {
        vly_served_unref(*ret);
        st = vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", e->name);
    }
    return st;
}

static void tell_config(const vly_served *m)
{
    const vly_triton_config *config = m->servable->config;

    for (size_t i = 0; config != NULL && i < config->n_unknown; i++)
        vly_warn("model '%s': configuration: unknown field '%.*s'", m->name,
                 VLY_STR_ARG(config->unknown[i]));
    for (size_t i = 0; config != NULL && i < config->n_ignored; i++)
        vly_info("model '%s': configuration: '%.*s' is ignored: %s", m->name,
                 VLY_STR_ARG(config->ignored[i].path), config->ignored[i].reason);
}

/* At start the owner tells what was loaded and what was not. */
static void tell(const vly_control *c, const vly_served *m, bool is_reload)
{
    if (m->servable != NULL)
        tell_config(m);
    if (!c->has_thread)
        return;
    if (m->servable != NULL)
        vly_info("model '%s' version %s: %s in %.1f ms", m->name, m->version,
                 is_reload ? "reloaded" : "loaded", vly_clock_ms(m->load_ns));
    else
        vly_error("model '%s' version %s: %s%s", m->name, m->version, m->error,
                  is_reload ? "; what was loaded serves on" : "");
}

/* A failure takes the place of nothing that serves. */
static vly_status bring_version(change *ch, const vly_repository_entry *e, vly_err *err)
{
    vly_served *old = find_version(ch->before, e->name, e->version), *m = NULL;
    bool is_served = old != NULL && old->servable != NULL;

    if (is_served && e->error == NULL && old->stamp == vly_data_files_now(&ch->r->data, e))
        return VLY_OK;
    if (!is_served && e->error == NULL)
        announce(ch->c, e);
    vly_status st = load(ch, e, &m, err);
    if (st != VLY_OK)
        return st;
    m->stamp = vly_data_files_loaded(&ch->r->data, e);
    if (m->servable != NULL && ch->c->opts.has_digests)
        m->digest = vly_model_digest(m->servable);
    tell(ch->c, m, is_served);
    if (m->servable == NULL && ch->why.status == VLY_OK)
        vly_fail(&ch->why, VLY_EINVAL, "version %s is at UNAVAILABLE state: %s;", m->version,
                 m->error);
    if (m->servable == NULL && is_served)
        vly_served_unref(m);
    else
        ch->in[ch->n_in++] = m;
    return VLY_OK;
}

/* ---- one model ---- */

/* In the place of m, which stops to serve; m ends it when the last job has. */
static vly_served *heir_of(vly_served *m, const char *reason)
{
    vly_served *heir;

    if (vly_served_new(m->name, m->version, m->path, VLY_SERVED_UNLOADING, reason, &heir, NULL) !=
        VLY_OK)
        return NULL;
    vly_served_unref(m->heir); /* of an attempt that failed */
    m->heir = vly_served_ref(heir);
    return heir;
}

/* Whether version policy and directory have no place for this version any more. */
static bool is_dropped(const group *g, const vly_served *m)
{
    if (strcmp(m->name, g->entries[0].name) != 0 || g->entries[0].is_model_error)
        return false;
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->entries[i].version, m->version) == 0)
            return false;
    return m->servable != NULL || atomic_load(&m->state) == VLY_SERVED_UNAVAILABLE;
}

static vly_status drop_versions(change *ch, vly_served **out, size_t *n_out)
{
    for (size_t i = 0; i < ch->before->n; i++) {
        vly_served *m = ch->before->models[i];
        if (!is_dropped(ch->g, m))
            continue;
        vly_served *heir = m->servable != NULL ? heir_of(m, "unloaded") : NULL;
        if (heir != NULL)
            ch->in[ch->n_in++] = heir;
        else
            out[(*n_out)++] = m;
        if (m->servable != NULL)
            vly_info("model '%s' version %s: unloaded", m->name, m->version);
    }
    return VLY_OK;
}

static vly_status apply(change *ch, vly_err *err)
{
    size_t n_out = 0;
    vly_served **out = vly_calloc(VLY_MEM_SCHED, ch->before->n + 1, sizeof(*out));
    vly_status st = out != NULL ? VLY_OK : vly_fail(err, VLY_ENOMEM, "out of memory");

    for (size_t i = 0; i < ch->g->n && st == VLY_OK; i++)
        st = bring_version(ch, &ch->g->entries[i], err);
    if (st == VLY_OK && ch->why.status == VLY_OK)
        st = drop_versions(ch, out, &n_out);
    if (st == VLY_OK)
        st = vly_scheduler_exchange(ch->c->scheduler, ch->in, ch->n_in, out, n_out, err);
    for (size_t i = 0; i < ch->n_in; i++)
        vly_served_unref(ch->in[i]);
    vly_free(out);
    return st;
}

/* Of all versions: as they are now, or as the last load has found them. */
static uint64_t group_stamp(const group *g, const vly_data_files *d, bool is_now)
{
    uint64_t stamp = 1;

    for (size_t i = 0; i < g->n; i++)
        stamp = stamp * UINT64_C(0x9e3779b97f4a7c15) +
                (is_now ? vly_data_files_now : vly_data_files_loaded)(d, &g->entries[i]);
    return stamp != 0 ? stamp : 1;
}

static bool is_up_to_date(const vly_model_set *set, const group *g, const vly_data_files *d)
{
    const char *name = g->entries[0].name;
    size_t n_served = 0;

    for (size_t i = 0; i < g->n; i++) {
        const vly_served *m = find_version(set, name, g->entries[i].version);
        if (g->entries[i].error != NULL || m == NULL || m->servable == NULL ||
            m->stamp != vly_data_files_now(d, &g->entries[i]))
            return false;
    }
    for (size_t i = 0; i < set->n; i++)
        n_served += strcmp(set->models[i]->name, name) == 0 && set->models[i]->servable != NULL;
    return n_served == g->n;
}

static const vly_triton_ensemble *ensemble_of(const group *g)
{
    return g->entries[0].config != NULL ? g->entries[0].config->ensemble_scheduling : NULL;
}

/* Whether a model of its steps is missing; false for what is no ensemble. */
static bool wants_models(vly_control *c, const group *g)
{
    const vly_triton_ensemble *e = ensemble_of(g);

    for (size_t i = 0; e != NULL && i < e->n_steps; i++) {
        vly_served *m = vly_scheduler_find(c->scheduler, e->steps[i].model_name, VLY_STR(""));
        bool is_served = m != NULL && m->servable != NULL;
        vly_served_unref(m);
        if (!is_served)
            return true;
    }
    return false;
}

/* Patience: a model that changes is left alone until two looks agree, and one that failed until it
 * changes, or has the models that it waited for. */
static bool is_due(vly_control *c, vly_control_record *r, const group *g,
                   const vly_control_bring *how)
{
    uint64_t stamp = group_stamp(g, &r->data, true), seen = r->seen;

    r->seen = stamp;
    if (r->is_waiting && !wants_models(c, g))
        return true;
    return !how->is_patient || (seen == stamp && r->failed != stamp);
}

static vly_status bring_group(vly_control *c, group *g, const vly_control_bring *how, vly_err *err)
{
    const char *name = g->entries[0].name;
    vly_control_record *r = vly_control__record(c, name);
    change ch = {.c = c, .how = how, .g = g, .r = r, .before = vly_scheduler_models(c->scheduler)};
    vly_status st = VLY_OK;

    g->is_done = true;
    ch.in = vly_calloc(VLY_MEM_SCHED, g->n + ch.before->n, sizeof(vly_served *));
    if (r == NULL || ch.in == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", name);
    else if (!is_up_to_date(ch.before, g, &r->data) && is_due(c, r, g, how)) {
        st = apply(&ch, err);
        r->seen = group_stamp(g, &r->data, false);
        r->failed = ch.why.status != VLY_OK ? r->seen : 0;
        r->is_waiting = r->failed != 0 && how->config_json == NULL && wants_models(c, g);
        vly_control__set_note(c, r, ch.why.status != VLY_OK ? ch.why.msg : NULL);
        if (st == VLY_OK && ch.why.status != VLY_OK && how->asked != NULL &&
            strcmp(how->asked, name) == 0)
            st = vly_fail(err, VLY_EINVAL, "load failed for model '%s': %s\n", name, ch.why.msg);
    }
    vly_free(ch.in);
    vly_model_set_unref(ch.before);
    return st;
}

/* ---- ensembles ---- */

static bool uses(const vly_triton_ensemble *e, const char *name)
{
    for (size_t i = 0; e != NULL && i < e->n_steps; i++)
        if (vly_str_is(e->steps[i].model_name, name))
            return true;
    return false;
}

/* Whether one of its steps is still to be brought. */
static bool waits(const group *g, const group *groups, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!groups[i].is_done && &groups[i] != g &&
            uses(ensemble_of(g), groups[i].entries[0].name))
            return true;
    return false;
}

/* Models first that wait for none. A ring of ensembles is brought as it comes, and fails then. */
static group *next_group(group *groups, size_t n)
{
    group *any = NULL;

    for (size_t i = 0; i < n; i++) {
        if (groups[i].is_done)
            continue;
        if (!waits(&groups[i], groups, n))
            return &groups[i];
        any = any != NULL ? any : &groups[i];
    }
    return any;
}

static size_t make_groups(const vly_repository *repo, group *groups)
{
    size_t n = 0;

    for (size_t i = 0; i < repo->n_entries; i++) {
        if (n > 0 && strcmp(groups[n - 1].entries[0].name, repo->entries[i].name) == 0)
            groups[n - 1].n++;
        else
            groups[n++] = (group){.entries = &repo->entries[i], .n = 1};
    }
    return n;
}

vly_status vly_control__bring(vly_control *c, const vly_repository *repo,
                              const vly_control_bring *how, vly_err *err)
{
    group *groups = vly_calloc(VLY_MEM_SCHED, repo->n_entries + 1, sizeof(*groups)), *g;
    vly_status st = VLY_OK;
    vly_err first;

    if (groups == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the models");
    size_t n = make_groups(repo, groups);
    while ((g = next_group(groups, n)) != NULL) {
        vly_status each = bring_group(c, g, how, &first);
        if (st == VLY_OK && each != VLY_OK) {
            st = each;
            if (err != NULL)
                *err = first;
        }
    }
    vly_free(groups);
    return st;
}

/* ---- unloading ---- */

bool vly_control__is_served(vly_control *c, const char *name)
{
    vly_served *m = vly_scheduler_find(c->scheduler, vly_str_from(name), VLY_STR(""));
    bool is_served = m != NULL && m->servable != NULL;

    vly_served_unref(m);
    return is_served;
}

static void unload_one(vly_control *c, const char *name, const char *reason)
{
    vly_model_set *set = vly_scheduler_models(c->scheduler);
    vly_err err;

    for (size_t i = 0; i < set->n; i++) {
        vly_served *m = set->models[i];
        if (strcmp(m->name, name) != 0 || m->servable == NULL)
            continue;
        vly_served *heir = heir_of(m, reason);
        vly_status st = heir != NULL ? vly_scheduler_publish(c->scheduler, heir, &err)
                                     : vly_scheduler_withdraw(c->scheduler, vly_str_from(name),
                                                              vly_str_from(m->version), &err);
        if (st != VLY_OK)
            vly_error("model '%s' version %s: %s", name, m->version, err.msg);
        else
            vly_info("model '%s' version %s: %s", name, m->version, reason);
        vly_served_unref(heir);
    }
    vly_model_set_unref(set);
}

static const vly_triton_ensemble *served_ensemble(const vly_served *m)
{
    const vly_triton_config *config = m->servable != NULL ? m->servable->config : NULL;

    return config != NULL ? config->ensemble_scheduling : NULL;
}

/* An ensemble that serves though a model of its steps does not: a reference, or NULL. */
static vly_served *broken_ensemble(vly_control *c, const char **ret_step, vly_arena *scratch)
{
    vly_model_set *set = vly_scheduler_models(c->scheduler);
    vly_served *found = NULL;

    for (size_t i = 0; i < set->n && found == NULL; i++) {
        const vly_triton_ensemble *e = served_ensemble(set->models[i]);
        for (size_t k = 0; e != NULL && found == NULL && k < e->n_steps; k++) {
            const char *step = vly_arena_strdup(scratch, e->steps[k].model_name);
            if (step == NULL || vly_control__is_served(c, step))
                continue;
            found = vly_served_ref(set->models[i]);
            *ret_step = step;
        }
    }
    vly_model_set_unref(set);
    return found;
}

void vly_control__unload(vly_control *c, const char *name, const char *reason)
{
    const char *step = NULL;
    vly_arena scratch;
    vly_served *e;

    vly_arena_init(&scratch, VLY_MEM_SCHED, 4096, VLY_CONTROL_ARENA_BYTES);
    unload_one(c, name, reason);
    while ((e = broken_ensemble(c, &step, &scratch)) != NULL) {
        char text[VLY_ERR_MSG_MAX];
        snprintf(text, sizeof(text),
                 "ensemble '%.200s' depends on '%.200s' which has no loaded "
                 "version.",
                 e->name, step);
        unload_one(c, e->name, text);
        vly_served_unref(e);
    }
    vly_arena_release(&scratch);
}

static bool is_needed(const vly_model_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (uses(served_ensemble(set->models[i]), name))
            return true;
    return false;
}

/* Goes over the models until none goes: ensembles may be made of ensembles. */
void vly_control__unload_orphans(vly_control *c)
{
    bool has_changed = true;

    while (has_changed) {
        has_changed = false;
        vly_model_set *set = vly_scheduler_models(c->scheduler);
        for (size_t i = 0; i < set->n && !has_changed; i++) {
            const vly_control_record *r = vly_control__find(c, set->models[i]->name);
            if (set->models[i]->servable == NULL || r == NULL || r->is_asked ||
                is_needed(set, r->name))
                continue;
            vly_control__unload(c, r->name, "unloaded");
            has_changed = true;
        }
        vly_model_set_unref(set);
    }
}
