/* SPDX-License-Identifier: MIT */
/* One loop: a thread with its connections, the answers that come to it, and its turns. */
#include "base/assert.h"
#include "net/http_stream_internal.h"
#include "sys/slice.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

const char *vly_http__date(vly_http_loop *loop)
{
    time_t now = time(NULL);
    struct tm tm;

    if (now != loop->date_s) {
        gmtime_r(&now, &tm);
        strftime(loop->date, sizeof(loop->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        loop->date_s = now;
    }
    return loop->date;
}

/* ---- requests and answers ---- */

void vly_http__hand_over(vly_http_conn *c, vly_http_exchange *ex)
{
    const vly_http_opts *opts = vly_http__opts(c);

    ex->req.received_ns = vly_clock_now();
    memcpy(ex->req.peer, c->peer, sizeof(ex->req.peer));
    c->loop->n_out++;
    c->loop->has_handed = true;
    vly_counter_add(&vly_http__stats(c)->requests, 1);
    opts->on_request(opts->ctx, &ex->req);
}

static void mark_dirty(vly_http_conn *c)
{
    if (c->is_dirty)
        return;
    c->is_dirty = true;
    c->next_dirty = c->loop->dirty;
    c->loop->dirty = c;
}

/* The exchange is back on its loop. Puts its connection on the list of those to pump. */
static void take_back(vly_http_exchange *ex)
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
    c->proto->answered(c, ex);
    mark_dirty(c);
}

/* Apart from take_back, so that all answers of a batch leave together. */
static void pump_all(vly_http_loop *loop)
{
    while (loop->dirty != NULL) {
        vly_http_conn *c = loop->dirty;
        loop->dirty = c->next_dirty;
        c->is_dirty = false;
        vly_http__conn_pump(c);
    }
}

void vly_http__conn_touch(vly_http_conn *c)
{
    mark_dirty(c);
    if (!c->loop->is_batching)
        pump_all(c->loop);
}

void vly_http__return(vly_http_exchange *ex)
{
    vly_http_loop *loop = ex->loop;

    if (!pthread_equal(pthread_self(), loop->self)) {
        vly_mpsc_push(&loop->answers, &ex->node);
        return;
    }
    take_back(ex);
    if (!loop->is_batching)
        pump_all(loop);
    vly_http__loop_end_when_empty(loop);
}

static void take_answers(vly_http_loop *loop)
{
    for (vly_mpsc_node *node = vly_mpsc_take_all(&loop->answers), *next; node; node = next) {
        next = node->next;
        take_back(CONTAINER_OF(node, vly_http_exchange, node));
    }
    pump_all(loop);
}

static void take_streams(vly_http_loop *loop)
{
    loop->is_batching = true;
    for (vly_mpsc_node *node = vly_mpsc_take_all(&loop->streams), *next; node; node = next) {
        next = node->next;
        vly_http__stream_post_turn(CONTAINER_OF(node, vly_stream, node));
    }
    loop->is_batching = false;
    pump_all(loop);
}

static void take_arrivals(vly_http_loop *loop)
{
    for (vly_mpsc_node *node = vly_mpsc_take_all(&loop->arrivals), *next; node; node = next) {
        next = node->next;
        vly_http__conn_open(CONTAINER_OF(node, vly_http_conn, node));
    }
}

/* ---- turns ---- */

static void on_again(uv_idle_t *again)
{
    (void)again;
}

static void stay_awake(vly_http_loop *loop, bool is_wanted)
{
    if (uv_is_closing((uv_handle_t *)&loop->again))
        return;
    if (is_wanted)
        uv_idle_start(&loop->again, on_again);
    else
        uv_idle_stop(&loop->again);
}

/* Repeats, for a request may follow at once on an answer, out of what had been read with it. */
static void end_turn(vly_http_loop *loop)
{
    const vly_http_opts *opts = &loop->server->opts;

    bool is_due = opts->on_turn != NULL && (loop->has_handed || loop->has_left);

    while (is_due) {
        loop->has_handed = false;
        loop->is_batching = true;
        loop->has_left = opts->on_turn(opts->ctx, loop->idx);
        loop->is_batching = false;
        pump_all(loop);
        is_due = loop->has_handed;
    }
    stay_awake(loop, loop->has_left);
    vly_http__loop_end_when_empty(loop);
}

static void on_turn(uv_check_t *turn)
{
    end_turn(turn->data);
}

static void close_handles(vly_http_loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->sweep, NULL);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_close((uv_handle_t *)&loop->again, NULL);
}

/* Once stopping: when every connection is closed and every exchange back, the loop has no more to
 * do and ends with its last handles. */
void vly_http__loop_end_when_empty(vly_http_loop *loop)
{
    if (!loop->is_stopping || loop->n_conns > 0 || loop->n_out > 0 ||
        uv_is_closing((uv_handle_t *)&loop->wake))
        return;
    close_handles(loop);
}

static void begin_drain(vly_http_loop *loop)
{
    if (loop->idx == 0)
        vly_http__listen_refuse(loop->server);
    loop->drain_ms = uv_now(&loop->uv) + 1; /* + 1: never 0 */
    for (vly_http_conn *c = loop->conns; c != NULL; c = c->next)
        vly_http__conn_pump(c);
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
    take_streams(loop);
    if (phase == VLY_HTTP_STOPPING)
        stop_loop(loop);
    vly_http__loop_end_when_empty(loop);
}

static void on_sweep(uv_timer_t *timer)
{
    vly_http_loop *loop = timer->data;
    uint64_t now = uv_now(&loop->uv);
    bool is_listener_waiting = loop->idx == 0 && vly_http__listen_sweep(loop->server);

    loop->is_batching = true;
    vly_http__streams_check(loop);
    loop->is_batching = false;
    pump_all(loop);
    for (vly_http_conn *c = loop->conns; c != NULL; c = c->next)
        vly_http__conn_sweep(c, now);
    uv_timer_set_repeat(timer, loop->server->sweep_ms); /* it may have changed */
    if (loop->n_conns == 0 && !is_listener_waiting)
        uv_timer_stop(timer);
    end_turn(loop); /* a check follows only when the loop has slept */
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
    vly_slice_shorten();
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

vly_status vly_http__loop_init(vly_http_loop *loop, vly_http_server *s, unsigned idx, vly_err *err)
{
    *loop = (vly_http_loop){.server = s, .idx = idx, .date_s = -1};
    vly_buf_init(&loop->plain, VLY_MEM_NET, VLY_HTTP_READ_BYTES + 2 * VLY_TLS_RECORD_BYTES);
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
    uv_check_init(&loop->uv, &loop->turn);
    uv_idle_init(&loop->uv, &loop->again);
    if (s->opts.on_turn != NULL)
        uv_check_start(&loop->turn, on_turn);
    loop->wake.data = loop->sweep.data = loop->turn.data = loop;
    vly_mpsc_init(&loop->answers, wake_loop, loop);
    vly_mpsc_init(&loop->arrivals, wake_loop, loop);
    vly_mpsc_init(&loop->streams, wake_loop, loop);
    return VLY_OK;
}

void vly_http__loop_release(vly_http_loop *loop)
{
    if (!uv_is_closing((uv_handle_t *)&loop->wake)) {
        close_handles(loop);
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
    vly_http__streams_drop(loop);
    vly_mpsc_release(&loop->streams);
    vly_free(loop->read_buf);
    vly_buf_release(&loop->plain);
}

/* Signals are the main thread's business, and a write to a closed socket must not raise one. */
int vly_http__loop_start(vly_http_loop *loop)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&loop->thread, NULL, loop_main, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}
