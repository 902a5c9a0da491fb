/* SPDX-License-Identifier: MIT */
#include "sched/rate_limit.h"

#include "base/assert.h"
#include "base/mem.h"

#include <pthread.h>

typedef struct resource {
    char *name;
    bool is_global; /* a store of its own, though there is one device only */
    bool is_fixed;  /* the setting says how many */
    bool is_awaited;
    uint64_t capacity, n_held;
} resource;

struct vly_rate_limiter {
    pthread_mutex_t lock;
    size_t n; /* guarded by lock, as all below */
    resource resources[VLY_RATE_RESOURCES_MAX];
    vly_rate_claim *waiting; /* by pass, then in the order of their coming */
    uint64_t pass;           /* of the last claim that was met */
};

/* ---- resources ---- */

static vly_status find_or_add(vly_rate_limiter *l, vly_str name, bool is_global, resource **ret,
                              vly_err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        resource *r = &l->resources[i];
        if (!vly_str_is(name, r->name) || r->is_global != is_global)
            continue;
        *ret = r;
        return VLY_OK;
    }
    if (l->n == VLY_RATE_RESOURCES_MAX)
        return vly_fail(err, VLY_ELIMIT, "rate limiter: expected at most %d resources",
                        VLY_RATE_RESOURCES_MAX);
    resource *r = &l->resources[l->n];
    *r = (resource){.name = vly_strndup(VLY_MEM_SCHED, name.ptr, name.len), .is_global = is_global};
    if (r->name == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the rate limiter");
    l->n++;
    *ret = r;
    return VLY_OK;
}

/* One "R1=4" of the setting, which counts for both stores of that name. */
static vly_status set_capacity(vly_rate_limiter *l, vly_str part, vly_err *err)
{
    size_t at = 0;
    uint64_t count = 0;

    while (at < part.len && part.ptr[at] != '=')
        at++;
    vly_str digits = {part.ptr + at + 1, at < part.len ? part.len - at - 1 : 0};
    if (at == 0 || digits.len == 0 || !vly_str_to_u64(digits, &count))
        return vly_fail(err, VLY_EINVAL, "expected NAME=COUNT, got '%.*s'", VLY_STR_ARG(part));
    for (int is_global = 0; is_global < 2; is_global++) {
        resource *r;
        vly_status st = find_or_add(l, (vly_str){part.ptr, at}, is_global != 0, &r, err);
        if (st != VLY_OK)
            return st;
        r->capacity = count;
        r->is_fixed = true;
    }
    return VLY_OK;
}

vly_status vly_rate_limiter_new(const char *capacities, vly_rate_limiter **ret, vly_err *err)
{
    vly_rate_limiter *l = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*l));
    vly_str rest = vly_str_from(capacities);
    vly_status st = VLY_OK;

    if (l == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the rate limiter");
    pthread_mutex_init(&l->lock, NULL);
    while (st == VLY_OK && rest.len > 0) {
        size_t n = 0;
        while (n < rest.len && rest.ptr[n] != ',')
            n++;
        st = set_capacity(l, (vly_str){rest.ptr, n}, err);
        n += n < rest.len;
        rest = (vly_str){rest.ptr + n, rest.len - n};
    }
    if (st != VLY_OK) {
        vly_rate_limiter_free(l);
        return st;
    }
    *ret = l;
    return VLY_OK;
}

void vly_rate_limiter_free(vly_rate_limiter *l)
{
    if (l == NULL)
        return;
    VLY_ASSERT(l->waiting == NULL);
    for (size_t i = 0; i < l->n; i++) {
        VLY_ASSERT(l->resources[i].n_held == 0);
        vly_free(l->resources[i].name);
    }
    pthread_mutex_destroy(&l->lock);
    vly_free(l);
}

/* ---- claims ---- */

static vly_status add_need(vly_rate_limiter *l, const vly_triton_resource *config,
                           vly_rate_claim *c, vly_err *err)
{
    uint64_t count = config->count > 0 ? (uint64_t)config->count : 0;
    resource *r;

    if (c->n_needs == VLY_RATE_NEEDS_MAX)
        return vly_fail(err, VLY_ELIMIT, "rate_limiter: expected at most %d resources",
                        VLY_RATE_NEEDS_MAX);
    vly_status st = find_or_add(l, config->name, config->is_global, &r, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < c->n_needs; i++)
        if (c->needs[i].resource == (size_t)(r - l->resources))
            return vly_fail(err, VLY_EINVAL, "rate_limiter: resource '%s' is named twice", r->name);
    if (count > r->capacity && r->is_fixed)
        return vly_fail(err, VLY_EINVAL,
                        "rate_limiter: resource '%s': an instance needs %llu, there are %llu",
                        r->name, (unsigned long long)count, (unsigned long long)r->capacity);
    if (count > r->capacity)
        r->capacity = count;
    c->needs[c->n_needs++] =
        (vly_rate_need){.resource = (size_t)(r - l->resources), .count = count};
    return VLY_OK;
}

vly_status vly_rate_claim_init(vly_rate_limiter *l, const vly_triton_rate_limiter *config,
                               vly_rate_claim *c, vly_err *err)
{
    vly_status st = VLY_OK;

    if (config == NULL)
        return st;
    c->priority = config->priority > 0 ? (uint64_t)config->priority : 1;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; st == VLY_OK && i < config->n_resources; i++)
        st = add_need(l, &config->resources[i], c, err);
    pthread_mutex_unlock(&l->lock);
    return st;
}

static bool can_have(vly_rate_limiter *l, const vly_rate_claim *c)
{
    bool can = true;

    for (size_t i = 0; i < c->n_needs; i++) {
        const resource *r = &l->resources[c->needs[i].resource];
        can = can && !r->is_awaited && r->capacity - r->n_held >= c->needs[i].count;
    }
    for (size_t i = 0; !can && i < c->n_needs; i++)
        l->resources[c->needs[i].resource].is_awaited = true;
    return can;
}

static void hold(vly_rate_limiter *l, vly_rate_claim *c)
{
    for (size_t i = 0; i < c->n_needs; i++)
        l->resources[c->needs[i].resource].n_held += c->needs[i].count;
    l->pass = c->pass;
    c->pass += c->priority;
}

/* Meets what can be met, in order. Returns those claims, linked by next. */
static vly_rate_claim *meet(vly_rate_limiter *l)
{
    vly_rate_claim *met = NULL, **tail = &met, **link = &l->waiting;

    for (size_t i = 0; i < l->n; i++)
        l->resources[i].is_awaited = false;
    while (*link != NULL) {
        vly_rate_claim *c = *link;
        if (!can_have(l, c)) {
            link = &c->next;
            continue;
        }
        *link = c->next;
        hold(l, c);
        c->next = NULL;
        *tail = c;
        tail = &c->next;
    }
    return met;
}

static void tell(vly_rate_claim *met)
{
    while (met != NULL) {
        vly_rate_claim *c = met;
        met = c->next; /* read before it runs */
        c->granted(c);
    }
}

bool vly_rate_claim_take(vly_rate_limiter *l, vly_rate_claim *c)
{
    vly_rate_claim **link = &l->waiting;
    bool has = false;

    if (c->n_needs == 0)
        return true;
    pthread_mutex_lock(&l->lock);
    if (c->pass < l->pass) /* who did not ask for long has saved nothing up */
        c->pass = l->pass;
    while (*link != NULL && (*link)->pass <= c->pass)
        link = &(*link)->next;
    c->next = *link;
    *link = c;
    vly_rate_claim *met = meet(l);
    for (link = &met; *link != NULL && !has;) {
        has = *link == c;
        if (has)
            *link = c->next;
        else
            link = &(*link)->next;
    }
    pthread_mutex_unlock(&l->lock);
    tell(met);
    return has;
}

void vly_rate_claim_release(vly_rate_limiter *l, vly_rate_claim *c)
{
    if (c->n_needs == 0)
        return;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < c->n_needs; i++)
        l->resources[c->needs[i].resource].n_held -= c->needs[i].count;
    vly_rate_claim *met = meet(l);
    pthread_mutex_unlock(&l->lock);
    tell(met);
}
