/* SPDX-License-Identifier: MIT */
/*
 * A server with a test handler on loopback, and a client that speaks bytes.
 *
 * What the handler does is chosen by the path:
 *   /echo      200, the body back
 *   /what      200, "METHOD path?query" of the request
 *   /large/N   200, N bytes
 *   /parts     201, body in three parts, two headers of its own
 *   /trailers  200, the body back and two trailers behind it
 *   /empty     204
 *   /later     as /what, answered from a worker thread
 *   /hold      answered, from the test's thread, when the test calls wire_let_go
 *   /stream/…  a stream that sends back what comes, and ends when the client does
 *   others     404 as JSON
 */
#ifndef VLY_TESTS_WIRE_H
#define VLY_TESTS_WIRE_H

#include "net/http_stream.h"
#include "sys/worker_pool.h"
#include "unit.h"

#include <pthread.h>

typedef struct wire {
    vly_http_server *server;
    vly_worker_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t has_held;
    vly_http_request *held[64]; /* guarded by lock */
    unsigned n_held;            /* guarded by lock */
    bool is_ending;             /* guarded by lock: nothing is held any more */
    vly_stream *streams[64];    /* guarded by lock, as the next five */
    unsigned n_streams;
    unsigned n_messages; /* that have come on streams */
    unsigned n_rooms;
    unsigned n_closed;
    bool keeps_messages; /* streams answer nothing and give nothing back; set before any comes */
    unsigned end_code;   /* that streams are ended with; set before any comes */
} wire;

vly_http_opts wire_opts(void); /* small limits, long timeouts, one loop */
void wire_start(wire *w, const vly_http_opts *opts);
void wire_stop(wire *w); /* answers what is held, frees the server, then the pool */

vly_http_request *wire_wait_held(wire *w, unsigned n); /* until n are held; the newest */
void wire_let_go(wire *w);                             /* answers all that are held */

int wire_connect(const wire *w);
void wire_send(int fd, const char *bytes, size_t len);
void wire_puts(int fd, const char *text);
/* Reads until the server closes, n_bytes have come (0: no limit) or 10 s have passed, which fails
 * the test. Date lines are left out. NUL-terminated, valid until the next call. */
const char *wire_read(int fd, size_t n_bytes, size_t *ret_len);
/* Sends the request in pieces of at most this many bytes, reads until the server closes, compares.
 */
void wire_expect(const wire *w, const char *request, size_t piece, const char *response);
/* True once a read gives the end of the stream, or a reset, within 10 s. */
bool wire_is_closed(int fd);
/* Both look without opening one: ThreadSanitizer takes a descriptor that changes hands for a race.
 */
bool wire_is_fd_open(int fd);
unsigned wire_open_fds(void); /* below 1024 */
/* Polls until the counter-like value is reached; fails the test after 10 s. */
#define wire_wait_until(condition)                                                                 \
    for (int wire_tries = 0; !(condition); wire_tries++) {                                         \
        if (wire_tries == 10000)                                                                   \
            fail_msg("10 s passed without: %s", #condition);                                       \
        wire_sleep_ms(1);                                                                          \
    }
void wire_sleep_ms(unsigned ms);

#endif
