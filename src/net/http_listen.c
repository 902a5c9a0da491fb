/* SPDX-License-Identifier: MIT */
/* The listening socket: loop 0 accepts and deals the connections out to the loops in turn. */
#include "base/assert.h"
#include "net/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG          1024
#define ACCEPTS_PER_TURN 64 /* so that a flood of connections leaves time for requests */

typedef union listen_addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} listen_addr;

static bool parse_address(const char *address, uint16_t port, listen_addr *ret, socklen_t *ret_len)
{
    *ret = (listen_addr){0};
    if (inet_pton(AF_INET, address, &ret->v4.sin_addr) == 1) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(port);
        *ret_len = sizeof(ret->v4);
        return true;
    }
    if (inet_pton(AF_INET6, address, &ret->v6.sin6_addr) == 1) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons(port);
        *ret_len = sizeof(ret->v6);
        return true;
    }
    return false;
}

static int bind_and_listen(int fd, const listen_addr *addr, socklen_t len)
{
    static const int on = 1, off = 0;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (addr->any.sa_family == AF_INET6) /* "::" means every interface, IPv4 too */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    return bind(fd, &addr->any, len) == 0 && listen(fd, BACKLOG) == 0 ? 0 : -1;
}

vly_status vly_http__listen(vly_http_server *s, vly_err *err)
{
    const vly_http_opts *o = &s->opts;
    listen_addr addr;
    socklen_t len;

    if (!parse_address(o->address, o->port, &addr, &len))
        return vly_fail(err, VLY_EINVAL, "address '%s': expected an IPv4 or IPv6 address",
                        o->address);
    int fd = socket(addr.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind_and_listen(fd, &addr, len) != 0 || getsockname(fd, &addr.any, &len) != 0) {
        vly_fail(err, VLY_EUNAVAILABLE, "cannot listen on '%s' port %u: %s", o->address, o->port,
                 strerror(errno));
        if (fd >= 0)
            close(fd);
        return VLY_EUNAVAILABLE;
    }
    s->port = ntohs(addr.any.sa_family == AF_INET ? addr.v4.sin_port : addr.v6.sin6_port);
    s->listen_fd = fd;
    return VLY_OK;
}

/* As a log shows it; an IPv4 client of an IPv6 socket by its IPv4 address. */
static void format_peer(const listen_addr *addr, char *out)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (addr->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &addr->v4.sin_addr, text, sizeof(text));
        snprintf(out, VLY_HTTP_PEER_MAX, "%s:%u", text, ntohs(addr->v4.sin_port));
        return;
    }
    if (IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr)) {
        inet_ntop(AF_INET, &addr->v6.sin6_addr.s6_addr[12], text, sizeof(text));
        snprintf(out, VLY_HTTP_PEER_MAX, "%s:%u", text, ntohs(addr->v6.sin6_port));
        return;
    }
    inet_ntop(AF_INET6, &addr->v6.sin6_addr, text, sizeof(text));
    snprintf(out, VLY_HTTP_PEER_MAX, "[%s]:%u", text, ntohs(addr->v6.sin6_port));
}

static void deal_out(vly_http_server *s, int fd, const listen_addr *peer, bool is_refused)
{
    vly_http_conn *c = vly_calloc(VLY_MEM_NET, 1, sizeof(*c));

    if (c == NULL) {
        close(fd);
        vly_http__conn_gone(s);
        return;
    }
    c->fd = fd;
    format_peer(peer, c->peer);
    c->is_refused = is_refused;
    c->loop = &s->loops[s->next_loop];
    s->next_loop = (s->next_loop + 1) % s->n_loops;
    if (c->loop == &s->loops[0])
        vly_http__conn_open(c);
    else
        vly_mpsc_push(&c->loop->arrivals, &c->node);
}

/* False when there is nothing more to accept now. */
static bool accept_one(vly_http_server *s)
{
    listen_addr peer = {0};
    socklen_t peer_len = sizeof(peer);
    bool is_refused;
    int fd = accept4(s->listen_fd, &peer.any, &peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        if (vly_http__conn_admit(s, &is_refused))
            deal_out(s, fd, &peer, is_refused);
        else
            close(fd);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        /* The socket stays readable, and polling it would spin: pause until the next sweep. */
        uv_poll_stop(&s->listener);
        s->is_accepting = false;
        vly_http__loop_watch(&s->loops[0]); /* sweeps begin, if there were none */
        return false;
    }
    return errno != EAGAIN; /* the rest concerns one connection only */
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
    vly_http_server *s = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(s); i++)
        ;
}

static void poll_listener(vly_http_server *s)
{
    s->is_accepting = uv_poll_start(&s->listener, UV_READABLE, on_listener) == 0;
}

void vly_http__listen_start(vly_http_server *s)
{
    int rc = uv_poll_init(&s->loops[0].uv, &s->listener, s->listen_fd);
    VLY_ASSERT(rc == 0); /* fails only for a descriptor that cannot be polled; a socket can */
    s->listener.data = s;
    poll_listener(s);
}

/* Lets the kernel drop first packets of connections. Closing the socket instead would reset those
 * whose handshake is under way, or done but not yet accepted: to their clients they are open, and a
 * request may have been sent. Clients that come now try again and are refused after the close. */
void vly_http__listen_refuse(vly_http_server *s)
{
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),       /* flags of the TCP header */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),    /* SYN and ACK */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1), /* SYN alone? */
        BPF_STMT(BPF_RET | BPF_K, 0),                 /* drop */
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),        /* take all of it */
    };
    static const struct sock_fprog filter = {.len = VLY_COUNT(code), .filter = code};

    if (s->listen_fd < 0)
        return;
    /* Where the system forbids it, connections go on coming until the close: a wider race, no more.
     */
    setsockopt(s->listen_fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
    s->refuse_ms = uv_now(&s->loops[0].uv);
    vly_http__loop_watch(&s->loops[0]);
}

bool vly_http__listen_sweep(vly_http_server *s)
{
    if (s->listen_fd < 0)
        return false;
    if (!s->is_accepting)
        poll_listener(s);
    if (s->refuse_ms != 0 && uv_now(&s->loops[0].uv) - s->refuse_ms >= VLY_HTTP_SYN_GRACE_MS)
        vly_http__listen_close(s);
    return s->refuse_ms != 0 || !s->is_accepting;
}

static void on_listener_closed(uv_handle_t *handle)
{
    vly_http_server *s = handle->data;
    pthread_mutex_lock(&s->lock);
    s->is_listening = false;
    pthread_cond_broadcast(&s->is_empty);
    pthread_mutex_unlock(&s->lock);
}

/* Takes what waits in the backlog first: the close resets it. */
void vly_http__listen_close(vly_http_server *s)
{
    if (s->listen_fd < 0)
        return;
    for (int i = 0; i < BACKLOG && accept_one(s); i++)
        ;
    uv_close((uv_handle_t *)&s->listener, on_listener_closed);
    close(s->listen_fd);
    s->listen_fd = -1;
    s->is_accepting = false;
}
