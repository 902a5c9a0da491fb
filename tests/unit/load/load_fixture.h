/* SPDX-License-Identifier: MIT */
/*
 * A transport and, in the same thread, the server at the other end of its sockets: a script. Time
 * is the test's: it stands still until it is moved.
 */
#ifndef VLY_TESTS_LOAD_FIXTURE_H
#define VLY_TESTS_LOAD_FIXTURE_H

#include "load/transport.h"

enum { LOAD_PEERS_MAX = 8, LOAD_DONE_MAX = 64 };

/* The server's end of one connection. */
typedef struct load_peer {
    int fd;     /* -1: closed by us */
    vly_buf in; /* what has come */
    bool is_ended;
} load_peer;

/* What on_done was called with. */
typedef struct load_done {
    vly_load_call *call;
    vly_load_outcome outcome;
    int status;
    char why[VLY_LOAD_WHY_MAX + 1];
} load_done;

typedef struct load_fixture {
    vly_load_loop *loop;
    vly_nsec now_ns;
    char url[128];
    vly_load_target target;
    vly_load_transport_opts opts;
    vly_load_transport *t;
    int listener; /* -1: nobody listens */
    uint16_t port;
    load_peer peers[LOAD_PEERS_MAX];
    size_t n_peers;
    load_done done[LOAD_DONE_MAX];
    size_t n_done;
    vly_load_call *next; /* sent by on_done, in order, linked by user */
    char messages[256];  /* that answered nothing, one behind the other */
} load_fixture;

/* Listens, and fills opts and target: of "SCHEME://127.0.0.1:PORT" and path. */
void load_begin(load_fixture *f, const char *scheme, const char *path);
void load_open(load_fixture *f, const char *kind);
void load_end(load_fixture *f);

/* Lets both sides go on until there is nothing to do for either. */
void load_turn(load_fixture *f);
/* As turn, until n calls are done; fails the test when it does not come to that. */
void load_until_done(load_fixture *f, size_t n);
void load_move_time(load_fixture *f, unsigned ms);

/* Due now. */
vly_load_call load_call(const load_fixture *f, const char *body);

void load_answer(load_fixture *f, size_t peer, const char *text);
void load_answer_bytes(load_fixture *f, size_t peer, const void *bytes, size_t n);
/* What has come on a connection, which is forgotten. Valid until more comes. */
vly_str load_take(load_fixture *f, size_t peer);
void load_hang_up(load_fixture *f, size_t peer);
void load_reset(load_fixture *f, size_t peer); /* as hang up, without a farewell */

#endif
