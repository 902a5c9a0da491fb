/* SPDX-License-Identifier: MIT */
#include "api/performance.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sys/usage.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define NAME_MAX_BYTES 256

/* What is looked at in this second, whatever it belongs to. */
typedef struct source {
    const char *route, *model, *version;
    const void *id; /* whose counters these are: another one's have begun at zero */
    const vly_histogram *latency;
    const vly_histogram *known; /* part of latency: from the cache; NULL: none is in it */
    const vly_histogram *queue; /* NULL: not known */
    uint64_t cached;            /* where known is NULL */
    uint64_t answered, failed, inferences, executions, hits, lookups;
    float pending;
} source;

/* Counters as they were a second ago. */
typedef struct marks {
    vly_histogram_counts latency, known, queue;
    uint64_t cached, answered, failed, inferences, executions, hits, lookups;
} marks;

typedef struct series {
    char route[NAME_MAX_BYTES]; /* empty: a model */
    char model[NAME_MAX_BYTES];
    char version[NAME_MAX_BYTES];
    const void *id; /* only compared */
    uint64_t last;  /* number of the second it was last seen in */
    marks marks;
    vly_performance_point points[VLY_PERFORMANCE_POINTS];
} series;

struct vly_performance {
    vly_performance_opts opts;
    vly_alarm alarm;
    vly_work work; /* of the desk, when is_asked */
    _Atomic bool is_asked;
    pthread_mutex_t lock; /* guards all below */
    uint64_t n_samples;
    vly_nsec at, begun;
    double cpu_seconds, cpu_seconds_at_begin;
    double memory_sum; /* of memory_percent, over all seconds */
    uint64_t n_requests;
    size_t n_left_out;
    vly_histogram_counts total;                 /* of what was computed */
    vly_histogram_counts latency, known, queue; /* scratch */
    vly_performance_process process[VLY_PERFORMANCE_POINTS];
    size_t n_series;
    series *series[]; /* opts.max_series */
};

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : (double)NAN;
}

/* ---- series ---- */

static const vly_performance_point nothing = {
#define FIELD(name) .name = NAN,
    VLY_PERFORMANCE_FIELDS(FIELD)
#undef FIELD
};

static bool is_of(const series *s, const source *from)
{
    return strncmp(s->model, from->model, NAME_MAX_BYTES - 1) == 0 &&
           strncmp(s->version, from->version, NAME_MAX_BYTES - 1) == 0 &&
           strncmp(s->route, from->route, NAME_MAX_BYTES - 1) == 0;
}

static void copy_name(char to[NAME_MAX_BYTES], const char *name)
{
    size_t n = strnlen(name, NAME_MAX_BYTES - 1);

    memcpy(to, name, n);
    to[n] = '\0';
}

/* A model's room, for an arm. */
static void make_room(vly_performance *p)
{
    for (size_t i = p->n_series; i-- > 0;) {
        if (p->series[i]->route[0] != '\0')
            continue;
        vly_free(p->series[i]);
        p->series[i] = p->series[--p->n_series];
        return;
    }
}

/* NULL: no room. */
static series *new_series(vly_performance *p, const source *from)
{
    if (p->n_series == p->opts.max_series && from->route[0] != '\0')
        make_room(p);
    series *s = p->n_series < p->opts.max_series ? vly_calloc(VLY_MEM_NET, 1, sizeof(*s)) : NULL;

    if (s == NULL)
        return NULL;
    copy_name(s->route, from->route);
    copy_name(s->model, from->model);
    copy_name(s->version, from->version);
    for (size_t i = 0; i < VLY_PERFORMANCE_POINTS; i++)
        s->points[i] = nothing;
    p->series[p->n_series++] = s;
    return s;
}

static series *series_of(vly_performance *p, const source *from)
{
    for (size_t i = 0; i < p->n_series; i++)
        if (is_of(p->series[i], from))
            return p->series[i];
    return new_series(p, from);
}

static void drop_forgotten(vly_performance *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_series; i++) {
        if (p->series[i]->last + VLY_PERFORMANCE_POINTS <= p->n_samples)
            vly_free(p->series[i]);
        else
            p->series[n++] = p->series[i];
    }
    p->n_series = n;
}

/* ---- one second ---- */

static uint64_t since(uint64_t now, uint64_t *mark)
{
    uint64_t n = now >= *mark ? now - *mark : now; /* another one's, at the same address */

    *mark = now;
    return n;
}

static float quantile_ms(const vly_histogram_counts *c, double q)
{
    return c->n > 0 ? (float)vly_clock_ms(vly_histogram_counts_quantile(c, q)) : NAN;
}

/* Fills p->latency (of what was computed), known and queue. Where nothing was answered there is
 * nothing in them, and most models are idle most of the time. */
static void look_at_histograms(vly_performance *p, marks *m, const source *from, bool has_answers)
{
    p->latency.n = p->known.n = p->queue.n = 0;
    p->latency.sum = p->latency.end = 0;
    if (!has_answers)
        return;
    vly_histogram_since(from->latency, &m->latency, &p->latency);
    if (from->known != NULL) {
        vly_histogram_since(from->known, &m->known, &p->known);
        vly_histogram_counts_remove(&p->latency, &p->known);
    }
    if (from->queue != NULL)
        vly_histogram_since(from->queue, &m->queue, &p->queue);
}

/* What the source has done since; moves the marks. */
static void measure(vly_performance *p, series *s, const source *from, double seconds,
                    vly_performance_point *ret)
{
    marks *m = &s->marks;
    uint64_t answered = since(from->answered, &m->answered);
    uint64_t failed = since(from->failed, &m->failed);
    uint64_t hits = since(from->hits, &m->hits);
    uint64_t lookups = since(from->lookups, &m->lookups);
    uint64_t executions = since(from->executions, &m->executions);
    uint64_t inferences = since(from->inferences, &m->inferences);

    look_at_histograms(p, m, from, answered > 0);
    uint64_t cached = from->known != NULL ? p->known.n : since(from->cached, &m->cached);
    cached = cached < answered ? cached : answered;
    if (s->route[0] == '\0') {
        vly_histogram_counts_add(&p->total, &p->latency);
        p->n_requests += answered + failed;
    }
    *ret = (vly_performance_point){
        .computed = (float)((double)(answered - cached) / seconds),
        .cached = (float)((double)cached / seconds),
        .failed = (float)((double)failed / seconds),
        .p50_ms = quantile_ms(&p->latency, 0.5),
        .p95_ms = quantile_ms(&p->latency, 0.95),
        .p99_ms = quantile_ms(&p->latency, 0.99),
        .queue_p95_ms = quantile_ms(&p->queue, 0.95),
        .pending = from->pending,
        .batch = (float)ratio((double)inferences, (double)executions),
        .hit_ratio = (float)ratio((double)hits, (double)lookups),
    };
}

/* A new arm of a model that has served before: what that did then is none of the arm's. */
static void forget_the_model(vly_performance *p, series *s, const source *from)
{
    s->marks.inferences = from->inferences;
    s->marks.executions = from->executions;
    if (from->queue != NULL)
        vly_histogram_since(from->queue, &s->marks.queue, &p->queue);
}

static void take(vly_performance *p, const source *from, double seconds)
{
    series *s = series_of(p, from);

    if (s == NULL) {
        p->n_left_out++;
        return;
    }
    if (s->id != from->id) {
        s->marks = (marks){.answered = 0};
        if (vly_str_from(from->route).len > 0)
            forget_the_model(p, s, from);
    }
    s->id = from->id;
    s->last = p->n_samples;
    measure(p, s, from, seconds, &s->points[p->n_samples % VLY_PERFORMANCE_POINTS]);
}

static uint64_t hits(const vly_cache_stats *s)
{
    return vly_counter_get(&s->memory_hits) + vly_counter_get(&s->redis_hits) +
           vly_counter_get(&s->shared);
}

static void take_model(vly_performance *p, const vly_served *m, double seconds)
{
    const vly_served_stats *stats = &m->stats;
    source from = {.route = "",
                   .model = m->name,
                   .version = m->version,
                   .id = m,
                   .latency = &stats->request,
                   .known = &stats->known,
                   .queue = &stats->queue,
                   .answered = vly_counter_get(&stats->success),
                   .hits = hits(&stats->cache),
                   .inferences = vly_counter_get(&stats->inferences),
                   .executions = vly_counter_get(&stats->executions),
                   .pending = (float)vly_gauge_get(&stats->pending)};

    from.lookups = from.hits + vly_counter_get(&stats->cache.misses);
    for (int why = 0; why < VLY_JOB_FAILURE_N; why++)
        from.failed += vly_counter_get(&stats->failures[why]);
    take(p, &from, seconds);
}

static void take_models(vly_performance *p, double seconds)
{
    vly_model_set *set = vly_scheduler_models(p->opts.scheduler);

    for (size_t i = 0; i < set->n; i++)
        if (set->models[i]->servable != NULL)
            take_model(p, set->models[i], seconds);
    vly_model_set_unref(set);
}

/* Of an arm's own are its requests; of its model, when it serves, the queue and the runs. */
static void take_arm(vly_performance *p, const vly_route_arm *arm, double seconds)
{
    const vly_counter *n = arm->outcomes;
    vly_served *m = vly_scheduler_find(p->opts.scheduler, vly_str_from(arm->target.model),
                                       vly_str_from(arm->target.version));
    source from = {.route = arm->route,
                   .model = arm->target.model,
                   .version = arm->target.version,
                   .id = arm,
                   .latency = &arm->latency,
                   .cached = vly_counter_get(&n[VLY_ROUTE_OUTCOME_CACHED]),
                   .answered = vly_counter_get(&n[VLY_ROUTE_OUTCOME_OK]) +
                               vly_counter_get(&n[VLY_ROUTE_OUTCOME_CACHED]),
                   .failed = vly_counter_get(&n[VLY_ROUTE_OUTCOME_FAILED]) +
                             vly_counter_get(&n[VLY_ROUTE_OUTCOME_REJECTED]) +
                             vly_counter_get(&n[VLY_ROUTE_OUTCOME_REFUSED]) +
                             vly_counter_get(&n[VLY_ROUTE_OUTCOME_CANCELLED]),
                   .pending = NAN};

    if (m != NULL) {
        from.queue = &m->stats.queue;
        from.inferences = vly_counter_get(&m->stats.inferences);
        from.executions = vly_counter_get(&m->stats.executions);
        from.pending = (float)vly_gauge_get(&m->stats.pending);
    }
    take(p, &from, seconds);
    vly_served_unref(m);
}

static void take_routes(vly_performance *p, double seconds)
{
    if (p->opts.routes == NULL)
        return;
    vly_route_table *t = vly_model_routes_table(p->opts.routes);
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->routes[i]->spec.n_arms; k++)
            take_arm(p, t->routes[i]->arms[k], seconds);
    vly_route_table_unref(t);
}

static double memory_percent(const vly_performance *p, uint64_t resident)
{
    return 100 * ratio((double)resident, (double)p->opts.memory_bytes);
}

static void take_process(vly_performance *p, double seconds, uint64_t unix_ms)
{
    vly_usage usage;

    vly_usage_read_process(&usage);
    p->process[p->n_samples % VLY_PERFORMANCE_POINTS] = (vly_performance_process){
        .unix_ms = unix_ms,
        .cpu_percent = (float)(100 * (usage.process_cpu_seconds - p->cpu_seconds) / seconds),
        .resident_bytes = usage.process_resident_bytes};
    p->cpu_seconds = usage.process_cpu_seconds;
    p->memory_sum += memory_percent(p, usage.process_resident_bytes);
}

void vly_performance_sample(vly_performance *p, vly_nsec now, uint64_t unix_ms)
{
    pthread_mutex_lock(&p->lock);
    double seconds = now > p->at ? (double)(now - p->at) / 1e9 : 1e-9;
    p->at = now;
    p->n_samples++;
    p->n_left_out = 0;
    for (size_t i = 0; i < p->n_series; i++)
        p->series[i]->points[p->n_samples % VLY_PERFORMANCE_POINTS] = nothing;
    take_process(p, seconds, unix_ms);
    take_routes(p, seconds); /* few, and what is looked at while they change: before the models */
    take_models(p, seconds);
    drop_forgotten(p);
    pthread_mutex_unlock(&p->lock);
}

static void sample_at_desk(vly_work *work)
{
    vly_performance *p =
        (vly_performance *)(void *)((char *)work - offsetof(vly_performance, work));

    atomic_store(&p->is_asked, false);
    vly_performance_sample(p, vly_clock_now(), vly_clock_unix_ms());
}

/* A desk that is a second behind gets no second order. */
static void ring(vly_alarm *a)
{
    vly_performance *p = (vly_performance *)(void *)((char *)a - offsetof(vly_performance, alarm));

    if (!atomic_exchange(&p->is_asked, true) &&
        vly_worker_pool_submit(p->opts.desk, &p->work) != VLY_OK)
        atomic_store(&p->is_asked, false);
    vly_alarm_set(p->opts.alarms, a, vly_clock_now() + VLY_PERFORMANCE_NS);
}

/* ---- looking ---- */

unsigned vly_performance_cores(const vly_performance *p)
{
    return p->opts.n_cores;
}

static vly_performance_report report(const vly_performance *p)
{
    double seconds = (double)(p->at - p->begun) / 1e9;

    return (vly_performance_report){
        .n_requests = p->n_requests,
        .average_ms = ratio((double)p->total.sum, (double)p->total.n) / 1e6,
        .p95_ms = p->total.n > 0 ? vly_clock_ms(vly_histogram_counts_quantile(&p->total, 0.95))
                                 : (double)NAN,
        .memory_percent = ratio(p->memory_sum, (double)p->n_samples),
        .cpu_percent =
            100 * ratio(p->cpu_seconds - p->cpu_seconds_at_begin, seconds * p->opts.n_cores)};
}

/* A copy of the n points up to the newest. NULL: no memory. */
static const void *copy_ring(vly_arena *arena, const void *ring, size_t size, uint64_t last,
                             size_t n)
{
    char *copy = vly_arena_calloc(arena, n > 0 ? n : 1, size);

    for (size_t i = 0; copy != NULL && i < n; i++) {
        size_t at = (size_t)(last - n + 1 + i) % VLY_PERFORMANCE_POINTS;
        memcpy(copy + i * size, (const char *)ring + at * size, size);
    }
    return copy;
}

static bool copy_series(const series *s, vly_arena *arena, const vly_performance_view *v,
                        vly_performance_row *ret)
{
    char *names = vly_arena_calloc(arena, 3, NAME_MAX_BYTES);

    if (names == NULL)
        return false;
    memcpy(names, s->route, NAME_MAX_BYTES);
    memcpy(names + NAME_MAX_BYTES, s->model, NAME_MAX_BYTES);
    memcpy(names + (size_t)2 * NAME_MAX_BYTES, s->version, NAME_MAX_BYTES);
    *ret = (vly_performance_row){
        .route = s->route[0] != '\0' ? names : NULL,
        .model = names + NAME_MAX_BYTES,
        .version = names + (size_t)2 * NAME_MAX_BYTES,
        .points = copy_ring(arena, s->points, sizeof(*s->points), v->last, v->n_points)};
    return ret->points != NULL;
}

/* Under the lock. False: no memory. */
static bool copy_all(const vly_performance *p, vly_arena *arena, vly_performance_view *v)
{
    vly_performance_row *rows = vly_arena_calloc(arena, p->n_series + 1, sizeof(*rows));

    v->process = copy_ring(arena, p->process, sizeof(*p->process), v->last, v->n_points);
    if (rows == NULL || v->process == NULL)
        return false;
    for (int arms = 0; arms <= 1; arms++)
        for (size_t i = 0; i < p->n_series; i++)
            if ((p->series[i]->route[0] != '\0') == (arms != 0) &&
                !copy_series(p->series[i], arena, v, &rows[v->n_rows++]))
                return false;
    v->rows = rows;
    return true;
}

vly_status vly_performance_look(vly_performance *p, uint64_t since_no, vly_arena *arena,
                                vly_performance_view *ret, vly_err *err)
{
    pthread_mutex_lock(&p->lock);
    uint64_t n = since_no < p->n_samples ? p->n_samples - since_no : 0;
    vly_performance_view v = {.report = report(p),
                              .last = p->n_samples,
                              .n_points = n < VLY_PERFORMANCE_POINTS ? n : VLY_PERFORMANCE_POINTS,
                              .n_left_out = p->n_left_out};
    bool is_done = copy_all(p, arena, &v);
    pthread_mutex_unlock(&p->lock);
    if (!is_done)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request");
    *ret = v;
    return VLY_OK;
}

/* ---- begin and end ---- */

vly_status vly_performance_new(const vly_performance_opts *opts, vly_performance **ret,
                               vly_err *err)
{
    vly_performance *p =
        vly_calloc(VLY_MEM_NET, 1, sizeof(*p) + opts->max_series * sizeof(p->series[0]));
    vly_usage usage;

    if (p == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    p->opts = *opts;
    p->alarm.ring = ring;
    p->work.run = sample_at_desk;
    pthread_mutex_init(&p->lock, NULL);
    vly_usage_read_process(&usage);
    p->cpu_seconds = p->cpu_seconds_at_begin = usage.process_cpu_seconds;
    p->begun = p->at = vly_clock_now();
    if (opts->alarms != NULL)
        vly_alarm_set(opts->alarms, &p->alarm, p->at + VLY_PERFORMANCE_NS);
    *ret = p;
    return VLY_OK;
}

void vly_performance_free(vly_performance *p)
{
    if (p == NULL)
        return;
    if (p->opts.alarms != NULL) {
        vly_alarm_end(p->opts.alarms, &p->alarm);
        vly_worker_pool_drain(p->opts.desk);
    }
    for (size_t i = 0; i < p->n_series; i++)
        vly_free(p->series[i]);
    pthread_mutex_destroy(&p->lock);
    vly_free(p);
}
