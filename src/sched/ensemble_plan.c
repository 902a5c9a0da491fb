/* SPDX-License-Identifier: MIT */
#include "sched/ensemble_plan.h"

#include "base/assert.h"

#include <string.h>

typedef struct maker {
    const char *name;
    const vly_triton_config *config;
    vly_arena *arena;
    vly_ensemble_plan *plan;
    vly_ensemble_tensor *tensors; /* those of plan, still to be written */
    vly_ensemble_step *steps;
    vly_err *err;
} maker;

/* ---- inputs and outputs ---- */

static vly_status set_shape(maker *k, const vly_triton_io *io, vly_shape *ret)
{
    int batch = k->config->max_batch_size > 0 ? 1 : 0;

    if (io->n_dims + (size_t)batch > VLY_RANK_MAX)
        return vly_fail(k->err, VLY_EINVAL, "ensemble '%s': '%.*s': expected at most %d dims",
                        k->name, VLY_STR_ARG(io->name), VLY_RANK_MAX - batch);
    *ret = (vly_shape){.rank = (int)io->n_dims + batch, .dim = {VLY_DIM_UNKNOWN}};
    for (size_t i = 0; i < io->n_dims; i++)
        ret->dim[i + (size_t)batch] = io->dims[i];
    return VLY_OK;
}

static vly_status set_ios(maker *k, const vly_triton_io *from, size_t n, const vly_model_io **ret)
{
    vly_model_io *ios = vly_arena_calloc(k->arena, n + 1, sizeof(*ios));

    if (ios == NULL)
        return vly_arena_fail(k->arena, k->err);
    for (size_t i = 0; i < n; i++) {
        if (from[i].name.len == 0 || !vly_dtype_from_kserve(from[i].datatype, &ios[i].dtype))
            return vly_fail(k->err, VLY_EINVAL,
                            "ensemble '%s': each input and output must specify 'name' and "
                            "'data_type'",
                            k->name);
        vly_status st = set_shape(k, &from[i], &ios[i].shape);
        if (st != VLY_OK)
            return st;
        ios[i].has_shape = true;
        ios[i].name = vly_arena_strdup(k->arena, from[i].name);
        if (ios[i].name == NULL)
            return vly_arena_fail(k->arena, k->err);
    }
    *ret = ios;
    return VLY_OK;
}

/* ---- tensors ---- */

static size_t find(const maker *k, vly_str name)
{
    size_t i = 0;

    while (i < k->plan->n_tensors && !vly_str_is(name, k->tensors[i].name))
        i++;
    return i;
}

static vly_status add_tensor(maker *k, vly_str name, size_t step)
{
    char *copy = vly_arena_strdup(k->arena, name);

    if (copy == NULL)
        return vly_arena_fail(k->arena, k->err);
    k->tensors[k->plan->n_tensors++] = (vly_ensemble_tensor){.name = copy, .step = step};
    return VLY_OK;
}

static size_t count_tensors(const vly_triton_config *c)
{
    size_t n = c->n_inputs;

    for (size_t i = 0; i < c->ensemble_scheduling->n_steps; i++)
        n += c->ensemble_scheduling->steps[i].n_outputs;
    return n;
}

static vly_status add_tensors(maker *k)
{
    const vly_triton_ensemble *e = k->config->ensemble_scheduling;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < k->config->n_inputs && st == VLY_OK; i++)
        st = add_tensor(k, k->config->inputs[i].name, SIZE_MAX);
    for (size_t s = 0; s < e->n_steps && st == VLY_OK; s++) {
        for (size_t i = 0; i < e->steps[s].n_outputs && st == VLY_OK; i++) {
            vly_str name = e->steps[s].outputs[i].value;
            if (find(k, name) < k->plan->n_tensors)
                return vly_fail(k->err, VLY_EINVAL,
                                "ensemble tensor '%.*s' can appear in an output map only once for "
                                "ensemble '%s' step %zu",
                                VLY_STR_ARG(name), k->name, s);
            st = add_tensor(k, name, s);
        }
    }
    return st;
}

/* ---- steps ---- */

static vly_status check_step(maker *k, size_t idx)
{
    const vly_triton_step *s = &k->config->ensemble_scheduling->steps[idx];
    const char *missing = s->model_name.len == 0 ? "model_name"
                          : s->n_inputs == 0     ? "input_map"
                          : s->n_outputs == 0    ? "output_map"
                                                 : NULL;

    if (missing != NULL)
        return vly_fail(k->err, VLY_EINVAL, "must specify '%s' in step %zu of ensemble '%s'",
                        missing, idx, k->name);
    for (size_t i = 0; i < s->n_inputs; i++)
        for (size_t j = 0; j < i; j++)
            if (vly_str_eq(s->inputs[i].key, s->inputs[j].key))
                return vly_fail(k->err, VLY_EINVAL,
                                "input '%.*s' in model '%.*s' is mapped to multiple ensemble "
                                "tensors for ensemble '%s' step %zu",
                                VLY_STR_ARG(s->inputs[i].key), VLY_STR_ARG(s->model_name), k->name,
                                idx);
    return VLY_OK;
}

static vly_status make_links(maker *k, size_t idx, const vly_triton_param *map, size_t n,
                             const vly_ensemble_link **ret)
{
    vly_ensemble_link *links = vly_arena_calloc(k->arena, n, sizeof(*links));

    if (links == NULL)
        return vly_arena_fail(k->arena, k->err);
    for (size_t i = 0; i < n; i++) {
        links[i].tensor = find(k, map[i].value);
        if (links[i].tensor == k->plan->n_tensors)
            return vly_fail(k->err, VLY_EINVAL,
                            "ensemble tensor '%.*s' is read by step %zu of ensemble '%s', but no "
                            "step writes it and it is no input",
                            VLY_STR_ARG(map[i].value), idx, k->name);
        links[i].name = vly_arena_strdup(k->arena, map[i].key);
        if (links[i].name == NULL)
            return vly_arena_fail(k->arena, k->err);
    }
    *ret = links;
    return VLY_OK;
}

static vly_status make_step(maker *k, size_t idx)
{
    const vly_triton_step *from = &k->config->ensemble_scheduling->steps[idx];
    vly_ensemble_step *s = &k->steps[idx];
    vly_status st = check_step(k, idx);

    if (st != VLY_OK)
        return st;
    s->model = vly_arena_strdup(k->arena, from->model_name);
    s->version = from->model_version > 0
                     ? vly_arena_printf(k->arena, "%lld", (long long)from->model_version)
                     : "";
    if (s->model == NULL || s->version == NULL)
        return vly_arena_fail(k->arena, k->err);
    s->n_inputs = from->n_inputs;
    s->n_outputs = from->n_outputs;
    st = make_links(k, idx, from->inputs, from->n_inputs, &s->inputs);
    if (st == VLY_OK)
        st = make_links(k, idx, from->outputs, from->n_outputs, &s->outputs);
    for (size_t i = 0; i < s->n_inputs && st == VLY_OK; i++)
        s->n_sources += k->tensors[s->inputs[i].tensor].step != SIZE_MAX;
    return st;
}

/* ---- the graph ---- */

/* Links of a step's inputs whose writer is not done. */
static size_t count_open(const maker *k, const vly_ensemble_step *s, const bool *is_done)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_inputs; i++) {
        size_t writer = k->tensors[s->inputs[i].tensor].step;
        n += writer != SIZE_MAX && !is_done[writer];
    }
    return n;
}

/* Every step has its turn, when those before it had theirs. */
static vly_status check_rings(maker *k)
{
    bool is_done[VLY_ENSEMBLE_STEPS_MAX] = {false};
    bool has_moved = true;

    while (has_moved) {
        has_moved = false;
        for (size_t i = 0; i < k->plan->n_steps; i++) {
            if (is_done[i] || count_open(k, &k->steps[i], is_done) > 0)
                continue;
            is_done[i] = true;
            has_moved = true;
        }
    }
    for (size_t i = 0; i < k->plan->n_steps; i++)
        if (!is_done[i])
            return vly_fail(k->err, VLY_EINVAL,
                            "ensemble '%s': step %zu (model '%s') waits for its own outputs",
                            k->name, i, k->steps[i].model);
    return VLY_OK;
}

static vly_status set_outputs(maker *k)
{
    size_t *outputs = vly_arena_calloc(k->arena, k->config->n_outputs + 1, sizeof(*outputs));

    if (outputs == NULL)
        return vly_arena_fail(k->arena, k->err);
    for (size_t i = 0; i < k->config->n_outputs; i++) {
        outputs[i] = find(k, k->config->outputs[i].name);
        if (outputs[i] == k->plan->n_tensors || k->tensors[outputs[i]].step == SIZE_MAX)
            return vly_fail(
                k->err, VLY_EINVAL,
                "output '%.*s' for ensemble '%s' is not written: at least one step must "
                "have it in its output map",
                VLY_STR_ARG(k->config->outputs[i].name), k->name);
        k->tensors[outputs[i]].is_output = true;
    }
    k->plan->outputs = outputs;
    return VLY_OK;
}

static vly_status check_inputs(maker *k)
{
    for (size_t t = 0; t < k->config->n_inputs; t++) {
        bool is_read = false;
        for (size_t s = 0; s < k->plan->n_steps; s++)
            for (size_t i = 0; i < k->steps[s].n_inputs; i++)
                is_read = is_read || k->steps[s].inputs[i].tensor == t;
        if (!is_read)
            return vly_fail(k->err, VLY_EINVAL, "ensemble tensor '%s' is unused in ensemble '%s'",
                            k->tensors[t].name, k->name);
    }
    return VLY_OK;
}

static vly_status make_room(maker *k)
{
    const vly_triton_ensemble *e = k->config->ensemble_scheduling;

    if (e->n_steps == 0 || e->n_steps > VLY_ENSEMBLE_STEPS_MAX)
        return vly_fail(k->err, VLY_EINVAL, "ensemble '%s': expected 1 to %d steps, got %zu",
                        k->name, VLY_ENSEMBLE_STEPS_MAX, e->n_steps);
    k->plan = vly_arena_calloc(k->arena, 1, sizeof(*k->plan));
    k->tensors = vly_arena_calloc(k->arena, count_tensors(k->config) + 1, sizeof(*k->tensors));
    k->steps = vly_arena_calloc(k->arena, e->n_steps, sizeof(*k->steps));
    if (k->plan == NULL || k->tensors == NULL || k->steps == NULL)
        return vly_arena_fail(k->arena, k->err);
    k->plan->tensors = k->tensors;
    k->plan->steps = k->steps;
    k->plan->n_steps = e->n_steps;
    k->plan->info.name = k->name;
    k->plan->info.producer = "volley";
    k->plan->info.n_inputs = k->config->n_inputs;
    k->plan->info.n_outputs = k->config->n_outputs;
    return VLY_OK;
}

vly_status vly_ensemble_plan_make(const char *name, const vly_triton_config *config,
                                  vly_arena *arena, const vly_ensemble_plan **ret, vly_err *err)
{
    maker k = {.name = name, .config = config, .arena = arena, .err = err};
    vly_status st = make_room(&k);

    if (st == VLY_OK)
        st = set_ios(&k, config->inputs, config->n_inputs, &k.plan->info.inputs);
    if (st == VLY_OK)
        st = set_ios(&k, config->outputs, config->n_outputs, &k.plan->info.outputs);
    if (st == VLY_OK)
        st = add_tensors(&k);
    for (size_t i = 0; st == VLY_OK && i < k.plan->n_steps; i++)
        st = make_step(&k, i);
    if (st == VLY_OK)
        st = check_rings(&k);
    if (st == VLY_OK)
        st = set_outputs(&k);
    if (st == VLY_OK)
        st = check_inputs(&k);
    if (st == VLY_OK)
        *ret = k.plan;
    return st;
}
