/* SPDX-License-Identifier: MIT */
/* An HTTP/2 client of the tests, nghttp2 on a blocking socket: many requests on one connection. */
#ifndef VLY_TESTS_H2_CLIENT_H
#define VLY_TESTS_H2_CLIENT_H

#include "base/buf.h"
#include "wire.h"

#include <nghttp2/nghttp2.h>

#define H2_STREAMS_MAX 64

typedef struct h2_answer {
    int32_t stream_id;
    int status;
    int n_continue;  /* of "100" */
    vly_buf headers; /* "name: value\n" each, but for :status and date */
    vly_buf body;
    vly_buf trailers;
    bool has_end; /* END_STREAM came */
    bool is_closed;
    uint32_t error; /* that the stream was closed with */
    const char *request_body;
    size_t request_left;
    bool is_body_open; /* more of the request body comes later: h2_continue */
    bool has_trailer;  /* "x-last: 1" goes behind the request body */
} h2_answer;

typedef struct h2_client {
    int fd;
    nghttp2_session *ng;
    size_t piece; /* most bytes in one send; 0: all */
    bool is_eof;
    unsigned n_goaway;
    uint32_t goaway_error;
    int32_t goaway_streams[2]; /* of the first two */
    unsigned n_ping_acks;
    bool has_settings;
    unsigned max_streams; /* as the server says */
    h2_answer answers[H2_STREAMS_MAX];
    size_t n_answers;
} h2_client;

/* Says the preface and SETTINGS; window: of each answer, 0: the default, 1: that
 * byte, and no more of it by itself. */
void h2_open(h2_client *c, const wire *w, size_t piece, unsigned window);
void h2_close(h2_client *c);

/* headers: "name: value\n" each, may be NULL. body: borrowed, NULL: none. The answer stays at its
 * place until h2_close. */
h2_answer *h2_ask(h2_client *c, const char *method, const char *path, const char *headers,
                  const char *body, size_t len);
/* The same, with more of the body to come. */
h2_answer *h2_ask_open(h2_client *c, const char *method, const char *path, const char *headers,
                       const char *body, size_t len);
void h2_continue(h2_client *c, h2_answer *a, const char *body, size_t len, bool is_end);

/* Sends what waits, reads what comes, once; false at the end of the connection. Fails the test when
 * nothing comes for 10 s. */
bool h2_turn(h2_client *c);
#define h2_until(c, condition)                                                                     \
    do {                                                                                           \
        while (!(condition))                                                                       \
            if (!h2_turn(c))                                                                       \
                fail_msg("the connection ended without: %s", #condition);                          \
    } while (0)
void h2_ping(h2_client *c); /* and waits for the answer: what was sent before has arrived */
/* Asks, waits, compares, with no headers looked at. */
void h2_expect(h2_client *c, const char *method, const char *path, const char *body, int status,
               const char *answer);

#endif
