/* SPDX-License-Identifier: MIT */
/* What a connection costs that has nothing to say. */
#include "wire.h"

#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS   10000
#define FILES_BESIDE  200
#define RSS_MAX_BYTES ((size_t)40 * 1000 * 1000)
#define GET           "GET /what HTTP/1.1\r\nHost: h\r\n\r\n"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

static wire w;

static size_t rss_bytes(void)
{
    unsigned long size, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* The clients are a process of their own, for the limit of open files counts by process. */
typedef struct clients {
    pid_t pid;
    int to;   /* the port to connect to; its end is theirs */
    int from; /* a byte, once all are connected and answered */
} clients;

static bool ask(int fd)
{
    char text[512];
    return send(fd, GET, sizeof(GET) - 1, MSG_NOSIGNAL) > 0 && recv(fd, text, sizeof(text), 0) > 0;
}

/* One request each, so that everything that a connection ever makes has been made. */
static bool open_all(uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (int i = 0; i < CONNECTIONS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0); /* closed by the end of the process */
        if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || !ask(fd))
            return false;
    }
    return true;
}

static void run_clients(int from, int to)
{
    uint16_t port;
    char byte;

    if (read(from, &port, sizeof(port)) == sizeof(port) && open_all(port) &&
        write(to, "y", 1) == 1 && read(from, &byte, 1) == 0)
        _exit(0);
    _exit(1);
}

/* Before any thread runs. */
static clients start_clients(void)
{
    int down[2] = {-1, -1}, up[2] = {-1, -1};

    assert_true(pipe(down) == 0 && pipe(up) == 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(down[1]);
        close(up[0]);
        run_clients(down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    return (clients){.pid = pid, .to = down[1], .from = up[0]};
}

static void wait_until_open(const clients *c)
{
    uint16_t port = vly_http_server_port(w.server);
    char byte;

    assert_int_equal(write(c->to, &port, sizeof(port)), sizeof(port));
    assert_int_equal(read(c->from, &byte, 1), 1);
}

static void end_clients(const clients *c)
{
    int status;

    close(c->to);
    close(c->from);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_int_equal(status, 0);
}

static void ten_thousand_idle_connections(void **state)
{
    struct rlimit before, limit;
    vly_http_opts o = wire_opts();

    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = CONNECTIONS + FILES_BESIDE;
    if (limit.rlim_max < limit.rlim_cur || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        print_message("SKIP: %d open files are needed\n", CONNECTIONS + FILES_BESIDE);
        skip();
    }
    clients c = start_clients();
    o.max_connections = CONNECTIONS + 1;
    o.limits.max_header_bytes = 16384;
    o.limits.max_headers = 100;
    wire_start(&w, &o);
    malloc_trim(0); /* memory that earlier tests have freed must not serve unseen */
    size_t empty = rss_bytes();
    wait_until_open(&c);
    assert_int_equal(vly_gauge_get(&vly_http_server_stats(w.server)->connections_open),
                     CONNECTIONS);
    size_t full = rss_bytes();
    print_message("# %d idle connections: %zu bytes each\n", CONNECTIONS,
                  (full - empty) / CONNECTIONS);
    if (!IS_SANITIZED)
        assert_true(full - empty < RSS_MAX_BYTES);
    wire_expect(&w, "GET /what HTTP/1.0\r\n\r\n", SIZE_MAX,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n"
                "Connection: close\r\n\r\nGET /what?");
    end_clients(&c);
    wire_wait_until(vly_gauge_get(&vly_http_server_stats(w.server)->connections_open) == 0);
    wire_stop(&w);
    setrlimit(RLIMIT_NOFILE, &before);
}

UNIT_TESTS(cmocka_unit_test(ten_thousand_idle_connections))
