/* SPDX-License-Identifier: MIT */
/*
 * Changes of the routes: by request, by the guard, by schedule. One at a time, under the change
 * lock: a new table is made beside the old one, written to the file, and takes its place.
 */
#include "sched/model_routes_internal.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/file.h"
#include "sys/line_log.h"

#include <stdio.h>
#include <time.h>

#define FILE_ARENA_BYTES ((size_t)64 << 20)

/* ---- the file ---- */

static vly_status write_file(const vly_model_routes *r, const vly_route_table *t, vly_err *err)
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
    vly_status st = b.failed ? vly_fail(err, VLY_ENOMEM, "out of memory for the file of routes")
                             : vly_file_write(r->file, b.ptr, b.len, err);
    vly_buf_release(&b);
    return st;
}

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

/* Takes `in`, whatever comes of it. must_save false: a file that cannot be written is told, and the
 * change counts all the same. */
static vly_status exchange(vly_model_routes *r, vly_str name, vly_model_route *in, bool must_save,
                           vly_err *err)
{
    vly_err why;
    bool is_there;
    size_t at = vly_route_table__find(r->table, name, &is_there);
    vly_route_table *t = table_with(r->table, at, is_there, in);

    if (t == NULL) {
        vly_model_route_unref(in);
        return vly_fail(err, VLY_ENOMEM, "out of memory for the routes");
    }
    vly_status st = write_file(r, t, &why);
    if (st != VLY_OK && must_save) {
        vly_route_table_unref(t);
        return vly_fail(err, st, "%s", why.msg);
    }
    if (st != VLY_OK)
        vly_error("routes: %s; the change is lost with the process", why.msg);
    vly_route_table_unref(vly_model_routes__publish(r, t));
    return VLY_OK;
}

/* Puts the setting in place of that of route `old`, NULL: there is none. */
static vly_status apply(vly_model_routes *r, const vly_route_spec *spec, const vly_model_route *old,
                        bool forget, bool must_save, vly_err *err)
{
    vly_model_route *route = NULL;
    vly_status st = vly_model_route__new(spec, old, forget, &route, err);

    return st == VLY_OK ? exchange(r, vly_str_from(spec->name), route, must_save, err) : st;
}

static const char *text_of(const vly_route_target *t, char text[VLY_ROUTE_MODEL_MAX + 32])
{
    snprintf(text, VLY_ROUTE_MODEL_MAX + 32, "%s%s%s", t->model, t->version[0] != '\0' ? "/" : "",
             t->version);
    return text;
}

/* ---- requests for a change ---- */

static vly_status check_serves(vly_model_routes *r, const char *what, const vly_route_target *t,
                               vly_err *err)
{
    vly_served *m =
        vly_scheduler_find(r->scheduler, vly_str_from(t->model), vly_str_from(t->version));
    char text[VLY_ROUTE_MODEL_MAX + 32];
    vly_status st = VLY_OK;

    if (m == NULL)
        st = vly_fail(err, VLY_ENOTFOUND, "%s '%s' is not found", what, text_of(t, text));
    else if (m->servable == NULL)
        st = vly_fail(err, VLY_EUNAVAILABLE, "%s '%s' is not available: %s", what, text_of(t, text),
                      m->error != NULL ? m->error : "it is loading");
    vly_served_unref(m);
    return st;
}

/* A route stands in front of a model of its name only when it leads there. */
static vly_status check_name(vly_model_routes *r, const vly_route_spec *s, vly_err *err)
{
    vly_served *m = vly_scheduler_find(r->scheduler, vly_str_from(s->name), VLY_STR(""));
    bool is_arm = m == NULL;

    vly_served_unref(m);
    for (size_t i = 0; i < s->n_arms && !is_arm; i++)
        is_arm = strcmp(s->arms[i].target.model, s->name) == 0;
    if (is_arm)
        return VLY_OK;
    return vly_fail(err, VLY_EEXIST,
                    "a model is named '%s' too, and is no arm of the route: its clients would get "
                    "other models",
                    s->name);
}

static vly_status check_served(vly_model_routes *r, const vly_route_spec *s, vly_err *err)
{
    vly_status st = check_name(r, s, err);

    for (size_t i = 0; i < s->n_arms && st == VLY_OK; i++)
        st = check_serves(r, "arm", &s->arms[i].target, err);
    if (st == VLY_OK && s->shadow_share > 0)
        st = check_serves(r, "shadow", &s->shadow, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "route '%s'", s->name);
}

/* The arm on probation gets the share of the schedule's step. */
static void begin_schedule(vly_route_spec *s)
{
    if (s->n_steps > 0)
        vly_route_spec_set_share(s, vly_route_spec_on_probation(s), s->steps[s->step]);
}

vly_status vly_model_routes_set(vly_model_routes *r, const vly_route_spec *spec, bool *ret_is_new,
                                vly_err *err)
{
    vly_route_spec s = *spec;
    bool is_there;
    vly_status st = check_served(r, &s, err);

    if (st != VLY_OK)
        return st;
    begin_schedule(&s);
    pthread_mutex_lock(&r->change);
    size_t at = vly_route_table__find(r->table, vly_str_from(s.name), &is_there);
    if (!is_there && r->table->n >= r->max_routes)
        st = vly_fail(err, VLY_ELIMIT, "there are %zu routes, allowed are no more (routes.max)",
                      r->table->n);
    else
        st = apply(r, &s, is_there ? r->table->routes[at] : NULL, true, true, err);
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

vly_status vly_model_routes_remove(vly_model_routes *r, vly_str name, vly_err *err)
{
    bool is_there;

    pthread_mutex_lock(&r->change);
    vly_route_table__find(r->table, name, &is_there);
    vly_status st = is_there ? exchange(r, name, NULL, true, err) : no_route(name, err);
    pthread_mutex_unlock(&r->change);
    if (st == VLY_OK)
        vly_info("route '%.*s': removed", VLY_STR_ARG(name));
    return st;
}

/* The arm that is meant. */
static vly_status find_arm(const vly_route_spec *s, vly_str model, vly_str version, size_t *ret,
                           vly_err *err)
{
    size_t i = model.len == 0 && version.len == 0 ? vly_route_spec_on_probation(s)
                                                  : vly_route_spec_find(s, model, version);

    if (i < s->n_arms) {
        *ret = i;
        return VLY_OK;
    }
    if (model.len == 0 && version.len == 0)
        return vly_fail(err, VLY_EINVAL,
                        "route '%s': name the arm; not exactly one is on probation", s->name);
    return vly_fail(err, VLY_ENOTFOUND, "route '%s': not exactly one arm is '%.*s' version '%.*s'",
                    s->name, VLY_STR_ARG(model), VLY_STR_ARG(version));
}

/* An edit of one arm of one route. */
typedef struct edit {
    vly_str model, version;
    bool is_promotion;
    double share;    /* of a promotion */
    const char *why; /* of a roll-back */
} edit;

static vly_status edit_arm(vly_model_routes *r, vly_route_spec *s, const edit *e, size_t *ret_arm,
                           vly_err *err)
{
    vly_status st = find_arm(s, e->model, e->version, ret_arm, err);

    if (st == VLY_OK && e->is_promotion)
        st = check_serves(r, "arm", &s->arms[*ret_arm].target, err);
    if (st != VLY_OK)
        return st;
    if (e->is_promotion)
        vly_route_spec_promote(s, *ret_arm, e->share);
    else if (!vly_route_spec_roll_back(s, *ret_arm, VLY_ROUTE_REQUEST, e->why, vly_clock_unix_ms()))
        return vly_fail(err, VLY_EINVAL, "route '%s': no other arm could take the traffic",
                        s->name);
    return VLY_OK;
}

static vly_status edit_route(vly_model_routes *r, vly_str name, const edit *e, vly_err *err)
{
    char text[VLY_ROUTE_MODEL_MAX + 32];
    vly_route_spec s = {.n_arms = 0};
    size_t arm = 0;
    bool is_there;

    pthread_mutex_lock(&r->change);
    size_t at = vly_route_table__find(r->table, name, &is_there);
    vly_status st = is_there ? VLY_OK : no_route(name, err);
    if (st == VLY_OK) {
        s = r->table->routes[at]->spec;
        st = edit_arm(r, &s, e, &arm, err);
    }
    if (st == VLY_OK)
        st = apply(r, &s, r->table->routes[at], false, true, err);
    if (st == VLY_OK && !e->is_promotion)
        vly_counter_add(&r->table->routes[at]->arms[arm]->rollbacks[VLY_ROUTE_REQUEST], 1);
    pthread_mutex_unlock(&r->change);
    if (st == VLY_OK)
        vly_info("route '%s': arm %s %s%s", s.name, text_of(&s.arms[arm].target, text),
                 e->is_promotion ? "promoted" : "rolled back by request: ",
                 e->is_promotion ? "" : e->why);
    return st;
}

vly_status vly_model_routes_promote(vly_model_routes *r, vly_str name, vly_str model,
                                    vly_str version, double share, vly_err *err)
{
    if (!(share > 0 && share <= 1))
        return vly_fail(err, VLY_EINVAL, "'share': expected a number above 0, up to 1");
    return edit_route(
        r, name, &(edit){.model = model, .version = version, .is_promotion = true, .share = share},
        err);
}

vly_status vly_model_routes_roll_back(vly_model_routes *r, vly_str name, vly_str model,
                                      vly_str version, const char *why, vly_err *err)
{
    return edit_route(r, name, &(edit){.model = model, .version = version, .why = why}, err);
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
    char text[VLY_ROUTE_MODEL_MAX + 32];
    vly_err err;

    text_of(&s.arms[arm].target, text);
    if (!vly_route_spec_roll_back(&s, arm, reason, why, vly_clock_unix_ms()) ||
        (reason != VLY_ROUTE_UNAVAILABLE && !has_any_that_serves(r, &s))) {
        vly_warn("route '%s': arm %s is bad (%s: %s), but there is no other to take its traffic",
                 s.name, text, vly_route_reason_name(reason), why);
        return;
    }
    vly_counter_add(&route->arms[arm]->rollbacks[reason], 1);
    vly_warn("route '%s': arm %s rolled back, %s: %s", s.name, text, vly_route_reason_name(reason),
             why);
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
    char text[VLY_ROUTE_MODEL_MAX + 32];
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
             text_of(&s.arms[arm].target, text), 100 * share,
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

static vly_status load(vly_model_routes *r, const vly_route_spec *specs, size_t n, vly_err *err)
{
    vly_status st = VLY_OK;
    vly_err why;

    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        vly_model_route *route = NULL;
        vly_route_spec s = specs[i];
        bool is_there;
        if (check_served(r, &s, &why) != VLY_OK)
            vly_warn("%s", why.msg);
        begin_schedule(&s);
        st = vly_model_route__new(&s, NULL, true, &route, err);
        if (st != VLY_OK)
            return st;
        size_t at = vly_route_table__find(r->table, vly_str_from(s.name), &is_there);
        vly_route_table *t = table_with(r->table, at, is_there, route);
        if (t == NULL) {
            vly_model_route_unref(route);
            return vly_fail(err, VLY_ENOMEM, "out of memory for the routes");
        }
        vly_route_table_unref(vly_model_routes__publish(r, t));
    }
    return st;
}

static vly_status read_file(vly_model_routes *r, vly_err *err)
{
    vly_route_spec *specs = NULL;
    vly_arena arena;
    vly_buf text;
    size_t n = 0;

    if (r->file == NULL || !vly_file_exists(r->file))
        return VLY_OK;
    vly_arena_init(&arena, VLY_MEM_SCHED, (size_t)64 << 10, FILE_ARENA_BYTES);
    vly_buf_init(&text, VLY_MEM_SCHED, VLY_ROUTES_BYTES_MAX + 1);
    vly_status st = vly_file_read(r->file, VLY_ROUTES_BYTES_MAX, &text, err);
    if (st == VLY_OK) {
        st = vly_route_specs_read(vly_buf_str(&text), r->max_routes, &arena, &specs, &n, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", r->file);
    }
    if (st == VLY_OK)
        st = load(r, specs, n, err);
    vly_buf_release(&text);
    vly_arena_release(&arena);
    return st;
}

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
    vly_status st = read_file(r, err);
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
