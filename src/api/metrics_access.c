/* SPDX-License-Identifier: MIT */
/* Requests that were refused for who sent them, or how many. */
#include "api/metrics_families.h"
#include "api/metrics_text.h"

#include <stdio.h>

void vly_metrics_put_access(const vly_metrics_page *p)
{
    const vly_access_stats *s = &p->api->access_stats;
    char labels[32];

    if ((p->api->metrics.names & VLY_METRICS_VOLLEY) == 0)
        return;
    vly_metrics_head(p->out, "volley_access_denied_total", "counter",
                     "Requests without the right to be carried out, by reason.");
    for (vly_access_denial d = 0; d < VLY_ACCESS_N_DENIALS; d++) {
        snprintf(labels, sizeof(labels), "reason=\"%s\"", vly_access_denial_name(d));
        vly_metrics_u64(p->out, "volley_access_denied_total", labels,
                        vly_counter_get(&s->denied[d]));
    }
    vly_metrics_head(p->out, "volley_rate_limited_total", "counter",
                     "Requests and messages past the limits of their key or address.");
    for (vly_access_bound b = 0; b < VLY_ACCESS_N_BOUNDS; b++) {
        snprintf(labels, sizeof(labels), "by=\"%s\"", vly_access_bound_name(b));
        vly_metrics_u64(p->out, "volley_rate_limited_total", labels,
                        vly_counter_get(&s->limited[b]));
    }
}
