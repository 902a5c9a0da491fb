/* SPDX-License-Identifier: MIT */
#include "cli/serve_reload.h"

#include "base/assert.h"
#include "base/log.h"
#include "cli/serve_access.h"
#include "cli/serve_cache.h"

void vly_serve_http_times(const vly_config *c, vly_http_opts *opts)
{
    opts->header_timeout_ms = (unsigned)c->http_header_timeout_ms;
    opts->body_timeout_ms = (unsigned)c->http_body_timeout_ms;
    opts->body_min_rate = c->http_body_min_rate;
    opts->idle_timeout_ms = (unsigned)c->http_idle_timeout_ms;
    opts->write_timeout_ms = (unsigned)c->http_write_timeout_ms;
}

void vly_serve_api_limits(const vly_config *c, vly_api *api)
{
    api->metrics.max_queue = (size_t)c->queue_max;
    api->max_parts = (size_t)c->multipart_max_parts;
    api->max_json_depth = (size_t)c->json_max_depth;
    api->max_json_bytes = c->json_max_memory_bytes;
    api->max_answer_bytes = c->http_max_answer_bytes;
    api->max_stream_requests = (size_t)c->grpc_max_stream_requests;
    api->max_stream_in_work = (size_t)c->stream_max_in_work;
    api->compress_min_bytes = c->http_compress_min_bytes;
    api->max_imu_readings = (size_t)c->imu_max_readings;
}

bool vly_serve_is_cold(const vly_serve_users *users, size_t idx)
{
    bool is_limit = idx == VLY_CONFIG_IDX_limits_address_requests ||
                    idx == VLY_CONFIG_IDX_limits_address_burst ||
                    idx == VLY_CONFIG_IDX_limits_address_concurrency;

    return is_limit && !users->has_address_limits;
}

static void apply_cache(vly_cache *cache, const vly_config *c)
{
    vly_cache_opts times = {.memory_bytes = 0};

    vly_serve_cache_times(c, &times);
    vly_cache_set_times(cache, &times);
}

void vly_serve_apply(vly_serve_users *users, const vly_config *old, const vly_config *c)
{
    vly_http_server *const servers[] = {users->http, users->admin};
    vly_http_opts times = {.n_loops = 0};

    if (c->log_level != old->log_level) /* else what clients have set by /v2/logging stays */
        vly_log_set_level(c->log_level);
    users->tls_check_ms = c->tls_check_ms;
    users->access_check_ms = c->access_check_ms;
    users->drain_timeout_ms = c->drain_timeout_ms;
    vly_scheduler_set_max_waiting(users->scheduler, (size_t)c->queue_max);
    vly_serve_api_limits(c, users->api);
    if (users->cache != NULL)
        apply_cache(users->cache, c);
    if (users->access != NULL)
        vly_serve_access_set(users->access, c);
    if (users->tracer != NULL) {
        vly_tracer_set_share(users->tracer, c->otlp_sample);
        users->tracer->trusts_parents = c->otlp_trust_parent;
    }
    vly_serve_http_times(c, &times);
    for (size_t i = 0; i < VLY_COUNT(servers); i++)
        if (servers[i] != NULL)
            vly_http_server_set_times(servers[i], &times);
}

void vly_serve_reload(vly_config_live *l)
{
    vly_buf report;
    vly_err err;

    vly_buf_init(&report, VLY_MEM_CLI, (size_t)4 << 20);
    if (vly_config_live_reload(l, &report, &err) != VLY_OK)
        vly_debug("the settings stay: %s", err.msg);
    vly_buf_release(&report);
}
