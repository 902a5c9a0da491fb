/* SPDX-License-Identifier: MIT */
/*
 * The settings that `volley serve` takes up while it runs: on SIGHUP, and when asked by
 * POST /v1/config:reload. See sys/config_live.h.
 */
#ifndef VLY_CLI_SERVE_RELOAD_H
#define VLY_CLI_SERVE_RELOAD_H

#include "api/access.h"
#include "api/api.h"
#include "api/trace.h"
#include "cache/result_cache.h"
#include "net/http_server.h"
#include "sched/scheduler.h"
#include "sys/config_live.h"

/* Who uses hot settings. Borrowed; but for the servers complete before the first
 * request comes. */
typedef struct vly_serve_users {
    vly_scheduler *scheduler;
    vly_api *api;
    vly_tracer *tracer; /* NULL: nothing is traced */
    vly_cache *cache;   /* NULL: there is none */
    vly_access *access; /* NULL: neither keys, limits nor trusted proxies */
    bool has_address_limits;
    /* NULL until they have started; reloads are asked for by the second where there is one. */
    _Atomic(vly_http_server *) http, admin;
    _Atomic int64_t tls_check_ms; /* for main itself, as the next two */
    _Atomic int64_t access_check_ms;
    _Atomic int64_t drain_timeout_ms;
} vly_serve_users;

/* The fields of opts that are times; the only place that turns those settings into them. */
void vly_serve_http_times(const vly_config *c, vly_http_opts *opts);
/* The limits of api that are hot, likewise. */
void vly_serve_api_limits(const vly_config *c, vly_api *api);

/* Hands every hot setting to who uses it; old is what was in force. Thread: any, one at a time. */
void vly_serve_apply(vly_serve_users *users, const vly_config *old, const vly_config *c);

/* For vly_config_live_opts.is_cold. */
bool vly_serve_is_cold(const vly_serve_users *users, size_t idx);

/* Reads again; what came of it is on the log. */
void vly_serve_reload(vly_config_live *l);

#endif
