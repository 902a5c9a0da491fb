/* SPDX-License-Identifier: MIT */
/*
 * Steps of many sessions on one core: readings a second of the whole way, and what its stages cost
 * by themselves.
 *
 *     bench_steps [SESSIONS [READINGS [ROUNDS]]]     10000 sessions, 4 readings each in a turn
 *
 * Each session walks with its own phase. Medians of the rounds.
 */
#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "tasks/steps/step_segment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PERIOD   320 /* readings until the walks repeat: 4 s */
#define WALKS    64
#define SETTLE   10 /* turns before measuring */
#define ARGS_MAX 1000000

enum { ALL, GRID, FEATURES, NET, DECODER, STAGES };

static const char *const stage_names[STAGES] = {"all", "grid", "features", "net", "decoder"};

typedef struct bench {
    size_t n_sessions, n_readings, n_rounds;
    size_t turn;
    uint64_t n_events;
    vly_step_model *model;
    vly_step_batcher *batcher;
    vly_instance *instance;
    vly_step_stream *streams;
    vly_imu_reading *walks;    /* [WALKS][PERIOD] */
    vly_imu_reading *readings; /* [n_sessions][n_readings] of this turn */
    vly_step_work *work;
    float *sink;
    vly_nsec *times; /* [STAGES][n_rounds] */
} bench;

static void count(void *arg, const vly_step_event *events, size_t n)
{
    (void)events;
    *(uint64_t *)arg += n;
}

static void make_walks(bench *b)
{
    for (size_t w = 0; w < WALKS; w++) {
        for (size_t i = 0; i < PERIOD; i++) {
            double t = (double)i / 80 + (double)w / WALKS, x = 2 * 3.14159265358979 * 1.75 * t;
            b->walks[w * PERIOD + i] = (vly_imu_reading){
                .acc = {(float)sin(x / 2), 2.5F * (float)cos(x / 2), 9.81F + 3 * (float)sin(x)},
                .gyro = {0.6F * (float)cos(x / 2), 0.1F, 0.3F * (float)sin(x)}};
        }
    }
}

/* What each session sends in this turn; its clock starts at its number, in us. */
static void make_turn(bench *b)
{
    for (size_t s = 0; s < b->n_sessions; s++) {
        for (size_t i = 0; i < b->n_readings; i++) {
            size_t at = b->turn * b->n_readings + i;
            vly_imu_reading *r = &b->readings[s * b->n_readings + i];
            *r = b->walks[s % WALKS * PERIOD + (at + s / WALKS) % PERIOD];
            r->t_us = (int64_t)(s + at * 12500);
        }
    }
    b->turn++;
}

/* Sessions complete their frames in different turns. */
static bool stagger(bench *b)
{
    vly_imu_reading begun[VLY_STEP_HOP_MAX];
    vly_err err;

    for (size_t s = 0; s < b->n_sessions; s++) {
        size_t n = s % b->model->hop;
        for (size_t i = 0; i < n; i++) {
            begun[i] = b->walks[s % WALKS * PERIOD + i];
            begun[i].t_us = (int64_t)s - (int64_t)(n - i) * 12500;
        }
        vly_step_work work = {.stream = &b->streams[s], .readings = begun, .n = n};
        if (vly_step_batcher_run(b->batcher, &work, 1, &err) != VLY_OK)
            return false;
    }
    return true;
}

static bool set_up(bench *b)
{
    vly_err err;
    size_t n = b->n_sessions;

    b->streams = vly_alloc_aligned(VLY_MEM_MODEL, n * sizeof(*b->streams));
    b->walks = vly_calloc(VLY_MEM_MODEL, (size_t)WALKS * PERIOD, sizeof(*b->walks));
    b->readings = vly_calloc(VLY_MEM_MODEL, n * b->n_readings, sizeof(*b->readings));
    b->work = vly_calloc(VLY_MEM_MODEL, n, sizeof(*b->work));
    b->sink = vly_alloc_aligned(VLY_MEM_MODEL, (size_t)1 << 20);
    b->times = vly_calloc(VLY_MEM_MODEL, STAGES * b->n_rounds, sizeof(*b->times));
    vly_status st = vly_step_model_load(NULL, -1, &b->model, &err);
    if (st == VLY_OK)
        st = vly_step_batcher_new(b->model, &b->batcher, &err);
    if (st == VLY_OK)
        st = vly_instance_new(b->model->model, NULL, &b->instance, &err);
    if (st != VLY_OK || !b->streams || !b->walks || !b->readings || !b->work || !b->sink ||
        !b->times) {
        fprintf(stderr, "%s\n", st != VLY_OK ? err.msg : "out of memory");
        return false;
    }
    for (size_t s = 0; s < n; s++) {
        vly_step_stream_init(&b->streams[s], b->model, true);
        b->work[s] = (vly_step_work){.stream = &b->streams[s],
                                     .readings = b->readings + s * b->n_readings,
                                     .n = b->n_readings,
                                     .on_events = count,
                                     .arg = &b->n_events};
    }
    make_walks(b);
    return stagger(b);
}

/* ---- stages ------------------------------------------------------------------------------- */

static void run_all(bench *b)
{
    vly_err err;

    if (vly_step_batcher_run(b->batcher, b->work, b->n_sessions, &err) != VLY_OK)
        fprintf(stderr, "%s\n", err.msg);
}

/* The others work on copies, as if the turn had not been. */
static void run_grid(bench *b)
{
    vly_imu_reading out[VLY_IMU_GRID_OUT_MAX];
    bool is_break;

    for (size_t s = 0; s < b->n_sessions; s++) {
        vly_imu_grid grid = b->streams[s].grid;
        for (size_t i = 0; i < b->n_readings; i++) {
            vly_imu_grid_push(&grid, &b->work[s].readings[i], out, &is_break);
            b->sink[s % 64] += out[0].acc[0];
        }
    }
}

static void run_features(bench *b)
{
    for (size_t s = 0; s < b->n_sessions; s++) {
        vly_imu_features f = b->streams[s].features;
        for (size_t i = 0; i < b->n_readings; i += b->model->hop)
            vly_imu_features_run(&f, (const float(*)[VLY_IMU_AXES])b->streams[s].motion,
                                 b->model->hop, true, b->sink + (s % 1024 + i) * VLY_IMU_FEATURES);
    }
}

static void run_net(bench *b)
{
    enum { ROWS = 1024 };
    const vly_step_model *m = b->model;
    size_t rows = b->n_sessions * b->n_readings / m->hop;
    vly_tensor out[3], in[2];
    vly_err err;

    in[0] = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1, ROWS, vly_step_model_width(m)), b->sink);
    in[1] = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(m->n_layers, ROWS, m->n_hidden), b->sink);
    for (size_t at = 0; at < rows; at += ROWS) {
        if (vly_instance_run(b->instance, in, out, &err) != VLY_OK)
            fprintf(stderr, "%s\n", err.msg);
        for (int i = 0; i < 3; i++)
            vly_tensor_release(&out[i]);
    }
}

static void run_decoder(bench *b)
{
    const vly_step_model *m = b->model;
    float events[2 * VLY_STEP_HOP_MAX], activity[VLY_ACTIVITIES] = {0.1F, 0.8F, 0.05F, 0.05F};

    for (size_t s = 0; s < b->n_sessions; s++) {
        vly_step_stream stream = b->streams[s];
        for (size_t i = 0; i < b->n_readings; i += m->hop) {
            for (unsigned k = 0; k < 2 * m->hop; k++)
                events[k] = (s + k) % 32 == 0 ? 0.9F : 0.01F;
            vly_step_segment_decode(&stream, m, events, activity, count, &b->n_events);
        }
    }
}

static void (*const runs[STAGES])(bench *b) = {run_all, run_grid, run_features, run_net,
                                               run_decoder};

/* ---- figures ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    vly_nsec x = *(const vly_nsec *)a, y = *(const vly_nsec *)b;
    return (x > y) - (x < y);
}

static void measure(bench *b)
{
    for (size_t round = 0; round < SETTLE + b->n_rounds; round++) {
        make_turn(b);
        for (int stage = STAGES - 1; stage >= 0; stage--) { /* all: last, it moves the streams */
            vly_nsec begin = vly_clock_now();
            runs[stage](b);
            if (round >= SETTLE)
                b->times[(size_t)stage * b->n_rounds + round - SETTLE] = vly_clock_now() - begin;
        }
    }
}

static void print(bench *b)
{
    double n = (double)(b->n_sessions * b->n_readings);

    printf("%zu sessions of %zu bytes, %zu readings each in a turn, %s\n", b->n_sessions,
           sizeof(vly_step_stream), b->n_readings, vly_cpu_level());
    for (int stage = 0; stage < STAGES; stage++) {
        vly_nsec *t = b->times + (size_t)stage * b->n_rounds;
        qsort(t, b->n_rounds, sizeof(*t), compare);
        size_t middle = b->n_rounds / 2;
        double ns = (double)t[middle] / n;
        printf("  %-9s %7.1f ns a reading (%.1f .. %.1f)", stage_names[stage], ns, (double)t[0] / n,
               (double)t[b->n_rounds - 1] / n);
        if (stage == ALL)
            printf(", %.2f M readings/s", 1e3 / ns);
        putchar('\n');
    }
}

static void tear_down(bench *b)
{
    vly_instance_free(b->instance);
    vly_step_batcher_free(b->batcher);
    vly_step_model_unref(b->model);
    vly_free(b->streams);
    vly_free(b->walks);
    vly_free(b->readings);
    vly_free(b->work);
    vly_free(b->sink);
    vly_free(b->times);
}

int main(int argc, char **argv)
{
    size_t sizes[] = {10000, 4, 50};
    int64_t n;

    for (int i = 1; i < argc; i++) {
        if (i > 3 || !vly_str_to_i64(vly_str_from(argv[i]), &n) || n < 1 || n > ARGS_MAX) {
            fprintf(stderr, "usage: bench_steps [SESSIONS [READINGS [ROUNDS]]]\n");
            return 2;
        }
        sizes[i - 1] = (size_t)n;
    }
    bench b = {.n_sessions = sizes[0], .n_readings = sizes[1], .n_rounds = sizes[2]};
    bool is_ready = set_up(&b);
    if (is_ready) {
        measure(&b);
        print(&b);
    }
    tear_down(&b);
    return is_ready ? 0 : 1;
}
