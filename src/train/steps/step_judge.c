/* SPDX-License-Identifier: MIT */
#include "train/steps/step_judge.h"

#include "base/mem.h"
#include "tasks/steps/step_segment.h"

#include <math.h>
#include <string.h>

#define CHUNK 512 /* frames that the tape holds at a time */

struct vly_step_judge {
    const vly_train_net *net;
    vly_step_shape shape;
    vly_train_tape *tape;
    float *x;     /* [CHUNK, hop * features] */
    float *state; /* [n_state] */
};

/* As much of a model as frames and decoding need. */
static vly_step_model model_of(const vly_step_shape *shape, const vly_step_decoder_rule *rule)
{
    return (vly_step_model){.rate_hz = VLY_IMU_FEATURES_RATE_HZ,
                            .hop = (unsigned)shape->hop,
                            .delay = (unsigned)shape->delay,
                            .rule = *rule};
}

vly_status vly_step_judge_new(const vly_train_net *net, const vly_step_shape *shape,
                              vly_step_judge **ret, vly_err *err)
{
    vly_step_judge *j = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*j));

    if (j == NULL)
        return vly_fail(err, VLY_ENOMEM, "judge: out of memory");
    j->net = net;
    j->shape = *shape;
    j->x = vly_calloc(VLY_MEM_MODEL, (size_t)(CHUNK * net->trunk.in), sizeof(*j->x));
    j->state = vly_calloc(VLY_MEM_MODEL, net->n_state, sizeof(*j->state));
    vly_status st = j->x == NULL || j->state == NULL
                        ? vly_fail(err, VLY_ENOMEM, "judge: out of memory")
                        : vly_train_tape_new(net, CHUNK, 1, &j->tape, err);
    if (st == VLY_OK)
        *ret = j;
    else
        vly_step_judge_free(j);
    return st;
}

void vly_step_judge_free(vly_step_judge *j)
{
    if (j == NULL)
        return;
    vly_train_tape_free(j->tape);
    vly_free(j->x);
    vly_free(j->state);
    vly_free(j);
}

void vly_step_guess_release(vly_step_guess *g)
{
    vly_free(g->events);
    vly_free(g->activity);
    *g = (vly_step_guess){0};
}

static void softmax(const float *x, float *p)
{
    float most = x[0], sum = 0;

    for (int i = 1; i < VLY_ACTIVITIES; i++)
        most = x[i] > most ? x[i] : most;
    for (int i = 0; i < VLY_ACTIVITIES; i++)
        sum += p[i] = expf(x[i] - most);
    for (int i = 0; i < VLY_ACTIVITIES; i++)
        p[i] /= sum;
}

/* The next n frames, in j->x, through the net; appended to g. */
static void run_chunk(vly_step_judge *j, const float *params, const float *running, size_t n,
                      vly_step_guess *g)
{
    size_t outs = (size_t)j->shape.hop * 2;
    float *events = g->events + g->n_frames * outs;
    float *activity = g->activity + g->n_frames * VLY_ACTIVITIES;

    vly_train_tape_forward(j->tape, &(vly_train_input){.t = (int64_t)n,
                                                       .n = 1,
                                                       .x = j->x,
                                                       .params = params,
                                                       .running = running,
                                                       .state = j->state});
    memcpy(j->state, vly_train_tape_state(j->tape), j->net->n_state * sizeof(*j->state));
    const float *x = vly_train_tape_output(j->tape, VLY_STEP_HEAD_EVENTS);
    for (size_t i = 0; i < n * outs; i++)
        events[i] = 1 / (1 + expf(-x[i]));
    x = vly_train_tape_output(j->tape, VLY_STEP_HEAD_ACTIVITY);
    for (size_t i = 0; i < n; i++)
        softmax(x + i * VLY_ACTIVITIES, activity + i * VLY_ACTIVITIES);
    g->n_frames += n;
}

static vly_imu_reading reading_of(const vly_step_track *t, size_t i)
{
    vly_imu_reading r = {.t_us = (int64_t)i * 1000000 / VLY_IMU_FEATURES_RATE_HZ};

    memcpy(r.acc, t->axes[i], sizeof(r.acc));
    memcpy(r.gyro, t->axes[i] + 3, sizeof(r.gyro));
    return r;
}

/* All frames of the track, as a stream makes them, with those that its end adds. */
static void run_track(vly_step_judge *j, const float *params, const float *running,
                      const vly_step_track *track, vly_step_guess *g)
{
    const vly_step_decoder_rule widest = {.smooth = VLY_STEP_SMOOTH_MAX,
                                          .confirm = VLY_STEP_CONFIRM_MAX};
    size_t width = (size_t)j->net->trunk.in, n = 0, n_pads = 0;
    vly_step_model m = model_of(&j->shape, &widest);
    vly_step_stream s;

    memset(j->state, 0, j->net->n_state * sizeof(*j->state));
    vly_step_stream_init(&s, &m, true);
    for (size_t i = 0; i < track->n + n_pads; i++) {
        vly_imu_reading r = i < track->n ? reading_of(track, i) : (vly_imu_reading){0};
        bool is_full =
            i < track->n ? vly_step_segment_take(&s, &m, &r) : vly_step_segment_pad(&s, &m);
        if (i + 1 == track->n)
            n_pads = vly_step_segment_pads(&s, &m);
        if (is_full)
            vly_step_segment_frame(&s, &m, j->x + n++ * width);
        if (n == CHUNK || (n > 0 && i + 1 == track->n + n_pads)) {
            run_chunk(j, params, running, n, g);
            n = 0;
        }
    }
}

vly_status vly_step_judge_run(vly_step_judge *j, const float *params, const float *running,
                              const vly_step_track *track, vly_step_guess *ret, vly_err *err)
{
    size_t hop = (size_t)j->shape.hop;
    size_t most =
        (track->n + (size_t)j->shape.delay + VLY_STEP_SMOOTH_MAX + VLY_STEP_CONFIRM_MAX) / hop + 2;
    vly_step_guess g = {.track = track};

    g.events = vly_calloc(VLY_MEM_MODEL, most * hop * 2, sizeof(*g.events));
    g.activity = vly_calloc(VLY_MEM_MODEL, most * VLY_ACTIVITIES, sizeof(*g.activity));
    if (g.events == NULL || g.activity == NULL) {
        vly_step_guess_release(&g);
        return vly_fail(err, VLY_ENOMEM, "judge: out of memory");
    }
    run_track(j, params, running, track, &g);
    *ret = g;
    return VLY_OK;
}

/* ---- rules --------------------------------------------------------------------------------- */

typedef struct collected {
    vly_step_event *list;
    size_t n, cap;
} collected;

static void collect(void *arg, const vly_step_event *events, size_t n)
{
    collected *c = arg;

    for (size_t i = 0; i < n && c->n < c->cap; i++)
        c->list[c->n++] = events[i];
}

vly_status vly_step_guess_score(const vly_step_guess *g, const vly_step_shape *shape,
                                const vly_step_decoder_rule *rule, vly_step_score *score,
                                vly_err *err)
{
    vly_step_model m = model_of(shape, rule);
    collected c = {.cap = g->track->n};
    vly_step_stream s;

    c.list = vly_calloc(VLY_MEM_MODEL, c.cap, sizeof(*c.list));
    if (c.list == NULL)
        return vly_fail(err, VLY_ENOMEM, "judge: out of memory");
    vly_step_stream_init(&s, &m, true);
    s.n_segment = g->track->n;
    for (size_t i = 0; i < g->n_frames; i++)
        vly_step_segment_decode(&s, &m, g->events + i * (size_t)shape->hop * 2,
                                g->activity + i * VLY_ACTIVITIES, collect, &c);
    vly_status st = vly_step_score_add(score, &g->track->truth, c.list, c.n, err);
    vly_free(c.list);
    return st;
}

double vly_step_figure(const vly_step_score *s)
{
    double sum = 0, n = s->n_true > 0 ? (double)s->n_true : 1;

    for (int type = 0; type < 2; type++)
        for (int k = 0; k < VLY_STEP_TOLERANCES; k++)
            sum += vly_match_f1(&s->match[type][k]) / (2 * VLY_STEP_TOLERANCES);
    double minutes = s->standing_s > 60 ? s->standing_s / 60 : 1;
    return sum - s->abs_count_error / n - 0.01 * (double)s->n_false_standing / minutes;
}

static vly_status figure_of(const vly_step_guess *guesses, size_t n, const vly_step_shape *shape,
                            const vly_step_decoder_rule *rule, double *ret, vly_err *err)
{
    vly_step_score score = {0};
    vly_status st = VLY_OK;

    for (size_t i = 0; i < n && st == VLY_OK; i++)
        st = vly_step_guess_score(&guesses[i], shape, rule, &score, err);
    if (st == VLY_OK)
        *ret = vly_step_figure(&score);
    return st;
}

enum { CHOICES = 5, VALUES = 8, ROUNDS = 2 };

/* What may be chosen, and from what. */
static void set_value(vly_step_decoder_rule *rule, int what, size_t i)
{
    static const float shares[VALUES] = {0.1F, 0.15F, 0.2F, 0.25F, 0.3F, 0.35F, 0.4F, 0.5F};
    static const float dues[VALUES] = {0.04F, 0.06F, 0.08F, 0.1F, 0.12F, 0.15F, 0.2F, 0.25F};
    static const uint16_t gaps[VALUES] = {12, 14, 16, 18, 20, 22, 24, 26};
    static const uint16_t falls[VALUES] = {28, 30, 32, 36, 40, 44, 48, 56};

    switch (what) {
    case 0:
        rule->threshold_first = shares[i];
        break;
    case 1:
        rule->threshold_early = shares[i];
        break;
    case 2:
        rule->threshold_due = dues[i];
        break;
    case 3:
        rule->min_gap = gaps[i];
        break;
    default:
        rule->fall_to = falls[i];
        break;
    }
}

vly_status vly_step_rule_choose(const vly_step_guess *guesses, size_t n,
                                const vly_step_shape *shape, vly_step_decoder_rule *rule,
                                vly_err *err)
{
    double best;
    vly_status st = figure_of(guesses, n, shape, rule, &best, err);

    for (int k = 0; k < ROUNDS * CHOICES && st == VLY_OK; k++) {
        vly_step_decoder_rule winner = *rule, other = *rule;
        for (size_t i = 0; i < VALUES && st == VLY_OK; i++) {
            double figure;
            set_value(&other, k % CHOICES, i);
            st = figure_of(guesses, n, shape, &other, &figure, err);
            if (st == VLY_OK && figure > best) {
                best = figure;
                winner = other;
            }
        }
        *rule = winner;
    }
    return st;
}
