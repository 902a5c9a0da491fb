/* SPDX-License-Identifier: MIT */
/* The tier of a build without hiredis. */
#include "cache/redis_tier.h"

#include "base/assert.h"

vly_status vly_redis_new(const vly_redis_opts *opts, vly_redis **ret, vly_err *err)
{
    (void)opts;
    (void)ret;
    return vly_fail(err, VLY_EUNSUPPORTED, "this build has no Redis: it lacks hiredis");
}

void vly_redis_free(vly_redis *r)
{
    VLY_ASSERT(r == NULL);
}

bool vly_redis_ask(vly_redis *r, vly_redis_get *g, const vly_str *tags, size_t n_tags)
{
    (void)r;
    (void)g;
    (void)tags;
    (void)n_tags;
    return false;
}

bool vly_redis_store(vly_redis *r, vly_cache_key key, const vly_redis_tags *tags, vly_str bytes,
                     uint32_t meta, uint64_t ttl_ms)
{
    (void)r;
    (void)key;
    (void)tags;
    (void)bytes;
    (void)meta;
    (void)ttl_ms;
    return false;
}

void vly_redis_invalidate(vly_redis *r, vly_str tag)
{
    (void)r;
    (void)tag;
}

const vly_redis_stats *vly_redis_get_stats(const vly_redis *r)
{
    (void)r;
    return NULL;
}
