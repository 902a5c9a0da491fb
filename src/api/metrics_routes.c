/* SPDX-License-Identifier: MIT */
/* Routes, by arm: as many arms as models (metrics.max_models); shadows count as arms. */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "base/assert.h"

#include <stdio.h>

/* An arm, and route="r",arm="m/1". */
typedef struct series {
    const vly_model_route *route;
    size_t arm;
    const char *labels;
} series;

static const vly_route_arm *arm_of(const series *s)
{
    return s->route->arms[s->arm];
}

static void put_requests(const vly_metrics_page *p, const char *name, const series *s)
{
    for (int o = 0; o < VLY_ROUTE_OUTCOMES; o++)
        vly_buf_printf(p->out->b, "%s{%s,outcome=\"%s\"} %llu\n", name, s->labels,
                       vly_route_outcome_name((vly_route_outcome)o),
                       (unsigned long long)vly_counter_get(&arm_of(s)->outcomes[o]));
}

static void put_latency(const vly_metrics_page *p, const char *name, const series *s)
{
    vly_metrics_seconds(p->out, name, s->labels, &arm_of(s)->latency);
}

static void put_share(const vly_metrics_page *p, const char *name, const series *s)
{
    vly_metrics_double(p->out, name, s->labels, vly_route_spec_share(&s->route->spec, s->arm));
}

static void put_state(const vly_metrics_page *p, const char *name, const series *s)
{
    vly_buf_printf(p->out->b, "%s{%s,state=\"%s\"} 1\n", name, s->labels,
                   vly_route_state_name(s->route->spec.arms[s->arm].state));
}

/* Every reason is there from the start, so that increase() sees the first. */
static void put_rollbacks(const vly_metrics_page *p, const char *name, const series *s)
{
    for (int r = VLY_ROUTE_NONE + 1; r < VLY_ROUTE_REASONS; r++)
        vly_buf_printf(p->out->b, "%s{%s,reason=\"%s\"} %llu\n", name, s->labels,
                       vly_route_reason_name((vly_route_reason)r),
                       (unsigned long long)vly_counter_get(&arm_of(s)->rollbacks[r]));
}

static const struct {
    const char *name, *type, *help;
    void (*put)(const vly_metrics_page *p, const char *name, const series *s);
} families[] = {
    {"volley_route_requests_total", "counter", "Requests of an arm by what became of them",
     put_requests},
    {"volley_route_request_duration_seconds", "histogram",
     "From the last byte of a request of an arm to its answer ready", put_latency},
    {"volley_route_arm_share", "gauge", "Share of a route's requests that an arm gets, 0 to 1",
     put_share},
    {"volley_route_arm_state", "gauge", "1, labelled with the state that an arm is in", put_state},
    {"volley_route_rollbacks_total", "counter", "Times that an arm lost its traffic, and why",
     put_rollbacks},
};

static const char *labels_of(const vly_metrics_page *p, const vly_model_route *route,
                             const char *key, const vly_route_target *t)
{
    char name[VLY_ROUTE_MODEL_MAX + VLY_ROUTE_VERSION_MAX + 2];
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, (size_t)4 << 10);
    snprintf(name, sizeof(name), "%s%s%s", t->model, t->version[0] != '\0' ? "/" : "", t->version);
    vly_metrics_label(&b, "route", route->spec.name);
    vly_buf_putc(&b, ',');
    vly_metrics_label(&b, key, name);
    const char *text = b.failed ? NULL : vly_arena_strdup(p->arena, vly_buf_str(&b));
    vly_buf_release(&b);
    return text;
}

/* Arms of all routes, in the arena; the rest is left out. */
static size_t choose(const vly_metrics_page *p, const vly_route_table *t, series *s, size_t max,
                     size_t *n_left_out)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        const vly_model_route *route = t->routes[i];
        for (size_t arm = 0; arm < route->spec.n_arms; arm++) {
            const char *labels =
                n < max ? labels_of(p, route, "arm", &route->spec.arms[arm].target) : NULL;
            *n_left_out += labels == NULL;
            if (labels != NULL)
                s[n++] = (series){route, arm, labels};
        }
    }
    return n;
}

/* max: that there is room for. */
static void put_shadows(const vly_metrics_page *p, const vly_route_table *t, size_t max,
                        size_t *n_left_out)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        const vly_route_arm *shadow = t->routes[i]->shadow;
        if (shadow == NULL)
            continue;
        const char *labels = n < max ? labels_of(p, t->routes[i], "shadow", &shadow->target) : NULL;
        *n_left_out += labels == NULL;
        if (labels == NULL)
            continue;
        if (n++ == 0)
            vly_metrics_head(p->out, "volley_route_shadow_requests_total", "counter",
                             "Copies of requests for a shadow by what became of them");
        for (int o = 0; o < VLY_ROUTE_SHADOW_OUTCOMES; o++)
            vly_buf_printf(p->out->b,
                           "volley_route_shadow_requests_total{%s,outcome=\"%s\"} %llu\n", labels,
                           vly_route_shadow_name((vly_route_shadow_outcome)o),
                           (unsigned long long)vly_counter_get(&shadow->shadow[o]));
    }
}

void vly_metrics_put_routes(const vly_metrics_page *p)
{
    size_t max = p->api->metrics.max_models, n_left_out = 0, n_arms = 0;

    if (!vly_model_routes_has_any(p->api->model_routes))
        return;
    vly_route_table *t = vly_model_routes_table(p->api->model_routes);
    for (size_t i = 0; i < t->n; i++)
        n_arms += t->routes[i]->spec.n_arms;
    max = max < n_arms ? max : n_arms;
    series *all = vly_arena_calloc(p->arena, max + 1, sizeof(*all));
    size_t n = choose(p, t, all, all != NULL ? max : 0, &n_left_out);
    for (size_t f = 0; f < VLY_COUNT(families); f++) {
        vly_metrics_head(p->out, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < n; i++)
            families[f].put(p, families[f].name, &all[i]);
    }
    put_shadows(p, t, p->api->metrics.max_models - n, &n_left_out);
    vly_metrics_value(p->out, "volley_metrics_arms_left_out", "gauge",
                      "Arms and shadows that are not shown here: more than metrics.max_models",
                      (double)n_left_out);
    vly_route_table_unref(t);
}
