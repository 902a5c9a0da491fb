/* SPDX-License-Identifier: MIT */
/*
 * A server that says what it likes, over a real socket, to each kind of transport: the first byte
 * chooses the kind and how it is used, the second the pieces, the rest is said. Whatever it is,
 * every call is done exactly once, at the latest by its time-out, on a clock of the test's.
 */
#include "base/assert.h"
#include "load/transport.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

enum { CALLS = 6, TURNS = 6 };

/* What the client sends as it asks for a WebSocket is always the same, and so is the answer. */
#define UPGRADE                                                                                    \
    "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "        \
    "xR8O+PIKE61KD4qfNbhfahJ7PAA=\r\n\r\n"
/* An empty SETTINGS frame: without it there are no calls. */
#define SETTINGS "\0\0\0\4\0\0\0\0\0"

typedef struct fixture {
    vly_load_loop *loop;
    vly_load_transport *t;
    vly_nsec now_ns;
    int listener, peer;
    char url[64];
    unsigned n_done[CALLS];
} fixture;

static vly_nsec now_of(void *ctx)
{
    return ((const fixture *)ctx)->now_ns;
}

static void on_done(void *ctx, vly_load_call *call)
{
    fixture *f = ctx;

    VLY_ASSERT(call->number < CALLS);
    VLY_ASSERT(call->outcome == VLY_LOAD_OK || call->why.len > 0);
    f->n_done[call->number]++;
}

static void listen_somewhere(fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    const vly_load_loop_opts opts = {.now = now_of, .ctx = f};
    vly_status st = vly_load_loop_new(&opts, &f->loop, NULL);

    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_there = st == VLY_OK && f->listener >= 0 &&
                    bind(f->listener, (struct sockaddr *)&a, sizeof(a)) == 0 &&
                    listen(f->listener, 16) == 0 &&
                    getsockname(f->listener, (struct sockaddr *)&a, &len) == 0;
    VLY_ASSERT(is_there);
    (void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/x", ntohs(a.sin_port));
}

/* Both sides. More connections than the first are left alone. */
static void turn(fixture *f)
{
    static char sink[65536];

    for (int i = 0; i < TURNS; i++) {
        vly_load_loop_turn(f->loop, 0);
        if (f->peer < 0)
            f->peer = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK);
        while (f->peer >= 0 && recv(f->peer, sink, sizeof(sink), 0) > 0)
            continue;
    }
}

static void say(fixture *f, const void *bytes, size_t n)
{
    if (f->peer >= 0 && n > 0)
        (void)send(f->peer, bytes, n, MSG_NOSIGNAL);
    turn(f);
}

static void open_transport(fixture *f, unsigned choice, const vly_load_target *target)
{
    static const vly_str names[] = {{"http1", 5}, {"http2", 5}, {"grpc", 4}, {"websocket", 9}};
    const vly_load_transport_opts opts = {
        .loop = f->loop,
        .target = target,
        .n_connections = 1,
        .max_in_flight = choice % 4 == 0 ? 1 : 3,
        .connect_ms = 100,
        .timeout_ms = 1000,
        .is_streaming = (choice & 4) != 0,
        .is_text = (choice & 8) != 0,
        .is_one_way = (choice & 16) != 0,
        .n_greetings = (choice & 32) != 0,
        .first = {(choice & 64) != 0 ? "first" : NULL, (choice & 64) != 0 ? 5 : 0},
        .error_has = VLY_STR("err"),
        .ctx = f,
        .on_done = on_done,
    };
    vly_status st =
        vly_load_transport_open(vly_load_kind_find(names[choice % 4]), &opts, &f->t, NULL);
    VLY_ASSERT(st == VLY_OK);
    turn(f);
    if (choice % 4 == 3)
        say(f, UPGRADE, sizeof(UPGRADE) - 1);
    else if (choice % 4 != 0)
        say(f, SETTINGS, sizeof(SETTINGS) - 1);
}

static void say_all(fixture *f, const unsigned char *bytes, size_t n, size_t piece)
{
    while (n > 0) {
        size_t k = n < piece ? n : piece;
        say(f, bytes, k);
        bytes += k;
        n -= k;
    }
}

static void run(fixture *f, const unsigned char *bytes, size_t n)
{
    vly_load_target target;
    vly_load_call calls[CALLS];
    unsigned char seed = bytes[1];

    vly_status st = vly_load_target_parse(vly_str_from(f->url), &target, NULL);
    VLY_ASSERT(st == VLY_OK);
    memset(f->n_done, 0, sizeof(f->n_done));
    open_transport(f, bytes[0], &target);
    for (unsigned i = 0; i < CALLS; i++) {
        calls[i] = (vly_load_call){.number = i,
                                   .intended_ns = f->now_ns,
                                   .connection = i % 2 == 0 ? VLY_LOAD_ANY : 0,
                                   .body = VLY_STR("a body")};
        vly_load_transport_send(f->t, &calls[i]);
    }
    turn(f);
    say_all(f, bytes + 2, n - 2, 1 + (size_t)(n / (1 + seed % 8)));
    if (seed >= 128 && f->peer >= 0) {
        close(f->peer);
        f->peer = -1;
        turn(f);
    }
    f->now_ns += 1000 * VLY_NSEC_PER_MS;
    turn(f);
    for (unsigned i = 0; i < CALLS; i++)
        VLY_ASSERT(f->n_done[i] == 1);
    VLY_ASSERT(vly_load_transport_in_flight(f->t) == 0);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    static fixture f; /* for the life of the process: ports are dear */

    if (n < 2)
        return 0;
    if (f.loop == NULL) {
        listen_somewhere(&f);
        f.now_ns = VLY_NSEC_PER_SEC;
    }
    f.peer = -1;
    run(&f, bytes, n);
    vly_load_transport_close(f.t);
    f.t = NULL;
    if (f.peer >= 0)
        close(f.peer);
    for (int fd; (fd = accept4(f.listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;)
        close(fd);
    return 0;
}
