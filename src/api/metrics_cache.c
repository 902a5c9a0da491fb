/* SPDX-License-Identifier: MIT */
/*
 * The cache of results: per model and tier, and the memory tier as a whole. What it answers is
 * counted apart from what models run (nv_inference_exec_count), so that neither throughput can pass
 * for the other.
 */
#include "api/cached.h"
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "base/assert.h"

#include <stddef.h>

/* A model of the cache, and model="m",version="1". */
typedef struct series {
    const vly_cache_stats *stats;
    const char *labels;
} series;

#define STATS(field) offsetof(vly_cache_stats, field)

static uint64_t counter_at(const series *s, size_t offset)
{
    return vly_counter_get((const vly_counter *)(const void *)((const char *)s->stats + offset));
}

static const vly_histogram *histogram_at(const series *s, size_t offset)
{
    return (const vly_histogram *)(const void *)((const char *)s->stats + offset);
}

static uint64_t hits_of(const series *s)
{
    return counter_at(s, STATS(memory_hits)) + counter_at(s, STATS(redis_hits)) +
           counter_at(s, STATS(shared));
}

/* ---- Triton's, of each model ---- */

static void put_nv_models(const vly_metrics_out *o, const series *s, size_t n)
{
    vly_metrics_head(o, "nv_cache_num_hits_per_model", "counter", "Number of cache hits per model");
    for (size_t i = 0; i < n; i++)
        vly_metrics_u64(o, "nv_cache_num_hits_per_model", s[i].labels, hits_of(&s[i]));
    vly_metrics_head(o, "nv_cache_num_misses_per_model", "counter",
                     "Number of cache misses per model");
    for (size_t i = 0; i < n; i++)
        vly_metrics_u64(o, "nv_cache_num_misses_per_model", s[i].labels,
                        counter_at(&s[i], STATS(misses)));
    vly_metrics_head(o, "nv_cache_hit_duration_per_model", "counter",
                     "Total cache hit duration per model, in microseconds");
    for (size_t i = 0; i < n; i++)
        vly_metrics_u64(o, "nv_cache_hit_duration_per_model", s[i].labels,
                        vly_histogram_sum(&s[i].stats->hit_ns) / VLY_NSEC_PER_US);
    vly_metrics_head(o, "nv_cache_miss_duration_per_model", "counter",
                     "Total cache miss duration per model, in microseconds");
    for (size_t i = 0; i < n; i++)
        vly_metrics_u64(o, "nv_cache_miss_duration_per_model", s[i].labels,
                        vly_histogram_sum(&s[i].stats->miss_ns) / VLY_NSEC_PER_US);
}

/* ---- Triton's, of its local cache ---- */

static void put_nv_local(const vly_metrics_out *o, const vly_cache_totals *t)
{
    uint64_t lookup_us = t->lookup_ns / VLY_NSEC_PER_US;
    uint64_t insertion_us = t->insertion_ns / VLY_NSEC_PER_US;
    double util = t->max_bytes > 0 ? (double)t->bytes / (double)t->max_bytes : 0;
    const struct {
        const char *name, *help;
        double value;
    } rows[] = {
        {"nv_cache_util", "Cache utilization [0.0 - 1.0]", util},
        {"nv_cache_num_entries", "Number of responses stored in cache", (double)t->entries},
        {"nv_cache_num_lookups", "Number of cache lookups", (double)t->lookups},
        {"nv_cache_num_hits", "Number of cache hits", (double)t->hits},
        {"nv_cache_num_misses", "Number of cache misses", (double)t->misses},
        {"nv_cache_num_evictions", "Number of cache evictions", (double)t->evictions},
        {"nv_cache_lookup_duration", "Total cache lookup duration, in microseconds",
         (double)lookup_us},
        {"nv_cache_insertion_duration", "Total cache insertion duration, in microseconds",
         (double)insertion_us},
    };

    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        vly_metrics_value(o, rows[i].name, "gauge", rows[i].help, rows[i].value);
}

/* ---- ours ---- */

static void put_tiers(const vly_metrics_out *o, const series *s, size_t n)
{
    static const struct {
        const char *tier;
        size_t offset;
    } tiers[] = {
        {"memory", STATS(memory_hits)}, {"redis", STATS(redis_hits)}, {"shared", STATS(shared)}};

    vly_metrics_head(o, "volley_cache_hits_total", "counter",
                     "Answers known, by where from; shared: of a request that asked the same");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < VLY_COUNT(tiers); k++)
            vly_buf_printf(o->b, "volley_cache_hits_total{%s,tier=\"%s\"} %llu\n", s[i].labels,
                           tiers[k].tier, (unsigned long long)counter_at(&s[i], tiers[k].offset));
}

static void put_counters(const vly_metrics_out *o, const series *s, size_t n)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } rows[] = {
        {"volley_cache_misses_total", "Answers that had to be computed", STATS(misses)},
        {"volley_cache_insertions_total", "Answers kept in memory", STATS(insertions)},
        {"volley_cache_refused_total", "Answers not kept: others are asked for more, or too large",
         STATS(refused)},
    };

    for (size_t k = 0; k < VLY_COUNT(rows); k++) {
        vly_metrics_head(o, rows[k].name, "counter", rows[k].help);
        for (size_t i = 0; i < n; i++)
            vly_metrics_u64(o, rows[k].name, s[i].labels, counter_at(&s[i], rows[k].offset));
    }
}

static void put_durations(const vly_metrics_out *o, const series *s, size_t n)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } rows[] = {
        {"volley_cache_hit_duration_seconds", "From a lookup to the answer that was known",
         STATS(hit_ns)},
        {"volley_cache_miss_duration_seconds", "What lookup and insertion added to a computation",
         STATS(miss_ns)},
    };

    for (size_t k = 0; k < VLY_COUNT(rows); k++) {
        vly_metrics_head(o, rows[k].name, "histogram", rows[k].help);
        for (size_t i = 0; i < n; i++)
            vly_metrics_seconds(o, rows[k].name, s[i].labels, histogram_at(&s[i], rows[k].offset));
    }
}

static void put_memory(const vly_metrics_out *o, const vly_cache_totals *t)
{
    const struct {
        const char *reason;
        uint64_t n;
    } gone[] = {{"room", t->evictions}, {"expired", t->expired}, {"invalidated", t->invalidated}};

    vly_metrics_value(o, "volley_cache_memory_bytes", "gauge", "Memory that the cache takes",
                      (double)t->bytes);
    vly_metrics_value(o, "volley_cache_memory_max_bytes", "gauge", "Memory that it may take",
                      (double)t->max_bytes);
    vly_metrics_value(o, "volley_cache_entries", "gauge", "Answers in memory", (double)t->entries);
    vly_metrics_head(o, "volley_cache_evictions_total", "counter",
                     "Answers that have left memory, by reason");
    for (size_t i = 0; i < VLY_COUNT(gone); i++)
        vly_buf_printf(o->b, "volley_cache_evictions_total{reason=\"%s\"} %llu\n", gone[i].reason,
                       (unsigned long long)gone[i].n);
}

static void put_warm_up(const vly_metrics_out *o, const vly_api *api)
{
    if (api->n_warm_lines == 0)
        return;
    vly_metrics_value(o, "volley_cache_warm_lines", "gauge", "Lines of the warm-up list",
                      (double)api->n_warm_lines);
    vly_metrics_value(o, "volley_cache_warm_lines_done", "gauge", "Lines of it that are done",
                      (double)atomic_load(&api->n_warmed));
}

/* The guides' name: of all lookups since the start. */
static void put_ratio(const vly_metrics_out *o, const series *s, size_t n)
{
    uint64_t hits = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        hits += hits_of(&s[i]);
        all += hits_of(&s[i]) + counter_at(&s[i], STATS(misses));
    }
    vly_metrics_value(o, "cache_hit_ratio", "gauge", "Answers known, of all lookups",
                      all > 0 ? (double)hits / (double)all : 0);
}

/* ---- all of them ---- */

/* Models of the cache, as many as /metrics shows. */
static size_t choose(const vly_metrics_page *p, const vly_model_set *set, series *s)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n && n < p->api->metrics.max_models; i++) {
        const vly_served *m = set->models[i];
        if (m->servable == NULL || !vly_cached_has(p->api, m))
            continue;
        s[n] = (series){&m->stats.cache, vly_metrics_model_labels(m, p->arena)};
        n += s[n].labels != NULL;
    }
    return n;
}

static void put(const vly_metrics_page *p, const series *s, size_t n)
{
    uint32_t names = p->api->metrics.names;
    vly_cache_totals totals;

    vly_cache_get_totals(p->api->cache, &totals);
    if ((names & VLY_METRICS_TRITON) != 0) {
        put_nv_models(p->out, s, n);
        put_nv_local(p->out, &totals);
    }
    if ((names & VLY_METRICS_VOLLEY) != 0) {
        put_tiers(p->out, s, n);
        put_counters(p->out, s, n);
        put_durations(p->out, s, n);
        put_memory(p->out, &totals);
        put_warm_up(p->out, p->api);
    }
    if ((names & VLY_METRICS_GUIDES) != 0)
        put_ratio(p->out, s, n);
}

void vly_metrics_put_cache(const vly_metrics_page *p)
{
    if (p->api->cache == NULL)
        return;
    vly_model_set *set = vly_scheduler_models(p->api->scheduler);
    series *s = vly_arena_calloc(p->arena, set->n + 1, sizeof(*s));
    if (s != NULL)
        put(p, s, choose(p, set, s));
    vly_model_set_unref(set);
}
