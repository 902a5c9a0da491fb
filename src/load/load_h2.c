/* SPDX-License-Identifier: MIT */
#include "load/load_h2.h"

#include "base/assert.h"

#include <stdio.h>

enum {
    OUT_BYTES = 256 << 10,
    FRAME_HEAD = 9,
    STREAM_WINDOW = 16 << 20,
    CONN_WINDOW = 1 << 30,
};

void vly_load__h2_put(vly_load_h2 *h, const void *bytes, size_t n)
{
    VLY_ASSERT(n <= OUT_BYTES - h->n_out);
    memcpy(h->out + h->n_out, bytes, n);
    h->n_out += n;
}

void vly_load__h2_put_body(vly_load_h2 *h, const vly_load_call *call, size_t from, size_t n)
{
    VLY_ASSERT(n <= OUT_BYTES - h->n_out);
    vly_load__copy_body(call, from, n, h->out + h->n_out);
    h->n_out += n;
}

void vly_load__h2_keep_why(vly_load_h2_stream *s, vly_str text)
{
    size_t room = sizeof(s->why) - s->n_why;
    size_t n = text.len < room ? text.len : room;

    if (n > 0)
        memcpy(s->why + s->n_why, text.ptr, n);
    s->n_why += n;
}

/* rc: what nghttp2 has said. */
static void check(vly_load_h2 *h, ssize_t rc)
{
    if (h->mem.is_out)
        vly_load__break(&h->base, "out of memory for HTTP/2");
    else if (rc < 0)
        vly_load__break(&h->base, "what came is no HTTP/2: %s", nghttp2_strerror((int)rc));
}

/* ---- streams ---- */

static void begin_stream(vly_load_h2 *h, vly_load_h2_stream *s, vly_load_call *call)
{
    h->first_free = s->next_free;
    s->call = call;
    if (call != NULL)
        call->stream = s;
    s->n_sent = s->n_why = s->n_messages = 0;
    s->n_head = h->dialect->n_head;
    s->status = 0;
    s->grpc_status = -1;
    s->is_cached = false;
    h->dialect->begin(s);
}

static void end_stream(vly_load_h2 *h, vly_load_h2_stream *s)
{
    s->call = NULL;
    s->next_free = h->first_free;
    h->first_free = s;
}

/* The bytes are copied in send_body, straight from where they lie. */
static ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *bytes, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    vly_load_h2_stream *s = source->ptr;
    (void)ng;
    (void)id;
    (void)bytes;
    (void)user;

    if (s->call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* given up: the stream is reset */
    size_t left = s->n_head + s->call->body.len - s->n_sent;
    size_t n = len < left ? len : left;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY | (n == left ? NGHTTP2_DATA_FLAG_EOF : 0U);
    return (ssize_t)n;
}

static void put_body(vly_load_h2 *h, vly_load_h2_stream *s, size_t n)
{
    if (s->n_sent < s->n_head) {
        size_t k = s->n_head - s->n_sent < n ? s->n_head - s->n_sent : n;
        vly_load__h2_put(h, s->head + s->n_sent, k);
        s->n_sent += k;
        n -= k;
    }
    if (n > 0)
        vly_load__h2_put_body(h, s->call, s->n_sent - s->n_head, n);
    s->n_sent += n;
}

static int send_body(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t n,
                     nghttp2_data_source *source, void *user)
{
    vly_load_h2 *h = user;
    vly_load_h2_stream *s = source->ptr;
    (void)ng;
    (void)frame;

    if (FRAME_HEAD + n > OUT_BYTES - h->n_out)
        return NGHTTP2_ERR_WOULDBLOCK;
    vly_load__h2_put(h, head, FRAME_HEAD);
    if (h->dialect->put != NULL)
        h->dialect->put(h, s, n);
    else
        put_body(h, s, n);
    return 0;
}

static nghttp2_nv field(const char *name, size_t name_len, const char *value, size_t value_len)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len,
                        value_len, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

vly_load_h2_stream *vly_load__h2_submit(vly_load_h2 *h, vly_load_call *call,
                                        nghttp2_data_source_read_callback read)
{
    vly_load_h2_stream *s = h->first_free;
    size_t n_fields = h->n_fields;

    if (s == NULL)
        return NULL;
    begin_stream(h, s, call);
    nghttp2_data_provider body = {.source.ptr = s,
                                  .read_callback = read != NULL ? read : read_body};
    bool has_body = read != NULL || s->n_head + call->body.len > 0;
    if (read == NULL && has_body) {
        int n = snprintf(s->length, sizeof(s->length), "%zu", s->n_head + call->body.len);
        h->fields[n_fields++] = field("content-length", 14, s->length, (size_t)n);
    }
    s->id = nghttp2_submit_request(h->ng, NULL, h->fields, n_fields, has_body ? &body : NULL, s);
    if (s->id >= 0)
        return s;
    end_stream(h, s);
    if (s->id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE)
        h->base.is_draining = true; /* 2^30 requests: the next ones on a new connection */
    else
        check(h, s->id);
    return NULL;
}

/* ---- in ---- */

static bool is_name(nghttp2_vec name, const char *want)
{
    return name.len == strlen(want) && memcmp(name.base, want, name.len) == 0;
}

static int number_of(vly_str text, int64_t most, int otherwise)
{
    int64_t n;
    return vly_str_to_i64(text, &n) && n >= 0 && n <= most ? (int)n : otherwise;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    vly_load_h2_stream *s = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    nghttp2_vec key = {(uint8_t *)(uintptr_t)name, name_len};
    vly_str text = {(const char *)value, value_len};
    (void)flags;
    (void)user;

    if (s == NULL)
        return 0;
    if (is_name(key, ":status"))
        s->status = number_of(text, 999, 0);
    else if (is_name(key, "volley-cache"))
        s->is_cached = vly_str_is(text, "hit");
    else if (is_name(key, "grpc-status"))
        s->grpc_status = number_of(text, INT32_MAX, 2); /* UNKNOWN */
    else if (is_name(key, "grpc-message"))
        vly_load__h2_keep_why(s, text);
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *user)
{
    vly_load_h2 *h = user;
    vly_load_h2_stream *s = nghttp2_session_get_stream_user_data(ng, id);
    (void)flags;

    if (s != NULL && !h->base.is_broken)
        h->dialect->data(h, s, (vly_str){(const char *)bytes, len});
    return 0;
}

static void on_settings(vly_load_h2 *h)
{
    uint32_t most =
        nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    if (!h->is_streaming)
        h->base.max_flying = most < h->n_streams ? most : h->n_streams;
    if (h->base.state == VLY_LOAD_OPENING)
        h->dialect->ready(h);
}

/* The server has said all that it will, whether it has read all or not. */
static void end_answer(vly_load_h2 *h, vly_load_h2_stream *s)
{
    vly_load_call *call = s->call;

    if (h->is_streaming || call == NULL) {
        if (s == h->stream)
            h->dialect->end(h, s);
        return;
    }
    if (s->n_sent < s->n_head + call->body.len)
        check(h, nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL));
    s->call = NULL;
    call->is_cached = s->is_cached;
    call->bytes_out = s->n_sent;
    call->status = s->status;
    h->dialect->end_call(s, call);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    vly_load_h2 *h = user;
    vly_load_h2_stream *s = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);

    if (s != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        end_answer(h, s);
    if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
        on_settings(h);
    if (frame->hd.type == NGHTTP2_GOAWAY)
        h->base.is_draining = true;
    return 0;
}

/* What nghttp2 has to say of the server's mistakes. */
static int on_error(nghttp2_session *ng, int code, const char *text, size_t len, void *user)
{
    vly_load_h2 *h = user;
    (void)ng;
    (void)code;

    (void)snprintf(h->said, sizeof(h->said), "%.*s", (int)len, text);
    return 0;
}

static int on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    vly_load_h2 *h = user;
    vly_load_h2_stream *s = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_HEADERS && s != NULL && s->call != NULL)
        s->call->sent_ns = vly_load_loop_now(h->base.t->loop);
    return 0;
}

/* After a GOAWAY: it has not gone out, or stands behind the last stream that the server names. */
static bool was_not_seen(const vly_load_h2_stream *s, uint32_t error)
{
    return s->call->sent_ns == 0 || error == NGHTTP2_REFUSED_STREAM;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
    vly_load_h2 *h = user;
    vly_load_h2_stream *s = nghttp2_session_get_stream_user_data(ng, id);
    char why[64];

    if (s == NULL)
        return 0;
    int n = snprintf(why, sizeof(why), "the stream was reset: %s", nghttp2_http2_strerror(error));
    if (s == h->stream)
        vly_load__break(&h->base, "%s", why);
    else if (s->call != NULL && h->base.is_draining && was_not_seen(s, error))
        vly_load__take_back_one(s->call);
    else if (s->call != NULL)
        vly_load__finish(s->call, VLY_LOAD_FAILED, (vly_str){why, (size_t)n});
    end_stream(h, s);
    return 0;
}

void vly_load__h2_feed(vly_load_conn *c, vly_str in)
{
    vly_load_h2 *h = vly_load__h2(c);
    ssize_t n = nghttp2_session_mem_recv(h->ng, (const uint8_t *)in.ptr, in.len);

    check(h, n);
}

/* ---- out ---- */

static void submit_unsent(vly_load_h2 *h)
{
    vly_load_conn *c = &h->base;

    while (c->unsent != NULL && !c->is_broken && !c->is_draining &&
           vly_load__h2_submit(h, c->unsent, NULL) != NULL)
        c->unsent = c->unsent->queue.next;
}

/* As many frames as fit. */
static void gather(vly_load_h2 *h)
{
    h->n_out = 0;
    while (OUT_BYTES - h->n_out > OUT_BYTES / 4) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(h->ng, &bytes);
        check(h, n);
        if (n <= 0)
            return;
        if ((size_t)n > OUT_BYTES - h->n_out) { /* headers are bounded far below this */
            vly_load__break(&h->base, "a frame of %zd bytes is too long", n);
            return;
        }
        vly_load__h2_put(h, bytes, (size_t)n);
    }
}

void vly_load__h2_collect(vly_load_conn *c)
{
    vly_load_h2 *h = vly_load__h2(c);

    if (h->is_streaming)
        h->dialect->turn(h);
    else if (c->state == VLY_LOAD_OPEN)
        submit_unsent(h);
    if (c->is_broken)
        return;
    gather(h);
    if (c->is_broken)
        return;
    (void)vly_load__add(c, h->out, h->n_out);
    if (h->n_out == 0 && nghttp2_session_want_read(h->ng) == 0)
        vly_load__break(c, "HTTP/2 has ended: %s", h->said[0] != '\0' ? h->said : "without a word");
}

void vly_load__h2_drop(vly_load_conn *c, vly_load_call *call)
{
    vly_load_h2 *h = vly_load__h2(c);
    vly_load_h2_stream *s = call->stream;

    if (s == NULL) /* not begun */
        return;
    s->call = NULL;
    check(h, nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL));
}

/* ---- life ---- */

static int make_session(vly_load_h2 *h)
{
    nghttp2_mem mem = vly_http2_mem_of(&h->mem);
    nghttp2_session_callbacks *calls = NULL;
    nghttp2_option *option = NULL;
    int rc = nghttp2_session_callbacks_new(&calls);

    if (rc == 0)
        rc = nghttp2_option_new(&option);
    if (rc == 0) {
        nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
        nghttp2_session_callbacks_set_on_frame_send_callback(calls, on_sent);
        nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
        nghttp2_session_callbacks_set_send_data_callback(calls, send_body);
        nghttp2_session_callbacks_set_error_callback2(calls, on_error);
        nghttp2_option_set_no_closed_streams(option, 1);
        rc = nghttp2_session_client_new3(&h->ng, calls, h, option, &mem);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(calls);
    return rc;
}

void vly_load__h2_open(vly_load_conn *c)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
    };
    vly_load_h2 *h = vly_load__h2(c);
    int rc = make_session(h);

    h->said[0] = '\0';
    if (rc == 0)
        rc = nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, VLY_COUNT(settings));
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
    check(h, rc);
}

void vly_load__h2_close(vly_load_conn *c)
{
    vly_load_h2 *h = vly_load__h2(c);

    vly_http2_mem_end(&h->mem, h->ng);
    h->ng = NULL;
    h->stream = NULL;
    h->first_free = NULL;
    for (unsigned i = h->n_streams; i > 0; i--)
        end_stream(h, &h->streams[i - 1]);
}

/* Names and values lie in c->head, which has room for all of them. */
static bool add_field(vly_load_h2 *h, vly_str name, vly_str value)
{
    vly_buf *head = &h->base.head;
    size_t at = head->len;

    if (h->n_fields + 1 == VLY_LOAD_H2_FIELDS_MAX) /* one more is content-length */
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        vly_buf_putc(head, (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
    }
    vly_buf_add_str(head, value);
    if (!head->failed)
        h->fields[h->n_fields++] =
            field(head->ptr + at, name.len, head->ptr + at + name.len, value.len);
    return !head->failed;
}

static bool add_fields(vly_load_h2 *h)
{
    const vly_load_target *t = h->base.t->opts.target;
    bool fits = add_field(h, VLY_STR(":method"), t->method.len > 0 ? t->method : VLY_STR("POST")) &&
                add_field(h, VLY_STR(":scheme"), t->is_tls ? VLY_STR("https") : VLY_STR("http")) &&
                add_field(h, VLY_STR(":authority"), t->authority) &&
                add_field(h, VLY_STR(":path"), vly_buf_str(&h->base.path)) &&
                (vly_load_target_has(t, VLY_STR("user-agent")) ||
                 add_field(h, VLY_STR("user-agent"), VLY_STR("volley")));

    for (const char *const *f = h->dialect->fields; fits && *f != NULL; f += 2)
        fits = add_field(h, vly_str_from(f[0]), vly_str_from(f[1]));
    for (size_t i = 0; fits && i < t->n_headers; i++) {
        vly_str value = t->headers[i];
        vly_str name = vly_str_trim(vly_str_split(&value, ':'));
        fits = add_field(h, name, vly_str_trim(value));
    }
    return fits;
}

vly_status vly_load__h2_init(vly_load_conn *c, const vly_load_h2_dialect *dialect, vly_err *err)
{
    vly_load_h2 *h = vly_load__h2(c);

    h->dialect = dialect;
    h->n_streams = h->is_streaming ? 1 : c->max_flying;
    h->streams = vly_calloc(VLY_MEM_NET, h->n_streams, sizeof(*h->streams));
    h->out = vly_alloc(VLY_MEM_NET, OUT_BYTES);
    if (h->streams == NULL || h->out == NULL || c->path.failed ||
        !vly_buf_reserve(&c->head, c->head.max_bytes / 2))
        return vly_fail(err, VLY_ENOMEM, "out of memory for HTTP/2");
    vly_load__h2_close(c); /* all streams are free */
    const char *begin = c->head.ptr;
    if (!add_fields(h) || c->head.ptr != begin)
        return vly_fail(err, VLY_ELIMIT, "headers: too many, or too long");
    return VLY_OK;
}

void vly_load__h2_release(vly_load_conn *c)
{
    vly_load_h2 *h = vly_load__h2(c);

    for (unsigned i = 0; h->streams != NULL && i < h->n_streams; i++)
        vly_grpc_reader_release(&h->streams[i].reader);
    vly_free(h->streams);
    vly_free(h->out);
}
