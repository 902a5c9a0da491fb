/* SPDX-License-Identifier: MIT */
#include "train/steps/step_cross.h"

#include "base/mem.h"
#include "sys/worker_pool.h"

#include <stdatomic.h>
#include <string.h>

#define INNER_SHARE 3 /* inner nets see one epoch of so many */
#define TRIALS_MAX  (VLY_STEP_CROSS_PERSONS_MAX * (VLY_STEP_CROSS_PERSONS_MAX + 1) / 2)

/* One training without one or two persons, and what its net says of them. */
typedef struct trial {
    uint64_t left_out;
    bool is_inner;
    vly_step_guess *guesses; /* [n_recordings] */
    size_t n_guesses;
    vly_status status;
    vly_err err;
} trial;

typedef struct cross {
    const vly_step_tracks *tracks;
    const vly_step_fit_opts *opts;
    uint64_t everybody;
    trial trials[TRIALS_MAX];
    size_t n_trials;
    vly_step_guess *list; /* [n_recordings * n_persons], for choosing */
    vly_step_cross_fn tell;
    void *arg;
    _Atomic size_t n_done;
} cross;

static uint64_t bit(size_t person)
{
    return (uint64_t)1 << person;
}

static vly_status run_trial(const cross *c, trial *t, double *ret_loss, vly_err *err)
{
    vly_step_fit_opts opts = *c->opts;
    vly_step_epoch told = {0};
    vly_step_fit fit;

    if (t->is_inner)
        opts.n_epochs = (opts.n_epochs + INNER_SHARE - 1) / INNER_SHARE;
    vly_status st =
        vly_step_fit_open(&fit, c->tracks, &opts, c->everybody & ~t->left_out, NULL, err);
    if (st != VLY_OK)
        return st;
    for (uint32_t i = 0; i < opts.n_epochs && st == VLY_OK; i++)
        st = vly_step_fit_epoch(&fit, &told, err);
    *ret_loss = told.loss;
    if (st == VLY_OK)
        st = vly_step_fit_guess(&fit, t->left_out, t->guesses, &t->n_guesses, err);
    vly_step_fit_close(&fit);
    return st;
}

static void run_trials(void *ctx, size_t begin, size_t end)
{
    cross *c = ctx;

    for (size_t i = begin; i < end; i++) {
        trial *t = &c->trials[i];
        double loss = 0;
        t->status = run_trial(c, t, &loss, &t->err);
        size_t done = atomic_fetch_add(&c->n_done, 1) + 1;
        if (c->tell != NULL)
            c->tell(c->arg, done, c->n_trials, t->left_out, loss);
    }
}

/* The recordings of `person` as those trials guessed them that left out exactly these persons. */
static size_t gather(const cross *c, uint64_t left_out, size_t person, vly_step_guess *to)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_trials; i++) {
        const trial *t = &c->trials[i];
        for (size_t k = 0; k < t->n_guesses && t->left_out == left_out; k++)
            if (t->guesses[k].track->person == person)
                to[n++] = t->guesses[k];
    }
    return n;
}

static vly_status judge_person(cross *c, size_t person, vly_step_cross *ret, vly_err *err)
{
    vly_step_decoder_rule rule = c->opts->rule;
    vly_status st = VLY_OK;
    size_t n = 0;

    for (size_t other = 0; other < ret->n_persons; other++)
        if (other != person)
            n += gather(c, bit(person) | bit(other), other, c->list + n);
    st = vly_step_rule_choose(c->list, n, &c->opts->shape, &rule, err);
    n = gather(c, bit(person), person, c->list);
    for (size_t i = 0; i < n && st == VLY_OK; i++)
        st = vly_step_guess_score(&c->list[i], &c->opts->shape, &rule, &ret->scores[person], err);
    ret->rules[person] = rule;
    vly_step_score_merge(&ret->pooled, &ret->scores[person]);
    return st;
}

static vly_status judge(cross *c, vly_step_cross *ret, vly_err *err)
{
    vly_status st = VLY_OK;
    size_t n = 0;

    for (size_t i = 0; i < c->n_trials; i++)
        if (c->trials[i].status != VLY_OK)
            return vly_fail(err, c->trials[i].status, "%s", c->trials[i].err.msg);
    for (size_t p = 0; p < ret->n_persons && st == VLY_OK; p++)
        st = judge_person(c, p, ret, err);
    for (size_t p = 0; p < ret->n_persons; p++)
        n += gather(c, bit(p), p, c->list + n);
    ret->rule = c->opts->rule;
    return st == VLY_OK ? vly_step_rule_choose(c->list, n, &c->opts->shape, &ret->rule, err) : st;
}

static void list_trials(cross *c, size_t n_persons)
{
    for (size_t p = 0; p < n_persons; p++)
        c->trials[c->n_trials++] = (trial){.left_out = bit(p)};
    for (size_t p = 0; p < n_persons; p++)
        for (size_t q = p + 1; q < n_persons; q++)
            c->trials[c->n_trials++] = (trial){.left_out = bit(p) | bit(q), .is_inner = true};
}

static vly_status make_room(cross *c, size_t n_persons, vly_err *err)
{
    size_t n = c->tracks->set.n_recordings;

    list_trials(c, n_persons);
    c->list = vly_calloc(VLY_MEM_MODEL, n * n_persons, sizeof(*c->list));
    bool is_out = c->list == NULL;
    for (size_t i = 0; i < c->n_trials; i++) {
        c->trials[i].guesses = vly_calloc(VLY_MEM_MODEL, n, sizeof(*c->trials[i].guesses));
        is_out = is_out || c->trials[i].guesses == NULL;
    }
    return is_out ? vly_fail(err, VLY_ENOMEM, "leave-one-out: out of memory") : VLY_OK;
}

static void release(cross *c)
{
    for (size_t i = 0; i < c->n_trials; i++) {
        for (size_t k = 0; k < c->trials[i].n_guesses; k++)
            vly_step_guess_release(&c->trials[i].guesses[k]);
        vly_free(c->trials[i].guesses);
    }
    vly_free(c->list);
    vly_free(c);
}

vly_status vly_step_cross_run(const vly_step_tracks *tracks, const vly_step_fit_opts *opts,
                              vly_worker_pool *pool, vly_step_cross_fn tell, void *arg,
                              vly_step_cross *ret, vly_err *err)
{
    size_t n = tracks->set.n_persons;

    if (n < VLY_STEP_CROSS_PERSONS_MIN || n > VLY_STEP_CROSS_PERSONS_MAX)
        return vly_fail(err, VLY_EINVAL, "leave-one-out: expected %d to %d persons, got %zu",
                        VLY_STEP_CROSS_PERSONS_MIN, VLY_STEP_CROSS_PERSONS_MAX, n);
    cross *c = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*c));
    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "leave-one-out: out of memory");
    c->tracks = tracks;
    c->opts = opts;
    c->everybody = bit(n) - 1;
    c->tell = tell;
    c->arg = arg;
    memset(ret, 0, sizeof(*ret));
    ret->n_persons = n;
    vly_status st = make_room(c, n, err);
    if (st == VLY_OK) {
        vly_parallel_for(pool, c->n_trials, 1, run_trials, c);
        st = judge(c, ret, err);
    }
    release(c);
    return st;
}
