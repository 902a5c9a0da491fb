/* SPDX-License-Identifier: MIT */
/*
 * One connection: moves bytes between the socket and a protocol, and watches the clock.
 *
 * Which protocol it is the first bytes tell; until they have come there is none, and an idle
 * connection costs its structure alone: input goes straight from the loop's read buffer into the
 * protocol, or from the socket to where a large body will stay; output is gathered from what the
 * protocol holds. The next write begins when the last has ended, so a client that does not read
 * stops at one batch.
 *
 * The end: after the last answer the sending side is shut, and input is thrown away until the
 * client closes too. Closing at once would reset the connection when input is waiting, and the
 * reset can overtake the answer.
 */
#include "net/http_internal.h"

#include "base/assert.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char refused_text[] = "too many connections";

static bool is_draining(const vly_http_conn *c)
{
    return c->loop->drain_ms != 0;
}

/* ---- the end of a connection ---- */

static void on_closed(uv_handle_t *handle)
{
    vly_http_conn *c = handle->data;
    vly_http_loop *loop = c->loop;

    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    loop->n_conns--;
    if (c->proto != NULL)
        c->proto->free(c);
    vly_http__tls_free(c);
    vly_free(c);
    vly_http__conn_gone(loop->server);
    vly_http__loop_end_when_empty(loop);
}

void vly_http__conn_close(vly_http_conn *c)
{
    if (c->state == VLY_HTTP_CONN_CLOSED)
        return;
    c->state = VLY_HTTP_CONN_CLOSED;
    if (c->tls != NULL)
        vly_http__tls_end(c);
    if (c->proto != NULL)
        c->proto->close(c);
    uv_close((uv_handle_t *)&c->tcp, on_closed); /* a write under way ends first, by its callback */
}

static void start_linger(vly_http_conn *c)
{
    int fd;

    if (c->tls != NULL)
        vly_http__tls_end(c);
    if (c->is_eof || uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
        vly_http__conn_close(c);
        return;
    }
    if (c->proto != NULL)
        c->proto->close(c);
    c->state = VLY_HTTP_CONN_LINGER;
    c->since_ms = vly_http__now_ms(c);
}

/* ---- output ---- */

static unsigned collect(vly_http_conn *c, uv_buf_t *bufs)
{
    if (c->tls != NULL)
        return vly_http__tls_collect(c, bufs);
    return c->proto != NULL ? c->proto->collect(c, bufs) : 0;
}

/* What the protocol does then, such as telling the application of room for more, waits for its end
 * before the next write. */
static void written(vly_http_conn *c, bool is_sent)
{
    bool was_busy = c->is_busy;

    c->is_busy = true;
    if (c->tls != NULL)
        vly_http__tls_written(c, is_sent);
    else
        c->proto->written(c, is_sent);
    c->is_busy = was_busy;
}

static void on_written(uv_write_t *write, int status)
{
    vly_http_conn *c = write->data;

    c->is_writing = false;
    written(c, status == 0);
    if (c->state != VLY_HTTP_CONN_OPEN)
        return;
    if (status != 0)
        vly_http__conn_close(c);
    else
        vly_http__conn_pump(c);
}

/* Drops the first `done` bytes from bufs; returns where the rest begins. */
static uv_buf_t *skip_bytes(uv_buf_t *bufs, unsigned *n_bufs, size_t done)
{
    while (*n_bufs > 0 && done >= bufs->len) {
        done -= bufs->len;
        bufs++;
        (*n_bufs)--;
    }
    if (*n_bufs > 0) {
        bufs->base += done;
        bufs->len -= done;
    }
    return bufs;
}

/* Bytes that the client has yet to take: ours and the kernel's. Ours alone would stand still for as
 * long as a slow client needs for a third of the kernel's buffer, megabytes. */
static size_t write_left(const vly_http_conn *c)
{
    int fd, n = 0;

    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0 || ioctl(fd, SIOCOUTQ, &n) != 0 || n < 0)
        n = 0;
    return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) + (size_t)n;
}

/* Sends what is ready; true when all of a batch went out at once, so that there is more to do. */
static bool flush(vly_http_conn *c)
{
    uv_buf_t storage[VLY_HTTP_WRITE_BUFS], *bufs = storage;
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;

    if (c->is_writing || c->state != VLY_HTTP_CONN_OPEN)
        return false;
    unsigned n_bufs = collect(c, bufs);
    size_t total = 0;
    for (unsigned i = 0; i < n_bufs; i++)
        total += bufs[i].len;
    if (n_bufs == 0)
        return false;
    int done = uv_try_write(stream, bufs, n_bufs);
    if (done > 0)
        bufs = skip_bytes(bufs, &n_bufs, (size_t)done);
    vly_counter_add(&vly_http__stats(c)->bytes_out, total);
    if (n_bufs == 0) {
        written(c, true);
        return true;
    }
    c->write.data = c;
    if ((done < 0 && done != UV_EAGAIN) ||
        uv_write(&c->write, stream, bufs, n_bufs, on_written) != 0) {
        written(c, false);
        vly_http__conn_close(c);
        return false;
    }
    c->is_writing = true;
    uv_update_time(&c->loop->uv); /* a large answer may have taken long to make */
    c->progress_ms = vly_http__now_ms(c);
    c->write_left = write_left(c);
    return false;
}

/* ---- input ---- */

bool vly_http__conn_has_input(const vly_http_conn *c)
{
    int fd, n = 0;

    return uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 &&
           n > 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    vly_http_conn *c = handle->data;
    char *to = c->loop->read_buf;
    size_t n = 0;

    (void)suggested;
    if (c->tls == NULL && c->state == VLY_HTTP_CONN_OPEN && c->proto != NULL &&
        c->proto->read_to != NULL)
        n = c->proto->read_to(c, &to);
    *buf = uv_buf_init(to, n > 0 ? (unsigned)n : VLY_HTTP_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* Reading goes on while there is room for its result. */
static void set_reading(vly_http_conn *c)
{
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;

    if (c->is_eof || c->state == VLY_HTTP_CONN_CLOSED)
        return;
    if (c->state == VLY_HTTP_CONN_OPEN && c->proto != NULL && !c->proto->wants_input(c))
        uv_read_stop(stream);
    else if (uv_read_start(stream, on_alloc, on_read) == UV_EINVAL)
        vly_http__conn_close(c);
}

void vly_http__conn_pump(vly_http_conn *c)
{
    if (c->is_busy || c->state != VLY_HTTP_CONN_OPEN)
        return;
    do {
        c->is_busy = true;
        if (c->proto != NULL)
            c->proto->advance(c);
        c->is_busy = false;
    } while (flush(c));
    if (c->state == VLY_HTTP_CONN_OPEN && !c->is_writing &&
        (c->proto != NULL ? c->proto->is_over(c) : c->is_eof))
        start_linger(c);
    set_reading(c);
}

static bool open_proto(vly_http_conn *c, const vly_http_proto *proto)
{
    if (!proto->open(c)) {
        vly_http__conn_close(c);
        return false;
    }
    c->proto = proto;
    return true;
}

static void feed(vly_http_conn *c, vly_str in)
{
    if (in.len > 0 && c->state == VLY_HTTP_CONN_OPEN)
        c->proto->feed(c, in);
}

/* What an HTTP/2 client says first (RFC 9113 3.4): made to be no HTTP/1 request. */
static const vly_str preface = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24};

/* Opens the protocol that the first bytes are of. False: they are too few to tell, or it could not
 * be opened. What came before `in` is fed to it, for being known it was not kept. */
static bool choose_proto(vly_http_conn *c, vly_str in)
{
    unsigned before = c->n_preface, n = 0;
    const vly_http_proto *proto = &vly_http__proto_http1;

    while (n < in.len && before + n < preface.len && in.ptr[n] == preface.ptr[before + n])
        n++;
    if (vly_http__opts(c)->http2_max_streams > 0) {
        if (before + n == preface.len) {
            proto = &vly_http__proto_http2;
        } else if (n == in.len) {
            if (before == 0)
                c->since_ms = vly_http__now_ms(c);
            c->n_preface += n;
            return false;
        }
    }
    if (!open_proto(c, proto))
        return false;
    feed(c, (vly_str){preface.ptr, before});
    return true;
}

/* Plaintext of HTTP has come. */
static void take_input(vly_http_conn *c, vly_str in)
{
    c->is_busy = true;
    if (c->proto != NULL || choose_proto(c, in))
        feed(c, in);
    c->is_busy = false;
}

/* Answers and ends a connection whose protocol is not known, in the language that all clients
 * understand. */
static void refuse(vly_http_conn *c, int status, const char *reason)
{
    if (c->proto == NULL && open_proto(c, &vly_http__proto_http1))
        vly_http__http1_refuse(c, status, reason);
}

static void on_eof(vly_http_conn *c)
{
    c->is_eof = true;
    if (c->state == VLY_HTTP_CONN_LINGER) {
        vly_http__conn_close(c);
        return;
    }
    if (c->proto != NULL)
        c->proto->eof(c);
    vly_http__conn_pump(c);
}

/* Plaintext of in; ends the connection when there is none to come. */
static vly_str decrypt(vly_http_conn *c, vly_str in)
{
    if (vly_http__tls_is_plain_http(c, in)) {
        vly_http__tls_free(c);
        refuse(c, 400, "this port speaks HTTPS, and the request came as plain HTTP");
        return (vly_str){NULL, 0};
    }
    if (!vly_http__tls_decrypt(c, in, &in)) {
        vly_http__conn_close(c);
        return (vly_str){NULL, 0};
    }
    if (c->is_refused && vly_http__tls_state(c) != VLY_TLS_HANDSHAKE)
        refuse(c, 503, refused_text);
    return in;
}

static void on_bytes(vly_http_conn *c, vly_str in)
{
    vly_counter_add(&vly_http__stats(c)->bytes_in, in.len);
    if (c->state != VLY_HTTP_CONN_OPEN)
        return;
    if (c->tls != NULL)
        in = decrypt(c, in);
    if (c->state == VLY_HTTP_CONN_OPEN && in.len > 0)
        take_input(c, in);
    if (c->tls != NULL && !c->is_eof && vly_http__tls_state(c) == VLY_TLS_ENDED)
        on_eof(c);
    else
        vly_http__conn_pump(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    vly_http_conn *c = stream->data;

    if (n > 0)
        on_bytes(c, (vly_str){buf->base, (size_t)n});
    else if (n == UV_EOF)
        on_eof(c);
    else if (n < 0)
        vly_http__conn_close(c);
}

/* ---- time ---- */

static bool is_write_stuck(vly_http_conn *c, uint64_t now)
{
    size_t left = write_left(c);

    if (left != c->write_left) {
        c->write_left = left;
        c->progress_ms = now;
    }
    return now - c->progress_ms >= vly_http__opts(c)->write_timeout_ms;
}

bool vly_http__conn_is_stale(const vly_http_conn *c, uint64_t now)
{
    uint64_t since = c->loop->drain_ms > c->since_ms ? c->loop->drain_ms : c->since_ms;
    uint64_t timeout = vly_http__opts(c)->idle_timeout_ms;

    if (is_draining(c) && timeout > VLY_HTTP_DRAIN_GRACE_MS)
        timeout = VLY_HTTP_DRAIN_GRACE_MS;
    return now >= since + timeout; /* since may be a millisecond ahead */
}

static bool is_late(vly_http_conn *c, uint64_t now)
{
    if (c->state == VLY_HTTP_CONN_LINGER)
        return now - c->since_ms >= VLY_HTTP_LINGER_MS;
    if (c->is_writing)
        return is_write_stuck(c, now);
    if (c->tls != NULL && vly_http__tls_state(c) == VLY_TLS_HANDSHAKE)
        return now - c->since_ms >= vly_http__opts(c)->header_timeout_ms;
    return c->proto == NULL && c->n_preface == 0 && vly_http__conn_is_stale(c, now);
}

void vly_http__conn_sweep(vly_http_conn *c, uint64_t now)
{
    if (c->state == VLY_HTTP_CONN_CLOSED)
        return;
    if (is_late(c, now))
        vly_http__conn_close(c);
    else if (c->state == VLY_HTTP_CONN_OPEN && c->proto != NULL)
        c->proto->sweep(c, now);
    else if (c->proto == NULL && c->n_preface > 0 &&
             now - c->since_ms >= vly_http__opts(c)->header_timeout_ms) {
        refuse(c, 408, "the request header came too slowly");
        vly_http__conn_pump(c);
    }
}

/* ---- the beginning ---- */

void vly_http__conn_open(vly_http_conn *c)
{
    vly_http_loop *loop = c->loop;

    uv_tcp_init(&loop->uv, &c->tcp);
    c->tcp.data = c;
    c->next = loop->conns;
    c->link = &loop->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    loop->conns = c;
    loop->n_conns++;
    vly_http__loop_watch(loop);
    c->since_ms = vly_http__now_ms(c);
    if (uv_tcp_open(&c->tcp, c->fd) != 0) {
        close(c->fd);
        vly_http__conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    if (vly_http__opts(c)->tls != NULL && !vly_http__tls_open(c))
        vly_http__conn_close(c);
    else if (c->is_refused && c->tls == NULL)
        refuse(c, 503, refused_text);
    vly_http__conn_pump(c);
}
