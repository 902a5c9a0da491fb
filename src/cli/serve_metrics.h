/* SPDX-License-Identifier: MIT */
/* What a server keeps for /metrics, by its settings, and the threads of the desk. */
#ifndef VLY_CLI_SERVE_METRICS_H
#define VLY_CLI_SERVE_METRICS_H

#include "api/api.h"
#include "api/metrics_window.h"
#include "api/performance.h"
#include "api/route_stats.h"
#include "sys/config.h"

/* Zeroed before open; owner: main. */
typedef struct vly_serve_metrics {
    vly_metrics_opts opts;
    vly_route_stats *routes;
    vly_metrics_window *window;
    vly_worker_pool *desk, *files; /* api/desk.h */
    vly_performance *performance;
} vly_serve_metrics;

/* EINVAL names the setting; ENOMEM. Close it in any case. */
vly_status vly_serve_metrics_open(const vly_config *c, vly_scheduler *s, vly_model_routes *routes,
                                  vly_serve_metrics *m, vly_err *err) VLY_MUST_CHECK;
void vly_serve_metrics_close(vly_serve_metrics *m);

#endif
