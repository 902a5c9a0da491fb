/* SPDX-License-Identifier: MIT */
/*
 * Four readings at a time, a lane each: what does not depend on the reading before is the larger
 * part. The low-passes go on reading by reading, with x, y, z in the lanes.
 */
#include "prep/imu/imu_features.h"

#include <math.h>
#include <string.h>

/* 1 - exp(-1 / (80 Hz * seconds)) */
#define GRAVITY_RATE 0.012422199F /* 1 s */
#define LATE_RATE    0.079955585F /* 0.15 s */

#define REST_ACC   9.81F
#define LENGTH_MIN 1e-6F
#define LIMIT      4.0F
#define LANES      4

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int masks __attribute__((vector_size(LANES * sizeof(int))));

typedef struct vec3 {
    lanes x, y, z;
} vec3;

static inline lanes all(float v)
{
    return (lanes){v, v, v, v};
}

static inline lanes pick(masks where, lanes a, lanes b)
{
    return (lanes)(((masks)a & where) | ((masks)b & ~where));
}

static inline lanes at_most(lanes a, lanes b)
{
    return pick(a < b, a, b);
}

static inline lanes at_least(lanes a, lanes b)
{
    return pick(a > b, a, b);
}

static inline lanes root(lanes v)
{
    return (lanes){sqrtf(v[0]), sqrtf(v[1]), sqrtf(v[2]), sqrtf(v[3])};
}

static inline lanes within(lanes v)
{
    return at_least(at_most(v, all(LIMIT)), all(-LIMIT));
}

static inline lanes dot(vec3 a, vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

/* (a x b).c */
static inline lanes triple(vec3 a, vec3 b, vec3 c)
{
    return (a.y * b.z - a.z * b.y) * c.x + (a.z * b.x - a.x * b.z) * c.y +
           (a.x * b.y - a.y * b.x) * c.z;
}

static inline vec3 less(vec3 v, lanes part, vec3 up)
{
    return (vec3){v.x - part * up.x, v.y - part * up.y, v.z - part * up.z};
}

static inline lanes load(const float *from)
{
    lanes v;
    memcpy(&v, from, sizeof(v));
    return v;
}

static inline void store(float *to, lanes v)
{
    memcpy(to, &v, sizeof(v));
}

/* Four rows to four columns; the fourth is left out. */
static inline vec3 columns(lanes a, lanes b, lanes c, lanes d)
{
    lanes ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    lanes cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    lanes ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    lanes cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);

    return (vec3){__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                  __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                  __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5)};
}

/* The three columns and one of zeroes to four rows. */
static inline void rows(vec3 v, lanes ret[LANES])
{
    lanes xy_low = __builtin_shufflevector(v.x, v.y, 0, 4, 1, 5);
    lanes xy_high = __builtin_shufflevector(v.x, v.y, 2, 6, 3, 7);
    lanes z_low = __builtin_shufflevector(v.z, all(0), 0, 4, 1, 5);
    lanes z_high = __builtin_shufflevector(v.z, all(0), 2, 6, 3, 7);

    ret[0] = __builtin_shufflevector(xy_low, z_low, 0, 1, 4, 5);
    ret[1] = __builtin_shufflevector(xy_low, z_low, 2, 3, 6, 7);
    ret[2] = __builtin_shufflevector(xy_high, z_high, 0, 1, 4, 5);
    ret[3] = __builtin_shufflevector(xy_high, z_high, 2, 3, 6, 7);
}

/* The low-pass after each of n readings; lanes past them are of no use. */
static inline vec3 follow(float state[LANES], const lanes *x, size_t n, float rate)
{
    lanes at = load(state), past[LANES] = {at, at, at, at};

    for (size_t i = 0; i < n; i++)
        past[i] = at += all(rate) * (x[i] - at);
    store(state, at);
    return columns(past[0], past[1], past[2], past[3]);
}

/* Of up to four readings: acc and gyro [LANES], then features [VLY_IMU_FEATURES]. */
static void run_lanes(vly_imu_features *f, const lanes *acc, const lanes *gyro, size_t n,
                      bool has_gyro, lanes *ret)
{
    lanes level_rows[LANES];
    vec3 a = columns(acc[0], acc[1], acc[2], acc[3]);
    vec3 g = follow(f->gravity, acc, n, GRAVITY_RATE);
    lanes scale = all(1.0F) / at_least(root(dot(g, g)), all(LENGTH_MIN));
    vec3 up = {g.x * scale, g.y * scale, g.z * scale};
    lanes a_up = dot(a, up);
    vec3 level = less(a, a_up, up);

    rows(level, level_rows);
    vec3 late = follow(f->late, level_rows, n, LATE_RATE);
    ret[0] = within((a_up - all(REST_ACC)) / all(3.0F));
    ret[1] = within(root(dot(level, level)) * all(0.5F));
    ret[2] = within((root(dot(a, a)) - all(REST_ACC)) / all(3.0F));
    ret[3] = within(dot(level, late) * all(0.5F));
    ret[4] = within(triple(level, late, up) * all(0.5F));
    if (!has_gyro) {
        ret[5] = ret[6] = ret[7] = ret[8] = all(0);
        return;
    }
    vec3 w = columns(gyro[0], gyro[1], gyro[2], gyro[3]);
    lanes w_up = dot(w, up);
    vec3 turn = less(w, w_up, up);
    ret[5] = within(w_up);
    ret[6] = within(root(dot(turn, turn)));
    ret[7] = within(dot(level, turn) * all(0.5F));
    ret[8] = within(triple(level, turn, up) * all(0.5F));
}

void vly_imu_features_init(vly_imu_features *f)
{
    memset(f, 0, sizeof(*f));
}

void vly_imu_features_run(vly_imu_features *f, const float (*motion)[VLY_IMU_AXES], size_t n,
                          bool has_gyro, float *ret)
{
    lanes acc[LANES], gyro[LANES], features[VLY_IMU_FEATURES];

    if (n > 0 && f->has_gravity == 0) {
        memcpy(f->gravity, motion[0], 3 * sizeof(float));
        f->has_gravity = 1;
    }
    for (size_t i = 0; i < n; i += LANES) {
        size_t some = n - i < LANES ? n - i : LANES;
        for (size_t k = 0; k < LANES; k++) {
            const float *m = motion[i + (k < some ? k : 0)];
            acc[k] = (lanes){m[0], m[1], m[2], 0};
            gyro[k] = (lanes){m[3], m[4], m[5], 0};
        }
        run_lanes(f, acc, gyro, some, has_gyro, features);
        for (size_t k = 0; k < some; k++)
            for (int j = 0; j < VLY_IMU_FEATURES; j++)
                *ret++ = features[j][k];
    }
}
