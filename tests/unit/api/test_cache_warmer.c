/* SPDX-License-Identifier: MIT */
/*
 * The warm-up of the cache beside a server that answers. The test hands out the pictures, so it
 * knows who has begun with what, and holds them at a gate.
 */
#include "api/cache_warm.h"
#include "api/cache_warmer.h"
#include "base/assert.h"
#include "service.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#define DETECT "/v1/images:detect?model=boxes"

static struct {
    vly_buf picture;
    sem_t began, gate;
    _Atomic unsigned n_began, n_reading, max_reading;
    vly_cache_warmer *warmer;
} w; /* one test at a time */

static vly_status read_picture(void *ctx, vly_str name, vly_buf *ret, vly_err *err)
{
    unsigned n = atomic_fetch_add(&w.n_reading, 1) + 1;

    (void)ctx;
    if (n > atomic_load(&w.max_reading))
        atomic_store(&w.max_reading, n);
    atomic_fetch_add(&w.n_began, 1);
    sem_post(&w.began);
    sem_wait(&w.gate);
    atomic_fetch_sub(&w.n_reading, 1);
    if (vly_str_is(name, "none"))
        return vly_fail(err, VLY_ENOTFOUND, "there is no such picture");
    vly_buf_add_str(ret, vly_buf_str(&w.picture));
    vly_buf_add(ret, name.ptr, name.len); /* behind its end: each name another picture */
    return VLY_OK;
}

static int start(void **state)
{
    if (service_start_cached(state) != 0)
        return -1;
    memset(&w, 0, sizeof(w));
    w.picture = picture_of(32, 32, 0, 0, 0);
    sem_init(&w.began, 0, 0);
    sem_init(&w.gate, 0, 0);
    return 0;
}

static void end(void)
{
    vly_cache_warmer_free(w.warmer);
    w.warmer = NULL;
}

static int stop(void **state)
{
    for (int i = 0; i < 8; i++) /* after a failure somebody may wait */
        sem_post(&w.gate);
    end();
    vly_buf_release(&w.picture);
    return service_stop(state);
}

static void open_warmer(const char *list, unsigned n_threads)
{
    const vly_cache_warmer_opts o = {.api = &svc.api,
                                     .name = "list",
                                     .list = vly_str_from(list),
                                     .n_threads = n_threads,
                                     .max_bytes = 1 << 20,
                                     .read = read_picture};

    assert_int_equal(vly_cache_warmer_new(&o, &w.warmer, NULL), VLY_OK);
}

static void begin(void)
{
    assert_int_equal(vly_cache_warmer_start(w.warmer, NULL), VLY_OK);
}

/* Until n lines are done; the next are held at the gate. */
static void wait_for_lines(size_t n)
{
    while (atomic_load(&svc.api.n_warmed) < n)
        get("/health");
}

static const char *cached(const char *name)
{
    vly_buf b = picture_of(32, 32, 0, 0, 0);
    vly_buf_add(&b, name, strlen(name));
    reply r = ask("POST", DETECT, "", b.ptr, b.len);

    vly_buf_release(&b);
    assert_says(r, 200, "cat");
    return header(&r, "Volley-Cache");
}

/* ---- tests ---- */

static void is_not_ready_before_the_last_line(void **state)
{
    (void)state;

    assert_says(get("/health/ready"), 200, "\"status\":\"ready\"");
    open_warmer("# of a camera\n\nboxes a\nboxes b\n boxes  c \nboxes d", 2);
    assert_says(get("/health/ready"), 503, "\"status\":\"cache: warming up, 0 of 4 lines\"");
    begin();
    sem_wait(&w.began);
    sem_wait(&w.began); /* side by side */
    assert_says(get("/health"), 200, "\"status\":\"ok\"");
    assert_reply(get("/v2/health/ready"), 400, "");
    assert_string_equal(cached("z"), "miss"); /* requests are answered meanwhile */
    sem_post(&w.gate);
    sem_post(&w.gate);
    sem_post(&w.gate);
    wait_for_lines(3);
    assert_says(get("/health/ready"), 503, "\"status\":\"cache: warming up, 3 of 4 lines\"");
    assert_says(get("/metrics"), 200, "\nvolley_cache_warm_lines_done 3\n");
    atomic_store(&svc.api.is_draining, true); /* which comes first */
    assert_says(get("/health/ready"), 503, "\"status\":\"draining\"");
    atomic_store(&svc.api.is_draining, false);
    sem_post(&w.gate);
    wait_for_lines(4);
    assert_says(get("/health/ready"), 200, "\"status\":\"ready\"");
    assert_reply(get("/v2/health/ready"), 200, "");
    assert_int_equal(atomic_load(&w.max_reading), 2);
    for (int i = 0; i < 4; i++)
        assert_string_equal(cached((const char *[]){"a", "b", "c", "d"}[i]), "hit");
}

/* A line that fails is a line that is done. */
static void lines_that_fail_are_left_out(void **state)
{
    (void)state;

    open_warmer("nobody a\nboxes none\nboxes\nid_FP32 a\nbroken a\nboxes a\n", 8);
    for (int i = 0; i < 5; i++)
        sem_post(&w.gate);
    begin();
    wait_for_lines(6);
    assert_says(get("/health/ready"), 200, "\"status\":\"ready\"");
    assert_int_equal(atomic_load(&w.n_began), 5); /* all but the one without a picture */
    assert_string_equal(cached("a"), "hit");
}

static void an_empty_list_is_done(void **state)
{
    (void)state;

    open_warmer("# nothing\n\n", 2);
    begin();
    assert_says(get("/health/ready"), 200, "\"status\":\"ready\"");
}

static void stops_between_lines(void **state)
{
    (void)state;

    open_warmer("boxes a\nboxes b\nboxes c\n", 1);
    begin();
    sem_wait(&w.began);
    vly_cache_warmer_stop(w.warmer);
    sem_post(&w.gate);
    end();
    assert_int_equal(atomic_load(&w.n_began), 1);
    assert_int_equal(svc.api.n_warmed, 0);
    assert_says(get("/health/ready"), 503, "0 of 3 lines");
}

/* What waits for a worker when it is stopped does not run any more. */
static void stops_while_it_waits(void **state)
{
    (void)state;
    vly_served *m = vly_scheduler_find(svc.scheduler, VLY_STR("boxes"), VLY_STR(""));

    open_warmer("boxes a\nboxes b\n", 1);
    sem_post(&w.gate);
    service_hold_workers();
    begin();
    service_wait_pending("boxes");
    vly_cache_warmer_stop(w.warmer);
    service_release_workers();
    end();
    assert_int_equal(atomic_load(&w.n_began), 1);
    assert_int_equal(vly_counter_get(&m->stats.executions), 0);
    vly_served_unref(m);
}

/* What the cache has no room for is answered, not kept. */
static void tells_what_is_kept(void **state)
{
    (void)state;
    _Atomic bool is_stopped = false;
    const vly_cache_opts nothing = {.memory_bytes = 0};
    bool is_kept = false;

    for (int i = 0; i < 2; i++) { /* computed, then known */
        assert_int_equal(vly_cache_warm(&svc.api, VLY_STR("boxes"), vly_buf_str(&w.picture),
                                        &is_stopped, &is_kept, NULL),
                         VLY_OK);
        assert_true(is_kept);
        is_kept = false;
    }
    assert_int_equal(vly_cache_new(&nothing, &svc.api.cache, NULL), VLY_OK);
    assert_int_equal(vly_cache_warm(&svc.api, VLY_STR("boxes"), vly_buf_str(&w.picture),
                                    &is_stopped, &is_kept, NULL),
                     VLY_OK);
    assert_false(is_kept);
    vly_cache_free(svc.api.cache);
    svc.api.cache = svc.cache;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
UNIT_TESTS(TEST(is_not_ready_before_the_last_line), TEST(lines_that_fail_are_left_out),
           TEST(an_empty_list_is_done), TEST(stops_between_lines), TEST(stops_while_it_waits),
           TEST(tells_what_is_kept))
