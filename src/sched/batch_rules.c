/* SPDX-License-Identifier: MIT */
#include "sched/batch_rules.h"

#include "base/arena.h"
#include "base/assert.h"

#include <math.h>
#include <stdlib.h>

#define OWN_MAX_BATCH 64 /* of models whose configuration leaves it open */

static const char *const execution_names[] = {
#define NAME(name, text) text,
    VLY_EXECUTION_MAP(NAME)
#undef NAME
};

const char *vly_execution_name(vly_execution e)
{
    VLY_ASSERT((size_t)e < VLY_COUNT(execution_names));
    return execution_names[e];
}

vly_status vly_execution_parse(vly_str text, vly_execution *ret, vly_err *err)
{
    for (size_t i = 0; i < VLY_COUNT(execution_names); i++) {
        if (!vly_str_is(text, execution_names[i]))
            continue;
        *ret = (vly_execution)i;
        return VLY_OK;
    }
    return vly_fail(err, VLY_EINVAL, "expected auto, inline, parallel or batched, got '%.*s'",
                    VLY_STR_ARG(text));
}

/* Is the first dimension of every input and output the caller's to choose? */
static bool can_batch(const vly_model_info *info)
{
    for (size_t i = 0; i < info->n_inputs + info->n_outputs; i++) {
        const vly_model_io *io =
            i < info->n_inputs ? &info->inputs[i] : &info->outputs[i - info->n_inputs];
        if (!io->has_shape || io->shape.rank == 0 || io->shape.dim[0] != VLY_DIM_UNKNOWN)
            return false;
    }
    return info->n_inputs > 0;
}

static size_t max_batch_of(const vly_servable *s)
{
    const vly_triton_config *c = s->config;

    if (!can_batch(s->run_info) || (c != NULL && c->has_max_batch_size && c->max_batch_size == 0))
        return 1;
    return c != NULL && c->has_max_batch_size ? (size_t)c->max_batch_size : OWN_MAX_BATCH;
}

static size_t instances_of(const vly_triton_config *c)
{
    size_t n = 0;

    for (size_t i = 0; c != NULL && i < c->n_instance_groups; i++)
        if (!c->instance_groups[i].is_passive)
            n += (size_t)c->instance_groups[i].count;
    return n;
}

static bool needs_resources(const vly_triton_config *c)
{
    bool needs = false;

    for (size_t i = 0; c != NULL && i < c->n_instance_groups; i++)
        needs = needs || (c->instance_groups[i].rate_limiter != NULL &&
                          c->instance_groups[i].rate_limiter->n_resources > 0);
    return needs;
}

static vly_queue_policy policy_of(const vly_triton_queue_policy *p)
{
    if (p == NULL)
        return (vly_queue_policy){.timeout_ns = 0};
    uint64_t us = p->default_timeout_us;
    return (vly_queue_policy){.timeout_ns =
                                  us < UINT64_MAX / VLY_NSEC_PER_US ? us * VLY_NSEC_PER_US : 0,
                              .is_delay = p->timeout_action == VLY_TRITON_TIMEOUT_DELAY,
                              .allows_override = p->allow_timeout_override,
                              .max_size = (size_t)p->max_queue_size};
}

static vly_status read_levels(const vly_triton_dynamic_batching *d, vly_arena *arena,
                              vly_batch_rules *r, vly_err *err)
{
    uint64_t n = d != NULL && d->n_priority_levels != 0 ? d->n_priority_levels : 1;

    if (n > VLY_PRIORITY_LEVELS_MAX)
        return vly_fail(err, VLY_EINVAL, "priority_levels: expected at most %d, got %llu",
                        VLY_PRIORITY_LEVELS_MAX, (unsigned long long)n);
    if (n > 1 && (d->default_priority_level == 0 || d->default_priority_level > n))
        return vly_fail(err, VLY_EINVAL,
                        "default_priority_level: expected 1 to %llu, the priority_levels, got %llu",
                        (unsigned long long)n, (unsigned long long)d->default_priority_level);
    vly_queue_policy *policies = vly_arena_calloc(arena, (size_t)n, sizeof(*policies));
    if (policies == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; d != NULL && i < n; i++)
        policies[i] = policy_of(d->default_queue_policy);
    for (size_t i = 0; d != NULL && i < d->n_priority_queue_policies; i++) {
        const vly_triton_priority_policy *p = &d->priority_queue_policies[i];
        if (p->key == 0 || p->key > n)
            return vly_fail(err, VLY_EINVAL,
                            "priority_queue_policy: expected a level of 1 to %llu, got %llu",
                            (unsigned long long)n, (unsigned long long)p->key);
        policies[p->key - 1] = policy_of(&p->value);
    }
    r->policies = policies;
    r->n_levels = (size_t)n;
    r->default_level = n > 1 ? (size_t)d->default_priority_level : 1;
    return VLY_OK;
}

static int compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static vly_status read_preferred(const vly_triton_dynamic_batching *d, size_t max_batch,
                                 vly_arena *arena, vly_batch_rules *r, vly_err *err)
{
    if (d == NULL || d->n_preferred_batch_sizes == 0)
        return VLY_OK;
    size_t *sizes = vly_arena_calloc(arena, d->n_preferred_batch_sizes, sizeof(*sizes));
    if (sizes == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; i < d->n_preferred_batch_sizes; i++) {
        int64_t size = d->preferred_batch_sizes[i];
        if (size < 1 || (size_t)size > max_batch)
            return vly_fail(err, VLY_EINVAL,
                            "dynamic batching preferred size must be positive and not above "
                            "max_batch_size %zu, got %lld",
                            max_batch, (long long)size);
        sizes[i] = (size_t)size;
    }
    qsort(sizes, d->n_preferred_batch_sizes, sizeof(*sizes), compare_sizes);
    size_t n = 1;
    for (size_t i = 1; i < d->n_preferred_batch_sizes; i++)
        if (sizes[i] != sizes[n - 1])
            sizes[n++] = sizes[i];
    r->preferred = sizes;
    r->n_preferred = n;
    return VLY_OK;
}

/* The strategy of a sequence batcher in terms of dynamic batching. A part of the slots of `direct`
 * that must be in use is a size that is preferred; without one its delay does not count. */
static vly_status read_strategy(const vly_triton_sequence_batching *q, size_t max_batch,
                                vly_arena *arena, vly_triton_dynamic_batching *ret, vly_err *err)
{
    const vly_triton_direct *direct = q->direct;

    if (q->oldest != NULL) {
        ret->n_preferred_batch_sizes = q->oldest->n_preferred_batch_sizes;
        ret->preferred_batch_sizes = q->oldest->preferred_batch_sizes;
        ret->max_queue_delay_us = q->oldest->max_queue_delay_us;
        ret->preserve_ordering = q->oldest->preserve_ordering;
    } else if (direct != NULL && direct->minimum_slot_utilization > 0) {
        int64_t *size = vly_arena_alloc(arena, sizeof(*size));
        if (size == NULL)
            return vly_arena_fail(arena, err);
        *size = (int64_t)ceil(fmin(direct->minimum_slot_utilization, 1) * (double)max_batch);
        ret->n_preferred_batch_sizes = 1;
        ret->preferred_batch_sizes = size;
        ret->max_queue_delay_us = direct->max_queue_delay_us;
    }
    return VLY_OK;
}

vly_status vly_run_config_read(const vly_servable *s, vly_execution execution, vly_arena *arena,
                               vly_run_config *ret, vly_err *err)
{
    const vly_triton_dynamic_batching *d = s->config != NULL ? s->config->dynamic_batching : NULL;
    vly_str own = vly_triton_config_param(s->config, "execution");
    vly_run_config c = {.execution = execution,
                        .needs_resources = needs_resources(s->config),
                        .max_batch = max_batch_of(s),
                        .n_instances = instances_of(s->config)};
    size_t config_max = s->config != NULL ? (size_t)s->config->max_batch_size : 0;
    vly_triton_dynamic_batching strategy = {.n_preferred_batch_sizes = 0};
    vly_status st = VLY_OK;

    if (s->config != NULL && s->config->sequence_batching != NULL) {
        st = read_strategy(s->config->sequence_batching, c.max_batch, arena, &strategy, err);
        if (st != VLY_OK)
            return st;
        d = &strategy;
    }
    if (own.len > 0) {
        st = vly_execution_parse(own, &c.execution, err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "parameter 'execution'");
    }
    st = read_levels(d, arena, &c.rules, err);
    if (st == VLY_OK)
        st = read_preferred(d, config_max > c.max_batch ? config_max : c.max_batch, arena, &c.rules,
                            err);
    if (st != VLY_OK)
        return st;
    if (d != NULL && d->max_queue_delay_us < UINT64_MAX / VLY_NSEC_PER_US)
        c.rules.delay_ns = d->max_queue_delay_us * VLY_NSEC_PER_US;
    c.asks_for_batches = c.rules.n_preferred > 0 || c.rules.delay_ns > 0;
    c.keeps_order = d != NULL && d->preserve_ordering;
    c.rules.max_batch = c.max_batch;
    if (c.max_batch == 1) /* there is nothing to prefer */
        c.rules.n_preferred = 0;
    *ret = c;
    return VLY_OK;
}
