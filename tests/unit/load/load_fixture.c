/* SPDX-License-Identifier: MIT */
#include "load_fixture.h"

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_MAX = 40 << 20, WAIT_MS = 5000 };

static vly_nsec fixture_now(void *ctx)
{
    const load_fixture *f = ctx;
    return f->now_ns;
}

static void on_done(void *ctx, vly_load_call *call)
{
    load_fixture *f = ctx;
    load_done *d = &f->done[f->n_done++];

    assert_true(f->n_done <= LOAD_DONE_MAX);
    *d = (load_done){.call = call, .outcome = call->outcome, .status = call->status};
    (void)snprintf(d->why, sizeof(d->why), "%.*s", VLY_STR_ARG(call->why));
    vly_load_call *next = f->next;
    if (next == NULL)
        return;
    f->next = next->user;
    next->intended_ns = f->now_ns;
    vly_load_transport_send(f->t, next);
}

static void on_message(void *ctx, uint32_t connection, vly_str message)
{
    load_fixture *f = ctx;
    size_t n = strlen(f->messages);

    (void)snprintf(f->messages + n, sizeof(f->messages) - n, "%u:%.*s|", connection,
                   VLY_STR_ARG(message));
}

void load_begin(load_fixture *f, const char *scheme, const char *path)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    const vly_load_loop_opts loop = {.now = fixture_now, .ctx = f};
    vly_err err;

    *f = (load_fixture){.now_ns = VLY_NSEC_PER_SEC};
    assert_int_equal(vly_load_loop_new(&loop, &f->loop, &err), VLY_OK);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(f->listener >= 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(f->listener, 16), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&a, &len), 0);
    f->port = ntohs(a.sin_port);
    (void)snprintf(f->url, sizeof(f->url), "%s://127.0.0.1:%u%s", scheme, f->port, path);
    assert_int_equal(vly_load_target_parse(vly_str_from(f->url), &f->target, &err), VLY_OK);
    f->opts = (vly_load_transport_opts){.loop = f->loop,
                                        .target = &f->target,
                                        .n_connections = 1,
                                        .max_in_flight = 1,
                                        .connect_ms = 1000,
                                        .timeout_ms = 1000,
                                        .ctx = f,
                                        .on_done = on_done,
                                        .on_message = on_message};
}

void load_open(load_fixture *f, const char *kind)
{
    vly_err err = VLY_ERR_INIT;
    vly_status st =
        vly_load_transport_open(vly_load_kind_find(vly_str_from(kind)), &f->opts, &f->t, &err);

    if (st != VLY_OK)
        fail_msg("%s", err.msg);
    load_turn(f);
}

void load_end(load_fixture *f)
{
    vly_load_transport_close(f->t);
    for (size_t i = 0; i < f->n_peers; i++) {
        if (f->peers[i].fd >= 0)
            close(f->peers[i].fd);
        vly_buf_release(&f->peers[i].in);
    }
    if (f->listener >= 0)
        close(f->listener);
    vly_load_loop_free(f->loop);
}

/* ---- the server ---- */

static bool accept_some(load_fixture *f)
{
    int on = 1, fd = f->listener >= 0 ? accept4(f->listener, NULL, NULL, SOCK_NONBLOCK) : -1;

    if (fd < 0)
        return false;
    assert_true(f->n_peers < LOAD_PEERS_MAX);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    load_peer *p = &f->peers[f->n_peers++];
    *p = (load_peer){.fd = fd};
    vly_buf_init(&p->in, VLY_MEM_NET, IN_MAX);
    return true;
}

static bool read_some(load_peer *p)
{
    static char bytes[65536];
    ssize_t n = p->fd >= 0 && !p->is_ended ? recv(p->fd, bytes, sizeof(bytes), 0) : -1;

    if (n > 0)
        vly_buf_add(&p->in, bytes, (size_t)n);
    p->is_ended = p->is_ended || n == 0;
    return n > 0;
}

/* Whether anything came. */
static bool serve(load_fixture *f)
{
    bool is_busy = accept_some(f);

    for (size_t i = 0; i < f->n_peers; i++)
        is_busy = read_some(&f->peers[i]) || is_busy;
    return is_busy;
}

/* Loopback delivers within the call that sends, so a few turns in a row without anything new mean
 * that both sides wait for the test. */
void load_turn(load_fixture *f)
{
    for (int quiet = 0; quiet < 4;) {
        size_t n_done = f->n_done;
        vly_load_loop_turn(f->loop, 0);
        quiet = serve(f) || f->n_done != n_done ? 0 : quiet + 1;
    }
}

void load_until_done(load_fixture *f, size_t n)
{
    const vly_nsec end_ns = vly_clock_now() + WAIT_MS * VLY_NSEC_PER_MS;

    while (f->n_done < n && vly_clock_now() < end_ns)
        load_turn(f);
    assert_int_equal(f->n_done, n);
}

void load_move_time(load_fixture *f, unsigned ms)
{
    f->now_ns += ms * VLY_NSEC_PER_MS;
    load_turn(f);
}

vly_load_call load_call(const load_fixture *f, const char *body)
{
    return (vly_load_call){
        .intended_ns = f->now_ns, .connection = VLY_LOAD_ANY, .body = vly_str_from(body)};
}

void load_answer_bytes(load_fixture *f, size_t peer, const void *bytes, size_t n)
{
    const char *at = bytes;

    while (n > 0) {
        ssize_t k = send(f->peers[peer].fd, at, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EAGAIN) { /* the client has to read first */
            vly_load_loop_turn(f->loop, 0);
            continue;
        }
        assert_true(k > 0);
        at += k;
        n -= (size_t)k;
    }
    load_turn(f);
}

void load_answer(load_fixture *f, size_t peer, const char *text)
{
    load_answer_bytes(f, peer, text, strlen(text));
}

vly_str load_take(load_fixture *f, size_t peer)
{
    vly_str s = vly_buf_str(&f->peers[peer].in);

    f->peers[peer].in.len = 0;
    return s;
}

void load_hang_up(load_fixture *f, size_t peer)
{
    close(f->peers[peer].fd);
    f->peers[peer].fd = -1;
    load_turn(f);
}

void load_reset(load_fixture *f, size_t peer)
{
    struct linger l = {.l_onoff = 1};

    (void)setsockopt(f->peers[peer].fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    load_hang_up(f, peer);
}
