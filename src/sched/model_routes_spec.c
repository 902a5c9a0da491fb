/* SPDX-License-Identifier: MIT */
#include "sched/model_routes_spec.h"

#include "base/assert.h"
#include "base/fnv1a.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *vly_route_state_name(vly_route_state s)
{
#define NAME(name, text) text,
    static const char *const names[] = {VLY_ROUTE_STATE_MAP(NAME)};
#undef NAME
    VLY_ASSERT(s < VLY_ROUTE_STATES);
    return names[s];
}

bool vly_route_name_is_valid(vly_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return name.len > 0 && name.len <= VLY_ROUTE_NAME_MAX;
}

bool vly_route_target_eq(const vly_route_target *a, const vly_route_target *b)
{
    return strcmp(a->model, b->model) == 0 && strcmp(a->version, b->version) == 0;
}

const char *vly_route_target_text(const vly_route_target *t, char text[VLY_ROUTE_TARGET_TEXT])
{
    snprintf(text, VLY_ROUTE_TARGET_TEXT, "%s%s%s", t->model, t->version[0] != '\0' ? "/" : "",
             t->version);
    return text;
}

static double sum_of_others(const vly_route_spec *s, size_t arm)
{
    double sum = 0;

    for (size_t i = 0; i < s->n_arms; i++)
        sum += i != arm ? s->arms[i].weight : 0;
    return sum;
}

double vly_route_spec_share(const vly_route_spec *s, size_t arm)
{
    double w = s->arms[arm].weight;

    return w > 0 ? w / (w + sum_of_others(s, arm)) : 0;
}

/* What the others were set to, but for those that were rolled back. */
static bool restore_others(vly_route_spec *s, size_t arm)
{
    for (size_t i = 0; i < s->n_arms; i++)
        if (i != arm && s->arms[i].state != VLY_ROUTE_ROLLED_BACK)
            s->arms[i].weight = s->arms[i].set_weight;
    return sum_of_others(s, arm) > 0;
}

void vly_route_spec_set_share(vly_route_spec *s, size_t arm, double share)
{
    VLY_ASSERT(arm < s->n_arms && share > 0 && share <= 1);
    if (share < 1 && (sum_of_others(s, arm) > 0 || restore_others(s, arm))) {
        double w = sum_of_others(s, arm) * share / (1 - share);
        for (size_t i = 0; i < s->n_arms && w > VLY_ROUTE_WEIGHT_MAX; i++)
            s->arms[i].weight *= VLY_ROUTE_WEIGHT_MAX / w;
        s->arms[arm].weight = w < VLY_ROUTE_WEIGHT_MAX ? w : VLY_ROUTE_WEIGHT_MAX;
        return;
    }
    for (size_t i = 0; i < s->n_arms; i++)
        s->arms[i].weight = 0;
    s->arms[arm].weight = s->arms[arm].set_weight > 0 ? s->arms[arm].set_weight : 1;
}

void vly_route_spec_begin_schedule(vly_route_spec *s)
{
    if (s->n_steps > 0)
        vly_route_spec_set_share(s, vly_route_spec_on_probation(s), s->steps[s->step]);
}

/* Cut where a character ends: half of one would be written as more bytes than may be read. */
static void set_why(vly_route_arm_spec *a, const char *why)
{
    size_t n = strlen(why);

    if (n >= sizeof(a->why)) {
        n = sizeof(a->why) - 1;
        while (n > 0 && ((unsigned char)why[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(a->why, why, n);
    a->why[n] = '\0';
}

bool vly_route_spec_roll_back(vly_route_spec *s, size_t arm, vly_route_reason reason,
                              const char *why, uint64_t now_ms)
{
    vly_route_arm_spec *a = &s->arms[arm];

    VLY_ASSERT(arm < s->n_arms);
    if (!(sum_of_others(s, arm) > 0) && !restore_others(s, arm))
        return false;
    if (a->state == VLY_ROUTE_PROBATION)
        s->n_steps = s->step = 0;
    a->weight = 0;
    a->state = VLY_ROUTE_ROLLED_BACK;
    a->reason = reason;
    a->since_ms = now_ms;
    set_why(a, why);
    return true;
}

void vly_route_spec_promote(vly_route_spec *s, size_t arm, double share)
{
    vly_route_arm_spec *a = &s->arms[arm];

    VLY_ASSERT(arm < s->n_arms);
    vly_route_spec_set_share(s, arm, share);
    a->state = VLY_ROUTE_ACTIVE;
    a->reason = VLY_ROUTE_NONE;
    a->why[0] = '\0';
    a->since_ms = 0;
    s->n_steps = s->step = 0;
}

size_t vly_route_spec_find(const vly_route_spec *s, vly_str model, vly_str version)
{
    size_t found = s->n_arms;

    for (size_t i = 0; i < s->n_arms; i++) {
        const vly_route_target *t = &s->arms[i].target;
        if ((model.len > 0 && !vly_str_is(model, t->model)) ||
            (version.len > 0 && !vly_str_is(version, t->version)))
            continue;
        if (found < s->n_arms)
            return s->n_arms;
        found = i;
    }
    return found;
}

size_t vly_route_spec_on_probation(const vly_route_spec *s)
{
    size_t found = s->n_arms;

    for (size_t i = 0; i < s->n_arms; i++) {
        if (s->arms[i].state != VLY_ROUTE_PROBATION)
            continue;
        if (found < s->n_arms)
            return s->n_arms;
        found = i;
    }
    return found;
}

/* ---- as JSON ---- */

static void put_target(vly_buf *b, const vly_route_target *t)
{
    vly_buf_puts(b, "\"model\":");
    vly_buf_json_str(b, vly_str_from(t->model));
    if (t->version[0] == '\0')
        return;
    vly_buf_puts(b, ",\"version\":");
    vly_buf_json_str(b, vly_str_from(t->version));
}

/* %.17g brings every double back as it was. */
static void put_value(vly_buf *b, double v)
{
    char text[32];

    snprintf(text, sizeof(text), "%.15g", v);
    if (strtod(text, NULL) != v)
        snprintf(text, sizeof(text), "%.17g", v);
    vly_buf_puts(b, text);
}

static void put_number(vly_buf *b, const char *key, double v)
{
    vly_buf_printf(b, ",\"%s\":", key);
    put_value(b, v);
}

void vly_route_arm_spec_put(vly_buf *b, const vly_route_arm_spec *a)
{
    put_target(b, &a->target);
    put_number(b, "weight", a->weight);
    if (a->set_weight != a->weight)
        put_number(b, "set_weight", a->set_weight);
    vly_buf_printf(b, ",\"state\":\"%s\"", vly_route_state_name(a->state));
    if (a->state != VLY_ROUTE_ROLLED_BACK)
        return;
    vly_buf_printf(b, ",\"reason\":\"%s\",\"why\":", vly_route_reason_name(a->reason));
    vly_buf_json_str(b, vly_str_from(a->why));
    vly_buf_printf(b, ",\"since_ms\":%llu", (unsigned long long)a->since_ms);
}

static void put_guard(vly_buf *b, const vly_route_guard *g)
{
    vly_buf_printf(b, ",\"guard\":{\"min_requests\":%llu", (unsigned long long)g->min_requests);
    put_number(b, "window_s", (double)g->window_ns / 1e9);
    put_number(b, "confidence", g->confidence);
    if (g->max_error_rate >= 0)
        put_number(b, "max_error_rate", g->max_error_rate);
    if (g->max_error_increase >= 0)
        put_number(b, "max_error_increase", g->max_error_increase);
    put_number(b, "quantile", g->quantile);
    if (g->max_latency_ns > 0)
        put_number(b, "max_latency_ms", (double)g->max_latency_ns / 1e6);
    if (g->max_latency_ratio > 0)
        put_number(b, "max_latency_ratio", g->max_latency_ratio);
    vly_buf_putc(b, '}');
}

static void put_schedule(vly_buf *b, const vly_route_spec *s)
{
    vly_buf_printf(b, ",\"schedule\":{\"step\":%zu", s->step);
    put_number(b, "hold_s", (double)s->hold_ms / 1e3);
    vly_buf_puts(b, ",\"shares\":[");
    for (size_t i = 0; i < s->n_steps; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_value(b, s->steps[i]);
    }
    vly_buf_puts(b, "]}");
}

void vly_route_spec_put_rest(vly_buf *b, const vly_route_spec *s)
{
    vly_buf_puts(b, "\"name\":");
    vly_buf_json_str(b, vly_str_from(s->name));
    if (s->salt[0] != '\0') {
        vly_buf_puts(b, ",\"salt\":");
        vly_buf_json_str(b, vly_str_from(s->salt));
    }
    if (s->shadow_share > 0) {
        vly_buf_puts(b, ",\"shadow\":{");
        put_target(b, &s->shadow);
        put_number(b, "share", s->shadow_share);
        vly_buf_putc(b, '}');
    }
    if (s->has_guard)
        put_guard(b, &s->guard);
    if (s->n_steps > 0)
        put_schedule(b, s);
}

void vly_route_spec_put(vly_buf *b, const vly_route_spec *s)
{
    vly_route_spec_put_rest(b, s);
    vly_buf_puts(b, ",\"arms\":[");
    for (size_t i = 0; i < s->n_arms; i++) {
        vly_buf_puts(b, i > 0 ? ",{" : "{");
        vly_route_arm_spec_put(b, &s->arms[i]);
        vly_buf_putc(b, '}');
    }
    vly_buf_putc(b, ']');
}

vly_status vly_route_spec_revision(const vly_route_spec *s, uint64_t *ret, vly_err *err)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_SCHED, VLY_ROUTES_BYTES_MAX);
    vly_route_spec_put(&b, s);
    vly_status st =
        b.failed ? vly_fail(err, VLY_ENOMEM, "out of memory for route '%s'", s->name) : VLY_OK;
    if (st == VLY_OK)
        *ret = vly_fnv1a(VLY_FNV1A, b.ptr, b.len);
    vly_buf_release(&b);
    return st;
}

void vly_route_revision_print(uint64_t revision, char text[VLY_ROUTE_REVISION])
{
    snprintf(text, VLY_ROUTE_REVISION, "%016llx", (unsigned long long)revision);
}
