/* SPDX-License-Identifier: MIT */
/*
 * What is known of each model that serves. One row of the table below is one family: a second name
 * for the same figure is a second row.
 *
 * Of Triton's names those are left out that have nothing to tell here: nv_gpu_*, nv_energy_*,
 * nv_pinned_memory_pool_* (there is no GPU). nv_inference_first_response_histogram_ms is there, for
 * the first answer of a request is its only one.
 */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "base/assert.h"

#include <stddef.h>

/* A model, and model="m",version="1". */
typedef struct series {
    const vly_served *m;
    const char *labels;
} series;

typedef struct family family;
struct family {
    uint32_t names; /* whose name it is */
    const char *name;
    const char *type;
    const char *help;
    void (*put)(const vly_metrics_page *p, const family *f, const series *s);
    size_t offset; /* of the figure in vly_served_stats, for put */
};

static const void *field(const family *f, const series *s)
{
    return (const char *)&s->m->stats + f->offset;
}

static void put_counter(const vly_metrics_page *p, const family *f, const series *s)
{
    vly_metrics_u64(p->out, f->name, s->labels, vly_counter_get(field(f, s)));
}

static void put_gauge(const vly_metrics_page *p, const family *f, const series *s)
{
    vly_metrics_double(p->out, f->name, s->labels, (double)vly_gauge_get(field(f, s)));
}

static void put_sum_us(const vly_metrics_page *p, const family *f, const series *s)
{
    vly_metrics_u64(p->out, f->name, s->labels, vly_histogram_sum(field(f, s)) / VLY_NSEC_PER_US);
}

static void put_seconds(const vly_metrics_page *p, const family *f, const series *s)
{
    vly_metrics_seconds(p->out, f->name, s->labels, field(f, s));
}

static void put_first_response(const vly_metrics_page *p, const family *f, const series *s)
{
    static const vly_metrics_bound bounds[] = {{100 * VLY_NSEC_PER_MS, "100"},
                                               {500 * VLY_NSEC_PER_MS, "500"},
                                               {2000 * VLY_NSEC_PER_MS, "2000"},
                                               {5000 * VLY_NSEC_PER_MS, "5000"}};
    const vly_histogram *h = field(f, s);
    uint64_t limits[VLY_COUNT(bounds)], below[VLY_COUNT(bounds)];

    for (size_t i = 0; i < VLY_COUNT(bounds); i++)
        limits[i] = bounds[i].limit;
    uint64_t count = vly_histogram_cumulate(h, limits, VLY_COUNT(bounds), below);
    vly_metrics_buckets(p->out, f->name, s->labels,
                        &(vly_metrics_counts){.bounds = bounds,
                                              .below = below,
                                              .n = VLY_COUNT(bounds),
                                              .count = count,
                                              .sum = (double)vly_histogram_sum(h) / 1e6});
}

/* Since the start of the model, where Triton's are of the last minute. */
static void put_summary_us(const vly_metrics_page *p, const family *f, const series *s)
{
    static const struct {
        double q;
        const char *text;
    } quantiles[] = {{0.5, "0.5"}, {0.9, "0.9"}, {0.95, "0.95"}, {0.99, "0.99"}, {0.999, "0.999"}};
    const vly_histogram *h = field(f, s);

    for (size_t i = 0; i < VLY_COUNT(quantiles); i++)
        vly_buf_printf(
            p->out->b, "%s{%s,quantile=\"%s\"} %llu\n", f->name, s->labels, quantiles[i].text,
            (unsigned long long)(vly_histogram_quantile(h, quantiles[i].q) / VLY_NSEC_PER_US));
    vly_buf_printf(p->out->b, "%s_sum{%s} %llu\n%s_count{%s} %llu\n", f->name, s->labels,
                   (unsigned long long)(vly_histogram_sum(h) / VLY_NSEC_PER_US), f->name, s->labels,
                   (unsigned long long)vly_histogram_count(h));
}

static void put_failures(const vly_metrics_page *p, const family *f, const series *s)
{
    for (int reason = 0; reason < VLY_JOB_FAILURE_N; reason++)
        vly_buf_printf(p->out->b, "%s{%s,reason=\"%s\"} %llu\n", f->name, s->labels,
                       vly_job_failure_name((vly_job_failure)reason),
                       (unsigned long long)vly_counter_get(&s->m->stats.failures[reason]));
}

static void put_load_time(const vly_metrics_page *p, const family *f, const series *s)
{
    vly_metrics_double(p->out, f->name, s->labels, (double)s->m->load_ns / 1e9);
}

/* Runs of batches up to each size. */
static void put_batch_sizes(const vly_metrics_page *p, const family *f, const series *s)
{
    static const vly_metrics_bound bounds[] = {{1, "1"},   {2, "2"},   {4, "4"},   {8, "8"},
                                               {16, "16"}, {32, "32"}, {64, "64"}, {128, "128"}};
    const vly_served_stats *stats = &s->m->stats;
    uint64_t below[VLY_COUNT(bounds)] = {0};

    for (size_t i = 0; i < VLY_BATCH_STATS_MAX; i++) {
        size_t size = atomic_load(&stats->batches[i].size);
        for (size_t k = 0; size > 0 && k < VLY_COUNT(bounds); k++)
            if (size <= bounds[k].limit)
                below[k] += vly_counter_get(&stats->batches[i].count);
    }
    vly_metrics_buckets(p->out, f->name, s->labels,
                        &(vly_metrics_counts){.bounds = bounds,
                                              .below = below,
                                              .n = VLY_COUNT(bounds),
                                              .count = vly_counter_get(&stats->executions),
                                              .sum = (double)vly_counter_get(&stats->inferences)});
}

#define STATS(field) offsetof(vly_served_stats, field)
#define TRITON       VLY_METRICS_TRITON
#define VOLLEY       VLY_METRICS_VOLLEY
#define GUIDES       VLY_METRICS_GUIDES

static const family families[] = {
    {TRITON, "nv_inference_request_success", "counter", "Number of successful inference requests",
     put_counter, STATS(success)},
    {TRITON, "nv_inference_request_failure", "counter", "Number of failed inference requests",
     put_failures, 0},
    {TRITON, "nv_inference_count", "counter",
     "Number of inferences performed, each item of a batch counted", put_counter,
     STATS(inferences)},
    {TRITON, "nv_inference_exec_count", "counter", "Number of model executions performed",
     put_counter, STATS(executions)},
    {TRITON, "nv_inference_request_duration_us", "counter",
     "Cumulative inference request duration in microseconds", put_sum_us, STATS(request)},
    {TRITON, "nv_inference_queue_duration_us", "counter",
     "Cumulative inference queuing duration in microseconds", put_sum_us, STATS(queue)},
    {TRITON, "nv_inference_compute_input_duration_us", "counter",
     "Cumulative compute input duration in microseconds", put_sum_us, STATS(compute_input)},
    {TRITON, "nv_inference_compute_infer_duration_us", "counter",
     "Cumulative compute inference duration in microseconds", put_sum_us, STATS(compute_infer)},
    {TRITON, "nv_inference_compute_output_duration_us", "counter",
     "Cumulative inference compute output duration in microseconds", put_sum_us,
     STATS(compute_output)},
    {TRITON, "nv_inference_pending_request_count", "gauge",
     "Requests awaiting execution, per model", put_gauge, STATS(pending)},
    {TRITON, "nv_model_load_duration_secs", "gauge", "Model load time in seconds", put_load_time,
     0},
    {TRITON, "nv_inference_first_response_histogram_ms", "histogram",
     "Duration from request to first response in milliseconds", put_first_response, STATS(request)},

    {VOLLEY, "volley_request_duration_seconds", "histogram",
     "From the last byte of a request to its answer ready", put_seconds, STATS(request)},
    {VOLLEY, "volley_queue_duration_seconds", "histogram", "Waiting for an instance", put_seconds,
     STATS(queue)},
    {VOLLEY, "volley_compute_input_duration_seconds", "histogram",
     "Bytes of the request to input tensors", put_seconds, STATS(compute_input)},
    {VOLLEY, "volley_compute_infer_duration_seconds", "histogram", "The model's run", put_seconds,
     STATS(compute_infer)},
    {VOLLEY, "volley_compute_output_duration_seconds", "histogram",
     "Output tensors to bytes of the answer", put_seconds, STATS(compute_output)},
    {VOLLEY, "volley_batch_size", "histogram", "Inferences in one run of the model",
     put_batch_sizes, 0},
    {VOLLEY, "volley_sequences", "gauge", "Sequences that have begun and not ended, per model",
     put_gauge, STATS(sequences)},

    {GUIDES, "model_inference_duration_seconds", "histogram",
     "As volley_compute_infer_duration_seconds", put_seconds, STATS(compute_infer)},
    {GUIDES, "model_inference_batch_size", "histogram", "As volley_batch_size", put_batch_sizes, 0},
    {GUIDES, "inference_queue_depth", "gauge", "As nv_inference_pending_request_count", put_gauge,
     STATS(pending)},
    {GUIDES, "request_duration_seconds", "histogram", "As volley_request_duration_seconds",
     put_seconds, STATS(request)},
    {GUIDES, "model_inference_duration", "histogram", "As volley_compute_infer_duration_seconds",
     put_seconds, STATS(compute_infer)},
    {GUIDES, "batch_size_histogram", "histogram", "As volley_batch_size", put_batch_sizes, 0},
    {GUIDES, "queue_size_gauge", "gauge", "As nv_inference_pending_request_count", put_gauge,
     STATS(pending)},
};

/* Shown when they are asked for (metrics.summaries), as by Triton. */
static const family summaries[] = {
    {TRITON, "nv_inference_request_summary_us", "summary",
     "Summary of inference request duration in microseconds", put_summary_us, STATS(request)},
    {TRITON, "nv_inference_queue_summary_us", "summary",
     "Summary of inference queuing duration in microseconds", put_summary_us, STATS(queue)},
    {TRITON, "nv_inference_compute_input_summary_us", "summary",
     "Summary of inference compute input duration in microseconds", put_summary_us,
     STATS(compute_input)},
    {TRITON, "nv_inference_compute_infer_summary_us", "summary",
     "Summary of inference compute infer duration in microseconds", put_summary_us,
     STATS(compute_infer)},
    {TRITON, "nv_inference_compute_output_summary_us", "summary",
     "Summary of inference compute output duration in microseconds", put_summary_us,
     STATS(compute_output)},
};

const char *vly_metrics_model_labels(const vly_served *m, vly_arena *arena)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 64 * (size_t)VLY_ERR_MSG_MAX);
    vly_metrics_label(&b, "model", m->name);
    vly_buf_putc(&b, ',');
    vly_metrics_label(&b, "version", m->version);
    const char *labels = b.failed ? NULL : vly_arena_strdup(arena, vly_buf_str(&b));
    vly_buf_release(&b);
    return labels;
}

static void put_families(const vly_metrics_page *p, const family *f, size_t n_families,
                         const series *s, size_t n_series)
{
    for (size_t i = 0; i < n_families; i++) {
        if ((f[i].names & p->api->metrics.names) == 0)
            continue;
        vly_metrics_head(p->out, f[i].name, f[i].type, f[i].help);
        for (size_t k = 0; k < n_series; k++)
            f[i].put(p, &f[i], &s[k]);
    }
}

/* Those that serve, as far as there is room; the count of the others. */
static size_t choose(const vly_metrics_page *p, const vly_model_set *set, series *s, size_t *ret_n)
{
    size_t n = 0, n_left_out = 0;

    for (size_t i = 0; i < set->n; i++) {
        const vly_served *m = set->models[i];
        if (m->servable == NULL)
            continue;
        s[n] = (series){m, n < p->api->metrics.max_models ? vly_metrics_model_labels(m, p->arena)
                                                          : NULL};
        n += s[n].labels != NULL;
        n_left_out += s[n].labels == NULL;
    }
    *ret_n = n;
    return n_left_out;
}

/* What is said of all models together. */
static void put_set(const vly_metrics_page *p, const vly_model_set *set, size_t n_left_out)
{
    size_t n[] = {[VLY_SERVED_LOADING] = 0,
                  [VLY_SERVED_READY] = 0,
                  [VLY_SERVED_UNLOADING] = 0,
                  [VLY_SERVED_UNAVAILABLE] = 0};

    for (size_t i = 0; i < set->n; i++)
        n[atomic_load(&set->models[i]->state)]++;
    vly_metrics_head(p->out, "volley_models", "gauge", "Models by state");
    for (size_t state = 0; state < VLY_COUNT(n); state++)
        vly_buf_printf(p->out->b, "volley_models{state=\"%s\"} %zu\n",
                       vly_served_state_name((vly_served_state)state), n[state]);
    vly_metrics_value(p->out, "volley_queue_limit", "gauge",
                      "Requests that may wait for one model, unless its config says otherwise "
                      "(queue.max)",
                      (double)p->api->metrics.max_queue);
    vly_metrics_value(p->out, "volley_metrics_models_left_out", "gauge",
                      "Models that are not shown here: more than metrics.max_models",
                      (double)n_left_out);
}

void vly_metrics_put_models(const vly_metrics_page *p)
{
    vly_model_set *set = vly_scheduler_models(p->api->scheduler);
    series *s = vly_arena_calloc(p->arena, set->n + 1, sizeof(*s));
    size_t n = 0, n_left_out = set->n;

    if (s != NULL)
        n_left_out = choose(p, set, s, &n);
    put_families(p, families, VLY_COUNT(families), s, n);
    if (p->api->metrics.summaries)
        put_families(p, summaries, VLY_COUNT(summaries), s, n);
    if ((p->api->metrics.names & VOLLEY) != 0)
        put_set(p, set, n_left_out);
    vly_model_set_unref(set);
}
