/* SPDX-License-Identifier: MIT */
#include "load/load_loop.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 256 };

struct vly_load_loop {
    vly_load_loop_opts opts;
    vly_heap timers;
    size_t n_timers;
    vly_nsec now_ns; /* when timers were last looked at */
    int poll_fd;
    bool is_coarse;                            /* the kernel waits by the millisecond only */
    unsigned n_events, event_pos;              /* of the round under way */
    struct epoll_event events[EVENTS_AT_ONCE]; /* data.ptr NULL: removed */
};

vly_status vly_load_loop_new(const vly_load_loop_opts *opts, vly_load_loop **ret, vly_err *err)
{
    vly_load_loop *l = vly_calloc(VLY_MEM_NET, 1, sizeof(*l));

    if (l == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a loop");
    if (opts != NULL)
        l->opts = *opts;
    l->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->poll_fd < 0) {
        vly_free(l);
        return vly_fail(err, VLY_EIO, "epoll: %s", strerror(errno));
    }
    /* Of this thread: the kernel may otherwise be 50 us late, to wake up fewer times. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    *ret = l;
    return VLY_OK;
}

void vly_load_loop_free(vly_load_loop *l)
{
    if (l == NULL)
        return;
    VLY_ASSERT(l->timers.first == NULL);
    close(l->poll_fd);
    vly_free(l);
}

vly_nsec vly_load_loop_now(const vly_load_loop *l)
{
    return l->opts.now != NULL ? l->opts.now(l->opts.ctx) : vly_clock_now();
}

/* ---- timers ---- */

void vly_load_timer_set(vly_load_loop *l, vly_load_timer *t, vly_nsec at_ns)
{
    vly_load_timer_clear(l, t);
    vly_heap_add(&l->timers, &t->node, at_ns > l->now_ns ? at_ns : l->now_ns);
    l->n_timers++;
}

void vly_load_timer_clear(vly_load_loop *l, vly_load_timer *t)
{
    if (!vly_heap_has(&t->node))
        return;
    vly_heap_remove(&l->timers, &t->node);
    l->n_timers--;
}

/* No more than there are now: one that sets itself for at once must not keep the loop from its
 * sockets. It stands behind those that were due before. */
static void ring(vly_load_loop *l)
{
    size_t n = l->n_timers;

    if (n > 0)
        l->now_ns = vly_load_loop_now(l);
    while (n-- > 0 && l->timers.first != NULL && l->timers.first->at_ns <= l->now_ns) {
        vly_load_timer *t =
            (vly_load_timer *)(void *)((char *)l->timers.first - offsetof(vly_load_timer, node));
        vly_load_timer_clear(l, t);
        t->on_due(t);
    }
}

/* ---- sockets ---- */

vly_status vly_load_watch_add(vly_load_loop *l, vly_load_watch *w, vly_err *err)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = w};

    if (epoll_ctl(l->poll_fd, EPOLL_CTL_ADD, w->fd, &e) != 0)
        return vly_fail(err, VLY_EIO, "epoll: %s", strerror(errno));
    return VLY_OK;
}

void vly_load_watch_remove(vly_load_loop *l, vly_load_watch *w)
{
    (void)epoll_ctl(l->poll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    for (unsigned i = l->event_pos; i < l->n_events; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
}

/* ---- turns ---- */

/* How long to sleep, of a time until the first thing that is due. */
static vly_nsec sleep_ns(const vly_load_loop *l, vly_nsec until_ns)
{
    vly_nsec now, spin_ns = l->opts.spin_ns;

    if (l->timers.first != NULL && l->timers.first->at_ns < until_ns)
        until_ns = l->timers.first->at_ns;
    if (until_ns <= l->now_ns)
        return 0;
    now = vly_load_loop_now(l);
    return until_ns > now && until_ns - now > spin_ns ? until_ns - now - spin_ns : 0;
}

static int wait_for(vly_load_loop *l, vly_nsec ns)
{
    struct timespec t = {(time_t)(ns / VLY_NSEC_PER_SEC), (long)(ns % VLY_NSEC_PER_SEC)};
    const vly_nsec most_ms = 3600 * (vly_nsec)1000;
    vly_nsec ms = (ns + VLY_NSEC_PER_MS - 1) / VLY_NSEC_PER_MS;

    if (ns > 0 && !l->is_coarse) {
        int n = epoll_pwait2(l->poll_fd, l->events, EVENTS_AT_ONCE, &t, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        l->is_coarse = true; /* before Linux 5.11 */
    }
    return epoll_wait(l->poll_fd, l->events, EVENTS_AT_ONCE, (int)(ms < most_ms ? ms : most_ms));
}

void vly_load_loop_turn(vly_load_loop *l, vly_nsec until_ns)
{
    VLY_ASSERT(l->n_events == 0);
    ring(l);
    int n = wait_for(l, sleep_ns(l, until_ns));
    l->n_events = n > 0 ? (unsigned)n : 0;
    for (l->event_pos = 0; l->event_pos < l->n_events;) {
        struct epoll_event e = l->events[l->event_pos++];
        vly_load_watch *w = e.data.ptr;
        if (w != NULL)
            w->on_ready(w, e.events);
    }
    l->n_events = l->event_pos = 0;
}
