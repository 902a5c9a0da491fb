/* SPDX-License-Identifier: MIT */
/*
 * Are the models of a route fit for it? An arm must take whatever the first one takes, and give
 * what that one promises: clients are told of the first one only, and do not know which they get.
 */
#include "sched/model_routes_internal.h"

vly_status vly_route__check_serves(vly_model_routes *r, const char *what, const vly_route_target *t,
                                   vly_err *err)
{
    vly_served *m =
        vly_scheduler_find(r->scheduler, vly_str_from(t->model), vly_str_from(t->version));
    char text[VLY_ROUTE_TARGET_TEXT];
    vly_status st = VLY_OK;

    vly_route_target_text(t, text);
    if (m == NULL)
        st = vly_fail(err, VLY_ENOTFOUND, "%s '%s' is not found", what, text);
    else if (m->servable == NULL)
        st = vly_fail(err, VLY_EUNAVAILABLE, "%s '%s' is not available: %s", what, text,
                      m->error != NULL ? m->error : "it is loading");
    vly_served_unref(m);
    return st;
}

/* A route stands in front of a model of its name only when it leads there. */
static vly_status check_name(vly_model_routes *r, const vly_route_spec *s, vly_err *err)
{
    vly_served *m = vly_scheduler_find(r->scheduler, vly_str_from(s->name), VLY_STR(""));
    bool is_arm = m == NULL;

    vly_served_unref(m);
    for (size_t i = 0; i < s->n_arms && !is_arm; i++)
        is_arm = strcmp(s->arms[i].target.model, s->name) == 0;
    if (is_arm)
        return VLY_OK;
    return vly_fail(err, VLY_EEXIST,
                    "a model is named '%s' too, and is no arm of the route: its clients would get "
                    "other models",
                    s->name);
}

/* ---- interfaces ---- */

/* Does `wide` allow every shape that `narrow` allows? */
static bool covers(const vly_model_io *wide, const vly_model_io *narrow)
{
    if (!wide->has_shape)
        return true;
    if (!narrow->has_shape || narrow->shape.rank != wide->shape.rank)
        return false;
    for (int i = 0; i < wide->shape.rank; i++)
        if (wide->shape.dim[i] != VLY_DIM_UNKNOWN && wide->shape.dim[i] != narrow->shape.dim[i])
            return false;
    return true;
}

static const char *text_of(const vly_model_io *io, char text[VLY_SHAPE_TEXT_MAX])
{
    return io->has_shape ? vly_shape_text(&io->shape, text) : "";
}

static const vly_model_io *find_io(const vly_model_io *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

/* one: of the model in question; other: of the first. */
static vly_status differ(const char *what, const vly_model_io *one, const vly_model_io *other,
                         vly_err *err)
{
    char a[VLY_SHAPE_TEXT_MAX], b[VLY_SHAPE_TEXT_MAX];

    return vly_fail(err, VLY_EINVAL, "%s '%s' is %s%s, there %s%s", what, one->name,
                    vly_dtype_name(one->dtype), text_of(one, a), vly_dtype_name(other->dtype),
                    text_of(other, b));
}

static vly_status check_inputs(const vly_model_info *m, const vly_model_info *first, vly_err *err)
{
    for (size_t i = 0; i < first->n_inputs; i++)
        if (find_io(m->inputs, m->n_inputs, first->inputs[i].name) == NULL)
            return vly_fail(err, VLY_EINVAL, "it has no input '%s'", first->inputs[i].name);
    for (size_t i = 0; i < m->n_inputs; i++) {
        const vly_model_io *own = &m->inputs[i];
        const vly_model_io *known = find_io(first->inputs, first->n_inputs, own->name);
        if (known == NULL)
            return vly_fail(err, VLY_EINVAL, "that one has no input '%s'", own->name);
        if (own->dtype != known->dtype || !covers(own, known))
            return differ("input", own, known, err);
    }
    return VLY_OK;
}

static vly_status check_outputs(const vly_model_info *m, const vly_model_info *first, vly_err *err)
{
    for (size_t i = 0; i < first->n_outputs; i++) {
        const vly_model_io *known = &first->outputs[i];
        const vly_model_io *own = find_io(m->outputs, m->n_outputs, known->name);
        if (own == NULL)
            return vly_fail(err, VLY_EINVAL, "it has no output '%s'", known->name);
        if (own->dtype != known->dtype || !covers(known, own))
            return differ("output", own, known, err);
    }
    return VLY_OK;
}

static bool takes_pictures(const vly_servable *s)
{
    return s->decoder.kind != VLY_TASK_TENSOR && s->decoder.input_channels > 0;
}

/* Inferences in one request that the model allows; INT64_MAX: its configuration says nothing. */
static int64_t max_batch(const vly_servable *s)
{
    const vly_triton_config *c = s->config;

    return c != NULL && c->has_max_batch_size && c->max_batch_size > 0 ? c->max_batch_size
                                                                       : INT64_MAX;
}

static vly_status check_arm(const vly_servable *s, const vly_servable *first, vly_err *err)
{
    if (s->decoder.kind != first->decoder.kind)
        return vly_fail(err, VLY_EINVAL, "its task is '%s', there '%s'",
                        vly_task_kind_name(s->decoder.kind),
                        vly_task_kind_name(first->decoder.kind));
    if ((s->sequence != NULL) != (first->sequence != NULL))
        return vly_fail(err, VLY_EINVAL, "it %s sequences, that one %s",
                        s->sequence != NULL ? "has" : "has no",
                        first->sequence != NULL ? "has" : "has none");
    if (max_batch(s) < max_batch(first))
        return vly_fail(err, VLY_EINVAL, "its max_batch_size is %lld, that one takes more",
                        (long long)max_batch(s));
    vly_status st = check_inputs(s->info, first->info, err);
    return st == VLY_OK ? check_outputs(s->info, first->info, err) : st;
}

/* A picture can be shown to any model of the task; its answers are what is compared. */
static vly_status check_shadow(const vly_servable *s, const vly_servable *first, vly_err *err)
{
    if (s->sequence != NULL || first->sequence != NULL)
        return vly_fail(err, VLY_EINVAL,
                        "%s keeps state from request to request, and a copy of some requests would "
                        "mean nothing to it",
                        s->sequence != NULL ? "it" : "the arm");
    if (takes_pictures(s) && s->decoder.kind == first->decoder.kind)
        return VLY_OK;
    return check_inputs(s->info, first->info, err);
}

/* ---- a route ---- */

typedef vly_status check_fn(const vly_servable *s, const vly_servable *first, vly_err *err);

/* Both serve, or nothing is said. */
static vly_status check_pair(vly_model_routes *r, const char *what, const vly_route_target *t,
                             const vly_route_target *first, check_fn *check, vly_err *err)
{
    vly_served *m = vly_route__find_model(r, t), *f = vly_route__find_model(r, first);
    char text[VLY_ROUTE_TARGET_TEXT], first_text[VLY_ROUTE_TARGET_TEXT];
    vly_status st = VLY_OK;

    if (m != NULL && f != NULL)
        st = check(m->servable, f->servable, err);
    vly_served_unref(m);
    vly_served_unref(f);
    return st == VLY_OK ? st
                        : vly_fail_in(err, st, "%s '%s' beside arm '%s'", what,
                                      vly_route_target_text(t, text),
                                      vly_route_target_text(first, first_text));
}

vly_status vly_route__check_interfaces(vly_model_routes *r, const vly_route_spec *s,
                                       bool any_interface, vly_err *err)
{
    const vly_route_target *first = NULL;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < s->n_arms && st == VLY_OK; i++) {
        const vly_route_target *t = &s->arms[i].target;
        if (s->arms[i].state == VLY_ROUTE_ROLLED_BACK)
            continue;
        if (first == NULL)
            first = t;
        else if (!any_interface)
            st = check_pair(r, "arm", t, first, check_arm, err);
    }
    if (st == VLY_EINVAL)
        return vly_fail_in(err, st, "interfaces differ (force=true allows it)");
    if (st == VLY_OK && s->shadow_share > 0 && first != NULL)
        st = check_pair(r, "shadow", &s->shadow, first, check_shadow, err);
    return st;
}

vly_status vly_route__check_models(vly_model_routes *r, const vly_route_spec *s, bool any_interface,
                                   vly_err *err)
{
    vly_status st = check_name(r, s, err);

    for (size_t i = 0; i < s->n_arms && st == VLY_OK; i++)
        st = vly_route__check_serves(r, "arm", &s->arms[i].target, err);
    if (st == VLY_OK && s->shadow_share > 0)
        st = vly_route__check_serves(r, "shadow", &s->shadow, err);
    if (st == VLY_OK)
        st = vly_route__check_interfaces(r, s, any_interface, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "route '%s'", s->name);
}
