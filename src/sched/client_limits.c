/* SPDX-License-Identifier: MIT */
/*
 * Each part of the table is a hash table with chains, by index, in one block of memory; those with
 * nothing in work are also in a list, the one that was silent for longest first.
 */
#include "sched/client_limits.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <pthread.h>

#define PARTS 16
#define NONE  UINT32_MAX

#define BUSY_WAIT_NS VLY_NSEC_PER_SEC /* when to come again while as many are in work as may be */

typedef struct client {
    uint64_t id;
    double left; /* in the bucket at since_ns */
    vly_nsec since_ns;
    uint32_t n_in_work;
    uint32_t next;         /* in its chain */
    uint32_t older, newer; /* in the list of the idle, when nothing is in work */
} client;

typedef struct part {
    pthread_mutex_t lock;
    client *clients; /* [cap]; guarded by lock, as all below */
    uint32_t *heads; /* [cap]: of the chains */
    uint32_t cap, n;
    uint32_t oldest, newest;
} part;

struct vly_client_limits {
    part parts[PARTS]; /* zeroed beyond n_parts */
    size_t n_parts;
};

/* Addresses are not spread evenly in their low bits. */
static uint64_t mix(uint64_t id)
{
    return vly_rng_mix(id, 0);
}

static part *part_of(vly_client_limits *l, uint64_t id)
{
    return &l->parts[mix(id) % l->n_parts];
}

static uint32_t *chain_of(part *p, uint64_t id)
{
    return &p->heads[(mix(id) >> 32) % p->cap];
}

/* ---- the list of the idle ---- */

static void leave_list(part *p, uint32_t i)
{
    const client *c = &p->clients[i];

    *(c->older != NONE ? &p->clients[c->older].newer : &p->oldest) = c->newer;
    *(c->newer != NONE ? &p->clients[c->newer].older : &p->newest) = c->older;
}

static void join_list(part *p, uint32_t i)
{
    client *c = &p->clients[i];

    c->older = p->newest;
    c->newer = NONE;
    *(p->newest != NONE ? &p->clients[p->newest].newer : &p->oldest) = i;
    p->newest = i;
}

/* ---- the table ---- */

static uint32_t find(part *p, uint64_t id)
{
    uint32_t i = *chain_of(p, id);

    while (i != NONE && p->clients[i].id != id)
        i = p->clients[i].next;
    return i;
}

static void leave_chain(part *p, uint32_t i)
{
    uint32_t *at = chain_of(p, p->clients[i].id);

    while (*at != i)
        at = &p->clients[*at].next;
    *at = p->clients[i].next;
}

/* A place for a client that has none, idle; NONE: all others have something in work. */
static uint32_t add(part *p, uint64_t id, const vly_client_rule *rule, vly_nsec now)
{
    uint32_t i = p->n;

    if (p->n < p->cap) {
        p->n++;
    } else {
        i = p->oldest;
        if (i == NONE)
            return NONE;
        leave_list(p, i);
        leave_chain(p, i);
    }
    uint32_t *chain = chain_of(p, id);
    p->clients[i] = (client){.id = id, .left = rule->burst, .since_ns = now, .next = *chain};
    *chain = i;
    join_list(p, i);
    return i;
}

/* ---- the bucket ---- */

static void refill(client *c, const vly_client_rule *rule, vly_nsec now)
{
    double s = now > c->since_ns ? (double)(now - c->since_ns) / (double)VLY_NSEC_PER_SEC : 0;

    c->left += s * rule->rate;
    if (c->left > rule->burst)
        c->left = rule->burst;
    if (now > c->since_ns)
        c->since_ns = now;
}

static vly_nsec time_for(double n, const vly_client_rule *rule)
{
    double ns = n / rule->rate * (double)VLY_NSEC_PER_SEC;

    return n <= 0 ? 0 : ns < 1e18 ? (vly_nsec)ns + 1 : (vly_nsec)1e18;
}

static void tell(const client *c, const vly_client_rule *rule, vly_client_state *ret)
{
    *ret = (vly_client_state){.left = 0};
    if (rule->rate <= 0)
        return;
    ret->left = c->left;
    ret->full_ns = time_for(rule->burst - c->left, rule);
    ret->wait_ns = time_for(1 - c->left, rule);
}

static vly_status spend(client *c, const vly_client_rule *rule, vly_nsec now, vly_client_state *ret,
                        vly_err *err)
{
    refill(c, rule, now);
    tell(c, rule, ret);
    if (rule->rate > 0 && c->left < 1)
        return vly_fail(err, VLY_EBUSY, "more than %g requests a second", rule->rate);
    if (rule->rate > 0)
        c->left -= 1;
    tell(c, rule, ret);
    ret->wait_ns = 0;
    return VLY_OK;
}

/* ---- outside ---- */

/* The part is locked. In *ret the client's place. */
static vly_status find_or_add(part *p, uint64_t id, const vly_client_rule *rule, vly_nsec now,
                              uint32_t *ret, vly_err *err)
{
    uint32_t i = find(p, id);

    if (i == NONE)
        i = add(p, id, rule, now);
    if (i == NONE)
        return vly_fail(err, VLY_EBUSY, "too many clients at once");
    *ret = i;
    return VLY_OK;
}

static bool is_busy(const client *c, const vly_client_rule *rule)
{
    return rule->concurrency > 0 && c->n_in_work >= rule->concurrency;
}

bool vly_client_limits_would_take(vly_client_limits *l, uint64_t id, const vly_client_rule *rule,
                                  vly_nsec now)
{
    part *p = part_of(l, id);
    client c = {.left = 1};

    pthread_mutex_lock(&p->lock);
    uint32_t i = find(p, id);
    if (i != NONE) {
        c = p->clients[i];
        refill(&c, rule, now);
    }
    pthread_mutex_unlock(&p->lock);
    return !is_busy(&c, rule) && (rule->rate <= 0 || c.left >= 1);
}

static vly_status begin_work(part *p, uint32_t i, const vly_client_rule *rule, vly_nsec now,
                             vly_client_state *ret, vly_err *err)
{
    client *c = &p->clients[i];

    refill(c, rule, now);
    if (is_busy(c, rule)) {
        tell(c, rule, ret);
        ret->wait_ns = BUSY_WAIT_NS;
        return vly_fail(err, VLY_EBUSY, "more than %u requests at once", rule->concurrency);
    }
    vly_status st = spend(c, rule, now, ret, err);
    if (c->n_in_work == 0)
        leave_list(p, i);
    c->n_in_work += st == VLY_OK;
    if (c->n_in_work == 0)
        join_list(p, i); /* the newest of the idle now */
    return st;
}

vly_status vly_client_limits_take(vly_client_limits *l, uint64_t id, const vly_client_rule *rule,
                                  vly_nsec now, vly_client_state *ret, vly_err *err)
{
    part *p = part_of(l, id);
    uint32_t i = NONE;

    *ret = (vly_client_state){.wait_ns = BUSY_WAIT_NS};
    pthread_mutex_lock(&p->lock);
    vly_status st = find_or_add(p, id, rule, now, &i, err);
    if (st == VLY_OK)
        st = begin_work(p, i, rule, now, ret, err);
    pthread_mutex_unlock(&p->lock);
    return st;
}

vly_status vly_client_limits_spend(vly_client_limits *l, uint64_t id, const vly_client_rule *rule,
                                   vly_nsec now, vly_client_state *ret, vly_err *err)
{
    part *p = part_of(l, id);
    uint32_t i = NONE;

    *ret = (vly_client_state){.wait_ns = BUSY_WAIT_NS};
    pthread_mutex_lock(&p->lock);
    vly_status st = find_or_add(p, id, rule, now, &i, err);
    if (st == VLY_OK)
        st = spend(&p->clients[i], rule, now, ret, err);
    pthread_mutex_unlock(&p->lock);
    return st;
}

void vly_client_limits_give(vly_client_limits *l, uint64_t id)
{
    part *p = part_of(l, id);

    pthread_mutex_lock(&p->lock);
    uint32_t i = find(p, id);
    VLY_ASSERT(i != NONE && p->clients[i].n_in_work > 0);
    if (--p->clients[i].n_in_work == 0)
        join_list(p, i);
    pthread_mutex_unlock(&p->lock);
}

static bool part_init(part *p, uint32_t cap)
{
    *p = (part){.cap = cap, .oldest = NONE, .newest = NONE};
    pthread_mutex_init(&p->lock, NULL);
    p->clients = vly_calloc(VLY_MEM_SCHED, cap, sizeof(*p->clients));
    p->heads = vly_calloc(VLY_MEM_SCHED, cap, sizeof(*p->heads));
    for (uint32_t i = 0; p->heads != NULL && i < cap; i++)
        p->heads[i] = NONE;
    return p->clients != NULL && p->heads != NULL;
}

/* Hashes fill the parts unevenly, by sqrt(mean) more or less: eight times that is never met. */
static size_t cap_of(size_t mean, size_t n_parts)
{
    return n_parts == 1 ? mean : mean + 8 * (size_t)ceil(sqrt((double)mean));
}

vly_status vly_client_limits_new(size_t max_clients, vly_client_limits **ret, vly_err *err)
{
    vly_client_limits *l = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*l));
    size_t n_parts = max_clients < (size_t)2 * PARTS ? 1 : PARTS;
    size_t cap = cap_of((max_clients + n_parts - 1) / n_parts, n_parts);
    bool ok = l != NULL;

    VLY_ASSERT(max_clients > 0 && cap < NONE);
    for (size_t i = 0; ok && i < n_parts; i++, l->n_parts++)
        ok = part_init(&l->parts[i], (uint32_t)cap);
    if (!ok) {
        vly_client_limits_free(l);
        return vly_fail(err, VLY_ENOMEM, "out of memory for %zu clients", max_clients);
    }
    *ret = l;
    return VLY_OK;
}

void vly_client_limits_free(vly_client_limits *l)
{
    for (size_t i = 0; l != NULL && i < l->n_parts; i++) {
        pthread_mutex_destroy(&l->parts[i].lock);
        vly_free(l->parts[i].clients);
        vly_free(l->parts[i].heads);
    }
    vly_free(l);
}
