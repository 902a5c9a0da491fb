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
#include "net/http_stream.h"
#include "net/tls.h"
#include "sys/mpsc.h"

#include <pthread.h>
#include <uv.h>

#define VLY_HTTP_WRITE_BUFS     64
#define VLY_HTTP_READ_BYTES     ((size_t)64 * 1024)
#define VLY_HTTP_LINGER_MS      2000 /* for a client to read the last answer before the close */
#define VLY_HTTP_DRAIN_GRACE_MS 500  /* in a drain, time for a request already on its way ... */
#define VLY_HTTP_SYN_GRACE_MS   100  /* ... and for a connection */

typedef struct vly_http_loop vly_http_loop;
typedef struct vly_http_conn vly_http_conn;
typedef struct vly_http_tls vly_http_tls;
typedef struct vly_http_exchange vly_http_exchange;

struct vly_http_exchange {
    vly_http_request req; /* first: the handler's pointer is ours */
    vly_mpsc_node node;   /* in loop.answers */
    vly_http_loop *loop;  /* immutable */
    vly_http_conn *conn;  /* NULL: the connection has gone */
    struct vly_http_exchange *next;
    bool is_answered;
    bool is_last; /* HTTP/1: the connection ends with this answer */
    int status;
    vly_stream *stream;           /* it has been accepted as one, which is not over */
    struct {                      /* what HTTP/2 alone needs */
        vly_http_exchange **link; /* to this one, from what stands before it */
        int32_t stream_id;        /* 0: the stream is closed */
        bool is_received;         /* nothing more is expected of the client */
        size_t max_body;          /* as opts.max_body says */
        bool is_wide;             /* its window is that of the connection */
        bool is_whole;            /* all of the answer is in the batch that leaves */
        uint64_t since_ms;        /* when the request began; later, when the client took bytes */
        size_t body_left;         /* of the answer, to be framed */
        size_t part, part_pos;    /* where framing goes on */
    } h2;
    size_t bytes_in;  /* what the request was made of */
    size_t bytes_out; /* handed to the kernel */
    vly_nsec sent_ns; /* 0: not, or not wholly */
    /* HTTP/1: status line and headers, but for Date, Connection and the empty line. HTTP/2: names
     * and values of n_fields headers, then of n_trailers, each with a NUL behind it. */
    vly_buf head;
    size_t n_fields, n_trailers;
    vly_buf parts[VLY_HTTP_MAX_PARTS];
    size_t n_parts;
};

typedef enum vly_http_conn_state {
    VLY_HTTP_CONN_OPEN,
    VLY_HTTP_CONN_LINGER, /* all is sent; input is thrown away until the client closes */
    VLY_HTTP_CONN_CLOSED, /* uv_close was called */
} vly_http_conn_state;

/*
 * What a protocol does with a connection; its state is conn.session. The connection moves bytes,
 * watches the client take them, and ends; the protocol makes requests of what comes in and bytes of
 * answers. None is called once `close` was, but for `written` (of a write under way) and `free`.
 */
typedef struct vly_http_proto {
    bool (*open)(vly_http_conn *c);             /* makes the session; false: no memory */
    void (*feed)(vly_http_conn *c, vly_str in); /* takes all of it, or keeps it */
    /* Bytes that may be read from the socket straight to *ret, which feed then gets; 0: none. May
     * be NULL. */
    size_t (*read_to)(vly_http_conn *c, char **ret);
    void (*eof)(vly_http_conn *c);     /* the client sends no more */
    void (*advance)(vly_http_conn *c); /* goes on where something has been waited for */
    /* What is ready to be sent, at most VLY_HTTP_WRITE_BUFS buffers; they stay as they are until
     * `written`, which comes before the next collect. 0: nothing, and no `written` follows. */
    unsigned (*collect)(vly_http_conn *c, uv_buf_t *bufs);
    void (*written)(vly_http_conn *c, bool is_sent);
    void (*answered)(vly_http_conn *c, vly_http_exchange *ex); /* ex.is_answered is set */
    /* ex.stream is set; in on_request. NULL: stream_kind is always NONE. */
    void (*accepted)(vly_http_conn *c, vly_http_exchange *ex);
    /* Messages or an end are queued in ex.stream, or what had been delivered is given back. */
    void (*stream_turn)(vly_http_conn *c, vly_http_exchange *ex);
    bool (*wants_input)(const vly_http_conn *c);
    bool (*is_over)(const vly_http_conn *c); /* with nothing left to collect: shut and linger */
    void (*sweep)(vly_http_conn *c, uint64_t now_ms);
    void (*close)(vly_http_conn *c); /* exchanges that are out forget the connection */
    void (*free)(vly_http_conn *c);
} vly_http_proto;

struct vly_http_conn {
    uv_tcp_t tcp;
    uv_write_t write;
    vly_mpsc_node node; /* in loop.arrivals */
    int fd;             /* until the loop has adopted it */
    vly_http_loop *loop;
    vly_http_conn *next, **link; /* in loop.conns */
    vly_http_conn *next_dirty;
    vly_http_conn_state state;
    const vly_http_proto *proto; /* NULL: not known yet */
    void *session;               /* owner: proto */
    vly_http_tls *tls;           /* NULL: none */
    unsigned n_preface;          /* bytes that came so far, the beginning of HTTP/2's preface */
    uint64_t since_ms;           /* begin of the present phase: idle, head, body or linger */
    uint64_t progress_ms;        /* when the client last took a byte of the write under way */
    size_t write_left;
    char peer[VLY_HTTP_PEER_MAX];
    bool is_refused; /* past max_connections */
    bool is_dirty;   /* on the list of connections to pump */
    bool is_busy;    /* inside the protocol: answers wait for its end */
    bool is_writing; /* a uv_write is under way */
    bool is_eof;     /* the client has closed its sending side */
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
    uv_check_t turn;          /* for opts.on_turn */
    uv_idle_t again;          /* while on_turn has left something: keeps the loop from sleeping */
    pthread_t thread;         /* owner: the server's owner */
    pthread_t self;           /* set by the thread */
    vly_mpsc answers;         /* exchanges; any thread -> this loop */
    vly_mpsc streams;         /* with something for stream_turn; any thread -> this loop */
    vly_stream *streams_open; /* all that are, linked by next */
    vly_mpsc arrivals;        /* connections; accepting loop -> this loop */
    vly_http_conn *conns;
    size_t n_conns;
    vly_http_conn *dirty; /* to pump, once is_batching ends */
    vly_http_exchange *free_exchanges;
    size_t n_free;
    size_t n_out;      /* exchanges that are with a responder */
    uint64_t drain_ms; /* when this loop saw the drain; 0: not draining */
    bool is_stopping;
    bool is_batching; /* answers given now leave together, in a moment */
    bool has_handed;  /* a request or a message, in this turn */
    bool has_left;    /* on_turn has, in the last one */
    char *read_buf;
    vly_buf plain; /* what a TLS session has decrypted, for the protocol to look at */
    time_t date_s;
    char date[40]; /* of date_s, as HTTP writes it */
    unsigned idx;
};

struct vly_http_server {
    vly_http_opts opts; /* immutable but for its atomic times */
    vly_http_budget budget;
    vly_http_stats stats;
    _Atomic unsigned sweep_ms;
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
bool vly_http__exchange_has_body(const vly_http_exchange *ex); /* the answer; not for HEAD, 204 */
size_t vly_http__exchange_body_len(const vly_http_exchange *ex);
void vly_http__exchange_answer(vly_http_exchange *ex, const vly_http_answer *answer);
void vly_http__exchange_error(vly_http_exchange *ex, int status, const char *msg);

/* http_conn.c */
/* c->fd, c->peer and c->is_refused are set; frees c at the end. */
void vly_http__conn_open(vly_http_conn *c);
/* Does all that can be done now: to be called whenever input, an answer or room has come. */
void vly_http__conn_pump(vly_http_conn *c);
void vly_http__conn_sweep(vly_http_conn *c, uint64_t now_ms);
void vly_http__conn_close(vly_http_conn *c);
/* The client has sent something that is not read yet. */
bool vly_http__conn_has_input(const vly_http_conn *c);
/* Nothing has happened since c->since_ms for as long as is allowed; less long in a drain. */
bool vly_http__conn_is_stale(const vly_http_conn *c, uint64_t now_ms);

/* http1_conn.c */
extern const vly_http_proto vly_http__proto_http1;
/* Answers and ends a connection on which no request has come. */
void vly_http__http1_refuse(vly_http_conn *c, int status, const char *reason);

/* http_tls.c: of connections with c->tls, but for open */
bool vly_http__tls_open(vly_http_conn *c); /* makes c->tls; false: no memory */
void vly_http__tls_free(vly_http_conn *c);
vly_tls_state vly_http__tls_state(const vly_http_conn *c);
/* in begins the connection, and is no handshake but HTTP as it is. */
bool vly_http__tls_is_plain_http(vly_http_conn *c, vly_str in);
/* Plaintext, perhaps none, that lasts until the next call on this loop; false when TLS has failed,
 * which is all there is to say then. */
bool vly_http__tls_decrypt(vly_http_conn *c, vly_str in, vly_str *ret_plain);
/* As of vly_http_proto, between it and the socket. */
unsigned vly_http__tls_collect(vly_http_conn *c, uv_buf_t *bufs);
void vly_http__tls_written(vly_http_conn *c, bool is_sent);
void vly_http__tls_end(vly_http_conn *c); /* tells the client, or tells it why TLS has failed */
/* http_websocket.c */
extern const vly_http_proto vly_http__proto_websocket;
/* The connection becomes a WebSocket's, with ex, whose stream is accepted; takes both. False: no
 * memory, and all is as before. */
bool vly_http__websocket_begin(vly_http_conn *c, vly_http_exchange *ex);

/* http2_conn.c */
extern const vly_http_proto vly_http__proto_http2;

/* http_listen.c; all but the first on loop 0 */
vly_status vly_http__listen(vly_http_server *s, vly_err *err);
void vly_http__listen_start(vly_http_server *s);
void vly_http__listen_refuse(vly_http_server *s); /* no new connections; those begun still come */
void vly_http__listen_close(vly_http_server *s);
/* Goes on where something has to wait; false when nothing does. */
bool vly_http__listen_sweep(vly_http_server *s);

/* http_loop.c */
vly_status vly_http__loop_init(vly_http_loop *loop, vly_http_server *s, unsigned idx, vly_err *err);
int vly_http__loop_start(vly_http_loop *loop);    /* its thread; an errno */
void vly_http__loop_release(vly_http_loop *loop); /* the thread has ended, or never began */
void vly_http__loop_watch(vly_http_loop *loop);   /* there is something to sweep */
void vly_http__loop_end_when_empty(vly_http_loop *loop);
void vly_http__hand_over(vly_http_conn *c, vly_http_exchange *ex); /* to opts.on_request */
void vly_http__return(vly_http_exchange *ex);                      /* answered; thread: any */
void vly_http__conn_touch(vly_http_conn *c);     /* pumps it, now or with a batch of answers */
const char *vly_http__date(vly_http_loop *loop); /* the value of Date */

/* http_server.c */
bool vly_http__conn_admit(vly_http_server *s, bool *ret_is_refused);
void vly_http__conn_gone(vly_http_server *s);

static inline uint64_t vly_http__now_ms(const vly_http_conn *c)
{
    return uv_now(&c->loop->uv);
}

static inline vly_http_stats *vly_http__stats(const vly_http_conn *c)
{
    return &c->loop->server->stats;
}

static inline const vly_http_opts *vly_http__opts(const vly_http_conn *c)
{
    return &c->loop->server->opts;
}

#endif
