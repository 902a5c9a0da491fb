/* SPDX-License-Identifier: MIT */
/*
 * Each level has two lists: the jobs in time, and behind them those past their timeout. Batches are
 * planned from the front at each question, which costs as many steps as the batch has jobs; when
 * jobs expire is in a heap, so that a long queue costs nothing while it waits.
 */
#include "sched/batch_queue.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define GAP_WEIGHT 4 /* the moving average takes a quarter of each new gap */
#define PATIENCE   2 /* gaps without an arrival until nobody is expected */

typedef struct job_list {
    vly_job *first, *last;
} job_list;

typedef struct queue_level {
    job_list lists[2]; /* [is_late] */
    size_t n;
} queue_level;

struct vly_batch_queue {
    vly_batch_rules rules; /* its arrays are those behind it */
    size_t n;
    uint64_t n_arrived;
    vly_heap expiries;
    vly_job *dropped, **dropped_tail;
    vly_nsec last_arrival_ns;
    vly_arrivals arrivals;
    bool is_waiting; /* the last plan was to wait for company */
    vly_queue_policy *policies;
    size_t *preferred;
    queue_level levels[]; /* [rules.n_levels] */
};

const char *vly_batch_reason_name(vly_batch_reason reason)
{
    static const char *const names[] = {
#define NAME(name, text) text,
        VLY_BATCH_REASON_MAP(NAME)
#undef NAME
    };
    VLY_ASSERT((size_t)reason < VLY_COUNT(names));
    return names[reason];
}

/* ---- life ---- */

static void check_rules(const vly_batch_rules *r)
{
    VLY_ASSERT(r->max_batch >= 1 && r->n_levels >= 1 && r->n_levels <= VLY_PRIORITY_LEVELS_MAX);
    VLY_ASSERT(r->default_level >= 1 && r->default_level <= r->n_levels);
    for (size_t i = 0; i < r->n_preferred; i++)
        VLY_ASSERT(r->preferred[i] >= 1 && r->preferred[i] <= r->max_batch &&
                   (i == 0 || r->preferred[i] > r->preferred[i - 1]));
}

vly_status vly_batch_queue_new(const vly_batch_rules *rules, vly_batch_queue **ret, vly_err *err)
{
    size_t n_preferred = rules->n_preferred != 0 ? rules->n_preferred : 1;

    check_rules(rules);
    vly_batch_queue *q =
        vly_calloc(VLY_MEM_SCHED, 1, sizeof(*q) + rules->n_levels * sizeof(q->levels[0]));
    vly_queue_policy *policies = vly_calloc(VLY_MEM_SCHED, rules->n_levels, sizeof(*policies));
    size_t *preferred = vly_calloc(VLY_MEM_SCHED, n_preferred, sizeof(*preferred));
    if (q == NULL || policies == NULL || preferred == NULL) {
        vly_free(q);
        vly_free(policies);
        vly_free(preferred);
        return vly_fail(err, VLY_ENOMEM, "out of memory for a queue");
    }
    memcpy(policies, rules->policies, rules->n_levels * sizeof(*policies));
    preferred[0] = rules->max_batch;
    if (rules->n_preferred != 0)
        memcpy(preferred, rules->preferred, n_preferred * sizeof(*preferred));
    q->rules = *rules;
    q->rules.policies = q->policies = policies;
    q->rules.preferred = q->preferred = preferred;
    q->rules.n_preferred = n_preferred;
    q->dropped_tail = &q->dropped;
    *ret = q;
    return VLY_OK;
}

void vly_batch_queue_free(vly_batch_queue *q)
{
    if (q == NULL)
        return;
    VLY_ASSERT(q->n == 0 && q->dropped == NULL);
    vly_free(q->policies);
    vly_free(q->preferred);
    vly_free(q);
}

const vly_batch_rules *vly_batch_queue_rules(const vly_batch_queue *q)
{
    return &q->rules;
}

size_t vly_batch_queue_len(const vly_batch_queue *q)
{
    return q->n;
}

/* ---- jobs in their lists ---- */

/* In the order of arrival; that is nearly always at the end. */
static void enter(job_list *l, vly_job *job)
{
    vly_job *before = l->last;

    while (before != NULL && before->place.number > job->place.number)
        before = before->place.prev;
    vly_job **link = before != NULL ? &before->next : &l->first;
    vly_job **back = *link != NULL ? &(*link)->place.prev : &l->last;
    job->place.prev = before;
    job->next = *link;
    *link = *back = job;
}

static void detach(job_list *l, vly_job *job)
{
    if (job->place.prev != NULL)
        job->place.prev->next = job->next;
    else
        l->first = job->next;
    if (job->next != NULL)
        job->next->place.prev = job->place.prev;
    else
        l->last = job->place.prev;
}

static void insert(vly_batch_queue *q, vly_job *job)
{
    queue_level *l = &q->levels[job->place.level];

    enter(&l->lists[job->place.is_late], job);
    l->n++;
    q->n++;
}

static void take_out(vly_batch_queue *q, vly_job *job)
{
    queue_level *l = &q->levels[job->place.level];

    detach(&l->lists[job->place.is_late], job);
    vly_heap_remove(&q->expiries, &job->place.expiry);
    l->n--;
    q->n--;
}

/* The first job of this list, or of the next one that has any. */
static vly_job *first_from(const vly_batch_queue *q, size_t level, bool is_late)
{
    for (size_t i = level * 2 + (size_t)is_late; i < q->rules.n_levels * 2; i++)
        if (q->levels[i / 2].lists[i % 2].first != NULL)
            return q->levels[i / 2].lists[i % 2].first;
    return NULL;
}

static vly_job *job_after(const vly_batch_queue *q, const vly_job *job)
{
    const vly_job_place *p = &job->place;

    if (job->next != NULL)
        return job->next;
    return first_from(q, p->level + (size_t)p->is_late, !p->is_late);
}

/* ---- jobs that will not run ---- */

static void drop(vly_batch_queue *q, vly_job *job)
{
    take_out(q, job);
    job->next = NULL;
    *q->dropped_tail = job;
    q->dropped_tail = &job->next;
}

vly_job *vly_batch_queue_dropped(vly_batch_queue *q)
{
    vly_job *jobs = q->dropped;

    q->dropped = NULL;
    q->dropped_tail = &q->dropped;
    return jobs;
}

/* The first job from this one on that is still wanted. */
static vly_job *skip_cancelled(vly_batch_queue *q, vly_job *job)
{
    while (job != NULL && vly_job_is_cancelled(job)) {
        vly_job *after = job_after(q, job);
        vly_fail(&job->err, VLY_ECANCELLED, "the client has gone");
        drop(q, job);
        job = after;
    }
    return job;
}

static void expire_job(vly_batch_queue *q, vly_job *job, vly_nsec now)
{
    bool is_dead = job->deadline_ns != 0 && job->deadline_ns <= now;

    if (is_dead || !q->policies[job->place.level].is_delay) {
        vly_fail(&job->err, VLY_EDEADLINE, "Request timeout expired");
        drop(q, job);
        return;
    }
    take_out(q, job);
    job->place.is_late = true;
    insert(q, job);
    if (job->deadline_ns != 0)
        vly_heap_add(&q->expiries, &job->place.expiry, job->deadline_ns);
}

void vly_batch_queue_expire(vly_batch_queue *q, vly_nsec now)
{
    const size_t at = offsetof(vly_job, place) + offsetof(vly_job_place, expiry);

    while (q->expiries.first != NULL && q->expiries.first->at_ns <= now)
        expire_job(q, (vly_job *)((char *)q->expiries.first - at), now);
}

vly_nsec vly_batch_queue_next_expiry(const vly_batch_queue *q)
{
    return q->expiries.first != NULL ? q->expiries.first->at_ns : 0;
}

/* ---- arrivals ---- */

static void count_arrival(vly_batch_queue *q, vly_nsec now, bool is_busy)
{
    vly_arrivals *a = &q->arrivals;
    vly_nsec last = q->last_arrival_ns;

    if (last != 0 && now <= last)
        return; /* together with the last one */
    q->last_arrival_ns = now;
    if (last == 0)
        return;
    vly_nsec gap = now - last;
    bool has_company = is_busy || q->n > 0;
    if (!has_company || a->streak == 0) /* what was known of the gap is of another time */
        a->gap_ns = gap;
    else
        a->gap_ns = a->gap_ns - a->gap_ns / GAP_WEIGHT + gap / GAP_WEIGHT;
    a->streak = has_company ? a->streak + 1 : 0;
}

vly_arrivals vly_batch_queue_arrivals(const vly_batch_queue *q)
{
    return q->arrivals;
}

/* Until when it is worth waiting for another job, if until end_ns at most; now: it is not. */
static vly_nsec company_until(const vly_batch_queue *q, vly_nsec now, vly_nsec end_ns)
{
    const vly_arrivals *a = &q->arrivals;
    vly_nsec patient_ns = q->last_arrival_ns + PATIENCE * a->gap_ns;

    if (a->streak < VLY_COMPANY_EVIDENCE || a->gap_ns > end_ns - now || patient_ns <= now)
        return now;
    return patient_ns < end_ns ? patient_ns : end_ns;
}

/* ---- arrival of jobs ---- */

static vly_nsec sooner(vly_nsec a, vly_nsec b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static vly_nsec expiry_of(const vly_queue_policy *p, const vly_job *job, vly_nsec now)
{
    vly_nsec timeout = p->timeout_ns;

    if (p->allows_override && job->timeout_us < UINT64_MAX / VLY_NSEC_PER_US)
        timeout = sooner(timeout, job->timeout_us * VLY_NSEC_PER_US);
    /* one that does not fit into the clock is none */
    vly_nsec at = timeout != 0 && timeout < UINT64_MAX - now ? now + timeout : 0;
    return sooner(at, job->deadline_ns);
}

static vly_status push_job(vly_batch_queue *q, vly_job *job, vly_nsec now, vly_err *err)
{
    uint64_t priority = job->priority;

    if (priority == 0 || priority > q->rules.n_levels)
        priority = q->rules.default_level;
    const vly_queue_policy *p = &q->policies[priority - 1];
    if (p->max_size != 0 && q->levels[priority - 1].n >= p->max_size)
        return vly_fail(err, VLY_EBUSY, "Exceeds maximum queue size of %zu", p->max_size);
    job->place = (vly_job_place){.level = (size_t)priority - 1, .number = q->n_arrived++};
    job->queued_ns = now;
    insert(q, job);
    vly_nsec at = expiry_of(p, job, job->waiting_since_ns != 0 ? job->waiting_since_ns : now);
    if (at != 0)
        vly_heap_add(&q->expiries, &job->place.expiry, at);
    return VLY_OK;
}

void vly_batch_queue_set_max_waiting(vly_batch_queue *q, size_t n)
{
    q->rules.max_waiting = n;
}

vly_status vly_batch_queue_push(vly_batch_queue *q, vly_job *const *jobs, size_t n, vly_nsec now,
                                bool is_busy, vly_err *err)
{
    size_t max = q->rules.max_waiting;
    vly_status st = VLY_OK;
    size_t n_in = 0;

    if (n > max)
        return vly_fail(err, VLY_ELIMIT, "expected at most %zu in one request, got %zu", max, n);
    count_arrival(q, now, is_busy);
    if (q->n > max - n)
        return vly_fail(err, VLY_EBUSY, "Exceeds maximum queue size of %zu", max);
    while (n_in < n && (st = push_job(q, jobs[n_in], now, err)) == VLY_OK)
        n_in++;
    while (st != VLY_OK && n_in > 0)
        take_out(q, jobs[--n_in]);
    return st;
}

/* ---- batches ---- */

/* The jobs from the front that run next. */
typedef struct plan {
    size_t n_jobs, n_inferences;
    vly_nsec oldest_ns;
    vly_batch_reason reason;
} plan;

static size_t inferences_of(const vly_job *job)
{
    return job->n_inferences != 0 ? job->n_inferences : 1;
}

/* Jobs that share with none, not even their like, are whole batches. */
static bool can_share(const vly_batch_rules *r, const vly_job *job)
{
    return r->fits != NULL && r->fits(r->ctx, job, job);
}

static bool is_preferred(const vly_batch_rules *r, size_t size)
{
    size_t i = 0;

    while (i < r->n_preferred && r->preferred[i] < size)
        i++;
    return i < r->n_preferred && r->preferred[i] == size;
}

/* As many jobs as fit together: `all`. The part of them that should run whatever else is there:
 * `best`, n_jobs 0 when there is none. Returns whether all cannot grow. */
static bool scan(vly_batch_queue *q, plan *all, plan *best)
{
    const vly_batch_rules *r = &q->rules;
    size_t largest = r->preferred[r->n_preferred - 1];
    const vly_job *first = NULL;

    *all = *best = (plan){.n_jobs = 0};
    for (vly_job *job = skip_cancelled(q, first_from(q, 0, false)); job != NULL;
         job = skip_cancelled(q, job_after(q, job))) {
        size_t size = all->n_inferences + inferences_of(job);
        all->reason = VLY_BATCH_FULL;
        if (first != NULL) {
            if (size > largest && best->n_jobs == 0)
                *best = *all;
            if (size > r->max_batch)
                return true;
            all->reason = VLY_BATCH_SHAPE;
            if (!r->fits(r->ctx, first, job))
                return true;
        } else {
            first = job;
            all->oldest_ns = job->queued_ns;
        }
        all->n_jobs++;
        all->n_inferences = size;
        if (job->queued_ns < all->oldest_ns)
            all->oldest_ns = job->queued_ns;
        if (is_preferred(r, size)) {
            all->reason = size < r->max_batch ? VLY_BATCH_PREFERRED : VLY_BATCH_FULL;
            *best = *all;
        }
        if (job == first && !can_share(r, first))
            return true;
    }
    return all->n_inferences >= largest;
}

static bool wait_until(vly_batch_queue *q, vly_nsec when, vly_nsec *ret_when)
{
    q->is_waiting = true;
    *ret_when = when;
    return false;
}

/* Company did not come: the evidence was wrong. */
static void stop_waiting(vly_batch_queue *q)
{
    if (q->is_waiting)
        q->arrivals.streak = 0;
}

static bool plan_batch(vly_batch_queue *q, vly_nsec now, plan *ret, vly_nsec *ret_when)
{
    vly_nsec delay = q->rules.delay_ns;
    plan all, best;

    *ret_when = 0;
    vly_batch_queue_expire(q, now);
    bool is_closed = scan(q, &all, &best);
    if (all.n_jobs == 0)
        return false;
    vly_nsec end_ns = all.oldest_ns + delay;
    bool is_delayed = delay != 0 && end_ns <= now;
    *ret = all;
    if (best.n_jobs != 0 && !is_delayed) {
        *ret = best;
    } else if (is_delayed && !is_closed) {
        ret->reason = VLY_BATCH_DELAY;
    } else if (!is_closed) {
        vly_nsec when = delay != 0 ? company_until(q, now, end_ns) : now;
        if (when > now)
            return wait_until(q, when, ret_when);
        ret->reason = VLY_BATCH_IDLE;
        stop_waiting(q);
    }
    q->is_waiting = false;
    return true;
}

bool vly_batch_queue_is_ready(vly_batch_queue *q, vly_nsec now, vly_nsec *ret_when)
{
    plan p;
    return plan_batch(q, now, &p, ret_when);
}

bool vly_batch_queue_take(vly_batch_queue *q, vly_nsec now, vly_batch *ret, vly_nsec *ret_when)
{
    plan p;

    if (!plan_batch(q, now, &p, ret_when))
        return false;
    *ret = (vly_batch){.n_jobs = p.n_jobs,
                       .n_inferences = p.n_inferences,
                       .oldest_ns = p.oldest_ns,
                       .reason = p.reason};
    vly_job **tail = &ret->first;
    for (size_t i = 0; i < p.n_jobs; i++) {
        vly_job *job = first_from(q, 0, false);
        VLY_ASSERT(job != NULL); /* the plan counts what waits */
        take_out(q, job);
        *tail = job;
        tail = &job->next;
    }
    *tail = NULL;
    return true;
}

/* ---- answers in order ---- */

void vly_answer_order_begin(vly_answer_order *o, vly_job *job)
{
    job->place.is_ended = false;
    job->place.prev = NULL; /* here: the one that began after it */
    if (o->last != NULL)
        o->last->place.prev = job;
    else
        o->head = job;
    o->last = job;
}

vly_job *vly_answer_order_end(vly_answer_order *o, vly_job *job)
{
    vly_job *answered = NULL, **tail = &answered;

    job->place.is_ended = true;
    while (o->head != NULL && o->head->place.is_ended) {
        vly_job *head = o->head;
        o->head = head->place.prev;
        *tail = head;
        tail = &head->next;
    }
    if (o->head == NULL)
        o->last = NULL;
    *tail = NULL;
    return answered;
}
