/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static bool is_stream(void *ctx, const vly_http_msg *msg)
{
    (void)ctx;
    return vly_str_starts(msg->path, VLY_STR("/stream/"));
}

vly_http_opts wire_opts(void)
{
    return (vly_http_opts){
        .address = "127.0.0.1",
        .n_loops = 1,
        .max_connections = 64,
        .max_pipelined = 8,
        .limits = {.max_header_bytes = 1024,
                   .max_headers = 16,
                   .max_body_bytes = 1 << 20,
                   .max_scratch_bytes = 1 << 20},
        .max_body_total_bytes = 4 << 20,
        .header_timeout_ms = 20000,
        .body_timeout_ms = 20000,
        .body_min_rate = 1 << 20,
        .idle_timeout_ms = 20000,
        .write_timeout_ms = 20000,
        .abort_on_close = true,
        .http2_max_streams = 16,
        .http2_max_noise = 100,
        .http2_window_bytes = 65535,
        .http2_conn_window_bytes = 1 << 20,
        .stream_max_message_bytes = 1 << 20,
        .stream_max_in_bytes = 1 << 18,
        .stream_max_out_bytes = 1 << 18,
        .stream_ping_ms = 20000,
        .stream_idle_ms = 40000,
        .is_stream = is_stream,
    };
}

static void answer_buf(vly_http_request *req, int status, vly_buf *body)
{
    const vly_http_answer a = {
        .status = status, .content_type = "text/plain", .parts = body, .n_parts = 1};
    vly_http_respond(req, &a);
}

static void answer_what(vly_http_request *req)
{
    vly_buf body;
    vly_buf_init(&body, VLY_MEM_NET, 4096);
    vly_buf_printf(&body, "%.*s %.*s?%.*s", VLY_STR_ARG(req->msg.method_name),
                   VLY_STR_ARG(req->msg.path), VLY_STR_ARG(req->msg.query));
    answer_buf(req, 200, &body);
}

static void answer_echo(vly_http_request *req)
{
    vly_buf body;
    vly_buf_init(&body, VLY_MEM_NET, 1 << 20);
    vly_buf_add_str(&body, vly_buf_str(&req->msg.body));
    answer_buf(req, 200, &body);
}

static void answer_large(vly_http_request *req)
{
    size_t n = strtoul(req->msg.path.ptr + strlen("/large/"), NULL, 10);
    vly_buf body;
    vly_buf_init(&body, VLY_MEM_NET, SIZE_MAX / 2);
    if (vly_buf_reserve(&body, n))
        memset(body.ptr, 'x', n);
    body.len = n;
    answer_buf(req, 200, &body);
}

static void answer_parts(vly_http_request *req)
{
    static const vly_http_header headers[] = {
        {{"X-One", 5}, {"1", 1}}, {{"X-Two", 5}, {"a\r\nb\0c", 6}}, /* must not break the line */
    };
    vly_buf parts[3];
    for (int i = 0; i < 3; i++) {
        vly_buf_init(&parts[i], VLY_MEM_NET, 100);
        if (i != 1) /* the middle one stays empty */
            vly_buf_printf(&parts[i], "<%d>", i);
    }
    const vly_http_answer a = {
        .status = 201, .headers = headers, .n_headers = 2, .parts = parts, .n_parts = 3};
    vly_http_respond(req, &a);
}

static void answer_trailers(vly_http_request *req)
{
    static const vly_http_header trailers[] = {{{"Grpc-Status", 11}, {"0", 1}},
                                               {{"grpc-message", 12}, {"fine", 4}}};
    vly_buf body;
    vly_buf_init(&body, VLY_MEM_NET, 1 << 20);
    vly_buf_add_str(&body, vly_buf_str(&req->msg.body));
    const vly_http_answer a = {
        .status = 200, .trailers = trailers, .n_trailers = 2, .parts = &body, .n_parts = 1};
    vly_http_respond(req, &a);
}

typedef struct later {
    vly_work work; /* first: the work is its later */
    vly_http_request *req;
} later;

static void run_later(vly_work *work)
{
    answer_what(((later *)work)->req); /* the arena, and so work, lives until here */
}

static void answer_later(wire *w, vly_http_request *req)
{
    later *l = vly_arena_calloc(&req->msg.arena, 1, sizeof(*l));
    if (l == NULL) {
        vly_http_respond_error(req, 503, "no memory");
        return;
    }
    *l = (later){.work.run = run_later, .req = req};
    if (vly_worker_pool_submit(w->pool, &l->work) != VLY_OK)
        vly_http_respond_error(req, 429, "busy");
}

static void hold(wire *w, vly_http_request *req)
{
    pthread_mutex_lock(&w->lock);
    bool is_ending = w->is_ending;
    if (!is_ending)
        w->held[w->n_held++] = req;
    pthread_cond_signal(&w->has_held);
    pthread_mutex_unlock(&w->lock);
    if (is_ending)
        answer_what(req);
}

/* ---- streams ---- */

static void stream_echo(void *ctx, vly_stream *s, vly_buf *message, bool is_text)
{
    wire *w = ctx;
    size_t n = message->len;

    pthread_mutex_lock(&w->lock);
    w->n_messages++;
    pthread_cond_broadcast(&w->has_held);
    pthread_mutex_unlock(&w->lock);
    if (w->keeps_messages)
        return;
    if (vly_stream_send(s, message, is_text, NULL) != VLY_OK)
        vly_stream_end(s, &(vly_stream_end_info){.code = 13, .message = "not sent"});
    vly_stream_consumed(s, n);
}

static void stream_end(void *ctx, vly_stream *s)
{
    wire *w = ctx;
    vly_stream_end(s, &(vly_stream_end_info){.code = w->end_code, .message = "100 % gone\n"});
}

static void stream_room(void *ctx, vly_stream *s)
{
    wire *w = ctx;
    (void)s;
    pthread_mutex_lock(&w->lock);
    w->n_rooms++;
    pthread_cond_broadcast(&w->has_held);
    pthread_mutex_unlock(&w->lock);
}

static void stream_close(void *ctx, vly_stream *s)
{
    wire *w = ctx;
    (void)s;
    pthread_mutex_lock(&w->lock);
    w->n_closed++;
    pthread_cond_broadcast(&w->has_held);
    pthread_mutex_unlock(&w->lock);
}

static void accept_stream(wire *w, vly_http_request *req)
{
    static const vly_stream_events events = {.on_message = stream_echo,
                                             .on_end = stream_end,
                                             .on_room = stream_room,
                                             .on_close = stream_close};
    vly_stream *s;
    vly_err err;

    if (vly_str_is(req->msg.path, "/stream/refused") || req->stream_kind == VLY_STREAM_NONE) {
        vly_http_respond_error(req, 403, "no streams here");
        return;
    }
    if (vly_stream_accept(req, &events, w, &s, &err) != VLY_OK) {
        vly_http_respond_err(req, &err);
        return;
    }
    pthread_mutex_lock(&w->lock);
    if (w->n_streams < sizeof(w->streams) / sizeof(w->streams[0]))
        w->streams[w->n_streams++] = s; /* wire_stop gives it back */
    else
        vly_stream_unref(s);
    pthread_cond_broadcast(&w->has_held);
    pthread_mutex_unlock(&w->lock);
}

static void on_request(void *ctx, vly_http_request *req)
{
    wire *w = ctx;
    vly_str path = req->msg.path;

    if (vly_str_is(path, "/echo"))
        answer_echo(req);
    else if (vly_str_starts(path, VLY_STR("/what")))
        answer_what(req);
    else if (vly_str_starts(path, VLY_STR("/large/")))
        answer_large(req);
    else if (vly_str_is(path, "/parts"))
        answer_parts(req);
    else if (vly_str_is(path, "/trailers"))
        answer_trailers(req);
    else if (vly_str_is(path, "/empty"))
        vly_http_respond(req, &(vly_http_answer){.status = 204});
    else if (vly_str_starts(path, VLY_STR("/later")))
        answer_later(w, req);
    else if (vly_str_is(path, "/hold"))
        hold(w, req);
    else if (vly_str_starts(path, VLY_STR("/stream/")))
        accept_stream(w, req);
    else
        vly_http_respond_err(req, &(vly_err){.status = VLY_ENOTFOUND, .msg = "no \"such\" path"});
}

void wire_start(wire *w, const vly_http_opts *opts)
{
    vly_http_opts o = *opts;
    vly_err err;

    *w = (wire){0};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->has_held, NULL);
    assert_int_equal(vly_worker_pool_new(2, 1024, &w->pool, NULL), VLY_OK);
    o.on_request = on_request;
    o.ctx = w;
    if (vly_http_server_start(&o, &w->server, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

void wire_stop(wire *w)
{
    pthread_mutex_lock(&w->lock);
    w->is_ending = true;
    pthread_mutex_unlock(&w->lock);
    wire_let_go(w);
    vly_http_server_free(w->server);
    vly_worker_pool_free(w->pool);
    for (unsigned i = 0; i < w->n_streams; i++)
        vly_stream_unref(w->streams[i]);
    pthread_cond_destroy(&w->has_held);
    pthread_mutex_destroy(&w->lock);
}

vly_http_request *wire_wait_held(wire *w, unsigned n)
{
    pthread_mutex_lock(&w->lock);
    while (w->n_held < n)
        pthread_cond_wait(&w->has_held, &w->lock);
    vly_http_request *req = w->held[w->n_held - 1];
    pthread_mutex_unlock(&w->lock);
    return req;
}

void wire_let_go(wire *w)
{
    pthread_mutex_lock(&w->lock);
    for (unsigned i = w->n_held; i-- > 0;) /* backwards: the server has to put them in order */
        answer_what(w->held[i]);
    w->n_held = 0;
    pthread_mutex_unlock(&w->lock);
}

int wire_connect(const wire *w)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(vly_http_server_port(w->server)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

void wire_send(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; /* what the server said before will tell */
        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
}

void wire_puts(int fd, const char *text)
{
    wire_send(fd, text, strlen(text));
}

/* One read with patience: 0 at the end or on a reset. */
static size_t read_some(int fd, char *to, size_t cap)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) == 0)
        fail_msg("the server said nothing for %d ms", PATIENCE_MS);
    ssize_t n = recv(fd, to, cap, 0);
    return n > 0 ? (size_t)n : 0;
}

static void cut_dates(char *text, size_t *len)
{
    static const char name[] = "Date: ";
    char *at = text, *end;

    while ((at = memmem(at, *len - (size_t)(at - text), name, sizeof(name) - 1)) != NULL) {
        end = memchr(at, '\n', *len - (size_t)(at - text));
        if (end == NULL)
            return;
        memmove(at, end + 1, *len - (size_t)(end + 1 - text));
        *len -= (size_t)(end + 1 - at);
    }
}

const char *wire_read(int fd, size_t n_bytes, size_t *ret_len)
{
    static char text[8 << 20];
    size_t len = 0, n;

    do {
        n = read_some(fd, text + len, sizeof(text) - 1 - len);
        len += n;
        cut_dates(text, &len);
    } while (n > 0 && (n_bytes == 0 || len < n_bytes) && len < sizeof(text) - 1);
    text[len] = '\0';
    if (ret_len != NULL)
        *ret_len = len;
    return text;
}

void wire_expect(const wire *w, const char *request, size_t piece, const char *response)
{
    int fd = wire_connect(w), on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (size_t left = strlen(request), n; left > 0; left -= n, request += n) {
        n = left < piece ? left : piece;
        wire_send(fd, request, n);
    }
    assert_string_equal(wire_read(fd, 0, NULL), response);
    close(fd);
}

bool wire_is_closed(int fd)
{
    char byte;
    return read_some(fd, &byte, 1) == 0;
}

bool wire_is_fd_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

unsigned wire_open_fds(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += wire_is_fd_open(fd);
    return n;
}

void wire_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}
