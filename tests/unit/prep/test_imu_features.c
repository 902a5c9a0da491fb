/* SPDX-License-Identifier: MIT */
/* Features of readings, by hand: the sensor at rest, tipped, and pushed once. */
#include "prep/imu/imu_features.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#define NEAR 2e-5F

static void next(vly_imu_features *f, const vly_imu_reading *r, bool has_gyro, float *ret)
{
    const float motion[1][VLY_IMU_AXES] = {
        {r->acc[0], r->acc[1], r->acc[2], r->gyro[0], r->gyro[1], r->gyro[2]}};
    vly_imu_features_run(f, motion, 1, has_gyro, ret);
}

static void assert_features(const float *got, const float *want)
{
    for (int i = 0; i < VLY_IMU_FEATURES; i++)
        if (!(fabsf(got[i] - want[i]) <= NEAR))
            fail_msg("feature %d: %g, expected %g", i, (double)got[i], (double)want[i]);
}

static void rest_is_nought(void **state)
{
    static const vly_imu_reading readings[] = {{.acc = {0, 0, 9.81F}}, {.acc = {0, -9.81F, 0}}};
    static const float want[VLY_IMU_FEATURES];
    float got[VLY_IMU_FEATURES];

    (void)state;
    for (int i = 0; i < 2; i++) {
        vly_imu_features f;
        vly_imu_features_init(&f);
        for (int k = 0; k < 200; k++)
            next(&f, &readings[i], true, got);
        assert_features(got, want);
    }
}

/*
 * At rest along z, then a push of 2 m/s^2 along x and a turn of 1 rad/s about y and 0.5 about z.
 * gravity = (0.0248444, 0, 9.81), |gravity| = 9.8100315, up = (0.00253255, 0, 0.99999679)
 * a.up = 2 * 0.00253255 + 9.81 * 0.99999679 = 9.8150336; level = a - a.up * up
 *      = (1.9751430, 0, -0.0050021); |level| = 1.9751493
 * |a| = sqrt(4 + 96.2361) = 10.0117980; late = 0.0799556 * level, level.late = 0.3119239
 * w.up = 0.4999984; turn = w - w.up * up = (-0.0012663, 1, 0.0000032), |turn| = 1.0000008
 * level.turn = -0.0025011; (level x turn).up = 1.9751493
 */
static void a_push_by_hand(void **state)
{
    static const vly_imu_reading rest = {.acc = {0, 0, 9.81F}};
    static const vly_imu_reading push = {.acc = {2, 0, 9.81F}, .gyro = {0, 1, 0.5F}};
    static const float want[] = {0.0016779F, 0.9875747F, 0.0672660F,  0.1559620F, 0,
                                 0.4999984F, 1.0000008F, -0.0012506F, 0.9875747F};
    static const float want_acc[] = {0.0016779F, 0.9875747F, 0.0672660F, 0.1559620F};
    float got[VLY_IMU_FEATURES], acc_only[VLY_IMU_FEATURES], padded[VLY_IMU_FEATURES] = {0};
    vly_imu_features f, g;

    (void)state;
    vly_imu_features_init(&f);
    next(&f, &rest, true, got);
    g = f;
    next(&f, &push, true, got);
    assert_features(got, want);
    next(&g, &push, false, acc_only);
    memcpy(padded, want_acc, sizeof(want_acc));
    assert_features(acc_only, padded);
}

/* Readings in another frame of the sensor give the same features. */
static void mounting_does_not_matter(void **state)
{
    vly_imu_features f, g;
    float a[VLY_IMU_FEATURES], b[VLY_IMU_FEATURES];

    (void)state;
    vly_imu_features_init(&f);
    vly_imu_features_init(&g);
    for (int i = 0; i < 400; i++) {
        float t = 0.08F * (float)i;
        vly_imu_reading r = {.acc = {sinf(t), 0.5F * cosf(2 * t), 9.5F + sinf(2 * t)},
                             .gyro = {0.4F * cosf(t), 0.2F, 0.3F * sinf(t)}};
        /* x' = y, y' = -z, z' = -x: a rotation (determinant 1) */
        vly_imu_reading turned = {.acc = {r.acc[1], -r.acc[2], -r.acc[0]},
                                  .gyro = {r.gyro[1], -r.gyro[2], -r.gyro[0]}};
        next(&f, &r, true, a);
        next(&g, &turned, true, b);
        assert_features(b, a);
    }
}

static void pieces_do_not_matter(void **state)
{
    enum { N = 61 };
    float motion[N][VLY_IMU_AXES], whole[N][VLY_IMU_FEATURES], parts[N][VLY_IMU_FEATURES];
    vly_imu_features f, g;

    (void)state;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < VLY_IMU_AXES; k++)
            motion[i][k] = 10 * sinf(0.7F * (float)(i + 1) * (float)(k + 1));
    for (size_t most = 1; most <= 9; most++) {
        vly_imu_features_init(&f);
        vly_imu_features_init(&g);
        vly_imu_features_run(&f, (const float(*)[VLY_IMU_AXES])motion, N, true, whole[0]);
        for (size_t at = 0, n; at < N; at += n) {
            n = 1 + at % most < N - at ? 1 + at % most : N - at;
            vly_imu_features_run(&g, (const float(*)[VLY_IMU_AXES])motion + at, n, true, parts[at]);
        }
        assert_memory_equal(whole, parts, sizeof(whole));
        assert_memory_equal(&f, &g, sizeof(f));
    }
}

static void nothing_is_past_the_limits(void **state)
{
    static const float zeroes[VLY_IMU_FEATURES];
    const float m = VLY_IMU_ACC_MAX, w = VLY_IMU_GYRO_MAX;
    const vly_imu_reading wild[] = {{.acc = {0, 0, 0}},
                                    {.acc = {m, m, m}, .gyro = {w, w, w}},
                                    {.acc = {-m, m, -m}, .gyro = {w, -w, w}},
                                    {.acc = {m, -m, m}, .gyro = {-w, -w, w}}};
    float got[VLY_IMU_FEATURES];
    vly_imu_features f;

    (void)state;
    vly_imu_features_init(&f);
    for (int i = 0; i < 4; i++) {
        next(&f, &wild[i], true, got);
        for (int k = 0; k < VLY_IMU_FEATURES; k++)
            assert_true(got[k] >= -4 && got[k] <= 4);
    }
    vly_imu_features_init(&f);
    next(&f, &wild[0], false, got); /* no gravity at all: no direction, no NaN */
    assert_true(got[0] == -9.81F / 3.0F && got[2] == -9.81F / 3.0F);
    got[0] = got[2] = 0;
    assert_features(got, zeroes);
}

UNIT_TESTS(cmocka_unit_test(rest_is_nought), cmocka_unit_test(a_push_by_hand),
           cmocka_unit_test(mounting_does_not_matter), cmocka_unit_test(pieces_do_not_matter),
           cmocka_unit_test(nothing_is_past_the_limits))
