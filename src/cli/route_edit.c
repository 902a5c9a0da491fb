/* SPDX-License-Identifier: MIT */
#include "cli/route_edit.h"

#include <stdio.h>

#define HOLD_MS      600000
#define ARENA_BUDGET ((size_t)1 << 20)

/* "model/version" or "model" */
static vly_status read_target(vly_str text, vly_route_target *ret, vly_err *err)
{
    vly_str whole = text, model = vly_str_split(&text, '/');
    vly_route_target t = {.version = ""};

    if (model.len == 0 || model.len > VLY_ROUTE_MODEL_MAX ||
        (text.ptr != NULL && text.len > VLY_ROUTE_VERSION_MAX))
        return vly_fail(err, VLY_EINVAL, "'%.*s': expected MODEL or MODEL/VERSION",
                        VLY_STR_ARG(whole));
    memcpy(t.model, model.ptr, model.len);
    if (text.ptr != NULL)
        memcpy(t.version, text.ptr, text.len);
    *ret = t;
    return VLY_OK;
}

/* "NAME=NUMBER"; NAME=none, where that is allowed, is the number -1. */
static vly_status split(const char *text, bool has_none, vly_str *ret_name, double *ret,
                        vly_err *err)
{
    vly_str rest = vly_str_from(text);

    *ret_name = vly_str_split(&rest, '=');
    *ret = -1;
    if (rest.ptr != NULL &&
        ((has_none && vly_str_is(rest, "none")) || (vly_str_to_f64(rest, ret) && *ret >= 0)))
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "'%s': expected NAME=NUMBER%s", text,
                    has_none ? " or NAME=none" : "");
}

static size_t find_arm(const vly_route_spec *s, const vly_route_target *t)
{
    size_t i = 0;

    while (i < s->n_arms && !vly_route_target_eq(&s->arms[i].target, t))
        i++;
    return i;
}

static vly_status remove_arm(vly_route_spec *s, size_t at, const char *text, vly_err *err)
{
    if (at == s->n_arms)
        return vly_fail(err, VLY_EINVAL, "'%s': the route has no such arm", text);
    s->n_arms--;
    memmove(&s->arms[at], &s->arms[at + 1], (s->n_arms - at) * sizeof(s->arms[0]));
    return VLY_OK;
}

/* keeps_schedule: the weight of the arm that it drives cannot be set. */
static vly_status edit_arm(vly_route_spec *s, const char *text, bool keeps_schedule, vly_err *err)
{
    vly_route_target t;
    vly_str name;
    double weight;
    vly_status st = split(text, true, &name, &weight, err);

    if (st == VLY_OK)
        st = read_target(name, &t, err);
    if (st != VLY_OK)
        return st;
    size_t i = find_arm(s, &t);
    if (weight < 0)
        return remove_arm(s, i, text, err);
    if (i == VLY_ROUTE_ARMS_MAX)
        return vly_fail(err, VLY_ELIMIT, "'%s': a route has at most %d arms", text,
                        VLY_ROUTE_ARMS_MAX);
    if (i < s->n_arms && keeps_schedule && s->n_steps > 0 &&
        s->arms[i].state == VLY_ROUTE_PROBATION)
        return vly_fail(err, VLY_EINVAL,
                        "'%s': the schedule says what it gets (--schedule none ends that)", text);
    if (i == s->n_arms)
        s->arms[s->n_arms++] = (vly_route_arm_spec){.target = t};
    s->arms[i].weight = s->arms[i].set_weight = weight;
    if (s->arms[i].state == VLY_ROUTE_ROLLED_BACK && weight > 0)
        s->arms[i].state = VLY_ROUTE_ACTIVE; /* which the server may refuse */
    return VLY_OK;
}

/* And of the schedule, which is of nobody then. */
static void end_probation(vly_route_spec *s)
{
    for (size_t i = 0; i < s->n_arms; i++)
        if (s->arms[i].state == VLY_ROUTE_PROBATION)
            s->arms[i].state = VLY_ROUTE_ACTIVE;
    s->n_steps = s->step = 0;
}

static vly_status edit_probation(vly_route_spec *s, const char *text, vly_err *err)
{
    vly_route_target t;

    if (strcmp(text, "none") == 0) {
        end_probation(s);
        return VLY_OK;
    }
    vly_status st = read_target(vly_str_from(text), &t, err);

    if (st != VLY_OK)
        return st;
    size_t i = find_arm(s, &t);
    if (i == s->n_arms)
        return vly_fail(err, VLY_EINVAL, "--probation %s: none of the arms", text);
    s->arms[i].state = VLY_ROUTE_PROBATION;
    return VLY_OK;
}

static vly_status edit_bound(vly_route_guard *g, const char *text, vly_err *err)
{
    vly_arena arena;
    vly_str name;
    double value;
    vly_buf json;
    vly_status st = split(text, false, &name, &value, err);

    if (st != VLY_OK)
        return st;
    vly_arena_init(&arena, VLY_MEM_CLI, 4096, ARENA_BUDGET);
    vly_buf_init(&json, VLY_MEM_CLI, ARENA_BUDGET);
    vly_buf_putc(&json, '{');
    vly_buf_json_str(&json, name);
    vly_buf_printf(&json, ":%.17g}", value);
    st = json.failed ? vly_fail(err, VLY_ENOMEM, "out of memory for the guard")
                     : vly_route_guard_read(vly_buf_str(&json), &arena, g, err);
    vly_buf_release(&json);
    vly_arena_release(&arena);
    return st;
}

static vly_status edit_guard(vly_route_spec *s, const vly_opt_list *items, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < items->n && st == VLY_OK; i++) {
        bool is_none = strcmp(items->item[i], "none") == 0;
        if (is_none || !s->has_guard)
            s->guard = (vly_route_guard)VLY_ROUTE_GUARD_INIT;
        s->has_guard = !is_none;
        if (!is_none)
            st = edit_bound(&s->guard, items->item[i], err);
    }
    return st;
}

static vly_status edit_shadow(vly_route_spec *s, const char *text, vly_err *err)
{
    vly_str name;

    s->shadow_share = 0;
    if (strcmp(text, "none") == 0)
        return VLY_OK;
    vly_status st = split(text, false, &name, &s->shadow_share, err);
    if (st == VLY_OK && !(s->shadow_share > 0 && s->shadow_share <= 1))
        st = vly_fail(err, VLY_EINVAL, "'%s': expected a share above 0, up to 1", text);
    return st == VLY_OK ? read_target(name, &s->shadow, err) : st;
}

static vly_status edit_shares(vly_route_spec *s, const char *text, vly_err *err)
{
    vly_str rest = vly_str_from(text);

    s->n_steps = s->step = 0;
    if (strcmp(text, "none") == 0)
        return VLY_OK;
    while (rest.ptr != NULL) {
        vly_str share = vly_str_trim(vly_str_split(&rest, ','));
        if (s->n_steps == VLY_ROUTE_STEPS_MAX || !vly_str_to_f64(share, &s->steps[s->n_steps++]))
            return vly_fail(err, VLY_EINVAL, "'%s': expected up to %d shares, as 0.01,0.1,0.5,1",
                            text, VLY_ROUTE_STEPS_MAX);
    }
    return VLY_OK;
}

static vly_status edit_schedule(vly_route_spec *s, const vly_route_edits *e, vly_err *err)
{
    vly_status st = e->shares != NULL ? edit_shares(s, e->shares, err) : VLY_OK;

    if (st == VLY_OK && e->hold_s > 0 && s->n_steps == 0)
        return vly_fail(err, VLY_EINVAL, "--hold: the route has no schedule");
    if (e->hold_s > 0)
        s->hold_ms = (uint64_t)(e->hold_s * 1e3 + 0.5);
    else if (s->hold_ms == 0)
        s->hold_ms = HOLD_MS;
    return st;
}

static vly_status edit_salt(vly_route_spec *s, const char *text, vly_err *err)
{
    if (strlen(text) > VLY_ROUTE_SALT_MAX)
        return vly_fail(err, VLY_EINVAL, "--salt: expected at most %d bytes", VLY_ROUTE_SALT_MAX);
    snprintf(s->salt, sizeof(s->salt), "%s", text);
    return VLY_OK;
}

vly_status vly_route_edit(const vly_route_edits *e, vly_route_spec *s, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < e->n_arms && st == VLY_OK; i++)
        st = edit_arm(s, e->arms[i], e->shares == NULL, err);
    if (st == VLY_OK && s->n_arms == 0)
        return vly_fail(err, VLY_EINVAL, "expected arms, as yolov8n/1=90 yolov8n/2=10, or --file");
    if (st == VLY_OK && e->probation != NULL)
        st = edit_probation(s, e->probation, err);
    if (st == VLY_OK)
        st = edit_guard(s, e->guard, err);
    if (st == VLY_OK && e->shadow != NULL)
        st = edit_shadow(s, e->shadow, err);
    if (st == VLY_OK)
        st = edit_schedule(s, e, err);
    return st == VLY_OK && e->salt != NULL ? edit_salt(s, e->salt, err) : st;
}
