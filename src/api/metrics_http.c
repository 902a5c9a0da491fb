/* SPDX-License-Identifier: MIT */
/* Connections, requests by route, and the access log. */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "api/route_stats.h"
#include "base/assert.h"
#include "sys/line_log.h"

#include <stdio.h>

/* Figures of one route and one class of status, and their labels. */
typedef struct series {
    const vly_metrics_page *p;
    const char *name, *labels;
    size_t route;
    int class;
} series;

static const vly_route_figures *figures_of(const series *s)
{
    return vly_route_stats_at(s->p->api->route_stats, s->route, s->class);
}

/* Series of routes that nobody has asked for are left out. Ours tell the scope, so that a rule may
 * look at inference alone. */
static void each_route(const vly_metrics_page *p, const char *name, bool is_ours,
                       void (*put)(const series *s))
{
    char labels[256], scope[32] = "";
    series s = {.p = p, .name = name, .labels = labels};

    for (s.route = 0; s.route < vly_route_n(); s.route++) {
        for (s.class = 1; s.class <= 5; s.class ++) {
            if (vly_counter_get(&figures_of(&s)->sum_ns) == 0)
                continue;
            if (is_ours)
                snprintf(scope, sizeof(scope), "scope=\"%s\",",
                         vly_key_scope_name(vly_route_scope(s.route)));
            snprintf(labels, sizeof(labels), "%sroute=\"%s\",method=\"%s\",code=\"%dxx\"", scope,
                     vly_route_pattern(s.route), vly_route_method(s.route), s.class);
            put(&s);
        }
    }
}

static void put_duration(const series *s)
{
    vly_exemplar exemplars[VLY_ROUTE_BUCKETS + 1];
    uint64_t below[VLY_ROUTE_BUCKETS], seen = 0;
    const vly_route_figures *f = figures_of(s);
    bool has_any = s->p->out->is_open &&
                   vly_route_stats_exemplars(s->p->api->route_stats, s->route, s->class, exemplars);

    for (size_t i = 0; i < VLY_ROUTE_BUCKETS; i++) {
        seen += vly_counter_get(&f->in[i]);
        below[i] = seen;
    }
    seen += vly_counter_get(&f->in[VLY_ROUTE_BUCKETS]);
    vly_metrics_buckets(s->p->out, s->name, s->labels,
                        &(vly_metrics_counts){.bounds = vly_metrics_seconds_bounds,
                                              .below = below,
                                              .n = VLY_ROUTE_BUCKETS,
                                              .count = seen,
                                              .sum = (double)vly_counter_get(&f->sum_ns) / 1e9,
                                              .exemplars = has_any ? exemplars : NULL});
}

static uint64_t count_of(const vly_route_figures *f)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= VLY_ROUTE_BUCKETS; i++)
        n += vly_counter_get(&f->in[i]);
    return n;
}

static void put_count(const series *s)
{
    vly_metrics_u64(s->p->out, s->name, s->labels, count_of(figures_of(s)));
}

/* Over all routes of a scope. Every class is there from the start, so that rate() sees the first
 * error. */
static void put_classes(const vly_metrics_page *p)
{
    uint64_t n[VLY_SCOPE_ADMIN + 1][6] = {{0}};
    char labels[48];

    for (size_t route = 0; route < vly_route_n(); route++)
        for (int class = 2; class <= 5; class ++)
            n[vly_route_scope(route)][class] +=
                count_of(vly_route_stats_at(p->api->route_stats, route, class));
    vly_metrics_head(p->out, "volley_requests_total", "counter",
                     "Requests answered, by what they ask for (infer: models run) and class of "
                     "status; of gRPC, what its status is in HTTP; past the client's own deadline: "
                     "4xx");
    for (vly_key_scope scope = VLY_SCOPE_NONE; scope <= VLY_SCOPE_ADMIN; scope++) {
        for (int class = 2; class <= 5; class ++) {
            snprintf(labels, sizeof(labels), "scope=\"%s\",code=\"%dxx\"",
                     vly_key_scope_name(scope), class);
            vly_metrics_u64(p->out, "volley_requests_total", labels, n[scope][class]);
        }
    }
}

static void put_routes(const vly_metrics_page *p)
{
    static const struct {
        uint32_t names;
        const char *name, *type, *help;
        void (*put)(const series *s);
    } families[] = {
        {VLY_METRICS_VOLLEY, "volley_http_request_duration_seconds", "histogram",
         "From the last byte of a request to the last of its answer, by route", put_duration},
        {VLY_METRICS_GUIDES, "http_request_duration_seconds", "histogram",
         "As volley_http_request_duration_seconds", put_duration},
        {VLY_METRICS_GUIDES, "http_requests_total", "counter", "Requests answered, by route",
         put_count},
    };

    if (p->api->route_stats == NULL)
        return;
    for (size_t i = 0; i < VLY_COUNT(families); i++) {
        if ((families[i].names & p->api->metrics.names) == 0)
            continue;
        vly_metrics_head(p->out, families[i].name, families[i].type, families[i].help);
        each_route(p, families[i].name, families[i].names == VLY_METRICS_VOLLEY, families[i].put);
    }
    if ((p->api->metrics.names & VLY_METRICS_VOLLEY) != 0)
        put_classes(p);
}

static void put_connections(const vly_metrics_page *p)
{
    const vly_http_stats *s = p->http;
    const vly_metrics_row rows[] = {
        {"volley_http_streams_total", "Streams since the start", &s->streams},
        {"volley_http_connections_total", "Connections accepted", &s->connections},
        {"volley_http_connections_refused_total", "Connections closed because too many were open",
         &s->connections_refused},
        {"volley_http_requests_total", "Requests received whole", &s->requests},
        {"volley_http_requests_cancelled_total", "Requests whose client left before the answer",
         &s->requests_cancelled},
        {"volley_http_parse_errors_total", "Requests refused as malformed, too large or too slow",
         &s->parse_errors},
        {"volley_http_received_bytes_total", "Bytes received", &s->bytes_in},
        {"volley_http_sent_bytes_total", "Bytes sent", &s->bytes_out},
    };

    vly_metrics_value(p->out, "volley_http_connections_open", "gauge", "Open connections",
                      (double)vly_gauge_get(&s->connections_open));
    vly_metrics_value(p->out, "volley_http_connections_limit", "gauge",
                      "Connections that may be open (http.max_connections)",
                      (double)p->api->metrics.max_connections);
    vly_metrics_value(p->out, "volley_http_streams_open", "gauge",
                      "WebSockets and streaming gRPC calls",
                      (double)vly_gauge_get(&s->streams_open));
    vly_metrics_counters(p->out, rows, VLY_COUNT(rows));
    vly_metrics_head(p->out, "volley_http_responses_total", "counter",
                     "Answers by class of status");
    for (int k = 1; k < 6; k++)
        vly_buf_printf(p->out->b, "volley_http_responses_total{code=\"%dxx\"} %llu\n", k,
                       (unsigned long long)vly_counter_get(&s->responses[k]));
}

static void put_compression(const vly_metrics_out *o, const vly_api_stats *s)
{
    const vly_metrics_row rows[] = {
        {"volley_http_compressed_bytes_before_total",
         "Bytes of answers before they were compressed", &s->packed_bytes_before},
        {"volley_http_compressed_bytes_after_total", "Bytes of answers after they were compressed",
         &s->packed_bytes_after},
        {"volley_http_decompressed_bytes_before_total",
         "Bytes of request bodies that came compressed", &s->unpacked_bytes_before},
        {"volley_http_decompressed_bytes_after_total", "Bytes that came out of them",
         &s->unpacked_bytes_after},
    };

    vly_metrics_counters(o, rows, VLY_COUNT(rows));
}

static void put_access_log(const vly_metrics_out *o, vly_line_log *log)
{
    vly_metrics_value(o, "volley_access_log_lines_total", "counter", "Lines for the access log",
                      (double)vly_line_log_lines(log));
    vly_metrics_value(o, "volley_access_log_dropped_total", "counter",
                      "Of these, lines that were dropped: the buffer or the disk was full",
                      (double)vly_line_log_dropped(log));
}

void vly_metrics_put_http(const vly_metrics_page *p)
{
    put_routes(p);
    if ((p->api->metrics.names & VLY_METRICS_VOLLEY) == 0)
        return;
    put_connections(p);
    put_compression(p->out, &p->api->stats);
    if (p->api->access_log != NULL)
        put_access_log(p->out, p->api->access_log);
}
