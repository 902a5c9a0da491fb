/* SPDX-License-Identifier: MIT */
/*
 * GET /health: the process lives, and what it serves. GET /health/ready: it should get requests:
 * some model serves, the cache is warm and the server is not draining. /v2/health/live and /ready
 * say the same in Triton's way, by the status alone.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/guide.h"
#include "volley/version.h"

#include <stdio.h>

#define HEALTH_MAX_BYTES 4096
#define WHY_BYTES        96

static size_t count_serving(const vly_api *api, size_t *ret_n_models)
{
    vly_model_set *set = vly_scheduler_models(api->scheduler);
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        n += set->models[i]->servable != NULL;
    *ret_n_models = set->n;
    vly_model_set_unref(set);
    return n;
}

/* With explicit control a server without models serves too: to load them. */
static bool serves(const vly_api *api)
{
    bool is_explicit =
        api->control != NULL && vly_control_get_mode(api->control) == VLY_CONTROL_EXPLICIT;
    size_t n_models;

    return is_explicit || count_serving(api, &n_models) > 0;
}

static bool is_warm(const vly_api *api)
{
    return atomic_load(&api->n_warmed) == api->n_warm_lines;
}

bool vly_api_is_ready(const vly_api *api)
{
    return !atomic_load(&api->is_draining) && serves(api) && is_warm(api);
}

/* Why it is not, after it was not. */
static void tell_why(const vly_api *api, char *ret, size_t n)
{
    if (atomic_load(&api->is_draining))
        snprintf(ret, n, "draining");
    else if (!serves(api))
        snprintf(ret, n, "no model serves");
    else
        snprintf(ret, n, "cache: warming up, %zu of %zu lines", atomic_load(&api->n_warmed),
                 api->n_warm_lines);
}

/* What the step detection guide's clients look for. */
static void put_steps(const vly_api *api, double uptime_s, vly_buf *b)
{
    const vly_imu_sessions *sessions = api->imu_sessions;

    vly_buf_printf(b, "\"uptime\":%.3f,\"timestamp\":\"", uptime_s);
    vly_guide_put_time(b);
    vly_buf_printf(b, "\",\"model_loaded\":%s,\"device\":\"cpu\",\"active_sessions\":%lld}",
                   api->step_model != NULL ? "true" : "false",
                   sessions == NULL
                       ? 0LL
                       : (long long)vly_gauge_get(&vly_imu_sessions_get_stats(sessions)->sessions));
}

static void answer(vly_api *api, vly_http_request *req, int status, const char *text)
{
    size_t n_models, n_serving = count_serving(api, &n_models);
    double uptime_s = vly_clock_ms(vly_clock_now() - api->started_ns) / 1e3;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, HEALTH_MAX_BYTES);
    vly_buf_printf(&b,
                   "{\"status\":\"%s\",\"version\":\"" VOLLEY_VERSION "\",\"uptime_s\":%.3f,"
                   "\"models\":{\"ready\":%zu,\"unavailable\":%zu},",
                   text, uptime_s, n_serving, n_models - n_serving);
    put_steps(api, uptime_s, &b);
    vly_answer_json(req, status, &b);
}

void vly_route_health(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    answer(api, req, 200, "ok");
}

void vly_route_health_ready(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    char why[WHY_BYTES];

    (void)captures;
    if (vly_api_is_ready(api)) {
        answer(api, req, 200, "ready");
    } else {
        tell_why(api, why, sizeof(why));
        answer(api, req, 503, why);
    }
}

void vly_route_v2_live(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)api;
    (void)captures;
    vly_answer_empty(req, 200);
}

void vly_route_v2_ready(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    vly_answer_empty(req, vly_api_is_ready(api) ? 200 : 400);
}
