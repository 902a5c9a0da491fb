/* SPDX-License-Identifier: MIT */
/* An HTTP/2 server of the tests, nghttp2 at the other end of a connection of a fixture: requests
 * wait until the test answers them, in any order. */
#ifndef VLY_TESTS_H2_SERVER_H
#define VLY_TESTS_H2_SERVER_H

#include "load_fixture.h"

#include <nghttp2/nghttp2.h>

enum { H2_ASKED_MAX = 32 };

typedef struct h2_asked {
    int32_t id;
    char headers[512]; /* "name: value\n" each */
    vly_buf body;
    bool is_ended;  /* no more of the body comes */
    uint32_t error; /* that it was reset with */
    bool is_closed;
    /* What is sent: */
    const char *answer; /* borrowed */
    size_t answer_left;
    bool keeps_open;     /* more of it comes */
    const char *trailer; /* value of grpc-status; NULL: no trailers */
    const char *message; /* of grpc-message */
} h2_asked;

typedef struct h2_server {
    load_fixture *f;
    size_t peer;
    nghttp2_session *ng;
    h2_asked asked[H2_ASKED_MAX];
    size_t n_asked;
} h2_server;

/* Of the connection; max_streams: 0: says nothing. */
void h2_begin(h2_server *s, load_fixture *f, size_t peer, unsigned max_streams);
void h2_end(h2_server *s);
/* Both sides, until there is nothing to do. */
void h2_turn(h2_server *s);

/* Headers, body and end; headers: "name", "value", ..., NULL, may be NULL. */
void h2_answer(h2_server *s, size_t i, const char *status, const char *const *headers,
               const char *body, size_t len);
/* Of gRPC: 200, messages in their frames, trailers. code NULL: none, just the end; message may be
 * NULL. */
void h2_answer_grpc(h2_server *s, size_t i, const char *bytes, size_t len, const char *code,
                    const char *message);
/* Of a gRPC stream, headers before the first one: more bytes; then perhaps trailers. */
void h2_stream_say(h2_server *s, size_t i, const char *bytes, size_t len);
void h2_stream_end(h2_server *s, size_t i, const char *code, const char *message);
void h2_reset(h2_server *s, size_t i, uint32_t error);
void h2_go_away(h2_server *s, int32_t last_id);

#endif
