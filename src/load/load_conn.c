/* SPDX-License-Identifier: MIT */
/*
 * A connection. Reading goes on until the socket is empty, for the loop tells of changes only;
 * after some turns the others have theirs. Writing takes what the kind has added, in one call of
 * the kernel, or encrypts it first.
 */
#include "load/load_internal.h"

#include "base/assert.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READS_AT_ONCE = 16,
    BACK_OFF_MS = 10,
    BACK_OFF_MAX_MS = 1000,
    CIPHER_BYTES = 128 << 10,
    HEAD_MAX_BYTES = 64 << 10,
    DROP_BYTES = 16 << 10, /* of an answer that are better dropped than copied */
};

static void settle(vly_load_conn *c);
static void on_ready(vly_load_watch *w, uint32_t events);

static vly_load_conn *of_timer(vly_load_timer *t)
{
    return (vly_load_conn *)(void *)((char *)t - offsetof(vly_load_conn, timer));
}

/* ---- for kinds ---- */

void vly_load__break(vly_load_conn *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (!c->is_broken)
        (void)vsnprintf(c->why, sizeof(c->why), fmt, args);
    va_end(args);
    if (c->is_broken)
        return;
    c->is_broken = true;
    vly_load__hide(c);
    vly_load_timer_set(c->t->loop, &c->again, 0);
}

void vly_load__opened(vly_load_conn *c)
{
    VLY_ASSERT(c->state == VLY_LOAD_OPENING);
    c->state = VLY_LOAD_OPEN;
    c->opened_ns = c->t->now_ns;
    c->t->n_trying--;
    c->t->counts.n_open++;
    vly_load_timer_clear(c->t->loop, &c->timer);
}

bool vly_load__add(vly_load_conn *c, const void *bytes, size_t n)
{
    if (n == 0)
        return true;
    if (c->n_out == VLY_LOAD_OUT_MAX)
        return false;
    /* sendmsg does not write to it */
    c->out[c->n_out++] = (struct iovec){(void *)(uintptr_t)bytes, n};
    c->n_added++;
    return true;
}

bool vly_load__is_written(const vly_load_conn *c)
{
    return c->out_pos == c->n_out;
}

bool vly_load__has_gone(const vly_load_conn *c, const vly_load_call *call)
{
    return call->end <= c->n_added - (c->n_out - c->out_pos);
}

/* ---- out ---- */

static void count_out(vly_load_conn *c, size_t n)
{
    c->t->counts.bytes_out += n;
}

/* n bytes of what was added are no longer needed. */
static void advance(vly_load_conn *c, size_t n)
{
    while (n > 0) {
        struct iovec *v = &c->out[c->out_pos];
        size_t k = n < v->iov_len ? n : v->iov_len;
        v->iov_base = (char *)v->iov_base + k;
        v->iov_len -= k;
        n -= k;
        c->out_pos += v->iov_len == 0;
    }
}

/* What a call of the kernel said; false: no more for now, or for good. */
static bool was_sent(vly_load_conn *c, ssize_t n)
{
    if (n >= 0) {
        count_out(c, (size_t)n);
        return true;
    }
    c->is_blocked = errno == EAGAIN || errno == EINTR;
    if (!c->is_blocked)
        vly_load__break(c, "send: %s", strerror(errno));
    return false;
}

static bool send_plain(vly_load_conn *c)
{
    struct msghdr m = {.msg_iov = c->out + c->out_pos, .msg_iovlen = c->n_out - c->out_pos};

    if (m.msg_iovlen == 0)
        return false;
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    ssize_t n = m.msg_iovlen == 1
                    ? send(c->watch.fd, m.msg_iov->iov_base, m.msg_iov->iov_len, flags)
                    : sendmsg(c->watch.fd, &m, flags);
    if (!was_sent(c, n))
        return false;
    advance(c, (size_t)n);
    return true;
}

/* As much as may wait in the session; false: it has failed. */
static bool encrypt(vly_load_conn *c)
{
    vly_err err;
    size_t taken = 1;

    while (c->out_pos < c->n_out && taken > 0) {
        const struct iovec *v = &c->out[c->out_pos];
        vly_str plain = {v->iov_base, v->iov_len};
        if (vly_tls_session_write(c->tls, plain, &taken, &err) != VLY_OK) {
            vly_load__break(c, "%s", err.msg);
            return false;
        }
        advance(c, taken);
    }
    return true;
}

static bool send_tls(vly_load_conn *c)
{
    if (c->cipher_pos == c->cipher.len) {
        if (!encrypt(c))
            return false;
        vly_buf_clear(&c->cipher);
        vly_tls_session_take(c->tls, &c->cipher);
        c->cipher_pos = 0;
    }
    if (c->cipher.len == 0)
        return false;
    ssize_t n = send(c->watch.fd, c->cipher.ptr + c->cipher_pos, c->cipher.len - c->cipher_pos,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (!was_sent(c, n))
        return false;
    c->cipher_pos += (size_t)n;
    return true;
}

static void write_some(vly_load_conn *c)
{
    while (c->watch.fd >= 0 && !c->is_broken && !c->is_blocked) {
        if (c->out_pos == c->n_out && c->state >= VLY_LOAD_OPENING) {
            c->n_out = c->out_pos = 0;
            c->t->kind->collect(c);
        }
        if (c->is_broken || !(c->tls != NULL ? send_tls(c) : send_plain(c)))
            return;
    }
}

void vly_load__conn_touch(vly_load_conn *c)
{
    if (c->t->kind->is_prompt && !c->is_broken)
        write_some(c);
    else
        vly_load_timer_set(c->t->loop, &c->again, 0);
}

/* ---- in ---- */

static void begin_kind(vly_load_conn *c)
{
    if (c->tls != NULL && vly_str_is(vly_str_from(c->t->kind->alpn), "h2") &&
        !vly_str_is(vly_tls_session_alpn(c->tls), "h2")) {
        vly_load__break(c, "the server does not take HTTP/2 (ALPN)");
        return;
    }
    c->state = VLY_LOAD_OPENING;
    c->n_greetings = c->t->opts.n_greetings;
    c->t->kind->open(c);
}

static void feed_tls(vly_load_conn *c, vly_str in)
{
    vly_buf *plain = &c->t->plain;
    vly_err err;

    vly_buf_clear(plain);
    vly_status st = vly_tls_session_feed(c->tls, in, plain, &err);
    if (c->state == VLY_LOAD_CONNECTING && vly_tls_session_state(c->tls) == VLY_TLS_OPEN)
        begin_kind(c);
    if (plain->len > 0 && !c->is_broken && c->state >= VLY_LOAD_OPENING)
        c->t->kind->feed(c, vly_buf_str(plain));
    if (st != VLY_OK) {
        write_some(c); /* an alert */
        vly_load__break(c, "%s", err.msg);
    }
}

static void on_end(vly_load_conn *c)
{
    if (c->state >= VLY_LOAD_OPENING && c->t->kind->end != NULL)
        c->t->kind->end(c);
    vly_load__break(c, c->state == VLY_LOAD_OPEN ? "the server closed the connection"
                                                 : "the server closed the connection at once");
}

/* False: nothing more comes for now. */
static bool read_once(vly_load_conn *c)
{
    vly_load_transport *t = c->t;
    bool is_dropped = c->tls == NULL && c->skip > DROP_BYTES;
    size_t room = is_dropped ? c->skip : VLY_LOAD_IN_BYTES;
    ssize_t n = recv(c->watch.fd, is_dropped ? NULL : t->in, room,
                     MSG_DONTWAIT | (is_dropped ? MSG_TRUNC : 0));

    t->now_ns = vly_load_loop_now(t->loop);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0) {
        vly_load__break(c, "%s", strerror(errno));
        return false;
    }
    t->counts.bytes_in += (size_t)n;
    if (n == 0)
        on_end(c);
    else if (c->tls != NULL)
        feed_tls(c, (vly_str){t->in, (size_t)n});
    else
        t->kind->feed(c, (vly_str){is_dropped ? NULL : t->in, (size_t)n});
    if (!c->is_broken && c->tls != NULL && vly_tls_session_state(c->tls) == VLY_TLS_ENDED)
        on_end(c);
    return !is_dropped && (size_t)n == room; /* what is dropped ends with the answer */
}

/* had_end: the kernel has told of an end, so that there is one to be read. */
static void read_some(vly_load_conn *c, bool had_end)
{
    c->is_hungry = false;
    for (int i = 0; i < READS_AT_ONCE && !c->is_broken; i++)
        if (!read_once(c) && !had_end)
            return;
    if (c->is_broken)
        return;
    c->is_hungry = true;
    vly_load_timer_set(c->t->loop, &c->again, 0);
}

/* ---- life ---- */

static vly_nsec back_off(const vly_load_conn *c)
{
    unsigned shift = c->n_failures < 8 ? c->n_failures : 8;
    unsigned ms = c->n_failures == 0 ? 0 : BACK_OFF_MS << (shift - 1);

    return (ms < BACK_OFF_MAX_MS ? ms : BACK_OFF_MAX_MS) * VLY_NSEC_PER_MS;
}

/* What belongs to the socket, and the socket. */
static void cut(vly_load_conn *c)
{
    vly_load_transport *t = c->t;

    if (c->watch.fd >= 0) {
        vly_load_watch_remove(t->loop, &c->watch);
        close(c->watch.fd);
        c->watch.fd = -1;
    }
    vly_load_timer_clear(t->loop, &c->timer);
    vly_load_timer_clear(t->loop, &c->again);
    vly_tls_session_free(c->tls);
    c->tls = NULL;
    vly_buf_clear(&c->cipher);
    c->cipher_pos = 0;
    c->n_out = c->out_pos = 0;
    c->is_connected = c->is_hungry = false;
}

static void fail_flying(vly_load_conn *c)
{
    while (c->flying.first != NULL)
        vly_load__finish(c->flying.first, VLY_LOAD_FAILED, vly_str_from(c->why));
}

/* Where and when to try again. */
static void plan_attempt(vly_load_conn *c, bool was_open)
{
    vly_load_transport *t = c->t;
    bool is_bound = was_open || t->opts.n_others > 0;
    bool has_other = !is_bound && c->address + 1 < t->n_addresses;
    bool was_useful = c->is_useful || (was_open && t->now_ns - c->opened_ns > VLY_NSEC_PER_SEC);

    c->address = is_bound ? c->address : has_other ? c->address + 1 : 0;
    c->n_failures = was_useful ? 0 : c->n_failures + !has_other;
    vly_load_timer_set(t->loop, &c->timer, has_other ? 0 : t->now_ns + back_off(c));
    if (was_open || has_other)
        return;
    t->counts.connect_failures++;
    vly_load__strand(c, vly_str_from(c->why));
}

static void shut(vly_load_conn *c)
{
    vly_load_transport *t = c->t;
    bool was_open = c->state == VLY_LOAD_OPEN, was_begun = c->state >= VLY_LOAD_OPENING;

    cut(c);
    vly_load__hide(c);
    vly_load__take_back(c, true);
    fail_flying(c);
    if (was_begun)
        t->kind->close(c);
    t->counts.n_open -= was_open;
    t->n_trying -= !was_open;
    c->state = VLY_LOAD_DOWN;
    c->is_broken = c->is_draining = c->is_blocked = false;
    c->n_ghosts = 0;
    c->skip = 0;
    c->unsent = NULL;
    plan_attempt(c, was_open);
    c->is_useful = false;
    vly_load__hand_out(t);
}

/* After anything: writes, takes calls, closes what is broken, and tells what is done. */
static void settle(vly_load_conn *c)
{
    if (!c->is_broken)
        write_some(c);
    if (!c->is_broken)
        vly_load__offer(c);
    if (c->is_draining) {
        vly_load__take_back(c, false);
        vly_load__hand_out(c->t);
    }
    if (c->is_draining && c->flying.n == 0)
        vly_load__break(c, "the server takes no more on this connection");
    if (c->is_broken)
        shut(c);
    vly_load__deliver(c->t);
}

static void begin_attempt(vly_load_conn *c)
{
    vly_load_transport *t = c->t;
    const struct sockaddr_storage *a = &t->addresses[c->address];
    socklen_t len =
        a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int on = 1;
    vly_err err;

    c->state = VLY_LOAD_CONNECTING;
    t->n_trying++;
    vly_load_timer_set(t->loop, &c->timer, t->now_ns + t->opts.connect_ms * VLY_NSEC_PER_MS);
    c->watch.fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->watch.fd < 0) {
        vly_load__break(c, "socket: %s", strerror(errno));
        return;
    }
    (void)setsockopt(c->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(c->watch.fd, (const struct sockaddr *)a, len) != 0 && errno != EINPROGRESS)
        vly_load__break(c, "connect: %s", strerror(errno));
    else if (vly_load_watch_add(t->loop, &c->watch, &err) != VLY_OK)
        vly_load__break(c, "%s", err.msg);
}

static void begin_tls(vly_load_conn *c)
{
    vly_err err;

    if (vly_tls_client_session_new(c->t->tls, c->t->host, CIPHER_BYTES, &c->tls, &err) != VLY_OK)
        vly_load__break(c, "%s", err.msg);
    else
        feed_tls(c, (vly_str){NULL, 0}); /* the hello */
}

/* The socket is connected, or never will be. */
static void end_attempt(vly_load_conn *c)
{
    int fault = 0;
    socklen_t len = sizeof(fault);

    if (getsockopt(c->watch.fd, SOL_SOCKET, SO_ERROR, &fault, &len) != 0)
        fault = errno;
    if (fault != 0) {
        vly_load__break(c, "connect: %s", strerror(fault));
        return;
    }
    c->is_connected = true;
    c->t->counts.connects++;
    if (c->t->tls != NULL)
        begin_tls(c);
    else
        begin_kind(c);
}

static void on_ready(vly_load_watch *w, uint32_t events)
{
    vly_load_conn *c = (vly_load_conn *)(void *)((char *)w - offsetof(vly_load_conn, watch));
    const uint32_t ended = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

    if (!c->is_connected || (events & EPOLLIN) == 0) /* else when the bytes have come */
        c->t->now_ns = vly_load_loop_now(c->t->loop);
    if ((events & EPOLLOUT) != 0)
        c->is_blocked = false;
    if (!c->is_connected && (events & (EPOLLOUT | ended)) != 0)
        end_attempt(c);
    if (c->is_connected && !c->is_broken && (events & (EPOLLIN | ended)) != 0)
        read_some(c, (events & ended) != 0);
    settle(c);
}

static void on_again(vly_load_timer *timer)
{
    vly_load_conn *c = (vly_load_conn *)(void *)((char *)timer - offsetof(vly_load_conn, again));

    c->t->now_ns = vly_load_loop_now(c->t->loop);
    if (c->is_hungry && !c->is_broken)
        read_some(c, false);
    settle(c);
}

static void on_timer(vly_load_timer *timer)
{
    vly_load_conn *c = of_timer(timer);

    c->t->now_ns = vly_load_loop_now(c->t->loop);
    if (c->state == VLY_LOAD_DOWN)
        begin_attempt(c);
    else
        vly_load__break(c, "no connection within %u ms", c->t->opts.connect_ms);
    settle(c);
}

/* The path, with the connection's number for each "{}". */
static void write_path(vly_load_conn *c, vly_str path)
{
    static const char mark[] = "{}";
    const char *at;

    while ((at = memmem(path.ptr, path.len, mark, 2)) != NULL) {
        vly_buf_add(&c->path, path.ptr, (size_t)(at - path.ptr));
        vly_buf_printf(&c->path, "%u", c->t->opts.first_number + c->number);
        path = (vly_str){at + 2, (size_t)(path.ptr + path.len - at - 2)};
    }
    vly_buf_add_str(&c->path, path);
}

void vly_load__conn_init(vly_load_conn *c, vly_load_transport *t, uint32_t number)
{
    c->t = t;
    c->number = number;
    c->address = t->opts.n_others > 0 ? (t->opts.first_number + number) % t->n_addresses : 0;
    c->watch = (vly_load_watch){.on_ready = on_ready, .fd = -1};
    c->timer.on_due = on_timer;
    c->again.on_due = on_again;
    c->max_flying = t->kind->is_single || t->opts.max_in_flight == 0 ? 1 : t->opts.max_in_flight;
    vly_buf_init(&c->cipher, VLY_MEM_NET, CIPHER_BYTES);
    vly_buf_init(&c->path, VLY_MEM_NET, HEAD_MAX_BYTES);
    vly_buf_init(&c->head, VLY_MEM_NET, HEAD_MAX_BYTES);
    write_path(c, t->opts.target->path);
    vly_load_timer_set(t->loop, &c->timer, 0);
}

void vly_load__conn_release(vly_load_conn *c)
{
    cut(c);
    if (c->state >= VLY_LOAD_OPENING)
        c->t->kind->close(c);
    if (c->t->kind->release != NULL)
        c->t->kind->release(c);
    vly_buf_release(&c->cipher);
    vly_buf_release(&c->path);
    vly_buf_release(&c->head);
}
