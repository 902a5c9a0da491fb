/* SPDX-License-Identifier: MIT */
#include "cache/redis_renewal.h"

bool vly_redis_renewal_is_due(vly_redis_renewals *r, uint64_t tag, vly_nsec now)
{
    size_t at = tag % VLY_REDIS_RENEWALS_MAX;

    if (r->last[at].at_ns != 0 && r->last[at].tag == tag &&
        now - r->last[at].at_ns < VLY_REDIS_TOKEN_NS / 4)
        return false;
    r->last[at].tag = tag;
    r->last[at].at_ns = now;
    return true;
}
