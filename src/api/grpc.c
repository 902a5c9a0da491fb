/* SPDX-License-Identifier: MIT */
#include "api/grpc.h"

#include "api/access.h"
#include "api/call.h"
#include "api/desk.h"
#include "api/grpc_infer.h"
#include "api/grpc_methods.h"
#include "api/route_stats.h"
#include "base/assert.h"
#include "base/bits.h"

#include <stddef.h>

/* *ret_row: its place in the table, when there is such a method. */
static const vly_grpc_method *find_method(vly_str path, size_t *ret_row)
{
#define ROW_ANSWER(name) .answer = vly_grpc_##name
#define ROW_WORKER(name) .answer = vly_grpc_##name, .on_worker = true
#define ROW_BEGIN(name)  .begin = vly_grpc_##name
#define ROW_STREAM(name) .open = vly_grpc_##name
#define ROW(kind, scope_, text, name)                                                              \
    {.path = {text, sizeof(text) - 1}, .scope = VLY_SCOPE_##scope_, ROW_##kind(name)},
    static const vly_grpc_method methods[] = {VLY_GRPC_METHODS(ROW)};
#undef ROW

    for (size_t i = 0; i < VLY_COUNT(methods); i++)
        if (vly_str_eq(methods[i].path, path)) {
            *ret_row = i;
            return &methods[i];
        }
    return NULL;
}

static bool is_grpc(const vly_http_msg *msg)
{
    return vly_grpc_is_type(vly_http_msg_header(msg, "content-type"));
}

bool vly_grpc_is_stream(void *ctx, const vly_http_msg *msg)
{
    size_t row;
    const vly_grpc_method *m = find_method(msg->path, &row);

    (void)ctx;
    return m != NULL && m->open != NULL && is_grpc(msg);
}

static void answer(vly_grpc_call *call)
{
    vly_buf out;
    vly_err err;

    if (call->method->begin != NULL) {
        call->method->begin(call);
        return;
    }
    vly_buf_init(&out, VLY_MEM_NET, call->api->max_answer_bytes);
    vly_grpc_begin_frame(&out);
    vly_status st = call->method->answer(call, &out, &err);
    vly_buf_release(&call->inflated);
    if (st == VLY_OK) {
        vly_grpc_reply(call, &out, 1);
        return;
    }
    vly_buf_release(&out);
    vly_grpc_fail(call->req, &err);
}

/* The one message of the body, as it came. */
static vly_status open_frame(vly_grpc_call *call, vly_err *err)
{
    const vly_buf *body = &call->req->msg.body;

    if (body->len < VLY_GRPC_HEAD_BYTES ||
        vly_load_be32(body->ptr + 1) != body->len - VLY_GRPC_HEAD_BYTES || body->ptr[0] > 1)
        return vly_fail(err, VLY_EFORMAT, "expected one message");
    call->message = (vly_str){body->ptr + VLY_GRPC_HEAD_BYTES, body->len - VLY_GRPC_HEAD_BYTES};
    call->tail_bytes = body->cap - body->len;
    if (body->ptr[0] == 0)
        return VLY_OK;
    return vly_encoding_parse(vly_http_msg_header(&call->req->msg, "grpc-encoding"),
                              &call->encoding, err);
}

static vly_status inflate(vly_grpc_call *call, vly_err *err)
{
    vly_buf_init(&call->inflated, VLY_MEM_NET, call->api->max_body_bytes);
    vly_status st = vly_inflate(call->encoding, call->message, &call->inflated, err);
    if (st == VLY_OK)
        st = vly_http_msg_hold(&call->req->msg, call->inflated.len, err);
    call->message = vly_buf_str(&call->inflated);
    call->tail_bytes = call->inflated.cap - call->inflated.len;
    return st;
}

static void work_on(vly_work *work)
{
    vly_grpc_call *call = (vly_grpc_call *)(void *)((char *)work - offsetof(vly_grpc_call, work));
    vly_err err;

    if (call->encoding == VLY_ENCODING_IDENTITY || inflate(call, &err) == VLY_OK) {
        answer(call);
        return;
    }
    vly_buf_release(&call->inflated);
    vly_grpc_fail(call->req, &err);
}

static vly_status begin(vly_api *api, vly_http_request *req, const vly_grpc_method *method,
                        vly_err *err)
{
    vly_grpc_call *call = vly_arena_calloc(&req->msg.arena, 1, sizeof(*call));

    if (call == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request");
    call->api = api;
    call->req = req;
    call->method = method;
    vly_status st = vly_grpc_deadline(&req->msg, req->received_ns, &call->deadline_ns, err);
    if (st == VLY_OK)
        st = open_frame(call, err);
    if (st != VLY_OK)
        return st;
    if (call->encoding == VLY_ENCODING_IDENTITY && !method->on_worker &&
        vly_grpc_infer_is_light(call->message)) {
        answer(call);
        return VLY_OK;
    }
    call->work = (vly_work){.run = work_on};
    st = vly_worker_pool_submit(vly_files_or_workers(api, method->scope), &call->work);
    return st == VLY_OK ? st : vly_fail(err, st, "Exceeds maximum queue size");
}

static vly_status carry_out(vly_api *api, vly_http_request *req, const vly_grpc_method *method,
                            vly_err *err)
{
    vly_status st = method != NULL ? vly_access_admit(api, req, method->scope, err)
                                   : vly_access_count(api, req, err);

    if (st == VLY_OK && method == NULL)
        return vly_fail(err, VLY_EUNSUPPORTED, "unknown method '%.*s'", VLY_STR_ARG(req->msg.path));
    if (st != VLY_OK || method->open == NULL)
        return st == VLY_OK ? begin(api, req, method, err) : st;
    method->open(api, req);
    return VLY_OK;
}

bool vly_grpc_handle(vly_api *api, vly_http_request *req)
{
    size_t row = 0;
    const vly_grpc_method *method = find_method(req->msg.path, &row);
    vly_err err;

    if (req->msg.method != VLY_HTTP_POST || !is_grpc(&req->msg))
        return false;
    if (method != NULL)
        vly_call_set_route(req, vly_route_idx_grpc(row));
    if (carry_out(api, req, method, &err) != VLY_OK)
        vly_grpc_fail(req, &err);
    return true;
}
