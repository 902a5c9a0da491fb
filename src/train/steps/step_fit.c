/* SPDX-License-Identifier: MIT */
#include "train/steps/step_fit.h"

#include "base/assert.h"
#include "base/fnv1a.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

/* Chosen with all six persons of models/steps/card.md in view. */
const vly_step_fit_opts vly_step_fit_defaults = {
    .seed = 1,
    .n_epochs = 60,
    .net = {.hop = 4, .dense = 32, .hidden = 64, .n_layers = 1, .dropout = 0.1F},
    .shape = {.hop = 4, .delay = 13, .frames = 160, .burn = 30, .sigma = 2.4F},
    .changes = {.speed = 0.15F,
                .size = 0.1F,
                .acc_noise = 0.05F,
                .gyro_noise = 0.01F,
                .acc_bias = 0.1F,
                .gyro_bias = 0.01F,
                .lever = 0.15F,
                .smooth = 4,
                .mirror = 0.5F,
                .no_gyro = 0.2F},
    .weights = {.peak = 1, .stairs_events = 1, .stairs_activity = 1, .balance = 0},
    .rule = {.threshold_first = 0.35F,
             .threshold_early = 0.2F,
             .threshold_due = 0.1F,
             .share = 0.3F,
             .fall_from = 20,
             .fall_to = 36,
             .smooth = 1,
             .confirm = 1,
             .min_gap = 16,
             .max_step = 100},
    .n_parts = 2,
    .n = 12,
    .rate = 4e-3F,
    .decay = 1e-2F,
    .average = 0.995F,
    .clip_norm = 1,
    .activity_weight = 0.15,
    .n_warmup = 100,
};

static vly_trainer_opts trainer_opts(const vly_step_fit *f)
{
    const vly_step_fit_opts *o = &f->opts;
    uint64_t n_steps = o->n_epochs * vly_step_windows_steps(f->windows);
    vly_trainer_opts ret = {
        .seed = o->seed,
        .n_parts = o->n_parts,
        .t = o->shape.frames,
        .n = o->n,
        .adamw = VLY_ADAMW_INIT,
        .schedule = {.kind = VLY_SCHEDULE_COSINE,
                     .n_warmup = o->n_warmup < n_steps / 4 ? o->n_warmup : n_steps / 4,
                     .n_steps = n_steps,
                     .floor = 0.01},
        .clip_norm = o->clip_norm,
        .average = o->average,
        .keep_zeros = o->keep_zeros};

    ret.adamw.rate = o->rate;
    ret.adamw.decay = o->decay;
    ret.heads[VLY_STEP_HEAD_EVENTS].weight = 1;
    ret.heads[VLY_STEP_HEAD_ACTIVITY].weight = o->activity_weight;
    return ret;
}

static vly_status open_all(vly_step_fit *f, struct vly_worker_pool *pool, vly_err *err)
{
    const vly_step_fit_opts *o = &f->opts;
    vly_step_windows_opts windows = {.seed = o->seed,
                                     .shape = o->shape,
                                     .changes = o->changes,
                                     .weights = o->weights,
                                     .persons = f->persons,
                                     .n_parts = o->n_parts,
                                     .n = o->n};
    vly_status st = vly_step_net_new(&o->net, &f->net, err);

    if (st == VLY_OK)
        st = vly_step_windows_new(f->tracks, &windows, &f->windows, err);
    if (st == VLY_OK)
        st = vly_step_judge_new(f->net, &o->shape, &f->judge, err);
    if (st != VLY_OK)
        return st;
    vly_train_source source = vly_step_windows_source(f->windows);
    vly_trainer_opts opts = trainer_opts(f);
    st = vly_trainer_new(f->net, &opts, &source, pool, &f->trainer, err);
    if (st != VLY_OK)
        return st;
    vly_trainer_state *s = vly_trainer_state_of(f->trainer);
    vly_step_net_init(f->net, o->seed, s->params, s->running);
    vly_trainer_begin_from(f->trainer, s->params, s->running);
    return VLY_OK;
}

vly_status vly_step_fit_open(vly_step_fit *f, const vly_step_tracks *tracks,
                             const vly_step_fit_opts *opts, uint64_t persons,
                             struct vly_worker_pool *pool, vly_err *err)
{
    *f = (vly_step_fit){.opts = *opts, .tracks = tracks, .persons = persons};
    vly_status st = open_all(f, pool, err);
    if (st != VLY_OK)
        vly_step_fit_close(f);
    return st;
}

void vly_step_fit_close(vly_step_fit *f)
{
    vly_trainer_free(f->trainer);
    vly_step_judge_free(f->judge);
    vly_step_windows_free(f->windows);
    vly_train_net_free(f->net);
    *f = (vly_step_fit){0};
}

static vly_status check_numbers(const vly_step_fit *f, double loss, vly_err *err)
{
    const vly_trainer_state *s = vly_trainer_state_of(f->trainer);
    bool are_finite = isfinite(loss);

    for (size_t i = 0; i < s->n_floats; i++)
        are_finite = are_finite && isfinite(s->params[i]);
    return are_finite ? VLY_OK
                      : vly_fail(err, VLY_EINVAL,
                                 "epoch %u: the training ran away, a loss or parameter is no "
                                 "number any more",
                                 f->epoch);
}

vly_status vly_step_fit_epoch(vly_step_fit *f, vly_step_epoch *ret, vly_err *err)
{
    uint64_t n = vly_step_windows_steps(f->windows);

    *ret = (vly_step_epoch){0};
    vly_step_windows_begin(f->windows, f->epoch);
    for (uint64_t i = 0; i < n; i++) {
        vly_train_told told;
        vly_trainer_step(f->trainer, &told);
        ret->loss += told.loss / (double)n;
        ret->loss_events += told.head_loss[VLY_STEP_HEAD_EVENTS] / (double)n;
        ret->loss_activity += told.head_loss[VLY_STEP_HEAD_ACTIVITY] / (double)n;
        ret->rate = told.rate;
    }
    f->epoch++;
    return check_numbers(f, ret->loss, err);
}

/* ---- fingerprint --------------------------------------------------------------------------- */

static uint64_t sum_track(uint64_t sum, const vly_step_track *t)
{
    sum = vly_rng_mix(vly_rng_mix(vly_rng_mix(sum, t->person), t->n), t->n_steps);
    sum = vly_fnv1a(sum, t->axes, t->n * sizeof(*t->axes));
    sum = vly_fnv1a(sum, t->activity, t->n);
    sum = vly_fnv1a(sum, t->starts, t->n_steps * sizeof(*t->starts));
    return vly_fnv1a(sum, t->ends, t->n_steps * sizeof(*t->ends));
}

/* Field by field: structures have padding. */
static uint64_t sum_opts(uint64_t sum, const vly_step_fit_opts *o)
{
    const vly_step_changes *c = &o->changes;
    const vly_step_weights *w = &o->weights;
    const vly_step_decoder_rule *r = &o->rule;
    const int64_t whole[] = {
        (int64_t)o->seed, o->n_epochs,         o->net.hop,   o->net.dense,
        o->net.hidden,    o->net.n_layers,     o->shape.hop, o->shape.delay,
        o->shape.frames,  o->shape.burn,       r->fall_from, r->fall_to,
        r->smooth,        r->confirm,          r->min_gap,   r->max_step,
        r->missed_step,   r->missed_gap,       o->n,         (int64_t)o->n_parts,
        o->keep_zeros,    (int64_t)o->n_warmup};
    const float parts[] = {o->net.dropout,
                           o->shape.sigma,
                           c->speed,
                           c->size,
                           c->acc_noise,
                           c->gyro_noise,
                           c->acc_bias,
                           c->gyro_bias,
                           c->lever,
                           c->smooth,
                           c->mirror,
                           c->no_gyro,
                           w->peak,
                           w->stairs_events,
                           w->stairs_activity,
                           w->balance,
                           r->threshold_first,
                           r->threshold_early,
                           r->threshold_due,
                           r->threshold_missed,
                           r->share,
                           r->standing_max,
                           o->rate,
                           o->decay,
                           o->average,
                           (float)o->clip_norm,
                           (float)o->activity_weight};

    for (size_t i = 0; i < VLY_COUNT(whole); i++)
        sum = vly_rng_mix(sum, (uint64_t)whole[i]);
    for (size_t i = 0; i < VLY_COUNT(parts); i++) {
        uint32_t bits;
        memcpy(&bits, &parts[i], sizeof(bits));
        sum = vly_rng_mix(sum, bits);
    }
    return sum;
}

uint64_t vly_step_fit_fingerprint(const vly_step_fit *f)
{
    uint64_t sum = vly_rng_mix(VLY_IMU_FEATURES_VERSION, vly_train_net_fingerprint(f->net));

    sum = vly_rng_mix(sum, f->persons);
    for (size_t i = 0; i < f->tracks->set.n_recordings; i++)
        sum = sum_track(sum, &f->tracks->tracks[i]);
    return sum_opts(sum, &f->opts);
}

vly_status vly_step_fit_guess(vly_step_fit *f, uint64_t persons, vly_step_guess *guesses,
                              size_t *ret_n, vly_err *err)
{
    const vly_trainer_state *s = vly_trainer_state_of(f->trainer);
    vly_status st = VLY_OK;
    size_t n = 0;

    for (size_t i = 0; i < f->tracks->set.n_recordings && st == VLY_OK; i++) {
        const vly_step_track *t = &f->tracks->tracks[i];
        if ((persons >> t->person & 1) == 0)
            continue;
        st = vly_step_judge_run(f->judge, s->average, s->average_running, t, &guesses[n], err);
        n += st == VLY_OK;
    }
    for (size_t i = 0; i < n && st != VLY_OK; i++)
        vly_step_guess_release(&guesses[i]);
    if (st == VLY_OK)
        *ret_n = n;
    return st;
}
