/* SPDX-License-Identifier: MIT */
/*
 * The batch queue with the clock in hand. Expected batches are those of Triton's documentation
 * (batcher.md: preferred sizes, delayed batching, priorities, queue policies) worked out by hand;
 * then random arrivals against a model of the algorithm that is as plain as it can be.
 */
#include "sched/batch_queue.h"

#include "base/assert.h"
#include "unit.h"

#include <string.h>

#define MS VLY_NSEC_PER_MS

enum { JOBS_MAX = 4096 };

static vly_batch_queue *q;
static vly_job jobs[JOBS_MAX];
static vly_err err;

/* Jobs share a batch when their ctx is the same; NULL shares with none. */
static bool fits(const void *ctx, const vly_job *first, const vly_job *job)
{
    (void)ctx;
    return first->ctx != NULL && first->ctx == job->ctx;
}

static char small[] = "small", large[] = "large";

static const vly_queue_policy no_policy = {.timeout_ns = 0};

static void open_queue(vly_batch_rules r)
{
    if (r.policies == NULL) {
        r.policies = &no_policy;
        r.n_levels = r.default_level = 1;
    }
    r.fits = fits;
    if (r.max_waiting == 0)
        r.max_waiting = JOBS_MAX;
    assert_int_equal(vly_batch_queue_new(&r, &q, &err), VLY_OK);
}

static void close_queue(void)
{
    vly_batch_queue_free(q);
    q = NULL;
}

static vly_status push(size_t i, size_t size, vly_nsec now, bool is_busy)
{
    vly_job *job = &jobs[i];

    if (job->ctx == NULL)
        job->ctx = small;
    job->n_inferences = size;
    return vly_batch_queue_push(q, &job, 1, now, is_busy, &err);
}

/* Pushes jobs [from, to) of size 1 at once. */
static void push_many(size_t from, size_t to, vly_nsec now)
{
    for (size_t i = from; i < to; i++)
        assert_int_equal(push(i, 1, now, true), VLY_OK);
}

static int clear_jobs(void **state)
{
    (void)state;
    memset(jobs, 0, sizeof(jobs));
    return 0;
}

/* Takes a batch and checks that it is jobs [from, to), closed for that reason. */
static void expect_batch(vly_nsec now, size_t from, size_t to, vly_batch_reason reason)
{
    vly_batch b = {.n_jobs = 0};
    vly_nsec when = 0;

    if (!vly_batch_queue_take(q, now, &b, &when))
        fail_msg("expected jobs %zu to %zu, got none until %llu", from, to - 1,
                 (unsigned long long)when);
    size_t i = from;
    for (const vly_job *job = b.first; job != NULL; job = job->next)
        assert_int_equal(job - jobs, i++);
    assert_int_equal(i, to);
    assert_int_equal(b.n_jobs, to - from);
    assert_string_equal(vly_batch_reason_name(b.reason), vly_batch_reason_name(reason));
}

/* One job by its number, whatever the reason. */
static void expect_job(vly_nsec now, size_t i)
{
    vly_batch b = {.n_jobs = 0};
    vly_nsec when = 0;

    assert_true(vly_batch_queue_take(q, now, &b, &when));
    assert_int_equal(b.n_jobs, 1);
    assert_int_equal(b.first - jobs, i);
}

static void expect_none(vly_nsec now, vly_nsec when_expected)
{
    vly_batch b;
    vly_nsec when = 12345;

    assert_false(vly_batch_queue_take(q, now, &b, &when));
    assert_int_equal(when, when_expected);
}

static void expect_dropped(size_t i, vly_status st)
{
    const vly_job *job = vly_batch_queue_dropped(q);

    assert_ptr_equal(job, &jobs[i]);
    assert_null(job->next);
    assert_int_equal(job->err.status, st);
}

/* Arrivals a millisecond apart that find others at work: company is expected from now on. Their
 * jobs are jobs [JOBS_MAX - 4, JOBS_MAX), and are gone again. Returns the time of the last. */
static vly_nsec see_traffic(void)
{
    vly_nsec now = MS;
    vly_nsec when;
    vly_batch b;

    for (size_t i = JOBS_MAX - 4; i < JOBS_MAX; i++) {
        now += MS;
        assert_int_equal(push(i, 1, now, true), VLY_OK);
    }
    while (vly_batch_queue_take(q, now + 1000 * MS, &b, &when))
        continue;
    assert_int_equal(vly_batch_queue_len(q), 0);
    return now;
}

/* "without a delay: a batch as large as possible, of a preferred size if one can be formed" */
static void preferred_sizes_without_delay(void **state)
{
    (void)state;
    const size_t preferred[] = {4, 8};
    open_queue((vly_batch_rules){.max_batch = 16, .preferred = preferred, .n_preferred = 2});
    push_many(0, 3, 1);
    expect_batch(1, 0, 3, VLY_BATCH_IDLE); /* no preferred size: as many as there are */
    push_many(0, 7, 2);
    expect_batch(2, 0, 4, VLY_BATCH_PREFERRED);
    expect_batch(2, 4, 7, VLY_BATCH_IDLE);
    push_many(0, 13, 3);
    expect_batch(3, 0, 8, VLY_BATCH_PREFERRED);
    expect_batch(3, 8, 12, VLY_BATCH_PREFERRED);
    expect_batch(3, 12, 13, VLY_BATCH_IDLE);
    expect_none(3, 0);
    close_queue();
}

static void full_batches(void **state)
{
    (void)state;
    const size_t preferred[] = {4, 8};
    open_queue((vly_batch_rules){.max_batch = 8});
    push_many(0, 11, 1);
    expect_batch(1, 0, 8, VLY_BATCH_FULL);
    expect_batch(1, 8, 11, VLY_BATCH_IDLE);
    /* Requests that bring several inferences: a batch that would grow too large closes before. */
    push(0, 3, 2, true);
    push(1, 3, 2, true);
    push(2, 3, 2, true);
    expect_batch(2, 0, 2, VLY_BATCH_FULL);
    expect_batch(2, 2, 3, VLY_BATCH_IDLE);
    push(0, 20, 3, true); /* larger than any batch: alone */
    push(1, 1, 3, true);
    expect_batch(3, 0, 1, VLY_BATCH_FULL);
    expect_batch(3, 1, 2, VLY_BATCH_IDLE);
    close_queue();
    /* Past the largest preferred size without having met one: what there was before. */
    open_queue((vly_batch_rules){.max_batch = 16, .preferred = preferred, .n_preferred = 2});
    push(0, 3, 1, true);
    push(1, 6, 1, true);
    expect_batch(1, 0, 1, VLY_BATCH_FULL);
    expect_batch(1, 1, 2, VLY_BATCH_IDLE);
    /* Having met one (4): that, though 4 + 3 + 5 is more than the largest and less than max. */
    push(0, 4, 2, true);
    push(1, 3, 2, true);
    push(2, 5, 2, true);
    expect_batch(2, 0, 1, VLY_BATCH_PREFERRED);
    expect_batch(2, 1, 3, VLY_BATCH_PREFERRED); /* 3 + 5 */
    close_queue();
}

/* "If a batch of a preferred size cannot be created the batcher will delay as long as no request is
 * delayed longer than the configured max_queue_delay_microseconds" */
static void delay_counts_from_the_oldest(void **state)
{
    (void)state;
    const size_t preferred[] = {4};
    open_queue((vly_batch_rules){
        .max_batch = 8, .preferred = preferred, .n_preferred = 1, .delay_ns = 100 * MS});
    vly_nsec t = see_traffic();
    push(0, 1, t + 1 * MS, true);
    expect_none(t + 1 * MS, t + 3 * MS); /* two gaps of a millisecond */
    push(1, 1, t + 2 * MS, true);
    expect_none(t + 2 * MS, t + 4 * MS);
    push(2, 1, t + 3 * MS, true);
    expect_none(t + 3 * MS, t + 5 * MS);
    push(3, 1, t + 4 * MS, true);
    expect_batch(t + 4 * MS, 0, 4, VLY_BATCH_PREFERRED); /* at once */
    close_queue();

    open_queue((vly_batch_rules){.max_batch = 100, .delay_ns = 3 * MS + MS / 2});
    t = see_traffic();
    for (size_t i = 0; i < 4; i++) {
        push(i, 1, t + (i + 1) * MS, true);
        if (i < 3)
            expect_none(t + (i + 1) * MS, t + (i < 2 ? (i + 3) * MS : 4 * MS + MS / 2));
    }
    /* 0.5 ms are left, and the next arrival is expected in 1 ms */
    expect_batch(t + 4 * MS, 0, 4, VLY_BATCH_IDLE);
    /* Jobs that have waited for an instance longer than the delay all go, past preferred sizes. */
    push_many(0, 60, t + 10 * MS);
    push_many(60, 70, t + 13 * MS);
    expect_batch(t + 14 * MS, 0, 70, VLY_BATCH_DELAY);
    close_queue();
}

static void a_lone_job_goes_at_once(void **state)
{
    (void)state;
    open_queue((vly_batch_rules){.max_batch = 8, .delay_ns = 100 * MS});
    push(0, 1, MS, false); /* the first ever */
    expect_batch(MS, 0, 1, VLY_BATCH_IDLE);
    vly_nsec t = see_traffic();
    push(0, 1, t + MS, false); /* right after a burst, but nobody is there any more */
    expect_batch(t + MS, 0, 1, VLY_BATCH_IDLE);
    /* A client that asks again when it has its answer never finds anybody else. */
    for (int i = 0; i < 50; i++) {
        t += 2 * MS;
        push(0, 1, t, false);
        expect_batch(t, 0, 1, VLY_BATCH_IDLE);
    }
    /* Arrivals further apart than the delay: no company in time. */
    for (int i = 0; i < 10; i++) {
        t += 150 * MS;
        push(0, 1, t, true);
        expect_batch(t, 0, 1, VLY_BATCH_IDLE);
    }
    close_queue();
}

static void vain_waiting_ends(void **state)
{
    (void)state;
    open_queue((vly_batch_rules){.max_batch = 8, .delay_ns = 100 * MS});
    vly_nsec t = see_traffic();
    push(0, 1, t + MS, true);
    expect_none(t + MS, t + 3 * MS);
    expect_none(t + 3 * MS - 1, t + 3 * MS);
    expect_batch(t + 3 * MS, 0, 1, VLY_BATCH_IDLE); /* two gaps have passed */
    /* The evidence is gathered anew before anybody waits again. */
    t += 4 * MS;
    for (size_t i = 0; i < VLY_COMPANY_EVIDENCE - 1; i++) {
        push(i, 1, t, true);
        expect_batch(t, i, i + 1, VLY_BATCH_IDLE);
        t += MS;
    }
    push(3, 1, t, true);
    /* gaps of 3, 1 and 1 ms: on average 3, 2.5 and 2.125 ms */
    expect_none(t, t + 4 * MS + MS / 4);
    expect_batch(t + 5 * MS, 3, 4, VLY_BATCH_IDLE);
    close_queue();
}

static void shapes_split_batches(void **state)
{
    (void)state;
    open_queue((vly_batch_rules){.max_batch = 8, .delay_ns = 100 * MS});
    jobs[2].ctx = jobs[3].ctx = large;
    push_many(0, 5, see_traffic());
    vly_nsec now = jobs[0].queued_ns;
    expect_batch(now, 0, 2, VLY_BATCH_SHAPE);
    expect_batch(now, 2, 4, VLY_BATCH_SHAPE);
    expect_none(now, now + 2 * MS);
    expect_batch(now + 100 * MS, 4, 5, VLY_BATCH_DELAY);
    close_queue();
}

static bool fits_none(const void *ctx, const vly_job *first, const vly_job *job)
{
    (void)ctx;
    (void)first;
    (void)job;
    return false;
}

static void jobs_that_never_share(void **state)
{
    (void)state;
    vly_batch_queue *alone;
    vly_batch_rules r = {.max_batch = 8,
                         .delay_ns = 100 * MS,
                         .policies = &no_policy,
                         .n_levels = 1,
                         .default_level = 1,
                         .max_waiting = 8,
                         .fits = fits_none};
    assert_int_equal(vly_batch_queue_new(&r, &alone, &err), VLY_OK);
    q = alone;
    see_traffic();
    push_many(0, 2, 50 * MS);
    expect_batch(50 * MS, 0, 1, VLY_BATCH_FULL); /* waiting would be in vain */
    expect_batch(50 * MS, 1, 2, VLY_BATCH_FULL);
    close_queue();
}

/* Level 1 first; a job without a level, or with one that there is not, gets the default. */
static void priorities(void **state)
{
    (void)state;
    const vly_queue_policy policies[3] = {no_policy, no_policy, {.max_size = 2}};
    const uint64_t levels[] = {3, 0, 1, 2, 1, 9, 3};
    const size_t order[] = {2, 4, 1, 3, 5, 0, 6};

    open_queue(
        (vly_batch_rules){.max_batch = 1, .policies = policies, .n_levels = 3, .default_level = 2});
    for (size_t i = 0; i < 7; i++) {
        jobs[i].priority = levels[i];
        push(i, 1, 1, false);
    }
    jobs[7].priority = 3;
    assert_int_equal(push(7, 1, 1, false), VLY_EBUSY);
    assert_string_equal(err.msg, "Exceeds maximum queue size of 2");
    for (size_t i = 0; i < 7; i++)
        expect_job(1, order[i]);
    close_queue();
    /* In one batch they come in the same order, and an urgent one joins a batch that waits. */
    memset(jobs, 0, sizeof(jobs));
    open_queue((vly_batch_rules){.max_batch = 3,
                                 .delay_ns = 50 * MS,
                                 .policies = policies,
                                 .n_levels = 3,
                                 .default_level = 2});
    vly_nsec t = see_traffic() + MS;
    push(1, 1, t, true);
    push(2, 1, t, true);
    expect_none(t, t + 2 * MS);
    jobs[0].priority = 1;
    push(0, 1, t + MS, true);
    expect_batch(t + MS, 0, 3, VLY_BATCH_FULL);
    close_queue();
}

static void timeouts_reject(void **state)
{
    (void)state;
    const vly_queue_policy p = {.timeout_ns = 10 * MS, .allows_override = true};
    open_queue(
        (vly_batch_rules){.max_batch = 1, .policies = &p, .n_levels = 1, .default_level = 1});
    jobs[1].timeout_us = 4000;  /* shorter: counts */
    jobs[2].timeout_us = 90000; /* longer: may not */
    jobs[3].deadline_ns = 7 * MS;
    for (size_t i = 0; i < 4; i++)
        push(i, 1, i + 1, false);
    assert_int_equal(vly_batch_queue_next_expiry(q), 4 * MS + 2);
    vly_batch_queue_expire(q, 4 * MS + 1);
    assert_null(vly_batch_queue_dropped(q));
    vly_batch_queue_expire(q, 4 * MS + 2);
    expect_dropped(1, VLY_EDEADLINE);
    assert_string_equal(jobs[1].err.msg, "Request timeout expired");
    assert_int_equal(vly_batch_queue_next_expiry(q), 7 * MS);
    expect_job(8 * MS, 0);
    expect_dropped(3, VLY_EDEADLINE);
    assert_int_equal(vly_batch_queue_next_expiry(q), 10 * MS + 3);
    expect_none(11 * MS, 0);
    expect_dropped(2, VLY_EDEADLINE);
    assert_int_equal(vly_batch_queue_next_expiry(q), 0);
    close_queue();
}

/* One that has waited elsewhere does not begin anew. */
static void timeouts_count_from_the_beginning(void **state)
{
    (void)state;
    const vly_queue_policy p = {.timeout_ns = 10 * MS};
    open_queue(
        (vly_batch_rules){.max_batch = 1, .policies = &p, .n_levels = 1, .default_level = 1});
    jobs[0].waiting_since_ns = 95 * MS;
    jobs[1].waiting_since_ns = 80 * MS;
    push(0, 1, 100 * MS, false);
    assert_int_equal(vly_batch_queue_next_expiry(q), 105 * MS);
    push(1, 1, 100 * MS, false);
    vly_batch_queue_expire(q, 100 * MS);
    expect_dropped(1, VLY_EDEADLINE);
    expect_job(100 * MS, 0);
    close_queue();
}

/* "delayed until all other requests at the same priority level that have not reached their timeouts
 * are processed" */
static void timeouts_delay(void **state)
{
    (void)state;
    const vly_queue_policy p[2] = {{.timeout_ns = 10 * MS, .is_delay = true}, no_policy};
    open_queue((vly_batch_rules){.max_batch = 1, .policies = p, .n_levels = 2, .default_level = 1});
    jobs[1].deadline_ns = 30 * MS; /* the client's word is final */
    jobs[4].priority = 2;
    push(0, 1, 1 * MS, false);
    push(1, 1, 2 * MS, false);
    push(2, 1, 9 * MS, false);
    push(3, 1, 9 * MS, false);
    push(4, 1, 1 * MS, false);
    expect_job(12 * MS, 2);
    expect_job(12 * MS, 3);
    push(5, 1, 13 * MS, false);
    expect_job(13 * MS, 5); /* newer, and in time */
    expect_job(13 * MS, 0);
    assert_int_equal(vly_batch_queue_next_expiry(q), 30 * MS);
    expect_job(30 * MS, 4); /* level 2, behind the late ones of level 1 */
    expect_dropped(1, VLY_EDEADLINE);
    close_queue();
}

static void cancelled_jobs_leave(void **state)
{
    (void)state;
    _Atomic bool gone = false;
    open_queue((vly_batch_rules){.max_batch = 4});
    jobs[0].is_cancelled = &gone;
    jobs[2].is_cancelled = &gone;
    push_many(0, 3, 1);
    atomic_store(&gone, true);
    expect_batch(1, 1, 2, VLY_BATCH_IDLE);
    const vly_job *first = vly_batch_queue_dropped(q);
    assert_ptr_equal(first, &jobs[0]);
    assert_ptr_equal(first->next, &jobs[2]);
    assert_int_equal(first->err.status, VLY_ECANCELLED);
    close_queue();
}

/* Their clients have gone, but others wait for the same. */
static void cancelled_jobs_that_others_want_stay(void **state)
{
    (void)state;
    _Atomic bool gone = true, has_company = false;
    open_queue((vly_batch_rules){.max_batch = 4});
    jobs[0].is_cancelled = jobs[1].is_cancelled = &gone;
    jobs[0].is_wanted = &has_company;
    push_many(0, 2, 1);
    atomic_store(&has_company, true);
    expect_batch(1, 0, 1, VLY_BATCH_IDLE);
    assert_ptr_equal(vly_batch_queue_dropped(q), &jobs[1]);
    close_queue();
}

static void queue_is_bounded(void **state)
{
    (void)state;
    vly_job *list[] = {&jobs[0], &jobs[1], &jobs[2], &jobs[3]};
    open_queue((vly_batch_rules){.max_batch = 2, .max_waiting = 3});
    assert_int_equal(vly_batch_queue_push(q, list, 4, 1, false, &err), VLY_ELIMIT);
    assert_int_equal(vly_batch_queue_push(q, list, 2, 1, false, &err), VLY_OK);
    assert_int_equal(vly_batch_queue_push(q, list + 2, 2, 1, false, &err), VLY_EBUSY);
    assert_int_equal(vly_batch_queue_len(q), 2); /* all or none */
    vly_batch_queue_set_max_waiting(q, 1);       /* fewer than wait */
    assert_int_equal(vly_batch_queue_push(q, list + 2, 1, 1, false, &err), VLY_EBUSY);
    assert_int_equal(vly_batch_queue_len(q), 2);
    jobs[0].ctx = jobs[1].ctx = small;
    expect_batch(1, 0, 2, VLY_BATCH_FULL);
    close_queue();
}

static void answers_keep_their_order(void **state)
{
    (void)state;
    vly_answer_order o = {.head = NULL};

    for (size_t i = 0; i < 4; i++)
        vly_answer_order_begin(&o, &jobs[i]);
    assert_null(vly_answer_order_end(&o, &jobs[2]));
    assert_null(vly_answer_order_end(&o, &jobs[1]));
    vly_job *job = vly_answer_order_end(&o, &jobs[0]);
    for (size_t i = 0; i < 3; i++, job = job->next)
        assert_ptr_equal(job, &jobs[i]);
    assert_null(job);
    vly_answer_order_begin(&o, &jobs[0]); /* again */
    assert_ptr_equal(vly_answer_order_end(&o, &jobs[3]), &jobs[3]);
    assert_ptr_equal(vly_answer_order_end(&o, &jobs[0]), &jobs[0]);
    assert_null(o.head);
}

/* ---- random arrivals against a plain model ---- */

static unsigned random_below(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 8) % n;
}

typedef enum fate { UNBORN, WAITING, GONE } fate;

typedef struct row {
    size_t size, level;
    int shape;
    vly_nsec queued, expires, deadline; /* 0: never */
    bool is_late;
    fate fate;
} row;

typedef struct model {
    row rows[JOBS_MAX];
    size_t n;
    size_t max_batch, n_preferred, preferred[3];
    vly_nsec delay;
    bool is_delay[3]; /* of the level */
    vly_nsec timeout[3];
} model;

static void model_expire(model *m, vly_nsec now)
{
    for (size_t i = 0; i < m->n; i++) {
        row *r = &m->rows[i];
        if (r->fate != WAITING)
            continue;
        bool is_expired = r->expires != 0 && r->expires <= now;
        bool is_dead = r->deadline != 0 && r->deadline <= now;
        if (is_dead || (is_expired && !m->is_delay[r->level]))
            r->fate = GONE;
        else if (is_expired)
            r->is_late = true;
    }
}

/* The jobs in order: level, lateness, then age. */
static bool is_before(const model *m, size_t a, size_t b)
{
    const row *x = &m->rows[a], *y = &m->rows[b];

    if (x->level != y->level)
        return x->level < y->level;
    if (x->is_late != y->is_late)
        return y->is_late;
    return a < b;
}

static size_t model_order(const model *m, size_t *order)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (m->rows[i].fate != WAITING)
            continue;
        size_t at = n++;
        for (; at > 0 && is_before(m, i, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return n;
}

/* How many of the first jobs form the batch when an instance is free and nobody waits for company:
 * the longest prefix that fits, or the longest of a preferred size, or, past all of those, the
 * longest below the largest. */
static size_t model_batch(const model *m, const size_t *order, size_t n, vly_nsec now)
{
    size_t largest = m->preferred[m->n_preferred - 1];
    size_t sum = 0, fit = 0, best = 0, below = 0;
    bool is_past = false;
    vly_nsec oldest = UINT64_MAX;

    for (; fit < n; fit++) {
        const row *r = &m->rows[order[fit]];
        if (fit > 0 && sum + r->size > largest && !is_past) {
            is_past = true;
            below = fit;
        }
        if (fit > 0 && (sum + r->size > m->max_batch || r->shape != m->rows[order[0]].shape))
            break;
        sum += r->size;
        oldest = r->queued < oldest ? r->queued : oldest;
        for (size_t i = 0; i < m->n_preferred; i++)
            if (sum == m->preferred[i])
                best = fit + 1;
    }
    if (m->delay != 0 && oldest + m->delay <= now)
        return fit;
    if (best != 0)
        return best;
    return below != 0 ? below : fit;
}

static void model_push(model *m, unsigned *seed, vly_nsec now)
{
    size_t i = m->n++;
    row *r = &m->rows[i];

    *r = (row){.size = 1 + random_below(seed, 4),
               .level = random_below(seed, 3),
               .shape = random_below(seed, 8) == 0,
               .queued = now,
               .fate = WAITING};
    if (m->timeout[r->level] != 0)
        r->expires = now + m->timeout[r->level];
    if (random_below(seed, 5) == 0)
        r->deadline = now + 1 + random_below(seed, 40);
    jobs[i].ctx = r->shape != 0 ? large : small;
    jobs[i].priority = r->level + 1;
    jobs[i].deadline_ns = r->deadline;
    /* not busy: nobody is company to be expected when the queue was empty */
    assert_int_equal(push(i, r->size, now, false), VLY_OK);
}

static void model_take(model *m, vly_nsec now)
{
    size_t order[JOBS_MAX] = {0};
    vly_nsec when;
    vly_batch b;

    model_expire(m, now);
    size_t n = model_order(m, order);
    bool is_there = vly_batch_queue_take(q, now, &b, &when);
    for (const vly_job *job = vly_batch_queue_dropped(q); job != NULL; job = job->next)
        assert_int_equal(m->rows[job - jobs].fate, GONE);
    assert_int_equal(vly_batch_queue_len(q) + (is_there ? b.n_jobs : 0), n);
    if (!is_there) { /* nothing there, or it waits, never past the delay */
        assert_true(n == 0 || (m->delay != 0 && when > now && when <= now + m->delay));
        return;
    }
    assert_int_equal(b.n_jobs, model_batch(m, order, n, now));
    const vly_job *job = b.first;
    for (size_t i = 0; i < b.n_jobs; i++, job = job->next) {
        assert_int_equal(job - jobs, order[i]);
        m->rows[order[i]].fate = GONE;
    }
}

static void random_arrivals(void **state)
{
    (void)state;
    static model m;

    for (unsigned run = 0; run < 300; run++) {
        unsigned seed = run * 7919 + 1;
        vly_queue_policy policies[3];
        memset(&m, 0, sizeof(m));
        memset(jobs, 0, sizeof(jobs));
        m.max_batch = 4 + random_below(&seed, 13);
        m.n_preferred = 1 + random_below(&seed, 3);
        for (size_t i = 0; i < m.n_preferred; i++)
            m.preferred[i] = m.max_batch - 3 + i;
        m.delay = (vly_nsec)random_below(&seed, 2) * (1 + random_below(&seed, 30));
        for (size_t i = 0; i < 3; i++) {
            m.is_delay[i] = random_below(&seed, 2) != 0;
            m.timeout[i] = (vly_nsec)random_below(&seed, 2) * (1 + random_below(&seed, 50));
            policies[i] = (vly_queue_policy){.timeout_ns = m.timeout[i], .is_delay = m.is_delay[i]};
        }
        open_queue((vly_batch_rules){.max_batch = m.max_batch,
                                     .preferred = m.preferred,
                                     .n_preferred = m.n_preferred,
                                     .delay_ns = m.delay,
                                     .policies = policies,
                                     .n_levels = 3,
                                     .default_level = 2});
        vly_nsec now = 100;
        while (m.n < 200) {
            now += random_below(&seed, 10);
            if (random_below(&seed, 3) != 0)
                model_push(&m, &seed, now);
            else
                model_take(&m, now);
        }
        now += 1000;
        while (vly_batch_queue_len(q) > 0)
            model_take(&m, now);
        assert_null(vly_batch_queue_dropped(q));
        close_queue();
    }
}

UNIT_TESTS(cmocka_unit_test_setup(preferred_sizes_without_delay, clear_jobs),
           cmocka_unit_test_setup(full_batches, clear_jobs),
           cmocka_unit_test_setup(delay_counts_from_the_oldest, clear_jobs),
           cmocka_unit_test_setup(a_lone_job_goes_at_once, clear_jobs),
           cmocka_unit_test_setup(vain_waiting_ends, clear_jobs),
           cmocka_unit_test_setup(shapes_split_batches, clear_jobs),
           cmocka_unit_test_setup(jobs_that_never_share, clear_jobs),
           cmocka_unit_test_setup(priorities, clear_jobs),
           cmocka_unit_test_setup(timeouts_reject, clear_jobs),
           cmocka_unit_test_setup(timeouts_count_from_the_beginning, clear_jobs),
           cmocka_unit_test_setup(timeouts_delay, clear_jobs),
           cmocka_unit_test_setup(cancelled_jobs_leave, clear_jobs),
           cmocka_unit_test_setup(cancelled_jobs_that_others_want_stay, clear_jobs),
           cmocka_unit_test_setup(queue_is_bounded, clear_jobs),
           cmocka_unit_test_setup(answers_keep_their_order, clear_jobs),
           cmocka_unit_test_setup(random_arrivals, clear_jobs))
