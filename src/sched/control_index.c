/* SPDX-License-Identifier: MIT */
/* What the repository holds, and in which state: the rows of the index. */
#include "sched/control_state.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the directory and of what is loaded, each once, in order. */
static vly_status list_names(const vly_control *c, const vly_model_set *set, vly_arena *arena,
                             const char ***ret, size_t *ret_n, vly_err *err)
{
    const char *const *there = NULL;
    size_t n_there = 0, n = 0, n_kept = 0;

    vly_status st = vly_repository_names(c->opts.dir, arena, &there, &n_there, err);
    if (st == VLY_ENOMEM)
        return st;
    if (st != VLY_OK)
        vly_warn("models: %s", err != NULL ? err->msg : "the directory cannot be read");
    const char **names = vly_arena_calloc(arena, n_there + set->n, sizeof(*names));
    if (names == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; i < n_there; i++)
        names[n++] = there[i];
    for (size_t i = 0; i < set->n; i++)
        names[n++] = set->models[i]->name; /* set outlives the rows */
    if (n > 0)
        qsort(names, n, sizeof(*names), by_text);
    for (size_t i = 0; i < n; i++)
        if (n_kept == 0 || strcmp(names[n_kept - 1], names[i]) != 0)
            names[n_kept++] = names[i];
    *ret = names;
    *ret_n = n_kept;
    return VLY_OK;
}

/* A copy of what the loader has noted, or NULL. */
static vly_status copy_note(vly_control *c, const char *name, vly_arena *arena, const char **ret,
                            vly_err *err)
{
    bool has_failed = false;

    pthread_mutex_lock(&c->lock);
    const vly_control_record *r = c->records;
    while (r != NULL && strcmp(r->name, name) != 0)
        r = r->next;
    if (r != NULL && r->note != NULL) {
        *ret = vly_arena_strdup(arena, vly_str_from(r->note));
        has_failed = *ret == NULL;
    }
    pthread_mutex_unlock(&c->lock);
    return has_failed ? vly_arena_fail(arena, err) : VLY_OK;
}

static vly_control_row row_of(vly_served *m, const char *note)
{
    vly_served_state state = atomic_load(&m->state);

    return (vly_control_row){
        .name = m->name,
        .version = m->version,
        .state = vly_served_state_name(state),
        .reason = state == VLY_SERVED_UNAVAILABLE ? m->error : NULL,
        .note = m->servable != NULL ? note : NULL,
        .model = m,
    };
}

/* From the set's place *at on, which is in the order of the names. */
static vly_status add_rows(vly_control *c, const char *name, const vly_model_set *set, size_t *at,
                           vly_arena *arena, vly_control_row *rows, size_t *n, vly_err *err)
{
    const char *note = NULL;
    size_t n_before = *n;
    vly_status st = copy_note(c, name, arena, &note, err);

    if (st != VLY_OK)
        return st;
    for (; *at < set->n && strcmp(set->models[*at]->name, name) == 0; ++*at)
        rows[(*n)++] = row_of(set->models[*at], note);
    if (*n == n_before)
        rows[(*n)++] = (vly_control_row){.name = name};
    return VLY_OK;
}

vly_status vly_control_list(vly_control *c, vly_arena *arena, vly_control_index *ret, vly_err *err)
{
    vly_model_set *set = vly_scheduler_models(c->scheduler);
    const char **names = NULL;
    size_t n_names = 0, n = 0, at = 0;
    vly_status st = list_names(c, set, arena, &names, &n_names, err);
    vly_control_row *rows = NULL;

    if (st == VLY_OK) {
        rows = vly_arena_calloc(arena, n_names + set->n, sizeof(*rows));
        st = rows != NULL ? VLY_OK : vly_arena_fail(arena, err);
    }
    for (size_t i = 0; rows != NULL && i < n_names && st == VLY_OK; i++)
        st = add_rows(c, names[i], set, &at, arena, rows, &n, err);
    if (st != VLY_OK) {
        vly_model_set_unref(set);
        return st;
    }
    *ret = (vly_control_index){.models = set, .rows = rows, .n_rows = n};
    return VLY_OK;
}
