/* SPDX-License-Identifier: MIT */
/*
 * What the files of the transports share. Private to load.
 *
 *     transport.c       calls: which waits where, time-outs, what is done
 *     load_conn.c       a connection: socket and TLS, made again when it breaks
 *     load_http1.c ...  a kind: what goes out for a call, and what comes back
 *
 *     DOWN --due--> CONNECTING --socket, TLS--> OPENING --the kind: opened--> OPEN
 *       ^---------------- broken, or ended with nothing under way ---------------'
 *
 * A kind is called with bytes and calls, and calls back: opened, body, finish, fail. It never
 * closes a connection itself, but says that it is broken; it is closed when the kind has returned.
 * What is done waits in `done` until nobody is in the middle of anything.
 */
#ifndef VLY_LOAD_LOAD_INTERNAL_H
#define VLY_LOAD_LOAD_INTERNAL_H

#include "load/transport.h"
#include "net/tls_client.h"

#include <netinet/in.h>
#include <sys/uio.h>

enum {
    VLY_LOAD_OUT_MAX = 64,       /* pieces of one write */
    VLY_LOAD_BODY_PIECES = 3,    /* of a body with a mark */
    VLY_LOAD_IN_BYTES = 1 << 18, /* of one read */
    VLY_LOAD_WHYS = 16,
    VLY_LOAD_ADDRESSES_MAX = 8,
};

typedef struct vly_load_conn vly_load_conn;

/* In the order of their intended times. */
typedef struct vly_load_list {
    vly_load_call *first, *last;
    size_t n;
} vly_load_list;

struct vly_load_kind {
    const char *name;
    const char *alpn;
    size_t conn_bytes; /* of its connection, whose first member is a vly_load_conn */
    bool is_single;    /* one call of a connection at a time, whatever max_in_flight says */
    bool is_prompt;    /* a call is written when it is sent; else at the end of the turn */
    /* Of one connection, once. NULL: nothing to do. */
    vly_status (*init)(vly_load_conn *c, vly_err *err);
    void (*release)(vly_load_conn *c);
    void (*open)(vly_load_conn *c);  /* bytes may go: from here on to `close` */
    void (*close)(vly_load_conn *c); /* it is broken; none of its calls is flying any more */
    void (*feed)(vly_load_conn *c, vly_str in);
    void (*end)(vly_load_conn *c); /* the server has said its last byte; NULL: nothing to say */
    /* All that was added has gone, and more may be added. */
    void (*collect)(vly_load_conn *c);
    /* A flying call is given up. What it borrows must not be looked at any more. */
    void (*drop)(vly_load_conn *c, vly_load_call *call);
};

extern const vly_load_kind vly_load__http1, vly_load__http2, vly_load__grpc, vly_load__websocket;

typedef enum vly_load_conn_state {
    VLY_LOAD_DOWN,
    VLY_LOAD_CONNECTING, /* socket, then TLS */
    VLY_LOAD_OPENING,
    VLY_LOAD_OPEN,
} vly_load_conn_state;

struct vly_load_conn {
    vly_load_watch watch; /* fd -1: there is none */
    vly_load_transport *t;
    uint32_t number;
    vly_load_conn_state state;
    vly_load_timer timer; /* the next attempt, or the end of this one */
    vly_load_timer again; /* there is more to do at once */
    unsigned address;     /* that is tried */
    unsigned n_failures;  /* attempts since it was of use */
    vly_nsec opened_ns;
    bool is_connected; /* the socket is */
    bool is_hungry;    /* the socket may hold more than was read */
    bool is_useful;    /* an answer has come */
    bool is_broken;    /* to be closed; no calls any more */
    bool is_draining;  /* no calls any more; to be closed when none is flying */
    bool is_blocked;   /* the socket takes no more for now */
    bool has_room;     /* in the transport's list of those */
    vly_load_conn *prev, *next;

    vly_load_list flying, waiting; /* waiting: for this connection and no other */
    vly_load_call *unsent;         /* the first flying call that has not been collected */
    unsigned max_flying;
    unsigned n_greetings; /* to come */
    unsigned n_ghosts;    /* answers to come for calls that were given up */

    vly_tls_session *tls;
    vly_buf cipher;
    size_t cipher_pos;
    struct iovec out[VLY_LOAD_OUT_MAX];
    unsigned n_out, out_pos;
    uint64_t n_added; /* pieces, ever; call->end is what it was behind the call's last */

    size_t skip;  /* plain: so many bytes to come need not be copied; kept by the kind */
    vly_buf path; /* with the number of the connection */
    vly_buf head; /* what the kind says in each request */
    char why[VLY_LOAD_WHY_MAX];
};

struct vly_load_transport {
    const vly_load_kind *kind;
    vly_load_transport_opts opts;
    vly_load_loop *loop;
    char host[256]; /* NUL-terminated */
    struct sockaddr_storage addresses[VLY_LOAD_ADDRESSES_MAX];
    unsigned n_addresses;
    vly_tls_client *tls;
    char *conns; /* n_connections times kind->conn_bytes */
    vly_load_conn *roomy_first, *roomy_last;
    vly_load_list waiting;               /* for any connection */
    vly_load_call *all_first, *all_last; /* not done */
    size_t n_all;
    vly_load_list done;   /* on_done is to be called */
    unsigned n_trying;    /* connections between DOWN and OPEN */
    vly_load_timer timer; /* of the first of all */
    vly_nsec now_ns;      /* when the bytes under way came */
    vly_load_counts counts;
    bool is_busy; /* on_done is being called */
    char trouble[VLY_LOAD_WHY_MAX];
    /* Of opts.check: when n bytes match and the next does not, so many still do (Knuth, Morris and
     * Pratt). */
    unsigned char fallback[VLY_LOAD_CHECK_MAX + 1];
    char whys[VLY_LOAD_WHYS][VLY_LOAD_WHY_MAX];
    unsigned n_whys; /* taken by calls in done */
    char *in;        /* VLY_LOAD_IN_BYTES */
    vly_buf plain;
};

/* transport.c, for kinds. */
/* bytes of the body of call's answer: counted, and appended to call->answer. */
void vly_load__body(vly_load_call *call, vly_str bytes);
/* The body of call, in pieces. */
void vly_load__add_body(vly_load_conn *c, const vly_load_call *call);
/* n bytes of it, from `from` on. */
void vly_load__copy_body(const vly_load_call *call, size_t from, size_t n, char *to);
/* Flying calls of which nothing has gone wait again, before those that came after them; those that
 * a stream holds only when it is cut. */
void vly_load__take_back(vly_load_conn *c, bool is_cut);
void vly_load__take_back_one(vly_load_call *call); /* whatever has gone */
/* why: of an outcome that is not OK; copied. status of the call is set before. */
void vly_load__finish(vly_load_call *call, vly_load_outcome outcome, vly_str why);
/* Of streams: a message has come: a greeting, an answer, or neither. A call that has not gone whole
 * by then has none: the connection is broken. */
void vly_load__message(vly_load_conn *c, vly_str message, bool says_no);
/* All that was collected has been written: without answers, that is all. */
void vly_load__sent(vly_load_conn *c);

/* transport.c, for load_conn.c. */
vly_load_conn *vly_load__conn(const vly_load_transport *t, uint32_t number);
void vly_load__offer(vly_load_conn *c);         /* it may have room for calls that wait */
void vly_load__hide(vly_load_conn *c);          /* it has none */
void vly_load__hand_out(vly_load_transport *t); /* what waits, where there is room */
void vly_load__deliver(vly_load_transport *t);
/* c could not be made. */
void vly_load__strand(vly_load_conn *c, vly_str why);

/* load_conn.c, for kinds. */
void vly_load__opened(vly_load_conn *c);
/* n bytes follow those that were added, and are borrowed until collect is called again. False: no
 * room for another piece. */
bool vly_load__add(vly_load_conn *c, const void *bytes, size_t n);
/* Nothing more is to be done with it; flying calls fail. Only the first reason counts. */
void vly_load__break(vly_load_conn *c, const char *fmt, ...) VLY_PRINTF(2, 3);
bool vly_load__is_written(const vly_load_conn *c); /* all that was added */
/* Whether none of call's bytes is to be written any more, by the end that its kind has noted. */
bool vly_load__has_gone(const vly_load_conn *c, const vly_load_call *call);

/* load_conn.c, for transport.c. */
void vly_load__conn_init(vly_load_conn *c, vly_load_transport *t, uint32_t number);
void vly_load__conn_release(vly_load_conn *c);
void vly_load__conn_touch(vly_load_conn *c); /* it has something to write, or to close */

#endif
