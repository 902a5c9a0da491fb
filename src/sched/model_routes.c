/* SPDX-License-Identifier: MIT */
#include "sched/model_routes.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/model_routes_internal.h"

#include <stdio.h>

const char *vly_route_outcome_name(vly_route_outcome o)
{
#define NAME(name, text) text,
    static const char *const names[] = {VLY_ROUTE_OUTCOME_MAP(NAME)};
#undef NAME
    VLY_ASSERT(o < VLY_ROUTE_OUTCOMES);
    return names[o];
}

const char *vly_route_shadow_name(vly_route_shadow_outcome o)
{
#define NAME(name, text) text,
    static const char *const names[] = {VLY_ROUTE_SHADOW_MAP(NAME)};
#undef NAME
    VLY_ASSERT(o < VLY_ROUTE_SHADOW_OUTCOMES);
    return names[o];
}

/* ---- arms ---- */

static vly_route_arm *arm_new(const char *route, const vly_route_target *target)
{
    vly_route_arm *a = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*a));

    if (a == NULL)
        return NULL;
    snprintf(a->route, sizeof(a->route), "%s", route);
    a->target = *target;
    pthread_mutex_init(&a->lock, NULL);
    atomic_init(&a->n_refs, 1);
    return a;
}

vly_route_arm *vly_route_arm_ref(vly_route_arm *a)
{
    atomic_fetch_add_explicit(&a->n_refs, 1, memory_order_relaxed); /* the caller holds one */
    return a;
}

void vly_route_arm_unref(vly_route_arm *a)
{
    /* acq_rel: the last owner must see what the others did before the memory goes */
    if (a == NULL || atomic_fetch_sub_explicit(&a->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&a->lock);
    vly_free(a->window);
    vly_free(a);
}

static vly_route_outcome outcome_of(vly_status st)
{
    switch (st) {
    case VLY_OK:
        return VLY_ROUTE_OUTCOME_OK;
    case VLY_EBUSY:
    case VLY_EDEADLINE:
        return VLY_ROUTE_OUTCOME_REJECTED;
    case VLY_ECANCELLED:
        return VLY_ROUTE_OUTCOME_CANCELLED;
    case VLY_EINVAL:
    case VLY_ENOTFOUND:
    case VLY_EFORMAT:
    case VLY_ELIMIT:
    case VLY_EMEDIA:
    case VLY_EEXIST:
    case VLY_EUNAUTHENTICATED:
    case VLY_EDENIED:
    case VLY_EEXHAUSTED:
    case VLY_ECHANGED:
        return VLY_ROUTE_OUTCOME_REFUSED;
    case VLY_EUNSUPPORTED:
    case VLY_ENOMEM:
    case VLY_EIO:
    case VLY_EUNAVAILABLE:
    case VLY_EINTERNAL:
        break;
    }
    return VLY_ROUTE_OUTCOME_FAILED;
}

static void watch(vly_route_arm *a, vly_nsec now, bool is_error, vly_nsec latency_ns)
{
    pthread_mutex_lock(&a->lock);
    if (a->window != NULL)
        vly_route_window_add(a->window, now, is_error, latency_ns);
    pthread_mutex_unlock(&a->lock);
}

static void watch_refused(vly_route_arm *a, vly_nsec now)
{
    pthread_mutex_lock(&a->lock);
    if (a->window != NULL)
        vly_route_window_add_refused(a->window, now);
    pthread_mutex_unlock(&a->lock);
}

void vly_route_arm_count(vly_route_arm *a, vly_nsec now, vly_status st, bool is_model_failure,
                         vly_nsec received_ns)
{
    vly_route_outcome o = is_model_failure ? VLY_ROUTE_OUTCOME_FAILED : outcome_of(st);
    vly_nsec latency_ns = now - received_ns;

    vly_counter_add(&a->outcomes[o], 1);
    if (o == VLY_ROUTE_OUTCOME_OK)
        vly_histogram_record(&a->latency, latency_ns);
    if (o == VLY_ROUTE_OUTCOME_REFUSED)
        watch_refused(a, now);
    else if (o != VLY_ROUTE_OUTCOME_CANCELLED)
        watch(a, now, o != VLY_ROUTE_OUTCOME_OK, latency_ns);
}

void vly_route_arm_count_late(vly_route_arm *a, vly_nsec now)
{
    vly_counter_add(&a->outcomes[VLY_ROUTE_OUTCOME_CANCELLED], 1);
    watch_refused(a, now);
}

void vly_route_arm_count_known(vly_route_arm *a)
{
    vly_counter_add(&a->outcomes[VLY_ROUTE_OUTCOME_CACHED], 1);
}

static void count_missing(vly_route_arm *a)
{
    vly_counter_add(&a->outcomes[VLY_ROUTE_OUTCOME_UNAVAILABLE], 1);
    watch(a, vly_clock_now(), true, 0);
}

/* A window of that length; what it has seen stays, unless forget. */
static vly_status arm_watch(vly_route_arm *a, vly_nsec window_ns, bool forget, vly_err *err)
{
    vly_route_window *w = vly_alloc(VLY_MEM_SCHED, sizeof(*w));

    if (w == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for route '%s'", a->route);
    vly_route_window_init(w, window_ns);
    pthread_mutex_lock(&a->lock);
    if (a->window == NULL || a->window->slot_ns != w->slot_ns || forget) {
        vly_route_window *old = a->window;
        a->window = w;
        w = old;
    }
    pthread_mutex_unlock(&a->lock);
    vly_free(w);
    return VLY_OK;
}

/* ---- routes ---- */

vly_model_route *vly_model_route__ref(vly_model_route *route)
{
    atomic_fetch_add_explicit(&route->n_refs, 1, memory_order_relaxed); /* the caller holds one */
    return route;
}

void vly_model_route_unref(vly_model_route *route)
{
    /* acq_rel: as above */
    if (route == NULL || atomic_fetch_sub_explicit(&route->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < route->spec.n_arms; i++)
        vly_route_arm_unref(route->arms[i]);
    vly_route_arm_unref(route->shadow);
    vly_free(route);
}

static vly_route_arm *find_arm(const vly_model_route *route, const vly_route_target *t)
{
    for (size_t i = 0; route != NULL && i < route->spec.n_arms; i++)
        if (vly_route_target_eq(&route->arms[i]->target, t))
            return route->arms[i];
    return NULL;
}

static vly_status add_arm(vly_model_route *route, size_t i, const vly_model_route *old, bool forget,
                          vly_err *err)
{
    const vly_route_spec *s = &route->spec;
    const vly_route_target *t = &s->arms[i].target;
    vly_route_arm *a = find_arm(old, t);

    a = a != NULL ? vly_route_arm_ref(a) : arm_new(s->name, t);
    if (a == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for route '%s'", s->name);
    route->arms[i] = a;
    route->choices[i] = (vly_route_choice){
        .arm = vly_route_arm_hash(vly_str_from(s->name), vly_str_from(s->salt),
                                  vly_str_from(t->model), vly_str_from(t->version)),
        .weight = s->arms[i].weight};
    return s->has_guard ? arm_watch(a, s->guard.window_ns, forget, err) : VLY_OK;
}

static vly_status add_shadow(vly_model_route *route, const vly_model_route *old, vly_err *err)
{
    const vly_route_spec *s = &route->spec;

    if (!(s->shadow_share > 0))
        return VLY_OK;
    if (old != NULL && old->shadow != NULL && vly_route_target_eq(&old->shadow->target, &s->shadow))
        route->shadow = vly_route_arm_ref(old->shadow);
    else
        route->shadow = arm_new(s->name, &s->shadow);
    if (route->shadow == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for route '%s'", s->name);
    return VLY_OK;
}

vly_status vly_model_route__new(const vly_route_spec *spec, const vly_model_route *old, bool forget,
                                vly_model_route **ret, vly_err *err)
{
    vly_model_route *route = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*route));
    vly_status st = VLY_OK;

    if (route == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for route '%s'", spec->name);
    route->spec = *spec;
    route->spec.revision[0] = '\0';
    atomic_init(&route->n_refs, 1);
    st = vly_route_spec_revision(spec, &route->revision, err);
    for (size_t i = 0; i < spec->n_arms && st == VLY_OK; i++)
        st = add_arm(route, i, old, forget, err);
    if (st == VLY_OK)
        st = add_shadow(route, old, err);
    if (st == VLY_OK)
        *ret = route;
    else
        vly_model_route_unref(route);
    return st;
}

/* ---- the table ---- */

vly_route_table *vly_route_table__new(size_t n)
{
    vly_route_table *t = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*t) + n * sizeof(t->routes[0]));

    if (t == NULL)
        return NULL;
    atomic_init(&t->n_refs, 1);
    t->n = n;
    return t;
}

void vly_route_table_unref(vly_route_table *t)
{
    /* acq_rel: as above */
    if (t == NULL || atomic_fetch_sub_explicit(&t->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < t->n; i++)
        vly_model_route_unref(t->routes[i]);
    vly_free(t);
}

vly_route_table *vly_model_routes_table(vly_model_routes *r)
{
    pthread_mutex_lock(&r->lock);
    vly_route_table *t = r->table;
    atomic_fetch_add_explicit(&t->n_refs, 1, memory_order_relaxed); /* the routes hold one */
    pthread_mutex_unlock(&r->lock);
    return t;
}

size_t vly_route_table__find(const vly_route_table *t, vly_str name, bool *ret_is_there)
{
    size_t low = 0, high = t->n;

    *ret_is_there = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        vly_str at = vly_str_from(t->routes[mid]->spec.name);
        int order = memcmp(at.ptr, name.ptr, at.len < name.len ? at.len : name.len);
        if (order == 0)
            order = (at.len > name.len) - (at.len < name.len);
        if (order == 0) {
            *ret_is_there = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

vly_route_table *vly_model_routes__publish(vly_model_routes *r, vly_route_table *t)
{
    pthread_mutex_lock(&r->lock);
    vly_route_table *old = r->table;
    r->table = t;
    pthread_mutex_unlock(&r->lock);
    atomic_store_explicit(&r->n_routes, t->n, memory_order_relaxed); /* the lock guards the rest */
    return old;
}

bool vly_model_routes_has_any(const vly_model_routes *r)
{
    return r != NULL && atomic_load_explicit(&r->n_routes, memory_order_relaxed) > 0; /* a hint */
}

vly_model_route *vly_model_routes_find(vly_model_routes *r, vly_str name)
{
    vly_model_route *route = NULL;
    bool is_there;

    if (!vly_model_routes_has_any(r) || name.len == 0)
        return NULL;
    pthread_mutex_lock(&r->lock);
    size_t i = vly_route_table__find(r->table, name, &is_there);
    if (is_there)
        route = vly_model_route__ref(r->table->routes[i]);
    pthread_mutex_unlock(&r->lock);
    return route;
}

/* ---- requests ---- */

vly_served *vly_route__find_model(vly_model_routes *r, const vly_route_target *t)
{
    vly_served *m =
        vly_scheduler_find(r->scheduler, vly_str_from(t->model), vly_str_from(t->version));

    if (m != NULL && m->servable != NULL)
        return m;
    vly_served_unref(m);
    return NULL;
}

/* Told once, not with each request. */
static void tell_missing(vly_route_arm *a, bool is_missing)
{
    char text[VLY_ROUTE_TARGET_TEXT];

    if (atomic_load_explicit(&a->is_missing, memory_order_relaxed) == is_missing ||
        atomic_exchange(&a->is_missing, is_missing) == is_missing)
        return;
    if (is_missing)
        vly_warn("route '%s': arm %s does not serve: its requests go to the others", a->route,
                 vly_route_target_text(&a->target, text));
    else
        vly_info("route '%s': arm %s serves again", a->route,
                 vly_route_target_text(&a->target, text));
}

/* A reference when this request is one of the shadow's share. */
static vly_model_route *draw_shadow(vly_model_route *route)
{
    if (route->shadow == NULL)
        return NULL;
    uint64_t n = atomic_fetch_add_explicit(&route->n_shadow_drawn.value, 1, memory_order_relaxed);
    return vly_route_is_sampled(route->spec.shadow_share, n) ? vly_model_route__ref(route) : NULL;
}

vly_status vly_model_route_pick(vly_model_routes *r, vly_model_route *route, uint64_t session,
                                vly_route_pick *ret, vly_err *err)
{
    size_t n = route->spec.n_arms;
    vly_route_choice left[VLY_ROUTE_ARMS_MAX];
    uint64_t number = 0;

    if (session == 0)
        number = atomic_fetch_add_explicit(&route->n_spread.value, 1, memory_order_relaxed);
    memcpy(left, route->choices, n * sizeof(left[0]));
    for (;;) {
        size_t i = session != 0 ? vly_route_choose_sticky(left, n, session)
                                : vly_route_choose_spread(left, n, number);
        if (i == n)
            break;
        vly_route_arm *a = route->arms[i];
        vly_served *m = vly_route__find_model(r, &a->target);
        tell_missing(a, m == NULL);
        if (m != NULL) {
            *ret = (vly_route_pick){
                .model = m, .arm = vly_route_arm_ref(a), .shadow = draw_shadow(route)};
            return VLY_OK;
        }
        count_missing(a);
        left[i].weight = 0;
    }
    return vly_fail(err, VLY_EUNAVAILABLE, "route '%s': none of its arms serves", route->spec.name);
}

vly_status vly_model_route_first(vly_model_routes *r, const vly_model_route *route,
                                 vly_served **ret, vly_err *err)
{
    for (size_t i = 0; i < route->spec.n_arms; i++) {
        if (!(route->spec.arms[i].weight > 0))
            continue;
        vly_served *m = vly_route__find_model(r, &route->spec.arms[i].target);
        if (m != NULL) {
            *ret = m;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EUNAVAILABLE, "route '%s': none of its arms serves", route->spec.name);
}

void vly_route_pick_release(vly_route_pick *p)
{
    vly_served_unref(p->model);
    vly_route_arm_unref(p->arm);
    vly_model_route_unref(p->shadow);
    *p = (vly_route_pick){.model = NULL};
}
