/* SPDX-License-Identifier: MIT */
/*
 * POST /v2/models/{m}/infer: a vly_infer whose request comes as JSON, with or without binary data
 * behind it, or as raw data.
 *
 * Lifetime: the call lives in the request's arena until it is answered.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/cached.h"
#include "api/call.h"
#include "api/infer.h"
#include "api/v2.h"
#include "api/v2_request.h"
#include "api/v2_response.h"
#include "codec/inflate.h"

#include <stdio.h>

/* JSON up to this size is parsed on the loop thread: some 50 us. */
#define LIGHT_JSON_BYTES ((size_t)32 << 10)

typedef struct infer_call {
    vly_infer infer; /* first: a pointer to it is a pointer to the call */
    vly_http_request *req;
    vly_cache_wish wish;
    vly_encoding encoding;
    bool has_json_len; /* the header was sent: 0 means that there is no JSON */
    size_t json_len;
    vly_buf inflated; /* body of the request, when it came compressed */
    vly_infer_json doc;
    vly_v2_answer answer;
} infer_call;

static vly_status open_body(infer_call *c, vly_v2_body *ret, vly_err *err)
{
    const vly_buf *body = &c->req->msg.body;

    if (c->encoding != VLY_ENCODING_IDENTITY) {
        vly_buf_init(&c->inflated, VLY_MEM_NET, c->infer.api->max_body_bytes);
        vly_status st = vly_inflate(c->encoding, vly_buf_str(body), &c->inflated, err);
        if (st == VLY_OK)
            st = vly_http_msg_hold(&c->req->msg, c->inflated.len, err);
        if (st != VLY_OK)
            return st;
        vly_counter_add(&c->infer.api->stats.unpacked_bytes_before, body->len);
        vly_counter_add(&c->infer.api->stats.unpacked_bytes_after, c->inflated.len);
        body = &c->inflated;
    }
    *ret = (vly_v2_body){.bytes = vly_buf_str(body),
                         .tail_bytes = body->cap - body->len,
                         .json_len = c->has_json_len ? c->json_len : body->len};
    return VLY_OK;
}

static vly_status read_request(vly_infer *infer, vly_err *err)
{
    infer_call *c = (infer_call *)infer;
    const vly_infer_json_limits limits = {.max_depth = infer->api->max_json_depth,
                                          .max_memory_bytes = infer->api->max_json_bytes};
    vly_v2_body body;
    vly_status st = open_body(c, &body, err);

    if (st != VLY_OK)
        return st;
    if (c->has_json_len && c->json_len == 0)
        return vly_v2_request_read_raw(&body, infer->arena, &infer->request, err);
    return vly_v2_request_read(&body, &limits, infer->arena, &c->doc, &infer->request, err);
}

static vly_status write_answer(vly_infer *infer, vly_err *err)
{
    return vly_v2_response_write(infer, &((infer_call *)infer)->answer, err);
}

/* The header tells where the JSON ends, and is there only when something follows it. */
static void answer(vly_http_request *req, vly_v2_answer *a)
{
    char json_len[24];

    snprintf(json_len, sizeof(json_len), "%zu", a->json_len);
    const vly_http_header header = {VLY_STR(VLY_V2_HEADER_LENGTH), vly_str_from(json_len)};
    vly_answer(req,
               &(vly_http_answer){
                   .status = 200,
                   .content_type = a->has_binary ? "application/octet-stream" : "application/json",
                   .headers = &header,
                   .n_headers = a->has_binary ? 1 : 0,
                   .parts = a->parts.buf,
                   .n_parts = a->parts.n,
               });
}

static void release(infer_call *c)
{
    vly_infer_json_release(&c->doc);
    vly_buf_release(&c->inflated);
}

/* The call ends with the answer, so its parts leave it first. */
static void done(vly_infer *infer)
{
    infer_call *c = (infer_call *)infer;
    vly_v2_answer a = c->answer;

    vly_call_set_times(c->req, &infer->times);
    vly_call_set_late(c->req, infer->is_late);
    vly_call_set_arm(c->req, infer->arm, infer->served);
    vly_call_set_cache(c->req, &infer->cache);
    release(c);
    if (infer->status == VLY_OK) {
        answer(c->req, &a);
        return;
    }
    vly_infer_parts_release(&a.parts);
    vly_answer_err(c->req, infer->err);
}

static vly_status read_headers(infer_call *c, vly_err *err)
{
    const vly_http_msg *msg = &c->req->msg;
    vly_str text = vly_http_msg_header(msg, VLY_V2_HEADER_LENGTH);
    uint64_t len = 0;

    if (text.ptr != NULL && !vly_str_to_u64(text, &len))
        return vly_fail(err, VLY_EINVAL,
                        "'" VLY_V2_HEADER_LENGTH "': expected a number, got '%.*s'",
                        VLY_STR_ARG(text));
    c->has_json_len = text.ptr != NULL;
    c->json_len = (size_t)len;
    return vly_encoding_parse(vly_http_msg_header(msg, "Content-Encoding"), &c->encoding, err);
}

static vly_status begin(vly_api *api, vly_http_request *req, const vly_str *captures, vly_err *err)
{
    infer_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request");
    c->req = req;
    vly_call_set_model(req, captures[0]);
    vly_status st = read_headers(c, err);
    if (st == VLY_OK)
        st = vly_cached_wish(api, &req->msg, &c->wish, err);
    if (st != VLY_OK)
        return st;
    size_t json_bytes = c->has_json_len ? c->json_len : req->msg.body.len;
    c->infer = (vly_infer){
        .api = api,
        .arena = &req->msg.arena,
        .is_cancelled = &req->is_cancelled,
        .received_ns = req->received_ns,
        .call_id = vly_call_id(req),
        .session = vly_model_routes_has_any(api->model_routes) ? vly_infer_session(&req->msg) : 0,
        .loop = req->loop_idx + 1,
        .request = {.model = captures[0], .version = captures[1]},
        .cache_wish = &c->wish,
        .read = read_request,
        .is_heavy = json_bytes > LIGHT_JSON_BYTES || c->encoding != VLY_ENCODING_IDENTITY,
        .write = write_answer,
        .done = done};
    st = vly_infer_start(&c->infer, err);
    if (st != VLY_OK) {
        vly_call_set_late(req, c->infer.is_late);
        release(c);
    }
    return st;
}

void vly_route_v2_infer(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    if (begin(api, req, captures, &err) != VLY_OK)
        vly_answer_err(req, &err);
}
