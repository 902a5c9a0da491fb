/* SPDX-License-Identifier: MIT */
/* ModelInfer: a vly_infer whose request and response are one message each. */
#include "api/cached.h"
#include "api/call.h"
#include "api/grpc_infer.h"
#include "api/grpc_methods.h"

typedef struct infer_call {
    vly_infer infer; /* first: a pointer to it is a pointer to the call */
    vly_grpc_call *grpc;
    vly_cache_wish wish;
    vly_infer_parts parts; /* of the answer */
} infer_call;

static vly_status write_answer(vly_infer *infer, vly_err *err)
{
    return vly_grpc_infer_write(infer, &((infer_call *)infer)->parts, err);
}

/* The call ends with the answer, so its parts leave it first. */
static void done(vly_infer *infer)
{
    infer_call *c = (infer_call *)infer;
    vly_infer_parts parts = c->parts;

    vly_call_set_times(c->grpc->req, &infer->times);
    vly_call_set_late(c->grpc->req, infer->is_late);
    vly_call_set_arm(c->grpc->req, infer->arm, infer->served);
    vly_call_set_cache(c->grpc->req, &infer->cache);
    vly_buf_release(&c->grpc->inflated);
    if (infer->status == VLY_OK) {
        vly_grpc_reply(c->grpc, parts.buf, parts.n);
        return;
    }
    vly_err err = vly_grpc_infer_err(infer);
    vly_infer_parts_release(&parts);
    vly_grpc_fail(c->grpc->req, &err);
}

static vly_status begin(vly_grpc_call *call, vly_err *err)
{
    vly_arena *arena = &call->req->msg.arena;
    infer_call *c = vly_arena_calloc(arena, 1, sizeof(*c));

    if (c == NULL)
        return vly_arena_fail(arena, err);
    c->grpc = call;
    c->infer = (vly_infer){.api = call->api,
                           .arena = arena,
                           .is_cancelled = &call->req->is_cancelled,
                           .received_ns = call->req->received_ns,
                           .call_id = vly_call_id(call->req),
                           .deadline_ns = call->deadline_ns,
                           .session = vly_model_routes_has_any(call->api->model_routes)
                                          ? vly_infer_session(&call->req->msg)
                                          : 0,
                           .cache_wish = &c->wish,
                           .loop = call->req->loop_idx + 1,
                           .write = write_answer,
                           .done = done};
    vly_status st =
        vly_grpc_infer_read(call->message, call->tail_bytes, arena, &c->infer.request, err);
    if (st == VLY_OK)
        st = vly_cached_wish(call->api, &call->req->msg, &c->wish, err);
    if (st != VLY_OK)
        return st;
    vly_call_set_model(call->req, c->infer.request.model);
    st = vly_infer_start(&c->infer, err);
    if (st != VLY_OK)
        vly_call_set_late(call->req, c->infer.is_late);
    return st;
}

void vly_grpc_model_infer(vly_grpc_call *call)
{
    vly_err err;

    if (begin(call, &err) == VLY_OK)
        return;
    vly_buf_release(&call->inflated);
    vly_grpc_fail(call->req, &err);
}
