/* SPDX-License-Identifier: MIT */
#include "sys/worker_pool.h"
#include "unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static vly_worker_pool *new_pool(unsigned n_threads, size_t cap)
{
    vly_worker_pool *pool = NULL;
    assert_int_equal(vly_worker_pool_new(n_threads, cap, &pool, NULL), VLY_OK);
    return pool;
}

typedef struct task {
    vly_work work; /* first: the work is its task */
    _Atomic int *n_run;
    int order, *orders;
    sem_t *begun, *may_end;
} task;

static void count(vly_work *work)
{
    task *t = (task *)work;
    if (t->orders != NULL)
        t->orders[atomic_load(t->n_run)] = t->order;
    atomic_fetch_add(t->n_run, 1);
}

static void block(vly_work *work)
{
    task *t = (task *)work;
    sem_post(t->begun);
    sem_wait(t->may_end);
}

static void runs_each_once_in_order(void **state)
{
    enum { N = 1000 };
    static task tasks[N];
    static int orders[N];
    _Atomic int n_run = 0;
    vly_worker_pool *pool = new_pool(1, N);

    (void)state;
    for (int i = 0; i < N; i++) {
        tasks[i] = (task){.work.run = count, .n_run = &n_run, .order = i, .orders = orders};
        assert_int_equal(vly_worker_pool_submit(pool, &tasks[i].work), VLY_OK);
    }
    vly_worker_pool_drain(pool);
    assert_int_equal(atomic_load(&n_run), N);
    for (int i = 0; i < N; i++)
        assert_int_equal(orders[i], i);
    vly_worker_pool_free(pool);
}

static void full_queue_is_busy(void **state)
{
    sem_t begun, may_end;
    _Atomic int n_run = 0;
    task blocker = {.work.run = block, .begun = &begun, .may_end = &may_end};
    task tasks[3];
    vly_worker_pool *pool = new_pool(1, 2);

    (void)state;
    sem_init(&begun, 0, 0);
    sem_init(&may_end, 0, 0);
    assert_int_equal(vly_worker_pool_threads(pool), 1);
    assert_int_equal(vly_worker_pool_submit(pool, &blocker.work), VLY_OK);
    sem_wait(&begun);
    for (int i = 0; i < 3; i++) {
        tasks[i] = (task){.work.run = count, .n_run = &n_run};
        assert_int_equal(vly_worker_pool_submit(pool, &tasks[i].work), i < 2 ? VLY_OK : VLY_EBUSY);
    }
    assert_int_equal(vly_worker_pool_queued(pool), 2);
    sem_post(&may_end);
    vly_worker_pool_drain(pool);
    assert_int_equal(atomic_load(&n_run), 2); /* the refused one never ran */
    assert_int_equal(vly_worker_pool_queued(pool), 0);
    assert_int_equal(vly_worker_pool_submit(pool, &tasks[2].work), VLY_OK);
    vly_worker_pool_free(pool); /* runs what is queued */
    assert_int_equal(atomic_load(&n_run), 3);
    sem_destroy(&begun);
    sem_destroy(&may_end);
}

typedef struct chain {
    vly_work work;
    vly_worker_pool *pool;
    _Atomic int n_left;
    _Atomic bool is_refused;
} chain;

static void resubmit(vly_work *work)
{
    chain *c = (chain *)work;
    if (atomic_fetch_sub(&c->n_left, 1) > 1 && vly_worker_pool_submit(c->pool, work) != VLY_OK)
        atomic_store(&c->is_refused, true);
}

static void an_item_may_resubmit_itself(void **state)
{
    chain c = {.work.run = resubmit, .n_left = 100};

    (void)state;
    c.pool = new_pool(2, 1);
    assert_int_equal(vly_worker_pool_submit(c.pool, &c.work), VLY_OK);
    vly_worker_pool_drain(c.pool);
    assert_int_equal(atomic_load(&c.n_left), 0);
    assert_false(atomic_load(&c.is_refused));
    vly_worker_pool_free(c.pool);
}

typedef struct cover {
    _Atomic unsigned char hits[5000];
    size_t grain;
    _Atomic int n_pieces;
    _Atomic bool is_odd_piece;
} cover;

static void hit(void *ctx, size_t begin, size_t end)
{
    cover *c = ctx;
    if (begin % c->grain != 0 || end <= begin || end - begin > c->grain)
        atomic_store(&c->is_odd_piece, true);
    atomic_fetch_add(&c->n_pieces, 1);
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&c->hits[i], 1);
}

static void loop_covers_each_index_once(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 64, 65, 4999, 5000};
    static const size_t grains[] = {1, 2, 7, 64, 5000, SIZE_MAX};
    static cover c;
    vly_worker_pool *pool = new_pool(3, 1);

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t g = 0; g < sizeof(grains) / sizeof(grains[0]); g++) {
            memset(&c, 0, sizeof(c));
            c.grain = grains[g];
            vly_parallel_for(g % 2 == 0 ? pool : NULL, sizes[s], grains[g], hit, &c);
            for (size_t i = 0; i < 5000; i++)
                assert_int_equal(atomic_load(&c.hits[i]), i < sizes[s]);
            assert_true(g % 2 == 1 || !atomic_load(&c.is_odd_piece));
        }
    }
    vly_worker_pool_free(pool);
}

/* Every worker is inside a loop inside a loop inside an item: the callers must do the work alone.
 */
typedef struct nest {
    vly_work work;
    vly_worker_pool *pool;
    _Atomic int *n_leaves;
} nest;

static void leaf(void *ctx, size_t begin, size_t end)
{
    const nest *n = ctx;
    atomic_fetch_add(n->n_leaves, (int)(end - begin));
}

static void inner(void *ctx, size_t begin, size_t end)
{
    const nest *n = ctx;
    for (size_t i = begin; i < end; i++)
        vly_parallel_for(n->pool, 16, 1, leaf, ctx);
}

static void outer(vly_work *work)
{
    nest *n = (nest *)work;
    vly_parallel_for(n->pool, 16, 1, inner, n);
}

static void nested_loops_do_not_deadlock(void **state)
{
    enum { N = 40 };
    nest nests[N];
    _Atomic int n_leaves = 0;
    vly_worker_pool *pool = new_pool(2, N);

    (void)state;
    for (int i = 0; i < N; i++) {
        nests[i] = (nest){.work.run = outer, .pool = pool, .n_leaves = &n_leaves};
        assert_int_equal(vly_worker_pool_submit(pool, &nests[i].work), VLY_OK);
    }
    vly_parallel_for(pool, 16, 1, inner, &nests[0]); /* and one from outside */
    vly_worker_pool_drain(pool);
    assert_int_equal(atomic_load(&n_leaves), (N + 1) * 16 * 16);
    vly_worker_pool_free(pool);
}

static void loop_while_all_workers_are_blocked(void **state)
{
    static cover c;
    sem_t begun, may_end;
    task blockers[2];
    vly_worker_pool *pool = new_pool(2, 2);

    (void)state;
    sem_init(&begun, 0, 0);
    sem_init(&may_end, 0, 0);
    for (int i = 0; i < 2; i++) {
        blockers[i] = (task){.work.run = block, .begun = &begun, .may_end = &may_end};
        assert_int_equal(vly_worker_pool_submit(pool, &blockers[i].work), VLY_OK);
    }
    sem_wait(&begun);
    sem_wait(&begun);
    memset(&c, 0, sizeof(c));
    c.grain = 5000; /* nobody can help, so it is one piece */
    vly_parallel_for(pool, 5000, 10, hit, &c);
    assert_int_equal(atomic_load(&c.hits[4999]), 1);
    assert_false(atomic_load(&c.is_odd_piece));
    assert_int_equal(atomic_load(&c.n_pieces), 1);
    sem_post(&may_end);
    sem_post(&may_end);
    vly_worker_pool_free(pool);
    sem_destroy(&begun);
    sem_destroy(&may_end);
}

/* The first two pieces wait for each other: they only end when two threads run pieces at once. */
static void meet(void *ctx, size_t begin, size_t end)
{
    sem_t *sems = ctx;
    (void)end;
    if (begin > 1)
        return;
    sem_post(&sems[begin]);
    sem_wait(&sems[1 - begin]);
}

static void idle_workers_join_a_loop(void **state)
{
    sem_t sems[2];
    vly_worker_pool *pool = new_pool(1, 1);

    (void)state;
    sem_init(&sems[0], 0, 0);
    sem_init(&sems[1], 0, 0);
    vly_parallel_for(pool, 8, 1, meet, sems);
    vly_worker_pool_free(pool);
    sem_destroy(&sems[0]);
    sem_destroy(&sems[1]);
}

static double cpu_ms(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static char thread_name[VLY_THREAD_NAME_MAX + 1];

static void ask_name(vly_work *work)
{
    (void)work;
    (void)pthread_getname_np(pthread_self(), thread_name, sizeof(thread_name));
}

static void threads_have_names(void **state)
{
    vly_work work = {.run = ask_name};
    vly_worker_pool *pool;

    (void)state;
    assert_int_equal(vly_worker_pool_new_named("fifteen letters", 1, 1, &pool, NULL), VLY_OK);
    assert_int_equal(vly_worker_pool_submit(pool, &work), VLY_OK);
    vly_worker_pool_free(pool);
    assert_string_equal(thread_name, "fifteen letters");
    pool = new_pool(1, 1);
    assert_int_equal(vly_worker_pool_submit(pool, &work), VLY_OK);
    vly_worker_pool_free(pool);
    assert_string_equal(thread_name, "volley-worker");
}

static void idle_pool_uses_no_time(void **state)
{
    vly_worker_pool *pool = new_pool(4, 1);
    double before = cpu_ms();

    (void)state;
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    assert_true(cpu_ms() - before < 50.0); /* four spinning threads would use 400 ms on two cores */
    vly_worker_pool_free(pool);
}

UNIT_TESTS(cmocka_unit_test(runs_each_once_in_order), cmocka_unit_test(full_queue_is_busy),
           cmocka_unit_test(threads_have_names), cmocka_unit_test(an_item_may_resubmit_itself),
           cmocka_unit_test(loop_covers_each_index_once),
           cmocka_unit_test(nested_loops_do_not_deadlock),
           cmocka_unit_test(loop_while_all_workers_are_blocked),
           cmocka_unit_test(idle_workers_join_a_loop), cmocka_unit_test(idle_pool_uses_no_time))
