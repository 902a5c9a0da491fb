/* SPDX-License-Identifier: MIT */
/*
 * ModelStreamInfer: requests come and responses go on one call.
 *
 * Responses leave in the order of the requests, as Triton's do for models that are not decoupled,
 * and errors are responses too. Some requests of a call are in work at once; the others wait here,
 * so that one call cannot fill the queue of a model, and sequences keep their order.
 *
 *   on_message -> [items, oldest first: WAITING RUNNING READY] -> vly_stream_send
 *
 * Whatever happens calls pump, which one thread at a time runs: it starts what may start and sends
 * what is ready at the head. Messages that take long to read are read on a worker; then all of pump
 * moves there, that order be kept.
 */
#include "api/grpc_infer.h"
#include "api/grpc_methods.h"
#include "codec/grpc_infer.h"
#include "net/http_stream.h"

#include <pthread.h>
#include <stddef.h>

#define STARTED_MAX      16 /* answers that a slow client leaves here count */
#define ITEM_BLOCK_BYTES ((size_t)4 << 10)
#define CODE_EXHAUSTED   8 /* RESOURCE_EXHAUSTED */

typedef enum item_state { WAITING, RUNNING, READY } item_state;

typedef struct stream_call stream_call;

typedef struct item {
    vly_infer infer; /* first: a pointer to it is a pointer to the item */
    stream_call *call;
    struct item *next; /* guarded by call.lock, as the state */
    item_state state;
    size_t message_len; /* to be given back to the stream */
    vly_buf message;
    vly_buf answer;
    vly_err err; /* status not OK: answer says this */
    vly_arena arena;
} item;

struct stream_call {
    vly_api *api;
    vly_stream *stream;
    vly_nsec deadline_ns;
    size_t arena_budget;
    size_t max_items;
    bool wants_status; /* "triton_grpc_error: true": the first error ends the call */
    _Atomic bool is_cancelled;
    _Atomic unsigned n_refs; /* the open stream, each item, and who pumps */
    vly_work work;
    pthread_mutex_t lock;
    item *head, **tail;        /* guarded by lock, as all below */
    item *first_waiting;       /* NULL: none */
    size_t n_items, n_started; /* RUNNING and READY */
    uint64_t n_wanted;         /* calls of pump so far */
    bool is_pumping;
    bool is_half_closed;
    bool is_ended; /* nothing will be sent any more */
};

static void unref(stream_call *c)
{
    if (atomic_fetch_sub(&c->n_refs, 1) != 1)
        return;
    vly_stream_unref(c->stream);
    pthread_mutex_destroy(&c->lock);
    vly_free(c);
}

static void free_item(item *it)
{
    stream_call *c = it->call;

    vly_stream_consumed(c->stream, it->message_len);
    vly_buf_release(&it->message);
    vly_buf_release(&it->answer);
    vly_arena_release(&it->arena);
    vly_free(it);
    unref(c);
}

/* ---- one request ---- */

static void pump(stream_call *c);

/* started: the model had accepted the request. */
static void write_error(item *it, bool started)
{
    const vly_infer_request *r = &it->infer.request;
    const vly_grpc_param final = {
        .key = VLY_STR("triton_final_response"), .kind = VLY_GRPC_BOOL, .number = 1};
    vly_grpc_infer_response response = {.id = r->id};

    if (started) {
        response.model_name = r->model;
        response.model_version = r->version;
        response.params = (vly_grpc_params){&final, 1};
    }
    vly_buf_release(&it->answer);
    vly_buf_init(&it->answer, VLY_MEM_NET, it->infer.api->max_answer_bytes);
    size_t mark = vly_grpc_open_stream(&it->answer, vly_str_from(it->err.msg));
    vly_grpc_put_infer_response(&it->answer, &response);
    vly_grpc_close_stream(&it->answer, mark, 0);
}

/* Whoever pumps may send and free the item from here on. */
static void set_ready(item *it)
{
    stream_call *c = it->call;

    pthread_mutex_lock(&c->lock);
    it->state = READY;
    pthread_mutex_unlock(&c->lock);
}

static vly_status write_answer(vly_infer *infer, vly_err *err)
{
    item *it = (item *)infer;

    vly_buf_init(&it->answer, VLY_MEM_NET, infer->api->max_answer_bytes);
    return vly_grpc_infer_write_stream(infer, &it->answer, err);
}

static void done(vly_infer *infer)
{
    item *it = (item *)infer;
    stream_call *c = it->call;

    if (infer->status != VLY_OK) {
        it->err = vly_grpc_infer_err(infer);
        write_error(it, true);
    }
    atomic_fetch_add(&c->n_refs, 1); /* the item's own may go with it */
    set_ready(it);
    pump(c);
    unref(c);
}

/* It is RUNNING; when it cannot run after all it is READY with an error. */
static void start(item *it)
{
    stream_call *c = it->call;
    vly_err err;

    it->infer = (vly_infer){.api = c->api,
                            .arena = &it->arena,
                            .is_cancelled = &c->is_cancelled,
                            .received_ns = it->infer.received_ns,
                            .deadline_ns = c->deadline_ns,
                            .write = write_answer,
                            .done = done};
    vly_status st =
        vly_grpc_infer_read(vly_buf_str(&it->message), it->message.cap - it->message.len,
                            &it->arena, &it->infer.request, &err);
    if (st == VLY_OK)
        st = vly_infer_start(&it->infer, &err);
    if (st == VLY_OK)
        return;
    it->err = err;
    write_error(it, false);
    set_ready(it);
}

/* ---- the call ---- */

/* The head leaves. */
static void pop(stream_call *c)
{
    item *it = c->head;

    c->head = it->next;
    if (c->head == NULL)
        c->tail = &c->head;
    if (c->first_waiting == it)
        c->first_waiting = it->next;
    if (it->state != WAITING)
        c->n_started--;
    c->n_items--;
}

/* Ends the call with a status; what is still in work is dropped when it is done. */
static void end(stream_call *c, unsigned code, const char *message)
{
    atomic_store(&c->is_cancelled, code != 0);
    vly_stream_end(c->stream, &(vly_stream_end_info){code, message});
}

/* False: the client is behind, on_room will come. */
static bool send_item(stream_call *c, item *it)
{
    vly_err err;

    if (it->err.status != VLY_OK && c->wants_status) {
        end(c, (unsigned)vly_grpc_code(it->err.status), it->err.msg);
        return true;
    }
    if (it->answer.failed) {
        end(c, CODE_EXHAUSTED, "out of memory for the answer");
        return true;
    }
    return vly_stream_send(c->stream, &it->answer, false, &err) != VLY_EBUSY;
}

/* The lock is held, but for the time of sending. */
static void send_ready(stream_call *c)
{
    while (c->head != NULL &&
           (c->head->state == READY || (c->is_ended && c->head->state == WAITING))) {
        item *it = c->head;
        bool is_wanted = !c->is_ended;
        pthread_mutex_unlock(&c->lock);
        bool is_gone = !is_wanted || send_item(c, it);
        bool ends = is_wanted && is_gone && (it->err.status != VLY_OK && c->wants_status);
        pthread_mutex_lock(&c->lock);
        if (!is_gone)
            return;
        c->is_ended = c->is_ended || ends || it->answer.failed;
        pop(c);
        pthread_mutex_unlock(&c->lock);
        free_item(it);
        pthread_mutex_lock(&c->lock);
    }
}

static bool can_start(const stream_call *c)
{
    return c->first_waiting != NULL && !c->is_ended && c->n_started < STARTED_MAX;
}

/* The next item, made RUNNING. */
static item *next_item(stream_call *c)
{
    item *it = c->first_waiting;

    c->first_waiting = it->next;
    it->state = RUNNING;
    c->n_started++;
    return it;
}

static void run_on_worker(vly_work *work);

/* True: the pump goes on there. */
static bool move_to_worker(stream_call *c)
{
    c->work = (vly_work){.run = run_on_worker};
    return vly_worker_pool_submit(vly_scheduler_pool(c->api->scheduler), &c->work) == VLY_OK;
}

/* One round, under the lock but for what it calls. False: it goes on elsewhere. */
static bool run_once(stream_call *c, bool on_worker)
{
    while (can_start(c)) {
        bool is_light = vly_grpc_infer_is_light(vly_buf_str(&c->first_waiting->message));
        /* With no room on a worker the message is read here all the same: late beats lost. */
        if (!is_light && !on_worker && move_to_worker(c))
            return false;
        item *it = next_item(c);
        pthread_mutex_unlock(&c->lock);
        start(it);
        pthread_mutex_lock(&c->lock);
    }
    send_ready(c);
    return true;
}

/* is_pumping is set, and the pump has a reference. */
static void run(stream_call *c, bool on_worker)
{
    bool is_last = false;
    uint64_t seen;

    pthread_mutex_lock(&c->lock);
    do {
        seen = c->n_wanted;
        if (!run_once(c, on_worker)) {
            pthread_mutex_unlock(&c->lock);
            return;
        }
    } while (seen != c->n_wanted || can_start(c)); /* what was sent made room to start */
    c->is_pumping = false;
    if (c->is_half_closed && c->head == NULL && !c->is_ended)
        is_last = c->is_ended = true;
    pthread_mutex_unlock(&c->lock);
    if (is_last)
        end(c, 0, NULL);
    unref(c);
}

static void run_on_worker(vly_work *work)
{
    run((stream_call *)(void *)((char *)work - offsetof(stream_call, work)), true);
}

static void pump(stream_call *c)
{
    pthread_mutex_lock(&c->lock);
    c->n_wanted++;
    bool is_mine = !c->is_pumping;
    c->is_pumping = true;
    pthread_mutex_unlock(&c->lock);
    if (!is_mine)
        return;
    atomic_fetch_add(&c->n_refs, 1);
    run(c, false);
}

/* ---- events, on the loop thread ---- */

static item *new_item(stream_call *c, vly_buf *message)
{
    item *it = vly_calloc(VLY_MEM_NET, 1, sizeof(*it));

    if (it == NULL)
        return NULL;
    it->call = c;
    it->infer.api = c->api;
    it->infer.received_ns = vly_clock_now();
    it->message = *message;
    it->message_len = message->len;
    vly_buf_init(message, message->kind, message->max_bytes);
    vly_arena_init(&it->arena, VLY_MEM_ARENA, ITEM_BLOCK_BYTES, c->arena_budget);
    atomic_fetch_add(&c->n_refs, 1);
    return it;
}

/* False: there are too many already. */
static bool push(stream_call *c, item *it)
{
    pthread_mutex_lock(&c->lock);
    bool has_room = c->n_items < c->max_items;
    if (has_room) {
        *c->tail = it;
        c->tail = &it->next;
        if (c->first_waiting == NULL)
            c->first_waiting = it;
        c->n_items++;
    }
    c->is_ended = c->is_ended || !has_room;
    pthread_mutex_unlock(&c->lock);
    return has_room;
}

static void on_message(void *ctx, vly_stream *s, vly_buf *message, bool is_text)
{
    stream_call *c = ctx;
    size_t len = message->len;
    item *it = new_item(c, message);

    (void)is_text;
    if (it == NULL) {
        vly_stream_consumed(s, len);
        end(c, CODE_EXHAUSTED, "out of memory for the request");
        return;
    }
    if (push(c, it)) {
        pump(c);
        return;
    }
    free_item(it);
    end(c, CODE_EXHAUSTED, "more requests in one call than grpc.max_stream_requests");
}

static void on_end(void *ctx, vly_stream *s)
{
    stream_call *c = ctx;

    (void)s;
    pthread_mutex_lock(&c->lock);
    c->is_half_closed = true;
    pthread_mutex_unlock(&c->lock);
    pump(c);
}

static void on_room(void *ctx, vly_stream *s)
{
    (void)s;
    pump(ctx);
}

static void on_close(void *ctx, vly_stream *s)
{
    stream_call *c = ctx;

    (void)s;
    atomic_store(&c->is_cancelled, true);
    pthread_mutex_lock(&c->lock);
    c->is_ended = true;
    pthread_mutex_unlock(&c->lock);
    pump(c);
    unref(c);
}

static const vly_stream_events events = {
    .on_message = on_message, .on_end = on_end, .on_room = on_room, .on_close = on_close};

static vly_status open_call(vly_api *api, vly_http_request *req, vly_err *err)
{
    stream_call *c = vly_calloc(VLY_MEM_NET, 1, sizeof(*c));

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the call");
    *c = (stream_call){.api = api,
                       .arena_budget = req->msg.arena.budget_bytes,
                       .max_items = api->max_stream_requests,
                       .n_refs = 1};
    c->tail = &c->head;
    c->wants_status = vly_str_is(vly_http_msg_header(&req->msg, "triton_grpc_error"), "true");
    pthread_mutex_init(&c->lock, NULL);
    vly_status st = vly_grpc_deadline(&req->msg, req->received_ns, &c->deadline_ns, err);
    if (st == VLY_OK)
        st = vly_stream_accept(req, &events, c, &c->stream, err);
    if (st != VLY_OK)
        unref(c);
    return st;
}

void vly_grpc_model_stream_infer(vly_api *api, vly_http_request *req)
{
    vly_err err;

    if (open_call(api, req, &err) != VLY_OK)
        vly_grpc_fail(req, &err);
}
