/* SPDX-License-Identifier: MIT */
#include "cli/serve_routes.h"

#include <stdio.h>

vly_status vly_serve_routes_open(const vly_config *c, vly_scheduler *s, vly_serve_routes *r,
                                 vly_err *err)
{
    const vly_model_routes_opts opts = {
        .scheduler = s,
        .file = c->routes_file,
        .max_routes = (size_t)c->routes_max,
        .shadow_log = c->routes_shadow_log,
        .shadow_log_bytes = c->routes_shadow_log_bytes,
        .shadow_max = (size_t)c->routes_shadow_max,
        .shadow_max_bytes = c->routes_shadow_max_bytes,
        .check_ms = (unsigned)c->routes_check_ms,
    };
    vly_status st = vly_model_routes_new(&opts, &r->routes, err);

    if (st != VLY_OK)
        return vly_fail_in(err, st, "setting 'routes.file'");
    vly_route_table *t = vly_model_routes_table(r->routes);
    for (size_t i = 0; i < t->n; i++)
        printf("route %s: %zu arms\n", t->routes[i]->spec.name, t->routes[i]->spec.n_arms);
    vly_route_table_unref(t);
    return VLY_OK;
}

void vly_serve_routes_stop(vly_serve_routes *r)
{
    vly_model_routes_stop(r->routes);
}

void vly_serve_routes_close(vly_serve_routes *r)
{
    vly_model_routes_free(r->routes);
    r->routes = NULL;
}
