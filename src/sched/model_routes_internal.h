/* SPDX-License-Identifier: MIT */
/* What the model_routes*.c files share; private. */
#ifndef VLY_SCHED_MODEL_ROUTES_INTERNAL_H
#define VLY_SCHED_MODEL_ROUTES_INTERNAL_H

#include "sched/model_routes.h"

#include <pthread.h>

struct vly_model_routes {
    vly_scheduler *scheduler; /* immutable, as the next three */
    char *file;               /* NULL: none */
    size_t max_routes;
    unsigned check_ms;
    struct vly_line_log *shadow_log; /* NULL: none; immutable, as the next two */
    size_t shadow_max, shadow_max_bytes;
    _Atomic size_t n_shadows;
    pthread_mutex_t
        change;        /* held by whoever makes the next table, and writes the file; before lock */
    uint64_t file_sum; /* of what was read or written last; 0: nothing was. Guarded by change */
    pthread_mutex_t lock;
    vly_route_table *table; /* guarded by lock; replaced under change too */
    _Atomic size_t n_routes;
    pthread_t thread; /* when check_ms > 0, as the next two */
    pthread_cond_t is_ending_cond;
    bool is_ending; /* guarded by lock */
};

/* A route of this setting, with the arms of old (NULL: none) where they are the same. forget: what
 * the guard has seen counts no more. ENOMEM. */
vly_status vly_model_route__new(const vly_route_spec *spec, const vly_model_route *old, bool forget,
                                vly_model_route **ret, vly_err *err) VLY_MUST_CHECK;
vly_model_route *vly_model_route__ref(vly_model_route *route);

vly_route_table *vly_route_table__new(size_t n); /* of n rows, to be filled; NULL: no memory */
/* Row of that name, or where it would be. */
size_t vly_route_table__find(const vly_route_table *t, vly_str name, bool *ret_is_there);
/* Takes the reference; returns the old table, the caller's to unref. */
vly_route_table *vly_model_routes__publish(vly_model_routes *r, vly_route_table *t);

/* Does it serve? A new reference, or NULL. */
vly_served *vly_route__find_model(vly_model_routes *r, const vly_route_target *t);

/* ---- model_routes_check ---- */

/* ENOTFOUND, EUNAVAILABLE: it does not. what: "arm". */
vly_status vly_route__check_serves(vly_model_routes *r, const char *what, const vly_route_target *t,
                                   vly_err *err) VLY_MUST_CHECK;
/* EINVAL: an arm or the shadow does not fit to the first arm. Arms that were rolled back are left
 * aside: that may be why. */
vly_status vly_route__check_interfaces(vly_model_routes *r, const vly_route_spec *s,
                                       bool any_interface, vly_err *err) VLY_MUST_CHECK;
/* All that vly_model_routes_set says of models. */
vly_status vly_route__check_models(vly_model_routes *r, const vly_route_spec *s, bool any_interface,
                                   vly_err *err) VLY_MUST_CHECK;

/* ---- model_routes_file; under the change lock ---- */

/* Puts the table in the file. ECHANGED: somebody else has changed it since. */
vly_status vly_routes_file__write(vly_model_routes *r, const vly_route_table *t,
                                  vly_err *err) VLY_MUST_CHECK;

#endif
