/* SPDX-License-Identifier: MIT */
/*
 * Two stages. Readings become nodes: each its own, or, when they come dense, the average of those
 * around one grid point. Between one node and the next the points are interpolated.
 */
#include "prep/imu/imu_grid.h"

#include "base/assert.h"

#include <math.h>
#include <string.h>

#define SECOND_US      1000000
#define ROUNDING_US    1  /* how far off its point a reading on the grid may be */
#define USUAL_UNIT     16 /* of usual_us, in 1/us */
#define USUAL_SMOOTH   8  /* readings that usual_us looks back, about */
#define BIN_N_MAX      1000000
#define SEGMENT_US_MAX (INT64_C(1) << 53)
#define VALUE_MAX      (2 * VLY_IMU_ACC_MAX) /* of a node, on any axis, with room for rounding */

void vly_imu_grid_init(vly_imu_grid *g, unsigned rate_hz)
{
    VLY_ASSERT(rate_hz >= 1 && rate_hz <= VLY_IMU_GRID_RATE_MAX);
    memset(g, 0, sizeof(*g)); /* the padding, too: states are compared and stored as bytes */
    g->rate_hz = (uint16_t)rate_hz;
}

/* Time of point k. */
static int64_t point_us(const vly_imu_grid *g, uint64_t k)
{
    return g->t_first_us + (int64_t)((k * SECOND_US + g->rate_hz / 2) / g->rate_hz);
}

/* The point that is nearest to a time of the segment. */
static int64_t nearest(const vly_imu_grid *g, int64_t t_us)
{
    int64_t double_steps = (t_us - g->t_first_us) * 2 * g->rate_hz;
    return (double_steps + SECOND_US) / (2 * (int64_t)SECOND_US);
}

static size_t begin(vly_imu_grid *g, const vly_imu_reading *r, vly_imu_reading *out,
                    bool *ret_is_break)
{
    g->past_us = vly_imu_grid_length_us(g);
    g->has_hole = g->has_last != 0 && r->t_us > g->t_last_us;
    g->t_hole_us = g->t_last_us;
    g->t_first_us = g->t_last_us = r->t_us;
    g->n_points = 1;
    g->node = *r;
    g->sum = (vly_imu_reading){.t_us = 0};
    g->n_sum = 0;
    g->n_behind = 0;
    g->has_last = 1;
    *out = *r;
    *ret_is_break = true;
    return 1;
}

static bool is_unexplained(const vly_imu_grid *g, int64_t t_us)
{
    bool is_in_hole = g->has_hole != 0 && t_us > g->t_hole_us && t_us < g->t_first_us;
    return is_in_hole || g->t_last_us - t_us > VLY_IMU_GRID_BACK_US;
}

/* A reading that is not after the last one. */
static size_t take_late(vly_imu_grid *g, const vly_imu_reading *r, vly_imu_reading *out,
                        bool *ret_is_break)
{
    bool goes_on = g->n_behind > 0 && r->t_us > g->t_behind_us &&
                   r->t_us - g->t_behind_us <= VLY_IMU_GRID_GAP_US;

    if (r->t_us == g->t_last_us)
        g->counts.n_duplicates++;
    else
        g->counts.n_out_of_order++;
    if (!is_unexplained(g, r->t_us)) {
        g->n_behind = 0;
        return 0;
    }
    g->n_behind = (uint8_t)(goes_on ? g->n_behind + 1 : 1);
    g->t_behind_us = r->t_us;
    if (g->n_behind < VLY_IMU_GRID_BACK_N)
        return 0;
    g->counts.n_out_of_order--; /* this one is used */
    g->counts.n_gaps++;
    return begin(g, r, out, ret_is_break);
}

static void learn_step(vly_imu_grid *g, int64_t dt_us)
{
    int64_t dt = dt_us * USUAL_UNIT;
    int64_t usual = g->usual_us;

    if (usual == 0) {
        g->usual_us = (uint32_t)dt;
        return;
    }
    g->counts.n_bridged += dt * 4 > usual * 7;
    dt = dt < 2 * usual ? dt : 2 * usual; /* a hole tells little of the rate */
    g->usual_us = (uint32_t)(usual + (dt - usual) / USUAL_SMOOTH);
}

static bool is_dense(const vly_imu_grid *g)
{
    return (uint64_t)g->usual_us * 3 * g->rate_hz < (uint64_t)2 * SECOND_US * USUAL_UNIT;
}

static void interpolate(const vly_imu_reading *a, const vly_imu_reading *b, int64_t t_us,
                        vly_imu_reading *out)
{
    float w = (float)(t_us - a->t_us) / (float)(b->t_us - a->t_us);

    out->t_us = t_us;
    for (int i = 0; i < 3; i++) {
        out->acc[i] = a->acc[i] + w * (b->acc[i] - a->acc[i]);
        out->gyro[i] = a->gyro[i] + w * (b->gyro[i] - a->gyro[i]);
    }
}

/* Makes the points up to the node, which becomes the last one. */
static size_t take_node(vly_imu_grid *g, const vly_imu_reading *node, vly_imu_reading *out)
{
    size_t n = 0;
    int64_t t_us;

    while ((t_us = point_us(g, g->n_points)) <= node->t_us + ROUNDING_US) {
        VLY_ASSERT(n < VLY_IMU_GRID_OUT_MAX);
        if (t_us >= node->t_us - ROUNDING_US)
            out[n] = *node;
        else
            interpolate(&g->node, node, t_us, &out[n]);
        n++;
        g->n_points++;
    }
    g->node = *node;
    return n;
}

static void add_to_bin(vly_imu_grid *g, const vly_imu_reading *r, int64_t bin)
{
    g->bin = bin;
    g->n_sum++;
    g->sum.t_us += r->t_us - g->node.t_us;
    for (int i = 0; i < 3; i++) {
        g->sum.acc[i] += r->acc[i];
        g->sum.gyro[i] += r->gyro[i];
    }
}

static size_t close_bin(vly_imu_grid *g, vly_imu_reading *out)
{
    vly_imu_reading mean = {.t_us = g->node.t_us + (g->sum.t_us + g->n_sum / 2) / g->n_sum};
    float n = (float)g->n_sum;

    for (int i = 0; i < 3; i++) {
        mean.acc[i] = g->sum.acc[i] / n;
        mean.gyro[i] = g->sum.gyro[i] / n;
    }
    g->sum = (vly_imu_reading){.t_us = 0};
    g->n_sum = 0;
    return take_node(g, &mean, out);
}

size_t vly_imu_grid_push(vly_imu_grid *g, const vly_imu_reading *reading,
                         vly_imu_reading out[VLY_IMU_GRID_OUT_MAX], bool *ret_is_break)
{
    size_t n = 0;

    *ret_is_break = false;
    if (g->has_last == 0)
        return begin(g, reading, out, ret_is_break);
    int64_t dt_us = reading->t_us - g->t_last_us;
    if (dt_us <= 0)
        return take_late(g, reading, out, ret_is_break);
    if (dt_us > VLY_IMU_GRID_GAP_US) {
        g->counts.n_gaps++;
        return begin(g, reading, out, ret_is_break);
    }
    learn_step(g, dt_us);
    g->t_last_us = reading->t_us;
    g->n_behind = 0;
    int64_t bin = nearest(g, reading->t_us);
    if (g->n_sum > 0 && (bin != g->bin || !is_dense(g)))
        n = close_bin(g, out);
    if (is_dense(g))
        add_to_bin(g, reading, bin);
    else
        n += take_node(g, reading, out + n);
    return n;
}

int64_t vly_imu_grid_length_us(const vly_imu_grid *g)
{
    return g->past_us + (g->t_last_us - g->t_first_us);
}

static bool is_time(int64_t t_us)
{
    return t_us >= -VLY_IMU_TIME_MAX && t_us <= VLY_IMU_TIME_MAX;
}

/* NaN is not. */
static bool is_within(const vly_imu_reading *r, float most)
{
    bool is = true;
    for (int i = 0; i < 3; i++)
        is = is && fabsf(r->acc[i]) <= most && fabsf(r->gyro[i]) <= most;
    return is;
}

bool vly_imu_grid_valid(const vly_imu_grid *g, unsigned rate_hz)
{
    if (g->rate_hz != rate_hz || g->has_last > 1 || g->has_hole > 1 ||
        g->n_behind >= VLY_IMU_GRID_BACK_N)
        return false;
    if (g->has_last == 0)
        return g->past_us == 0 && g->t_first_us == 0 && g->t_last_us == 0;
    if (!is_time(g->t_first_us) || !is_time(g->t_last_us) || !is_time(g->t_behind_us) ||
        !is_time(g->t_hole_us) || !is_time(g->node.t_us) || g->past_us < 0 || !is_time(g->past_us))
        return false;
    int64_t length_us = g->t_last_us - g->t_first_us;
    int64_t open_us = g->t_last_us - g->node.t_us; /* what the bin spans */
    if (length_us < 0 || length_us > SEGMENT_US_MAX || open_us < 0 ||
        open_us > VLY_IMU_GRID_GAP_US + (int64_t)2 * SECOND_US / rate_hz)
        return false;
    if (g->n_sum > BIN_N_MAX || g->sum.t_us < 0 || g->sum.t_us > open_us * g->n_sum)
        return false;
    return is_within(&g->node, VALUE_MAX) && is_within(&g->sum, (float)BIN_N_MAX * VALUE_MAX) &&
           g->n_points <= (uint64_t)length_us * rate_hz / SECOND_US + 2 &&
           point_us(g, g->n_points) > g->node.t_us;
}
