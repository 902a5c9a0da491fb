/* SPDX-License-Identifier: MIT */
/*
 * GET /v2/models/stats, /v2/models/{m}[/versions/{v}]/stats: Triton's statistics extension.
 *
 * Members and their order are Triton's. As with Triton, success counts what the cache answered,
 * too, and what counts runs does not. There is no stream of responses for one request, so
 * response_stats is empty; memory_usage is empty because the engine's memory is not told apart by
 * model.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/infer.h"
#include "api/v2.h"

static void put_u64(vly_buf *b, const char *key, uint64_t v)
{
    vly_buf_printf(b, "\"%s\":%llu", key, (unsigned long long)v);
}

static void put_duration(vly_buf *b, const char *key, uint64_t count, uint64_t ns)
{
    vly_buf_printf(b, "\"%s\":{\"count\":%llu,\"ns\":%llu}", key, (unsigned long long)count,
                   (unsigned long long)ns);
}

static void put_histogram(vly_buf *b, const char *key, const vly_histogram *h)
{
    put_duration(b, key, vly_histogram_count(h), vly_histogram_sum(h));
    vly_buf_putc(b, ',');
}

static void put_inference_stats(vly_buf *b, const vly_served_stats *s)
{
    uint64_t n_failed = 0;

    for (int why = 0; why < VLY_JOB_FAILURE_N; why++)
        n_failed += vly_counter_get(&s->failures[why]);
    vly_buf_puts(b, ",\"inference_stats\":{");
    put_histogram(b, "success", &s->request);
    put_duration(b, "fail", n_failed, vly_counter_get(&s->failed_ns));
    vly_buf_putc(b, ',');
    put_histogram(b, "queue", &s->queue);
    put_histogram(b, "compute_input", &s->compute_input);
    put_histogram(b, "compute_infer", &s->compute_infer);
    put_histogram(b, "compute_output", &s->compute_output);
    put_histogram(b, "cache_hit", &s->cache.hit_ns);
    put_duration(b, "cache_miss", vly_counter_get(&s->cache.misses),
                 vly_histogram_sum(&s->cache.miss_ns));
    vly_buf_putc(b, '}');
}

static void put_batch(vly_buf *b, const vly_batch_stat *s)
{
    uint64_t n = vly_counter_get(&s->count);

    vly_buf_putc(b, '{');
    put_u64(b, "batch_size", atomic_load(&s->size));
    vly_buf_putc(b, ',');
    put_duration(b, "compute_input", n, vly_counter_get(&s->compute_input));
    vly_buf_putc(b, ',');
    put_duration(b, "compute_infer", n, vly_counter_get(&s->compute_infer));
    vly_buf_putc(b, ',');
    put_duration(b, "compute_output", n, vly_counter_get(&s->compute_output));
    vly_buf_putc(b, '}');
}

/* The used row with the smallest size above this one; NULL: none. */
static const vly_batch_stat *next_batch(const vly_served_stats *s, size_t above)
{
    const vly_batch_stat *best = NULL;
    size_t best_size = 0;

    for (size_t i = 0; i < VLY_BATCH_STATS_MAX; i++) {
        size_t size = atomic_load(&s->batches[i].size);
        if (size > above && (best == NULL || size < best_size)) {
            best = &s->batches[i];
            best_size = size;
        }
    }
    return best;
}

static void put_batches(vly_buf *b, const vly_served_stats *s)
{
    const vly_batch_stat *row = next_batch(s, 0);

    vly_buf_puts(b, ",\"batch_stats\":[");
    for (bool is_first = true; row != NULL; is_first = false) {
        if (!is_first)
            vly_buf_putc(b, ',');
        put_batch(b, row);
        row = next_batch(s, atomic_load(&row->size));
    }
    vly_buf_putc(b, ']');
}

static void put_model(vly_buf *b, const vly_served *m)
{
    const vly_served_stats *s = &m->stats;

    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(m->name));
    vly_buf_puts(b, ",\"version\":");
    vly_buf_json_str(b, vly_str_from(m->version));
    vly_buf_putc(b, ',');
    put_u64(b, "last_inference", atomic_load(&s->last_inference_ms));
    vly_buf_putc(b, ',');
    put_u64(b, "inference_count", vly_counter_get(&s->inferences));
    vly_buf_putc(b, ',');
    put_u64(b, "execution_count", vly_counter_get(&s->executions));
    put_inference_stats(b, s);
    vly_buf_puts(b, ",\"response_stats\":{}");
    put_batches(b, s);
    vly_buf_puts(b, ",\"memory_usage\":[]}");
}

static bool is_wanted(const vly_served *m, vly_str name, vly_str version)
{
    return m->servable != NULL && (name.len == 0 || vly_str_is(name, m->name)) &&
           (version.len == 0 || vly_str_is(version, m->version));
}

/* Every version that serves. */
static void put_all(const vly_api *api, vly_str name, vly_str version, vly_buf *b)
{
    vly_model_set *set = vly_scheduler_models(api->scheduler);
    bool is_first = true;

    vly_buf_puts(b, "{\"model_stats\":[");
    for (size_t i = 0; i < set->n; i++) {
        if (!is_wanted(set->models[i], name, version))
            continue;
        if (!is_first)
            vly_buf_putc(b, ',');
        is_first = false;
        put_model(b, set->models[i]);
    }
    vly_buf_puts(b, "]}");
    vly_model_set_unref(set);
}

vly_status vly_v2_put_stats(const vly_api *api, vly_str name, vly_str version, vly_buf *b,
                            vly_err *err)
{
    vly_served *m = NULL;
    vly_status st = VLY_OK;

    if (name.len > 0)
        st = vly_infer_find(api, name, version, &m, err);
    vly_served_unref(m);
    if (st == VLY_OK)
        put_all(api, name, version, b);
    return st;
}

void vly_route_v2_stats(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    if (vly_v2_put_stats(api, captures[0], captures[1], &b, &err) == VLY_OK)
        vly_answer_json(req, 200, &b);
    else
        vly_answer_err(req, &err);
    vly_buf_release(&b);
}
