/* SPDX-License-Identifier: MIT */
#include "api/v1_stream.h"

#include "api/access.h"
#include "api/answer.h"
#include "api/call.h"
#include "api/routes.h"
#include "api/v1_options.h"
#include "api/v2.h"
#include "net/websocket.h"

#define REQUEST_BLOCK_BYTES ((size_t)4 << 10)
#define STREAM_BLOCK_BYTES  ((size_t)1 << 10)

/* JSON up to this size is parsed on the loop thread: some 50 us. */
#define LIGHT_JSON_BYTES ((size_t)32 << 10)

/* ---- a request ---- */

static void release_request(vly_v1_request *r)
{
    vly_infer_json_release(&r->doc);
    vly_buf_release(&r->message);
    vly_buf_release(&r->answer);
    vly_arena_release(&r->arena);
    vly_free(r);
}

static void free_request(vly_line_item *it)
{
    vly_v1_request *r = (vly_v1_request *)it;

    vly_stream_consumed(r->stream->stream, r->message_len);
    release_request(r);
}

static vly_v1_request *new_request(vly_v1_stream *s, vly_buf *message, bool is_text)
{
    vly_v1_request *r = vly_calloc(VLY_MEM_NET, 1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->stream = s;
    r->received_ns = vly_clock_now();
    vly_trace_message_begin(s->req, r->received_ns, &r->trace);
    r->message = *message;
    r->message_len = message->len;
    r->is_text = is_text;
    vly_buf_init(message, message->kind, message->max_bytes);
    vly_buf_init(&r->answer, VLY_MEM_NET, s->api->max_answer_bytes);
    vly_arena_init(&r->arena, VLY_MEM_ARENA, REQUEST_BLOCK_BYTES, s->request_budget);
    return r;
}

static void put_error(vly_buf *b, const char *text, vly_str id)
{
    vly_buf_puts(b, "{\"error\":");
    vly_buf_json_str(b, vly_str_from(text));
    if (id.ptr != NULL) {
        vly_buf_puts(b, ",\"id\":");
        vly_buf_json_str(b, id);
    }
    vly_buf_putc(b, '}');
}

void vly_v1_stream_done(vly_v1_request *r, const vly_err *err)
{
    static const vly_err no_memory = {.msg = "out of memory for the answer"};

    if (err == NULL && r->answer.failed)
        err = &no_memory;
    r->is_text_answer = r->is_text;
    if (err != NULL) {
        vly_buf_clear(&r->answer);
        put_error(&r->answer, err->msg, r->doc.id);
        r->is_text_answer = true;
    }
    vly_line_ready(&r->item);
}

static bool is_light(const vly_line_item *it)
{
    const vly_v1_request *r = (const vly_v1_request *)it;
    return !r->is_text || r->message.len <= LIGHT_JSON_BYTES;
}

static void start(vly_line_item *it)
{
    vly_v1_request *r = (vly_v1_request *)it;
    vly_err err;

    if (r->refusal != NULL)
        vly_fail(&err, VLY_EEXHAUSTED, "%s", r->refusal);
    if (r->refusal == NULL && r->stream->kind->start(r, &err) == VLY_OK)
        return;
    vly_trace_message_refused(&r->trace, &err);
    vly_v1_stream_done(r, &err);
}

static bool send(vly_line_item *it)
{
    vly_v1_request *r = (vly_v1_request *)it;
    vly_stream *stream = r->stream->stream;
    vly_err err;
    vly_status st = vly_stream_send(stream, &r->answer, r->is_text_answer, &err);

    if (st != VLY_OK && st != VLY_EBUSY && st != VLY_ECANCELLED)
        vly_stream_end(stream, &(vly_stream_end_info){VLY_WEBSOCKET_TRY_LATER, err.msg});
    return st != VLY_EBUSY;
}

static void gone(vly_line *line)
{
    vly_v1_stream *s = (vly_v1_stream *)line;

    vly_stream_unref(s->stream);
    vly_arena_release(&s->arena);
    vly_free(s);
}

static const vly_line_ops line_ops = {
    .is_light = is_light, .start = start, .send = send, .free = free_request, .gone = gone};

/* ---- events ---- */

static void on_message(void *ctx, vly_stream *stream, vly_buf *message, bool is_text)
{
    vly_v1_stream *s = ctx;
    size_t len = message->len;
    vly_v1_request *r = new_request(s, message, is_text);
    vly_err err;

    if (r != NULL && vly_access_message(s->req, &err) != VLY_OK) {
        const char *text = vly_arena_strdup(&r->arena, vly_str_from(err.msg));
        r->refusal = text != NULL ? text : "too many requests";
    }
    if (r != NULL && vly_line_push(&s->line, &r->item))
        return;
    if (r != NULL)
        release_request(r);
    vly_stream_consumed(stream, len);
    vly_stream_end(stream,
                   &(vly_stream_end_info){VLY_WEBSOCKET_TRY_LATER,
                                          r == NULL ? "out of memory" : "too many requests wait"});
}

static void on_room(void *ctx, vly_stream *stream)
{
    vly_v1_stream *s = ctx;

    (void)stream;
    vly_line_go_on(&s->line);
}

static void on_close(void *ctx, vly_stream *stream)
{
    vly_v1_stream *s = ctx;

    (void)stream;
    atomic_store(&s->is_cancelled, true);
    vly_line_end(&s->line);
    vly_line_unref(&s->line);
}

static const vly_stream_events events = {
    .on_message = on_message, .on_room = on_room, .on_close = on_close};

/* ---- opening ---- */

static vly_status find_kind(vly_http_request *req, const vly_v1_kind **ret, vly_err *err)
{
    vly_str name = VLY_STR("raw");
    vly_status st = vly_http_msg_query(&req->msg, "kind", &name);

    *ret = vly_v1_kind_find(name);
    if ((st != VLY_OK && st != VLY_ENOTFOUND) || *ret == NULL)
        return vly_fail(err, VLY_EINVAL, "'kind': expected raw, video, imu or steps, got '%.*s'",
                        VLY_STR_ARG(name));
    return VLY_OK;
}

/* A new reference: the model that the query names. */
static vly_status find_model(const vly_v1_stream *s, vly_http_request *req, vly_str *version,
                             vly_served **ret, vly_err *err)
{
    const vly_v1_params params = {.msg = &req->msg};
    vly_str name;

    if (s->kind->takes_pictures)
        return vly_v1_model(s->api, &params, ret, err);
    if (vly_http_msg_query(&req->msg, "model", &name) != VLY_OK)
        return vly_fail(err, VLY_EINVAL, "'model': expected the name of a model, got nothing");
    vly_status st = vly_http_msg_query(&req->msg, "version", version);
    if (st != VLY_OK && st != VLY_ENOTFOUND)
        return vly_fail(err, st, "'version': malformed");
    return vly_infer_find(s->api, name, *version, ret, err);
}

static bool copy_text(vly_arena *arena, vly_str *s)
{
    s->ptr = vly_arena_strdup(arena, *s);
    return s->ptr != NULL;
}

/* What the query says is kept beyond the request. */
static vly_status keep(vly_v1_stream *s, vly_str name, vly_str version, vly_err *err)
{
    const int32_t *classes = s->options.classes;
    size_t n = s->options.n_classes;

    s->model = name;
    s->version = version;
    if (!copy_text(&s->arena, &s->model) || !copy_text(&s->arena, &s->version))
        return vly_arena_fail(&s->arena, err);
    if (n == 0)
        return VLY_OK;
    int32_t *copy = vly_arena_calloc(&s->arena, n, sizeof(*copy));
    if (copy == NULL)
        return vly_arena_fail(&s->arena, err);
    memcpy(copy, classes, n * sizeof(*copy));
    s->options.classes = copy;
    return VLY_OK;
}

static vly_status read_query(vly_v1_stream *s, vly_http_request *req, vly_served **ret_model,
                             vly_err *err)
{
    const vly_v1_params params = {.msg = &req->msg};
    vly_str name, version = VLY_STR("");
    vly_served *m;
    vly_status st = find_kind(req, &s->kind, err);

    if (st == VLY_OK)
        st = find_model(s, req, &version, &m, err);
    if (st != VLY_OK)
        return st;
    if (s->kind->takes_pictures)
        st = vly_v1_options(&params, &m->servable->decoder.labels, &s->options, err);
    if (vly_http_msg_query(&req->msg, "model", &name) != VLY_OK)
        name = vly_str_from(m->name);
    if (st == VLY_OK)
        st = keep(s, name, version, err);
    if (st == VLY_OK)
        *ret_model = m;
    else
        vly_served_unref(m);
    return st;
}

/* The first message: what the client has got. */
static void say_hello(vly_v1_stream *s, const vly_served *m)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, s->api->max_answer_bytes);
    vly_buf_printf(&b, "{\"hello\":{\"kind\":\"%s\",\"max_in_work\":%zu,\"model\":", s->kind->name,
                   s->line.max_started);
    vly_v2_put_model(s->api, m, &b);
    vly_buf_puts(&b, "}}");
    if (vly_stream_send(s->stream, &b, true, NULL) != VLY_OK)
        vly_stream_end(s->stream, &(vly_stream_end_info){VLY_WEBSOCKET_TRY_LATER, "out of memory"});
    vly_buf_release(&b);
}

static vly_status open_stream(vly_api *api, vly_http_request *req, vly_err *err)
{
    vly_v1_stream *s = vly_calloc(VLY_MEM_NET, 1, sizeof(*s));
    vly_served *m = NULL;

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the stream");
    s->api = api;
    s->session = vly_infer_session(&req->msg);
    s->id = vly_infer_stream(req);
    s->req = req;
    s->request_budget = req->msg.arena.budget_bytes;
    vly_arena_init(&s->arena, VLY_MEM_ARENA, STREAM_BLOCK_BYTES, s->request_budget);
    vly_line_init(&s->line, &line_ops, vly_scheduler_pool(api->scheduler), api->max_stream_requests,
                  api->max_stream_in_work);
    vly_status st = read_query(s, req, &m, err);
    if (st == VLY_OK)
        vly_call_set_model(req, s->model);
    if (st == VLY_OK)
        st = vly_stream_accept(req, &events, s, &s->stream, err);
    if (st == VLY_OK)
        say_hello(s, m);
    else
        vly_line_unref(&s->line);
    vly_served_unref(m);
    return st;
}

/* Why it is none, or which other protocol to come with (RFC 9110 15.5.22). */
static void answer_no_websocket(vly_http_request *req)
{
    const vly_http_header upgrade = {VLY_STR("Upgrade"), VLY_STR("websocket")};
    char accept[VLY_WEBSOCKET_ACCEPT_MAX];
    vly_err err = {.msg = "WebSockets are not offered here (stream.max_message_bytes is 0), or "
                          "only as the first request in work on a connection"};
    vly_buf body;

    (void)!vly_websocket_check(&req->msg, accept, &err);
    vly_buf_init(&body, VLY_MEM_NET, (size_t)16 * VLY_ERR_MSG_MAX);
    put_error(&body, err.msg, (vly_str){NULL, 0});
    vly_answer(req, &(vly_http_answer){.status = 426,
                                       .content_type = "application/json",
                                       .headers = &upgrade,
                                       .n_headers = 1,
                                       .parts = &body,
                                       .n_parts = 1});
    vly_buf_release(&body);
}

static bool wants_steps(vly_http_request *req)
{
    vly_str kind;

    return vly_http_msg_query(&req->msg, "kind", &kind) == VLY_OK && vly_str_is(kind, "steps");
}

void vly_route_v1_stream(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    (void)captures;
    if (req->stream_kind != VLY_STREAM_WEBSOCKET) {
        answer_no_websocket(req);
        return;
    }
    vly_status st =
        wants_steps(req) ? vly_v1_stream_steps(api, req, &err) : open_stream(api, req, &err);
    if (st != VLY_OK)
        vly_answer_err(req, &err);
}
