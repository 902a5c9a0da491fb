/* SPDX-License-Identifier: MIT */
/*
 * A whole server connection, over a real socket, fed bytes behind the preface: what the first byte
 * says about pieces, the rest as a client sends it. The server must answer, refuse or close, and be
 * left with nothing of it. Its handler answers at once, or holds a request until the next comes, so
 * that answers also meet streams that have closed.
 */
#include "base/assert.h"
#include "net/http_stream.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

#define PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define PATIENCE_MS 20000
#define HELD_MS     20

/* Owner: the loop thread, but for `server`. Lives as long as the process, as fuzzing does. */
static struct fixture {
    vly_http_server *server;
    vly_http_request *held;
} fixture;

static void answer(vly_http_request *req)
{
    static const vly_http_header trailer = {{"grpc-status", 11}, {"0", 1}};
    vly_buf body;

    vly_buf_init(&body, VLY_MEM_NET, 1 << 20);
    vly_buf_add_str(&body, req->msg.path);
    vly_buf_add_str(&body, vly_buf_str(&req->msg.body));
    vly_http_respond(req, &(vly_http_answer){.status = 200,
                                             .trailers = &trailer,
                                             .n_trailers = req->msg.n_headers % 2,
                                             .parts = &body,
                                             .n_parts = 1});
}

static void on_message(void *ctx, vly_stream *s, vly_buf *message, bool is_text)
{
    size_t n = message->len;
    (void)ctx;

    if (vly_stream_send(s, message, is_text, NULL) != VLY_OK)
        vly_stream_end(s, &(vly_stream_end_info){.code = 8, .message = "behind"});
    vly_stream_consumed(s, n);
}

static void on_end(void *ctx, vly_stream *s)
{
    (void)ctx;
    vly_stream_end(s, &(vly_stream_end_info){.code = 0});
}

static void accept_stream(vly_http_request *req)
{
    static const vly_stream_events events = {.on_message = on_message, .on_end = on_end};
    vly_stream *s;

    if (vly_stream_accept(req, &events, NULL, &s, NULL) == VLY_OK)
        vly_stream_unref(s);
    else
        vly_http_respond_error(req, 503, "no memory");
}

static void release_held(struct fixture *f)
{
    vly_http_request *req = f->held;
    f->held = NULL;
    if (req != NULL)
        answer(req);
}

static void on_request(void *ctx, vly_http_request *req)
{
    struct fixture *f = ctx;

    VLY_ASSERT(req->msg.path.len > 0 && req->msg.n_headers <= 16);
    if (req->stream_kind == VLY_STREAM_GRPC) {
        accept_stream(req);
        return;
    }
    release_held(f);
    if (req->msg.method == VLY_HTTP_DELETE)
        f->held = req;
    else
        answer(req);
}

static bool is_stream(void *ctx, const vly_http_msg *msg)
{
    (void)ctx;
    return msg->method == VLY_HTTP_PUT;
}

static void start(struct fixture *f)
{
    const vly_http_opts o = {
        .address = "127.0.0.1",
        .n_loops = 1,
        .max_connections = 100,
        .max_pipelined = 4,
        .limits = {.max_header_bytes = 2048,
                   .max_headers = 16,
                   .max_body_bytes = 4096,
                   .max_scratch_bytes = 65536},
        .max_body_total_bytes = 65536,
        .header_timeout_ms = 5000,
        .body_timeout_ms = 5000,
        .body_min_rate = 1024,
        .idle_timeout_ms = 5000,
        .write_timeout_ms = 5000,
        .http2_max_streams = 8,
        .http2_max_noise = 50,
        .http2_window_bytes = 65535,
        .http2_conn_window_bytes = 65535,
        .stream_max_message_bytes = 1024,
        .stream_max_in_bytes = 2048,
        .stream_max_out_bytes = 2048,
        .stream_ping_ms = 5000,
        .stream_idle_ms = 5000,
        .on_request = on_request,
        .is_stream = is_stream,
        .ctx = f,
    };
    vly_err err;
    vly_status st = vly_http_server_start(&o, &f->server, &err);
    VLY_ASSERT(st == VLY_OK);
}

static int connect_to(const struct fixture *f)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(vly_http_server_port(f->server)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {.l_onoff = 1}; /* no port is left waiting behind each run */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    VLY_ASSERT(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    int rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
    VLY_ASSERT(rc == 0);
    return fd;
}

/* False when the server has closed. */
static bool send_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;

    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* One read within timeout_ms; 0: nothing came, -1: the end. */
static int read_some(int fd, int timeout_ms)
{
    char bytes[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (poll(&p, 1, timeout_ms) == 0)
        return 0;
    return recv(fd, bytes, sizeof(bytes), 0) > 0 ? 1 : -1;
}

/* Another client, whose request lets go of the one that is held. */
static void let_go(const struct fixture *f)
{
    int rc, fd = connect_to(f);

    send_all(fd, "GET / HTTP/1.0\r\n\r\n", 18);
    while ((rc = read_some(fd, PATIENCE_MS)) > 0)
        ;
    VLY_ASSERT(rc < 0); /* else the server hangs */
    close(fd);
}

/* To the end of what the server says. A held request keeps a half-closed connection open. */
static void read_all(const struct fixture *f, int fd)
{
    for (int tries = 0; tries < PATIENCE_MS / HELD_MS;) {
        int rc = read_some(fd, HELD_MS);
        if (rc < 0)
            return;
        if (rc == 0) {
            let_go(f);
            tries++;
        }
    }
    VLY_ASSERT(false); /* the connection hangs */
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    struct fixture *f = &fixture;

    if (n < 1)
        return 0;
    if (f->server == NULL)
        start(f);
    int fd = connect_to(f);
    size_t piece = bytes[0] < 128 ? SIZE_MAX : (size_t)bytes[0] - 120;
    bool is_open = send_all(fd, PREFACE, sizeof(PREFACE) - 1);
    for (size_t at = 1; is_open && at < n;) {
        size_t len = n - at < piece ? n - at : piece;
        is_open = send_all(fd, bytes + at, len);
        at += len;
    }
    if (bytes[0] % 4 != 0) {
        shutdown(fd, SHUT_WR);
        read_all(f, fd);
    }
    close(fd);
    return 0;
}
