/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_synth.h"

#include "base/rng.h"

#include <math.h>

#define GRAVITY  9.80665
#define GYRO_DT  0.001 /* s: rotation is the difference of attitudes so far apart */
#define MARGIN_S 0.3   /* before the end of the recording, within which no step ends */

/* ---- chance -------------------------------------------------------------------------------- */

static double uniform(vly_rng *r, double low, double high)
{
    return low + (high - low) * (double)vly_rng_uniform(r);
}

static double normal(vly_rng *r)
{
    return (double)vly_rng_normal(r);
}

/* ---- attitudes ----------------------------------------------------------------------------- */

typedef struct quat {
    double w, x, y, z;
} quat;

static quat times(quat a, quat b)
{
    return (quat){a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
                  a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
                  a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
                  a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w};
}

static quat inverse(quat q)
{
    return (quat){q.w, -q.x, -q.y, -q.z};
}

/* axis: of length 1 */
static quat about(const double axis[3], double angle)
{
    double s = sin(angle / 2);

    return (quat){cos(angle / 2), s * axis[0], s * axis[1], s * axis[2]};
}

static void random_axis(vly_rng *r, double axis[3])
{
    double length = 0;

    for (int k = 0; k < 3; k++) {
        axis[k] = normal(r);
        length += axis[k] * axis[k];
    }
    length = sqrt(length > 0 ? length : 1);
    for (int k = 0; k < 3; k++)
        axis[k] /= length;
}

/* ---- what happens, as lists in order of time ----------------------------------------------- */

typedef struct walk_step {
    double t, length;               /* s */
    double vigour;                  /* 1: usual */
    double ripple[2], ripple_at[2]; /* m/s^2, rad: waves of half and a third of the step */
    vly_activity activity;
    bool is_first, is_last; /* of a bout */
} walk_step;

/* A smooth change of angle. */
typedef struct rotation {
    double t, length, angle;
    double axis[3];
} rotation;

/* A movement of the hand while standing. */
typedef struct gesture {
    double t, length, strength;
    double axis[3];
} gesture;

/* Traits of a walker, and of the sensor. */
typedef struct walker {
    double vigour, landing, phase; /* phase: share of a step */
    double swing, sway;            /* rad */
    double forward, sideways;      /* m/s^2 */
    double side;                   /* difference of left and right, share */
    double spm;                    /* steps a minute */
    double tremor_hz[3];
    double acc_bias[3], gyro_bias[3];
    double acc_noise, gyro_noise;
    quat held;
} walker;

typedef struct scene {
    const vly_step_synth_opts *opts;
    vly_arena *arena;
    vly_rng chance;
    walker who;
    walk_step *steps;
    rotation *turns, *tilts; /* of the person about the vertical; of the hand */
    gesture *gestures;
    size_t n_steps, n_turns, n_tilts, n_gestures;
    size_t cap;        /* of each list */
    double stops_from; /* end of the last step so far */
} scene;

static void make_walker(scene *s)
{
    vly_rng *c = &s->chance;
    double axis[3];

    s->who = (walker){.vigour = uniform(c, 0.85, 1.25),
                      .landing = uniform(c, 0.7, 1.6),
                      .phase = uniform(c, -0.02, 0.02),
                      .swing = uniform(c, 0.02, 0.05),
                      .sway = uniform(c, 0.02, 0.06),
                      .forward = uniform(c, 0.6, 1.2),
                      .sideways = uniform(c, 0.4, 0.8),
                      .side = uniform(c, -0.03, 0.03),
                      .acc_noise = 0.06,
                      .gyro_noise = 0.015};
    for (int k = 0; k < 3; k++) {
        s->who.acc_bias[k] = uniform(c, -0.1, 0.1);
        s->who.gyro_bias[k] = uniform(c, -0.01, 0.01);
        s->who.tremor_hz[k] = uniform(c, 5, 11);
    }
    s->who.spm = s->opts->cadence_spm > 0 ? s->opts->cadence_spm : uniform(c, 102, 122);
    random_axis(c, axis);
    s->who.held = about(axis, uniform(c, 0, M_PI));
}

static const vly_activity everything[] = {
    VLY_ACTIVITY_STANDING, VLY_ACTIVITY_WALKING,     VLY_ACTIVITY_STANDING, VLY_ACTIVITY_STAIRS_UP,
    VLY_ACTIVITY_WALKING,  VLY_ACTIVITY_STAIRS_DOWN, VLY_ACTIVITY_WALKING,
};

/* Seconds that an activity lasts; of short recordings a part of that, so that all occur. */
static double draw_length(scene *s, vly_activity a, size_t n_activities)
{
    static const double least[VLY_ACTIVITIES] = {3, 15, 6, 6};
    static const double most[VLY_ACTIVITIES] = {9, 40, 14, 14};
    double length = uniform(&s->chance, least[a], most[a]);
    double usual = 14 * (double)n_activities;

    return s->opts->seconds < usual ? fmax(length * s->opts->seconds / usual, 2) : length;
}

/* Steps from *t until the activity ends; *t: where the last one ended. */
static void walk(scene *s, vly_activity a, double until, double *t, double *drift)
{
    static const double pace[VLY_ACTIVITIES] = {1, 1, 1.07, 0.8}; /* length of steps */
    double end = s->opts->seconds - MARGIN_S;
    bool is_first = s->n_steps == 0 || *t > s->stops_from + 1e-9;

    while (*t < until && s->n_steps < s->cap) {
        double side = s->n_steps % 2 == 0 ? s->who.side : -s->who.side;
        *drift += 0.2 * (0.04 * normal(&s->chance) - *drift);
        double length = 60 / s->who.spm * pace[a] * (is_first ? 1.15 : 1) *
                        (1 + *drift + side + 0.025 * normal(&s->chance));
        length = fmax(length, 0.2);
        if (*t + length > end)
            break;
        s->steps[s->n_steps++] =
            (walk_step){.t = *t,
                        .length = length,
                        .activity = a,
                        .is_first = is_first,
                        .vigour = s->who.vigour * (1 + 0.1 * normal(&s->chance))};
        *t += length;
        is_first = false;
    }
    s->stops_from = *t;
}

static void end_bout(scene *s)
{
    if (s->n_steps > 0)
        s->steps[s->n_steps - 1].is_last = true;
}

static void stand(scene *s, double from, double until)
{
    for (double t = from + uniform(&s->chance, 0.5, 3); t < until && s->n_gestures < s->cap;
         t += uniform(&s->chance, 2, 6)) {
        gesture *g = &s->gestures[s->n_gestures++];
        *g = (gesture){.t = t,
                       .length = uniform(&s->chance, 0.8, 1.6),
                       .strength = uniform(&s->chance, 0.3, 1.8)};
        random_axis(&s->chance, g->axis);
    }
}

static void make_steps(scene *s)
{
    const vly_step_synth_opts *o = s->opts;
    const vly_activity *list = o->n_activities > 0 ? o->activities : everything;
    size_t n = o->n_activities > 0 ? o->n_activities : sizeof(everything) / sizeof(*everything);
    double t = 0, drift = 0;

    s->stops_from = -1;
    for (size_t i = 0; t < o->seconds - MARGIN_S; i++) {
        vly_activity a = list[i % n];
        double until = fmin(t + draw_length(s, a, n), o->seconds), before = t;
        if (a == VLY_ACTIVITY_STANDING) {
            end_bout(s);
            stand(s, t, until);
            t = until;
        } else {
            walk(s, a, until, &t, &drift);
            if (t <= before)
                break; /* no room for another step */
        }
    }
    end_bout(s);
}

/* Rotations every so often: of the person by right angles, of the hand by any. */
static size_t make_rotations(scene *s, rotation *list, double pause_min, double pause_max,
                             bool is_turn)
{
    static const double up[3] = {0, 0, 1};
    vly_rng *c = &s->chance;
    size_t n = 0;

    for (double t = uniform(c, pause_min / 2, pause_max); t < s->opts->seconds && n < s->cap;
         t += uniform(c, pause_min, pause_max)) {
        rotation *r = &list[n++];
        double quarter = vly_rng_below(c, 2) == 0 ? M_PI_2 : -M_PI_2;
        *r = (rotation){.t = t, .length = uniform(c, 1, 2.5)};
        r->angle = is_turn ? quarter * uniform(c, 0.8, 1.9) : uniform(c, 0.3, 1.0);
        random_axis(c, r->axis);
        if (is_turn)
            memcpy(r->axis, up, sizeof(up));
    }
    return n;
}

static vly_status make_scene(scene *s, vly_err *err)
{
    s->cap = (size_t)(s->opts->seconds / 0.2) + 8; /* no step is shorter */
    s->steps = vly_arena_calloc(s->arena, s->cap, sizeof(*s->steps));
    s->turns = vly_arena_calloc(s->arena, s->cap, sizeof(*s->turns));
    s->tilts = vly_arena_calloc(s->arena, s->cap, sizeof(*s->tilts));
    s->gestures = vly_arena_calloc(s->arena, s->cap, sizeof(*s->gestures));
    if (s->steps == NULL || s->turns == NULL || s->tilts == NULL || s->gestures == NULL)
        return vly_arena_fail(s->arena, err);
    vly_rng_init(&s->chance, s->opts->seed, 0);
    make_walker(s);
    make_steps(s);
    s->n_turns = make_rotations(s, s->turns, 6, 15, true);
    s->n_tilts = make_rotations(s, s->tilts, 10, 30, false);
    return VLY_OK;
}

/* ---- the state at a time ------------------------------------------------------------------- */

/* Where the lists are, for times that grow but for GYRO_DT. */
typedef struct cursor {
    size_t step, turn, tilt, gesture;
    quat turned, tilted; /* by what lies behind */
} cursor;

/* 0 to 1 without a jerk */
static double ease(double x)
{
    x = fmin(fmax(x, 0), 1);
    return x * x * (3 - 2 * x);
}

static double bump(double x, double at, double width)
{
    double d = (x - at) / width;

    return exp(-d * d) - width * 1.7725; /* without its mean over a step */
}

/* How far walking has begun, or not yet ended. */
static double envelope(const walk_step *w, double t)
{
    double e = 1;

    if (w->is_first)
        e *= ease((t - w->t + 0.05) / (0.25 * w->length));
    if (w->is_last)
        e *= 1 - ease((t - w->t - 0.7 * w->length) / (0.3 * w->length + 0.15));
    return e;
}

/* The step at t; NULL: none, nor is one just beginning or ending. */
static const walk_step *step_at(const scene *s, cursor *c, double t, double *ret_phase)
{
    while (c->step + 1 < s->n_steps && s->steps[c->step + 1].t - 0.05 <= t &&
           (s->steps[c->step + 1].t <= t || s->steps[c->step].is_last))
        c->step++;
    if (c->step >= s->n_steps)
        return NULL;
    const walk_step *w = &s->steps[c->step];
    *ret_phase = (t - w->t) / w->length;
    return t >= w->t - 0.05 && t <= w->t + w->length + (w->is_last ? 0.15 : 0.05) ? w : NULL;
}

/* The body of who does this, up and forward, at a phase of the step. */
static void body_wave(const walker *who, vly_activity a, double phase, double *up, double *forward)
{
    static const struct {
        double wave, at, landing, landing_at, width;
    } forms[VLY_ACTIVITIES] = {
        [VLY_ACTIVITY_WALKING] = {2.5, 0.04, 1.4, 0.13, 0.045},
        [VLY_ACTIVITY_STAIRS_UP] = {2.2, 0.06, 1.0, 0.20, 0.06},
        [VLY_ACTIVITY_STAIRS_DOWN] = {3.2, 0.16, 1.6, 0.30, 0.08},
    };
    double p = phase - who->phase;
    double hit = bump(p, forms[a].landing_at, forms[a].width) * who->landing;

    *up = forms[a].wave * cos(2 * M_PI * (p - forms[a].at)) + forms[a].landing * hit;
    *forward = who->forward * (sin(2 * M_PI * (p - 0.05)) + 0.6 * hit);
}

/* Forward, to the left, up. A step that is another activity than the one before goes over to it. */
static void body_acceleration(const scene *s, const walk_step *w, double phase, double t,
                              double acc[3])
{
    double e = envelope(w, t) * w->vigour, x = fmin(fmax(phase, 0), 1), up, forward;
    double side = (w - s->steps) % 2 == 0 ? 1 : -1, within = sin(M_PI * x) * sin(M_PI * x);

    body_wave(&s->who, w->activity, phase, &up, &forward);
    if (!w->is_first && w[-1].activity != w->activity) {
        double up_before, forward_before, share = ease(phase / 0.4);
        body_wave(&s->who, w[-1].activity, phase, &up_before, &forward_before);
        up = share * up + (1 - share) * up_before;
        forward = share * forward + (1 - share) * forward_before;
    }
    for (int k = 0; k < 2; k++)
        up += w->ripple[k] * within * sin(2 * M_PI * (k + 2) * x + w->ripple_at[k]);
    acc[0] = e * forward;
    acc[1] = e * s->who.sideways * side * sin(M_PI * x);
    acc[2] = e * up;
    for (int k = 0; k < 3; k++)
        acc[k] += e * 0.15 * sin(2 * M_PI * s->who.tremor_hz[k] * t);
}

static void add_gesture(const scene *s, cursor *c, double t, double acc[3])
{
    while (c->gesture < s->n_gestures &&
           s->gestures[c->gesture].t + s->gestures[c->gesture].length < t)
        c->gesture++;
    if (c->gesture >= s->n_gestures || s->gestures[c->gesture].t > t)
        return;
    const gesture *g = &s->gestures[c->gesture];
    double x = (t - g->t) / g->length;
    for (int k = 0; k < 3; k++)
        acc[k] += g->strength * g->axis[k] * sin(M_PI * x) * sin(3 * M_PI * x);
}

static quat rotate_by(const rotation *list, size_t n, size_t *at, quat *behind, double t)
{
    while (*at < n && list[*at].t + list[*at].length < t - GYRO_DT) {
        *behind = times(*behind, about(list[*at].axis, list[*at].angle));
        *at += 1;
    }
    quat q = *behind;
    for (size_t i = *at; i < n && list[i].t < t; i++)
        q = times(q, about(list[i].axis, list[i].angle * ease((t - list[i].t) / list[i].length)));
    return q;
}

/* From the axes of the sensor to the world's. */
static quat attitude(const scene *s, cursor *c, double t)
{
    static const double pitch[3] = {0, 1, 0}, roll[3] = {1, 0, 0};
    double phase;
    quat q = times(rotate_by(s->turns, s->n_turns, &c->turn, &c->turned, t), s->who.held);
    const walk_step *w = step_at(s, c, t, &phase);

    q = times(q, rotate_by(s->tilts, s->n_tilts, &c->tilt, &c->tilted, t));
    if (w != NULL) {
        double e = envelope(w, t), side = (w - s->steps) % 2 == 0 ? 1 : -1;
        double half = sin(M_PI * fmin(fmax(phase, 0), 1));
        q = times(q, about(pitch, e * s->who.swing * sin(2 * M_PI * phase)));
        q = times(q, about(roll, e * s->who.sway * side * half));
    }
    return q;
}

static void to_sensor(quat attitude_, const double world[3], double ret[3])
{
    quat v = {0, world[0], world[1], world[2]};
    quat r = times(times(inverse(attitude_), v), attitude_);

    ret[0] = r.x;
    ret[1] = r.y;
    ret[2] = r.z;
}

static void sense(scene *s, cursor *c, double t, vly_imu_reading *ret)
{
    double body[3] = {0}, sensed[3], phase;
    quat before = attitude(s, c, t - GYRO_DT / 2), after = attitude(s, c, t + GYRO_DT / 2);
    quat d = times(inverse(before), after); /* a small turn about w: sin(angle / 2) = |xyz| */
    const walk_step *w = step_at(s, c, t, &phase);

    if (w != NULL)
        body_acceleration(s, w, phase, t, body);
    add_gesture(s, c, t, body);
    for (int k = 0; k < 3; k++)
        body[k] += 0.06 * sin(2 * M_PI * (0.23 + 0.17 * k) * t); /* sway */
    body[2] += GRAVITY;
    to_sensor(before, body, sensed);
    const double turn[3] = {d.x, d.y, d.z};
    for (int k = 0; k < 3; k++) {
        double acc = sensed[k] + s->who.acc_bias[k] + s->who.acc_noise * normal(&s->chance);
        double gyro =
            2 * turn[k] / GYRO_DT + s->who.gyro_bias[k] + s->who.gyro_noise * normal(&s->chance);
        ret->acc[k] = (float)acc;
        ret->gyro[k] = s->opts->has_no_gyro ? 0 : (float)gyro;
    }
}

/* ---- the recording ------------------------------------------------------------------------- */

static int64_t sample_time_us(scene *s, size_t i)
{
    double t = (double)i / s->opts->rate_hz;

    if (s->opts->jitter > 0 && i > 0)
        t += uniform(&s->chance, -s->opts->jitter, s->opts->jitter) / s->opts->rate_hz;
    return llround(t * 1e6);
}

static vly_status take_readings(scene *s, vly_step_recording *r, vly_err *err)
{
    cursor c = {.turned = {.w = 1}, .tilted = {.w = 1}};
    size_t n = (size_t)(s->opts->seconds * s->opts->rate_hz);
    uint8_t *activity = vly_arena_calloc(s->arena, n, 1);

    r->readings = vly_arena_calloc(s->arena, n, sizeof(*r->readings));
    if (r->readings == NULL || activity == NULL)
        return vly_arena_fail(s->arena, err);
    for (size_t i = 0; i < n; i++) {
        double phase;
        r->readings[i].t_us = sample_time_us(s, i);
        double t = (double)r->readings[i].t_us / 1e6;
        sense(s, &c, t, &r->readings[i]);
        const walk_step *w = step_at(s, &c, t, &phase);
        bool is_in_step = w != NULL && phase >= 0 && phase <= 1;
        activity[i] = (uint8_t)(is_in_step ? w->activity : VLY_ACTIVITY_STANDING);
    }
    r->n = n;
    r->rate_hz = s->opts->rate_hz;
    r->has_gyro = !s->opts->has_no_gyro;
    r->truth.activity = activity;
    r->truth.n_samples = n;
    r->truth.rate_hz = r->rate_hz;
    return VLY_OK;
}

/* The first sample at or behind t, the one before it for an end: a step that touches the next ends
 * one sample earlier, as labels made by hand do. */
static vly_status take_truth(scene *s, vly_step_recording *r, vly_err *err)
{
    vly_step_interval *steps = vly_arena_calloc(s->arena, s->n_steps, sizeof(*steps));

    if (steps == NULL)
        return vly_arena_fail(s->arena, err);
    for (size_t i = 0; i < s->n_steps; i++) {
        const walk_step *w = &s->steps[i];
        size_t first = (size_t)ceil(w->t * r->rate_hz - 1e-9);
        size_t behind = (size_t)ceil((w->t + w->length) * r->rate_hz - 1e-9);
        steps[i] = (vly_step_interval){r->readings[first].t_us, r->readings[behind - 1].t_us};
    }
    r->truth.steps = steps;
    r->truth.n_steps = s->n_steps;
    return VLY_OK;
}

static vly_status check(const vly_step_synth_opts *o, vly_err *err)
{
    if (!(o->seconds >= 1 && o->seconds <= 86400))
        return vly_fail(err, VLY_EINVAL, "seconds: expected 1 .. 86400, got %g", o->seconds);
    if (!(o->rate_hz >= 20 && o->rate_hz <= 500))
        return vly_fail(err, VLY_EINVAL, "rate: expected 20 .. 500 Hz, got %g", o->rate_hz);
    if (o->cadence_spm != 0 && !(o->cadence_spm >= 60 && o->cadence_spm <= 200))
        return vly_fail(err, VLY_EINVAL, "cadence: expected 60 .. 200 steps a minute, got %g",
                        o->cadence_spm);
    if (!(o->jitter >= 0 && o->jitter <= 0.45))
        return vly_fail(err, VLY_EINVAL, "jitter: expected 0 .. 0.45 of a period, got %g",
                        o->jitter);
    return VLY_OK;
}

vly_status vly_step_synth(const vly_step_synth_opts *opts, vly_arena *arena,
                          vly_step_recording *ret, vly_err *err)
{
    scene s = {.opts = opts, .arena = arena};
    vly_step_recording r = {0};
    vly_status st = check(opts, err);

    if (st == VLY_OK)
        st = make_scene(&s, err);
    if (st == VLY_OK)
        st = take_readings(&s, &r, err);
    if (st == VLY_OK)
        st = take_truth(&s, &r, err);
    if (st == VLY_OK)
        *ret = r;
    return st;
}
