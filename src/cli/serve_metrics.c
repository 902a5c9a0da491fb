/* SPDX-License-Identifier: MIT */
#include "cli/serve_metrics.h"

#include "api/metrics_families.h"
#include "sys/core_count.h"
#include "sys/memory_limit.h"
#include "sys/usage.h"

static vly_status open_performance(const vly_config *c, vly_scheduler *s, vly_model_routes *routes,
                                   vly_serve_metrics *m, vly_err *err)
{
    const vly_performance_opts o = {.scheduler = s,
                                    .routes = routes,
                                    .alarms = vly_scheduler_alarms(s),
                                    .desk = m->desk,
                                    .n_cores = vly_core_count(),
                                    .memory_bytes = m->opts.memory_limit_bytes,
                                    .max_series = (size_t)c->metrics_max_models};

    return vly_performance_new(&o, &m->performance, err);
}

vly_status vly_serve_metrics_open(const vly_config *c, vly_scheduler *s, vly_model_routes *routes,
                                  vly_serve_metrics *m, vly_err *err)
{
    vly_status st = vly_metrics_names_parse(vly_str_from(c->metrics_names), &m->opts.names, err);

    if (st != VLY_OK)
        return vly_fail_in(err, st, "setting 'metrics.names'");
    m->opts.summaries = c->metrics_summaries;
    m->opts.max_models = (size_t)c->metrics_max_models;
    m->opts.memory_limit_bytes = vly_memory_limit();
    m->opts.process_start_s = vly_usage_process_start();
    m->opts.max_connections = (size_t)c->http_max_connections;
    m->opts.max_sessions = (size_t)c->imu_max_sessions;
    st = vly_route_stats_new(&m->routes, err);
    if (st == VLY_OK)
        st = vly_metrics_window_new(vly_clock_now(), &m->window, err);
    if (st == VLY_OK) /* without a bound: the requests in work have one */
        st = vly_worker_pool_new_named("volley-desk", 1, SIZE_MAX, &m->desk, err);
    if (st == VLY_OK)
        st = vly_worker_pool_new_named("volley-files", 1, SIZE_MAX, &m->files, err);
    return st == VLY_OK ? open_performance(c, s, routes, m, err) : st;
}

void vly_serve_metrics_close(vly_serve_metrics *m)
{
    vly_performance_free(m->performance);
    vly_worker_pool_free(m->files); /* before the desk, which packs its answers */
    vly_worker_pool_free(m->desk);
    vly_metrics_window_free(m->window);
    vly_route_stats_free(m->routes);
    *m = (vly_serve_metrics){0};
}
