/* SPDX-License-Identifier: MIT */
#include "train/steps/step_fit.h"

/* Found by trying on the training persons of leave-one-person-out; models/steps/card.md. */
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

static vly_status open_all(vly_step_fit *f, uint64_t persons, struct vly_worker_pool *pool,
                           vly_err *err)
{
    const vly_step_fit_opts *o = &f->opts;
    vly_step_windows_opts windows = {.seed = o->seed,
                                     .shape = o->shape,
                                     .changes = o->changes,
                                     .weights = o->weights,
                                     .persons = persons,
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
    *f = (vly_step_fit){.opts = *opts, .tracks = tracks};
    vly_status st = open_all(f, persons, pool, err);
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

void vly_step_fit_epoch(vly_step_fit *f, vly_step_epoch *ret)
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
