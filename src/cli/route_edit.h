/* SPDX-License-Identifier: MIT */
/* What `volley route set` makes of a route: what is not named stays as it is. */
#ifndef VLY_CLI_ROUTE_EDIT_H
#define VLY_CLI_ROUTE_EDIT_H

#include "cli/command.h"
#include "sched/model_routes_spec.h"

/* As on the command line; NULL and 0: not named. "none" takes away. */
typedef struct vly_route_edits {
    char *const *arms; /* [n_arms] "MODEL/VERSION=WEIGHT" */
    size_t n_arms;
    const char *probation; /* an arm; "none" */
    const vly_opt_list *guard;
    const char *shadow; /* "ARM=SHARE" */
    const char *shares; /* "0.1,1" */
    double hold_s;
    const char *salt;
} vly_route_edits;

/* s: the route as it is, or {0} with a name. EINVAL, ELIMIT, ENOMEM; s is of no use then. What only
 * the server can tell is left to it. */
vly_status vly_route_edit(const vly_route_edits *e, vly_route_spec *s, vly_err *err) VLY_MUST_CHECK;

#endif
