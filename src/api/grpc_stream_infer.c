/* SPDX-License-Identifier: MIT */
/*
 * ModelStreamInfer: requests come and responses go on one call.
 *
 * Responses leave in the order of the requests (api/stream_line.h), as Triton's do for models that
 * are not decoupled, and errors are responses too.
 */
#include "api/access.h"
#include "api/cached.h"
#include "api/grpc_infer.h"
#include "api/grpc_methods.h"
#include "api/stream_line.h"
#include "api/trace.h"
#include "codec/grpc_infer.h"
#include "net/http_stream.h"

#include <stddef.h>

#define ITEM_BLOCK_BYTES ((size_t)4 << 10)
#define CODE_EXHAUSTED   8 /* RESOURCE_EXHAUSTED */
#define CODE_UNAVAILABLE 14

typedef struct stream_call {
    vly_line line; /* first */
    vly_api *api;
    vly_stream *stream;
    const vly_http_request *req; /* until on_close */
    vly_nsec deadline_ns;
    uint64_t session, id; /* as vly_infer.session and .stream */
    size_t arena_budget;
    vly_cache_wish wish; /* of all its requests; its tags lie in tag_bytes */
    char tag_bytes[VLY_CACHED_TAGS_MAX][VLY_CACHED_TAG_BYTES_MAX];
    bool wants_status; /* "triton_grpc_error: true": the first error ends the call */
    _Atomic bool is_cancelled;
} stream_call;

typedef struct item {
    vly_line_item place; /* first: a pointer to it is a pointer to the item */
    vly_infer infer;
    vly_trace_message trace;
    stream_call *call;
    size_t message_len; /* to be given back to the stream */
    vly_buf message;
    vly_buf answer;
    vly_err err; /* status not OK: answer says this */
    vly_arena arena;
} item;

static item *item_of(vly_infer *infer)
{
    return (item *)(void *)((char *)infer - offsetof(item, infer));
}

static void release_item(item *it)
{
    vly_buf_release(&it->message);
    vly_buf_release(&it->answer);
    vly_arena_release(&it->arena);
    vly_free(it);
}

static void free_item(vly_line_item *place)
{
    item *it = (item *)place;

    vly_stream_consumed(it->call->stream, it->message_len);
    release_item(it);
}

/* ---- one request ---- */

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

static vly_status write_answer(vly_infer *infer, vly_err *err)
{
    item *it = item_of(infer);

    vly_buf_init(&it->answer, VLY_MEM_NET, infer->api->max_answer_bytes);
    return vly_grpc_infer_write_stream(infer, &it->answer, err);
}

static void done(vly_infer *infer)
{
    item *it = item_of(infer);

    vly_trace_message_infer(&it->trace, infer);
    if (infer->status != VLY_OK) {
        it->err = vly_grpc_infer_err(infer);
        write_error(it, true);
    }
    vly_line_ready(&it->place);
}

static bool is_light(const vly_line_item *place)
{
    return vly_grpc_infer_is_light(vly_buf_str(&((const item *)place)->message));
}

static void refuse(item *it)
{
    vly_trace_message_refused(&it->trace, &it->err);
    write_error(it, false);
    vly_line_ready(&it->place);
}

/* When it cannot run after all it is ready with an error. */
static void start(vly_line_item *place)
{
    item *it = (item *)place;
    stream_call *c = it->call;
    vly_err err;

    if (it->err.status != VLY_OK) {
        refuse(it);
        return;
    }
    it->infer = (vly_infer){.api = c->api,
                            .arena = &it->arena,
                            .is_cancelled = &c->is_cancelled,
                            .received_ns = it->infer.received_ns,
                            .deadline_ns = c->deadline_ns,
                            .session = c->session,
                            .stream = c->id,
                            .cache_wish = &c->wish,
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
    refuse(it);
}

/* ---- the call ---- */

/* Ends the call with a status; what is still in work is dropped when it is done. */
static void end(stream_call *c, unsigned code, const char *message)
{
    atomic_store(&c->is_cancelled, code != 0);
    vly_line_end(&c->line);
    vly_stream_end(c->stream, &(vly_stream_end_info){code, message});
}

static bool send(vly_line_item *place)
{
    item *it = (item *)place;
    stream_call *c = it->call;

    if (it->err.status != VLY_OK && c->wants_status) {
        end(c, (unsigned)vly_grpc_code(it->err.status), it->err.msg);
        return true;
    }
    if (it->answer.failed) {
        end(c, CODE_EXHAUSTED, "out of memory for the answer");
        return true;
    }
    return vly_stream_send(c->stream, &it->answer, false, NULL) != VLY_EBUSY;
}

/* The client has said that it has no more; or the server is ending and takes no more. */
static void drained(vly_line *line)
{
    stream_call *c = (stream_call *)line;

    if (atomic_load(&c->api->is_draining))
        end(c, CODE_UNAVAILABLE, "the server is ending");
    else
        end(c, 0, NULL);
}

static void gone(vly_line *line)
{
    stream_call *c = (stream_call *)line;

    vly_stream_unref(c->stream);
    vly_free(c);
}

static const vly_line_ops line_ops = {.is_light = is_light,
                                      .start = start,
                                      .send = send,
                                      .free = free_item,
                                      .drained = drained,
                                      .gone = gone};

/* ---- events, on the loop thread ---- */

static item *new_item(stream_call *c, vly_buf *message)
{
    item *it = vly_calloc(VLY_MEM_NET, 1, sizeof(*it));

    if (it == NULL)
        return NULL;
    it->call = c;
    it->infer.api = c->api;
    it->infer.received_ns = vly_clock_now();
    vly_trace_message_begin(c->req, it->infer.received_ns, &it->trace);
    it->message = *message;
    it->message_len = message->len;
    vly_buf_init(message, message->kind, message->max_bytes);
    vly_arena_init(&it->arena, VLY_MEM_ARENA, ITEM_BLOCK_BYTES, c->arena_budget);
    return it;
}

static void on_message(void *ctx, vly_stream *s, vly_buf *message, bool is_text)
{
    stream_call *c = ctx;
    size_t len = message->len;
    item *it = new_item(c, message);

    (void)is_text;
    if (it != NULL)
        (void)!vly_access_message(c->req, &it->err); /* the answer says it, in its turn */
    if (it != NULL && vly_line_push(&c->line, &it->place))
        return;
    vly_stream_consumed(s, len);
    if (it == NULL) {
        end(c, CODE_EXHAUSTED, "out of memory for the request");
        return;
    }
    release_item(it);
    end(c, CODE_EXHAUSTED, "more requests in one call than grpc.max_stream_requests");
}

static void on_end(void *ctx, vly_stream *s)
{
    stream_call *c = ctx;

    (void)s;
    vly_line_close(&c->line);
}

static void on_room(void *ctx, vly_stream *s)
{
    stream_call *c = ctx;

    (void)s;
    vly_line_go_on(&c->line);
}

static void on_close(void *ctx, vly_stream *s)
{
    stream_call *c = ctx;

    (void)s;
    atomic_store(&c->is_cancelled, true);
    vly_line_end(&c->line);
    vly_line_unref(&c->line);
}

static const vly_stream_events events = {
    .on_message = on_message, .on_end = on_end, .on_room = on_room, .on_close = on_close};

/* Headers of the call may go before its requests. */
static vly_status read_wish(stream_call *c, const vly_http_msg *msg, vly_err *err)
{
    vly_status st = vly_cached_wish(c->api, msg, &c->wish, err);

    for (size_t i = 0; st == VLY_OK && i < c->wish.n_tags; i++) {
        memcpy(c->tag_bytes[i], c->wish.tags[i].ptr, c->wish.tags[i].len);
        c->wish.tags[i].ptr = c->tag_bytes[i];
    }
    return st;
}

static vly_status open_call(vly_api *api, vly_http_request *req, vly_err *err)
{
    stream_call *c = vly_calloc(VLY_MEM_NET, 1, sizeof(*c));

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the call");
    c->api = api;
    c->session = vly_infer_session(&req->msg);
    c->id = vly_infer_stream(req);
    c->req = req;
    c->arena_budget = req->msg.arena.budget_bytes;
    vly_line_init(&c->line, &line_ops, vly_scheduler_pool(api->scheduler), api->max_stream_requests,
                  api->max_stream_in_work);
    c->wants_status = vly_str_is(vly_http_msg_header(&req->msg, "triton_grpc_error"), "true");
    vly_status st = vly_grpc_deadline(&req->msg, req->received_ns, &c->deadline_ns, err);
    if (st == VLY_OK)
        st = read_wish(c, &req->msg, err);
    if (st == VLY_OK)
        st = vly_stream_accept(req, &events, c, &c->stream, err);
    if (st != VLY_OK)
        vly_line_unref(&c->line);
    return st;
}

void vly_grpc_model_stream_infer(vly_api *api, vly_http_request *req)
{
    vly_err err;

    if (open_call(api, req, &err) != VLY_OK)
        vly_grpc_fail(req, &err);
}
