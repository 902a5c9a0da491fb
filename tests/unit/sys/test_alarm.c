/* SPDX-License-Identifier: MIT */
/*
 * Where an order is to be seen, one alarm holds the thread at a gate while the others are set to
 * times that have passed: then they are due together, and only the heap orders them.
 */
#include "sys/alarm.h"

#include "unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

enum { N_ALARMS = 500 };

typedef struct probe {
    vly_alarm alarm; /* first: an alarm is its probe */
    vly_nsec at_ns, rang_ns;
    int turn; /* of its ring, from 1; 0: it has not rung */
} probe;

static vly_alarms *alarms;
static sem_t began, gate, rung;
static probe probes[N_ALARMS];
static _Atomic int n_rung;

static int start(void **state)
{
    (void)state;
    n_rung = 0;
    sem_init(&began, 0, 0);
    sem_init(&gate, 0, 0);
    sem_init(&rung, 0, 0);
    return vly_alarms_new(&alarms, NULL) == VLY_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    vly_alarms_free(alarms);
    return 0;
}

static void hold(vly_alarm *a)
{
    (void)a;
    sem_post(&began);
    sem_wait(&gate);
}

static void note(vly_alarm *a)
{
    probe *p = (probe *)a;

    p->rang_ns = vly_clock_now();
    p->turn = ++n_rung;
    sem_post(&rung);
}

static void set(probe *p, vly_nsec at_ns)
{
    p->at_ns = at_ns;
    vly_alarm_set(alarms, &p->alarm, at_ns);
}

static void rings_in_time(void **state)
{
    (void)state;
    vly_nsec now = vly_clock_now();
    probe late = {.alarm = {.ring = note}}, soon = late, never = late;

    set(&late, now + 20 * VLY_NSEC_PER_MS);
    set(&soon, now + 1 * VLY_NSEC_PER_MS); /* wakes a thread that sleeps longer */
    set(&never, now + 5 * VLY_NSEC_PER_MS);
    vly_alarm_clear(alarms, &never.alarm);
    sem_wait(&rung);
    sem_wait(&rung);
    assert_int_equal(soon.turn, 1);
    assert_int_equal(late.turn, 2);
    assert_int_equal(never.turn, 0);
    assert_true(soon.rang_ns >= soon.at_ns && late.rang_ns >= late.at_ns);
    vly_alarm_clear(alarms, &never.alarm); /* not set: nothing happens */
}

static unsigned random_below(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 8) % n;
}

/* Alarms set, moved and cleared at random ring in the order of their times, each once. */
static void rings_in_order(void **state)
{
    (void)state;
    vly_alarm first = {.ring = hold};
    unsigned seed = 7;
    int n_set = 0;

    vly_alarm_set(alarms, &first, 0);
    sem_wait(&began);
    for (int i = 0; i < N_ALARMS; i++) {
        probes[i] = (probe){.alarm = {.ring = note}};
        set(&probes[i], 1 + random_below(&seed, 1000));
    }
    for (int i = 0; i < N_ALARMS; i++) {
        probe *p = &probes[random_below(&seed, N_ALARMS)];
        if (random_below(&seed, 2) == 0) {
            set(p, 1 + (vly_nsec)random_below(&seed, 1000));
        } else {
            vly_alarm_clear(alarms, &p->alarm);
            p->at_ns = 0;
        }
    }
    for (int i = 0; i < N_ALARMS; i++)
        n_set += probes[i].at_ns != 0;
    assert_in_range(n_set, N_ALARMS / 4, N_ALARMS - 1);
    sem_post(&gate);
    for (int i = 0; i < n_set; i++)
        sem_wait(&rung);
    for (int i = 0; i < N_ALARMS; i++) {
        assert_true((probes[i].turn != 0) == (probes[i].at_ns != 0));
        for (int k = 0; k < N_ALARMS; k++)
            if (probes[i].turn != 0 && probes[i].turn < probes[k].turn)
                assert_true(probes[i].at_ns <= probes[k].at_ns);
    }
}

static void set_again(vly_alarm *a)
{
    if (++n_rung < 3)
        vly_alarm_set(alarms, a, vly_clock_now());
    else
        sem_post(&rung);
}

static void free_itself(vly_alarm *a)
{
    vly_alarm_end(alarms, a); /* from its own ring: does not wait */
    free(a);
    sem_post(&rung);
}

static void may_set_and_free_itself(void **state)
{
    (void)state;
    vly_alarm again = {.ring = set_again};
    vly_alarm *once = calloc(1, sizeof(*once));

    assert_non_null(once);
    once->ring = free_itself;
    vly_alarm_set(alarms, &again, 0);
    vly_alarm_set(alarms, once, 0);
    sem_wait(&rung);
    sem_wait(&rung);
    assert_int_equal(n_rung, 3);
    vly_alarm_end(alarms, &again);
}

static void *end_alarm(void *arg)
{
    vly_alarm_end(alarms, arg);
    return NULL;
}

static void hold_and_set_again(vly_alarm *a)
{
    if (n_rung++ == 0)
        hold(a);
    vly_alarm_set(alarms, a, 0); /* for ever, if end let it */
}

static void end_waits_for_a_ring(void **state)
{
    (void)state;
    vly_alarm a = {.ring = hold_and_set_again};
    pthread_t thread;

    vly_alarm_set(alarms, &a, 0);
    sem_wait(&began);
    assert_int_equal(pthread_create(&thread, NULL, end_alarm, &a), 0);
    sem_post(&gate);
    pthread_join(thread, NULL);
    assert_false(vly_heap_has(&a.node));
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(rings_in_time, start, stop),
           cmocka_unit_test_setup_teardown(rings_in_order, start, stop),
           cmocka_unit_test_setup_teardown(may_set_and_free_itself, start, stop),
           cmocka_unit_test_setup_teardown(end_waits_for_a_ring, start, stop))
