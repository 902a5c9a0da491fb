/* SPDX-License-Identifier: MIT */
/* What a training is told apart by, and that one that runs away is stopped. */
#include "train/steps/step_fit.h"
#include "unit.h"

#include <math.h>
#include <string.h>

enum { N = 2000 };

static float axes[N][VLY_IMU_AXES], starts[] = {100, 400}, ends[] = {140, 440};
static uint8_t activity[N];
static vly_step_track track = {
    .n = N, .axes = axes, .activity = activity, .n_steps = 2, .starts = starts, .ends = ends};
static vly_step_tracks tracks = {
    .set = {.n_recordings = 1, .n_persons = 1}, .tracks = &track, .n_readings = N};

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        const float motion[] = {sinf((float)i * 0.2F), 0, 9.81F, 0, cosf((float)i * 0.3F), 0};
        memcpy(axes[i], motion, sizeof(motion));
        activity[i] = VLY_ACTIVITY_WALKING;
    }
    starts[0] = 100;
    return 0;
}

static vly_step_fit open_fit(const vly_step_fit_opts *opts)
{
    vly_step_fit f;
    vly_err err = VLY_ERR_INIT;

    if (vly_step_fit_open(&f, &tracks, opts, 1, NULL, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return f;
}

static uint64_t fingerprint(const vly_step_fit_opts *opts)
{
    vly_step_fit f = open_fit(opts);
    uint64_t ret = vly_step_fit_fingerprint(&f);

    vly_step_fit_close(&f);
    return ret;
}

static void tells_options_apart(void **state)
{
    vly_step_fit_opts o = vly_step_fit_defaults;
    uint64_t usual = fingerprint(&o);

    (void)state;
    assert_int_equal(fingerprint(&o), usual);
#define OTHER(field, value)                                                                        \
    o = vly_step_fit_defaults;                                                                     \
    o.field = (value);                                                                             \
    assert_int_not_equal(fingerprint(&o), usual)
    OTHER(seed, 2);
    OTHER(n_epochs, 61);
    OTHER(net.hidden, 32);
    OTHER(net.dropout, 0.2F);
    OTHER(shape.delay, 14);
    OTHER(shape.sigma, 2);
    OTHER(changes.no_gyro, 0.1F);
    OTHER(weights.balance, 0.5F);
    OTHER(rule.min_gap, 17);
    OTHER(rate, 5e-3F);
    OTHER(activity_weight, 0.2);
    OTHER(n_warmup, 50);
    OTHER(keep_zeros, true);
#undef OTHER
}

static void tells_data_apart(void **state)
{
    const vly_step_fit_opts *o = &vly_step_fit_defaults;
    uint64_t usual = fingerprint(o);

    (void)state;
    axes[N - 1][5] = 0.5F;
    assert_int_not_equal(fingerprint(o), usual);
    set_up(state);
    activity[7] = VLY_ACTIVITY_STANDING;
    assert_int_not_equal(fingerprint(o), usual);
    set_up(state);
    starts[0] = 101;
    assert_int_not_equal(fingerprint(o), usual);
    set_up(state);
    assert_int_equal(fingerprint(o), usual);
}

static void stops_when_it_runs_away(void **state)
{
    vly_step_fit_opts o = vly_step_fit_defaults;
    vly_step_epoch told;
    vly_err err = VLY_ERR_INIT;

    (void)state;
    vly_step_fit f = open_fit(&o);
    assert_int_equal(vly_step_fit_epoch(&f, &told, &err), VLY_OK);
    assert_true(isfinite(told.loss));
    vly_trainer_state_of(f.trainer)->params[3] = NAN;
    assert_int_equal(vly_step_fit_epoch(&f, &told, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "ran away"));
    vly_step_fit_close(&f);
}

UNIT_TESTS(cmocka_unit_test_setup(tells_options_apart, set_up),
           cmocka_unit_test_setup(tells_data_apart, set_up),
           cmocka_unit_test_setup(stops_when_it_runs_away, set_up))
