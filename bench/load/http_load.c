/* SPDX-License-Identifier: MIT */
/*
 * http_load --port N [--connections N] [--threads N] [--seconds S] [--answer FILE] REQUEST
 * http_load --echo --port N REQUEST ANSWER
 *
 * Sends the bytes of REQUEST, one whole HTTP/1.1 request, over every connection as soon as the
 * answer to the one before is there, and prints as JSON how many were answered and how long each
 * took. The first answer goes to FILE. Closed loop: it measures what a
 * server can do, not what users wait for under a given load.
 *
 * With --echo it is the server: to each len(REQUEST) bytes it sends ANSWER. What the client
 * measures then is what sockets and the client cost, the floor under any server.
 *
 * Made to be cheap, because it shares its cores with the server: a connection alone blocks in the
 * kernel; answers behind the first 64 KB are counted there and never copied (MSG_TRUNC).
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS_MAX = 64, CONNECTIONS_MAX = 4096, SAMPLES_MAX = 1 << 22, HEAD_MAX = 64 << 10 };

typedef struct options {
    uint16_t port;
    int connections, threads;
    double seconds;
    const char *answer;
    bool is_echo;
} options;

typedef struct bytes {
    char *at;
    size_t n;
} bytes;

typedef struct connection {
    int fd;
    size_t sent;       /* of the request */
    size_t got, total; /* of the answer; total 0: its head has not come whole */
    uint64_t begin_ns;
    char head[HEAD_MAX];
} connection;

typedef struct client {
    pthread_t thread;
    const options *o;
    bytes request;
    int n_connections;
    uint64_t end_ns, first_ns, last_ns; /* answers within the time that is measured */
    size_t n_within;
    uint32_t *samples; /* ns */
    size_t n_samples, n_failed;
    bytes first; /* answer */
} client;

/* A benchmark that cannot go on says why, and ends there. */
static void need(bool ok, const char *what)
{
    if (!ok)
        perror(what);
    VLY_ASSERT(ok);
}

static void *must_alloc(size_t n)
{
    void *p = vly_alloc(VLY_MEM_NET, n);

    need(p != NULL, "memory");
    return p;
}

static bytes read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    bytes b = {0};

    need(f != NULL && fseek(f, 0, SEEK_END) == 0, path);
    b.n = (size_t)ftell(f);
    b.at = must_alloc(b.n + 1);
    rewind(f);
    need(fread(b.at, 1, b.n, f) == b.n, path);
    fclose(f);
    return b;
}

static struct sockaddr_in address_of(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* ---- client ------------------------------------------------------------------------------- */

static bool open_connection(connection *c, uint16_t port)
{
    struct sockaddr_in addr = address_of(port);

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        return false;
    no_delay(c->fd);
    return true;
}

/* False: the connection is of no more use. */
static bool send_some(connection *c, bytes request, int flags)
{
    while (c->sent < request.n) {
        ssize_t n = send(c->fd, request.at + c->sent, request.n - c->sent, flags | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        c->sent += (size_t)n;
    }
    return true;
}

/* Bytes of the whole answer, once its head is there. 0: it is not; SIZE_MAX: not a success, or
 * without a length. */
static size_t answer_bytes(connection *c)
{
    static const char length[] = "\r\nContent-Length: ";

    c->head[c->got] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL)
        return c->got + 1 < HEAD_MAX ? 0 : SIZE_MAX;
    const char *at = strcasestr(c->head, length);
    if (at == NULL || at > end || strncmp(c->head, "HTTP/1.1 200 ", 13) != 0)
        return SIZE_MAX;
    return (size_t)(end - c->head) + 4 + strtoull(at + sizeof(length) - 1, NULL, 10);
}

/* 1: the answer is whole; 0: more is to come; -1: the connection is of no more use. */
static int receive_some(connection *c, int flags)
{
    for (;;) {
        bool in_head = c->got + 1 < HEAD_MAX;
        size_t room = in_head ? HEAD_MAX - 1 - c->got : (size_t)1 << 30;
        ssize_t n =
            recv(c->fd, in_head ? c->head + c->got : NULL, room, flags | (in_head ? 0 : MSG_TRUNC));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0)
            return -1;
        c->got += (size_t)n;
        if (c->total == 0)
            c->total = answer_bytes(c);
        if (c->total == SIZE_MAX)
            return -1;
        if (c->total > 0 && c->got >= c->total)
            return c->got == c->total ? 1 : -1;
    }
}

static void begin_request(connection *c)
{
    c->sent = c->got = c->total = 0;
    c->begin_ns = vly_clock_now();
}

static void keep_first(client *k, const connection *c)
{
    size_t n = c->got < HEAD_MAX ? c->got : HEAD_MAX - 1;

    if (k->first.at != NULL)
        return;
    k->first.at = must_alloc(n);
    memcpy(k->first.at, c->head, n);
    k->first.n = n;
}

/* Returns whether there is time for another. */
static bool end_request(client *k, const connection *c)
{
    uint64_t now = vly_clock_now();

    keep_first(k, c);
    if (now < k->end_ns) {
        k->first_ns = k->n_within++ == 0 ? now : k->first_ns;
        k->last_ns = now;
    }
    if (k->n_samples < SAMPLES_MAX)
        k->samples[k->n_samples++] = (uint32_t)(now - c->begin_ns);
    return now < k->end_ns;
}

/* One connection: no need to ask the kernel which. */
static void run_alone(client *k, connection *c)
{
    do {
        int st = 0;
        begin_request(c);
        if (!send_some(c, k->request, 0))
            st = -1;
        while (st == 0)
            st = receive_some(c, 0);
        if (st < 0) {
            k->n_failed++;
            return;
        }
    } while (end_request(k, c));
}

/* 1: goes on; 0: time is up; -1: failed */
static int step(client *k, connection *c)
{
    if (!send_some(c, k->request, MSG_DONTWAIT))
        return -1;
    int st = receive_some(c, MSG_DONTWAIT);
    if (st < 0)
        return -1;
    if (st == 0)
        return 1;
    if (!end_request(k, c))
        return 0;
    begin_request(c);
    return send_some(c, k->request, MSG_DONTWAIT) ? 1 : -1;
}

static void run_many(client *k, connection *all)
{
    struct epoll_event events[64];
    int poll_fd = epoll_create1(EPOLL_CLOEXEC), n_open = k->n_connections;

    for (int i = 0; i < k->n_connections; i++) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &all[i]};
        begin_request(&all[i]);
        need(epoll_ctl(poll_fd, EPOLL_CTL_ADD, all[i].fd, &e) == 0, "epoll_ctl");
    }
    while (n_open > 0) {
        int n = epoll_wait(poll_fd, events, 64, -1);
        for (int i = 0; i < n; i++) {
            connection *c = events[i].data.ptr;
            int st = step(k, c);
            if (st == 1)
                continue;
            k->n_failed += st < 0;
            epoll_ctl(poll_fd, EPOLL_CTL_DEL, c->fd, NULL);
            n_open--;
        }
    }
    close(poll_fd);
}

static void *run_client(void *arg)
{
    client *k = arg;
    connection *all = must_alloc((size_t)k->n_connections * sizeof(*all));

    k->samples = must_alloc(SAMPLES_MAX * sizeof(*k->samples));
    for (int i = 0; i < k->n_connections; i++)
        need(open_connection(&all[i], k->o->port), "connect");
    k->end_ns = vly_clock_now() + (uint64_t)(k->o->seconds * 1e9);
    if (k->n_connections == 1)
        run_alone(k, all);
    else
        run_many(k, all);
    for (int i = 0; i < k->n_connections; i++)
        close(all[i].fd);
    vly_free(all);
    return NULL;
}

/* ---- report ------------------------------------------------------------------------------- */

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double us(const uint32_t *sorted, size_t n, size_t percent)
{
    size_t at = (n - 1) * percent / 100;
    return sorted[at] * 1e-3;
}

/* Answers a second once they come: the first requests, and those under way at the end, would count
 * for less than they are. */
static double rate_of(const client *k)
{
    return k->n_within > 1 ? (double)(k->n_within - 1) * 1e9 / (double)(k->last_ns - k->first_ns)
                           : 0.0;
}

static void report(const client *clients, int n, double seconds)
{
    size_t total = 0, n_failed = 0, at = 0;
    double rate = 0.0;

    for (int i = 0; i < n; i++) {
        total += clients[i].n_samples;
        n_failed += clients[i].n_failed;
        rate += rate_of(&clients[i]);
    }
    uint32_t *all = must_alloc((total + 1) * sizeof(*all));
    for (int i = 0; i < n; i++) {
        memcpy(all + at, clients[i].samples, clients[i].n_samples * sizeof(*all));
        at += clients[i].n_samples;
    }
    qsort(all, total, sizeof(*all), compare_samples);
    printf("{\"requests\":%zu,\"failed\":%zu,\"seconds\":%.4f,\"per_s\":%.2f", total, n_failed,
           seconds, rate);
    if (total > 0)
        printf(",\"us\":{\"min\":%.2f,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"max\":%.2f}",
               us(all, total, 0), us(all, total, 50), us(all, total, 90), us(all, total, 99),
               us(all, total, 100));
    printf("}\n");
    vly_free(all);
}

static void write_answer(const char *path, bytes answer)
{
    FILE *f = fopen(path, "wb");

    need(f != NULL && fwrite(answer.at, 1, answer.n, f) == answer.n && fclose(f) == 0, path);
}

static int load(const options *o, const char *request)
{
    static client clients[THREADS_MAX];
    bytes text = read_file(request);
    uint64_t begin = vly_clock_now();

    for (int i = 0; i < o->threads; i++) {
        clients[i] = (client){.o = o,
                              .request = text,
                              .n_connections =
                                  o->connections / o->threads + (i < o->connections % o->threads)};
        need(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) == 0, "thread");
    }
    for (int i = 0; i < o->threads; i++)
        pthread_join(clients[i].thread, NULL);
    double seconds = (double)(vly_clock_now() - begin) * 1e-9;
    report(clients, o->threads, seconds);
    if (o->answer != NULL && clients[0].first.at != NULL)
        write_answer(o->answer, clients[0].first);
    return clients[0].first.at == NULL;
}

/* ---- echo --------------------------------------------------------------------------------- */

typedef struct exchange {
    int fd;
    size_t got;
} exchange;

/* False: the client has gone. */
static bool serve_some(exchange *x, size_t request_bytes, bytes answer)
{
    static char sink[1 << 16];
    ssize_t n;

    while ((n = recv(x->fd, sink, sizeof(sink), MSG_DONTWAIT)) > 0) {
        x->got += (size_t)n;
        if (x->got < request_bytes)
            continue;
        x->got = 0;
        for (size_t sent = 0; sent < answer.n; sent += (size_t)n) { /* blocks: answers are small */
            n = send(x->fd, answer.at + sent, answer.n - sent, MSG_NOSIGNAL);
            if (n < 0)
                return false;
        }
    }
    return n < 0 && errno == EAGAIN;
}

static _Noreturn void echo(const options *o, const char *request, const char *answer_path)
{
    static exchange exchanges[CONNECTIONS_MAX];
    const size_t request_bytes = read_file(request).n;
    const bytes answer = read_file(answer_path);
    struct sockaddr_in addr = address_of(o->port);
    struct epoll_event events[64], e = {.events = EPOLLIN};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    need(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
             listen(listener, 128) == 0 && epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e) == 0,
         "listen");
    puts("listening");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poll_fd, events, 64, -1);
        for (int i = 0; i < n; i++) {
            exchange *x = events[i].data.ptr;
            if (x != NULL && !serve_some(x, request_bytes, answer))
                close(x->fd);
            if (x != NULL)
                continue;
            int fd = accept(listener, NULL, NULL);
            need(fd >= 0 && fd < CONNECTIONS_MAX, "accept");
            no_delay(fd);
            exchanges[fd] = (exchange){.fd = fd};
            e = (struct epoll_event){.events = EPOLLIN, .data.ptr = &exchanges[fd]};
            epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"port", required_argument, NULL, 'p'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"answer", required_argument, NULL, 'a'},
                                          {"echo", no_argument, NULL, 'e'},
                                          {NULL, 0, NULL, 0}};
    options o = {.connections = 1, .threads = 1, .seconds = 2.0};
    int opt;

    while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (opt == 'p')
            o.port = (uint16_t)strtoul(optarg, NULL, 10);
        else if (opt == 'c')
            o.connections = (int)strtol(optarg, NULL, 10);
        else if (opt == 't')
            o.threads = (int)strtol(optarg, NULL, 10);
        else if (opt == 's')
            o.seconds = strtod(optarg, NULL);
        else if (opt == 'a')
            o.answer = optarg;
        else if (opt == 'e')
            o.is_echo = true;
        else
            return 2;
    }
    if (o.threads < 1 || o.threads > THREADS_MAX || o.connections < o.threads ||
        o.connections > CONNECTIONS_MAX || argc - optind != (o.is_echo ? 2 : 1)) {
        fputs("usage: http_load --port N [--connections N] [--threads N] [--seconds S]"
              " [--answer FILE] REQUEST\n       http_load --echo --port N REQUEST ANSWER\n",
              stderr);
        return 2;
    }
    if (o.is_echo)
        echo(&o, argv[optind], argv[optind + 1]);
    return load(&o, argv[optind]);
}
