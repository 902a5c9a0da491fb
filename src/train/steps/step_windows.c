/* SPDX-License-Identifier: MIT */
#include "train/steps/step_windows.h"

#include "base/assert.h"
#include "base/mem.h"
#include "prep/imu/imu_features.h"

#include <math.h>
#include <string.h>

#define WARM         240 /* readings before a window, for the low-passes of the features: 3 s */
#define READINGS_MAX 2048
#define BURN_BEGIN   4 /* frames that do not count where a recording begins, at least */

enum { STREAM_ORDER = 1, STREAM_WINDOW = 2 }; /* of random numbers */

/* A window: readings from `first` on of a track. */
typedef struct window {
    uint32_t track;
    int64_t first;
} window;

typedef struct scene scene;

/* A window at work: n_warm readings, then those of the frames. */
struct scene {
    const vly_step_track *track;
    double first, speed; /* reading i after the warm-up is at first + i * speed in the track */
    int64_t n_warm, n;
    bool has_gyro;
    float axes[WARM + READINGS_MAX][VLY_IMU_AXES];
    float was[WARM + READINGS_MAX][VLY_IMU_AXES]; /* of a step before */
};

struct vly_step_windows {
    const vly_step_tracks *tracks;
    vly_step_windows_opts opts;
    size_t
        repeats_1000[VLY_STEP_PERSONS_MAX]; /* how often an epoch sees a person, in thousandths */
    window *list;                           /* of this epoch */
    size_t n_list, list_cap;
    uint64_t n_steps, epoch;
    scene *scenes; /* one for each part */
};

static int64_t readings_of(const vly_step_shape *s)
{
    return (int64_t)s->frames * s->hop;
}

/* Readings from one window to the next: what counts of each. */
static int64_t stride_of(const vly_step_shape *s)
{
    return (int64_t)(s->frames - s->burn) * s->hop;
}

static bool takes_part(const vly_step_windows *w, const vly_step_track *t)
{
    return (w->opts.persons >> t->person & 1) != 0;
}

/* ---- epochs -------------------------------------------------------------------------------- */

static void weigh_persons(vly_step_windows *w)
{
    size_t n[VLY_STEP_PERSONS_MAX] = {0}, most = 0;

    for (size_t i = 0; i < w->tracks->set.n_recordings; i++) {
        const vly_step_track *t = &w->tracks->tracks[i];
        n[t->person] += takes_part(w, t) ? t->n : 0;
        most = n[t->person] > most ? n[t->person] : most;
    }
    for (size_t i = 0; i < VLY_STEP_PERSONS_MAX; i++)
        if (n[i] > 0)
            w->repeats_1000[i] = (size_t)lrint(
                1000 * pow((double)most / (double)n[i], (double)w->opts.weights.balance));
}

/* Windows of one time through all recordings that take part, at most. */
static size_t count_windows(const vly_step_windows *w, bool is_most)
{
    int64_t stride = stride_of(&w->opts.shape);
    size_t n = 0;

    for (size_t i = 0; i < w->tracks->set.n_recordings; i++) {
        const vly_step_track *t = &w->tracks->tracks[i];
        if (!takes_part(w, t))
            continue;
        size_t each = t->n / (size_t)stride + (is_most ? 2 : 0);
        size_t times = w->repeats_1000[t->person];
        n += is_most ? each * ((times + 999) / 1000) : each * times / 1000;
    }
    return n;
}

vly_status vly_step_windows_new(const vly_step_tracks *tracks, const vly_step_windows_opts *opts,
                                vly_step_windows **ret, vly_err *err)
{
    VLY_ASSERT(opts->shape.burn < opts->shape.frames && opts->shape.hop >= 1);
    VLY_ASSERT(readings_of(&opts->shape) <= READINGS_MAX && opts->n_parts >= 1 && opts->n >= 1);
    vly_step_windows *w = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*w));
    if (w == NULL)
        return vly_fail(err, VLY_ENOMEM, "windows: out of memory");
    w->tracks = tracks;
    w->opts = *opts;
    weigh_persons(w);
    size_t batch = opts->n_parts * (size_t)opts->n;
    w->n_steps = count_windows(w, false) / batch;
    w->n_steps = w->n_steps > 0 ? w->n_steps : 1;
    w->list_cap = count_windows(w, true);
    w->list = vly_calloc(VLY_MEM_MODEL, w->list_cap, sizeof(*w->list));
    w->scenes = vly_calloc(VLY_MEM_MODEL, opts->n_parts, sizeof(*w->scenes));
    if (w->list_cap == 0 || w->list == NULL || w->scenes == NULL) {
        vly_status st = w->list_cap == 0
                            ? vly_fail(err, VLY_EINVAL, "no recording takes part in training")
                            : vly_fail(err, VLY_ENOMEM, "windows: out of memory");
        vly_step_windows_free(w);
        return st;
    }
    vly_step_windows_begin(w, 0);
    *ret = w;
    return VLY_OK;
}

void vly_step_windows_free(vly_step_windows *w)
{
    if (w == NULL)
        return;
    vly_free(w->list);
    vly_free(w->scenes);
    vly_free(w);
}

uint64_t vly_step_windows_steps(const vly_step_windows *w)
{
    return w->n_steps;
}

/* Windows of one track, from a random offset on. */
static void list_track(vly_step_windows *w, uint32_t i, vly_rng *rng)
{
    int64_t stride = stride_of(&w->opts.shape), n = (int64_t)w->tracks->tracks[i].n;
    int64_t first = -(int64_t)vly_rng_below(rng, (uint32_t)stride);

    for (; first < n && w->n_list < w->list_cap; first += stride)
        w->list[w->n_list++] = (window){i, first > 0 ? first : 0};
}

void vly_step_windows_begin(vly_step_windows *w, uint64_t epoch)
{
    vly_rng rng;

    vly_rng_init(&rng, vly_rng_mix(w->opts.seed, epoch), STREAM_ORDER);
    w->epoch = epoch;
    w->n_list = 0;
    for (uint32_t i = 0; i < w->tracks->set.n_recordings; i++) {
        const vly_step_track *t = &w->tracks->tracks[i];
        size_t times = takes_part(w, t) ? w->repeats_1000[t->person] : 0;
        times = times / 1000 + (vly_rng_below(&rng, 1000) < times % 1000);
        for (; times > 0; times--)
            list_track(w, i, &rng);
    }
    for (size_t i = w->n_list; i > 1; i--) { /* Fisher and Yates */
        size_t k = vly_rng_below(&rng, (uint32_t)i);
        window swap = w->list[i - 1];
        w->list[i - 1] = w->list[k];
        w->list[k] = swap;
    }
}

/* ---- one window ---------------------------------------------------------------------------- */

static float span(vly_rng *rng, float width)
{
    return width * (2 * vly_rng_uniform(rng) - 1);
}

/* Between the readings of the track; where it has ended, its last reading stays. */
static void sample(scene *s)
{
    const vly_step_track *t = s->track;

    for (int64_t i = 0; i < s->n_warm + s->n; i++) {
        double at = s->first + (double)(i - s->n_warm) * s->speed;
        at = at < 0 ? 0 : at;
        size_t k = (size_t)at;
        float part = (float)(at - (double)k);
        size_t a = k < t->n ? k : t->n - 1, b = a + 1 < t->n ? a + 1 : a;
        for (int c = 0; c < VLY_IMU_AXES; c++)
            s->axes[i][c] = t->axes[a][c] + part * (t->axes[b][c] - t->axes[a][c]);
    }
}

/* The sensor sits elsewhere in the same hand, by r: a += w' x r + w x (w x r). */
static void move_sensor(scene *s, const float r[3])
{
    int64_t n = s->n_warm + s->n;
    const float half_rate = VLY_IMU_FEATURES_RATE_HZ / 2.0F;

    for (int64_t i = 0; i < n; i++) {
        const float *w = s->axes[i] + 3;
        const float *b = s->axes[i > 0 ? i - 1 : i] + 3, *e = s->axes[i + 1 < n ? i + 1 : i] + 3;
        float turn[3], pull[3];
        for (int c = 0; c < 3; c++)
            turn[c] = (e[c] - b[c]) * half_rate;
        for (int c = 0; c < 3; c++) {
            int x = (c + 1) % 3, y = (c + 2) % 3;
            pull[c] = w[x] * r[y] - w[y] * r[x];
        }
        for (int c = 0; c < 3; c++) {
            int x = (c + 1) % 3, y = (c + 2) % 3;
            s->axes[i][c] += turn[x] * r[y] - turn[y] * r[x] + w[x] * pull[y] - w[y] * pull[x];
        }
    }
}

/* In a mirror acceleration changes its sign across the glass, rotation along it. */
static void mirror(scene *s)
{
    for (int64_t i = 0; i < s->n_warm + s->n; i++) {
        s->axes[i][0] = -s->axes[i][0];
        s->axes[i][4] = -s->axes[i][4];
        s->axes[i][5] = -s->axes[i][5];
    }
}

/* Size of the motion around slow gravity, and of rotation. */
static void scale_motion(scene *s, float acc_scale, float gyro_scale)
{
    const float rate = 0.0124222F; /* a low-pass of 1 s */
    float gravity[3];

    memcpy(gravity, s->axes[0], sizeof(gravity));
    for (int64_t i = 0; i < s->n_warm + s->n; i++) {
        float *a = s->axes[i];
        for (int c = 0; c < 3; c++) {
            gravity[c] += rate * (a[c] - gravity[c]);
            a[c] = gravity[c] + acc_scale * (a[c] - gravity[c]);
            a[c + 3] *= gyro_scale;
        }
    }
}

/* x = share * x + (1 - share) * x behind a Gaussian low-pass: a softer or a harder grip. */
static void smooth(scene *s, float sigma, float share)
{
    enum { REACH_MAX = 24 };
    float bell[REACH_MAX + 1], sum = 0;
    int64_t n = s->n_warm + s->n, reach = (int64_t)ceilf(3 * sigma);

    reach = reach < REACH_MAX ? reach : REACH_MAX;
    for (int64_t k = 0; k <= reach; k++) {
        bell[k] = expf(-0.5F * (float)(k * k) / (sigma * sigma));
        sum += k > 0 ? 2 * bell[k] : bell[k];
    }
    memcpy(s->was, s->axes, (size_t)n * sizeof(s->axes[0]));
    for (int64_t i = 0; i < n; i++) {
        float mean[VLY_IMU_AXES] = {0};
        for (int64_t k = -reach; k <= reach; k++) {
            int64_t at = i + k < 0 ? 0 : i + k < n ? i + k : n - 1;
            for (int c = 0; c < VLY_IMU_AXES; c++)
                mean[c] += bell[k < 0 ? -k : k] * s->was[at][c];
        }
        for (int c = 0; c < VLY_IMU_AXES; c++)
            s->axes[i][c] = share * s->was[i][c] + (1 - share) * mean[c] / sum;
    }
}

static void add_noise(scene *s, const vly_step_changes *c, vly_rng *rng)
{
    float acc = c->acc_noise * vly_rng_uniform(rng), gyro = c->gyro_noise * vly_rng_uniform(rng);
    float bias[VLY_IMU_AXES];

    for (int i = 0; i < VLY_IMU_AXES; i++)
        bias[i] = vly_rng_normal(rng) * (i < 3 ? c->acc_bias : c->gyro_bias);
    for (int64_t i = 0; i < s->n_warm + s->n; i++)
        for (int k = 0; k < VLY_IMU_AXES; k++)
            s->axes[i][k] += bias[k] + vly_rng_noise(rng) * (k < 3 ? acc : gyro);
}

static void change(scene *s, const vly_step_changes *c, vly_rng *rng)
{
    float acc_scale = expf(span(rng, c->size)), gyro_scale = expf(span(rng, c->size));

    scale_motion(s, acc_scale, gyro_scale);
    add_noise(s, c, rng);
    if (c->lever > 0) {
        float r[3];
        for (int i = 0; i < 3; i++)
            r[i] = vly_rng_normal(rng) * c->lever;
        move_sensor(s, r);
    }
    if (c->smooth > 0 && vly_rng_uniform(rng) < 0.7F) {
        float sigma = 0.3F + vly_rng_uniform(rng) * (c->smooth - 0.3F);
        smooth(s, sigma, 1.3F * vly_rng_uniform(rng));
    }
    if (vly_rng_uniform(rng) < c->mirror)
        mirror(s);
    s->has_gyro = !(vly_rng_uniform(rng) < c->no_gyro);
}

/* ---- what the net sees --------------------------------------------------------------------- */

/* Sequence `at` of the part, whose frames lie n sequences apart. */
static void write_features(const scene *s, const vly_step_shape *shape, size_t at,
                           vly_train_part *p)
{
    enum { PIECE = 16 };
    size_t hop = (size_t)shape->hop, width = hop * VLY_IMU_FEATURES + 1;
    float unused[PIECE * VLY_IMU_FEATURES];
    vly_imu_features f;

    vly_imu_features_init(&f);
    for (int64_t i = 0; i < s->n_warm; i += PIECE) {
        int64_t n = s->n_warm - i < PIECE ? s->n_warm - i : PIECE;
        vly_imu_features_run(&f, s->axes + i, (size_t)n, s->has_gyro, unused);
    }
    for (size_t k = 0; k < (size_t)shape->frames; k++) {
        float *to = p->x + (k * (size_t)p->n + at) * width;
        vly_imu_features_run(&f, s->axes + s->n_warm + (int64_t)(k * hop), hop, s->has_gyro, to);
        to[width - 1] = s->has_gyro ? 1 : 0;
    }
}

/* Bells around the events, delayed; which: 0 starts, 1 ends. */
static void write_bells(const scene *s, const vly_step_shape *shape, size_t at, int which,
                        vly_train_part *p)
{
    const float *events = which == 0 ? s->track->starts : s->track->ends;
    size_t hop = (size_t)shape->hop;
    float reach = 4 * shape->sigma;

    for (size_t i = 0; i < s->track->n_steps; i++) {
        float middle = (float)(((double)events[i] - s->first) / s->speed) + (float)shape->delay;
        if (middle < -reach || middle > (float)s->n + reach)
            continue;
        int64_t k = (int64_t)ceilf(middle - reach), end = (int64_t)floorf(middle + reach);
        for (k = k < 0 ? 0 : k; k <= end && k < s->n; k++) {
            float far = ((float)k - middle) / shape->sigma, y = expf(-0.5F * far * far);
            size_t frame = (size_t)k / hop * (size_t)p->n + at;
            float *to = &p->heads[0].targets[(frame * hop + (size_t)k % hop) * 2 + (size_t)which];
            *to = y > *to ? y : *to;
        }
    }
}

/* The activity at the middle of what the frame's outputs speak of. */
static vly_activity activity_of(const scene *s, const vly_step_shape *shape, int64_t frame)
{
    int64_t reading = frame * shape->hop + shape->hop / 2 - shape->delay;
    double at = s->first + (double)reading * s->speed;
    size_t k = at > 0 ? (size_t)at : 0;

    return (vly_activity)s->track->activity[k < s->track->n ? k : s->track->n - 1];
}

static int64_t burn_at_begin(const vly_step_shape *shape)
{
    int64_t before = (shape->delay + shape->hop - 1) / shape->hop; /* the first reading */

    return before > BURN_BEGIN ? before : BURN_BEGIN;
}

static void write_weights(const scene *s, const vly_step_shape *shape,
                          const vly_step_weights *weights, size_t at, vly_train_part *p)
{
    size_t outs = (size_t)shape->hop * 2;
    int64_t burn = s->first > 0 ? shape->burn : burn_at_begin(shape);

    for (int64_t f = 0; f < shape->frames; f++) {
        size_t row = (size_t)f * (size_t)p->n + at;
        double last = s->first + (double)((f + 1) * shape->hop - 1) * s->speed;
        bool counts = f >= burn && last < (double)s->track->n;
        vly_activity a = activity_of(s, shape, f);
        bool is_stairs = a == VLY_ACTIVITY_STAIRS_UP || a == VLY_ACTIVITY_STAIRS_DOWN;
        float *events = p->heads[0].weights + row * outs;
        const float *y = p->heads[0].targets + row * outs;
        for (size_t k = 0; k < outs; k++)
            events[k] = !counts ? 0
                                : (1 + (weights->peak - 1) * y[k]) *
                                      (is_stairs ? weights->stairs_events : 1);
        p->heads[1].weights[row] = !counts ? 0 : is_stairs ? weights->stairs_activity : 1;
        for (size_t k = 0; k < VLY_ACTIVITIES; k++)
            p->heads[1].targets[row * VLY_ACTIVITIES + k] = k == (size_t)a;
    }
}

/* Sequence `at` of the part; number: of the window in the epoch. */
static void fill_one(const vly_step_windows *w, scene *s, const window *which, vly_rng *rng,
                     size_t at, vly_train_part *p)
{
    const vly_step_windows_opts *o = &w->opts;

    s->track = &w->tracks->tracks[which->track];
    s->speed = exp((double)span(rng, o->changes.speed));
    s->first = (double)which->first;
    if (which->first > 0)
        s->first += (double)vly_rng_uniform(rng);
    s->n = readings_of(&o->shape);
    s->n_warm = (int64_t)fmin(WARM, s->first / s->speed);
    sample(s);
    change(s, &o->changes, rng);
    write_features(s, &o->shape, at, p);
    write_bells(s, &o->shape, at, 0, p);
    write_bells(s, &o->shape, at, 1, p);
    write_weights(s, &o->shape, &o->weights, at, p);
}

static void fill(void *ctx, uint64_t step, size_t part, vly_train_part *p)
{
    const vly_step_windows *w = ctx;
    const vly_step_windows_opts *o = &w->opts;
    size_t n = (size_t)p->n, rows = (size_t)p->t * n;

    VLY_ASSERT(step / w->n_steps == w->epoch && p->n == o->n && p->t == o->shape.frames);
    memset(p->heads[0].targets, 0, rows * (size_t)o->shape.hop * 2 * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        size_t number = ((size_t)(step % w->n_steps) * o->n_parts + part) * n + i;
        vly_rng rng;
        vly_rng_init(&rng, vly_rng_mix(vly_rng_mix(o->seed, step), part * n + i), STREAM_WINDOW);
        fill_one(w, &w->scenes[part], &w->list[number % w->n_list], &rng, i, p);
    }
}

vly_train_source vly_step_windows_source(vly_step_windows *w)
{
    return (vly_train_source){fill, w};
}
