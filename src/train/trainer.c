/* SPDX-License-Identifier: MIT */
#include "train/trainer.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"
#include "sys/worker_pool.h"
#include "train/cross_entropy.h"

#include <math.h>
#include <string.h>

/* A part of the batch at hand, and what came of it. */
typedef struct part {
    vly_train_part batch;
    vly_train_tape *tape;
    float *grads;
    double weight[VLY_TRAIN_HEADS_MAX], loss[VLY_TRAIN_HEADS_MAX];
} part;

struct vly_trainer {
    const vly_train_net *net;
    vly_trainer_opts opts;
    vly_train_source source;
    vly_worker_pool *pool;
    vly_trainer_state state;
    unsigned char *is_zero; /* [n_params] keep_zeros; else NULL */
    float *memory;          /* of state, grads and parts */
    part *parts;
    double weight[VLY_TRAIN_HEADS_MAX]; /* of the batch at hand */
};

static float *take(float **at, size_t n)
{
    float *p = *at;

    *at += vly_align_up(n, 16);
    return p;
}

static size_t part_floats(const vly_train_net *net, const vly_trainer_opts *o)
{
    size_t rows = (size_t)(o->t * o->n);
    size_t n = vly_align_up(rows * (size_t)net->trunk.in, 16) + vly_align_up(net->n_params, 16);

    for (size_t i = 0; i < net->n_heads; i++)
        n += 2 * vly_align_up(rows * (size_t)net->heads[i].out, 16);
    return n;
}

static void place_part(const vly_train_net *net, const vly_trainer_opts *o, part *p, float **at)
{
    size_t rows = (size_t)(o->t * o->n);

    p->batch.t = o->t;
    p->batch.n = o->n;
    p->batch.x = take(at, rows * (size_t)net->trunk.in);
    p->grads = take(at, net->n_params);
    for (size_t i = 0; i < net->n_heads; i++) {
        p->batch.heads[i].targets = take(at, rows * (size_t)net->heads[i].out);
        p->batch.heads[i].weights = take(at, rows * (size_t)net->heads[i].out);
    }
}

static void place_state(const vly_train_net *net, vly_trainer_state *s, float **at)
{
    float *begin = *at;

    s->params = take(at, net->n_params);
    s->running = take(at, net->n_running);
    s->average = take(at, net->n_params);
    s->average_running = take(at, net->n_running);
    s->mean = take(at, net->n_params);
    s->square = take(at, net->n_params);
    s->n_floats = (size_t)(*at - begin);
    s->plateau = (vly_plateau){-HUGE_VAL, 1, 0};
}

static vly_status build(vly_trainer *t, vly_err *err)
{
    const vly_train_net *net = t->net;
    size_t params = vly_align_up(net->n_params, 16), running = vly_align_up(net->n_running, 16);
    size_t n = 4 * params + 2 * running + t->opts.n_parts * part_floats(net, &t->opts);
    vly_status st = VLY_OK;

    t->memory = vly_alloc_aligned(VLY_MEM_MODEL, n * sizeof(float) + 64);
    t->parts = vly_calloc(VLY_MEM_MODEL, t->opts.n_parts, sizeof(*t->parts));
    if (t->opts.keep_zeros)
        t->is_zero = vly_calloc(VLY_MEM_MODEL, net->n_params, 1);
    if (t->memory == NULL || t->parts == NULL || (t->opts.keep_zeros && t->is_zero == NULL))
        return vly_fail(err, VLY_ENOMEM, "trainer: out of memory");
    memset(t->memory, 0, n * sizeof(float));
    float *at = t->memory;
    place_state(net, &t->state, &at);
    for (size_t i = 0; i < t->opts.n_parts && st == VLY_OK; i++) {
        place_part(net, &t->opts, &t->parts[i], &at);
        st = vly_train_tape_new(net, t->opts.t, t->opts.n, &t->parts[i].tape, err);
    }
    return st;
}

vly_status vly_trainer_new(const vly_train_net *net, const vly_trainer_opts *opts,
                           const vly_train_source *source, struct vly_worker_pool *pool,
                           vly_trainer **ret, vly_err *err)
{
    VLY_ASSERT(opts->n_parts >= 1 && opts->t >= 1 && opts->n >= 1);
    vly_trainer *t = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*t));
    if (t == NULL)
        return vly_fail(err, VLY_ENOMEM, "trainer: out of memory");
    t->net = net;
    t->opts = *opts;
    t->source = *source;
    t->pool = pool;
    vly_status st = build(t, err);
    if (st != VLY_OK) {
        vly_trainer_free(t);
        return st;
    }
    vly_train_net_init(net, opts->seed, t->state.params, t->state.running);
    vly_trainer_begin_from(t, t->state.params, t->state.running);
    *ret = t;
    return VLY_OK;
}

void vly_trainer_free(vly_trainer *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; t->parts != NULL && i < t->opts.n_parts; i++)
        vly_train_tape_free(t->parts[i].tape);
    vly_free(t->parts);
    vly_free(t->memory);
    vly_free(t->is_zero);
    vly_free(t);
}

vly_trainer_state *vly_trainer_state_of(vly_trainer *t)
{
    return &t->state;
}

void vly_trainer_begin_from(vly_trainer *t, const float *params, const float *running)
{
    size_t n = t->net->n_params, n_running = t->net->n_running;
    vly_trainer_state *s = &t->state;

    memmove(s->params, params, n * sizeof(*params));
    memcpy(s->average, s->params, n * sizeof(*params));
    if (n_running > 0) {
        memmove(s->running, running, n_running * sizeof(*running));
        memcpy(s->average_running, s->running, n_running * sizeof(*running));
    }
    for (size_t i = 0; i < n && t->is_zero != NULL; i++)
        t->is_zero[i] = fpclassify(s->params[i]) == FP_ZERO;
}

void vly_trainer_tell(vly_trainer *t, double figure)
{
    vly_plateau_tell(&t->opts.schedule, &t->state.plateau, figure);
}

/* ---- one step ------------------------------------------------------------------------------ */

static void fill_parts(void *ctx, size_t begin, size_t end)
{
    vly_trainer *t = ctx;
    size_t rows = (size_t)(t->opts.t * t->opts.n);

    for (size_t i = begin; i < end; i++) {
        part *p = &t->parts[i];
        t->source.fill(t->source.ctx, t->state.step, i, &p->batch);
        for (size_t k = 0; k < t->net->n_heads; k++) {
            size_t out = (size_t)t->net->heads[k].out;
            const float *weights = p->batch.heads[k].weights;
            p->weight[k] = t->net->heads[k].output == VLY_TRAIN_SOFTMAX
                               ? vly_loss_softmax_weight(p->batch.heads[k].targets, weights,
                                                         t->opts.heads[k].class_weights, rows, out)
                               : vly_loss_sigmoid_weight(weights, rows * out);
        }
    }
}

static void part_loss(const vly_trainer *t, part *p, size_t head)
{
    const vly_train_chain *chain = &t->net->heads[head];
    const vly_train_head_loss *o = &t->opts.heads[head];
    size_t rows = (size_t)(t->opts.t * t->opts.n), out = (size_t)chain->out;
    double scale = t->weight[head] > 0 ? o->weight / t->weight[head] : 0;
    const float *x = vly_train_tape_output(p->tape, head);
    const float *targets = p->batch.heads[head].targets, *weights = p->batch.heads[head].weights;
    float *grads = vly_train_tape_gradient(p->tape, head);

    p->loss[head] =
        chain->output == VLY_TRAIN_SOFTMAX
            ? vly_loss_softmax(x, targets, weights, o->class_weights, rows, out, scale, grads)
            : vly_loss_sigmoid(x, targets, weights, rows * out, scale, grads);
}

static void run_parts(void *ctx, size_t begin, size_t end)
{
    vly_trainer *t = ctx;

    for (size_t i = begin; i < end; i++) {
        part *p = &t->parts[i];
        vly_train_input in = {.t = t->opts.t,
                              .n = t->opts.n,
                              .x = p->batch.x,
                              .params = t->state.params,
                              .running = t->state.running,
                              .is_training = true,
                              .seed = vly_rng_mix(vly_rng_mix(t->opts.seed, t->state.step), i)};
        vly_train_tape_forward(p->tape, &in);
        for (size_t k = 0; k < t->net->n_heads; k++)
            part_loss(t, p, k);
        memset(p->grads, 0, t->net->n_params * sizeof(*p->grads));
        vly_train_tape_backward(p->tape, p->grads, NULL);
    }
}

/* The sum over the parts, in their order, in the first one's array. */
static float *sum_grads(vly_trainer *t)
{
    float *sum = t->parts[0].grads;
    size_t n = t->net->n_params;

    for (size_t i = 1; i < t->opts.n_parts; i++)
        for (size_t k = 0; k < n; k++)
            sum[k] += t->parts[i].grads[k];
    for (size_t k = 0; k < n && t->is_zero != NULL; k++)
        if (t->is_zero[k])
            sum[k] = 0;
    return sum;
}

/* Running statistics move by each layer's rate towards the mean of what the parts saw. */
static void follow_seen(vly_trainer *t)
{
    for (size_t i = 0, n = vly_train_net_n_layers(t->net); i < n; i++) {
        const vly_train_layer *l = &t->net->layers[i];
        float *to = t->state.running + l->running_at;
        for (size_t k = 0; k < l->n_running; k++) {
            float sum = 0;
            for (size_t p = 0; p < t->opts.n_parts; p++)
                sum += vly_train_tape_seen(t->parts[p].tape)[l->running_at + k];
            to[k] += l->spec.rate * (sum / (float)t->opts.n_parts - to[k]);
        }
    }
}

static void move_layer(const vly_trainer *t, const vly_train_layer *l, const vly_adamw *with,
                       const float *grads)
{
    const vly_trainer_state *s = &t->state;
    vly_adamw rest = *with;
    size_t at = l->params_at, end = at + l->n_weights;

    rest.decay = 0;
    vly_adamw_step(with, s->step, l->n_weights, grads + at, s->params + at, s->mean + at,
                   s->square + at);
    vly_adamw_step(&rest, s->step, l->n_params - l->n_weights, grads + end, s->params + end,
                   s->mean + end, s->square + end);
}

/* Young averages forget faster: the first steps are far from where training ends. */
static void follow_average(vly_trainer *t)
{
    vly_trainer_state *s = &t->state;
    float young = (float)(1 + s->step) / (float)(10 + s->step);
    float keep = t->opts.average < young ? t->opts.average : young;

    vly_average(s->average, s->params, t->net->n_params, keep);
    vly_average(s->average_running, s->running, t->net->n_running, keep);
}

void vly_trainer_step(vly_trainer *t, vly_train_told *ret)
{
    vly_trainer_state *s = &t->state;
    vly_adamw adamw = t->opts.adamw;

    *ret = (vly_train_told){0};
    adamw.rate *= (float)vly_schedule_at(&t->opts.schedule, &s->plateau, s->step);
    vly_parallel_for(t->pool, t->opts.n_parts, 1, fill_parts, t);
    memset(t->weight, 0, sizeof(t->weight));
    for (size_t i = 0; i < t->opts.n_parts; i++)
        for (size_t k = 0; k < t->net->n_heads; k++)
            t->weight[k] += t->parts[i].weight[k];
    vly_parallel_for(t->pool, t->opts.n_parts, 1, run_parts, t);
    for (size_t k = 0; k < t->net->n_heads; k++) {
        for (size_t i = 0; i < t->opts.n_parts && t->weight[k] > 0; i++)
            ret->head_loss[k] += t->parts[i].loss[k] / t->weight[k];
        ret->loss += t->opts.heads[k].weight * ret->head_loss[k];
    }
    float *grads = sum_grads(t);
    follow_seen(t);
    ret->norm = vly_clip_norm(grads, t->net->n_params, t->opts.clip_norm);
    ret->rate = (double)adamw.rate;
    s->step++;
    for (size_t i = 0, n = vly_train_net_n_layers(t->net); i < n; i++)
        move_layer(t, &t->net->layers[i], &adamw, grads);
    follow_average(t);
}
