/* SPDX-License-Identifier: MIT */
/* The line of requests of a stream, with requests that end when the test, or a thread, says so. */
#include "api/stream_line.h"

#include "base/assert.h"
#include "unit.h"

#include <stdlib.h>

#define ITEMS 2000

typedef struct item {
    vly_line_item item; /* first */
    vly_work work;
    unsigned id;
    bool is_heavy;
    bool is_started, is_freed;
} item;

typedef struct fixture {
    vly_line line; /* first */
    vly_worker_pool *pool;
    item items[ITEMS];
    unsigned sent[ITEMS];
    unsigned n_sent, n_started, n_in_work, most_in_work; /* of sent and started */
    bool is_behind;                                      /* sends are refused */
    bool ends_at_once;                                   /* ready is called by start */
    bool ends_on_pool;                                   /* ... or on a worker */
    unsigned n_drained;
    bool is_gone;
    pthread_mutex_t lock;
    pthread_cond_t changed;
} fixture;

static fixture f;

static bool is_light(const vly_line_item *it)
{
    return !((const item *)it)->is_heavy;
}

static void end_on_worker(vly_work *work)
{
    vly_line_ready(&((item *)(void *)((char *)work - offsetof(item, work)))->item);
}

static void start(vly_line_item *it)
{
    item *i = (item *)it;

    pthread_mutex_lock(&f.lock);
    assert_false(i->is_started);
    i->is_started = true;
    assert_int_equal(i->id, f.n_started); /* in order */
    f.n_started++;
    f.n_in_work++;
    if (f.n_in_work > f.most_in_work)
        f.most_in_work = f.n_in_work;
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.lock);
    if (f.ends_at_once)
        vly_line_ready(it);
    if (f.ends_on_pool) {
        i->work = (vly_work){.run = end_on_worker};
        assert_int_equal(vly_worker_pool_submit(f.pool, &i->work), VLY_OK);
    }
}

static bool send(vly_line_item *it)
{
    pthread_mutex_lock(&f.lock);
    bool is_sent = !f.is_behind;
    if (is_sent)
        f.sent[f.n_sent++] = ((item *)it)->id;
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.lock);
    return is_sent;
}

static void free_item(vly_line_item *it)
{
    item *i = (item *)it;

    pthread_mutex_lock(&f.lock);
    assert_false(i->is_freed);
    i->is_freed = true;
    f.n_in_work -= i->is_started;
    pthread_mutex_unlock(&f.lock);
}

static void drained(vly_line *line)
{
    assert_ptr_equal(line, &f.line);
    f.n_drained++;
}

static void gone(vly_line *line)
{
    assert_ptr_equal(line, &f.line);
    pthread_mutex_lock(&f.lock);
    f.is_gone = true;
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.lock);
}

static const vly_line_ops ops = {.is_light = is_light,
                                 .start = start,
                                 .send = send,
                                 .free = free_item,
                                 .drained = drained,
                                 .gone = gone};

static int setup(void **state)
{
    (void)state;
    f = (fixture){.pool = NULL};
    pthread_mutex_init(&f.lock, NULL);
    pthread_cond_init(&f.changed, NULL);
    if (vly_worker_pool_new(3, ITEMS, &f.pool, NULL) != VLY_OK)
        return 1;
    vly_line_init(&f.line, &ops, f.pool, ITEMS, 4);
    return 0;
}

/* The line must be over by now, or go with this. */
static int teardown(void **state)
{
    (void)state;
    vly_line_end(&f.line);
    vly_line_unref(&f.line);
    vly_worker_pool_free(f.pool);
    bool ok = f.is_gone;
    pthread_cond_destroy(&f.changed);
    pthread_mutex_destroy(&f.lock);
    return !ok;
}

static bool push(unsigned id)
{
    f.items[id].id = id;
    return vly_line_push(&f.line, &f.items[id].item);
}

static void ready(unsigned id)
{
    vly_line_ready(&f.items[id].item);
}

static void answers_leave_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        assert_true(push(i));
    assert_int_equal(f.n_started, 4); /* max_started */
    ready(2);
    ready(1);
    assert_int_equal(f.n_sent, 0);
    assert_int_equal(f.n_started, 4); /* answers that wait count */
    ready(0);
    assert_int_equal(f.n_sent, 3);
    assert_int_equal(f.n_started, 6);
    ready(5);
    ready(4);
    assert_int_equal(f.n_sent, 3);
    ready(3);
    assert_int_equal(f.n_sent, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(f.sent[i], i);
}

/* Thousands that end within start: no recursion, and no more than allowed in work. */
static void requests_that_end_at_once(void **state)
{
    (void)state;
    f.ends_at_once = true;
    for (unsigned i = 0; i < ITEMS; i++)
        assert_true(push(i));
    assert_int_equal(f.n_sent, ITEMS);
    assert_in_range(f.most_in_work, 1, 4);
}

static void a_client_that_is_behind(void **state)
{
    (void)state;
    f.ends_at_once = f.is_behind = true;
    for (unsigned i = 0; i < 10; i++)
        assert_true(push(i));
    assert_int_equal(f.n_started, 4);
    assert_int_equal(f.n_sent, 0);
    f.is_behind = false;
    vly_line_go_on(&f.line);
    assert_int_equal(f.n_sent, 10);
}

static void has_a_limit(void **state)
{
    (void)state;
    vly_line_unref(&f.line);
    assert_true(f.is_gone);
    f.is_gone = false;
    vly_line_init(&f.line, &ops, f.pool, 2, 1);
    assert_true(push(0) && push(1));
    assert_false(push(2));
    ready(0);
    assert_true(push(2));
    ready(1);
    ready(2);
    assert_int_equal(f.n_sent, 3);
}

static void an_end_drops_what_waits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        assert_true(push(i));
    ready(1);
    vly_line_end(&f.line);
    assert_false(f.items[0].is_freed); /* it runs */
    assert_false(push(6));
    ready(0);
    assert_true(f.items[0].is_freed && f.items[1].is_freed);
    ready(2);
    ready(3);
    for (unsigned i = 0; i < 6; i++)
        assert_true(f.items[i].is_freed);
    assert_int_equal(f.n_sent, 0);
    assert_int_equal(f.n_started, 4);
}

static void drains_once_closed(void **state)
{
    (void)state;
    assert_true(push(0) && push(1));
    ready(0);
    ready(1);
    assert_int_equal(f.n_drained, 0); /* more may come */
    assert_true(push(2));
    vly_line_close(&f.line);
    assert_int_equal(f.n_drained, 0);
    ready(2);
    assert_int_equal(f.n_drained, 1);
    vly_line_go_on(&f.line);
    vly_line_end(&f.line);
    assert_int_equal(f.n_drained, 1);
}

/* Heavy ones are started on workers, all end there; the order stays. */
static void threads_keep_the_order(void **state)
{
    (void)state;
    f.ends_on_pool = true;
    for (unsigned i = 0; i < ITEMS; i++) {
        f.items[i].is_heavy = i % 3 == 0;
        assert_true(push(i));
    }
    pthread_mutex_lock(&f.lock);
    while (f.n_sent < ITEMS)
        pthread_cond_wait(&f.changed, &f.lock);
    for (unsigned i = 0; i < ITEMS; i++)
        assert_int_equal(f.sent[i], i);
    assert_in_range(f.most_in_work, 1, 4);
    pthread_mutex_unlock(&f.lock);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

UNIT_TESTS(TEST(answers_leave_in_order), TEST(requests_that_end_at_once),
           TEST(a_client_that_is_behind), TEST(has_a_limit), TEST(an_end_drops_what_waits),
           TEST(drains_once_closed), TEST(threads_keep_the_order))
