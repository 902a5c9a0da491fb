/* SPDX-License-Identifier: MIT */
/* Routes out of JSON: each object has a table of its members. */
#include "base/assert.h"
#include "codec/json_doc.h"
#include "sched/model_routes_spec.h"

#include <math.h>
#include <stdio.h>

/* What a member is read into, and how. to: the object's own struct. */
typedef struct member {
    const char *key;
    vly_status (*read)(const struct member *m, yyjson_val *v, void *to, vly_err *err);
    size_t offset;
    size_t cap;      /* of text, its NUL included */
    double min, max; /* of numbers */
} member;

static vly_status bad(const member *m, const char *expected, yyjson_val *v, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "'%s': expected %s, got %s", m->key, expected,
                    yyjson_get_type_desc(v));
}

static vly_status read_text(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    const char *text = yyjson_get_str(v);
    size_t len = yyjson_get_len(v);

    if (text == NULL)
        return bad(m, "a string", v, err);
    if (len >= m->cap || memchr(text, '\0', len) != NULL)
        return vly_fail(err, VLY_EINVAL, "'%s': expected at most %zu bytes without a NUL, got %zu",
                        m->key, m->cap - 1, len);
    memcpy((char *)to + m->offset, text, len);
    ((char *)to + m->offset)[len] = '\0';
    return VLY_OK;
}

/* A version may also be written as a number. */
static vly_status read_version(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    if (!yyjson_is_uint(v))
        return read_text(m, v, to, err);
    snprintf((char *)to + m->offset, m->cap, "%llu", (unsigned long long)yyjson_get_uint(v));
    return VLY_OK;
}

static vly_status take_number(const member *m, yyjson_val *v, double *ret, vly_err *err)
{
    double x = yyjson_get_num(v);

    if (!yyjson_is_num(v))
        return bad(m, "a number", v, err);
    if (!(x >= m->min && x <= m->max))
        return vly_fail(err, VLY_EINVAL, "'%s': expected a number from %g to %g, got %g", m->key,
                        m->min, m->max, x);
    *ret = x;
    return VLY_OK;
}

static vly_status read_number(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    return take_number(m, v, (double *)(void *)((char *)to + m->offset), err);
}

static vly_status read_u64(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    double x = 0;
    vly_status st = take_number(m, v, &x, err);

    if (st == VLY_OK && x != floor(x))
        return bad(m, "a whole number", v, err);
    if (st == VLY_OK)
        *(uint64_t *)(void *)((char *)to + m->offset) = (uint64_t)x;
    return st;
}

static vly_status read_size(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    double x = 0;
    vly_status st = take_number(m, v, &x, err);

    if (st == VLY_OK && x != floor(x))
        return bad(m, "a whole number", v, err);
    if (st == VLY_OK)
        *(size_t *)(void *)((char *)to + m->offset) = (size_t)x;
    return st;
}

/* A time in units of this many, as the whole number of them. */
static vly_status read_scaled(const member *m, yyjson_val *v, void *to, double scale, vly_err *err)
{
    double x = 0;
    vly_status st = take_number(m, v, &x, err);

    if (st == VLY_OK)
        *(uint64_t *)(void *)((char *)to + m->offset) = (uint64_t)(x * scale + 0.5);
    return st;
}

static vly_status read_s_as_ns(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    return read_scaled(m, v, to, 1e9, err);
}

static vly_status read_s_as_ms(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    return read_scaled(m, v, to, 1e3, err);
}

static vly_status read_ms_as_ns(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    return read_scaled(m, v, to, 1e6, err);
}

static vly_status ignore(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    (void)m;
    (void)v;
    (void)to;
    (void)err;
    return VLY_OK;
}

static vly_status read_state(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    const char *text = yyjson_get_str(v);

    for (int i = 0; text != NULL && i < VLY_ROUTE_STATES; i++) {
        if (strcmp(text, vly_route_state_name((vly_route_state)i)) == 0) {
            *(vly_route_state *)(void *)((char *)to + m->offset) = (vly_route_state)i;
            return VLY_OK;
        }
    }
    return bad(m, "active, probation or rolled_back", v, err);
}

static vly_status read_reason(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    const char *text = yyjson_get_str(v);

    for (int i = 0; text != NULL && i < VLY_ROUTE_REASONS; i++) {
        if (strcmp(text, vly_route_reason_name((vly_route_reason)i)) == 0) {
            *(vly_route_reason *)(void *)((char *)to + m->offset) = (vly_route_reason)i;
            return VLY_OK;
        }
    }
    return bad(m, "a reason", v, err);
}

/* All members of obj by their table. */
static vly_status read_object(const char *what, yyjson_val *obj, const member *members, size_t n,
                              void *to, vly_err *err)
{
    yyjson_val *key, *value;
    size_t idx, max;

    if (!yyjson_is_obj(obj))
        return vly_fail(err, VLY_EINVAL, "%s: expected an object, got %s", what,
                        yyjson_get_type_desc(obj));
    yyjson_obj_foreach(obj, idx, max, key, value)
    {
        size_t i = 0;
        while (i < n && !yyjson_equals_str(key, members[i].key))
            i++;
        if (i == n)
            return vly_fail(err, VLY_EINVAL, "%s: '%.64s' is none of its members", what,
                            yyjson_get_str(key));
        vly_status st = members[i].read(&members[i], value, to, err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "%s", what);
    }
    return VLY_OK;
}

/* ---- the objects ---- */

#define AT(type, field) offsetof(type, field)

static vly_status read_arm(yyjson_val *v, vly_route_arm_spec *ret, vly_err *err)
{
    static const member members[] = {
        {"model", read_text, AT(vly_route_arm_spec, target.model), VLY_ROUTE_MODEL_MAX + 1, 0, 0},
        {"version", read_version, AT(vly_route_arm_spec, target.version), VLY_ROUTE_VERSION_MAX + 1,
         0, 0},
        {"weight", read_number, AT(vly_route_arm_spec, weight), 0, 0, VLY_ROUTE_WEIGHT_MAX},
        {"set_weight", read_number, AT(vly_route_arm_spec, set_weight), 0, 0, VLY_ROUTE_WEIGHT_MAX},
        {"state", read_state, AT(vly_route_arm_spec, state), 0, 0, 0},
        {"reason", read_reason, AT(vly_route_arm_spec, reason), 0, 0, 0},
        {"why", read_text, AT(vly_route_arm_spec, why), VLY_ROUTE_WHY_MAX, 0, 0},
        {"since_ms", read_u64, AT(vly_route_arm_spec, since_ms), 0, 0, 9e15},
        {"share", ignore, 0, 0, 0, 0},
        {"is_available", ignore, 0, 0, 0, 0},
        {"stats", ignore, 0, 0, 0, 0},
    };
    vly_route_arm_spec a = {.weight = -1, .set_weight = -1};
    vly_status st = read_object("arm", v, members, VLY_COUNT(members), &a, err);

    if (st != VLY_OK)
        return st;
    if (a.target.model[0] == '\0')
        return vly_fail(err, VLY_EINVAL, "arm: expected a 'model'");
    if (a.weight < 0)
        return vly_fail(err, VLY_EINVAL, "arm '%s': expected a 'weight'", a.target.model);
    if (a.set_weight < 0)
        a.set_weight = a.weight;
    *ret = a;
    return VLY_OK;
}

static vly_status check_list(const member *m, yyjson_val *v, size_t max, vly_err *err)
{
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) < 1 || yyjson_arr_size(v) > max)
        return vly_fail(err, VLY_EINVAL, "'%s': expected a list of 1 to %zu", m->key, max);
    return VLY_OK;
}

static vly_status read_arms(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    vly_route_spec *s = to;
    yyjson_val *arm;
    size_t i, n;

    vly_status st = check_list(m, v, VLY_ROUTE_ARMS_MAX, err);
    if (st != VLY_OK)
        return st;
    yyjson_arr_foreach(v, i, n, arm)
    {
        st = read_arm(arm, &s->arms[i], err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "arm %zu", i + 1);
    }
    s->n_arms = n;
    return VLY_OK;
}

static vly_status read_shadow(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    static const member members[] = {
        {"model", read_text, AT(vly_route_spec, shadow.model), VLY_ROUTE_MODEL_MAX + 1, 0, 0},
        {"version", read_version, AT(vly_route_spec, shadow.version), VLY_ROUTE_VERSION_MAX + 1, 0,
         0},
        {"share", read_number, AT(vly_route_spec, shadow_share), 0, 0, 1},
        {"stats", ignore, 0, 0, 0, 0},
    };
    vly_route_spec *s = to;
    vly_status st = read_object(m->key, v, members, VLY_COUNT(members), s, err);

    if (st == VLY_OK && s->shadow.model[0] == '\0')
        return vly_fail(err, VLY_EINVAL, "shadow: expected a 'model'");
    if (st == VLY_OK && !(s->shadow_share > 0))
        return vly_fail(err, VLY_EINVAL, "shadow: expected a 'share' above 0");
    return st;
}

static vly_status read_bounds(yyjson_val *v, vly_route_guard *g, vly_err *err)
{
    static const member members[] = {
        {"window_s", read_s_as_ns, AT(vly_route_guard, window_ns), 0, 0.1, 86400},
        {"min_requests", read_u64, AT(vly_route_guard, min_requests), 0, 1, 1e6},
        {"confidence", read_number, AT(vly_route_guard, confidence), 0, 0.5, 0.999999},
        {"max_error_rate", read_number, AT(vly_route_guard, max_error_rate), 0, 0, 1},
        {"max_error_increase", read_number, AT(vly_route_guard, max_error_increase), 0, 0, 1},
        {"quantile", read_number, AT(vly_route_guard, quantile), 0, 0.5, 0.999},
        {"max_latency_ms", read_ms_as_ns, AT(vly_route_guard, max_latency_ns), 0, 0.001, 3.6e6},
        {"max_latency_ratio", read_number, AT(vly_route_guard, max_latency_ratio), 0, 1, 1000},
    };

    return read_object("guard", v, members, VLY_COUNT(members), g, err);
}

static vly_status read_guard(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    vly_route_spec *s = to;
    vly_route_guard g = VLY_ROUTE_GUARD_INIT;
    vly_status st = read_bounds(v, &g, err);

    (void)m;
    if (st != VLY_OK)
        return st;
    if (g.max_error_rate < 0 && g.max_error_increase < 0 && g.max_latency_ns == 0 &&
        !(g.max_latency_ratio > 0))
        return vly_fail(err, VLY_EINVAL,
                        "guard: expected a bound: max_error_rate, max_error_increase, "
                        "max_latency_ms or max_latency_ratio");
    s->guard = g;
    s->has_guard = true;
    return VLY_OK;
}

static vly_status read_shares(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    vly_route_spec *s = to;
    yyjson_val *share;
    size_t i, n;

    vly_status st = check_list(m, v, VLY_ROUTE_STEPS_MAX, err);
    if (st != VLY_OK)
        return st;
    yyjson_arr_foreach(v, i, n, share)
    {
        double before = i > 0 ? s->steps[i - 1] : 0;
        s->steps[i] = yyjson_get_num(share);
        if (!yyjson_is_num(share) || !(s->steps[i] > before && s->steps[i] <= 1))
            return vly_fail(err, VLY_EINVAL, "'%s': expected rising numbers above 0, up to 1",
                            m->key);
    }
    s->n_steps = n;
    return VLY_OK;
}

static vly_status read_schedule(const member *m, yyjson_val *v, void *to, vly_err *err)
{
    static const member members[] = {
        {"shares", read_shares, 0, 0, 0, 0},
        {"hold_s", read_s_as_ms, AT(vly_route_spec, hold_ms), 0, 0.1, 2.6e6},
        {"step", read_size, AT(vly_route_spec, step), 0, 0, VLY_ROUTE_STEPS_MAX - 1},
    };
    vly_route_spec *s = to;
    vly_status st = read_object(m->key, v, members, VLY_COUNT(members), s, err);

    if (st == VLY_OK && (s->n_steps == 0 || s->hold_ms == 0))
        return vly_fail(err, VLY_EINVAL, "schedule: expected 'shares' and 'hold_s'");
    if (st == VLY_OK && s->step >= s->n_steps)
        return vly_fail(err, VLY_EINVAL, "schedule: 'step' %zu of %zu shares", s->step, s->n_steps);
    return st;
}

/* ---- checks ---- */

static vly_status check_arms(const vly_route_spec *s, vly_err *err)
{
    double sum = 0;

    if (s->n_arms == 0)
        return vly_fail(err, VLY_EINVAL, "expected 'arms'");
    for (size_t i = 0; i < s->n_arms; i++) {
        const vly_route_arm_spec *a = &s->arms[i];
        sum += a->weight;
        for (size_t k = 0; k < i; k++)
            if (vly_route_target_eq(&a->target, &s->arms[k].target))
                return vly_fail(err, VLY_EINVAL, "arms %zu and %zu are the same", k + 1, i + 1);
        if (a->state == VLY_ROUTE_ROLLED_BACK && a->weight > 0)
            return vly_fail(err, VLY_EINVAL, "arm %zu is rolled back: its weight must be 0", i + 1);
        if (a->state == VLY_ROUTE_PROBATION && !s->has_guard)
            return vly_fail(err, VLY_EINVAL,
                            "arm %zu is on probation, but the route has no 'guard'", i + 1);
    }
    if (!(sum > 0))
        return vly_fail(err, VLY_EINVAL, "the weights of the arms add up to 0");
    return VLY_OK;
}

static vly_status check(const vly_route_spec *s, vly_err *err)
{
    vly_status st = check_arms(s, err);

    if (st == VLY_OK && s->n_steps > 0 && vly_route_spec_on_probation(s) == s->n_arms)
        return vly_fail(err, VLY_EINVAL,
                        "a schedule wants exactly one arm whose state is 'probation'");
    if (st == VLY_OK && s->n_steps > 0 && s->n_arms < 2)
        return vly_fail(err, VLY_EINVAL, "a schedule wants an arm to take traffic from");
    return st;
}

static vly_status read_route(yyjson_val *v, vly_str name, vly_route_spec *ret, vly_err *err)
{
    static const member members[] = {
        {"name", read_text, AT(vly_route_spec, name), VLY_ROUTE_NAME_MAX + 1, 0, 0},
        {"salt", read_text, AT(vly_route_spec, salt), VLY_ROUTE_SALT_MAX + 1, 0, 0},
        {"arms", read_arms, 0, 0, 0, 0},
        {"shadow", read_shadow, 0, 0, 0, 0},
        {"guard", read_guard, 0, 0, 0, 0},
        {"schedule", read_schedule, 0, 0, 0, 0},
        {"shadow_stats", ignore, 0, 0, 0, 0},
        {"revision", read_text, AT(vly_route_spec, revision), VLY_ROUTE_REVISION, 0, 0},
    };

    *ret = (vly_route_spec){.n_arms = 0};
    vly_status st = read_object("route", v, members, VLY_COUNT(members), ret, err);
    if (st != VLY_OK)
        return st;
    if (name.ptr != NULL && ret->name[0] != '\0' && !vly_str_is(name, ret->name))
        return vly_fail(err, VLY_EINVAL, "'name': expected '%.*s', got '%s'", VLY_STR_ARG(name),
                        ret->name);
    if (name.ptr == NULL)
        name = vly_str_from(ret->name);
    if (!vly_route_name_is_valid(name))
        return vly_fail(err, VLY_EINVAL,
                        "the name of a route: expected 1 to %d letters, digits, '.', '_' or '-', "
                        "got '%.*s'",
                        VLY_ROUTE_NAME_MAX, VLY_STR_ARG(name));
    if (ret->name[0] == '\0')
        memcpy(ret->name, name.ptr, name.len);
    st = check(ret, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "route '%s'", ret->name);
}

vly_status vly_route_guard_read(vly_str json, vly_arena *arena, vly_route_guard *guard,
                                vly_err *err)
{
    yyjson_val *root = NULL;
    vly_route_guard g = *guard;
    vly_status st = vly_json_doc_read(json, arena, &root, err);

    if (st == VLY_OK)
        st = read_bounds(root, &g, err);
    if (st == VLY_OK)
        *guard = g;
    return st;
}

vly_status vly_route_spec_read(vly_str json, vly_str name, vly_arena *arena, vly_route_spec *ret,
                               vly_err *err)
{
    yyjson_val *root = NULL;
    vly_status st = vly_json_doc_read(json, arena, &root, err);

    return st == VLY_OK ? read_route(root, name, ret, err) : st;
}

/* ---- the file ---- */

static vly_status read_list(yyjson_val *list, vly_route_spec *specs, vly_err *err)
{
    yyjson_val *route;
    size_t i, n;

    yyjson_arr_foreach(list, i, n, route)
    {
        vly_status st = read_route(route, (vly_str){NULL, 0}, &specs[i], err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "item %zu", i + 1);
        for (size_t k = 0; k < i; k++)
            if (strcmp(specs[i].name, specs[k].name) == 0)
                return vly_fail(err, VLY_EINVAL, "two routes are named '%s'", specs[i].name);
    }
    return VLY_OK;
}

vly_status vly_route_specs_read(vly_str json, size_t max, vly_arena *arena, vly_route_spec **ret,
                                size_t *ret_n, vly_err *err)
{
    yyjson_val *root = NULL;
    vly_status st = vly_json_doc_read_upto(json, VLY_ROUTES_BYTES_MAX, arena, &root, err);

    if (st != VLY_OK)
        return st;
    yyjson_val *list = yyjson_obj_get(root, "routes");
    if (!yyjson_is_arr(list) || yyjson_obj_size(root) != 1)
        return vly_fail(err, VLY_EINVAL, "expected {\"routes\": [...]}");
    size_t n = yyjson_arr_size(list);
    if (n > max)
        return vly_fail(err, VLY_ELIMIT, "%zu routes, allowed are %zu (routes.max)", n, max);
    vly_route_spec *specs = vly_arena_calloc(arena, n + 1, sizeof(*specs));
    if (specs == NULL)
        return vly_arena_fail(arena, err);
    st = read_list(list, specs, err);
    if (st != VLY_OK)
        return st;
    *ret = specs;
    *ret_n = n;
    return VLY_OK;
}
