/* SPDX-License-Identifier: MIT */
#include "h2_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS  10000
#define ANSWER_BYTES ((size_t)64 << 20)
#define FIELDS_MAX   64

static h2_answer *answer_of(h2_client *c, int32_t stream_id)
{
    for (size_t i = 0; i < c->n_answers; i++)
        if (c->answers[i].stream_id == stream_id)
            return &c->answers[i];
    return NULL;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    h2_answer *a = answer_of(user, frame->hd.stream_id);
    (void)ng;
    (void)flags;

    if (a == NULL)
        return 0;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
        a->status = (int)strtol((const char *)value, NULL, 10);
        a->n_continue += a->status == 100;
        return 0;
    }
    if (name_len == 4 && memcmp(name, "date", 4) == 0)
        return 0;
    /* The final head is RESPONSE, or HEADERS behind a "100"; trailers too are HEADERS. */
    bool is_trailer = frame->headers.cat == NGHTTP2_HCAT_HEADERS &&
                      (a->body.len > 0 || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    vly_buf_printf(is_trailer ? &a->trailers : &a->headers, "%.*s: %.*s\n", (int)name_len, name,
                   (int)value_len, value);
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user)
{
    h2_answer *a = answer_of(user, stream_id);
    (void)ng;
    (void)flags;
    if (a != NULL)
        vly_buf_add(&a->body, data, len);
    return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    h2_client *c = user;
    h2_answer *a = answer_of(c, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_GOAWAY) {
        if (c->n_goaway < 2)
            c->goaway_streams[c->n_goaway] = frame->goaway.last_stream_id;
        c->n_goaway++;
        c->goaway_error = frame->goaway.error_code;
    } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        c->n_ping_acks++;
    } else if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
        c->has_settings = true;
        c->max_streams =
            nghttp2_session_get_remote_settings(ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    }
    if (a != NULL && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        a->has_end = true;
    return 0;
}

static int on_close(nghttp2_session *ng, int32_t stream_id, uint32_t error, void *user)
{
    h2_answer *a = answer_of(user, stream_id);
    (void)ng;
    if (a != NULL) {
        a->is_closed = true;
        a->error = error;
    }
    return 0;
}

static nghttp2_nv field(const char *name, size_t name_len, const char *value, size_t value_len)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len,
                        value_len, NGHTTP2_NV_FLAG_NONE};
}

static void end_by_trailer(nghttp2_session *ng, int32_t stream_id, uint32_t *flags)
{
    const nghttp2_nv nv = field("x-last", 6, "1", 1);

    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    assert_int_equal(nghttp2_submit_trailer(ng, stream_id, &nv, 1), 0);
}

static ssize_t read_body(nghttp2_session *ng, int32_t stream_id, uint8_t *to, size_t cap,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    h2_answer *a = answer_of(user, stream_id);
    (void)ng;
    (void)source;

    if (a == NULL)
        return NGHTTP2_ERR_DEFERRED;
    size_t n = a->request_left < cap ? a->request_left : cap;
    if (n > 0) {
        memcpy(to, a->request_body, n);
        a->request_body += n;
        a->request_left -= n;
    }
    if (a->request_left == 0 && !a->is_body_open) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (a->has_trailer)
            end_by_trailer(ng, stream_id, flags);
    }
    if (n == 0 && a->is_body_open)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)n;
}

void h2_open(h2_client *c, const wire *w, size_t piece, unsigned window)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    const nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};

    *c = (h2_client){.fd = wire_connect(w), .piece = piece};
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_auto_window_update(option, window == 1);
    assert_int_equal(nghttp2_session_client_new2(&c->ng, callbacks, c, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(c->ng, 0, &entry, window != 0), 0);
}

void h2_close(h2_client *c)
{
    for (size_t i = 0; i < c->n_answers; i++) {
        vly_buf_release(&c->answers[i].headers);
        vly_buf_release(&c->answers[i].body);
        vly_buf_release(&c->answers[i].trailers);
    }
    nghttp2_session_del(c->ng);
    close(c->fd);
}

static size_t read_headers(const char *text, nghttp2_nv *nv)
{
    size_t n = 0;
    while (text != NULL && *text != '\0') {
        const char *colon = strstr(text + 1, ": "), *end = strchr(text, '\n');
        assert_true(colon != NULL && end != NULL && n < FIELDS_MAX);
        nv[n++] = field(text, (size_t)(colon - text), colon + 2, (size_t)(end - colon - 2));
        text = end + 1;
    }
    return n;
}

static h2_answer *ask(h2_client *c, const char *method, const char *path, const char *headers,
                      const char *body, size_t len, bool is_open)
{
    nghttp2_nv nv[FIELDS_MAX + 4] = {
        field(":method", 7, method, strlen(method)), field(":scheme", 7, "http", 4),
        field(":authority", 10, "h", 1), field(":path", 5, path, strlen(path))};
    nghttp2_data_provider provider = {.read_callback = read_body};
    size_t n = 4 + read_headers(headers, nv + 4);

    assert_true(c->n_answers < H2_STREAMS_MAX);
    h2_answer *a = &c->answers[c->n_answers++];
    *a = (h2_answer){.request_body = body, .request_left = len, .is_body_open = is_open};
    vly_buf_init(&a->headers, VLY_MEM_BASE, 1 << 20);
    vly_buf_init(&a->body, VLY_MEM_BASE, ANSWER_BYTES);
    vly_buf_init(&a->trailers, VLY_MEM_BASE, 1 << 20);
    a->stream_id = nghttp2_submit_request(c->ng, NULL, nv, n,
                                          body != NULL || is_open ? &provider : NULL, NULL);
    assert_true(a->stream_id > 0);
    return a;
}

h2_answer *h2_ask(h2_client *c, const char *method, const char *path, const char *headers,
                  const char *body, size_t len)
{
    return ask(c, method, path, headers, body, len, false);
}

h2_answer *h2_ask_open(h2_client *c, const char *method, const char *path, const char *headers,
                       const char *body, size_t len)
{
    return ask(c, method, path, headers, body, len, true);
}

void h2_continue(h2_client *c, h2_answer *a, const char *body, size_t len, bool is_end)
{
    assert_int_equal(a->request_left, 0);
    a->request_body = body;
    a->request_left = len;
    a->is_body_open = !is_end;
    nghttp2_session_resume_data(c->ng, a->stream_id);
}

/* True when there was something. */
static bool send_all(h2_client *c)
{
    const uint8_t *bytes;
    bool is_some = false;
    ssize_t n;

    while ((n = nghttp2_session_mem_send(c->ng, &bytes)) > 0) {
        size_t left = (size_t)n, piece = c->piece > 0 ? c->piece : left;
        is_some = true;
        for (; left > 0; bytes += piece, left -= piece) {
            if (piece > left)
                piece = left;
            wire_send(c->fd, (const char *)bytes, piece);
        }
    }
    return is_some;
}

bool h2_turn(h2_client *c)
{
    static uint8_t bytes[1 << 18];

    if (send_all(c)) /* which may be what was waited for */
        return true;
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) == 0)
        fail_msg("the server said nothing for %d ms", PATIENCE_MS);
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        c->is_eof = true;
        return false;
    }
    assert_int_equal(nghttp2_session_mem_recv(c->ng, bytes, (size_t)n), n);
    return true;
}

void h2_ping(h2_client *c)
{
    unsigned n = c->n_ping_acks;
    assert_int_equal(nghttp2_submit_ping(c->ng, 0, NULL), 0);
    h2_until(c, c->n_ping_acks > n);
}

void h2_expect(h2_client *c, const char *method, const char *path, const char *body, int status,
               const char *answer)
{
    h2_answer *a = h2_ask(c, method, path, NULL, body, body != NULL ? strlen(body) : 0);

    h2_until(c, a->is_closed);
    assert_int_equal(a->error, NGHTTP2_NO_ERROR);
    assert_int_equal(a->status, status);
    assert_string_equal(a->body.ptr != NULL ? a->body.ptr : "", answer);
}
