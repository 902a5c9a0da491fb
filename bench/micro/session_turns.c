/* SPDX-License-Identifier: MIT */
/*
 * What sessions cost beside the streams in them: readings a second of CPU time through push and
 * turn on one loop, and through the batcher alone, in turns; and what saving them all costs.
 *
 *     bench_session_turns [SESSIONS [READINGS [ROUNDS]]]   10000 sessions, 4 readings each in a
 * turn
 *
 * Medians of the rounds.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "sched/imu_sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct bench {
    size_t n_sessions, n_readings, n_rounds, turn;
    vly_step_model *model;
    vly_step_batcher *batcher;
    vly_session_store *store;
    vly_imu_sessions *sessions;
    vly_imu_session **attached;
    vly_step_stream *streams;
    vly_step_work *work;
    vly_imu_reading *readings; /* of one session in one turn: all send the same */
} bench;

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_readings(bench *b)
{
    for (size_t i = 0; i < b->n_readings; i++) {
        size_t at = b->turn * b->n_readings + i;
        float up = at % 46 < 23 ? 3.0F : -3.0F;
        b->readings[i] =
            (vly_imu_reading){.t_us = (int64_t)at * 12500, .acc = {0.5F, up / 2, 9.81F + up}};
    }
    b->turn++;
}

static vly_status set_up(bench *b, const char *path, vly_err *err)
{
    size_t n = b->n_sessions;

    b->attached = vly_calloc(VLY_MEM_CLI, n, sizeof(vly_imu_session *));
    b->streams = vly_calloc(VLY_MEM_CLI, n, sizeof(*b->streams));
    b->work = vly_calloc(VLY_MEM_CLI, n, sizeof(*b->work));
    b->readings = vly_calloc(VLY_MEM_CLI, b->n_readings, sizeof(*b->readings));
    if (b->attached == NULL || b->streams == NULL || b->work == NULL || b->readings == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    vly_status st = vly_step_model_load(NULL, -1, &b->model, err);
    if (st == VLY_OK)
        st = vly_step_batcher_new(b->model, &b->batcher, err);
    if (st == VLY_OK)
        st = vly_session_store_open(path, VLY_STORE_PROCESS_SAFE, &b->store, err);
    const vly_imu_sessions_opts opts = {.model = b->model,
                                        .n_loops = 1,
                                        .max_sessions = n,
                                        .max_waiting = b->n_readings,
                                        .max_waiting_all = n * b->n_readings,
                                        .idle_ns = VLY_NSEC_PER_SEC,
                                        .store = b->store};
    if (st == VLY_OK)
        st = vly_imu_sessions_new(&opts, &b->sessions, err);
    for (size_t i = 0; st == VLY_OK && i < n; i++) {
        st = vly_imu_session_open(b->sessions, &(vly_imu_open){.has_gyro = false}, &b->attached[i],
                                  NULL, err);
        vly_step_stream_init(&b->streams[i], b->model, false);
        b->work[i] =
            (vly_step_work){.stream = &b->streams[i], .readings = b->readings, .n = b->n_readings};
    }
    return st;
}

static vly_status run_sessions(bench *b, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; st == VLY_OK && i < b->n_sessions; i++)
        st = vly_imu_session_push(b->attached[i], 0, VLY_IMU_NEXT, b->readings, b->n_readings, err);
    while (vly_imu_sessions_turn(b->sessions, 0))
        continue;
    return st;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static vly_status measure(bench *b, vly_err *err)
{
    double *times = vly_calloc(VLY_MEM_CLI, 3 * b->n_rounds, sizeof(*times));
    static const char *const names[] = {"batcher alone", "push and turn", "saving"};
    vly_status st = times != NULL ? VLY_OK : vly_fail(err, VLY_ENOMEM, "out of memory");

    for (size_t r = 0; st == VLY_OK && r < b->n_rounds; r++) {
        make_readings(b);
        double t0 = cpu_s();
        st = vly_step_batcher_run(b->batcher, b->work, b->n_sessions, err);
        double t1 = cpu_s();
        if (st == VLY_OK)
            st = run_sessions(b, err);
        double t2 = cpu_s();
        times[r] = t1 - t0;
        times[b->n_rounds + r] = t2 - t1;
        if (r % 10 == 9) {
            vly_imu_sessions_tick(b->sessions);
            times[2 * b->n_rounds + r / 10] = cpu_s() - t2;
        }
    }
    size_t counts[] = {b->n_rounds, b->n_rounds, b->n_rounds / 10};
    for (size_t k = 0; st == VLY_OK && k < 3 && counts[k] > 0; k++) {
        qsort(times + k * b->n_rounds, counts[k], sizeof(*times), compare);
        double s = times[k * b->n_rounds + counts[k] / 2];
        printf("%-14s %8.3f ms, %.3f us a session, %.2f million readings/s\n", names[k], s * 1e3,
               s * 1e6 / (double)b->n_sessions, (double)(b->n_sessions * b->n_readings) / s / 1e6);
    }
    vly_free(times);
    return st;
}

static void tear_down(bench *b)
{
    for (size_t i = 0; b->sessions != NULL && i < b->n_sessions; i++)
        vly_imu_session_close(b->attached[i]);
    vly_imu_sessions_free(b->sessions);
    vly_session_store_close(b->store);
    vly_step_batcher_free(b->batcher);
    vly_step_model_unref(b->model);
    vly_free(b->attached);
    vly_free(b->streams);
    vly_free(b->work);
    vly_free(b->readings);
}

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
    return argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    bench b = {.n_sessions = number(argc, argv, 1, 10000),
               .n_readings = number(argc, argv, 2, 4),
               .n_rounds = number(argc, argv, 3, 50)};
    vly_err err = VLY_ERR_INIT;
    vly_status st = set_up(&b, ":memory:", &err);

    if (st == VLY_OK)
        st = measure(&b, &err);
    if (st != VLY_OK)
        fprintf(stderr, "%s\n", err.msg);
    tear_down(&b);
    return st == VLY_OK ? 0 : 1;
}
