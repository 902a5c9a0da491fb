/* SPDX-License-Identifier: MIT */
/*
 * Answers to frames. What nghttp2 serialises is copied into h->out, and so are short payloads; a
 * long one is a buffer of its own, which points into the answer.
 */
#include "base/assert.h"
#include "net/http2_internal.h"

#include <stdio.h>
#include <string.h>

#define BATCH_BYTES      ((size_t)1024 * 1024) /* the frame that passes it ends a batch */
#define COPY_BYTES       ((size_t)2048)        /* a shorter payload costs less copied than apart */
#define FRAME_HEAD_BYTES 9
#define FRAME_MAX_BYTES  ((size_t)256 * 1024) /* of DATA, should the client allow it */
#define FRAME_BUFS_MAX   (VLY_HTTP_MAX_PARTS + 1)
#define FIELDS_MAX       64

/* ---- the batch ---- */

static bool has_room(const vly_http2 *h)
{
    return h->n_bytes < BATCH_BYTES && h->n_bufs + FRAME_BUFS_MAX <= VLY_HTTP_WRITE_BUFS;
}

void vly_http2__add_copy(vly_http2 *h, const void *bytes, size_t n)
{
    vly_buf_add(&h->out, bytes, n);
    h->n_bytes += n;
    if (h->n_bufs > 0 && h->bufs[h->n_bufs - 1].base == NULL)
        h->bufs[h->n_bufs - 1].len += n;
    else
        h->bufs[h->n_bufs++] = (uv_buf_t){.len = n};
}

void vly_http2__add_piece(vly_http2 *h, char *bytes, size_t n)
{
    /* The last slot is for copies, which join: messages of a stream may be many in a frame. */
    if (n <= COPY_BYTES || h->n_bufs + 2 > VLY_HTTP_WRITE_BUFS) {
        vly_http2__add_copy(h, bytes, n);
        return;
    }
    h->bufs[h->n_bufs++] = (uv_buf_t){.base = bytes, .len = n};
    h->n_bytes += n;
}

/* out moves no more: its buffers get their addresses. */
static void place_copies(vly_http2 *h)
{
    char *at = h->out.ptr;

    for (unsigned i = 0; i < h->n_bufs; i++) {
        if (h->bufs[i].base != NULL)
            continue;
        h->bufs[i].base = at;
        at += h->bufs[i].len;
    }
}

unsigned vly_http2__collect(vly_http_conn *c, uv_buf_t *bufs)
{
    vly_http2 *h = vly_http2__of(c);
    ssize_t n = 0;

    h->bufs = bufs;
    h->n_bufs = 0;
    h->n_bytes = 0;
    while (!vly_http2__is_lost(h) && has_room(h)) {
        const uint8_t *bytes;
        n = nghttp2_session_mem_send(h->ng, &bytes);
        if (n <= 0)
            break;
        vly_http2__add_copy(h, bytes, (size_t)n);
    }
    if (n < 0 || h->out.failed) {
        vly_http__conn_close(c);
        return 0;
    }
    place_copies(h);
    h->is_leaving = h->n_bufs > 0;
    return h->n_bufs;
}

/* ---- bodies ---- */

static void add_trailers(vly_http2 *h, vly_http_exchange *ex);

/* How much of the answer goes into this frame; send_data fetches the bytes. */
static ssize_t read_body(nghttp2_session *ng, int32_t stream_id, uint8_t *to, size_t cap,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    vly_http_exchange *ex = source->ptr;
    size_t n = ex->h2.body_left < cap ? ex->h2.body_left : cap;
    (void)ng;
    (void)stream_id;
    (void)to;

    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == ex->h2.body_left) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (ex->n_trailers > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            add_trailers(user, ex);
        }
    }
    return (ssize_t)n;
}

static void frame_parts(vly_http2 *h, vly_http_exchange *ex, size_t n)
{
    ex->h2.body_left -= n;
    while (n > 0) {
        const vly_buf *part = &ex->parts[ex->h2.part];
        size_t left = part->len - ex->h2.part_pos, piece = left < n ? left : n;
        if (piece > 0)
            vly_http2__add_piece(h, part->ptr + ex->h2.part_pos, piece);
        n -= piece;
        ex->h2.part_pos += piece;
        if (ex->h2.part_pos == part->len) {
            ex->h2.part++;
            ex->h2.part_pos = 0;
        }
    }
}

static int send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *frame_head, size_t n,
                     nghttp2_data_source *source, void *user)
{
    vly_http2 *h = user;
    vly_http_exchange *ex = source->ptr;
    (void)ng;
    (void)frame; /* never padded */

    if (!has_room(h))
        return NGHTTP2_ERR_WOULDBLOCK;
    vly_http2__add_copy(h, frame_head, FRAME_HEAD_BYTES);
    ex->bytes_out += n;
    ex->h2.since_ms = vly_http__now_ms(h->conn);
    if (ex->stream != NULL)
        vly_http2__stream_frame(h, ex, n);
    else
        frame_parts(h, ex, n);
    return h->out.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static ssize_t frame_length(nghttp2_session *ng, uint8_t type, int32_t stream_id,
                            int32_t conn_window, int32_t stream_window, uint32_t max_frame,
                            void *user)
{
    size_t n = FRAME_MAX_BYTES;
    (void)ng;
    (void)type;
    (void)stream_id;
    (void)user;

    if (n > max_frame)
        n = max_frame;
    if (conn_window > 0 && n > (size_t)conn_window)
        n = (size_t)conn_window;
    if (stream_window > 0 && n > (size_t)stream_window)
        n = (size_t)stream_window;
    return (ssize_t)n;
}

/* ---- heads ---- */

nghttp2_nv vly_http2__field(vly_str name, vly_str value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.ptr,
                        .value = (uint8_t *)(uintptr_t)value.ptr,
                        .namelen = name.len,
                        .valuelen = value.len};
}

static const char *next_text(const char *at, vly_str *ret)
{
    *ret = (vly_str){at, strlen(at)};
    return at + ret->len + 1;
}

/* Fills nv from n pairs that begin at `at`; returns what stands behind them. */
static const char *read_fields(const char *at, size_t n, nghttp2_nv *nv)
{
    for (size_t i = 0; i < n; i++) {
        vly_str name, value;
        at = next_text(at, &name);
        at = next_text(at, &value);
        nv[i] = vly_http2__field(name, value);
    }
    return at;
}

static void add_trailers(vly_http2 *h, vly_http_exchange *ex)
{
    nghttp2_nv nv[FIELDS_MAX];
    const char *at = read_fields(ex->head.ptr, ex->n_fields, nv);

    read_fields(at, ex->n_trailers, nv);
    vly_http2__check(h, nghttp2_submit_trailer(h->ng, ex->h2.stream_id, nv, ex->n_trailers));
}

void vly_http2__submit(vly_http2 *h, vly_http_exchange *ex)
{
    nghttp2_nv nv[FIELDS_MAX + 2];
    char status[16];
    nghttp2_data_provider body = {.source.ptr = ex, .read_callback = read_body};
    bool has_body = vly_http__exchange_has_body(ex);

    if (ex->head.failed) { /* no memory for a few bytes: nothing sensible can be sent */
        vly_http2__reset(h, ex->h2.stream_id, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    VLY_ASSERT(ex->n_fields <= FIELDS_MAX && ex->n_trailers <= FIELDS_MAX);
    vly_counter_add(&vly_http__stats(h->conn)->responses[ex->status / 100], 1);
    snprintf(status, sizeof(status), "%d", ex->status);
    nv[0] = vly_http2__field(VLY_STR(":status"), vly_str_from(status));
    nv[1] = vly_http2__field(VLY_STR("date"), vly_str_from(vly_http__date(h->conn->loop)));
    read_fields(ex->head.ptr, ex->n_fields, nv + 2);
    ex->h2.body_left = has_body ? vly_http__exchange_body_len(ex) : 0;
    ex->bytes_out = ex->head.len;
    ex->h2.since_ms = vly_http__now_ms(h->conn);
    bool is_bare = ex->h2.body_left == 0 && ex->n_trailers == 0;
    vly_http2__check(h, nghttp2_submit_response(h->ng, ex->h2.stream_id, nv, ex->n_fields + 2,
                                                is_bare ? NULL : &body));
}

void vly_http2__set_output(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, frame_length);
}
