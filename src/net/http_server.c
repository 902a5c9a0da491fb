/* SPDX-License-Identifier: MIT */
#include "net/http_server.h"

#include "base/assert.h"
#include "net/http_internal.h"

#include <errno.h>
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

static vly_http_exchange *exchange_of(vly_http_request *req)
{
    return CONTAINER_OF(req, vly_http_exchange, req);
}

void vly_http_respond(vly_http_request *req, const vly_http_answer *answer)
{
    vly_http_exchange *ex = exchange_of(req);
    vly_http__exchange_answer(ex, answer);
    vly_http__return(ex);
}

void vly_http_respond_error(vly_http_request *req, int status, const char *msg)
{
    vly_http_exchange *ex = exchange_of(req);
    vly_http__exchange_error(ex, status, msg);
    vly_http__return(ex);
}

void vly_http_respond_err(vly_http_request *req, const vly_err *err)
{
    vly_http_respond_error(req, vly_status_http(err->status), err->msg);
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
        vly_status st = vly_http__loop_init(&s->loops[i], s, i, err);
        if (st != VLY_OK)
            return st;
        s->n_loops++;
    }
    for (unsigned i = n; i-- > 0;) {
        int rc = vly_http__loop_start(&s->loops[i]);
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
    VLY_ASSERT(opts->http2_max_streams == 0 || opts->http2_max_noise > 0);
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

void vly_http_server_set_times(vly_http_server *s, const vly_http_opts *opts)
{
    VLY_ASSERT(opts->body_min_rate >= 1);
    atomic_store(&s->opts.header_timeout_ms, opts->header_timeout_ms);
    atomic_store(&s->opts.body_timeout_ms, opts->body_timeout_ms);
    atomic_store(&s->opts.body_min_rate, opts->body_min_rate);
    atomic_store(&s->opts.idle_timeout_ms, opts->idle_timeout_ms);
    atomic_store(&s->opts.write_timeout_ms, opts->write_timeout_ms);
    atomic_store(&s->sweep_ms, sweep_interval(opts));
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
        vly_http__loop_release(&s->loops[i]);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    pthread_cond_destroy(&s->is_empty);
    pthread_mutex_destroy(&s->lock);
    vly_free(s);
}
