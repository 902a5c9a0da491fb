/* SPDX-License-Identifier: MIT */
#include "prep/imu/imu_features.h"

#include <math.h>
#include <string.h>

#define GRAVITY_RATE 0.02F /* of one reading: half a second's past counts most */
#define ACC_SCALE    0.2F  /* 5 m/s^2 is 1 */
#define GYRO_SCALE   0.5F  /* 2 rad/s is 1 */
#define LIMIT        4.0F

static float dot(const float a[3], const float b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static float clip(float x)
{
    x = x < LIMIT ? x : LIMIT;
    return x > -LIMIT ? x : -LIMIT;
}

/* What is left of a vector of this square length beside its part along gravity. */
static float across(float square, float along)
{
    float rest = square - along * along;
    return rest > 0.0F ? sqrtf(rest) : 0.0F;
}

static void follow_gravity(vly_imu_features *f, const float acc[3])
{
    if (!f->has_gravity)
        memcpy(f->gravity, acc, sizeof(f->gravity));
    for (int i = 0; i < 3; i++)
        f->gravity[i] += GRAVITY_RATE * (acc[i] - f->gravity[i]);
}

void vly_imu_features_init(vly_imu_features *f)
{
    memset(f, 0, sizeof(*f));
}

void vly_imu_features_next(vly_imu_features *f, const vly_imu_reading *reading, bool has_gyro,
                           float *ret)
{
    static const float still[3];
    const float *acc = reading->acc, *gyro = has_gyro ? reading->gyro : still;

    follow_gravity(f, acc);
    float length = sqrtf(dot(f->gravity, f->gravity));
    float scale = length > 0.1F ? 1.0F / length : 0.0F;
    float acc2 = dot(acc, acc), gyro2 = dot(gyro, gyro);
    float acc_up = dot(acc, f->gravity) * scale, acc_all = sqrtf(acc2);
    float gyro_up = dot(gyro, f->gravity) * scale;
    const float now[3] = {acc_up, acc_all, across(gyro2, gyro_up)};

    if (!f->has_gravity)
        memcpy(f->before, now, sizeof(now));
    ret[0] = clip((acc_up - VLY_IMU_GRAVITY) * ACC_SCALE);
    ret[1] = clip(across(acc2, acc_up) * ACC_SCALE);
    ret[2] = clip((acc_all - VLY_IMU_GRAVITY) * ACC_SCALE);
    ret[3] = clip(gyro_up * GYRO_SCALE);
    ret[4] = clip(now[2] * GYRO_SCALE);
    ret[5] = clip(sqrtf(gyro2) * GYRO_SCALE);
    ret[6] = clip((acc_up - f->before[0]) * ACC_SCALE);
    ret[7] = clip((acc_all - f->before[1]) * ACC_SCALE);
    ret[8] = clip((now[2] - f->before[2]) * GYRO_SCALE);
    memcpy(f->before, now, sizeof(now));
    f->has_gravity = true;
}
