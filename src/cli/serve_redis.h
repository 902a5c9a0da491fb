/* SPDX-License-Identifier: MIT */
/* Redis behind the cache of a server, by its settings. */
#ifndef VLY_CLI_SERVE_REDIS_H
#define VLY_CLI_SERVE_REDIS_H

#include "cache/redis_tier.h"
#include "sys/config.h"

/* *ret stays NULL without cache.redis_url. Does not wait for Redis, which need not be there. The
 * settings outlive it. Errors name the setting. */
vly_status vly_serve_redis_open(const vly_config *c, vly_redis **ret, vly_err *err) VLY_MUST_CHECK;

#endif
