/* SPDX-License-Identifier: MIT */
/*
 * Loops that open the same users' sessions, take them from one another, leave readings behind and
 * close, while a thread saves and another one looks: each session has seen each reading once.
 * Sessions that come and go, beside some that stay, while one thread does nothing but save.
 */
#include "sched/imu_fixture.h"
#include "support/imu_walk.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { USERS = 6, LOOPS = 3, N = 1200 };

typedef struct loop {
    pthread_t thread;
    unsigned idx, seed;
} loop;

static vly_imu_reading walks[USERS][N];
static vly_imu_sessions *s;
static _Atomic int n_lost, n_running;

static void note_lost(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&n_lost, 1);
}

static void note_durable(void *ctx, uint64_t next)
{
    _Atomic uint64_t *durable = ctx;

    assert_true(next <= N);
    atomic_store(durable, next);
}

static const vly_imu_session_events events = {.on_replaced = note_lost, .on_durable = note_durable};

static unsigned pick(loop *l, unsigned n)
{
    l->seed = l->seed * 1103515245 + 12345;
    return (l->seed >> 16) % n;
}

/* One connection of a user: some pieces, some turns, gone. True: the walk was over already. */
static bool visit(loop *l, unsigned user)
{
    _Atomic uint64_t durable = 0;
    vly_imu_session_info info;
    vly_imu_session *a = NULL;
    vly_status st = VLY_OK;
    vly_err err;
    char name[16];

    snprintf(name, sizeof(name), "user %u", user);
    const vly_imu_open o = {
        .user = vly_str_from(name), .has_gyro = true, .events = &events, .ctx = &durable};
    assert_int_equal(vly_imu_session_open(s, &o, &a, &info, &err), VLY_OK);
    for (uint64_t next = info.next; st == VLY_OK && next < N && pick(l, 12) > 0;) {
        size_t n = 1 + pick(l, 40);
        n = n < N - next ? n : (size_t)(N - next);
        st = vly_imu_session_push(a, l->idx, next, walks[user] + next, n, &err);
        assert_true(st == VLY_OK || st == VLY_ECANCELLED);
        next += n;
        if (pick(l, 3) > 0)
            vly_imu_sessions_turn(s, l->idx);
    }
    vly_imu_session_close(a);
    return info.next == N;
}

static void *run_loop(void *arg)
{
    loop *l = arg;

    for (unsigned n_over = 0; n_over < 3 * USERS;)
        n_over = visit(l, pick(l, USERS)) ? n_over + 1 : 0;
    imu_run_all(s, l->idx);
    atomic_fetch_sub(&n_running, 1);
    return NULL;
}

/* Pages, one by one and all. */
static void look(void)
{
    vly_imu_session_info page[4];
    vly_err err;
    size_t n = 0;

    assert_int_equal(vly_imu_sessions_list(s, VLY_IMU_ALL, VLY_STR(""), page, 4, &n, &err), VLY_OK);
    for (size_t i = 0; i < n; i++) {
        assert_true(page[i].totals.n_readings == page[i].next);
        assert_true(page[i].durable <= page[i].next);
        assert_int_equal(
            vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(page[i].id), &page[i], &err),
            VLY_OK);
    }
}

static void run_loops(void)
{
    loop loops[LOOPS];

    n_running = LOOPS;
    for (unsigned i = 0; i < LOOPS; i++) {
        loops[i] = (loop){.idx = i, .seed = 17 * i + 1};
        assert_int_equal(pthread_create(&loops[i].thread, NULL, run_loop, &loops[i]), 0);
    }
    while (atomic_load(&n_running) > 0)
        look();
    for (unsigned i = 0; i < LOOPS; i++)
        pthread_join(loops[i].thread, NULL);
}

static void sessions_change_loops(void **state)
{
    vly_session_store *store;
    vly_imu_session_info info;
    vly_step_totals want;
    imu_told told;
    vly_err err;

    imu_set_up(state);
    for (unsigned i = 0; i < USERS; i++)
        imu_walk(walks[i], N, i);
    assert_int_equal(vly_session_store_open(":memory:", VLY_STORE_PROCESS_SAFE, &store, &err),
                     VLY_OK);
    vly_imu_sessions_opts opts = imu_opts(store);
    opts.snapshot_ms = 1;
    s = imu_start(&opts);
    run_loops();
    for (unsigned i = 0; i < USERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "user %u", i);
        const vly_imu_open o = {.user = vly_str_from(name), .has_gyro = true};
        vly_imu_session *a = NULL;
        assert_int_equal(vly_imu_session_open(s, &o, &a, &info, &err), VLY_OK);
        assert_int_equal(info.next, N);
        imu_oracle(walks[i], N, false, &told, &want);
        imu_assert_totals(&info.totals, &want);
        vly_imu_session_close(a);
    }
    const vly_imu_sessions_stats *stats = vly_imu_sessions_get_stats(s);
    assert_int_equal(vly_counter_get(&stats->readings), USERS * N);
    assert_int_equal(vly_gauge_get(&stats->waiting), 0);
    assert_int_equal(vly_gauge_get(&stats->attached), 0);
    assert_true(vly_counter_get(&stats->replaced) >= (uint64_t)atomic_load(&n_lost));
    vly_imu_sessions_free(s);
    vly_session_store_close(store);
    imu_tear_down(state);
}

/* ---- short ones beside long ones ---- */

enum { LONG = 40, SHORT = 1000, ROUNDS = 8 };

static void *save_always(void *arg)
{
    (void)arg;
    while (atomic_load(&n_running) > 0)
        vly_imu_sessions_tick(s);
    return NULL;
}

static void note_any(void *ctx, uint64_t next)
{
    atomic_store((_Atomic uint64_t *)ctx, next);
}

static void *run_long(void *arg)
{
    static const vly_imu_session_events tells = {.on_durable = note_any};
    vly_imu_session *a[LONG] = {NULL};
    _Atomic uint64_t durable[LONG] = {0};
    vly_err err;

    (void)arg;
    for (int i = 0; i < LONG; i++) {
        const vly_imu_open o = {.has_gyro = true, .events = &tells, .ctx = &durable[i]};
        assert_int_equal(vly_imu_session_open(s, &o, &a[i], NULL, &err), VLY_OK);
    }
    for (int n = 0; atomic_load(&n_running) > 1; n = (n + 1) % N) {
        for (int i = 0; i < LONG; i++)
            assert_int_equal(vly_imu_session_push(a[i], 0, VLY_IMU_NEXT, &walks[0][n], 1, &err),
                             VLY_OK);
        imu_run_all(s, 0);
    }
    for (int i = 0; i < LONG; i++)
        vly_imu_session_close(a[i]);
    atomic_fetch_sub(&n_running, 1);
    return NULL;
}

/* Many at a time, which are gone before they were ever saved, most of the time. */
static void *run_short(void *arg)
{
    static vly_imu_session *a[SHORT];
    const vly_imu_open o = {.has_gyro = true};
    vly_err err;

    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SHORT; i++) {
            assert_int_equal(vly_imu_session_open(s, &o, &a[i], NULL, &err), VLY_OK);
            assert_int_equal(vly_imu_session_push(a[i], 1, VLY_IMU_NEXT, walks[0], 1, &err),
                             VLY_OK);
        }
        imu_run_all(s, 1);
        for (int i = 0; i < SHORT; i++)
            vly_imu_session_end(a[i], 1);
        imu_run_all(s, 1);
        for (int i = 0; i < SHORT; i++)
            vly_imu_session_close(a[i]);
    }
    atomic_fetch_sub(&n_running, 1);
    return NULL;
}

static void short_sessions_pass_the_one_that_saves(void **state)
{
    void *(*const runs[])(void *) = {run_long, run_short, save_always};
    pthread_t threads[3];
    vly_session_store *store;
    vly_err err;

    imu_set_up(state);
    imu_walk(walks[0], N, 0);
    assert_int_equal(vly_session_store_open(":memory:", VLY_STORE_PROCESS_SAFE, &store, &err),
                     VLY_OK);
    vly_imu_sessions_opts opts = imu_opts(store);
    opts.max_sessions = LONG + SHORT;
    s = imu_start(&opts);
    n_running = 2;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, runs[i], NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(vly_gauge_get(&vly_imu_sessions_get_stats(s)->sessions), LONG);
    assert_int_equal(vly_counter_get(&vly_imu_sessions_get_stats(s)->snapshot_errors), 0);
    vly_imu_sessions_free(s);
    vly_session_store_close(store);
    imu_tear_down(state);
}

UNIT_TESTS(cmocka_unit_test(sessions_change_loops),
           cmocka_unit_test(short_sessions_pass_the_one_that_saves))
