/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/performance[?since=N]: the figures of the page /performance, a column for each (see
 * performance.h); with since only the seconds behind that number, which is the answer's own "last".
 *
 * The first keys are those of the guides' PerformanceMonitor, since the start.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/desk.h"
#include "api/performance.h"
#include "api/steps_query.h"
#include "base/assert.h"

#include <math.h>

/* Shortest text of a figure that nobody reads to more than four digits; null: there is none. */
static void put_number(vly_buf *b, double v)
{
    if (isfinite(v))
        vly_buf_printf(b, "%.4g", v);
    else
        vly_buf_puts(b, "null");
}

static void put_member(vly_buf *b, const char *key, double v)
{
    vly_buf_printf(b, "\"%s\":", key);
    put_number(b, v);
    vly_buf_putc(b, ',');
}

static void put_report(vly_buf *b, const vly_performance_report *r)
{
    if (r->n_requests == 0)
        vly_buf_puts(b, "\"message\":\"No metrics collected yet\",");
    put_member(b, "average_inference_time_ms", r->average_ms);
    put_member(b, "p95_inference_time_ms", r->p95_ms);
    put_member(b, "average_memory_usage_percent", r->memory_percent);
    put_member(b, "average_cpu_usage_percent", r->cpu_percent);
    vly_buf_printf(b, "\"total_requests\":%llu,", (unsigned long long)r->n_requests);
}

static void put_process(vly_buf *b, const vly_performance_view *v)
{
    vly_buf_puts(b, ",\"times_ms\":[");
    for (size_t i = 0; i < v->n_points; i++)
        vly_buf_printf(b, "%s%llu", i > 0 ? "," : "", (unsigned long long)v->process[i].unix_ms);
    vly_buf_puts(b, "],\"process\":{\"cpu_percent\":[");
    for (size_t i = 0; i < v->n_points; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_number(b, (double)v->process[i].cpu_percent);
    }
    vly_buf_puts(b, "],\"resident_bytes\":[");
    for (size_t i = 0; i < v->n_points; i++)
        vly_buf_printf(b, "%s%llu", i > 0 ? "," : "",
                       (unsigned long long)v->process[i].resident_bytes);
    vly_buf_puts(b, "]}");
}

/* A column: the figure of every point at this offset. */
static void put_column(vly_buf *b, const char *name, const vly_performance_view *v,
                       const vly_performance_row *row, size_t offset)
{
    vly_buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < v->n_points; i++) {
        float figure;
        memcpy(&figure, (const char *)&row->points[i] + offset, sizeof(figure));
        vly_buf_puts(b, i > 0 ? "," : "");
        put_number(b, (double)figure);
    }
    vly_buf_putc(b, ']');
}

static void put_row(vly_buf *b, const vly_performance_view *v, const vly_performance_row *row)
{
    vly_buf_puts(b, "{\"route\":");
    if (row->route != NULL)
        vly_buf_json_str(b, vly_str_from(row->route));
    else
        vly_buf_puts(b, "null");
    vly_buf_puts(b, ",\"model\":");
    vly_buf_json_str(b, vly_str_from(row->model));
    vly_buf_puts(b, ",\"version\":");
    vly_buf_json_str(b, vly_str_from(row->version));
#define PUT_COLUMN(name) put_column(b, #name, v, row, offsetof(vly_performance_point, name));
    VLY_PERFORMANCE_FIELDS(PUT_COLUMN)
#undef PUT_COLUMN
    vly_buf_putc(b, '}');
}

static void put_all(vly_buf *b, const vly_api *api, const vly_performance_view *v)
{
    vly_buf_putc(b, '{');
    put_report(b, &v->report);
    vly_buf_printf(b, "\"started_ms\":%llu,\"cores\":%u,\"memory_limit_bytes\":%llu,",
                   (unsigned long long)(vly_clock_unix_ms() -
                                        (vly_clock_now() - api->started_ns) / VLY_NSEC_PER_MS),
                   vly_performance_cores(api->performance),
                   (unsigned long long)api->metrics.memory_limit_bytes);
    vly_buf_printf(b, "\"interval_ms\":%llu,\"last\":%llu,\"left_out\":%zu",
                   (unsigned long long)(VLY_PERFORMANCE_NS / VLY_NSEC_PER_MS),
                   (unsigned long long)v->last, v->n_left_out);
    put_process(b, v);
    vly_buf_puts(b, ",\"series\":[");
    for (size_t i = 0; i < v->n_rows; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_row(b, v, &v->rows[i]);
    }
    vly_buf_puts(b, "]}");
}

static vly_status read_since(vly_http_msg *msg, uint64_t *ret, vly_err *err)
{
    vly_str text = {NULL, 0};
    vly_status st = vly_steps_query_text(msg, "since", &text, err);

    if (st == VLY_OK && text.ptr != NULL && !vly_str_to_u64(text, ret))
        return vly_fail(err, VLY_EINVAL, "'since': expected a number, got '%.*s'",
                        VLY_STR_ARG(text));
    return st;
}

static void answer(vly_api *api, vly_http_request *req)
{
    vly_performance_view view;
    uint64_t since = 0;
    vly_err err;
    vly_buf b;

    vly_status st = read_since(&req->msg, &since, &err);
    if (st == VLY_OK)
        st = vly_performance_look(api->performance, since, &req->msg.arena, &view, &err);
    if (st != VLY_OK) {
        vly_answer_err(req, &err);
        return;
    }
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    put_all(&b, api, &view);
    vly_answer_json(req, 200, &b);
}

void vly_route_v1_performance(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    vly_desk_answer(api, req, answer);
}
