/* SPDX-License-Identifier: MIT */
#include "net/http2_internal.h"
#include "net/http_stream_internal.h"

#include "base/assert.h"

#define OUT_MAX_BYTES  ((size_t)4 * 1024 * 1024) /* of frames in one batch, payloads apart */
#define OUT_MAX_FRAMES 4096 /* that wait for a client who does not read: it is not read either */
#define OUT_KEEP_BYTES ((size_t)16 * 1024) /* a larger buffer is not kept */

void vly_http2__check(vly_http2 *h, int rc)
{
    if (nghttp2_is_fatal(rc))
        h->is_lost = true;
}

void vly_http2__reset(vly_http2 *h, int32_t stream_id, uint32_t error)
{
    vly_http2__check(h, nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, stream_id, error));
}

/* ---- exchanges ---- */

void vly_http2__link(vly_http2 *h, vly_http_exchange *ex)
{
    ex->next = h->exchanges;
    ex->h2.link = &h->exchanges;
    if (ex->next != NULL)
        ex->next->h2.link = &ex->next;
    h->exchanges = ex;
    h->n_exchanges++;
}

static void unlink_exchange(vly_http2 *h, vly_http_exchange *ex)
{
    *ex->h2.link = ex->next;
    if (ex->next != NULL)
        ex->next->h2.link = ex->h2.link;
    h->n_exchanges--;
}

void vly_http2__retire(vly_http2 *h, vly_http_exchange *ex)
{
    unlink_exchange(h, ex);
    ex->next = h->done;
    h->done = ex;
    h->n_done++;
}

/* No write that shows them is under way. */
static void release_done(vly_http2 *h, bool is_sent)
{
    vly_nsec now = is_sent && h->done != NULL ? vly_clock_now() : 0;

    while (h->done != NULL) {
        vly_http_exchange *ex = h->done;
        h->done = ex->next;
        ex->sent_ns = ex->h2.is_whole ? now : 0;
        vly_http__exchange_put(ex);
    }
    h->n_done = 0;
}

/* ---- the beginning ---- */

static int make_session(vly_http2 *h)
{
    nghttp2_mem mem = vly_http2_mem_of(&h->mem);
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;

    int rc = nghttp2_session_callbacks_new(&callbacks);
    if (rc == 0)
        rc = nghttp2_option_new(&option);
    if (rc == 0) {
        vly_http2__set_input(callbacks);
        vly_http2__set_output(callbacks);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        rc = nghttp2_session_server_new3(&h->ng, callbacks, h, option, &mem);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return rc;
}

static int send_settings(vly_http2 *h)
{
    const vly_http_opts *o = vly_http__opts(h->conn);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->http2_max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)o->http2_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)o->limits.max_header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int rc = nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, VLY_COUNT(settings));
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0,
                                                   (int32_t)o->http2_conn_window_bytes);
    return rc;
}

static bool http2_open(vly_http_conn *c)
{
    vly_http2 *h = vly_calloc(VLY_MEM_NET, 1, sizeof(*h));

    if (h == NULL)
        return false;
    h->conn = c;
    vly_http__queue_init(&h->leaving);
    h->noise_left = vly_http__opts(c)->http2_max_noise;
    h->noise_ms = h->input_ms = h->ping_ms = c->since_ms = vly_http__now_ms(c);
    vly_buf_init(&h->out, VLY_MEM_NET, OUT_MAX_BYTES);
    if (make_session(h) != 0 || send_settings(h) != 0) {
        vly_http2_mem_end(&h->mem, h->ng);
        vly_free(h);
        return false;
    }
    c->session = h;
    return true;
}

/* ---- bytes ---- */

static void http2_feed(vly_http_conn *c, vly_str in)
{
    vly_http2 *h = vly_http2__of(c);

    if (vly_http2__is_lost(h))
        return;
    h->input_ms = h->ping_ms = vly_http__now_ms(c);
    /* Broken rules of HTTP/2 are answered with GOAWAY by nghttp2; an error here is a flood, bytes
     * that are no HTTP/2 at all, or no memory. */
    if (nghttp2_session_mem_recv(h->ng, (const uint8_t *)in.ptr, in.len) < 0)
        h->is_lost = true;
}

static void http2_eof(vly_http_conn *c)
{
    vly_http2 *h = vly_http2__of(c);

    for (vly_http_exchange *ex = h->exchanges, *next; ex != NULL; ex = next) {
        next = ex->next;
        if ((ex->req.received_ns == 0 && !ex->is_answered) || ex->stream != NULL)
            vly_http2__reset(h, ex->h2.stream_id, NGHTTP2_CANCEL);
        else if (!ex->is_answered && vly_http__opts(c)->abort_on_close)
            atomic_store(&ex->req.is_cancelled, true);
    }
}

/* What has come of streams is answered; without this an idle one would keep its connection. Their
 * ends are posted, so the list stands. */
static void end_streams(vly_http2 *h)
{
    for (vly_http_exchange *ex = h->exchanges; ex != NULL; ex = ex->next)
        if (ex->stream != NULL && vly_grpc_reader_is_between(&ex->stream->reader))
            vly_http__stream_half_close(ex->stream);
}

/* Graceful: first a GOAWAY that refuses nothing, and after the time for requests on their way the
 * one that does. */
static void go_away(vly_http2 *h)
{
    uint64_t now = vly_http__now_ms(h->conn);

    if (h->goaway_ms == 0) {
        vly_http2__check(h, nghttp2_submit_shutdown_notice(h->ng));
        h->goaway_ms = now + 1; /* + 1: never 0 */
    } else if (!h->is_goaway_sent && now >= h->goaway_ms + VLY_HTTP_DRAIN_GRACE_MS / 2) {
        vly_http2__check(h, nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
                                                  nghttp2_session_get_last_proc_stream_id(h->ng),
                                                  NGHTTP2_NO_ERROR, NULL, 0));
        h->is_goaway_sent = true;
        end_streams(h);
    }
}

static void http2_advance(vly_http_conn *c)
{
    vly_http2 *h = vly_http2__of(c);

    if (c->loop->drain_ms != 0 && !vly_http2__is_lost(h))
        go_away(h);
    if (!h->is_leaving)
        release_done(h, false);
}

static void http2_written(vly_http_conn *c, bool is_sent)
{
    vly_http2 *h = vly_http2__of(c);

    h->is_leaving = false;
    vly_http__queue_release(&h->leaving);
    if (h->out.cap > OUT_KEEP_BYTES)
        vly_buf_release(&h->out);
    vly_buf_clear(&h->out);
    if (h->done != NULL)
        c->since_ms = vly_http__now_ms(c);
    release_done(h, is_sent);
}

static void http2_answered(vly_http_conn *c, vly_http_exchange *ex)
{
    vly_http2 *h = vly_http2__of(c);

    if (ex->h2.stream_id == 0)
        vly_http2__retire(h, ex); /* cancelled meanwhile */
    else
        vly_http2__submit(h, ex);
}

static bool http2_wants_input(const vly_http_conn *c)
{
    const vly_http2 *h = vly_http2__of(c);

    /* Windows bound the bodies that come, but not what is done with and waits for a write. */
    return !c->is_writing || vly_http2__is_lost(h) ||
           (h->n_done < vly_http__opts(c)->http2_max_streams &&
            nghttp2_session_get_outbound_queue_size(h->ng) < OUT_MAX_FRAMES);
}

static bool awaits_answer(const vly_http2 *h)
{
    for (const vly_http_exchange *ex = h->exchanges; ex != NULL; ex = ex->next)
        if (!ex->is_answered && ex->h2.stream_id != 0)
            return true;
    return false;
}

static bool http2_is_over(const vly_http_conn *c)
{
    const vly_http2 *h = vly_http2__of(c);

    /* An answer that has not left by now waits for a window, which nobody will send any more. */
    if (vly_http2__is_lost(h) || (c->is_eof && !awaits_answer(h)))
        return true;
    return nghttp2_session_want_read(h->ng) == 0 && nghttp2_session_want_write(h->ng) == 0;
}

/* ---- time ---- */

static bool is_request_late(const vly_http_conn *c, const vly_http_exchange *ex, uint64_t now)
{
    const vly_http_opts *o = vly_http__opts(c);
    uint64_t timeout = o->body_timeout_ms + ex->req.msg.body.len / o->body_min_rate * 1000;

    if (ex->req.msg.path.len == 0)
        timeout = o->header_timeout_ms;
    return ex->req.received_ns == 0 && now - ex->h2.since_ms >= timeout;
}

/* The client takes nothing of the answer; or has all of it, and does not end its request. Resetting
 * the stream right behind the answer would make some clients throw the answer away. */
static bool is_answer_late(const vly_http_conn *c, const vly_http_exchange *ex, uint64_t now)
{
    uint64_t timeout = vly_http__opts(c)->write_timeout_ms;

    if (ex->h2.body_left == 0 && timeout > VLY_HTTP_LINGER_MS)
        timeout = VLY_HTTP_LINGER_MS;
    return now - ex->h2.since_ms >= timeout;
}

static bool is_stream_stuck(const vly_http_conn *c, const vly_http_exchange *ex, uint64_t now)
{
    return ex->stream != NULL && ex->stream->queue_bytes > 0 &&
           now - ex->h2.since_ms >= vly_http__opts(c)->write_timeout_ms;
}

static void sweep_exchange(vly_http2 *h, vly_http_exchange *ex, uint64_t now)
{
    if (ex->h2.stream_id == 0)
        return;
    if (!ex->is_answered && is_request_late(h->conn, ex, now))
        vly_http2__refuse(h, ex, 408,
                          ex->req.msg.path.len == 0 ? "the request header came too slowly"
                                                    : "the request body came too slowly");
    else if (is_stream_stuck(h->conn, ex, now))
        vly_http2__reset(h, ex->h2.stream_id, NGHTTP2_CANCEL);
    else if (ex->is_answered && is_answer_late(h->conn, ex, now))
        vly_http2__reset(h, ex->h2.stream_id,
                         ex->h2.body_left == 0 ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
}

/* A client with requests in work, which says nothing, may have vanished. False: it has. */
static bool check_alive(vly_http2 *h, uint64_t now)
{
    const vly_http_opts *o = vly_http__opts(h->conn);

    if (h->exchanges == NULL || o->stream_max_message_bytes == 0)
        return true;
    if (!http2_wants_input(h->conn))
        h->input_ms = h->ping_ms = now; /* it may talk, and is not listened to */
    if (now - h->ping_ms >= o->stream_ping_ms) {
        vly_http2__check(h, nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL));
        h->ping_ms = now;
    }
    return now - h->input_ms < o->stream_idle_ms;
}

static void http2_sweep(vly_http_conn *c, uint64_t now)
{
    vly_http2 *h = vly_http2__of(c);

    if (!check_alive(h, now)) {
        vly_http__conn_close(c);
        return;
    }
    if (h->exchanges == NULL && !c->is_writing && vly_http__conn_is_stale(c, now))
        vly_http2__check(h, nghttp2_session_terminate_session(h->ng, NGHTTP2_NO_ERROR));
    for (vly_http_exchange *ex = h->exchanges, *next; ex != NULL; ex = next) {
        next = ex->next;
        sweep_exchange(h, ex, now);
    }
    vly_http__conn_pump(c);
}

/* ---- the end ---- */

static void http2_close(vly_http_conn *c)
{
    vly_http2 *h = vly_http2__of(c);

    for (vly_http_exchange *ex = h->exchanges, *next; ex != NULL; ex = next) {
        next = ex->next;
        ex->h2.stream_id = 0;
        if (ex->stream != NULL) {
            vly_http2__stream_close(h, ex);
        } else if (ex->is_answered || ex->req.received_ns == 0) {
            vly_http2__retire(h, ex);
        } else {
            unlink_exchange(h, ex);
            ex->conn = NULL;
            atomic_store(&ex->req.is_cancelled, true);
        }
    }
    if (!h->is_leaving) {
        vly_http__queue_release(&h->leaving);
        release_done(h, false);
    }
}

static void http2_free(vly_http_conn *c)
{
    vly_http2 *h = vly_http2__of(c);

    vly_http__queue_release(&h->leaving);
    release_done(h, false);
    VLY_ASSERT(h->exchanges == NULL);
    vly_http2_mem_end(&h->mem, h->ng);
    vly_buf_release(&h->out);
    vly_free(h);
}

const vly_http_proto vly_http__proto_http2 = {
    .open = http2_open,
    .feed = http2_feed,
    .eof = http2_eof,
    .advance = http2_advance,
    .collect = vly_http2__collect,
    .written = http2_written,
    .answered = http2_answered,
    .accepted = vly_http2__stream_accepted,
    .stream_turn = vly_http2__stream_turn,
    .wants_input = http2_wants_input,
    .is_over = http2_is_over,
    .sweep = http2_sweep,
    .close = http2_close,
    .free = http2_free,
};
