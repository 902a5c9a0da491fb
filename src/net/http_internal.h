/* SPDX-License-Identifier: MIT */
/*
 * What the files of the HTTP server share: loops, connections, exchanges. Private to net.
 *
 * An exchange is a request with its answer. Its way:
 *
 *     free list -> conn.incoming -> conn.queue (handed to the handler) -> answered -> written
 *               (being parsed)     (out: conn may vanish meanwhile)                   -> free list
 *
 * Everything here belongs to one loop thread, but for the exchange while it is out: then the
 * request and the answer belong to the responder, and `conn`, `next` still to the loop. The way
 * back is loop.answers.
 */
#ifndef VLY_NET_HTTP_INTERNAL_H
#define VLY_NET_HTTP_INTERNAL_H

#include "net/http1.h"
#include "net/http_server.h"
#include "sys/mpsc.h"

#include <pthread.h>
#include <uv.h>

#define VLY_HTTP_READ_BYTES     ((size_t)64 * 1024)
#define VLY_HTTP_LINGER_MS      2000 /* for a client to read the last answer before the close */
#define VLY_HTTP_DRAIN_GRACE_MS 500  /* in a drain, time for a request already on its way ... */
#define VLY_HTTP_SYN_GRACE_MS   100  /* ... and for a connection */

typedef struct vly_http_loop vly_http_loop;
typedef struct vly_http_conn vly_http_conn;

typedef struct vly_http_exchange {
    vly_http_request req; /* first: the handler's pointer is ours */
    vly_mpsc_node node;   /* in loop.answers */
    vly_http_loop *loop;  /* immutable */
    vly_http_conn *conn;  /* NULL: the connection has gone */
    struct vly_http_exchange *next;
    bool is_answered;
    bool is_last; /* the connection ends with this answer */
    int status;
    vly_buf head; /* status line and headers, but for Date, Connection and the empty line */
    vly_buf parts[VLY_HTTP_MAX_PARTS];
    size_t n_parts;
} vly_http_exchange;

typedef enum vly_http_conn_state {
    VLY_HTTP_CONN_OPEN,
    VLY_HTTP_CONN_LINGER, /* all is sent; input is thrown away until the client closes */
    VLY_HTTP_CONN_CLOSED, /* uv_close was called */
} vly_http_conn_state;

struct vly_http_conn {
    uv_tcp_t tcp;
    uv_write_t write;
    vly_mpsc_node node; /* in loop.arrivals */
    int fd;             /* until the loop has adopted it */
    vly_http_loop *loop;
    vly_http_conn *next, **link; /* in loop.conns */
    vly_http_conn *next_dirty;
    vly_http_conn_state state;
    vly_http1 parser;
    vly_http_exchange *incoming; /* being parsed, or NULL */
    vly_http_exchange *queue, **queue_tail;
    unsigned n_queued;          /* in queue and writing */
    vly_http_exchange *writing; /* of the write under way, linked by next */
    vly_buf unread;             /* read, not parsed: more requests than may be in work */
    size_t unread_pos;
    uint64_t since_ms;    /* begin of the present phase: idle, head, body or linger */
    uint64_t progress_ms; /* when the client last took a byte of the write under way */
    size_t write_left;
    bool is_refused; /* past max_connections */
    bool is_dirty;   /* on the list of connections to pump */
    bool is_parsing; /* inside the parser: answers wait for its end */
    bool is_writing; /* a uv_write is under way */
    bool is_eof;     /* the client has closed its sending side */
    bool has_last;   /* no further request is taken */
};

typedef enum vly_http_phase {
    VLY_HTTP_RUNNING,
    VLY_HTTP_DRAINING, /* what is here is served, then closed */
    VLY_HTTP_CLOSING,  /* and the listening socket is closed at once */
    VLY_HTTP_STOPPING, /* all is closed at once */
} vly_http_phase;

struct vly_http_loop {
    vly_http_server *server;
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t sweep;
    pthread_t thread;  /* owner: the server's owner */
    pthread_t self;    /* set by the thread */
    vly_mpsc answers;  /* exchanges; any thread -> this loop */
    vly_mpsc arrivals; /* connections; accepting loop -> this loop */
    vly_http_conn *conns;
    size_t n_conns;
    vly_http_exchange *free_exchanges;
    size_t n_free;
    size_t n_out;      /* exchanges that are with a responder */
    uint64_t drain_ms; /* when this loop saw the drain; 0: not draining */
    bool is_stopping;
    char *read_buf;
    time_t date_s;
    char date[40]; /* "Date: ...\r\n" of date_s */
    unsigned idx;
};

struct vly_http_server {
    vly_http_opts opts; /* immutable */
    vly_http_budget budget;
    vly_http_stats stats;
    unsigned sweep_ms;  /* immutable */
    uint16_t port;      /* immutable */
    int listen_fd;      /* owner: loop 0; -1 when closed */
    uv_poll_t listener; /* owner: loop 0 */
    unsigned next_loop; /* owner: loop 0 */
    uint64_t refuse_ms; /* owner: loop 0; since when new connections are refused, 0: not */
    bool is_accepting;  /* owner: loop 0; false while descriptors are out, and at the end */
    pthread_mutex_t lock;
    pthread_cond_t is_empty; /* n_open is 0, or is_listening false */
    size_t n_open;           /* guarded by lock, as the next two; refused ones included */
    bool is_listening;
    vly_http_phase phase;
    unsigned n_loops;   /* complete; fixed before the first thread starts */
    unsigned n_running; /* owner: the server's owner; the threads of the last n_running loops */
    vly_http_loop loops[];
};

/* http_exchange.c */
vly_http_exchange *vly_http__exchange_take(vly_http_loop *loop); /* NULL: out of memory */
void vly_http__exchange_put(vly_http_exchange *ex);
void vly_http__exchange_free(vly_http_exchange *ex);
size_t vly_http__exchange_body_len(const vly_http_exchange *ex);
void vly_http__exchange_answer(vly_http_exchange *ex, const vly_http_answer *answer);
void vly_http__exchange_error(vly_http_exchange *ex, int status, const char *msg);

/* http_conn.c */
void vly_http__conn_open(
    vly_http_conn *c); /* c->fd and c->is_refused are set; frees c at the end */
void vly_http__conn_pump(vly_http_conn *c);
void vly_http__conn_sweep(vly_http_conn *c, uint64_t now_ms);
void vly_http__conn_close(vly_http_conn *c);

/* http_listen.c; all but the first on loop 0 */
vly_status vly_http__listen(vly_http_server *s, vly_err *err);
void vly_http__listen_start(vly_http_server *s);
void vly_http__listen_refuse(vly_http_server *s); /* no new connections; those begun still come */
void vly_http__listen_close(vly_http_server *s);
/* Goes on where something has to wait; false when nothing does. */
bool vly_http__listen_sweep(vly_http_server *s);

/* http_server.c */
bool vly_http__conn_admit(vly_http_server *s, bool *ret_is_refused);
void vly_http__conn_gone(vly_http_server *s);
void vly_http__loop_watch(vly_http_loop *loop); /* there is something to sweep */
void vly_http__loop_end_when_empty(vly_http_loop *loop);

#endif
