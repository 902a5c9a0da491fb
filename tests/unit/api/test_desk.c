/* SPDX-License-Identifier: MIT */
/* What operators ask is answered while all workers run models: the order counts, not the time. */
#include "api/desk.h"

#include "api/performance.h"
#include "base/assert.h"
#include "codec/inflate.h"
#include "service.h"

#include <pthread.h>
#include <string.h>

/* Holds up whoever runs one of the copies until it is opened. */
typedef struct block {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n_held, n_gone; /* guarded by lock, as the next */
    bool is_open;
} block;

static block gate;
static vly_work copies[2];

static void hold(vly_work *work)
{
    (void)work;
    pthread_mutex_lock(&gate.lock);
    gate.n_held++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.is_open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.n_gone++;
    pthread_mutex_unlock(&gate.lock);
}

static void fill(vly_worker_pool *pool, unsigned n)
{
    gate = (block){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    VLY_ASSERT(n <= VLY_COUNT(copies));
    for (unsigned i = 0; i < n; i++) {
        copies[i].run = hold;
        assert_int_equal(vly_worker_pool_submit(pool, &copies[i]), VLY_OK);
    }
    pthread_mutex_lock(&gate.lock);
    while (gate.n_held < n)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static unsigned n_gone(void)
{
    pthread_mutex_lock(&gate.lock);
    unsigned n = gate.n_gone;
    pthread_mutex_unlock(&gate.lock);
    return n;
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static vly_model_routes *routes; /* of one test; goes when nobody asks any more */

static int stop_with_routes(void **state)
{
    vly_model_routes_stop(routes);
    int rc = service_stop(state);
    vly_model_routes_free(routes);
    return rc;
}

#define ROUTE "{\"arms\":[{\"model\":\"simple\",\"version\":\"1\",\"weight\":1}]}"

static void answers_while_workers_run(void **state)
{
    const vly_model_routes_opts opts = {.scheduler = svc.scheduler, .max_routes = 2};
    static const char packed[] = "Accept-Encoding: gzip\r\n";

    (void)state;
    assert_int_equal(vly_model_routes_new(&opts, &routes, NULL), VLY_OK);
    svc.api.model_routes = routes; /* before the first request */
    fill(vly_scheduler_pool(svc.scheduler),
         vly_worker_pool_threads(vly_scheduler_pool(svc.scheduler)));
    assert_int_equal(get("/health").status, 200);
    assert_int_equal(get("/metrics").status, 200);
    reply r = ask("GET", "/metrics", packed, NULL, 0); /* as Prometheus asks */
    assert_int_equal(r.status, 200);
    assert_string_equal(header(&r, "Content-Encoding"), "gzip");
    assert_int_equal(get("/v1/performance").status, 200);
    assert_int_equal(get("/v1/models").status, 200);
    assert_int_equal(ask("PUT", "/v1/routes/r", "", ROUTE, strlen(ROUTE)).status, 201);
    assert_int_equal(get("/v1/routes").status, 200);
    assert_int_equal(ask("DELETE", "/v1/routes/r", "", NULL, 0).status, 200);
    assert_int_equal(n_gone(), 0);
    open_gate();
    vly_worker_pool_drain(vly_scheduler_pool(svc.scheduler));
    assert_int_equal(n_gone(), 2);
}

/* What needs no key takes neither the desk nor a worker, compressed or not. */
static void strangers_make_nobody_work(void **state)
{
    static const char *const pages[] = {"/openapi.json", "/steps", "/web/trace.js"};
    static const char packed[] = "Accept-Encoding: deflate, gzip, zstd\r\n";
    vly_buf plain, back;

    (void)state;
    vly_buf_init(&plain, VLY_MEM_NET, 1 << 20);
    vly_buf_init(&back, VLY_MEM_NET, 1 << 20);
    svc.api.compress_min_bytes = 1; /* before the first request */
    fill(svc.desk, 1);
    for (size_t i = 0; i < VLY_COUNT(pages); i++) {
        reply r = get(pages[i]);
        assert_null(header(&r, "Content-Encoding"));
        vly_buf_clear(&plain);
        vly_buf_add(&plain, r.body, r.body_len);
        r = ask("GET", pages[i], packed, NULL, 0);
        assert_int_equal(r.status, 200);
        assert_string_equal(header(&r, "Content-Encoding"), "gzip");
        assert_string_equal(header(&r, "Vary"), "Accept-Encoding");
        assert_true(r.body_len < plain.len / 2);
        vly_buf_clear(&back);
        assert_int_equal(vly_inflate(VLY_ENCODING_GZIP, (vly_str){r.body, r.body_len}, &back, NULL),
                         VLY_OK);
        assert_int_equal(back.len, plain.len);
        assert_memory_equal(back.ptr, plain.ptr, plain.len);
        r = ask("GET", pages[i], "Accept-Encoding: zstd, gzip;q=0\r\n", NULL, 0);
        assert_null(header(&r, "Content-Encoding"));
    }
    assert_int_equal(ask("GET", "/health", packed, NULL, 0).status, 200);
    assert_int_equal(ask("GET", "/", packed, NULL, 0).status, 200);
    assert_int_equal(ask("GET", "/nowhere", packed, NULL, 0).status, 404);
    assert_int_equal(n_gone(), 0);
    open_gate();
    vly_worker_pool_drain(svc.desk);
    vly_buf_release(&plain);
    vly_buf_release(&back);
}

/* A disk that does not answer holds up what asks for files, and no figures. */
static void figures_do_not_wait_for_files(void **state)
{
    static const char packed[] = "Accept-Encoding: gzip\r\n";

    (void)state;
    fill(svc.files, 1);
    reply r = ask("GET", "/metrics", packed, NULL, 0);
    assert_int_equal(r.status, 200);
    assert_string_equal(header(&r, "Content-Encoding"), "gzip");
    assert_int_equal(get("/v1/performance").status, 200);
    assert_int_equal(n_gone(), 0);
    open_gate();
    assert_int_equal(get("/v1/models").status, 200);
    assert_int_equal(n_gone(), 1); /* it stood behind */
}

static void without_a_desk_workers_answer(void **state)
{
    (void)state;
    assert_ptr_equal(vly_desk_or_workers(&svc.api, VLY_SCOPE_READ), svc.desk);
    assert_ptr_equal(vly_desk_or_workers(&svc.api, VLY_SCOPE_INFER),
                     vly_scheduler_pool(svc.scheduler));
    assert_ptr_equal(vly_files_or_workers(&svc.api, VLY_SCOPE_ADMIN), svc.files);
    assert_ptr_equal(vly_files_or_workers(&svc.api, VLY_SCOPE_INFER),
                     vly_scheduler_pool(svc.scheduler));
    svc.api.desk = svc.api.files = NULL;
    assert_ptr_equal(vly_files_or_workers(&svc.api, VLY_SCOPE_READ),
                     vly_scheduler_pool(svc.scheduler));
    assert_ptr_equal(vly_desk_or_workers(&svc.api, VLY_SCOPE_READ),
                     vly_scheduler_pool(svc.scheduler));
    assert_int_equal(get("/metrics").status, 200);
}

/* ---- the figures of each second ---- */

typedef struct bell {
    vly_alarm alarm; /* first */
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool has_rung; /* guarded by lock */
} bell;

static void ring(vly_alarm *a)
{
    bell *b = (bell *)a;

    pthread_mutex_lock(&b->lock);
    b->has_rung = true;
    pthread_cond_broadcast(&b->rung);
    pthread_mutex_unlock(&b->lock);
}

static uint64_t last_of(vly_performance *p)
{
    vly_performance_view view;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_BASE, 65536, 1 << 20);
    assert_int_equal(vly_performance_look(p, 0, &arena, &view, NULL), VLY_OK);
    vly_arena_release(&arena);
    return view.last;
}

/* The desk is held up when the second ends: other alarms ring on, and the figures come later. */
static void alarms_do_not_wait_for_the_figures(void **state)
{
    bell b = {
        .alarm.ring = ring, .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER};
    const vly_performance_opts opts = {.scheduler = svc.scheduler,
                                       .alarms = vly_scheduler_alarms(svc.scheduler),
                                       .desk = svc.desk,
                                       .n_cores = 1,
                                       .max_series = 2};
    vly_performance *p;

    (void)state;
    fill(svc.desk, 1);
    assert_int_equal(vly_performance_new(&opts, &p, NULL), VLY_OK);
    vly_alarm_set(opts.alarms, &b.alarm, vly_clock_now() + VLY_PERFORMANCE_NS);
    pthread_mutex_lock(&b.lock);
    while (!b.has_rung)
        pthread_cond_wait(&b.rung, &b.lock);
    pthread_mutex_unlock(&b.lock);
    assert_int_equal(last_of(p), 0);
    open_gate();
    vly_worker_pool_drain(svc.desk);
    assert_true(last_of(p) >= 1);
    vly_performance_free(p);
    vly_alarm_end(opts.alarms, &b.alarm);
}

UNIT_TESTS(
    cmocka_unit_test_setup_teardown(answers_while_workers_run, service_start, stop_with_routes),
    cmocka_unit_test_setup_teardown(strangers_make_nobody_work, service_start, service_stop),
    cmocka_unit_test_setup_teardown(figures_do_not_wait_for_files, service_start, service_stop),
    cmocka_unit_test_setup_teardown(without_a_desk_workers_answer, service_start, service_stop),
    cmocka_unit_test_setup_teardown(alarms_do_not_wait_for_the_figures, service_start,
                                    service_stop))
