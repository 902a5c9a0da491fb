/* SPDX-License-Identifier: MIT */
/* Traces: how many are sampled, and what becomes of their spans. */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "api/trace.h"
#include "base/assert.h"

void vly_metrics_put_otlp(const vly_metrics_page *p)
{
    const vly_tracer *t = p->api->tracer;

    if (t == NULL || (p->api->metrics.names & VLY_METRICS_VOLLEY) == 0)
        return;
    const vly_otlp_export_stats *s = vly_otlp_export_stats_of(t->exporter);
    const vly_metrics_row rows[] = {
        {"volley_otlp_sampled_total", "Requests that were traced", &t->sampled},
        {"volley_otlp_not_sampled_total", "Requests that were not", &t->not_sampled},
        {"volley_otlp_exported_spans_total", "Spans that the collector has taken", &s->exported},
        {"volley_otlp_dropped_spans_total", "Spans dropped, for the queue was full", &s->dropped},
        {"volley_otlp_lost_spans_total", "Spans that the collector did not take", &s->lost},
        {"volley_otlp_requests_total", "Requests to the collector", &s->requests},
        {"volley_otlp_failures_total", "Of them, those that failed", &s->failures},
    };
    vly_metrics_counters(p->out, rows, VLY_COUNT(rows));
    vly_metrics_value(p->out, "volley_otlp_queue_bytes", "gauge", "Spans that wait to be sent",
                      (double)vly_gauge_get(&s->queue_bytes));
}
