/* SPDX-License-Identifier: MIT */
#include "cli/serve_redis.h"

#include "base/log.h"

static void on_state(void *ctx, bool is_on, const char *why)
{
    (void)ctx;
    if (is_on)
        vly_info("redis: connected");
    else
        vly_warn("redis: not asked: %s; it is tried again", why);
}

vly_status vly_serve_redis_open(const vly_config *c, vly_redis **ret, vly_err *err)
{
    const vly_redis_opts opts = {
        .url = c->cache_redis_url,
        .password_file = c->cache_redis_password_file,
        .prefix = c->cache_redis_prefix,
        .connect_ms = (unsigned)c->cache_redis_connect_ms,
        .timeout_ms = (unsigned)c->cache_redis_timeout_ms,
        .max_failures = (unsigned)c->cache_redis_max_failures,
        .retry_min_ms = (unsigned)c->cache_redis_retry_min_ms,
        .retry_max_ms = (unsigned)c->cache_redis_retry_max_ms,
        .max_waiting = (size_t)c->cache_redis_max_waiting,
        .max_value_bytes = c->cache_redis_max_value_bytes,
        .max_out_bytes = c->cache_redis_max_out_bytes,
        .on_state = on_state,
    };

    if (c->cache_redis_url[0] == '\0')
        return VLY_OK;
    vly_status st = vly_redis_new(&opts, ret, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "settings 'cache.redis_*'");
}
