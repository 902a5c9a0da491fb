/* SPDX-License-Identifier: MIT */
/*
 * One connection: reads, cuts requests, sends answers in order, watches the clock.
 *
 * Input goes straight from the loop's read buffer into the parser. When max_pipelined requests are
 * in work, what is left waits in `unread` and reading stops, so the kernel holds the client back.
 * Output: all answers ready at the head of the queue leave in one gathered write; the next write
 * begins when the last has ended, so a client that does not read stops at one batch.
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
#include <time.h>
#include <unistd.h>

#define WRITE_BUFS_MAX    64
#define EXCHANGE_BUFS_MAX (VLY_HTTP_MAX_PARTS + 1) /* with its head */

static uint64_t now_ms(const vly_http_conn *c)
{
    return uv_now(&c->loop->uv);
}

static vly_http_stats *stats_of(const vly_http_conn *c)
{
    return &c->loop->server->stats;
}

static const vly_http_opts *opts_of(const vly_http_conn *c)
{
    return &c->loop->server->opts;
}

static bool is_draining(const vly_http_conn *c)
{
    return c->loop->drain_ms != 0;
}

/* ---- the end of a connection ---- */

static void on_closed(uv_handle_t *handle)
{
    vly_http_conn *c = handle->data;
    vly_http_loop *loop = c->loop;

    VLY_ASSERT(c->queue == NULL && c->writing == NULL && c->incoming == NULL);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    loop->n_conns--;
    vly_buf_release(&c->unread);
    vly_free(c);
    vly_http__conn_gone(loop->server);
    vly_http__loop_end_when_empty(loop);
}

/* Gives back the answered exchanges; those still out forget the connection. */
static void drop_queue(vly_http_conn *c)
{
    for (vly_http_exchange *ex = c->queue, *next; ex != NULL; ex = next) {
        next = ex->next;
        c->n_queued--;
        if (ex->is_answered) {
            vly_http__exchange_put(ex);
        } else {
            ex->conn = NULL;
            atomic_store(&ex->req.is_cancelled, true);
        }
    }
    c->queue = NULL;
    c->queue_tail = &c->queue;
}

static void drop_incoming(vly_http_conn *c)
{
    if (c->incoming == NULL)
        return;
    c->parser.msg = NULL;
    vly_http__exchange_put(c->incoming);
    c->incoming = NULL;
}

void vly_http__conn_close(vly_http_conn *c)
{
    if (c->state == VLY_HTTP_CONN_CLOSED)
        return;
    c->state = VLY_HTTP_CONN_CLOSED;
    drop_incoming(c);
    drop_queue(c);
    uv_close((uv_handle_t *)&c->tcp, on_closed); /* a write under way ends first, by its callback */
}

static void start_linger(vly_http_conn *c)
{
    int fd;

    drop_incoming(c);
    if (c->is_eof || uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
        vly_http__conn_close(c);
        return;
    }
    c->state = VLY_HTTP_CONN_LINGER;
    c->since_ms = now_ms(c);
}

/* ---- output ---- */

static const char *date_header(vly_http_loop *loop)
{
    time_t now = time(NULL);
    struct tm tm;

    if (now != loop->date_s) {
        gmtime_r(&now, &tm);
        strftime(loop->date, sizeof(loop->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        loop->date_s = now;
    }
    return loop->date;
}

/* True when the client has sent, or is sending, something behind the requests in the queue. */
static bool has_input(const vly_http_conn *c)
{
    int fd, n = 0;

    if (c->incoming != NULL || c->unread.len > c->unread_pos)
        return true;
    return uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 &&
           n > 0;
}

/* Ends the head of ex, once it is known whether the connection goes on. */
static void end_head(vly_http_conn *c, vly_http_exchange *ex)
{
    vly_buf *head = &ex->head;

    if (is_draining(c) && ex->next == NULL && !has_input(c))
        ex->is_last = c->has_last = true;
    vly_buf_puts(head, date_header(c->loop));
    if (ex->is_last)
        vly_buf_puts(head, "Connection: close\r\n");
    else if (ex->req.msg.minor_version == 0)
        vly_buf_puts(head, "Connection: keep-alive\r\n");
    vly_buf_puts(head, "\r\n");
}

static unsigned add_bufs(const vly_http_exchange *ex, uv_buf_t *bufs)
{
    bool has_body = ex->req.msg.method != VLY_HTTP_HEAD && ex->status != 204 && ex->status != 304;
    unsigned n = 0;

    bufs[n++] = uv_buf_init(ex->head.ptr, (unsigned)ex->head.len);
    for (size_t i = 0; has_body && i < ex->n_parts; i++)
        if (ex->parts[i].len > 0)
            bufs[n++] = (uv_buf_t){.base = ex->parts[i].ptr, .len = ex->parts[i].len};
    return n;
}

/* Moves the answered exchanges at the head of the queue to `writing`; returns how many buffers they
 * make, 0 for none. */
static unsigned gather(vly_http_conn *c, uv_buf_t *bufs)
{
    vly_http_exchange **tail = &c->writing;
    unsigned n = 0;

    while (c->queue != NULL && c->queue->is_answered && n + EXCHANGE_BUFS_MAX <= WRITE_BUFS_MAX) {
        vly_http_exchange *ex = c->queue;
        end_head(c, ex);
        if (ex->head.failed) { /* no memory for a few bytes: nothing sensible can be sent */
            vly_http__conn_close(c);
            return 0;
        }
        c->queue = ex->next;
        if (c->queue == NULL)
            c->queue_tail = &c->queue;
        *tail = ex;
        tail = &ex->next;
        *tail = NULL;
        n += add_bufs(ex, bufs + n);
        vly_counter_add(&stats_of(c)->responses[ex->status / 100], 1);
    }
    return n;
}

/* The batch is with the kernel, or lost. */
static void release_writing(vly_http_conn *c)
{
    while (c->writing != NULL) {
        vly_http_exchange *ex = c->writing;
        c->writing = ex->next;
        c->n_queued--;
        vly_http__exchange_put(ex);
    }
    if (c->incoming == NULL)
        c->since_ms = now_ms(c);
}

static void on_written(uv_write_t *write, int status)
{
    vly_http_conn *c = write->data;

    c->is_writing = false;
    release_writing(c);
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
    uv_buf_t storage[WRITE_BUFS_MAX], *bufs = storage;
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;

    if (c->is_writing || c->state != VLY_HTTP_CONN_OPEN)
        return false;
    unsigned n_bufs = gather(c, bufs);
    size_t total = 0;
    for (unsigned i = 0; i < n_bufs; i++)
        total += bufs[i].len;
    if (total == 0)
        return false;
    int done = uv_try_write(stream, bufs, n_bufs);
    if (done > 0)
        bufs = skip_bytes(bufs, &n_bufs, (size_t)done);
    vly_counter_add(&stats_of(c)->bytes_out, total);
    if (n_bufs == 0) {
        release_writing(c);
        return true;
    }
    c->write.data = c;
    if ((done < 0 && done != UV_EAGAIN) ||
        uv_write(&c->write, stream, bufs, n_bufs, on_written) != 0) {
        release_writing(c);
        vly_http__conn_close(c);
        return false;
    }
    c->is_writing = true;
    uv_update_time(&c->loop->uv); /* a large answer may have taken long to make */
    c->progress_ms = now_ms(c);
    c->write_left = write_left(c);
    return false;
}

/* ---- input ---- */

static void enqueue(vly_http_conn *c, vly_http_exchange *ex)
{
    ex->conn = c;
    ex->next = NULL;
    *c->queue_tail = ex;
    c->queue_tail = &ex->next;
    c->n_queued++;
    if (ex->is_last)
        c->has_last = true;
}

/* The incoming request, or none in particular, is answered with an error, and is the last. */
static void fail(vly_http_conn *c, int status, const char *reason)
{
    vly_http_exchange *ex = c->incoming != NULL ? c->incoming : vly_http__exchange_take(c->loop);

    c->incoming = NULL;
    c->parser.msg = NULL;
    vly_counter_add(&stats_of(c)->parse_errors, 1);
    if (ex == NULL) {
        vly_http__conn_close(c);
        return;
    }
    vly_http__exchange_error(ex, status, reason);
    ex->is_answered = true;
    ex->is_last = true;
    enqueue(c, ex);
}

static void hand_over(vly_http_conn *c)
{
    vly_http_exchange *ex = c->incoming;

    c->incoming = NULL;
    c->since_ms = now_ms(c);
    ex->is_last = !ex->req.msg.keep_alive;
    ex->req.received_ns = vly_clock_now();
    enqueue(c, ex);
    c->loop->n_out++;
    vly_counter_add(&stats_of(c)->requests, 1);
    opts_of(c)->on_request(opts_of(c)->ctx, &ex->req);
}

/* Blank lines between requests are allowed (RFC 9112 2.2) and begin nothing. */
static vly_str skip_blank_lines(vly_str in)
{
    while (in.len > 0 && (*in.ptr == '\r' || *in.ptr == '\n')) {
        in.ptr++;
        in.len--;
    }
    return in;
}

static bool begin_message(vly_http_conn *c)
{
    c->incoming = vly_http__exchange_take(c->loop);
    if (c->incoming == NULL) {
        vly_http__conn_close(c);
        return false;
    }
    vly_http1_begin(&c->parser, &c->incoming->req.msg);
    c->since_ms = now_ms(c);
    return true;
}

/* Parses until the input is used up or no further request may be taken; returns what is left. */
static vly_str parse(vly_http_conn *c, vly_str in)
{
    while (c->state == VLY_HTTP_CONN_OPEN && !c->has_last) {
        size_t used;
        if (c->incoming == NULL) {
            in = skip_blank_lines(in);
            if (in.len == 0 || c->n_queued >= opts_of(c)->max_pipelined || !begin_message(c))
                break;
        }
        bool was_in_body = c->parser.is_in_body;
        vly_http1_event event = vly_http1_feed(&c->parser, in, &used);
        in = (vly_str){in.ptr + used, in.len - used};
        if (event == VLY_HTTP1_MESSAGE)
            hand_over(c);
        else if (event == VLY_HTTP1_ERROR)
            fail(c, c->parser.status, c->parser.reason);
        else if (!was_in_body && c->parser.is_in_body)
            c->since_ms = now_ms(c);
        if (event == VLY_HTTP1_MORE)
            break;
    }
    return in;
}

/* Asks for the body of a client that waits, once no earlier answer is due on the wire. */
static void send_continue(vly_http_conn *c)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init(text, sizeof(text) - 1);

    if (c->incoming == NULL || !c->parser.wants_continue || c->n_queued > 0)
        return;
    c->parser.wants_continue = false;
    c->since_ms = now_ms(c);
    /* The line is free, so the kernel takes 25 bytes; should it not, a client that never gets the
     * hint sends its body after a while, as RFC 9110 10.1.1 asks of it. */
    if (uv_try_write((uv_stream_t *)&c->tcp, &buf, 1) > 0)
        vly_counter_add(&stats_of(c)->bytes_out, buf.len);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    vly_http_conn *c = handle->data;
    (void)suggested;
    *buf = uv_buf_init(c->loop->read_buf, VLY_HTTP_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* Reading goes on while there is room for its result. */
static void set_reading(vly_http_conn *c)
{
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;

    if (c->is_eof || c->state == VLY_HTTP_CONN_CLOSED)
        return;
    if (c->state == VLY_HTTP_CONN_OPEN && c->unread.len > 0)
        uv_read_stop(stream);
    else if (uv_read_start(stream, on_alloc, on_read) == UV_EINVAL)
        vly_http__conn_close(c);
}

/* Parses what had to wait for room in the queue. */
static void parse_unread(vly_http_conn *c)
{
    vly_str all = vly_buf_str(&c->unread);
    vly_str rest = parse(c, (vly_str){all.ptr + c->unread_pos, all.len - c->unread_pos});

    c->unread_pos = all.len - rest.len;
    if (rest.len == 0 || c->has_last) {
        vly_buf_release(&c->unread);
        c->unread_pos = 0;
    }
}

/* Does all that can be done now: called whenever input, an answer or room has come. */
void vly_http__conn_pump(vly_http_conn *c)
{
    if (c->is_parsing || c->state != VLY_HTTP_CONN_OPEN)
        return;
    do {
        c->is_parsing = true;
        if (c->unread.len > 0)
            parse_unread(c);
        c->is_parsing = false;
    } while (flush(c));
    if (c->state == VLY_HTTP_CONN_OPEN && c->queue == NULL && !c->is_writing &&
        (c->has_last || c->is_eof))
        start_linger(c);
    if (c->state == VLY_HTTP_CONN_OPEN)
        send_continue(c);
    set_reading(c);
}

static void on_bytes(vly_http_conn *c, vly_str in)
{
    vly_counter_add(&stats_of(c)->bytes_in, in.len);
    if (c->state != VLY_HTTP_CONN_OPEN)
        return;
    c->is_parsing = true;
    in = parse(c, in);
    c->is_parsing = false;
    if (c->state == VLY_HTTP_CONN_OPEN && in.len > 0 && !c->has_last) {
        vly_buf_add_str(&c->unread, in);
        if (c->unread.failed)
            vly_http__conn_close(c);
    }
    vly_http__conn_pump(c);
}

/* The client sends no more. A request cut short gets no answer, whole ones do, unless such a client
 * is taken to have gone; even then an answer that comes all the same is sent. */
static void on_eof(vly_http_conn *c)
{
    c->is_eof = true;
    if (c->state == VLY_HTTP_CONN_LINGER) {
        vly_http__conn_close(c);
        return;
    }
    drop_incoming(c);
    for (vly_http_exchange *ex = c->queue; ex != NULL && opts_of(c)->abort_on_close; ex = ex->next)
        if (!ex->is_answered)
            atomic_store(&ex->req.is_cancelled, true);
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
    return now - c->progress_ms >= opts_of(c)->write_timeout_ms;
}

/* Time the client has for what it is sending. */
static uint64_t input_timeout_ms(const vly_http_conn *c)
{
    const vly_http_opts *opts = opts_of(c);

    if (!c->parser.is_in_body)
        return opts->header_timeout_ms;
    return opts->body_timeout_ms + c->incoming->req.msg.body.len / opts->body_min_rate * 1000;
}

static uint64_t idle_timeout_ms(const vly_http_conn *c)
{
    uint64_t timeout = opts_of(c)->idle_timeout_ms;
    if (is_draining(c) && timeout > VLY_HTTP_DRAIN_GRACE_MS)
        timeout = VLY_HTTP_DRAIN_GRACE_MS;
    return timeout;
}

static uint64_t idle_since_ms(const vly_http_conn *c)
{
    return c->loop->drain_ms > c->since_ms ? c->loop->drain_ms : c->since_ms;
}

void vly_http__conn_sweep(vly_http_conn *c, uint64_t now)
{
    if (c->state == VLY_HTTP_CONN_CLOSED)
        return;
    if (c->state == VLY_HTTP_CONN_LINGER) {
        if (now - c->since_ms >= VLY_HTTP_LINGER_MS)
            vly_http__conn_close(c);
        return;
    }
    if (c->is_writing && is_write_stuck(c, now)) {
        vly_http__conn_close(c);
        return;
    }
    if (c->incoming != NULL && !c->parser.wants_continue &&
        now - c->since_ms >= input_timeout_ms(c)) {
        fail(c, 408,
             c->parser.is_in_body ? "the request body came too slowly"
                                  : "the request header came too slowly");
        vly_http__conn_pump(c);
    } else if (c->incoming == NULL && c->queue == NULL && !c->is_writing &&
               now - idle_since_ms(c) >= idle_timeout_ms(c)) {
        vly_http__conn_close(c);
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
    c->queue_tail = &c->queue;
    c->since_ms = now_ms(c);
    vly_buf_init(&c->unread, VLY_MEM_NET, VLY_HTTP_READ_BYTES);
    vly_http1_init(&c->parser);
    if (uv_tcp_open(&c->tcp, c->fd) != 0) {
        close(c->fd);
        vly_http__conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    if (c->is_refused)
        fail(c, 503, "too many connections");
    vly_http__conn_pump(c);
}
