/* SPDX-License-Identifier: MIT */
#include "sys/mpsc.h"
#include "unit.h"

#include <semaphore.h>
#include <stdlib.h>

enum { N_PRODUCERS = 4, N_ITEMS = 5000 };

typedef struct item {
    vly_mpsc_node node; /* first: a node is its item */
    unsigned producer, seq;
} item;

typedef struct producer {
    vly_mpsc *queue;
    item items[N_ITEMS];
    unsigned idx;
    pthread_t thread;
} producer;

static void count_wake(void *ctx)
{
    (*(int *)ctx)++;
}

static void order_and_wake(void **state)
{
    vly_mpsc q;
    item items[3];
    int n_wakes = 0;

    (void)state;
    vly_mpsc_init(&q, count_wake, &n_wakes);
    assert_null(vly_mpsc_take_all(&q));
    vly_mpsc_push(&q, &items[0].node);
    vly_mpsc_push(&q, &items[1].node);
    assert_int_equal(n_wakes, 1); /* only the first found it empty */
    vly_mpsc_node *n = vly_mpsc_take_all(&q);
    assert_ptr_equal(n, &items[0].node);
    assert_ptr_equal(n->next, &items[1].node);
    assert_null(n->next->next);
    vly_mpsc_push(&q, &items[2].node);
    assert_int_equal(n_wakes, 2);
    assert_ptr_equal(vly_mpsc_take_all(&q), &items[2].node);
    assert_null(vly_mpsc_take_all(&q));
    vly_mpsc_release(&q);
}

static void post(void *ctx)
{
    sem_post(ctx);
}

static void *produce(void *arg)
{
    producer *p = arg;
    for (unsigned i = 0; i < N_ITEMS; i++) {
        p->items[i].producer = p->idx;
        p->items[i].seq = i;
        vly_mpsc_push(p->queue, &p->items[i].node);
    }
    return NULL;
}

/* The consumer sleeps whenever it has taken everything: a lost wake-up would hang it. Each
 * producer's items come in its order. */
static void many_producers(void **state)
{
    static producer producers[N_PRODUCERS];
    unsigned seen[N_PRODUCERS] = {0}, n_seen = 0;
    vly_mpsc q;
    sem_t wakes;

    (void)state;
    sem_init(&wakes, 0, 0);
    vly_mpsc_init(&q, post, &wakes);
    for (unsigned i = 0; i < N_PRODUCERS; i++) {
        producers[i].queue = &q;
        producers[i].idx = i;
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    while (n_seen < N_PRODUCERS * N_ITEMS) {
        sem_wait(&wakes);
        for (vly_mpsc_node *n = vly_mpsc_take_all(&q); n != NULL; n = n->next) {
            const item *it = (const item *)n;
            assert_int_equal(it->seq, seen[it->producer]);
            seen[it->producer]++;
            n_seen++;
        }
    }
    for (unsigned i = 0; i < N_PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    vly_mpsc_release(&q);
    sem_destroy(&wakes);
}

UNIT_TESTS(cmocka_unit_test(order_and_wake), cmocka_unit_test(many_producers))
