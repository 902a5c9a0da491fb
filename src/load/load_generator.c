/* SPDX-License-Identifier: MIT */
#include "load/load_generator.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define AT_ONCE  256 /* requests handed over before sockets are looked at again */
#define DRAIN_NS (VLY_NSEC_PER_SEC / 2)

/* A request, and what makes its body distinct. */
typedef struct shot {
    vly_load_call call;
    vly_nsec handed_ns;
    char mark[VLY_LOAD_MARK_MAX];
    struct shot *next_free, *next;
} shot;

struct vly_load_generator {
    const vly_load_run_opts *opts;
    unsigned index, n_connections;
    int done_fd;
    vly_load_recorder recorder;
    _Atomic size_t in_flight; /* the most since it was looked at; statistics: relaxed */
    _Atomic bool is_stopped;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
    vly_load_segment segment; /* guarded by lock, as the next three */
    bool has_segment, is_ending;
    vly_status status;
    vly_err err;

    /* owner: the thread */
    vly_load_loop *loop;
    vly_load_transport *transport;
    vly_load_watch wake; /* an eventfd, for stop */
    bool is_watching;
    shot *free, *all;
    size_t n_shots;
    uint64_t number; /* of the next request, counted over all threads */
    vly_nsec end_ns; /* closed loop: nothing is sent any more */
};

/* ---- requests ------------------------------------------------------------------------------ */

static size_t n_out(const vly_load_generator *g)
{
    return vly_load_transport_in_flight(g->transport);
}

static shot *new_shot(vly_load_generator *g)
{
    if (g->n_shots == g->opts->max_outstanding)
        return NULL;
    shot *s = vly_calloc(VLY_MEM_CLI, 1, sizeof(*s));
    if (s != NULL) {
        s->next = g->all;
        g->all = s;
        g->n_shots++;
    }
    return s;
}

static void choose_body(const vly_load_generator *g, shot *s)
{
    const vly_load_run_opts *o = g->opts;
    vly_load_call *call = &s->call;

    if (o->n_bodies == 0)
        return;
    const vly_load_body *b = &o->bodies[call->number % o->n_bodies];
    call->body = b->bytes;
    if (!o->is_unique)
        return;
    const size_t n = vly_load_body_mark(b, o->first_mark + call->number, s->mark);
    call->mark = (vly_str){s->mark, n};
    call->mark_at = b->at;
}

static void shoot(vly_load_generator *g, vly_nsec intended_ns)
{
    shot *s = g->free;

    if (s != NULL)
        g->free = s->next_free;
    else
        s = new_shot(g);
    const uint64_t number = g->number;
    g->number += g->opts->n_threads;
    if (s == NULL) {
        vly_load_recorder_add_unsent(&g->recorder);
        return;
    }
    s->call = (vly_load_call){
        .number = number, .intended_ns = intended_ns, .connection = VLY_LOAD_ANY, .user = s};
    choose_body(g, s);
    s->handed_ns = vly_load_loop_now(g->loop);
    if (g->opts->is_closed)
        s->call.intended_ns = s->handed_ns;
    vly_load_transport_send(g->transport, &s->call);
}

static bool goes_on(const vly_load_generator *g)
{
    /* relaxed: it publishes nothing, and the eventfd wakes the loop up */
    return !atomic_load_explicit(&g->is_stopped, memory_order_relaxed);
}

static void on_done(void *ctx, vly_load_call *call)
{
    vly_load_generator *g = ctx;
    shot *s = call->user;

    vly_load_recorder_add(&g->recorder, call, s->handed_ns);
    s->next_free = g->free;
    g->free = s;
    if (g->opts->is_closed && call->done_ns < g->end_ns && goes_on(g))
        shoot(g, 0);
}

static void free_shots(vly_load_generator *g)
{
    while (g->all != NULL) {
        shot *s = g->all;
        g->all = s->next;
        vly_free(s);
    }
}

/* ---- a segment ----------------------------------------------------------------------------- */

static void turn(vly_load_generator *g, vly_nsec until_ns)
{
    const size_t n = n_out(g);

    /* two steps: a look in between costs it one figure */
    if (n > atomic_load_explicit(&g->in_flight, memory_order_relaxed))
        atomic_store_explicit(&g->in_flight, n, memory_order_relaxed);
    vly_load_loop_turn(g->loop, until_ns);
}

/* The next arrival that is this thread's: each takes every n-th. */
static bool next_arrival(const vly_load_generator *g, vly_load_arrivals *a, bool is_first,
                         vly_nsec *ret_at)
{
    const unsigned n = is_first ? g->index + 1 : g->opts->n_threads;

    for (unsigned i = 0; i < n; i++)
        if (!vly_load_arrivals_next(a, ret_at))
            return false;
    return true;
}

static void run_open(vly_load_generator *g, const vly_load_segment *s)
{
    vly_load_arrivals a;
    vly_nsec at = 0;

    vly_load_arrivals_init(&a, s->plan, s->first, s->n);
    bool has_next = next_arrival(g, &a, true, &at);
    while (has_next && goes_on(g)) {
        const vly_nsec now = vly_load_loop_now(g->loop);
        for (int i = 0; i < AT_ONCE && has_next && s->begin_ns + at <= now; i++) {
            shoot(g, s->begin_ns + at);
            has_next = next_arrival(g, &a, false, &at);
        }
        if (has_next)
            turn(g, s->begin_ns + at);
    }
    const vly_nsec end = s->begin_ns + s->duration_ns; /* a rate below one a second */
    while (goes_on(g) && vly_load_loop_now(g->loop) < end)
        turn(g, end);
}

static void run_closed(vly_load_generator *g, const vly_load_segment *s)
{
    const size_t n = (size_t)g->n_connections * g->opts->transport.max_in_flight;

    while (goes_on(g) && vly_load_loop_now(g->loop) < s->begin_ns)
        turn(g, s->begin_ns);
    g->end_ns = s->begin_ns + s->duration_ns;
    for (size_t i = 0; i < n && i < g->opts->max_outstanding; i++)
        shoot(g, 0);
    while (goes_on(g) && vly_load_loop_now(g->loop) < g->end_ns)
        turn(g, g->end_ns);
}

/* What is under way ends by itself, by its time-out at the latest; of a run that was stopped it
 * gets half a second, then it counts as timed out with what it has waited. */
static void drain(vly_load_generator *g)
{
    vly_nsec stop_ns = 0;

    while (n_out(g) > 0) {
        const vly_nsec now = vly_load_loop_now(g->loop);
        if (!goes_on(g) && stop_ns == 0)
            stop_ns = now + DRAIN_NS;
        if (stop_ns != 0 && now >= stop_ns)
            break;
        turn(g, stop_ns != 0 ? stop_ns : now + VLY_NSEC_PER_SEC);
    }
    if (n_out(g) > 0)
        vly_load_transport_give_up(g->transport);
}

static void run_segment(vly_load_generator *g, const vly_load_segment *s)
{
    if (g->opts->is_closed)
        run_closed(g, s);
    else
        run_open(g, s);
    drain(g);
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void on_wake(vly_load_watch *w, uint32_t events)
{
    uint64_t n;

    (void)events;
    while (read(w->fd, &n, sizeof(n)) == (ssize_t)sizeof(n))
        continue;
}

static vly_status watch_wake(vly_load_generator *g, vly_err *err)
{
    vly_status st = vly_load_watch_add(g->loop, &g->wake, err);
    g->is_watching = st == VLY_OK;
    return st;
}

static vly_status connect_all(vly_load_generator *g, vly_err *err)
{
    const vly_load_transport_opts *t = &g->opts->transport;
    const vly_nsec end = vly_load_loop_now(g->loop) + t->connect_ms * VLY_NSEC_PER_MS;
    vly_load_counts c = vly_load_transport_counts(g->transport);

    while (c.n_open < g->n_connections && c.connect_failures < g->n_connections &&
           vly_load_loop_now(g->loop) < end && goes_on(g)) {
        turn(g, end);
        c = vly_load_transport_counts(g->transport);
    }
    if (c.n_open > 0 || !goes_on(g))
        return VLY_OK;
    const char *trouble = vly_load_transport_trouble(g->transport);
    return vly_fail(err, VLY_EUNAVAILABLE, "cannot connect to '%.*s': %s",
                    VLY_STR_ARG(t->target->authority),
                    trouble[0] != '\0' ? trouble : "no answer in time");
}

/* Connections of the threads before this one. */
static uint32_t first_connection(const vly_load_generator *g)
{
    const unsigned n = g->opts->n_connections, n_threads = g->opts->n_threads;
    const unsigned rest = n % n_threads;

    return g->index * (n / n_threads) + (g->index < rest ? g->index : rest);
}

static vly_status open_all(vly_load_generator *g, vly_err *err)
{
    const vly_load_loop_opts loop = {.spin_ns = g->opts->spin_ns};
    vly_load_transport_opts t = g->opts->transport;
    vly_status st = vly_load_loop_new(&loop, &g->loop, err);

    if (st == VLY_OK)
        st = watch_wake(g, err);
    if (st != VLY_OK)
        return st;
    t.loop = g->loop;
    t.n_connections = g->n_connections;
    t.first_number = first_connection(g);
    t.ctx = g;
    t.on_done = on_done;
    st = vly_load_transport_open(g->opts->kind, &t, &g->transport, err);
    return st == VLY_OK ? connect_all(g, err) : st;
}

static void tell_done(const vly_load_generator *g)
{
    const uint64_t one = 1;
    while (write(g->done_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

/* False: there are no more. */
static bool wait_for_segment(vly_load_generator *g, vly_load_segment *ret)
{
    pthread_mutex_lock(&g->lock);
    while (!g->has_segment && !g->is_ending)
        pthread_cond_wait(&g->change, &g->lock);
    const bool is_there = g->has_segment;
    *ret = g->segment;
    g->has_segment = false;
    pthread_mutex_unlock(&g->lock);
    return is_there;
}

static void close_all(vly_load_generator *g)
{
    vly_load_transport_close(g->transport);
    if (g->is_watching)
        vly_load_watch_remove(g->loop, &g->wake);
    vly_load_loop_free(g->loop);
    free_shots(g);
}

static void *run_thread(void *arg)
{
    vly_load_generator *g = arg;
    vly_load_segment segment;
    vly_err err = VLY_ERR_INIT;
    const vly_status st = open_all(g, &err);

    pthread_mutex_lock(&g->lock);
    g->status = st;
    g->err = err;
    pthread_mutex_unlock(&g->lock);
    tell_done(g);
    while (wait_for_segment(g, &segment)) {
        run_segment(g, &segment);
        tell_done(g);
    }
    return NULL;
}

/* ---- for the run --------------------------------------------------------------------------- */

vly_status vly_load_generator_new(const vly_load_run_opts *opts, unsigned index, int done_fd,
                                  vly_load_generator **ret, vly_err *err)
{
    vly_load_generator *g = vly_calloc(VLY_MEM_CLI, 1, sizeof(*g));
    const unsigned n = opts->n_threads;

    if (g == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a generator");
    g->opts = opts;
    g->index = index;
    g->n_connections = opts->n_connections / n + (index < opts->n_connections % n);
    g->number = index;
    g->done_fd = done_fd;
    g->wake = (vly_load_watch){.on_ready = on_wake, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    vly_load_recorder_init(&g->recorder);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->change, NULL);
    if (g->wake.fd >= 0 && pthread_create(&g->thread, NULL, run_thread, g) == 0) {
        *ret = g;
        return VLY_OK;
    }
    if (g->wake.fd >= 0)
        close(g->wake.fd);
    vly_free(g);
    return vly_fail(err, VLY_EIO, "cannot start a thread");
}

vly_status vly_load_generator_opened(vly_load_generator *g, vly_err *err)
{
    pthread_mutex_lock(&g->lock);
    const vly_status st = g->status;
    if (st != VLY_OK && err != NULL)
        *err = g->err;
    pthread_mutex_unlock(&g->lock);
    return st;
}

void vly_load_generator_begin(vly_load_generator *g, const vly_load_segment *segment)
{
    pthread_mutex_lock(&g->lock);
    g->segment = *segment;
    g->has_segment = true;
    pthread_cond_signal(&g->change);
    pthread_mutex_unlock(&g->lock);
}

void vly_load_generator_stop(vly_load_generator *g)
{
    const uint64_t one = 1;

    atomic_store_explicit(&g->is_stopped, true, memory_order_relaxed);
    while (write(g->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

void vly_load_generator_free(vly_load_generator *g)
{
    if (g == NULL)
        return;
    pthread_mutex_lock(&g->lock);
    g->is_ending = true;
    pthread_cond_signal(&g->change);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    close_all(g);
    close(g->wake.fd);
    pthread_cond_destroy(&g->change);
    pthread_mutex_destroy(&g->lock);
    vly_load_recorder_release(&g->recorder);
    vly_free(g);
}

vly_load_recorder *vly_load_generator_recorder(vly_load_generator *g)
{
    return &g->recorder;
}

size_t vly_load_generator_take_in_flight(vly_load_generator *g)
{
    return atomic_exchange_explicit(&g->in_flight, 0, memory_order_relaxed);
}

vly_load_counts vly_load_generator_sockets(const vly_load_generator *g)
{
    return g->transport != NULL ? vly_load_transport_counts(g->transport) : (vly_load_counts){0};
}

const char *vly_load_generator_trouble(const vly_load_generator *g)
{
    return g->transport != NULL ? vly_load_transport_trouble(g->transport) : "";
}
