/* SPDX-License-Identifier: MIT */
/*
 * GET /metrics: Prometheus text format 0.0.4.
 *
 * nv_inference_* are Triton's names, for dashboards that exist; their durations are sums in
 * microseconds. volley_* adds true histograms in seconds. Reading takes no lock: a histogram that
 * is written meanwhile may be a few events behind its count, never inconsistent in itself.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/metrics_text.h"
#include "api/steps_mqtt.h"
#include "base/assert.h"
#include "net/mqtt.h"
#include "sys/line_log.h"
#include "volley/version.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define BATCH_SIZE_LE_MAX 128

/* name{model="m",version="1"  and leaves the brace open. */
static void put_series(vly_buf *b, const char *name, const vly_served *m)
{
    vly_buf_printf(b, "%s{", name);
    vly_metrics_label(b, "model", m->name);
    vly_buf_putc(b, ',');
    vly_metrics_label(b, "version", m->version);
}

/* One family with a series for each model that serves: a number found by its offset. */
typedef struct family {
    const char *name;
    const char *help;
    size_t offset; /* in vly_served_stats */
} family;

#define STATS(field) offsetof(vly_served_stats, field)

static const family counters[] = {
    {"nv_inference_request_success", "Number of successful inference requests", STATS(success)},
    {"nv_inference_count", "Number of inferences performed, each item of a batch counted",
     STATS(inferences)},
    {"nv_inference_exec_count", "Number of model executions performed", STATS(executions)},
};

static const family sums_us[] = {
    {"nv_inference_request_duration_us", "Cumulative inference request duration in microseconds",
     STATS(request)},
    {"nv_inference_queue_duration_us", "Cumulative inference queuing duration in microseconds",
     STATS(queue)},
    {"nv_inference_compute_input_duration_us", "Cumulative compute input duration in microseconds",
     STATS(compute_input)},
    {"nv_inference_compute_infer_duration_us",
     "Cumulative compute inference duration in microseconds", STATS(compute_infer)},
    {"nv_inference_compute_output_duration_us",
     "Cumulative inference compute output duration in microseconds", STATS(compute_output)},
};

static const family histograms[] = {
    {"volley_request_duration_seconds", "From the last byte of a request to its answer ready",
     STATS(request)},
    {"volley_queue_duration_seconds", "Waiting for an instance", STATS(queue)},
    {"volley_compute_input_duration_seconds", "Bytes of the request to input tensors",
     STATS(compute_input)},
    {"volley_compute_infer_duration_seconds", "The model's run", STATS(compute_infer)},
    {"volley_compute_output_duration_seconds", "Output tensors to bytes of the answer",
     STATS(compute_output)},
};

static const vly_nsec bounds_ns[] = {
    100 * VLY_NSEC_PER_US,  250 * VLY_NSEC_PER_US,  500 * VLY_NSEC_PER_US, 1 * VLY_NSEC_PER_MS,
    2500 * VLY_NSEC_PER_US, 5 * VLY_NSEC_PER_MS,    10 * VLY_NSEC_PER_MS,  25 * VLY_NSEC_PER_MS,
    50 * VLY_NSEC_PER_MS,   100 * VLY_NSEC_PER_MS,  250 * VLY_NSEC_PER_MS, 500 * VLY_NSEC_PER_MS,
    1 * VLY_NSEC_PER_SEC,   2500 * VLY_NSEC_PER_MS, 5 * VLY_NSEC_PER_SEC,  10 * VLY_NSEC_PER_SEC,
};

static const void *field(const vly_served *m, const family *f)
{
    return (const char *)&m->stats + f->offset;
}

static void put_counter(vly_buf *b, const vly_served *m, const family *f)
{
    put_series(b, f->name, m);
    vly_buf_printf(b, "} %llu\n", (unsigned long long)vly_counter_get(field(m, f)));
}

static void put_sum_us(vly_buf *b, const vly_served *m, const family *f)
{
    put_series(b, f->name, m);
    vly_buf_printf(b, "} %llu\n",
                   (unsigned long long)(vly_histogram_sum(field(m, f)) / VLY_NSEC_PER_US));
}

static void put_histogram(vly_buf *b, const vly_served *m, const family *f)
{
    const vly_histogram *h = field(m, f);
    char name[128];

    snprintf(name, sizeof(name), "%s_bucket", f->name);
    for (size_t i = 0; i < VLY_COUNT(bounds_ns); i++) {
        put_series(b, name, m);
        vly_buf_printf(b, ",le=\"%g\"} %llu\n", (double)bounds_ns[i] / 1e9,
                       (unsigned long long)vly_histogram_count_below(h, bounds_ns[i]));
    }
    unsigned long long count = vly_histogram_count(h);
    put_series(b, name, m);
    vly_buf_printf(b, ",le=\"+Inf\"} %llu\n", count);
    snprintf(name, sizeof(name), "%s_sum", f->name);
    put_series(b, name, m);
    vly_buf_printf(b, "} %.9g\n", (double)vly_histogram_sum(h) / 1e9);
    snprintf(name, sizeof(name), "%s_count", f->name);
    put_series(b, name, m);
    vly_buf_printf(b, "} %llu\n", count);
}

static void put_families(vly_buf *b, const vly_model_set *set, const char *type,
                         const family *families, size_t n,
                         void (*put)(vly_buf *, const vly_served *, const family *))
{
    for (size_t f = 0; f < n; f++) {
        vly_metrics_head(b, families[f].name, type, families[f].help);
        for (size_t i = 0; i < set->n; i++) {
            const vly_served *m = set->models[i];
            if (m->servable != NULL)
                put(b, m, &families[f]);
        }
    }
}

static void put_failures(vly_buf *b, const vly_served *m, const family *f)
{
    for (int reason = 0; reason < VLY_JOB_FAILURE_N; reason++) {
        put_series(b, f->name, m);
        vly_buf_printf(b, ",reason=\"%s\"} %llu\n", vly_job_failure_name((vly_job_failure)reason),
                       (unsigned long long)vly_counter_get(&m->stats.failures[reason]));
    }
}

static void put_pending(vly_buf *b, const vly_served *m, const family *f)
{
    put_series(b, f->name, m);
    vly_buf_printf(b, "} %lld\n", (long long)vly_gauge_get(&m->stats.pending));
}

static void put_sequences(vly_buf *b, const vly_served *m, const family *f)
{
    put_series(b, f->name, m);
    vly_buf_printf(b, "} %lld\n", (long long)vly_gauge_get(&m->stats.sequences));
}

static void put_load_time(vly_buf *b, const vly_served *m, const family *f)
{
    put_series(b, f->name, m);
    vly_buf_printf(b, "} %.9g\n", (double)m->load_ns / 1e9);
}

/* Runs of batches up to each size; the sizes are powers of two. */
static void put_batch_sizes(vly_buf *b, const vly_served *m, const family *f)
{
    const vly_served_stats *s = &m->stats;

    for (size_t le = 1; le <= BATCH_SIZE_LE_MAX; le *= 2) {
        uint64_t n = 0;
        for (size_t i = 0; i < VLY_BATCH_STATS_MAX; i++) {
            size_t size = atomic_load(&s->batches[i].size);
            if (size > 0 && size <= le)
                n += vly_counter_get(&s->batches[i].count);
        }
        put_series(b, "volley_batch_size_bucket", m);
        vly_buf_printf(b, ",le=\"%zu\"} %llu\n", le, (unsigned long long)n);
    }
    unsigned long long count = vly_counter_get(&s->executions);
    put_series(b, "volley_batch_size_bucket", m);
    vly_buf_printf(b, ",le=\"+Inf\"} %llu\n", count);
    put_series(b, "volley_batch_size_sum", m);
    vly_buf_printf(b, "} %llu\n", (unsigned long long)vly_counter_get(&s->inferences));
    put_series(b, "volley_batch_size_count", m);
    vly_buf_printf(b, "} %llu\n", count);
    (void)f;
}

static void put_models(vly_buf *b, const vly_model_set *set)
{
    static const family failures = {"nv_inference_request_failure",
                                    "Number of failed inference requests", 0};
    static const family pending = {"nv_inference_pending_request_count",
                                   "Requests awaiting execution, per model", 0};
    static const family sequences = {"volley_sequences",
                                     "Sequences that have begun and not ended, per model", 0};
    static const family batch_size = {"volley_batch_size", "Inferences in one run of the model", 0};
    static const family load = {"nv_model_load_duration_secs", "Model load time in seconds", 0};

    put_families(b, set, "counter", counters, VLY_COUNT(counters), put_counter);
    put_families(b, set, "counter", &failures, 1, put_failures);
    put_families(b, set, "counter", sums_us, VLY_COUNT(sums_us), put_sum_us);
    put_families(b, set, "gauge", &pending, 1, put_pending);
    put_families(b, set, "gauge", &sequences, 1, put_sequences);
    put_families(b, set, "gauge", &load, 1, put_load_time);
    put_families(b, set, "histogram", histograms, VLY_COUNT(histograms), put_histogram);
    put_families(b, set, "histogram", &batch_size, 1, put_batch_sizes);
}

static void put_http(vly_buf *b, const vly_http_stats *s)
{
    vly_metrics_value(b, "volley_http_connections_open", "gauge", "Open connections",
                      (double)vly_gauge_get(&s->connections_open));
    vly_metrics_value(b, "volley_http_streams_open", "gauge", "WebSockets and streaming gRPC calls",
                      (double)vly_gauge_get(&s->streams_open));
    vly_metrics_value(b, "volley_http_streams_total", "counter", "Streams since the start",
                      (double)vly_counter_get(&s->streams));
    vly_metrics_value(b, "volley_http_connections_total", "counter", "Connections accepted",
                      (double)vly_counter_get(&s->connections));
    vly_metrics_value(b, "volley_http_connections_refused_total", "counter",
                      "Connections closed because too many were open",
                      (double)vly_counter_get(&s->connections_refused));
    vly_metrics_value(b, "volley_http_requests_total", "counter", "Requests received whole",
                      (double)vly_counter_get(&s->requests));
    vly_metrics_value(b, "volley_http_requests_cancelled_total", "counter",
                      "Requests whose client left before the answer",
                      (double)vly_counter_get(&s->requests_cancelled));
    vly_metrics_value(b, "volley_http_parse_errors_total", "counter",
                      "Requests refused as malformed, too large or too slow",
                      (double)vly_counter_get(&s->parse_errors));
    vly_metrics_value(b, "volley_http_received_bytes_total", "counter", "Bytes received",
                      (double)vly_counter_get(&s->bytes_in));
    vly_metrics_value(b, "volley_http_sent_bytes_total", "counter", "Bytes sent",
                      (double)vly_counter_get(&s->bytes_out));
    vly_metrics_head(b, "volley_http_responses_total", "counter", "Answers by class of status");
    for (int k = 1; k < 6; k++)
        vly_buf_printf(b, "volley_http_responses_total{code=\"%dxx\"} %llu\n", k,
                       (unsigned long long)vly_counter_get(&s->responses[k]));
}

static void put_imu_levels(vly_buf *b, const vly_imu_sessions_stats *s)
{
    vly_metrics_value(b, "volley_imu_sessions", "gauge", "Sessions of motion sensors",
                      (double)vly_gauge_get(&s->sessions));
    vly_metrics_value(b, "volley_imu_sessions_attached", "gauge",
                      "Of these, sessions with a connection", (double)vly_gauge_get(&s->attached));
    vly_metrics_value(b, "volley_imu_readings_waiting", "gauge", "Readings that wait to be run",
                      (double)vly_gauge_get(&s->waiting));
    vly_metrics_head(b, "volley_imu_snapshot_duration_seconds", "summary",
                     "Time of one transaction that saves sessions");
    vly_buf_printf(b, "volley_imu_snapshot_duration_seconds_sum %.9g\n",
                   (double)vly_histogram_sum(&s->snapshot_duration) / 1e9);
    vly_buf_printf(b, "volley_imu_snapshot_duration_seconds_count %llu\n",
                   (unsigned long long)vly_histogram_count(&s->snapshot_duration));
}

static void put_imu(vly_buf *b, const vly_imu_sessions_stats *s)
{
    const struct {
        const char *name, *help;
        const vly_counter *value;
    } rows[] = {
        {"volley_imu_sessions_opened_total", "Times that somebody attached to a session",
         &s->opened},
        {"volley_imu_sessions_replaced_total", "Of these, times that it was taken from another",
         &s->replaced},
        {"volley_imu_sessions_expired_total", "Sessions that were forgotten, for they were idle",
         &s->expired},
        {"volley_imu_sessions_restored_total", "Sessions that went on after the start",
         &s->restored},
        {"volley_imu_sessions_refused_total", "Stored sessions that could not go on", &s->refused},
        {"volley_imu_readings_total", "Readings that were run", &s->readings},
        {"volley_imu_steps_total", "Steps that were completed", &s->steps},
        {"volley_imu_events_total", "Beginnings and ends of steps", &s->events},
        {"volley_imu_turns_total", "Turns of loops in which readings were run", &s->turns},
        {"volley_imu_batches_total", "Batches in these turns", &s->batches},
        {"volley_imu_batch_sessions_total", "Sessions in these batches", &s->batch_streams},
        {"volley_imu_run_errors_total", "Batches that failed", &s->run_errors},
        {"volley_imu_snapshots_total", "Transactions that saved sessions", &s->snapshots},
        {"volley_imu_snapshot_sessions_total", "Sessions in these transactions", &s->snapshot_rows},
        {"volley_imu_snapshot_errors_total", "Transactions that failed", &s->snapshot_errors},
    };

    put_imu_levels(b, s);
    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        vly_metrics_value(b, rows[i].name, "counter", rows[i].help,
                          (double)vly_counter_get(rows[i].value));
}

static void put_mqtt(vly_buf *b, const vly_mqtt_stats *c, const vly_steps_mqtt_stats *s)
{
    const struct {
        const char *name, *help;
        const vly_counter *value;
    } rows[] = {
        {"volley_mqtt_connects_total", "Times that the broker was reached", &c->connects},
        {"volley_mqtt_failures_total", "Connections lost, and attempts that failed", &c->failures},
        {"volley_mqtt_messages_total", "Messages that came", &c->messages},
        {"volley_mqtt_received_bytes_total", "Bytes of these", &c->bytes},
        {"volley_mqtt_too_large_total", "Messages left out: too large", &c->too_large},
        {"volley_mqtt_malformed_total", "Messages left out: no readings", &s->malformed},
        {"volley_mqtt_refused_total", "Messages left out: past a limit", &s->refused},
        {"volley_mqtt_yielded_total", "Messages left out: somebody else has the session",
         &s->yielded},
        {"volley_mqtt_bad_rows_total", "Rows of CSV left out", &s->bad_rows},
        {"volley_mqtt_readings_total", "Readings taken", &s->readings},
        {"volley_mqtt_published_total", "Events sent", &c->published},
        {"volley_mqtt_dropped_total", "Events that could not be sent", &c->dropped},
    };

    vly_metrics_value(b, "volley_mqtt_connected", "gauge", "1: the broker is there",
                      (double)vly_gauge_get(&c->connected));
    vly_metrics_value(b, "volley_mqtt_devices", "gauge", "Devices attached",
                      (double)vly_gauge_get(&s->devices));
    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        vly_metrics_value(b, rows[i].name, "counter", rows[i].help,
                          (double)vly_counter_get(rows[i].value));
}

/* Second number of /proc/self/statm, which the kernel makes from memory: reading it never waits. */
static double resident_bytes(void)
{
    char text[128];
    unsigned long long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void put_process(vly_buf *b, const vly_api *api)
{
    vly_metrics_head(b, "volley_build_info", "gauge", "1, labelled with the version");
    vly_buf_puts(b, "volley_build_info{version=\"" VOLLEY_VERSION "\"} 1\n");
    vly_metrics_value(b, "volley_uptime_seconds", "gauge", "Time since the start",
                      (double)(vly_clock_now() - api->started_ns) / 1e9);
    vly_metrics_value(b, "volley_worker_threads", "gauge", "Threads that run models",
                      vly_worker_pool_threads(vly_scheduler_pool(api->scheduler)));
    vly_metrics_value(b, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes",
                      resident_bytes());
    vly_metrics_value(b, "process_cpu_seconds_total", "counter",
                      "User and system CPU time in seconds", cpu_seconds());
    vly_metrics_head(b, "volley_allocations_total", "counter", "Heap allocations by kind");
    for (int k = 0; k < VLY_MEM_N_KINDS; k++)
        vly_buf_printf(b, "volley_allocations_total{kind=\"%s\"} %llu\n",
                       vly_mem_kind_name((vly_mem_kind)k),
                       (unsigned long long)vly_mem_count((vly_mem_kind)k));
}

static void put_api(vly_buf *b, const vly_api *api)
{
    const vly_api_stats *s = &api->stats;

    vly_metrics_value(b, "volley_http_compressed_bytes_before_total", "counter",
                      "Bytes of answers before they were compressed",
                      (double)vly_counter_get(&s->packed_bytes_before));
    vly_metrics_value(b, "volley_http_compressed_bytes_after_total", "counter",
                      "Bytes of answers after they were compressed",
                      (double)vly_counter_get(&s->packed_bytes_after));
    vly_metrics_value(b, "volley_http_decompressed_bytes_before_total", "counter",
                      "Bytes of request bodies that came compressed",
                      (double)vly_counter_get(&s->unpacked_bytes_before));
    vly_metrics_value(b, "volley_http_decompressed_bytes_after_total", "counter",
                      "Bytes that came out of them",
                      (double)vly_counter_get(&s->unpacked_bytes_after));
    if (api->access_log == NULL)
        return;
    vly_metrics_value(b, "volley_access_log_lines_total", "counter", "Lines for the access log",
                      (double)vly_line_log_lines(api->access_log));
    vly_metrics_value(b, "volley_access_log_dropped_total", "counter",
                      "Of these, lines that were dropped: the buffer or the disk was full",
                      (double)vly_line_log_dropped(api->access_log));
}

void vly_route_metrics(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_model_set *set = vly_scheduler_models(api->scheduler);
    vly_buf b;

    (void)captures;
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    put_models(&b, set);
    vly_model_set_unref(set);
    put_http(&b, vly_http_server_stats(req->server));
    put_api(&b, api);
    if (api->imu_sessions != NULL)
        put_imu(&b, vly_imu_sessions_get_stats(api->imu_sessions));
    if (api->mqtt != NULL)
        put_mqtt(&b, vly_mqtt_get_stats(api->mqtt), vly_steps_mqtt_get_stats(api->steps_mqtt));
    put_process(&b, api);
    vly_answer_body(req, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}
