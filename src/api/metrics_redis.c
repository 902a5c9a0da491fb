/* SPDX-License-Identifier: MIT */
/* Redis behind the cache. */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "base/assert.h"
#include "cache/redis_tier.h"

static void put_counters(const vly_metrics_out *o, const vly_redis_stats *s)
{
    const vly_metrics_row rows[] = {
        {"volley_redis_gets_total", "Lookups that came to Redis", &s->gets},
        {"volley_redis_hits_total", "Of these, results found", &s->hits},
        {"volley_redis_misses_total", "Of these, results not found, or not in time", &s->misses},
        {"volley_redis_refused_total", "Of these, not asked: circuit open, or too many under way",
         &s->refused},
        {"volley_redis_sets_total", "Results sent to be kept", &s->sets},
        {"volley_redis_sets_dropped_total",
         "Results not sent: circuit open, Redis full, too long, or too many on their way",
         &s->sets_dropped},
        {"volley_redis_sets_failed_total", "Results sent and not kept", &s->sets_failed},
        {"volley_redis_invalidations_total", "Tags invalidated", &s->invalidations},
        {"volley_redis_failures_total", "Errors answered, and connections that failed",
         &s->failures},
        {"volley_redis_timeouts_total", "Answers that did not come in time", &s->timeouts},
        {"volley_redis_malformed_total", "Values and answers that made no sense", &s->malformed},
        {"volley_redis_connects_total", "Connections that came to be used", &s->connects},
        {"volley_redis_openings_total", "Times that the circuit has opened", &s->openings},
    };

    vly_metrics_counters(o, rows, VLY_COUNT(rows));
}

void vly_metrics_put_redis(const vly_metrics_page *p)
{
    if (p->api->redis == NULL || (p->api->metrics.names & VLY_METRICS_VOLLEY) == 0)
        return;
    const vly_redis_stats *s = vly_redis_get_stats(p->api->redis);
    put_counters(p->out, s);
    vly_metrics_value(p->out, "volley_redis_open", "gauge",
                      "1: the circuit is open, nobody is asked",
                      (double)vly_gauge_get(&s->is_open));
    vly_metrics_value(p->out, "volley_redis_stores_paused", "gauge", "1: Redis takes no results",
                      (double)vly_gauge_get(&s->is_store_paused));
    vly_metrics_head(p->out, "volley_redis_get_duration_seconds", "histogram",
                     "From the lookup to the answer of Redis");
    vly_metrics_seconds(p->out, "volley_redis_get_duration_seconds", "", &s->get_ns);
}
