/* SPDX-License-Identifier: MIT */
/* An ensemble against the models of its steps, when it is loaded. */
#include "sched/ensemble.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* What is known of a tensor, and from whom. */
typedef struct node {
    const vly_model_io *io; /* NULL: nothing yet */
    const char *model;
} node;

typedef struct checker {
    vly_scheduler *scheduler;
    vly_servable *ensemble;
    const vly_ensemble_plan *plan;
    vly_served **models; /* [n_steps], a reference each */
    node *nodes;         /* [n_tensors] */
    vly_err *err;
} checker;

/* ---- which models ---- */

static vly_status find_models(checker *k)
{
    char missing[VLY_ERR_MSG_MAX] = "";
    size_t len = 0;

    for (size_t i = 0; i < k->plan->n_steps; i++) {
        const vly_ensemble_step *s = &k->plan->steps[i];
        k->models[i] =
            vly_scheduler_find(k->scheduler, vly_str_from(s->model), vly_str_from(s->version));
        if (k->models[i] != NULL && k->models[i]->servable != NULL)
            continue;
        if (len < sizeof(missing))
            len += (size_t)snprintf(missing + len, sizeof(missing) - len, "%s%s",
                                    len > 0 ? ", " : "", s->model);
    }
    if (len > 0)
        return vly_fail(k->err, VLY_EUNAVAILABLE,
                        "ensemble %s contains models that are not available or ambiguous: %s",
                        k->ensemble->name, missing);
    return VLY_OK;
}

static bool has_step_of(const vly_served *m, const char *model)
{
    const vly_ensemble_plan *plan = m->servable != NULL ? m->servable->ensemble : NULL;

    for (size_t i = 0; plan != NULL && i < plan->n_steps; i++)
        if (strcmp(plan->steps[i].model, model) == 0)
            return true;
    return false;
}

/* Marks, from the steps' models on, every ensemble that those use; a ring leads back here. */
static vly_status check_rings(checker *k)
{
    vly_model_set *set = vly_scheduler_models(k->scheduler);
    bool *is_used = vly_calloc(VLY_MEM_SCHED, set->n + 1, sizeof(*is_used));
    const char *name = k->ensemble->name;
    const char *back = NULL;
    bool has_moved = is_used != NULL;

    for (size_t i = 0; i < k->plan->n_steps; i++)
        if (strcmp(k->plan->steps[i].model, name) == 0)
            back = name;
    for (size_t i = 0; is_used != NULL && i < set->n; i++)
        for (size_t s = 0; s < k->plan->n_steps; s++)
            is_used[i] = is_used[i] || strcmp(k->plan->steps[s].model, set->models[i]->name) == 0;
    while (has_moved && back == NULL) {
        has_moved = false;
        for (size_t i = 0; i < set->n; i++) {
            if (!is_used[i])
                continue;
            if (has_step_of(set->models[i], name))
                back = set->models[i]->name;
            for (size_t j = 0; j < set->n; j++) {
                if (is_used[j] || !has_step_of(set->models[i], set->models[j]->name))
                    continue;
                is_used[j] = true;
                has_moved = true;
            }
        }
    }
    vly_status st =
        is_used != NULL ? VLY_OK : vly_fail(k->err, VLY_ENOMEM, "out of memory for '%s'", name);
    if (back != NULL)
        st = vly_fail(k->err, VLY_EINVAL,
                      "circular dependency between ensembles: %s -> ... -> %s -> %s", name, back,
                      name);
    vly_free(is_used);
    vly_model_set_unref(set);
    return st;
}

/* ---- types and shapes ---- */

static const char *type_name(vly_dtype t)
{
    return t == VLY_DTYPE_STRING ? "STRING" : vly_dtype_kserve(t);
}

static const char *dims_text(const vly_model_io *io, char text[VLY_SHAPE_TEXT_MAX])
{
    size_t len = (size_t)snprintf(text, VLY_SHAPE_TEXT_MAX, "[");

    for (int i = 0; i < io->shape.rank; i++)
        len += (size_t)snprintf(text + len, VLY_SHAPE_TEXT_MAX - len, "%s%lld", i > 0 ? "," : "",
                                (long long)io->shape.dim[i]);
    snprintf(text + len, VLY_SHAPE_TEXT_MAX - len, "]");
    return text;
}

static bool may_be_equal(const vly_model_io *a, const vly_model_io *b)
{
    if (!a->has_shape || !b->has_shape)
        return true;
    if (a->shape.rank != b->shape.rank)
        return false;
    for (int i = 0; i < a->shape.rank; i++)
        if (a->shape.dim[i] != b->shape.dim[i] && a->shape.dim[i] != VLY_DIM_UNKNOWN &&
            b->shape.dim[i] != VLY_DIM_UNKNOWN)
            return false;
    return true;
}

static vly_status agree(checker *k, size_t tensor, const vly_model_io *io, const char *model)
{
    node *n = &k->nodes[tensor];
    const char *name = k->plan->tensors[tensor].name;
    char a[VLY_SHAPE_TEXT_MAX], b[VLY_SHAPE_TEXT_MAX];

    if (n->io == NULL)
        *n = (node){io, model};
    if (n->io->dtype != io->dtype)
        return vly_fail(k->err, VLY_EINVAL,
                        "in ensemble %s, ensemble tensor %s: inconsistent data type: TYPE_%s is "
                        "inferred from model %s while TYPE_%s is inferred from model %s",
                        k->ensemble->name, name, type_name(n->io->dtype), n->model,
                        type_name(io->dtype), model);
    if (!may_be_equal(n->io, io))
        return vly_fail(k->err, VLY_EINVAL,
                        "in ensemble %s, ensemble tensor %s: inconsistent shape: %s is inferred "
                        "from model %s while %s is inferred from model %s",
                        k->ensemble->name, name, dims_text(n->io, a), n->model, dims_text(io, b),
                        model);
    return VLY_OK;
}

static const vly_model_io *find_io(const vly_model_io *ios, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(ios[i].name, name) == 0)
            return &ios[i];
    return NULL;
}

static const vly_ensemble_link *find_link(const vly_ensemble_link *links, size_t n,
                                          const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(links[i].name, name) == 0)
            return &links[i];
    return NULL;
}

static vly_status check_inputs(checker *k, const vly_ensemble_step *s, const vly_model_info *info)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < s->n_inputs && st == VLY_OK; i++) {
        const vly_model_io *io = find_io(info->inputs, info->n_inputs, s->inputs[i].name);
        if (io == NULL)
            return vly_fail(k->err, VLY_EINVAL,
                            "in ensemble %s, ensemble tensor %s is mapping to non-existing input "
                            "%s in model %s",
                            k->ensemble->name, k->plan->tensors[s->inputs[i].tensor].name,
                            s->inputs[i].name, s->model);
        st = agree(k, s->inputs[i].tensor, io, s->model);
    }
    for (size_t i = 0; i < info->n_inputs && st == VLY_OK; i++)
        if (find_link(s->inputs, s->n_inputs, info->inputs[i].name) == NULL)
            return vly_fail(k->err, VLY_EINVAL,
                            "in ensemble %s, input %s in model %s is not mapped to any ensemble "
                            "tensors",
                            k->ensemble->name, info->inputs[i].name, s->model);
    return st;
}

static vly_status check_outputs(checker *k, const vly_ensemble_step *s, const vly_model_info *info)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < s->n_outputs && st == VLY_OK; i++) {
        const vly_model_io *io = find_io(info->outputs, info->n_outputs, s->outputs[i].name);
        if (io == NULL)
            return vly_fail(k->err, VLY_EINVAL,
                            "in ensemble %s, ensemble tensor %s is mapped from non-existing output "
                            "%s in model %s",
                            k->ensemble->name, k->plan->tensors[s->outputs[i].tensor].name,
                            s->outputs[i].name, s->model);
        st = agree(k, s->outputs[i].tensor, io, s->model);
    }
    return st;
}

/* A detector as its picture steps see it. */
static const vly_model_io picture_input = {
    .name = "picture", .dtype = VLY_DTYPE_STRING, .shape = {1, {1}}, .has_shape = true};
static const vly_model_io picture_outputs[VLY_ENSEMBLE_N_PARTS] = {
    {.name = "boxes",
     .dtype = VLY_DTYPE_F32,
     .shape = {2, {VLY_DIM_UNKNOWN, 4}},
     .has_shape = true},
    {.name = "scores", .dtype = VLY_DTYPE_F32, .shape = {1, {VLY_DIM_UNKNOWN}}, .has_shape = true},
    {.name = "labels", .dtype = VLY_DTYPE_I32, .shape = {1, {VLY_DIM_UNKNOWN}}, .has_shape = true},
};
static const vly_model_info picture_info = {.n_inputs = 1,
                                            .inputs = &picture_input,
                                            .n_outputs = VLY_ENSEMBLE_N_PARTS,
                                            .outputs = picture_outputs};

static vly_status check_step(checker *k, size_t idx)
{
    const vly_ensemble_step *s = &k->plan->steps[idx];
    const vly_servable *model = k->models[idx]->servable;
    int64_t own = k->ensemble->config->max_batch_size;
    int64_t theirs = model->config != NULL ? model->config->max_batch_size : 0;
    const vly_model_info *info =
        vly_ensemble__is_picture_step(s, model) ? &picture_info : model->info;

    if (theirs != 0 && theirs < own)
        return vly_fail(k->err, VLY_EINVAL,
                        "ensemble %s allows maximum batch size %lld, but it contains model %s "
                        "which only allows maximum batch size to be %lld",
                        k->ensemble->name, (long long)own, s->model, (long long)theirs);
    vly_status st = check_inputs(k, s, info);
    return st == VLY_OK ? check_outputs(k, s, info) : st;
}

static vly_status check_steps(checker *k)
{
    const vly_model_info *info = &k->plan->info;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < info->n_inputs && st == VLY_OK; i++)
        st = agree(k, i, &info->inputs[i], k->ensemble->name);
    for (size_t i = 0; i < info->n_outputs && st == VLY_OK; i++)
        st = agree(k, k->plan->outputs[i], &info->outputs[i], k->ensemble->name);
    for (size_t i = 0; i < k->plan->n_steps && st == VLY_OK; i++)
        st = check_step(k, i);
    return st;
}

/* ---- a detector? ---- */

static vly_status copy_labels(vly_arena *arena, const vly_labels *from, vly_labels *ret,
                              vly_err *err)
{
    vly_str *names = vly_arena_calloc(arena, from->count + 1, sizeof(*names));

    if (names == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; i < from->count; i++) {
        if (from->names[i].len == 0)
            continue;
        const char *copy = vly_arena_strdup(arena, from->names[i]);
        if (copy == NULL)
            return vly_arena_fail(arena, err);
        names[i] = (vly_str){copy, from->names[i].len};
    }
    *ret = (vly_labels){names, from->count};
    return VLY_OK;
}

/* Class names are those of the first picture step. */
static vly_status find_task(checker *k)
{
    vly_servable *e = k->ensemble;
    const vly_model_info *info = &k->plan->info;
    size_t n_parts = 0;

    for (size_t i = 0; i < info->n_outputs; i++)
        n_parts += vly_ensemble__part(info->outputs[i].name) != VLY_ENSEMBLE_N_PARTS;
    if (n_parts != VLY_ENSEMBLE_N_PARTS || info->n_inputs != 1 || e->config->max_batch_size > 0)
        return VLY_OK;
    for (size_t i = 0; i < k->plan->n_steps; i++) {
        const vly_ensemble_step *s = &k->plan->steps[i];
        const vly_servable *model = k->models[i]->servable;
        if (!vly_ensemble__is_picture_step(s, model) || s->inputs[0].tensor != 0)
            continue;
        e->decoder.kind = VLY_TASK_DETECT;
        e->decoder.name = "ensemble-detect";
        e->decoder.input_channels = 3;
        return copy_labels(vly_servable_arena(e), &model->decoder.labels, &e->decoder.labels,
                           k->err);
    }
    return VLY_OK;
}

vly_status vly_ensemble_check(vly_scheduler *scheduler, vly_servable *s, vly_err *err)
{
    checker k = {.scheduler = scheduler, .ensemble = s, .plan = s->ensemble, .err = err};

    k.models = vly_calloc(VLY_MEM_SCHED, k.plan->n_steps, sizeof(*k.models));
    k.nodes = vly_calloc(VLY_MEM_SCHED, k.plan->n_tensors + 1, sizeof(*k.nodes));
    vly_status st = k.models != NULL && k.nodes != NULL
                        ? check_rings(&k)
                        : vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", s->name);
    if (st == VLY_OK)
        st = find_models(&k);
    if (st == VLY_OK)
        st = check_steps(&k);
    if (st == VLY_OK)
        st = find_task(&k);
    for (size_t i = 0; k.models != NULL && i < k.plan->n_steps; i++)
        vly_served_unref(k.models[i]);
    vly_free(k.models);
    vly_free(k.nodes);
    return st;
}
