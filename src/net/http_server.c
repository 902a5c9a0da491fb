/* SPDX-License-Identifier: MIT */
#include "net/http_server.h"

#include "base/assert.h"
#include "net/http_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REFUSED_MAX  64 /* connections past max_connections that get a 503; more are just closed */
#define SWEEP_MS_MIN 5

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- counting connections ---- */

bool vly_http__conn_admit(vly_http_server *s, bool *ret_is_refused)
{
    pthread_mutex_lock(&s->lock);
    bool ok = s->n_open < (size_t)s->opts.max_connections + REFUSED_MAX;
    *ret_is_refused = s->n_open >= s->opts.max_connections;
    if (ok)
        s->n_open++;
    pthread_mutex_unlock(&s->lock);
    if (ok)
        vly_gauge_add(&s->stats.connections_open, 1);
    vly_counter_add(&s->stats.connections, 1);
    if (*ret_is_refused)
        vly_counter_add(&s->stats.connections_refused, 1);
    return ok;
}

void vly_http__conn_gone(vly_http_server *s)
{
    vly_gauge_add(&s->stats.connections_open, -1);
    pthread_mutex_lock(&s->lock);
    s->n_open--;
    if (s->n_open == 0)
        pthread_cond_broadcast(&s->is_empty);
    pthread_mutex_unlock(&s->lock);
}

/* ---- answers ---- */

/* The exchange is back on its loop. Puts its connection on the list of those to pump. */
static void take_back(vly_http_exchange *ex, vly_http_conn **dirty)
{
    vly_http_loop *loop = ex->loop;
    vly_http_conn *c = ex->conn;

    VLY_ASSERT(loop->n_out > 0 && !ex->is_answered);
    loop->n_out--;
    if (atomic_load(&ex->req.is_cancelled))
        vly_counter_add(&loop->server->stats.requests_cancelled, 1);
    if (c == NULL) {
        vly_http__exchange_put(ex);
        return;
    }
    ex->is_answered = true;
    if (c->is_dirty)
        return;
    c->is_dirty = true;
    c->next_dirty = *dirty;
    *dirty = c;
}

/* Apart from take_back, so that all answers of a batch leave together. */
static void pump_all(vly_http_conn *dirty)
{
    while (dirty != NULL) {
        vly_http_conn *c = dirty;
        dirty = c->next_dirty;
        c->is_dirty = false;
        vly_http__conn_pump(c);
    }
}

static void return_exchange(vly_http_exchange *ex)
{
    vly_http_conn *dirty = NULL;

    if (!pthread_equal(pthread_self(), ex->loop->self)) {
        vly_mpsc_push(&ex->loop->answers, &ex->node);
        return;
    }
    take_back(ex, &dirty);
    pump_all(dirty);
}

static vly_http_exchange *exchange_of(vly_http_request *req)
{
    return CONTAINER_OF(req, vly_http_exchange, req);
}

void vly_http_respond(vly_http_request *req, const vly_http_answer *answer)
{
    vly_http_exchange *ex = exchange_of(req);
    vly_http__exchange_answer(ex, answer);
    return_exchange(ex);
}

void vly_http_respond_error(vly_http_request *req, int status, const char *msg)
{
    vly_http_exchange *ex = exchange_of(req);
    vly_http__exchange_error(ex, status, msg);
    return_exchange(ex);
}

void vly_http_respond_err(vly_http_request *req, const vly_err *err)
{
    vly_http_respond_error(req, vly_status_http(err->status), err->msg);
}

/* ---- a loop ---- */

static void take_answers(vly_http_loop *loop)
{
    vly_http_conn *dirty = NULL;

    for (vly_mpsc_node *node = vly_mpsc_take_all(&loop->answers), *next; node; node = next) {
        next = node->next;
        take_back(CONTAINER_OF(node, vly_http_exchange, node), &dirty);
    }
    pump_all(dirty);
}

static void take_arrivals(vly_http_loop *loop)
{
    for (vly_mpsc_node *node = vly_mpsc_take_all(&loop->arrivals), *next; node; node = next) {
        next = node->next;
        vly_http__conn_open(CONTAINER_OF(node, vly_http_conn, node));
    }
}

/* Once stopping: when every connection is closed and every exchange back, the loop has no more to
 * do and ends with its last two handles. */
void vly_http__loop_end_when_empty(vly_http_loop *loop)
{
    if (!loop->is_stopping || loop->n_conns > 0 || loop->n_out > 0 ||
        uv_is_closing((uv_handle_t *)&loop->wake))
        return;
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->sweep, NULL);
}

static void begin_drain(vly_http_loop *loop)
{
    if (loop->idx == 0)
        vly_http__listen_refuse(loop->server);
    loop->drain_ms = uv_now(&loop->uv) + 1; /* + 1: never 0 */
}

static void stop_loop(vly_http_loop *loop)
{
    loop->is_stopping = true;
    for (vly_http_conn *c = loop->conns; c != NULL; c = c->next)
        vly_http__conn_close(c);
}

static void on_wake(uv_async_t *wake)
{
    vly_http_loop *loop = wake->data;
    vly_http_server *s = loop->server;

    /* Read before the arrivals are taken: once STOPPING, no more can come. */
    pthread_mutex_lock(&s->lock);
    vly_http_phase phase = s->phase;
    pthread_mutex_unlock(&s->lock);
    if (phase >= VLY_HTTP_DRAINING && loop->drain_ms == 0)
        begin_drain(loop);
    if (phase >= VLY_HTTP_CLOSING && loop->idx == 0)
        vly_http__listen_close(s);
    take_arrivals(loop);
    take_answers(loop);
    if (phase == VLY_HTTP_STOPPING)
        stop_loop(loop);
    vly_http__loop_end_when_empty(loop);
}

static void on_sweep(uv_timer_t *timer)
{
    vly_http_loop *loop = timer->data;
    uint64_t now = uv_now(&loop->uv);
    bool is_listener_waiting = loop->idx == 0 && vly_http__listen_sweep(loop->server);

    for (vly_http_conn *c = loop->conns; c != NULL; c = c->next)
        vly_http__conn_sweep(c, now);
    if (loop->n_conns == 0 && !is_listener_waiting)
        uv_timer_stop(timer);
    vly_http__loop_end_when_empty(loop);
}

void vly_http__loop_watch(vly_http_loop *loop)
{
    unsigned ms = loop->server->sweep_ms;
    if (!uv_is_active((uv_handle_t *)&loop->sweep))
        uv_timer_start(&loop->sweep, on_sweep, ms, ms);
}

static void *loop_main(void *arg)
{
    vly_http_loop *loop = arg;
    char name[16];

    loop->self = pthread_self();
    snprintf(name, sizeof(name), "volley-net-%u", loop->idx % 1000);
    pthread_setname_np(pthread_self(), name);
    if (loop->idx == 0)
        vly_http__listen_start(loop->server);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return NULL;
}

static void wake_loop(void *ctx)
{
    vly_http_loop *loop = ctx;
    uv_async_send(&loop->wake);
}

static vly_status loop_init(vly_http_loop *loop, vly_http_server *s, unsigned idx, vly_err *err)
{
    *loop = (vly_http_loop){.server = s, .idx = idx, .date_s = -1};
    loop->read_buf = vly_alloc(VLY_MEM_NET, VLY_HTTP_READ_BYTES);
    if (loop->read_buf == NULL)
        return vly_fail(err, VLY_ENOMEM, "http server: no memory for loop %u", idx);
    int rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        vly_free(loop->read_buf);
        return vly_fail(err, VLY_EUNAVAILABLE, "http server: loop %u: %s", idx, uv_strerror(rc));
    }
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc != 0) {
        uv_loop_close(&loop->uv);
        vly_free(loop->read_buf);
        return vly_fail(err, VLY_EUNAVAILABLE, "http server: loop %u: %s", idx, uv_strerror(rc));
    }
    uv_timer_init(&loop->uv, &loop->sweep);
    loop->wake.data = loop->sweep.data = loop;
    vly_mpsc_init(&loop->answers, wake_loop, loop);
    vly_mpsc_init(&loop->arrivals, wake_loop, loop);
    return VLY_OK;
}

/* The thread has ended, or never began. */
static void loop_release(vly_http_loop *loop)
{
    if (!uv_is_closing((uv_handle_t *)&loop->wake)) {
        uv_close((uv_handle_t *)&loop->wake, NULL);
        uv_close((uv_handle_t *)&loop->sweep, NULL);
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    VLY_ASSERT(uv_loop_close(&loop->uv) == 0);
    while (loop->free_exchanges != NULL) {
        vly_http_exchange *ex = loop->free_exchanges;
        loop->free_exchanges = ex->next;
        vly_http__exchange_free(ex);
    }
    vly_mpsc_release(&loop->answers);
    vly_mpsc_release(&loop->arrivals);
    vly_free(loop->read_buf);
}

/* Signals are the main thread's business, and a write to a closed socket must not raise one. */
static int start_thread(vly_http_loop *loop)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&loop->thread, NULL, loop_main, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* ---- the server ---- */

/* A quarter of the shortest timeout: no timeout is late by more than that. */
static unsigned sweep_interval(const vly_http_opts *o)
{
    unsigned ms = o->header_timeout_ms;

    if (o->body_timeout_ms < ms)
        ms = o->body_timeout_ms;
    if (o->idle_timeout_ms < ms)
        ms = o->idle_timeout_ms;
    if (o->write_timeout_ms < ms)
        ms = o->write_timeout_ms;
    if (ms > VLY_HTTP_DRAIN_GRACE_MS)
        ms = VLY_HTTP_DRAIN_GRACE_MS;
    ms /= 4;
    return ms < SWEEP_MS_MIN ? SWEEP_MS_MIN : ms;
}

static vly_status start_loops(vly_http_server *s, vly_err *err)
{
    unsigned n = s->opts.n_loops;

    /* All are complete before the first runs, for that one deals connections out to all. */
    for (unsigned i = 0; i < n; i++) {
        vly_status st = loop_init(&s->loops[i], s, i, err);
        if (st != VLY_OK)
            return st;
        s->n_loops++;
    }
    for (unsigned i = n; i-- > 0;) {
        int rc = start_thread(&s->loops[i]);
        if (rc != 0)
            return vly_fail(err, VLY_EUNAVAILABLE, "http server: thread of loop %u: %s", i,
                            strerror(rc));
        s->n_running++;
    }
    return VLY_OK;
}

static void init_sync(vly_http_server *s)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->is_empty, &attr);
    pthread_condattr_destroy(&attr);
}

vly_status vly_http_server_start(const vly_http_opts *opts, vly_http_server **ret, vly_err *err)
{
    VLY_ASSERT(opts->n_loops >= 1 && opts->max_pipelined >= 1 && opts->body_min_rate >= 1 &&
               opts->limits.max_headers >= 1 && opts->on_request != NULL);
    vly_http_server *s =
        vly_calloc(VLY_MEM_NET, 1, sizeof(*s) + opts->n_loops * sizeof(s->loops[0]));

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "http server: no memory");
    s->opts = *opts;
    s->budget.max_bytes = opts->max_body_total_bytes;
    s->opts.limits.body_budget = &s->budget;
    s->sweep_ms = sweep_interval(opts);
    s->listen_fd = -1;
    init_sync(s);
    vly_status st = vly_http__listen(s, err);
    s->opts.address = NULL; /* the caller's; not needed any more */
    s->is_listening = st == VLY_OK;
    if (st == VLY_OK)
        st = start_loops(s, err);
    if (st != VLY_OK) {
        vly_http_server_free(s);
        return st;
    }
    *ret = s;
    return VLY_OK;
}

uint16_t vly_http_server_port(const vly_http_server *s)
{
    return s->port;
}

const vly_http_stats *vly_http_server_stats(const vly_http_server *s)
{
    return &s->stats;
}

static struct timespec monotonic_in(unsigned ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Called with the lock held, under which the loops look too: a loop that has seen the last phase is
 * sent nothing more. */
static void enter_phase(vly_http_server *s, vly_http_phase phase)
{
    s->phase = phase;
    for (unsigned i = 0; i < s->n_loops; i++)
        uv_async_send(&s->loops[i].wake);
}

bool vly_http_server_drain(vly_http_server *s, unsigned timeout_ms)
{
    struct timespec until = monotonic_in(timeout_ms);
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    enter_phase(s, VLY_HTTP_DRAINING);
    while ((s->n_open > 0 || s->is_listening) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->is_empty, &s->lock, &until);
    bool is_empty = s->n_open == 0 && !s->is_listening;
    pthread_mutex_unlock(&s->lock);
    return is_empty;
}

/* First the listener, then the loops: loop 0 must deal out no connection to a loop that has ended.
 */
static void stop_loops(vly_http_server *s)
{
    pthread_mutex_lock(&s->lock);
    enter_phase(s, VLY_HTTP_CLOSING);
    while (s->is_listening && s->n_running == s->n_loops) /* loop 0 is the last to be started */
        pthread_cond_wait(&s->is_empty, &s->lock);
    enter_phase(s, VLY_HTTP_STOPPING);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = s->n_loops - s->n_running; i < s->n_loops; i++)
        pthread_join(s->loops[i].thread, NULL);
}

void vly_http_server_free(vly_http_server *s)
{
    if (s == NULL)
        return;
    if (s->n_running > 0)
        stop_loops(s);
    for (unsigned i = 0; i < s->n_loops; i++)
        loop_release(&s->loops[i]);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    pthread_cond_destroy(&s->is_empty);
    pthread_mutex_destroy(&s->lock);
    vly_free(s);
}
