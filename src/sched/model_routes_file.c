/* SPDX-License-Identifier: MIT */
/*
 * The file of routes. Others write it too: people, scripts, other servers. So it is written only
 * over what was read or written here last, under a lock that all servers respect, and it is taken
 * up when that is asked for.
 */
#include "sched/model_routes_internal.h"

#include "base/fnv1a.h"
#include "base/log.h"
#include "sys/file.h"

#include <stdlib.h>
#include <unistd.h>

#define FILE_ARENA_BYTES ((size_t)64 << 20)
#define LOCK_TIMEOUT_MS  500 /* others hold it while they write; whoever holds it longer is ill */

/* Of a file that is there; never 0. */
static uint64_t sum_of(vly_str text)
{
    uint64_t sum = vly_fnv1a(VLY_FNV1A, text.ptr, text.len);
    return sum != 0 ? sum : 1;
}

/* Nothing when there is no file. */
static vly_status read_text(const vly_model_routes *r, vly_buf *text, uint64_t *ret_sum,
                            vly_err *err)
{
    vly_buf_init(text, VLY_MEM_SCHED, VLY_ROUTES_BYTES_MAX + 1);
    vly_status st = vly_file_read(r->file, VLY_ROUTES_BYTES_MAX, text, err);
    *ret_sum = st == VLY_OK ? sum_of(vly_buf_str(text)) : 0;
    return st == VLY_ENOTFOUND ? VLY_OK : st;
}

/* ---- writing ---- */

static vly_status check_same(const vly_model_routes *r, vly_err *err)
{
    uint64_t sum = 0;
    vly_buf text;
    vly_status st = read_text(r, &text, &sum, err);

    vly_buf_release(&text);
    if (st != VLY_OK || sum == 0 || sum == r->file_sum)
        return st;
    return vly_fail(err, VLY_ECHANGED,
                    "'%s' was changed by somebody else; have it read first (SIGHUP, or POST "
                    "/v1/config:reload)",
                    r->file);
}

static vly_status write_text(vly_model_routes *r, const vly_buf *b, vly_err *err)
{
    int lock = -1;
    vly_status st = vly_file_lock(r->file, LOCK_TIMEOUT_MS, &lock, err);

    if (st != VLY_OK)
        return st;
    st = check_same(r, err);
    if (st == VLY_OK)
        st = vly_file_write(r->file, b->ptr, b->len, err);
    if (st == VLY_OK)
        r->file_sum = sum_of(vly_buf_str(b));
    close(lock);
    return st;
}

static void set_saved(const vly_route_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->routes[i]->spec.n_arms; k++)
            t->routes[i]->arms[k]->is_unsaved = false;
}

vly_status vly_routes_file__write(vly_model_routes *r, const vly_route_table *t, vly_err *err)
{
    vly_buf b;

    if (r->file == NULL)
        return VLY_OK;
    vly_buf_init(&b, VLY_MEM_SCHED, VLY_ROUTES_BYTES_MAX);
    vly_buf_puts(&b, "{\"routes\":[");
    for (size_t i = 0; i < t->n; i++) {
        vly_buf_puts(&b, i > 0 ? ",\n{" : "\n{");
        vly_route_spec_put(&b, &t->routes[i]->spec);
        vly_buf_putc(&b, '}');
    }
    vly_buf_puts(&b, "\n]}\n");
    vly_status st = b.failed ? vly_fail(err, VLY_ELIMIT,
                                        "the routes take more than the %zu bytes that their file "
                                        "may have, or there is no memory",
                                        VLY_ROUTES_BYTES_MAX)
                             : write_text(r, &b, err);
    vly_buf_release(&b);
    if (st == VLY_OK)
        set_saved(t);
    return st;
}

/* ---- reading ---- */

/* What the file says, in an arena of its own. */
typedef struct content {
    vly_arena arena;
    vly_route_spec *specs;
    size_t n;
    uint64_t sum; /* 0: there is no file */
} content;

static vly_status read_content(const vly_model_routes *r, content *c, vly_err *err)
{
    vly_buf text;

    *c = (content){.n = 0};
    vly_arena_init(&c->arena, VLY_MEM_SCHED, (size_t)64 << 10, FILE_ARENA_BYTES);
    vly_status st = read_text(r, &text, &c->sum, err);
    if (st == VLY_OK && c->sum != 0) {
        st = vly_route_specs_read(vly_buf_str(&text), r->max_routes, &c->arena, &c->specs, &c->n,
                                  err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", r->file);
    }
    vly_buf_release(&text);
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const vly_route_spec *)a)->name, ((const vly_route_spec *)b)->name);
}

static size_t find_arm(const vly_route_spec *s, const vly_route_target *t)
{
    size_t i = 0;

    while (i < s->n_arms && !vly_route_target_eq(&s->arms[i].target, t))
        i++;
    return i;
}

static void tell_revived(const vly_model_routes *r, const vly_route_spec *s,
                         const vly_route_spec *old)
{
    char text[VLY_ROUTE_TARGET_TEXT];

    for (size_t k = 0; k < old->n_arms; k++) {
        const vly_route_arm_spec *was = &old->arms[k];
        size_t i = find_arm(s, &was->target);
        if (i < s->n_arms && was->state == VLY_ROUTE_ROLLED_BACK &&
            s->arms[i].state != VLY_ROUTE_ROLLED_BACK)
            vly_warn("route '%s': arm %s was rolled back (%s) and works again, as '%s' says",
                     s->name, vly_route_target_text(&was->target, text), was->why, r->file);
    }
}

/* The arms that were rolled back here, and that the file does not know of, stay so. */
static void keep_rolled_back(const vly_model_routes *r, vly_route_spec *s,
                             const vly_model_route *old)
{
    char text[VLY_ROUTE_TARGET_TEXT];

    for (size_t k = 0; k < old->spec.n_arms; k++) {
        const vly_route_arm_spec *was = &old->spec.arms[k];
        size_t i = find_arm(s, &was->target);
        if (i == s->n_arms || s->arms[i].state == VLY_ROUTE_ROLLED_BACK ||
            was->state != VLY_ROUTE_ROLLED_BACK || !old->arms[k]->is_unsaved)
            continue;
        if (vly_route_spec_roll_back(s, i, was->reason, was->why, was->since_ms))
            vly_warn("route '%s': arm %s stays rolled back (%s), which '%s' did not say", s->name,
                     vly_route_target_text(&was->target, text), was->why, r->file);
    }
}

/* The route of this setting: the present one when that is the same. */
static vly_status make_route(vly_model_routes *r, const vly_route_spec *spec, vly_model_route **ret,
                             vly_err *err)
{
    vly_model_route *old = NULL;
    vly_route_spec s = *spec;
    uint64_t revision = 0;
    bool is_there;
    vly_err why;
    size_t at = vly_route_table__find(r->table, vly_str_from(s.name), &is_there);

    if (is_there)
        old = r->table->routes[at];
    vly_route_spec_begin_schedule(&s);
    if (old != NULL)
        keep_rolled_back(r, &s, old);
    vly_status st = vly_route_spec_revision(&s, &revision, err);
    if (st == VLY_OK && old != NULL && old->revision == revision) {
        *ret = vly_model_route__ref(old);
        return VLY_OK;
    }
    if (st == VLY_OK)
        st = vly_model_route__new(&s, old, true, ret, err);
    if (st == VLY_OK && vly_route__check_models(r, &s, false, &why) != VLY_OK)
        vly_warn("%s", why.msg);
    if (st == VLY_OK && old != NULL)
        tell_revived(r, &s, &old->spec);
    return st;
}

static vly_status make_table(vly_model_routes *r, const content *c, vly_route_table **ret,
                             vly_err *err)
{
    vly_route_table *t = vly_route_table__new(c->n);
    vly_status st = VLY_OK;

    if (t == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the routes");
    if (c->n > 0)
        qsort(c->specs, c->n, sizeof(c->specs[0]), by_name);
    for (size_t i = 0; i < c->n && st == VLY_OK; i++)
        st = make_route(r, &c->specs[i], &t->routes[i], err);
    if (st == VLY_OK)
        *ret = t;
    else
        vly_route_table_unref(t);
    return st;
}

static vly_status check_there(const vly_model_routes *r, const content *c, vly_err *err)
{
    if (c->sum != 0 || r->file_sum == 0)
        return VLY_OK;
    return vly_fail(err, VLY_ENOTFOUND, "'%s' is gone; the routes stay as they are", r->file);
}

static bool has_unsaved(const vly_route_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->routes[i]->spec.n_arms; k++)
            if (t->routes[i]->arms[k]->is_unsaved)
                return true;
    return false;
}

/* What the file could not be told when it happened. */
static void save_rest(vly_model_routes *r)
{
    vly_err why;

    if (has_unsaved(r->table) && vly_routes_file__write(r, r->table, &why) != VLY_OK)
        vly_error("routes: %s; arms that were rolled back are not in it", why.msg);
}

static vly_status take_up(vly_model_routes *r, const content *c, bool *ret_is_new, vly_err *err)
{
    vly_route_table *t = NULL;
    vly_status st = check_there(r, c, err);

    if (st != VLY_OK || c->sum == r->file_sum)
        return st;
    st = make_table(r, c, &t, err);
    if (st != VLY_OK)
        return st;
    vly_route_table_unref(vly_model_routes__publish(r, t));
    r->file_sum = c->sum;
    *ret_is_new = true;
    vly_info("routes: '%s' was read, %zu routes", r->file, c->n);
    return VLY_OK;
}

vly_status vly_model_routes_reload(vly_model_routes *r, bool *ret_is_new, vly_err *err)
{
    bool is_new = false;
    content c;

    if (r->file == NULL)
        return VLY_OK;
    pthread_mutex_lock(&r->change);
    vly_status st = read_content(r, &c, err);
    if (st == VLY_OK)
        st = take_up(r, &c, &is_new, err);
    if (st == VLY_OK)
        save_rest(r);
    pthread_mutex_unlock(&r->change);
    vly_arena_release(&c.arena);
    if (st == VLY_OK && ret_is_new != NULL)
        *ret_is_new = is_new;
    return st;
}
