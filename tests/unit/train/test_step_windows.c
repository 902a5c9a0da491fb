/* SPDX-License-Identifier: MIT */
/* Windows of a recording made by hand: where bells, weights and activities lie, that an epoch
 * covers everything, and that changes leave alone what they must. */
#include "train/steps/step_windows.h"
#include "unit.h"

#include <complex.h>
#include <math.h>
#include <string.h>

enum { N = 1200, HOP = 4, DELAY = 8, FRAMES = 40, BURN = 10, WIDTH = HOP * VLY_IMU_FEATURES + 1 };
enum { READINGS = FRAMES * HOP, SIGMA = 2 };
enum { EVENTS = HOP * 2, X_FLOATS = FRAMES * WIDTH, BELLS = FRAMES * EVENTS };
enum { AT_PEAK = (100 + DELAY) * 2, BESIDE = (50 + DELAY) * 2 };

/* Of prep/imu/imu_features.h: 1 - exp(-1 / (80 Hz * 1 s)), and of 0.15 s. */
#define GRAVITY_RATE 0.012422199
#define LATE_RATE    0.079955585

static float axes[N][VLY_IMU_AXES];
static uint8_t activity[N];
static float starts[] = {100, 400}, ends[] = {140.5F, 440};
static vly_step_track track = {
    .n = N, .axes = axes, .activity = activity, .n_steps = 2, .starts = starts, .ends = ends};
static vly_step_tracks tracks = {
    .set = {.n_recordings = 1, .n_persons = 1}, .tracks = &track, .n_readings = N};

typedef struct batch {
    float x[X_FLOATS], bells[BELLS], bell_weights[BELLS];
    float activities[FRAMES * VLY_ACTIVITIES], activity_weights[FRAMES];
    vly_train_part part;
} batch;

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        const float still[] = {0, 0, 9.81F, 0, 0, 0};
        memcpy(axes[i], still, sizeof(still));
        axes[i][0] = sinf((float)i * 0.2F);
        axes[i][4] = cosf((float)i * 0.3F);
        activity[i] = i < 600 ? VLY_ACTIVITY_WALKING : VLY_ACTIVITY_STAIRS_UP;
    }
    return 0;
}

static vly_step_shape shape = {
    .hop = HOP, .delay = DELAY, .frames = FRAMES, .burn = BURN, .sigma = SIGMA};

static vly_step_windows *new_windows(const vly_step_changes *changes)
{
    vly_step_windows_opts opts = {.seed = 1,
                                  .shape = shape,
                                  .weights = {.peak = 3, .stairs_events = 5, .stairs_activity = 7},
                                  .persons = 1,
                                  .n_parts = 1,
                                  .n = 1};
    vly_step_windows *w = NULL;
    vly_err err = VLY_ERR_INIT;

    if (changes != NULL)
        opts.changes = *changes;
    if (vly_step_windows_new(&tracks, &opts, &w, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return w;
}

static void fill(vly_step_windows *w, uint64_t step, batch *b)
{
    vly_train_source source = vly_step_windows_source(w);

    b->part = (vly_train_part){
        .t = FRAMES,
        .n = 1,
        .x = b->x,
        .heads = {{b->bells, b->bell_weights}, {b->activities, b->activity_weights}}};
    source.fill(source.ctx, step, 0, &b->part);
}

/* The target of reading i for starts (0) or ends (1), in the window that begins at 0. */
static float bell(const batch *b, int i, int which)
{
    return b->bells[(i + DELAY) * 2 + which];
}

static void near(float got, float want)
{
    if (!(fabsf(got - want) <= 1e-5F))
        fail_msg("%g, expected %g", (double)got, (double)want);
}

static void close_to(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%g, expected %g", got, want);
}

/* Finds a window that begins where the recording does: one in each epoch, which may be left over
 * when the batches are full. */
static void fill_first(vly_step_windows *w, batch *b)
{
    uint64_t n = vly_step_windows_steps(w);

    for (uint64_t step = 0; step < 20 * n; step++) {
        if (step % n == 0)
            vly_step_windows_begin(w, step / n);
        fill(w, step, b);
        if (b->activity_weights[BURN - 1] > 0)
            return;
    }
    fail_msg("no window begins with the recording");
}

static void targets(void **state)
{
    static batch b;
    vly_step_windows *w = new_windows(NULL);

    (void)state;
    fill_first(w, &b);
    near(bell(&b, 100, 0), 1);
    near(bell(&b, 102, 0), expf(-0.5F)); /* one sigma away */
    near(bell(&b, 96, 0), expf(-2));
    near(bell(&b, 100, 1), 0);
    near(bell(&b, 140, 1), expf(-0.5F / 16)); /* a half reading before 140.5 */
    near(bell(&b, 141, 1), expf(-0.5F / 16));
    near(b.bell_weights[AT_PEAK], 3); /* at a peak */
    near(b.bell_weights[BESIDE], 1);
    for (int f = 0; f < FRAMES; f++) {
        near(b.activity_weights[f], f < 4 ? 0 : 1);
        near(b.activities[f * VLY_ACTIVITIES + VLY_ACTIVITY_WALKING], 1);
        near(b.x[(f + 1) * WIDTH - 1], 1); /* there is a gyroscope */
    }
    vly_step_windows_free(w);
}

/* Each reading of stairs counts in some window, with the weights of stairs; warm-up does not. */
static void epoch_covers_all(void **state)
{
    static batch b;
    vly_step_windows *w = new_windows(NULL);
    size_t n_stairs = 0, n_walking = 0;

    (void)state;
    for (uint64_t step = 0; step < vly_step_windows_steps(w); step++) {
        fill(w, step, &b);
        for (int f = 0; f < FRAMES; f++) {
            n_stairs += fabsf(b.activity_weights[f] - 7) < 1e-6F;
            n_walking += fabsf(b.activity_weights[f] - 1) < 1e-6F;
        }
    }
    /* 300 frames, half of each; one window may be left out of the batches */
    assert_in_range(n_stairs + n_walking, 300 - 2 * (FRAMES - BURN), 300 + FRAMES);
    assert_true(n_stairs > 80 && n_walking > 80);
    vly_step_windows_free(w);
}

static void same_twice(void **state)
{
    static batch a, b;
    const vly_step_changes changes = {0.15F, 0.1F, 0.05F, 0.01F, 0.1F, 0.01F, 0.15F, 4, 0.5F, 0.2F};
    vly_step_windows *one = new_windows(&changes), *two = new_windows(&changes);

    (void)state;
    fill(one, 1, &a);
    fill(two, 0, &b); /* another window in between */
    fill(two, 1, &b);
    assert_memory_equal(&a, &b, offsetof(batch, part));
    vly_step_windows_free(one);
    vly_step_windows_free(two);
}

/* Seen in a mirror lengths and parts along gravity stay, turns around it change their sign. */
static void mirror(void **state)
{
    static batch a, b;
    const float signs[VLY_IMU_FEATURES] = {1, 1, 1, 1, -1, -1, 1, -1, 1};
    vly_step_windows *plain = new_windows(NULL);
    vly_step_windows *other = new_windows(&(vly_step_changes){.mirror = 1});

    (void)state;
    fill_first(plain, &a);
    fill_first(other, &b);
    assert_memory_equal(a.bells, b.bells, sizeof(a.bells));
    for (int i = 0; i < X_FLOATS; i++)
        if (i % WIDTH < WIDTH - 1)
            near(b.x[i], a.x[i] * signs[i % WIDTH % VLY_IMU_FEATURES]);
    vly_step_windows_free(plain);
    vly_step_windows_free(other);
}

/* Feature `which` of reading i. */
static double seen(const batch *b, int i, int which)
{
    return (double)b->x[i / HOP * WIDTH + i % HOP * VLY_IMU_FEATURES + which];
}

static void set_motion(int i, float up, float turn)
{
    const float motion[VLY_IMU_AXES] = {0, 0, up, 0, 0, turn};

    memcpy(axes[i], motion, sizeof(motion));
}

/* A sensor that turns ever faster around z, w = k t, feels at r (x + iy) the acceleration (i k -
 * w^2) r in the plane; the features take a low-pass of it for a part of gravity, which is heavy
 * here so that its direction does not turn otherwise. Length and sense of turning are those,
 * whatever r is; the first reading has one neighbour only, and half the k. */
static void lever(void **state)
{
    enum { FAR = READINGS - 10 };
    static batch b;
    const double k = 2, step = 1.0 / VLY_IMU_FEATURES_RATE_HZ;
    double complex want[READINGS], late[READINGS], slow = 0, later = 0;

    (void)state;
    for (int i = 0; i < N; i++)
        set_motion(i, 300, (float)(k * step * i));
    for (int i = 0; i < READINGS; i++) {
        double w = k * step * i;
        double complex felt = (i > 0 ? k : k / 2) * (double complex)I - w * w;
        slow = i > 0 ? slow + GRAVITY_RATE * (felt - slow) : felt;
        want[i] = felt - slow;
        late[i] = later += LATE_RATE * (want[i] - later);
    }
    vly_step_windows *w = new_windows(&(vly_step_changes){.lever = 0.15F});
    fill_first(w, &b);
    double r = 2 * seen(&b, FAR, 1) / cabs(want[FAR]);
    assert_true(r > 0.01 && r < 1);
    for (int i = 1; i < READINGS - 1; i++) {
        close_to(seen(&b, i, 1) / r, cabs(want[i]) / 2, 0.02);
        close_to(seen(&b, i, 4) / (r * r), cimag(conj(want[i]) * late[i]) / 2, 0.05);
    }
    vly_step_windows_free(w);
}

/* One factor for a window: rotation, and what swings around gravity. */
static void size(void **state)
{
    static batch b;
    vly_step_windows *w;

    (void)state;
    for (int i = 0; i < N; i++)
        set_motion(i, 9.81F + (i % 2 == 0 ? 0.9F : -0.9F), 2);
    set_motion(0, 9.81F, 2); /* gravity is known from there on */
    w = new_windows(&(vly_step_changes){.size = 0.5F});
    fill_first(w, &b);
    double turn = seen(&b, 40, 5) / 2, swing = seen(&b, 80, 0) / 0.3;
    assert_true(fabs(log(turn)) <= 0.5 && fabs(log(turn)) > 0.01);
    assert_true(fabs(log(swing)) <= 0.5 && fabs(log(swing)) > 0.01);
    assert_true(fabs(swing - turn) > 0.01); /* each has its own */
    for (int i = 40; i < READINGS; i++) {
        close_to(seen(&b, i, 5), 2 * turn, 1e-4);
        close_to(seen(&b, i, 0), (i % 2 == 0 ? 0.3 : -0.3) * swing, 0.01);
    }
    vly_step_windows_free(w);
}

/* What does not change stays; of the fastest swing one share is left, up to 1.3 of it. */
static void smooth(void **state)
{
    static batch b;
    vly_step_windows *w;
    int n_smoothed = 0;

    (void)state;
    for (int i = 0; i < N; i++)
        set_motion(i, 9.81F + (i % 2 == 0 ? 0.9F : -0.9F), 2);
    w = new_windows(&(vly_step_changes){.smooth = 4});
    for (uint64_t step = 0; step < vly_step_windows_steps(w); step++) {
        fill(w, step, &b);
        if (b.activity_weights[FRAMES - 1] <= 0)
            continue; /* the recording ends in it: the last reading stays, and swings no more */
        double left = fabs(seen(&b, 81, 0)) / 0.3;
        assert_true(left < 1.31);
        n_smoothed += fabs(left - 1) > 0.02;
        for (int i = 40; i < READINGS - 24; i++) {
            close_to(seen(&b, i, 5), 2, 1e-4);
            close_to(fabs(seen(&b, i, 0)), 0.3 * left, 0.01);
        }
    }
    assert_true(n_smoothed > 0);
    vly_step_windows_free(w);
}

/* Readings and events move together. */
static void speed(void **state)
{
    static batch b;
    vly_step_windows *w;

    (void)state;
    for (int i = 0; i < N; i++)
        set_motion(i, 9.81F, 0.002F * (float)i);
    w = new_windows(&(vly_step_changes){.speed = 0.3F});
    fill_first(w, &b);
    double speed = seen(&b, 100, 5) / 0.2;
    assert_true(fabs(log(speed)) <= 0.3 && fabs(log(speed)) > 0.01);
    for (int i = 0; i < READINGS; i++)
        close_to(seen(&b, i, 5), 0.002 * i * speed, 1e-4);
    for (int i = -DELAY; i < READINGS - DELAY; i++) {
        double far = (i - 100 / speed) / SIGMA;
        close_to((double)bell(&b, i, 0), fabs(far) < 4 ? exp(-far * far / 2) : 0, 1e-3);
    }
    vly_step_windows_free(w);
}

/* With a look-ahead that is longer than the usual warm-up nothing is asked about readings before
 * the first one. */
static void long_delay(void **state)
{
    static batch b;
    vly_step_windows *w;

    (void)state;
    shape.delay = 30; /* 7.5 frames */
    w = new_windows(NULL);
    shape.delay = DELAY;
    fill_first(w, &b);
    for (int f = 0; f < FRAMES; f++)
        near(b.activity_weights[f], f < 8 ? 0 : 1);
    vly_step_windows_free(w);
}

UNIT_TESTS(cmocka_unit_test_setup(targets, set_up),
           cmocka_unit_test_setup(epoch_covers_all, set_up),
           cmocka_unit_test_setup(same_twice, set_up), cmocka_unit_test_setup(mirror, set_up),
           cmocka_unit_test_setup(lever, set_up), cmocka_unit_test_setup(size, set_up),
           cmocka_unit_test_setup(smooth, set_up), cmocka_unit_test_setup(speed, set_up),
           cmocka_unit_test_setup(long_delay, set_up))
