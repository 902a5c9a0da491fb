/* SPDX-License-Identifier: MIT */
#include "cli/serve_metrics.h"

#include "api/metrics_families.h"

vly_status vly_serve_metrics_open(const vly_config *c, vly_serve_metrics *m, vly_err *err)
{
    vly_status st = vly_metrics_names_parse(vly_str_from(c->metrics_names), &m->names, err);

    if (st != VLY_OK)
        return vly_fail_in(err, st, "setting 'metrics.names'");
    return vly_route_stats_new(&m->routes, err);
}

void vly_serve_metrics_close(vly_serve_metrics *m)
{
    vly_route_stats_free(m->routes);
    *m = (vly_serve_metrics){0};
}
