/* SPDX-License-Identifier: MIT */
/*
 * Frames to requests. nghttp2 refuses what is no HTTP: pseudo headers that are missing, double or
 * behind others, names with capitals, a content-length that does not fit. Checked here: limits, the
 * path, Expect, and frames that mean nothing but work.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "net/grpc_frame.h"
#include "net/http2_internal.h"

#define FIELD_OVERHEAD  4      /* as in HTTP/1: ": " and the end of the line */
#define NOISE_REFILL_MS 10000u /* from nothing to all */

static vly_http_exchange *exchange_of(nghttp2_session *ng, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(ng, stream_id);
}

/* Callers of gRPC look at a status of its own: RESOURCE_EXHAUSTED, UNAVAILABLE or INTERNAL. */
static void answer_grpc_error(vly_http_exchange *ex, int status, const char *reason)
{
    const char *code = status == 413 || status == 431 ? "8" : status == 503 ? "14" : "13";
    const vly_http_header headers[] = {{VLY_STR("grpc-status"), vly_str_from(code)},
                                       {VLY_STR("grpc-message"), vly_str_from(reason)}};

    vly_http__exchange_answer(ex, &(vly_http_answer){.status = 200,
                                                     .content_type = "application/grpc",
                                                     .headers = headers,
                                                     .n_headers = 2});
}

void vly_http2__refuse(vly_http2 *h, vly_http_exchange *ex, int status, const char *reason)
{
    vly_counter_add(&vly_http__stats(h->conn)->parse_errors, 1);
    if (vly_grpc_is_type(vly_http_msg_header(&ex->req.msg, "content-type")))
        answer_grpc_error(ex, status, reason);
    else
        vly_http__exchange_error(ex, status, reason);
    ex->is_answered = true;
    vly_http2__submit(h, ex);
}

/* ---- noise ---- */

static void grant_noise(vly_http2 *h, unsigned n)
{
    unsigned max = vly_http__opts(h->conn)->http2_max_noise;
    h->noise_left = n < max - h->noise_left ? h->noise_left + n : max;
}

/* Counts a frame that asks for work and moves nothing. Too many end the connection. */
static void count_noise(vly_http2 *h)
{
    unsigned max = vly_http__opts(h->conn)->http2_max_noise;
    uint64_t now = vly_http__now_ms(h->conn), past = now - h->noise_ms;
    uint64_t earned = past >= NOISE_REFILL_MS ? max : past * max / NOISE_REFILL_MS;

    if (earned > 0) {
        grant_noise(h, (unsigned)earned);
        h->noise_ms = now;
    }
    if (h->noise_left > 0)
        h->noise_left--;
    else
        vly_http2__check(h, nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM));
}

/* ---- the head ---- */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    vly_http2 *h = user;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    /* Cancelled requests still at work count, else a client that cancels what it asks for has no
     * limit at all. */
    vly_http_exchange *ex = h->n_exchanges < vly_http__opts(h->conn)->http2_max_streams
                                ? vly_http__exchange_take(h->conn->loop)
                                : NULL;
    if (ex == NULL) {
        vly_http2__reset(h, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    memcpy(ex->req.peer, h->conn->peer, sizeof(ex->req.peer));
    ex->conn = h->conn;
    ex->h2.stream_id = frame->hd.stream_id;
    ex->h2.since_ms = h->conn->since_ms = vly_http__now_ms(h->conn);
    ex->req.msg.major_version = 2;
    ex->req.msg.keep_alive = true;
    nghttp2_session_set_stream_user_data(ng, frame->hd.stream_id, ex);
    vly_http2__link(h, ex);
    return 0;
}

static vly_http_method method_of(vly_str name)
{
    static const struct {
        const char *name;
        vly_http_method method;
    } methods[] = {
        {"GET", VLY_HTTP_GET},     {"HEAD", VLY_HTTP_HEAD},     {"POST", VLY_HTTP_POST},
        {"PUT", VLY_HTTP_PUT},     {"DELETE", VLY_HTTP_DELETE}, {"OPTIONS", VLY_HTTP_OPTIONS},
        {"PATCH", VLY_HTTP_PATCH},
    };
    for (size_t i = 0; i < VLY_COUNT(methods); i++)
        if (vly_str_is(name, methods[i].name))
            return methods[i].method;
    return VLY_HTTP_OTHER;
}

static vly_str keep(vly_http_msg *m, vly_str text)
{
    vly_buf_add_str(&m->head, text);
    return (vly_str){m->head.ptr + m->head.len - text.len, text.len};
}

static void add_header(vly_http_msg *m, vly_str name, vly_str value)
{
    vly_str kept = keep(m, name);
    m->headers[m->n_headers++] = (vly_http_header){kept, keep(m, value)};
}

/* A pseudo header, or an ordinary one; nghttp2 lets no unknown pseudo header pass. */
static void take_field(vly_http_msg *m, vly_str name, vly_str value)
{
    if (vly_str_is(name, ":method")) {
        m->method_name = keep(m, value);
        m->method = method_of(m->method_name);
    } else if (vly_str_is(name, ":path")) {
        m->target = keep(m, value);
    } else if (vly_str_is(name, ":authority")) {
        add_header(m, VLY_STR("host"), value);
    } else if (name.len > 0 && name.ptr[0] != ':') {
        add_header(m, name, vly_str_trim(value));
    }
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    vly_http2 *h = user;
    vly_http_exchange *ex = exchange_of(ng, frame->hd.stream_id);
    (void)flags;

    /* Of a stream, bytes_in counts messages by now. */
    if (ex == NULL || ex->is_answered || ex->req.received_ns != 0)
        return 0;
    vly_http_msg *m = &ex->req.msg;
    size_t max = m->limits->max_header_bytes, n = name_len + value_len + FIELD_OVERHEAD;
    if (n > max || ex->bytes_in - m->body.len > max - n) {
        vly_http2__refuse(h, ex, 431, "the request header is too large");
        return 0;
    }
    ex->bytes_in += n;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers are counted, not kept */
    if (m->n_headers == m->limits->max_headers) {
        vly_http2__refuse(h, ex, 431, "the request has too many headers");
        return 0;
    }
    take_field(m, (vly_str){(const char *)name, name_len},
               (vly_str){(const char *)value, value_len});
    return 0;
}

/* ---- the whole ---- */

/* Its messages are handed over one by one, and so it before its body. */
static bool is_stream(vly_http2 *h, const vly_http_msg *m)
{
    const vly_http_opts *o = vly_http__opts(h->conn);
    return o->stream_max_message_bytes > 0 && o->is_stream != NULL && o->is_stream(o->ctx, m);
}

static void hand_over(vly_http2 *h, vly_http_exchange *ex)
{
    h->conn->since_ms = vly_http__now_ms(h->conn);
    vly_http__hand_over(h->conn, ex);
}

/* Its body is longer than it may be: what comes of it is dropped, as behind an answer. */
static void hand_over_cut(vly_http2 *h, vly_http_exchange *ex)
{
    ex->req.is_cut = true;
    vly_buf_clear(&ex->req.msg.body);
    hand_over(h, ex);
}

static size_t max_body(vly_http2 *h, const vly_http_exchange *ex)
{
    const vly_http_opts *o = vly_http__opts(h->conn);
    return o->max_body != NULL ? o->max_body(o->ctx, &ex->req) : SIZE_MAX;
}

/* 0, or the status to refuse with. */
static int check_expect(vly_http2 *h, vly_http_exchange *ex, const char **ret_reason)
{
    static const nghttp2_nv go_on = {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t) "100",
                                     7, 3, NGHTTP2_NV_FLAG_NONE};
    vly_str expect = vly_http_msg_header(&ex->req.msg, "expect");

    if (expect.ptr == NULL)
        return 0;
    if (!vly_str_eq_nocase(expect, VLY_STR("100-continue"))) {
        *ret_reason = "the only supported Expect is 100-continue";
        return 417;
    }
    vly_http2__check(h, nghttp2_submit_headers(h->ng, NGHTTP2_FLAG_NONE, ex->h2.stream_id, NULL,
                                               &go_on, 1, NULL));
    return 0;
}

/* The head is complete; is_end: so is the request. */
static void on_head(vly_http2 *h, vly_http_exchange *ex, bool is_end)
{
    vly_http_msg *m = &ex->req.msg;
    const char *reason = NULL;
    uint64_t len = 0;

    if (!vly_str_to_u64(vly_http_msg_header(m, "content-length"), &len))
        len = 0; /* nghttp2 has refused what is no number */
    int status = vly_str_is(m->method_name, "CONNECT") ? 501 : 0;
    if (status != 0)
        reason = "CONNECT is not supported";
    if (status == 0)
        status = vly_http__msg_set_path(m, m->target, &reason);
    bool has_messages = status == 0 && is_stream(h, m);
    ex->h2.max_body = status != 0 || is_end || has_messages ? SIZE_MAX : max_body(h, ex);
    if (len > ex->h2.max_body) {
        hand_over_cut(h, ex);
        return;
    }
    if (status == 0)
        status = vly_http__msg_expect_body(m, len, &reason);
    if (status == 0)
        status = check_expect(h, ex, &reason);
    if (status != 0)
        vly_http2__refuse(h, ex, status, reason);
    if (status != 0 || !has_messages)
        return;
    ex->req.stream_kind = VLY_STREAM_GRPC;
    hand_over(h, ex);
}

/* The client has said all it has to say. */
static void end_request(vly_http2 *h, vly_http_exchange *ex)
{
    ex->h2.is_received = true;
    if (ex->stream != NULL)
        vly_http2__stream_half_close(h, ex);
    else if (!ex->is_answered && ex->req.received_ns == 0)
        hand_over(h, ex);
}

static void on_headers_frame(vly_http2 *h, const nghttp2_frame *frame)
{
    vly_http_exchange *ex = exchange_of(h->ng, frame->hd.stream_id);
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (ex == NULL)
        return;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && !ex->is_answered)
        on_head(h, ex, is_end);
    if (is_end)
        end_request(h, ex);
    else
        ex->h2.since_ms = vly_http__now_ms(h->conn);
}

static void on_data_frame(vly_http2 *h, const nghttp2_frame *frame)
{
    vly_http_exchange *ex = exchange_of(h->ng, frame->hd.stream_id);
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (frame->hd.length > 0)
        grant_noise(h, 1);
    else if (!is_end)
        count_noise(h);
    if (ex != NULL && is_end)
        end_request(h, ex);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    vly_http2 *h = user;
    (void)ng;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers_frame(h, frame);
        break;
    case NGHTTP2_DATA:
        on_data_frame(h, frame);
        break;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            count_noise(h);
        break;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM:
        count_noise(h);
        break;
    default:
        break;
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
    (void)ng;
    (void)frame;
    (void)error;
    count_noise(user);
    return 0;
}

/* A gRPC client says no content-length, but its first bytes say as much. */
static int expect_message(vly_http_msg *m, const uint8_t *data, size_t len, const char **ret_reason)
{
    if (m->body.len > 0 || m->body_bytes > 0 || len < VLY_GRPC_HEAD_BYTES ||
        !vly_grpc_is_type(vly_http_msg_header(m, "content-type")))
        return 0;
    uint64_t n = VLY_GRPC_HEAD_BYTES + (uint64_t)vly_load_be32(data + 1);
    return vly_http__msg_expect_body(m, n, ret_reason);
}

/* A body that has filled its window is a large one: on a long way it would wait for each further
 * window. What it holds in memory is bounded elsewhere. */
static void widen_window(vly_http2 *h, vly_http_exchange *ex)
{
    const vly_http_opts *o = vly_http__opts(h->conn);

    if (ex->h2.is_wide || ex->req.msg.body.len < o->http2_window_bytes ||
        o->http2_window_bytes >= o->http2_conn_window_bytes)
        return;
    ex->h2.is_wide = true;
    vly_http2__check(h, nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE,
                                                              ex->h2.stream_id,
                                                              (int32_t)o->http2_conn_window_bytes));
}

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t stream_id, const uint8_t *data,
                         size_t len, void *user)
{
    vly_http2 *h = user;
    vly_http_exchange *ex = exchange_of(ng, stream_id);
    const char *reason;
    (void)flags;

    vly_http2__check(h, nghttp2_session_consume_connection(ng, len));
    if (ex != NULL && ex->stream != NULL) {
        ex->bytes_in += len;
        vly_http2__stream_feed(h, ex, (vly_str){(const char *)data, len});
        return 0;
    }
    /* Of the rest of a refused request one window comes, no more. */
    if (ex == NULL || ex->is_answered || ex->req.received_ns != 0)
        return 0;
    vly_http2__check(h, nghttp2_session_consume_stream(ng, stream_id, len));
    ex->bytes_in += len;
    if (len > ex->h2.max_body - ex->req.msg.body.len) {
        hand_over_cut(h, ex);
        return 0;
    }
    int status = expect_message(&ex->req.msg, data, len, &reason);
    if (status == 0)
        status = vly_http__msg_add_body(&ex->req.msg, (const char *)data, len, &reason);
    if (status != 0)
        vly_http2__refuse(h, ex, status, reason);
    else
        widen_window(h, ex);
    return 0;
}

/* Both sides are done with the stream, or one has cancelled it. */
static int on_stream_close(nghttp2_session *ng, int32_t stream_id, uint32_t error, void *user)
{
    vly_http2 *h = user;
    vly_http_exchange *ex = exchange_of(ng, stream_id);

    if (ex == NULL)
        return 0;
    nghttp2_session_set_stream_user_data(ng, stream_id, NULL);
    ex->h2.stream_id = 0;
    ex->h2.is_whole = error == NGHTTP2_NO_ERROR && ex->is_answered && ex->h2.body_left == 0;
    if (ex->stream != NULL) {
        vly_http2__stream_close(h, ex);
        return 0;
    }
    if (ex->is_answered || ex->req.received_ns == 0)
        vly_http2__retire(h, ex);
    else
        atomic_store(&ex->req.is_cancelled, true); /* it comes back by its responder */
    return 0;
}

void vly_http2__set_input(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
