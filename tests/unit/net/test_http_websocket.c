/* SPDX-License-Identifier: MIT */
/* WebSockets of the server: the upgrade, messages both ways, back-pressure, ends, time. */
#include "base/assert.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static wire w;

#define UPGRADE                                                                                    \
    "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                     \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define GET "GET /stream/x HTTP/1.1\r\n" UPGRADE
#define SWITCHED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
#define Z "\0\0\0\0" /* the mask of zeros */

#define BYTES(literal) literal, sizeof(literal) - 1

static void expect(int fd, const char *bytes, size_t n)
{
    size_t len;
    const char *got = wire_read(fd, n, &len);

    assert_int_equal(len, n);
    assert_memory_equal(got, bytes, n);
}

/* A client whose upgrade was accepted. */
static int open_socket(void)
{
    int fd = wire_connect(&w);

    wire_puts(fd, GET);
    expect(fd, BYTES(SWITCHED));
    return fd;
}

/* Until n messages have come to the application. */
static void wait_messages(unsigned n)
{
    pthread_mutex_lock(&w.lock);
    while (w.n_messages < n)
        pthread_cond_wait(&w.has_held, &w.lock);
    pthread_mutex_unlock(&w.lock);
}

static void wait_closed(unsigned n)
{
    pthread_mutex_lock(&w.lock);
    while (w.n_closed < n)
        pthread_cond_wait(&w.has_held, &w.lock);
    pthread_mutex_unlock(&w.lock);
}

static vly_stream *first_stream(void)
{
    pthread_mutex_lock(&w.lock);
    while (w.n_streams == 0)
        pthread_cond_wait(&w.has_held, &w.lock);
    vly_stream *s = w.streams[0];
    pthread_mutex_unlock(&w.lock);
    return s;
}

static vly_status send_text(vly_stream *s, const char *text)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
    vly_buf_puts(&b, text);
    vly_status st = vly_stream_send(s, &b, true, NULL);
    vly_buf_release(&b);
    return st;
}

static void echoes(void **state)
{
    static char large[70000], frame[70014];

    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    int fd = open_socket();
    wire_send(fd, BYTES("\x81\x85" Z "Hello\x82\x82" Z "\0\1"));
    expect(fd, BYTES("\x81\x05Hello\x82\x02\0\1"));
    wire_send(fd, BYTES("\x89\x81" Z "p\x01\x81" Z "a\x80\x81" Z "b"));
    expect(fd, BYTES("\x8a\x01p\x81\x02"
                     "ab"));
    memset(large, 'x', sizeof(large));
    memcpy(frame, "\x82\xff\0\0\0\0\0\x01\x11\x70" Z, 14);
    memcpy(frame + 14, large, sizeof(large));
    wire_send(fd, frame, sizeof(frame));
    size_t len;
    const char *got = wire_read(fd, 10 + sizeof(large), &len);
    assert_int_equal(len, 10 + sizeof(large));
    assert_memory_equal(got, "\x82\x7f\0\0\0\0\0\x01\x11\x70", 10);
    assert_memory_equal(got + 10, large, sizeof(large));
    wire_send(fd, BYTES("\x88\x82" Z "\x03\xe8"));
    expect(fd, BYTES("\x88\x02\x03\xe8"));
    assert_true(wire_is_closed(fd));
    wait_closed(1);
    close(fd);
    wire_stop(&w);
}

/* Both behind the upgrade in one piece, and the frame cut into bytes. */
static void early_and_cut_frames(void **state)
{
    static const char frames[] = "\x81\x85" Z "Hello";

    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    int fd = wire_connect(&w);
    wire_send(fd, BYTES(GET "\x81\x85" Z "Hello"));
    expect(fd, BYTES(SWITCHED "\x81\x05Hello"));
    for (size_t i = 0; i < sizeof(frames) - 1; i++)
        wire_send(fd, frames + i, 1);
    expect(fd, BYTES("\x81\x05Hello"));
    close(fd);
    wait_closed(1);
    wire_stop(&w);
}

static void upgrades_that_are_refused(void **state)
{
    static const char *const plain[] = {
        "GET /what HTTP/1.1\r\n" UPGRADE, /* the application is not interested */
        "GET /what HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    };

    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    for (size_t i = 0; i < VLY_COUNT(plain); i++) {
        int fd = wire_connect(&w);
        for (int again = 0; again < 2; again++) { /* and the connection goes on */
            wire_puts(fd, plain[i]);
            expect(fd, BYTES("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 10\r\n\r\nGET /what?"));
        }
        close(fd);
    }
    /* Behind a request that still waits it is not taken for one. */
    int fd = wire_connect(&w);
    wire_puts(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n" GET);
    wire_wait_held(&w, 1);
    wire_let_go(&w);
    expect(fd, BYTES("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                     "Content-Length: 10\r\n\r\nGET /hold?HTTP/1.1 403 Forbidden\r\n"
                     "Content-Type: application/json\r\nContent-Length: 27\r\n\r\n"
                     "{\"error\":\"no streams here\"}"));
    close(fd);
    wire_stop(&w);

    o.stream_max_message_bytes = 0; /* none are offered */
    wire_start(&w, &o);
    fd = wire_connect(&w);
    wire_puts(fd, GET);
    assert_non_null(strstr(wire_read(fd, 100, NULL), "HTTP/1.1 403 "));
    close(fd);
    wire_stop(&w);
}

static void broken_frames_end_it(void **state)
{
    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    int fd = open_socket();
    wire_send(fd, BYTES("\x81\x85" Z "Hello"));
    expect(fd, BYTES("\x81\x05Hello"));
    wire_send(fd, BYTES("\x81\x01x")); /* not masked */
    size_t len;
    const char *got = wire_read(fd, 0, &len);
    assert_true(len > 4);
    assert_memory_equal(got + 2, "\x03\xea", 2);
    wait_closed(1);
    close(fd);
    wire_stop(&w);
}

/* From another thread: messages in their order, then the close; what the client sends meanwhile is
 * dropped. */
static void the_application_sends_and_ends(void **state)
{
    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    int fd = open_socket();
    vly_stream *s = first_stream();
    assert_int_equal(send_text(s, "one"), VLY_OK);
    assert_int_equal(send_text(s, "two"), VLY_OK);
    vly_stream_end(s, &(vly_stream_end_info){.code = 1000, .message = "bye"});
    assert_int_equal(send_text(s, "three"), VLY_ECANCELLED);
    expect(fd, BYTES("\x81\x03one\x81\x03two\x88\x05\x03\xe8"
                     "bye"));
    wire_send(fd, BYTES("\x81\x81" Z "x\x88\x82" Z "\x03\xe8"));
    assert_true(wire_is_closed(fd));
    wait_closed(1);
    assert_int_equal(w.n_messages, 0);
    close(fd);
    wire_stop(&w);
}

static void a_client_that_never_answers_our_close(void **state)
{
    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    int fd = open_socket();
    vly_stream_end(first_stream(), &(vly_stream_end_info){.code = 1000});
    expect(fd, BYTES("\x88\x02\x03\xe8"));
    wait_closed(1); /* after the time to linger */
    assert_true(wire_is_closed(fd));
    close(fd);
    wire_stop(&w);
}

/* More than stream_max_in_bytes is with the application: the client is read no further, until what
 * it has sent is given back. */
static void back_pressure_in(void **state)
{
    static char frame[8 + 60000];
    unsigned n_sent = 0;

    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    w.keeps_messages = true;
    int fd = open_socket();
    memcpy(frame, "\x82\xfe\xea\x60" Z, 8);
    struct timeval patience = {.tv_usec = 300000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    while (n_sent < 1000 && send(fd, frame, sizeof(frame), MSG_NOSIGNAL) == sizeof(frame))
        n_sent++;
    assert_in_range(n_sent, 5, 999); /* 262144 bytes in work, and what the kernel holds */
    wait_messages(5);
    assert_in_range(w.n_messages, 5, 7);
    unsigned before = w.n_messages;
    vly_stream_consumed(first_stream(), 60000 * (size_t)before);
    wait_messages(before + 4);
    vly_stream_end(first_stream(), &(vly_stream_end_info){.code = 1000}); /* reads on from here */
    close(fd);
    wait_closed(1);
    wire_stop(&w);
}

/* A client that does not read: sends are refused, and told when there is room. */
static void back_pressure_out(void **state)
{
    static char text[100001];
    vly_status st = VLY_OK;

    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    int fd = open_socket();
    vly_stream *s = first_stream();
    memset(text, 'x', sizeof(text) - 1);
    size_t n = 0;
    while (n < 1000 && (st = send_text(s, text)) == VLY_OK)
        n++;
    assert_int_equal(st, VLY_EBUSY);
    size_t len;
    wire_read(fd, n * (10 + 100000) < (size_t)4 << 20 ? n * (10 + 100000) : (size_t)4 << 20, &len);
    wire_wait_until(({
                        pthread_mutex_lock(&w.lock);
                        unsigned n_rooms = w.n_rooms;
                        pthread_mutex_unlock(&w.lock);
                        n_rooms;
                    }) > 0);
    close(fd);
    wait_closed(1);
    assert_int_equal(send_text(s, "x"), VLY_ECANCELLED);
    wire_stop(&w);
}

static void silent_clients_are_pinged_and_closed(void **state)
{
    (void)state;
    vly_http_opts o = wire_opts();
    o.stream_ping_ms = 50;
    o.stream_idle_ms = 400;
    wire_start(&w, &o);
    int fd = open_socket();
    expect(fd, BYTES("\x89\x00"));
    wire_send(fd, BYTES("\x8a\x80" Z)); /* a pong counts */
    expect(fd, BYTES("\x89\x00"));
    while (!wire_is_closed(fd)) { /* further pings */
    }
    wait_closed(1);
    close(fd);
    wire_stop(&w);
}

static void drains(void **state)
{
    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    w.keeps_messages = true;
    int idle = open_socket(), busy = open_socket();
    wire_send(busy, BYTES("\x81\x81" Z "x"));
    wait_messages(1);
    assert_false(vly_http_server_drain(w.server, 300)); /* one is in work */
    size_t len;
    assert_memory_equal(wire_read(idle, 4, &len), "\x88\x1d\x03\xe9", 4);
    close(idle);
    close(busy);
    wire_stop(&w);
}

static void stops_with_open_streams(void **state)
{
    (void)state;
    vly_http_opts o = wire_opts();
    wire_start(&w, &o);
    int fd = open_socket();
    vly_stream *s = vly_stream_ref(first_stream());
    wire_stop(&w);
    assert_int_equal(w.n_closed, 1);
    assert_int_equal(send_text(s, "late"), VLY_ECANCELLED); /* the server is gone */
    vly_stream_unref(s);
    close(fd);
}

UNIT_TESTS(cmocka_unit_test(echoes), cmocka_unit_test(early_and_cut_frames),
           cmocka_unit_test(upgrades_that_are_refused), cmocka_unit_test(broken_frames_end_it),
           cmocka_unit_test(the_application_sends_and_ends),
           cmocka_unit_test(a_client_that_never_answers_our_close),
           cmocka_unit_test(back_pressure_in), cmocka_unit_test(back_pressure_out),
           cmocka_unit_test(silent_clients_are_pinged_and_closed), cmocka_unit_test(drains),
           cmocka_unit_test(stops_with_open_streams))
