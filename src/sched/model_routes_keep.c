/* SPDX-License-Identifier: MIT */
/*
 * Changes of the routes: by request, by the guard, by schedule. One at a time, under the change
 * lock: a new table is made beside the old one, written to the file, and takes its place.
 */
#include "sched/model_routes_internal.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/line_log.h"

#include <stdio.h>
#include <time.h>

/* ---- one change, under the change lock ---- */

/* A copy of the table with `in` for the row of its name; in NULL: without row `at`. Takes in. */
static vly_route_table *table_with(const vly_route_table *old, size_t at, bool is_there,
                                   vly_model_route *in)
{
    size_t n = old->n - (is_there ? 1 : 0) + (in != NULL ? 1 : 0);
    vly_route_table *t = vly_route_table__new(n);

    if (t == NULL)
        return NULL;
    n = 0;
    for (size_t i = 0; i < old->n; i++) {
        if (i == at && in != NULL)
            t->routes[n++] = in;
        if (i != at || !is_there)
            t->routes[n++] = vly_model_route__ref(old->routes[i]);
    }
    if (at == old->n && in != NULL)
        t->routes[n++] = in;
    VLY_ASSERT(n == t->n);
    return t;
}

/* Counts at once, and is in the file when that can be written. */
static void exchange_first(vly_model_routes *r, vly_route_table *t)
{
    vly_err err;

    vly_route_table_unref(vly_model_routes__publish(r, t));
    if (vly_routes_file__write(r, t, &err) != VLY_OK)
        vly_error("routes: %s; this change is not in it", err.msg);
}

/* Takes `in`, whatever comes of it. must_save false: the change does not wait for the file. */
static vly_status exchange(vly_model_routes *r, vly_str name, vly_model_route *in, bool must_save,
                           vly_err *err)
{
    bool is_there;
    size_t at = vly_route_table__find(r->table, name, &is_there);
    vly_route_table *t = table_with(r->table, at, is_there, in);

    if (t == NULL) {
        vly_model_route_unref(in);
        return vly_fail(err, VLY_ENOMEM, "out of memory for the routes");
    }
    if (!must_save) {
        exchange_first(r, t);
        return VLY_OK;
    }
    vly_status st = vly_routes_file__write(r, t, err);
    vly_route_table_unref(st == VLY_OK ? vly_model_routes__publish(r, t) : t);
    return st;
}

/* Puts the setting in place of that of route `old`, NULL: there is none. */
static vly_status apply(vly_model_routes *r, const vly_route_spec *spec, const vly_model_route *old,
                        bool forget, bool must_save, vly_err *err)
{
    vly_model_route *route = NULL;
    vly_status st = vly_model_route__new(spec, old, forget, &route, err);

    return st == VLY_OK ? exchange(r, vly_str_from(spec->name), route, must_save, err) : st;
}

/* ---- requests for a change ---- */

/* old NULL: there is no route of that name. */
static vly_status check_terms(const vly_route_terms *t, vly_str name, const vly_model_route *old,
                              vly_err *err)
{
    char now[VLY_ROUTE_REVISION];

    if (old == NULL && (t->must_exist || t->revisions.ptr != NULL))
        return vly_fail(err, VLY_ECHANGED, "there is no route '%.*s'", VLY_STR_ARG(name));
    if (old == NULL)
        return VLY_OK;
    if (t->must_be_new)
        return vly_fail(err, VLY_ECHANGED, "there is a route '%.*s' already", VLY_STR_ARG(name));
    vly_route_revision_print(old->revision, now);
    if (t->revisions.ptr == NULL ||
        memmem(t->revisions.ptr, t->revisions.len, now, VLY_ROUTE_REVISION - 1) != NULL)
        return VLY_OK;
    return vly_fail(err, VLY_ECHANGED,
                    "route '%.*s' has changed: expected revision %.*s, it is %s now",
                    VLY_STR_ARG(name), VLY_STR_ARG(t->revisions), now);
}

/* The row of the route, when it is the one that is meant. */
static vly_status find_row(const vly_model_routes *r, vly_str name, const vly_route_terms *terms,
                           size_t *ret_at, bool *ret_is_there, vly_err *err)
{
    *ret_at = vly_route_table__find(r->table, name, ret_is_there);
    return terms == NULL
               ? VLY_OK
               : check_terms(terms, name, *ret_is_there ? r->table->routes[*ret_at] : NULL, err);
}

/* Nobody gets traffic back by the way. */
static vly_status check_revived(const vly_route_spec *s, const vly_route_spec *old, vly_err *err)
{
    char text[VLY_ROUTE_TARGET_TEXT];

    for (size_t i = 0; i < s->n_arms; i++) {
        const vly_route_target *t = &s->arms[i].target;
        size_t k = 0;
        while (k < old->n_arms && !vly_route_target_eq(t, &old->arms[k].target))
            k++;
        if (k < old->n_arms && old->arms[k].state == VLY_ROUTE_ROLLED_BACK &&
            s->arms[i].state != VLY_ROUTE_ROLLED_BACK)
            return vly_fail(err, VLY_EINVAL,
                            "route '%s': arm '%s' was rolled back (%s: %s); revive=true lets it "
                            "work again",
                            s->name, vly_route_target_text(t, text),
                            vly_route_reason_name(old->arms[k].reason), old->arms[k].why);
    }
    return VLY_OK;
}

static vly_status check_replaced(const vly_model_routes *r, const vly_route_spec *s,
                                 const vly_model_route *old, const vly_route_terms *terms,
                                 vly_err *err)
{
    const vly_route_terms own = {.revisions = vly_str_from(s->revision)};
    vly_str name = vly_str_from(s->name);

    if (old == NULL && r->table->n >= r->max_routes)
        return vly_fail(err, VLY_ELIMIT, "there are %zu routes, allowed are no more (routes.max)",
                        r->table->n);
    if (old == NULL)
        return VLY_OK;
    vly_status st = VLY_OK;
    if (s->revision[0] != '\0' && (terms == NULL || !terms->any_revision))
        st = check_terms(&own, name, old, err);
    if (st == VLY_OK && (terms == NULL || !terms->may_revive))
        st = check_revived(s, &old->spec, err);
    return st;
}

/* The route as it is now; under the change lock. */
static void give(vly_model_routes *r, vly_str name, vly_model_route **ret)
{
    bool is_there;
    size_t at = vly_route_table__find(r->table, name, &is_there);

    VLY_ASSERT(is_there);
    if (ret != NULL)
        *ret = vly_model_route__ref(r->table->routes[at]);
}

vly_status vly_model_routes_set(vly_model_routes *r, const vly_route_spec *spec,
                                const vly_route_terms *terms, vly_model_route **ret,
                                bool *ret_is_new, vly_err *err)
{
    vly_route_spec s = *spec;
    vly_model_route *old = NULL;
    bool is_there = false;
    size_t at;
    vly_status st = vly_route__check_models(r, &s, terms != NULL && terms->any_interface, err);

    if (st != VLY_OK)
        return st;
    vly_route_spec_begin_schedule(&s);
    pthread_mutex_lock(&r->change);
    st = find_row(r, vly_str_from(s.name), terms, &at, &is_there, err);
    if (st == VLY_OK && is_there)
        old = r->table->routes[at];
    if (st == VLY_OK)
        st = check_replaced(r, &s, old, terms, err);
    if (st == VLY_OK)
        st = apply(r, &s, old, true, true, err);
    if (st == VLY_OK)
        give(r, vly_str_from(s.name), ret);
    pthread_mutex_unlock(&r->change);
    if (st == VLY_OK && ret_is_new != NULL)
        *ret_is_new = !is_there;
    if (st == VLY_OK)
        vly_info("route '%s': set, %zu arms", s.name, s.n_arms);
    return st;
}

static vly_status no_route(vly_str name, vly_err *err)
{
    return vly_fail(err, VLY_ENOTFOUND, "there is no route '%.*s'", VLY_STR_ARG(name));
}

vly_status vly_model_routes_remove(vly_model_routes *r, vly_str name, const vly_route_terms *terms,
                                   vly_model_route **ret, vly_err *err)
{
    vly_model_route *old = NULL;
    bool is_there;
    size_t at;

    pthread_mutex_lock(&r->change);
    vly_status st = find_row(r, name, terms, &at, &is_there, err);
    if (st == VLY_OK && !is_there)
        st = no_route(name, err);
    if (st == VLY_OK) {
        old = vly_model_route__ref(r->table->routes[at]);
        st = exchange(r, name, NULL, true, err);
    }
    pthread_mutex_unlock(&r->change);
    if (st == VLY_OK)
        vly_info("route '%.*s': removed", VLY_STR_ARG(name));
    if (st == VLY_OK && ret != NULL)
        *ret = old;
    else
        vly_model_route_unref(old);
    return st;
}

/* The arm that is meant. */
static vly_status find_arm(const vly_route_spec *s, const vly_route_order *o, size_t *ret,
                           vly_err *err)
{
    bool is_named = o->model.len > 0 || o->version.len > 0;
    size_t i =
        is_named ? vly_route_spec_find(s, o->model, o->version) : vly_route_spec_on_probation(s);

    if (i < s->n_arms) {
        *ret = i;
        return VLY_OK;
    }
    if (!is_named)
        return vly_fail(err, VLY_EINVAL,
                        "route '%s': name the arm; not exactly one is on probation", s->name);
    return vly_fail(err, VLY_ENOTFOUND, "route '%s': not exactly one arm is '%.*s' version '%.*s'",
                    s->name, VLY_STR_ARG(o->model), VLY_STR_ARG(o->version));
}

/* An edit of one arm of one route. */
typedef struct edit {
    const vly_route_order *order;
    const vly_route_terms *terms;
    bool is_promotion;
} edit;

static vly_status edit_arm(vly_model_routes *r, vly_route_spec *s, const edit *e, size_t *ret_arm,
                           vly_err *err)
{
    vly_status st = find_arm(s, e->order, ret_arm, err);

    if (st == VLY_OK && e->is_promotion)
        st = vly_route__check_serves(r, "arm", &s->arms[*ret_arm].target, err);
    if (st != VLY_OK)
        return st;
    if (e->is_promotion) {
        vly_route_spec_promote(s, *ret_arm, e->order->share);
        return vly_route__check_interfaces(r, s, e->terms != NULL && e->terms->any_interface, err);
    }
    if (!vly_route_spec_roll_back(s, *ret_arm, VLY_ROUTE_REQUEST, e->order->why,
                                  vly_clock_unix_ms()))
        return vly_fail(err, VLY_EINVAL, "route '%s': no other arm could take the traffic",
                        s->name);
    return VLY_OK;
}

static vly_status edit_route(vly_model_routes *r, vly_str name, const edit *e,
                             vly_model_route **ret, vly_err *err)
{
    char text[VLY_ROUTE_TARGET_TEXT];
    vly_route_spec s = {.n_arms = 0};
    size_t at, arm = 0;
    bool is_there;

    pthread_mutex_lock(&r->change);
    vly_status st = find_row(r, name, e->terms, &at, &is_there, err);
    if (st == VLY_OK && !is_there)
        st = no_route(name, err);
    if (st == VLY_OK) {
        s = r->table->routes[at]->spec;
        st = edit_arm(r, &s, e, &arm, err);
    }
    if (st == VLY_OK)
        st = apply(r, &s, r->table->routes[at], false, true, err);
    if (st == VLY_OK && !e->is_promotion)
        vly_counter_add(&r->table->routes[at]->arms[arm]->rollbacks[VLY_ROUTE_REQUEST], 1);
    if (st == VLY_OK)
        give(r, name, ret);
    pthread_mutex_unlock(&r->change);
    if (st == VLY_OK)
        vly_info("route '%s': arm %s %s%s", s.name,
                 vly_route_target_text(&s.arms[arm].target, text),
                 e->is_promotion ? "promoted" : "rolled back by request: ",
                 e->is_promotion ? "" : e->order->why);
    return st;
}

vly_status vly_model_routes_promote(vly_model_routes *r, vly_str name, const vly_route_order *o,
                                    const vly_route_terms *terms, vly_model_route **ret,
                                    vly_err *err)
{
    if (!(o->share > 0 && o->share <= 1))
        return vly_fail(err, VLY_EINVAL, "'share': expected a number above 0, up to 1");
    return edit_route(r, name, &(edit){.order = o, .terms = terms, .is_promotion = true}, ret, err);
}

vly_status vly_model_routes_roll_back(vly_model_routes *r, vly_str name, const vly_route_order *o,
                                      const vly_route_terms *terms, vly_model_route **ret,
                                      vly_err *err)
{
    return edit_route(r, name, &(edit){.order = o, .terms = terms}, ret, err);
}

/* ---- the guard ---- */

static void tally(vly_route_arm *a, vly_nsec now, vly_route_tally *ret)
{
    pthread_mutex_lock(&a->lock);
    *ret = (vly_route_tally){.n = 0};
    if (a->window != NULL)
        vly_route_window_sum(a->window, now, ret);
    pthread_mutex_unlock(&a->lock);
}

/* The first arm that takes part and is not on probation; n_arms: there is none. */
static size_t baseline(const vly_route_spec *s)
{
    size_t i = 0;

    while (i < s->n_arms && (s->arms[i].state != VLY_ROUTE_ACTIVE || !(s->arms[i].weight > 0)))
        i++;
    return i;
}

static vly_route_reason judge(vly_model_routes *r, vly_model_route *route, size_t arm, vly_nsec now,
                              char why[VLY_ROUTE_WHY_MAX])
{
    const vly_route_spec *s = &route->spec;
    vly_route_arm *a = route->arms[arm];
    uint64_t slot = now / (s->guard.window_ns / VLY_ROUTE_SLOTS);
    vly_served *m = vly_route__find_model(r, &a->target);
    vly_route_tally own, base;
    size_t b = baseline(s);

    vly_served_unref(m);
    if (m == NULL) {
        snprintf(why, VLY_ROUTE_WHY_MAX, "the model does not serve");
        return VLY_ROUTE_UNAVAILABLE;
    }
    if (slot == a->last_look)
        return VLY_ROUTE_NONE;
    a->last_look = slot;
    tally(a, now, &own);
    if (b < s->n_arms)
        tally(route->arms[b], now, &base);
    return vly_route_guard_judge(&s->guard, &own, b < s->n_arms ? &base : NULL, why);
}

/* An arm that keeps weight serves now. */
static bool has_any_that_serves(vly_model_routes *r, const vly_route_spec *s)
{
    vly_served *m = NULL;

    for (size_t i = 0; i < s->n_arms && m == NULL; i++)
        if (s->arms[i].weight > 0)
            m = vly_route__find_model(r, &s->arms[i].target);
    vly_served_unref(m);
    return m != NULL;
}

static void roll_back(vly_model_routes *r, vly_model_route *route, size_t arm,
                      vly_route_reason reason, const char *why)
{
    vly_route_spec s = route->spec;
    char text[VLY_ROUTE_TARGET_TEXT];
    vly_err err;

    vly_route_target_text(&s.arms[arm].target, text);
    if (!vly_route_spec_roll_back(&s, arm, reason, why, vly_clock_unix_ms()) ||
        (reason != VLY_ROUTE_UNAVAILABLE && !has_any_that_serves(r, &s))) {
        vly_warn("route '%s': arm %s is bad (%s: %s), but there is no other to take its traffic",
                 s.name, text, vly_route_reason_name(reason), why);
        return;
    }
    vly_counter_add(&route->arms[arm]->rollbacks[reason], 1);
    vly_warn("route '%s': arm %s rolled back, %s: %s", s.name, text, vly_route_reason_name(reason),
             why);
    route->arms[arm]->is_unsaved = r->file != NULL;
    if (apply(r, &s, route, false, false, &err) != VLY_OK)
        vly_error("route '%s': %s", s.name, err.msg);
}

/* ---- the schedule ---- */

/* Enough was seen of the arm to call it healthy. */
static bool has_been_seen(vly_model_route *route, size_t arm, vly_nsec now)
{
    vly_route_tally t;

    tally(route->arms[arm], now, &t);
    return t.n >= route->spec.guard.min_requests;
}

static void advance(vly_model_routes *r, vly_model_route *route, size_t arm, vly_nsec now)
{
    vly_route_spec s = route->spec;
    char text[VLY_ROUTE_TARGET_TEXT];
    vly_err err;

    if (route->step_ns == 0)
        route->step_ns = now;
    if (now - route->step_ns < s.hold_ms * VLY_NSEC_PER_MS || !has_been_seen(route, arm, now))
        return;
    bool is_over = s.step + 1 == s.n_steps;
    if (!is_over)
        s.step++;
    double share = s.steps[s.step];
    is_over = is_over || share >= 1;
    if (is_over)
        vly_route_spec_promote(&s, arm, share);
    else
        vly_route_spec_set_share(&s, arm, share);
    vly_info("route '%s': arm %s is healthy and gets %g %%%s", s.name,
             vly_route_target_text(&s.arms[arm].target, text), 100 * share,
             is_over ? "; its probation is over" : "");
    if (apply(r, &s, route, true, false, &err) != VLY_OK)
        vly_error("route '%s': %s", s.name, err.msg);
}

/* One change at most: the route is another one then. */
static void look_at(vly_model_routes *r, vly_model_route *route, vly_nsec now)
{
    const vly_route_spec *s = &route->spec;
    char why[VLY_ROUTE_WHY_MAX];

    for (size_t i = 0; i < s->n_arms; i++) {
        if (s->arms[i].state != VLY_ROUTE_PROBATION || !(s->arms[i].weight > 0))
            continue;
        vly_route_reason reason = judge(r, route, i, now, why);
        if (reason != VLY_ROUTE_NONE) {
            roll_back(r, route, i, reason, why);
            return;
        }
    }
    size_t arm = s->n_steps > 0 ? vly_route_spec_on_probation(s) : s->n_arms;
    if (arm < s->n_arms)
        advance(r, route, arm, now);
}

void vly_model_routes_tick(vly_model_routes *r, vly_nsec now)
{
    pthread_mutex_lock(&r->change);
    vly_route_table *t = vly_model_routes_table(r);
    for (size_t i = 0; i < t->n; i++)
        look_at(r, t->routes[i], now);
    pthread_mutex_unlock(&r->change);
    vly_route_table_unref(t);
}

static void *keep(void *arg)
{
    vly_model_routes *r = arg;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&r->lock);
    while (!r->is_ending) {
        until.tv_sec += r->check_ms / 1000;
        until.tv_nsec += (long)(r->check_ms % 1000) * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (!r->is_ending && pthread_cond_timedwait(&r->is_ending_cond, &r->lock, &until) == 0)
            continue;
        if (r->is_ending)
            break;
        pthread_mutex_unlock(&r->lock);
        vly_model_routes_tick(r, vly_clock_now());
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- life ---- */

static void init_locks(vly_model_routes *r)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->is_ending_cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&r->change, NULL);
    pthread_mutex_init(&r->lock, NULL);
}

static vly_status start_thread(vly_model_routes *r, unsigned check_ms, vly_err *err)
{
    r->check_ms = check_ms;
    if (pthread_create(&r->thread, NULL, keep, r) == 0)
        return VLY_OK;
    r->check_ms = 0; /* nothing to join */
    return vly_fail(err, VLY_EIO, "routes: no thread can be had");
}

vly_status vly_model_routes_new(const vly_model_routes_opts *opts, vly_model_routes **ret,
                                vly_err *err)
{
    bool has_file = opts->file != NULL && opts->file[0] != '\0';
    vly_model_routes *r = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*r));
    vly_route_table *t = vly_route_table__new(0);
    char *file = has_file ? vly_strndup(VLY_MEM_SCHED, opts->file, strlen(opts->file)) : NULL;

    if (r == NULL || t == NULL || (has_file && file == NULL)) {
        vly_free(r);
        vly_free(file);
        vly_route_table_unref(t);
        return vly_fail(err, VLY_ENOMEM, "out of memory for the routes");
    }
    r->scheduler = opts->scheduler;
    r->max_routes = opts->max_routes;
    r->file = file;
    r->table = t;
    r->shadow_max = opts->shadow_max;
    r->shadow_max_bytes = opts->shadow_max_bytes;
    init_locks(r);
    vly_status st = vly_model_routes_reload(r, NULL, err);
    if (st == VLY_OK && opts->shadow_log != NULL && opts->shadow_log[0] != '\0')
        st = vly_line_log_open(opts->shadow_log, opts->shadow_log_bytes, &r->shadow_log, err);
    if (st == VLY_OK && opts->check_ms > 0)
        st = start_thread(r, opts->check_ms, err);
    if (st == VLY_OK)
        *ret = r;
    else
        vly_model_routes_free(r);
    return st;
}

void vly_model_routes_reopen(vly_model_routes *r)
{
    if (r->shadow_log != NULL)
        vly_line_log_reopen(r->shadow_log);
}

void vly_model_routes_stop(vly_model_routes *r)
{
    if (r == NULL || r->check_ms == 0)
        return;
    pthread_mutex_lock(&r->lock);
    r->is_ending = true;
    pthread_cond_signal(&r->is_ending_cond);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    r->check_ms = 0;
}

void vly_model_routes_free(vly_model_routes *r)
{
    if (r == NULL)
        return;
    vly_model_routes_stop(r);
    vly_line_log_close(r->shadow_log);
    vly_route_table_unref(r->table);
    pthread_cond_destroy(&r->is_ending_cond);
    pthread_mutex_destroy(&r->change);
    pthread_mutex_destroy(&r->lock);
    vly_free(r->file);
    vly_free(r);
}
