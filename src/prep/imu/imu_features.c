/* SPDX-License-Identifier: MIT */
#include "prep/imu/imu_features.h"

#include <math.h>
#include <string.h>

/* 1 - exp(-1 / (80 Hz * seconds)) */
#define GRAVITY_RATE 0.012422199F /* 1 s */
#define LATE_RATE    0.079955585F /* 0.15 s */

#define REST_ACC   9.81F
#define LENGTH_MIN 1e-6F
#define LIMIT      4.0F

static float dot(const float a[3], const float b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* (a x b).c */
static float triple(const float a[3], const float b[3], const float c[3])
{
    return (a[1] * b[2] - a[2] * b[1]) * c[0] + (a[2] * b[0] - a[0] * b[2]) * c[1] +
           (a[0] * b[1] - a[1] * b[0]) * c[2];
}

static float within(float x)
{
    x = x < LIMIT ? x : LIMIT;
    return x > -LIMIT ? x : -LIMIT;
}

static void follow(float state[3], const float x[3], float rate)
{
    for (int i = 0; i < 3; i++)
        state[i] += rate * (x[i] - state[i]);
}

static void take_away(const float v[3], float part, const float up[3], float ret[3])
{
    for (int i = 0; i < 3; i++)
        ret[i] = v[i] - part * up[i];
}

void vly_imu_features_init(vly_imu_features *f)
{
    memset(f, 0, sizeof(*f));
}

void vly_imu_features_next(vly_imu_features *f, const vly_imu_reading *reading, bool has_gyro,
                           float *ret)
{
    const float *a = reading->acc, *w = reading->gyro;
    float up[3], level[3], turn[3];

    if (f->has_gravity == 0)
        memcpy(f->gravity, a, sizeof(f->gravity));
    else
        follow(f->gravity, a, GRAVITY_RATE);
    f->has_gravity = 1;
    float length = sqrtf(dot(f->gravity, f->gravity));
    float scale = 1.0F / (length > LENGTH_MIN ? length : LENGTH_MIN);
    for (int i = 0; i < 3; i++)
        up[i] = f->gravity[i] * scale;
    float a_up = dot(a, up);
    take_away(a, a_up, up, level);
    follow(f->late, level, LATE_RATE);

    ret[0] = within((a_up - REST_ACC) / 3.0F);
    ret[1] = within(sqrtf(dot(level, level)) * 0.5F);
    ret[2] = within((sqrtf(dot(a, a)) - REST_ACC) / 3.0F);
    ret[3] = within(dot(level, f->late) * 0.5F);
    ret[4] = within(triple(level, f->late, up) * 0.5F);
    if (!has_gyro) {
        memset(ret + 5, 0, 4 * sizeof(*ret));
        return;
    }
    float w_up = dot(w, up);
    take_away(w, w_up, up, turn);
    ret[5] = within(w_up);
    ret[6] = within(sqrtf(dot(turn, turn)));
    ret[7] = within(dot(level, turn) * 0.5F);
    ret[8] = within(triple(level, turn, up) * 0.5F);
}
