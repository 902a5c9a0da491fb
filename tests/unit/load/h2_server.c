/* SPDX-License-Identifier: MIT */
#include "h2_server.h"

#include "unit.h"

#include <stdio.h>

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static int on_begin(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    h2_server *s = user;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    assert_true(s->n_asked < H2_ASKED_MAX);
    h2_asked *a = &s->asked[s->n_asked++];
    a->id = frame->hd.stream_id;
    vly_buf_init(&a->body, VLY_MEM_NET, 8 << 20);
    nghttp2_session_set_stream_user_data(ng, a->id, a);
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t n,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
    h2_asked *a = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    size_t len = strlen(a->headers);
    (void)flags;
    (void)user;

    (void)snprintf(a->headers + len, sizeof(a->headers) - len, "%.*s: %.*s\n", (int)n,
                   (const char *)name, (int)value_len, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *user)
{
    h2_asked *a = nghttp2_session_get_stream_user_data(ng, id);
    (void)flags;
    (void)user;

    vly_buf_add(&a->body, bytes, n);
    return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    h2_asked *a = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    (void)user;

    if (a != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        a->is_ended = true;
    return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
    h2_asked *a = nghttp2_session_get_stream_user_data(ng, id);
    (void)user;

    if (a != NULL) {
        a->is_closed = true;
        a->error = error;
    }
    return 0;
}

void h2_begin(h2_server *s, load_fixture *f, size_t peer, unsigned max_streams)
{
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams},
    };
    nghttp2_session_callbacks *calls;

    *s = (h2_server){.f = f, .peer = peer};
    assert_int_equal(nghttp2_session_callbacks_new(&calls), 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
    assert_int_equal(nghttp2_session_server_new(&s->ng, calls, s), 0);
    nghttp2_session_callbacks_del(calls);
    assert_int_equal(
        nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, settings, max_streams > 0 ? 2 : 1), 0);
    assert_int_equal(nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0, 1 << 26),
                     0);
    h2_turn(s);
}

void h2_end(h2_server *s)
{
    nghttp2_session_del(s->ng);
    for (size_t i = 0; i < s->n_asked; i++)
        vly_buf_release(&s->asked[i].body);
}

void h2_turn(h2_server *s)
{
    for (bool is_busy = true; is_busy;) {
        const uint8_t *out;
        ssize_t n;
        load_turn(s->f);
        vly_str in = load_take(s->f, s->peer);
        is_busy = in.len > 0;
        if (in.len > 0)
            assert_int_equal(nghttp2_session_mem_recv(s->ng, (const uint8_t *)in.ptr, in.len),
                             in.len);
        while ((n = nghttp2_session_mem_send(s->ng, &out)) > 0) {
            load_answer_bytes(s->f, s->peer, out, (size_t)n);
            is_busy = true;
        }
    }
}

static ssize_t read_answer(nghttp2_session *ng, int32_t id, uint8_t *bytes, size_t len,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    h2_asked *a = source->ptr;
    size_t n = len < a->answer_left ? len : a->answer_left;
    (void)user;

    if (n == 0 && a->keeps_open)
        return NGHTTP2_ERR_DEFERRED;
    memcpy(bytes, a->answer, n);
    a->answer += n;
    a->answer_left -= n;
    if (a->answer_left > 0 || a->keeps_open)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (a->trailer != NULL) {
        nghttp2_nv trailers[] = {field("grpc-status", a->trailer),
                                 field("grpc-message", a->message != NULL ? a->message : "")};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        assert_int_equal(nghttp2_submit_trailer(ng, id, trailers, a->message != NULL ? 2 : 1), 0);
    }
    return (ssize_t)n;
}

static void submit(h2_server *s, size_t i, const char *status, const char *const *headers)
{
    nghttp2_nv all[8] = {field(":status", status)};
    nghttp2_data_provider body = {.source.ptr = &s->asked[i], .read_callback = read_answer};
    size_t n = 1;

    for (; headers != NULL && *headers != NULL; headers += 2)
        all[n++] = field(headers[0], headers[1]);
    assert_int_equal(nghttp2_submit_response(s->ng, s->asked[i].id, all, n, &body), 0);
    h2_turn(s);
}

void h2_answer(h2_server *s, size_t i, const char *status, const char *const *headers,
               const char *body, size_t len)
{
    assert_true(i < s->n_asked);
    s->asked[i].answer = body;
    s->asked[i].answer_left = len;
    submit(s, i, status, headers);
}

static const char *const grpc_headers[] = {"content-type", "application/grpc", NULL};

void h2_answer_grpc(h2_server *s, size_t i, const char *bytes, size_t len, const char *code,
                    const char *message)
{
    s->asked[i].trailer = code;
    s->asked[i].message = message;
    h2_answer(s, i, "200", grpc_headers, bytes, len);
}

void h2_stream_say(h2_server *s, size_t i, const char *bytes, size_t len)
{
    h2_asked *a = &s->asked[i];
    bool is_first = !a->keeps_open;

    a->answer = bytes;
    a->answer_left = len;
    a->keeps_open = true;
    if (is_first) {
        submit(s, i, "200", grpc_headers);
        return;
    }
    assert_int_equal(nghttp2_session_resume_data(s->ng, a->id), 0);
    h2_turn(s);
}

void h2_stream_end(h2_server *s, size_t i, const char *code, const char *message)
{
    h2_asked *a = &s->asked[i];
    bool was_open = a->keeps_open;

    a->trailer = code;
    a->message = message;
    a->keeps_open = false;
    a->answer_left = 0;
    if (!was_open) {
        submit(s, i, "200", grpc_headers);
        return;
    }
    assert_int_equal(nghttp2_session_resume_data(s->ng, a->id), 0);
    h2_turn(s);
}

void h2_reset(h2_server *s, size_t i, uint32_t error)
{
    assert_int_equal(nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, s->asked[i].id, error), 0);
    h2_turn(s);
}

void h2_go_away(h2_server *s, int32_t last_id)
{
    assert_int_equal(
        nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE, last_id, NGHTTP2_NO_ERROR, NULL, 0), 0);
    h2_turn(s);
}
